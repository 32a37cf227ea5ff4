//! Places on Earth, the distance between them, and the areas a filter can ask for.
//!
//! Distance is the great circle (haversine) on a sphere of 6 371 008.8 m, the mean radius R1 of WGS 84; it is off
//! from the ellipsoid by at most 0.6 %. Boxes and polygons live in the plane of latitude and longitude, edges straight
//! there (RFC 7946 section 3.1.1), and each edge takes the shorter way round, so that an area may cross the
//! antimeridian. Boundaries belong to the area.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Mean radius R1 = (2a + b) / 3 of WGS 84.
const EARTH_RADIUS_METRES: f64 = 6_371_008.8;

/// A place, in degrees. Latitude is in [-90, 90], longitude in [-180, 180]; both are numbers.
#[derive(Clone, Copy, Debug)]
pub struct GeoPoint {
    latitude: f64,
    longitude: f64,
}

/// Coordinates that name no place.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "latitude {latitude}, longitude {longitude} is no place: latitude must be within -90 to 90, longitude within -180 to 180"
)]
pub struct GeoPointError {
    /// As given.
    pub latitude: f64,
    /// As given.
    pub longitude: f64,
}

impl GeoPoint {
    /// Checks the ranges; NaN is refused.
    pub fn new(latitude: f64, longitude: f64) -> Result<Self, GeoPointError> {
        if (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude) {
            Ok(Self { latitude, longitude })
        } else {
            Err(GeoPointError { latitude, longitude })
        }
    }

    /// Degrees north.
    #[must_use]
    pub fn latitude(self) -> f64 {
        self.latitude
    }

    /// Degrees east.
    #[must_use]
    pub fn longitude(self) -> f64 {
        self.longitude
    }

    /// Equal coordinates as numbers (`-0.0` is `0.0`). Longitudes 180 and -180 are different numbers and so not equal.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "sameness of coordinates is meant exactly")]
    pub fn is_same_place(self, other: Self) -> bool {
        self.latitude == other.latitude && self.longitude == other.longitude
    }

    /// Great-circle distance.
    #[must_use]
    pub fn distance_metres(self, other: Self) -> f64 {
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half_north = (to - from) / 2.0;
        // The shorter way round, and no way at all at a pole, so that one place is at distance 0 from itself whatever its
        // longitude is called.
        let east = (other.longitude - self.longitude).abs();
        let half_east = east.min(360.0 - east).to_radians() / 2.0;
        let is_pole = self.latitude.abs() >= 90.0 || other.latitude.abs() >= 90.0;
        let parallels = if is_pole { 0.0 } else { from.cos() * to.cos() };
        let haversine = half_north.sin().powi(2) + parallels * half_east.sin().powi(2);
        // Rounding can push the sum a hair above 1 for antipodes.
        2.0 * EARTH_RADIUS_METRES * haversine.min(1.0).sqrt().asin()
    }

    /// Whether this place lies in the box with these corners. A west corner east of the east corner means that the box
    /// crosses the antimeridian. A box whose south corner lies north of its north corner holds nothing.
    #[must_use]
    pub fn is_in_box(self, south_west: Self, north_east: Self) -> bool {
        let (west, east) = (south_west.longitude, north_east.longitude);
        let in_longitude = |longitude: f64| {
            if west <= east { (west..=east).contains(&longitude) } else { longitude >= west || longitude <= east }
        };
        let on_antimeridian = self.longitude.abs() >= 180.0;
        (south_west.latitude..=north_east.latitude).contains(&self.latitude)
            && (in_longitude(self.longitude) || (on_antimeridian && in_longitude(-self.longitude)))
    }
}

impl PartialEq for GeoPoint {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for GeoPoint {}

impl PartialOrd for GeoPoint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Structural, as for [`Value`](crate::value::Value).
impl Ord for GeoPoint {
    fn cmp(&self, other: &Self) -> Ordering {
        self.latitude.total_cmp(&other.latitude).then_with(|| self.longitude.total_cmp(&other.longitude))
    }
}

impl Hash for GeoPoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.latitude.to_bits().hash(state);
        self.longitude.to_bits().hash(state);
    }
}

/// A simple area bounded by straight edges, closed by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Polygon {
    vertices: Arc<[GeoPoint]>,
    /// The turns round the Earth that the edges reach, counted east from the first vertex: `0..=0` unless an edge
    /// crosses the antimeridian.
    turns: (i32, i32),
}

