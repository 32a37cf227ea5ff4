//! A city, generated: road sensors and weather stations over one day, from a seed. The same seed gives the same devices and, for
//! the same moments, the same readings. Pure.
//!
//! Traffic follows the hours (a morning rush into the city, an evening rush out of it), slows down as a road fills
//! (Greenshields: speed falls linearly with density) and in the rain. The weather is a cool day with frost before sunrise
//! and a shower in the afternoon that crosses the city from west to east.

use gomera_model::{Attributes, GeoPoint, Value};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The middle of the city: Puerta del Sol, Madrid. Roads have their names and lanes, their course is simplified.
pub const CENTRE: (f64, f64) = (40.4169, -3.7035);

/// Kilometres of a degree of latitude, and of one of longitude at the centre's latitude.
const LATITUDE_KM: f64 = 111.2;
const LONGITUDE_KM: f64 = 84.7;

/// The demo's day, in hours.
const DAY_BEGINS: f64 = 5.0;
const DAY_ENDS: f64 = 23.0;

/// One device in six is a weather station.
const STATION_EVERY: usize = 6;

/// The course of a road.
#[derive(Clone, Copy, Debug)]
enum Course {
    /// Around the centre, at this distance in km.
    Ring(f64),
    /// From the centre outwards: bearing in degrees, from and to in km.
    Radial(f64, f64, f64),
}

#[derive(Debug)]
struct Road {
    name: &'static str,
    lanes: i64,
    limit: i64,
    course: Course,
}

const ROADS: [Road; 14] = [
    Road { name: "M-30", lanes: 4, limit: 90, course: Course::Ring(3.5) },
    Road { name: "M-40", lanes: 4, limit: 100, course: Course::Ring(8.0) },
    Road { name: "A-1", lanes: 3, limit: 100, course: Course::Radial(12.0, 3.5, 12.0) },
    Road { name: "A-2", lanes: 4, limit: 100, course: Course::Radial(68.0, 3.5, 12.0) },
    Road { name: "A-3", lanes: 3, limit: 100, course: Course::Radial(115.0, 3.5, 12.0) },
    Road { name: "A-4", lanes: 3, limit: 100, course: Course::Radial(172.0, 3.5, 12.0) },
    Road { name: "A-5", lanes: 3, limit: 90, course: Course::Radial(238.0, 2.5, 12.0) },
    Road { name: "A-6", lanes: 4, limit: 100, course: Course::Radial(312.0, 3.0, 12.0) },
    Road { name: "Paseo de la Castellana", lanes: 5, limit: 50, course: Course::Radial(5.0, 0.6, 6.0) },
    Road { name: "Gran Vía", lanes: 3, limit: 50, course: Course::Radial(330.0, 0.1, 1.3) },
    Road { name: "Calle de Alcalá", lanes: 3, limit: 50, course: Course::Radial(65.0, 0.1, 5.0) },
    Road { name: "Bravo Murillo", lanes: 2, limit: 50, course: Course::Radial(350.0, 1.8, 5.0) },
    Road { name: "Calle de Atocha", lanes: 2, limit: 30, course: Course::Radial(140.0, 0.1, 1.5) },
    Road { name: "Calle de la Princesa", lanes: 3, limit: 50, course: Course::Radial(310.0, 1.2, 2.6) },
];

/// Districts by bearing, clockwise from north: within the inner ring, and outside of it.
const INNER: [&str; 8] = ["Chamberí", "Salamanca", "Retiro", "Retiro", "Arganzuela", "Latina", "Moncloa", "Moncloa"];
const OUTER: [&str; 8] =
    ["Fuencarral", "Hortaleza", "San Blas", "Vallecas", "Villaverde", "Carabanchel", "Latina", "Aravaca"];

/// Which way the traffic goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// Where something is.
#[derive(Clone, Debug)]
struct Place {
    point: GeoPoint,
    /// Km east of the centre.
    east: f64,
    district: &'static str,
}

#[derive(Debug)]
enum Kind {
    Road {
        road: &'static Road,
        direction: Direction,
        /// How busy this spot is compared with others.
        busyness: f64,
        /// Some sensors run on a battery: percent.
        battery: Option<i64>,
    },
    Station {
        /// Degrees above the city's mean.
        warmth: f64,
    },
}

/// A device: a publisher of its own.
#[derive(Debug)]
pub struct Device {
    /// Its name.
    pub name: String,
    place: Place,
    kind: Kind,
    random: StdRng,
}

/// The hour of the city's day when this share (0 to 1) of the run has gone.
#[must_use]
pub fn hour(share: f64) -> f64 {
    DAY_BEGINS + (DAY_ENDS - DAY_BEGINS) * share.clamp(0.0, 1.0)
}

