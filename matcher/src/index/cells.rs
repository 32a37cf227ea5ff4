//! Areas as a few cells of a grid, and as bounds of latitude and longitude. Both hold every place of the area, and some more.

#[cfg(test)]
use gomera_model::geo::GeoPoint;

use super::program::{Test, What};

/// The finest grid: 360 / 2^20 degrees, 38 m at the equator.
const LEVEL_MAX: u32 = 20;

/// Added on every side, in degrees, about a metre: more than what distances are rounded by.
const MARGIN: f64 = 1e-5;

/// Mean radius of the Earth, as the filter language has it.
const EARTH_RADIUS_METRES: f64 = 6_371_008.8;

/// Bounds in degrees. West may lie below -180, east above 180, where the area crosses the antimeridian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Lowest latitude.
    pub south: f64,
    /// Highest latitude.
    pub north: f64,
    west: f64,
    east: f64,
}

impl Bounds {
    /// Of the area that a test asks for.
    pub fn of(test: &Test<'_>) -> Option<Self> {
        match test.what {
            What::Circle => Some(Self::of_circle(test.float(0), test.float(1), test.float(2))),
            What::Box => {
                let (west, mut east) = (test.float(1), test.float(3));
                if west > east {
                    east += 360.0;
                }
                Some(Self { south: test.float(0), north: test.float(2), west, east }.widened())
            }
            _ => None,
        }
    }

    fn of_circle(latitude: f64, longitude: f64, metres: f64) -> Self {
        let angle = (metres.max(0.0) / EARTH_RADIUS_METRES).min(std::f64::consts::PI);
        let (south, north) = (latitude - angle.to_degrees(), latitude + angle.to_degrees());
        let reach = angle.sin() / latitude.to_radians().cos();
        let holds_pole = north + MARGIN >= 90.0 || south - MARGIN <= -90.0;
        let half = if holds_pole || !(0.0..1.0).contains(&reach) { 180.0 } else { reach.asin().to_degrees() };
        Self { south, north, west: longitude - half, east: longitude + half }.widened()
    }

    fn widened(self) -> Self {
        Self {
            south: self.south - MARGIN,
            north: self.north + MARGIN,
            west: self.west - MARGIN,
            east: self.east + MARGIN,
        }
    }

    /// Longitudes, if they are one range of those that points have.
    pub fn longitudes(self) -> Option<(f64, f64)> {
        (self.west > -180.0 && self.east < 180.0).then_some((self.west, self.east))
    }

    /// Up to four cells that hold the area; none if it is most of the Earth.
    pub fn cells(self) -> impl Iterator<Item = Cell> {
        let level = (1..=LEVEL_MAX).rev().find(|&level| {
            let across = 360.0 / f64::from(1_u32 << level);
            self.east - self.west <= across && self.north - self.south <= across / 2.0
        });
        level.into_iter().flat_map(move |level| {
            let (west, east) = (column(self.west, level), column(self.east, level));
            let (south, north) = (row(self.south, level), row(self.north, level));
            let columns = [Some(west), (east != west).then_some(east)].into_iter().flatten();
            columns.flat_map(move |column| {
                let rows = [Some(south), (north != south).then_some(north)].into_iter().flatten();
                rows.map(move |row| Cell { level, column, row })
            })
        })
    }
}

/// A cell of the grid of 2^level by 2^level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    level: u32,
    column: u32,
    row: u32,
}

impl Cell {
    /// The cell of a place.
    #[inline]
    pub fn of(latitude: f64, longitude: f64, level: u32) -> Self {
        Self { level, column: column(longitude, level), row: row(latitude, level) }
    }

    /// All of it in 48 bits.
    #[inline]
    pub fn number(self) -> u64 {
        u64::from(self.level) << 42 | u64::from(self.column) << 21 | u64::from(self.row)
    }
}

#[inline]
fn column(longitude: f64, level: u32) -> u32 {
    let count = f64::from(1_u32 << level);
    whole(((longitude + 180.0) / 360.0 * count).floor().rem_euclid(count))
}

#[inline]
fn row(latitude: f64, level: u32) -> u32 {
    let count = f64::from(1_u32 << level);
    whole(((latitude + 90.0) / 180.0 * count).floor().clamp(0.0, count - 1.0))
}

#[inline]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in [0, 2^20)")]
fn whole(number: f64) -> u32 {
    number as u32
}

/// Whether a place is one that a point can name: what cells are made for.
#[cfg(test)]
fn place(latitude: f64, longitude: f64) -> GeoPoint {
    GeoPoint::new(latitude, longitude).expect("a place")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_bounds_hold_every_place_of_a_circle() {
        let mut state = 7_u64;
        let mut random = |span: f64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 32).expect("32 bits")) / f64::from(u32::MAX) * span - span / 2.0
        };
        let (mut inside, mut beyond) = (0, 0);
        for _ in 0..20_000 {
            let centre = place(random(180.0), random(360.0));
            let metres = 10_f64.powf(random(6.0) + 4.0);
            let degrees = (metres / EARTH_RADIUS_METRES).to_degrees();
            let bounds = Bounds::of_circle(centre.latitude(), centre.longitude(), metres);
            let cells = bounds.cells().collect::<Vec<_>>();
            assert!(cells.len() <= 4);
            let latitude = (centre.latitude() + random(2.2 * degrees)).clamp(-90.0, 90.0);
            let longitude = centre.longitude() + random(4.0 * degrees);
            let longitude = if longitude.abs() > 180.0 { longitude - 360.0_f64.copysign(longitude) } else { longitude };
            let point = place(latitude, longitude.clamp(-180.0, 180.0));
            if point.distance_metres(centre) > metres {
                beyond += 1;
                continue;
            }
            inside += 1;
            assert!((bounds.south..=bounds.north).contains(&point.latitude()));
            if let Some((west, east)) = bounds.longitudes() {
                assert!((west..=east).contains(&point.longitude()), "{centre:?} {metres} {point:?}");
            }
            let found = cells.iter().any(|cell| *cell == Cell::of(point.latitude(), point.longitude(), cell.level));
            assert!(found || cells.is_empty(), "{centre:?} {metres} {point:?}");
        }
        assert!(inside > 2_000 && beyond > 2_000, "{inside} inside, {beyond} beyond");
    }
}
