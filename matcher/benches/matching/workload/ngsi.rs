//! Workload F: context as NGSI brokers hold it. Forty entity types, of ten cities each, with twelve measurements of thirty;
//! publications carry id, type, date, place and one to eleven measurements. A filter asks for a type, a prefix of the id down to
//! the city or a little further, one to three measurements in ranges, and a quarter of them for a circle.

use gomera_model::attributes::Attributes;
use gomera_model::geo::GeoPoint;
use gomera_model::timestamp::Timestamp;
use gomera_model::value::Value;

use super::Kind;
use crate::random::Random;
use crate::spec::{Spec, Test};

const TYPES: usize = 40;
const CITIES: [&str; 10] =
    ["santander", "madrid", "porto", "lyon", "ghent", "turin", "aarhus", "graz", "brno", "vilnius"];
const MEASUREMENTS: usize = 30;
const MEASUREMENTS_OF_TYPE: usize = 12;

fn type_name(index: usize) -> String {
    format!("EntityType{index}")
}

fn measurement(of_type: usize, index: usize) -> String {
    format!("measurement{}", (of_type * 7 + index) % MEASUREMENTS)
}

/// A place in a square of about 20 km around a city.
fn place(random: &mut Random, city: usize) -> (f64, f64) {
    let step = u32::try_from(city).expect("of ten");
    let (latitude, longitude) = (38.0 + 2.0 * f64::from(step), -8.0 + 3.0 * f64::from(step));
    let near = |random: &mut Random| ((random.unit() - 0.5) * 2_000.0).round() / 10_000.0;
    (latitude + near(random), longitude + near(random))
}

pub fn schema() -> Vec<(String, Kind)> {
    let named = [("id", Kind::String), ("type", Kind::String), ("location", Kind::Place)];
    let named = named.into_iter().map(|(name, kind)| (name.to_owned(), kind));
    named.chain((0..MEASUREMENTS).map(|index| (format!("measurement{index}"), Kind::Float))).collect()
}

pub fn subscription(random: &mut Random) -> Spec {
    let (of_type, city) = (random.below(TYPES), random.below(CITIES.len()));
    let name = type_name(of_type);
    let mut prefix = format!("urn:ngsi-ld:{name}:{}:", CITIES[city]);
    if random.percent(20) {
        prefix.push_str(&random.below(10).to_string());
    }
    let mut parts = vec![
        Spec::Test(Test::Equal { attribute: "type".to_owned(), text: name }),
        Spec::Test(Test::Prefix { attribute: "id".to_owned(), prefix }),
    ];
    let count = 1 + random.below(3);
    for index in random.distinct(count, MEASUREMENTS_OF_TYPE) {
        let low = (random.unit() * 700.0).floor() / 10.0;
        let high = if random.percent(50) { low + 30.0 } else { f64::INFINITY };
        let low = if high.is_finite() { low } else { 70.0 + low / 7.0 };
        parts.push(Spec::Test(Test::Range {
            attribute: measurement(of_type, index),
            low: round(low),
            high: round(high),
        }));
    }
    if random.percent(25) {
        let (latitude, longitude) = place(random, city);
        let metres = 2_000.0 + (random.unit() * 8_000.0).floor();
        parts.push(Spec::Test(Test::Circle { attribute: "location".to_owned(), latitude, longitude, metres }));
    }
    Spec::And(parts)
}

/// Between two tenths: written with a fraction always, since a-tree tells `12` from `12.0`.
fn round(number: f64) -> f64 {
    ((number * 10.0).floor() * 10.0 + 5.0) / 100.0
}

pub fn publication(random: &mut Random) -> Attributes {
    let (of_type, city) = (random.below(TYPES), random.below(CITIES.len()));
    let name = type_name(of_type);
    let (latitude, longitude) = place(random, city);
    let location = GeoPoint::new(latitude, longitude).expect("in Europe");
    let seconds = i64::try_from(random.below(1_000_000)).expect("small");
    let mut entries = vec![
        ("id".to_owned(), Value::from(format!("urn:ngsi-ld:{name}:{}:{}", CITIES[city], random.below(1000)))),
        ("type".to_owned(), Value::from(name)),
        ("location".to_owned(), Value::from(location)),
        ("dateObserved".to_owned(), Value::from(Timestamp(1_700_000_000_000_000 + seconds * 1_000_000))),
    ];
    let count = 1 + random.below(11);
    for index in random.distinct(count, MEASUREMENTS_OF_TYPE) {
        let value = (random.unit() * 1_000.0).floor() / 10.0;
        entries.push((measurement(of_type, index), Value::from(value)));
    }
    entries.into_iter().collect()
}