/// The point this far from the centre.
#[must_use]
pub fn point(north_km: f64, east_km: f64) -> GeoPoint {
    GeoPoint::new(CENTRE.0 + north_km / LATITUDE_KM, CENTRE.1 + east_km / LONGITUDE_KM)
        .expect("a few kilometres around Madrid are on Earth")
}

/// The devices of a city.
#[must_use]
pub fn devices(seed: u64, count: usize) -> Vec<Device> {
    (0..count).map(|index| Device::new(seed, index)).collect()
}

impl Device {
    fn new(seed: u64, index: usize) -> Self {
        let index_bits = u64::try_from(index).expect("an index fits 64 bits");
        // A stream of its own for each device: adding devices does not change the others. The multiplier is that of
        // splitmix64.
        let mut random = StdRng::seed_from_u64(seed ^ index_bits.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        if index % STATION_EVERY == STATION_EVERY - 1 {
            let place = place(random.random_range(-10.0..10.0), random.random_range(-10.0..10.0));
            let kind = Kind::Station { warmth: random.random_range(-1.5..1.5) };
            return Self { name: format!("station-{index:03}"), place, kind, random };
        }
        let road = &ROADS[random.random_range(0..ROADS.len())];
        let (north, east) = match road.course {
            Course::Ring(radius) => polar(random.random_range(0.0..360.0), radius),
            Course::Radial(bearing, from, to) => polar(bearing, random.random_range(from..to)),
        };
        let kind = Kind::Road {
            road,
            direction: if random.random_bool(0.5) { Direction::In } else { Direction::Out },
            busyness: random.random_range(0.6..1.25),
            battery: random.random_bool(0.25).then(|| random.random_range(5..100)),
        };
        Self { name: format!("road-{index:03}"), place: place(north, east), kind, random }
    }

    /// What the device measures at this hour of the day.
    pub fn reading(&mut self, hour: f64) -> Attributes {
        let raining = rain(hour, self.place.east);
        let mut entries: Vec<(&str, Value)> = vec![
            ("origin", "generated".into()),
            ("hour", decimal(hour, 2)),
            ("district", self.place.district.into()),
            ("location", self.place.point.into()),
        ];
        match &self.kind {
            Kind::Road { road, direction, busyness, battery } => {
                let noise = self.random.random_range(-0.08..0.08);
                let density = (demand(hour, *direction) * busyness + noise).clamp(0.02, 0.97);
                let incident = self.random.random_bool(0.002);
                let wet = if raining > 0.5 { 0.82 } else { 1.0 };
                #[expect(clippy::cast_precision_loss, reason = "speed limits are small")]
                let free = road.limit as f64 * 1.18 * wet;
                let speed = if incident { self.random.random_range(1.0..8.0) } else { free * (1.0 - density) };
                #[expect(clippy::cast_precision_loss, reason = "a road has a handful of lanes")]
                let lanes = road.lanes as f64;
                // At most 140 vehicles a kilometre and lane.
                let flow = speed * density * 140.0 * lanes;
                entries.extend([
                    ("type", "road".into()),
                    ("road", road.name.into()),
                    ("direction", if *direction == Direction::In { "in" } else { "out" }.into()),
                    ("lanes", Value::Integer(road.lanes)),
                    ("limit", Value::Integer(road.limit)),
                    ("speed", decimal(speed, 1)),
                    ("occupancy", decimal(density * 100.0, 1)),
                    ("flow", Value::Integer(whole(flow))),
                ]);
                if incident {
                    entries.push(("incident", Value::Bool(true)));
                }
                if let Some(battery) = battery {
                    entries.push(("sensor.battery", Value::Integer(*battery)));
                }
            }
            Kind::Station { warmth } => {
                let mut noise = |width: f64| self.random.random_range(-width..width);
                // Coldest at 6, warmest at 15.
                let swing = ((hour - 15.0) / 24.0 * std::f64::consts::TAU).cos();
                let temperature = 6.5 + 7.0 * swing + warmth - raining * 0.4 + noise(0.3);
                let humidity = (62.0 - 22.0 * swing + raining * 6.0 + noise(3.0)).clamp(20.0, 100.0);
                let wind = (9.0 + 14.0 * bell(hour, 17.0, 2.5) + noise(3.0)).max(0.0);
                let traffic = demand(hour, Direction::In).max(demand(hour, Direction::Out));
                let washed = if raining > 0.5 { 0.6 } else { 1.0 };
                let gusts = 1.3 + noise(0.2).abs();
                let dioxide = (25.0 + 190.0 * traffic + noise(15.0)).max(2.0) * washed;
                let dust = (6.0 + 28.0 * traffic + noise(4.0)).max(1.0) * washed;
                entries.extend([
                    ("type", "weather".into()),
                    ("temperature", decimal(temperature, 1)),
                    ("humidity", decimal(humidity, 0)),
                    ("rain", decimal(raining, 1)),
                    ("wind.speed", decimal(wind, 1)),
                    ("wind.gust", decimal(wind * gusts, 1)),
                    ("air.no2", decimal(dioxide, 0)),
                    ("air.pm25", decimal(dust, 1)),
                ]);
            }
        }
        entries.into_iter().collect()
    }
}

/// How full the roads are at an hour, 0 to 1.
fn demand(hour: f64, direction: Direction) -> f64 {
    let (morning, evening) = match direction {
        Direction::In => (0.72, 0.38),
        Direction::Out => (0.34, 0.70),
    };
    let daytime = 0.22 * (bell(hour, 13.5, 6.0));
    0.06 + daytime + morning * bell(hour, 8.2, 1.1) + evening * bell(hour, 18.6, 1.5)
}

/// Millimetres an hour, this far east of the centre: a shower that takes two hours to cross the city.
fn rain(hour: f64, east_km: f64) -> f64 {
    let arrives = 16.0 + (east_km + 10.0) / 10.0;
    let amount = 6.0 * bell(hour, arrives + 0.75, 0.5);
    if amount < 0.2 { 0.0 } else { amount }
}

/// 1 at `middle`, about 0.6 at `width` from it.
fn bell(hour: f64, middle: f64, width: f64) -> f64 {
    let distance = (hour - middle) / width;
    (-0.5 * distance * distance).exp()
}

/// Kilometres north and east.
fn polar(bearing_degrees: f64, distance_km: f64) -> (f64, f64) {
    let bearing = bearing_degrees.to_radians();
    (distance_km * bearing.cos(), distance_km * bearing.sin())
}

fn place(north: f64, east: f64) -> Place {
    let distance = north.hypot(east);
    let sector = usize::try_from(whole(east.atan2(north).to_degrees().rem_euclid(360.0) / 45.0)).unwrap_or(0) % 8;
    let district = match distance {
        close if close < 1.5 => "Centro",
        inside if inside <= 3.5 => INNER[sector],
        _ => OUTER[sector],
    };
    Place { point: point(north, east), east, district }
}

/// To so many digits after the point.
fn decimal(number: f64, digits: i32) -> Value {
    let scale = 10_f64.powi(digits);
    Value::Float((number * scale).round() / scale)
}

/// To the nearest whole number.
fn whole(number: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "the city's numbers are small")]
    let whole = number.round() as i64;
    whole
}

