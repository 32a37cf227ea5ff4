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
        let half_east = (other.longitude - self.longitude).to_radians() / 2.0;
        let haversine = half_north.sin().powi(2) + from.cos() * to.cos() * half_east.sin().powi(2);
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
}

/// Vertices that bound no area.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolygonError {
    /// Fewer than three.
    #[error("a polygon has {0} vertices, must have at least 3 different ones")]
    TooFewVertices(usize),
    /// The edges go once round the Earth.
    #[error("a polygon goes round a pole, which has no inside in the plane of latitude and longitude: use a box")]
    RoundAPole,
}

impl Polygon {
    /// Takes the vertices in order, either way round; a last one equal to the first (as GeoJSON writes it) is dropped.
    pub fn new(vertices: impl Into<Vec<GeoPoint>>) -> Result<Self, PolygonError> {
        let mut vertices: Vec<GeoPoint> = vertices.into();
        while vertices.len() > 1 && vertices[0].is_same_place(vertices[vertices.len() - 1]) {
            vertices.pop();
        }
        if vertices.len() < 3 {
            return Err(PolygonError::TooFewVertices(vertices.len()));
        }
        let turn: f64 = edges(&vertices).map(|(from, to)| shorter_way(to.longitude - from.longitude)).sum();
        if turn.abs() > 180.0 {
            return Err(PolygonError::RoundAPole);
        }
        Ok(Self { vertices: vertices.into() })
    }

    /// The vertices in order, the first not repeated at the end.
    #[must_use]
    pub fn vertices(&self) -> &[GeoPoint] {
        &self.vertices
    }

    /// Even-odd rule, the boundary included. Linear in the vertices.
    #[must_use]
    pub fn contains(&self, point: GeoPoint) -> bool {
        // Longitudes relative to the first vertex, unwrapped along the edges: the polygon is then an ordinary planar
        // one, spanning perhaps more than one turn's range, so the point is tried at each turn that it can lie in.
        let origin = self.vertices[0].longitude;
        let east = shorter_way(point.longitude - origin);
        self.contains_unwrapped(east, point.latitude)
            || self.contains_unwrapped(east - 360.0, point.latitude)
            || self.contains_unwrapped(east + 360.0, point.latitude)
    }

    fn contains_unwrapped(&self, x: f64, y: f64) -> bool {
        let mut inside = false;
        let mut from_x = 0.0;
        for (from, to) in edges(&self.vertices) {
            let to_x = from_x + shorter_way(to.longitude - from.longitude);
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

fn edges(vertices: &[GeoPoint]) -> impl Iterator<Item = (GeoPoint, GeoPoint)> + '_ {
    vertices.iter().copied().zip(vertices.iter().copied().cycle().skip(1))
}

/// A difference of longitudes brought into [-180, 180].
fn shorter_way(degrees: f64) -> f64 {
    if degrees > 180.0 {
        degrees - 360.0
    } else if degrees < -180.0 {
        degrees + 360.0
    } else {
        degrees
    }
}

#[cfg(test)]
mod tests;