/// Vertices that bound no area.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolygonError {
    /// Fewer than three.
    #[error("a polygon has {0} different vertices, must have at least 3")]
    TooFewVertices(usize),
    /// The edges go once round the Earth.
    #[error("a polygon goes round a pole, which has no inside in the plane of latitude and longitude: use a box")]
    RoundAPole,
    /// An edge would have to go round the whole Earth, but the shorter way has no length.
    #[error(
        "an edge of a polygon goes from longitude -180 to 180, which is one place: put a vertex between them, or use a box"
    )]
    WholeCircle,
    /// It overlaps itself on the other side of the Earth.
    #[error("a polygon spans more than 360 degrees of longitude")]
    TooWide,
}

impl Polygon {
    /// Takes the vertices in order, either way round; a last one equal to the first (as GeoJSON writes it) is dropped.
    pub fn new(vertices: impl Into<Vec<GeoPoint>>) -> Result<Self, PolygonError> {
        let mut vertices: Vec<GeoPoint> = vertices.into();
        while vertices.len() > 1 && vertices[0].is_same_place(vertices[vertices.len() - 1]) {
            vertices.pop();
        }
        let different = different_places(&vertices);
        if different < 3 {
            return Err(PolygonError::TooFewVertices(different));
        }
        let mut turn = 0;
        let mut turns = (0, 0);
        let (mut west, mut east) = (vertices[0].longitude, vertices[0].longitude);
        for (from, to) in edges(&vertices) {
            let whole_circle = (to.longitude - from.longitude).abs() >= 360.0;
            if whole_circle && from.latitude.total_cmp(&to.latitude).is_eq() {
                return Err(PolygonError::WholeCircle);
            }
            turn += turns_of(from, to);
            turns = (turns.0.min(turn), turns.1.max(turn));
            let x = unwrapped(to.longitude, turn);
            (west, east) = (west.min(x), east.max(x));
        }
        if turn != 0 {
            return Err(PolygonError::RoundAPole);
        }
        if east - west > 360.0 {
            return Err(PolygonError::TooWide);
        }
        Ok(Self { vertices: vertices.into(), turns })
    }

    /// The vertices in order, the first not repeated at the end.
    #[must_use]
    pub fn vertices(&self) -> &[GeoPoint] {
        &self.vertices
    }

    /// Even-odd rule, the boundary included. Linear in the vertices.
    #[must_use]
    pub fn contains(&self, point: GeoPoint) -> bool {
        // Longitudes are unwrapped along the edges by whole turns: the polygon is then an ordinary planar one, and the
        // point is tried at each turn that it can lie in. A vertex and a point of one longitude meet exactly, since
        // both are moved by the same sum.
        let (mut first, mut last) = self.turns;
        // The antimeridian itself ends one turn and begins the next.
        first -= i32::from(point.longitude >= 180.0);
        last += i32::from(point.longitude <= -180.0);
        (first..=last).any(|turn| self.contains_unwrapped(unwrapped(point.longitude, turn), point.latitude))
    }

    fn contains_unwrapped(&self, x: f64, y: f64) -> bool {
        let mut inside = false;
        let mut turn = 0;
        let mut from_x = self.vertices[0].longitude;
        for (from, to) in edges(&self.vertices) {
            turn += turns_of(from, to);
            let to_x = unwrapped(to.longitude, turn);
            let (from_y, to_y) = (from.latitude, to.latitude);
            let cross = (to_x - from_x) * (y - from_y) - (to_y - from_y) * (x - from_x);
            let in_reach =
                x >= from_x.min(to_x) && x <= from_x.max(to_x) && y >= from_y.min(to_y) && y <= from_y.max(to_y);
            if cross == 0.0 && in_reach {
                return true;
            }
            if (from_y > y) != (to_y > y) && (cross > 0.0) == (to_y > from_y) {
                inside = !inside;
            }
            from_x = to_x;
        }
        inside
    }
}

fn different_places(vertices: &[GeoPoint]) -> usize {
    // `+ 0.0` makes -0.0 into 0.0.
    let mut places: Vec<(u64, u64)> =
        vertices.iter().map(|vertex| ((vertex.latitude + 0.0).to_bits(), (vertex.longitude + 0.0).to_bits())).collect();
    places.sort_unstable();
    places.dedup();
    places.len()
}

fn edges(vertices: &[GeoPoint]) -> impl Iterator<Item = (GeoPoint, GeoPoint)> + '_ {
    vertices.iter().copied().zip(vertices.iter().copied().cycle().skip(1))
}

/// Whether the shorter way from one place to the other crosses the antimeridian, eastwards (1) or westwards (-1).
fn turns_of(from: GeoPoint, to: GeoPoint) -> i32 {
    let east = to.longitude - from.longitude;
    if east > 180.0 {
        -1
    } else if east < -180.0 {
        1
    } else {
        0
    }
}

fn unwrapped(longitude: f64, turn: i32) -> f64 {
    longitude + 360.0 * f64::from(turn)
}

#[cfg(test)]
mod tests;