#[cfg(test)]
mod tests {
    //! Claims about the city.

    use super::*;

    fn speeds(devices: &mut [Device], hour: f64) -> f64 {
        let speeds: Vec<f64> = devices
            .iter_mut()
            .filter_map(|device| match device.reading(hour).get("speed") {
                Some(Value::Float(speed)) => Some(*speed),
                _ => None,
            })
            .collect();
        speeds.iter().sum::<f64>() / f64::from(u32::try_from(speeds.len()).expect("few"))
    }

    #[test]
    fn the_same_seed_gives_the_same_city_and_another_seed_another() {
        let day = |seed: u64, count: usize| -> Vec<String> {
            let mut devices = devices(seed, count);
            (0_u8..20)
                .flat_map(|step| {
                    let hour = hour(f64::from(step) / 20.0);
                    devices
                        .iter_mut()
                        .map(|device| (device.reading(hour), &device.name))
                        .map(|reading| format!("{reading:?}"))
                        .collect::<Vec<_>>()
                })
                .collect()
        };
        assert_eq!(day(1, 30), day(1, 30));
        assert_ne!(day(1, 30), day(2, 30));
    }

    #[test]
    fn rush_hours_are_slow_and_the_night_is_fast() {
        let mut devices = devices(7, 300);
        let (night, morning, noon, evening) = (
            speeds(&mut devices, 5.0),
            speeds(&mut devices, 8.2),
            speeds(&mut devices, 12.0),
            speeds(&mut devices, 18.6),
        );
        assert!(morning < 0.75 * noon && evening < 0.75 * noon && noon < night, "{night} {morning} {noon} {evening}");
    }

    #[test]
    fn it_freezes_before_sunrise_and_rains_in_the_afternoon() {
        let mut devices = devices(7, 300);
        let mut any = |name: &str, hour: f64, holds: fn(f64) -> bool| {
            devices.iter_mut().any(|device| match device.reading(hour).get(name) {
                Some(Value::Float(number)) => holds(*number),
                _ => false,
            })
        };
        assert!(any("temperature", 6.0, |degrees| degrees < 1.0));
        assert!(any("rain", 17.0, |amount| amount > 2.0));
        assert!(!any("rain", 10.0, |amount| amount > 0.0));
    }
}
