//! Random schemas and what they hold: a few names or many, each with a type that it mostly has, values from small pools that
//! constants share, so that filters meet publications; extremes, empty and Unicode strings, wrong types and gaps among them.

use std::sync::Arc;

use gomera_model::attributes::Attributes;
use gomera_model::geo::GeoPoint;
use gomera_model::timestamp::Timestamp;
use gomera_model::value::Value;

use super::choices::Choices;

/// The type that an attribute mostly has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Float,
    Text,
    Flag,
    Time,
    Place,
    Array,
}

/// An attribute.
#[derive(Clone, Debug)]
pub struct Attribute {
    pub name: Arc<str>,
    pub kind: Kind,
    /// How often of a hundred a publication carries it.
    present: usize,
}

/// The attributes of one tenant's publications.
#[derive(Clone, Debug)]
pub struct Schema {
    pub attributes: Vec<Attribute>,
    /// How often of a hundred a value is of another type.
    mixed: usize,
    /// How many times more values there are than the few that make equalities frequent.
    pub spread: usize,
}

const NAMES: [&str; 12] =
    ["a", "b", "n", "s", "env.co2", "größe", "温度", "co2-ppm", "a.b.0.c", "in", "gomera.time", "A"];

/// Midnight of the first of January 2024.
const MIDNIGHT: i64 = 1_704_067_200_000_000;

impl Schema {
    pub fn new(choices: &mut impl Choices) -> Self {
        let count = if choices.percent(70) { 2 + choices.below(6) } else { 20 + choices.below(40) };
        let present = choices.pick(&[&100, &95, &80, &50]);
        let kinds = [Kind::Integer, Kind::Float, Kind::Text, Kind::Flag, Kind::Time, Kind::Place, Kind::Array];
        let attributes = (0..count).map(|index| {
            let name = NAMES.get(index).map_or_else(|| format!("x{index}"), |&name| name.to_owned());
            // Each type comes up, numbers and texts most.
            let kind = match choices.below(10) {
                0..=2 => Kind::Integer,
                3 => Kind::Float,
                4 | 5 => Kind::Text,
                _ => kinds[choices.below(kinds.len())],
            };
            Attribute { name: name.into(), kind, present: *present }
        });
        let attributes = attributes.collect();
        Self { attributes, mixed: *choices.pick(&[&0, &3, &20]), spread: *choices.pick(&[&1, &1, &10, &300]) }
    }

    /// What a publisher sends.
    pub fn publication(&self, choices: &mut impl Choices) -> Attributes {
        let mut entries = Vec::new();
        for attribute in &self.attributes {
            if choices.percent(attribute.present) {
                let is_mixed = choices.percent(self.mixed);
                let value =
                    if is_mixed { any(self.spread, choices) } else { value(attribute.kind, self.spread, choices) };
                entries.push((attribute.name.clone(), value));
            }
        }
        if choices.percent(5) {
            entries.push(("nobody asks".into(), any(self.spread, choices)));
        }
        entries.into_iter().collect()
    }

    /// What a subscriber says of itself.
    pub fn context(&self, choices: &mut impl Choices) -> Attributes {
        let kinds =
            [("n", Kind::Integer), ("f", Kind::Float), ("s", Kind::Text), ("p", Kind::Place), ("l", Kind::Array)];
        let mut entries = Vec::new();
        for (name, kind) in kinds {
            if choices.percent(80) {
                let value =
                    if choices.percent(5) { any(self.spread, choices) } else { value(kind, self.spread, choices) };
                entries.push((name, value));
            }
        }
        entries.into_iter().collect()
    }
}

/// Of any type, arrays and what no constant can be included.
pub fn any(spread: usize, choices: &mut impl Choices) -> Value {
    let kinds = [Kind::Integer, Kind::Float, Kind::Text, Kind::Flag, Kind::Time, Kind::Place, Kind::Array];
    let kind = kinds[choices.below(kinds.len())];
    value(kind, spread, choices)
}

/// Of this type, from its pool.
pub fn value(kind: Kind, spread: usize, choices: &mut impl Choices) -> Value {
    match kind {
        Kind::Integer => match choices.below(24) {
            0 => Value::Integer(*choices.pick(&[&i64::MIN, &i64::MAX, &(i64::MAX - 1), &((1 << 53) + 1), &(1 << 53)])),
            // Numbers that a float or an integer of 32 bits does not tell apart.
            1 => Value::Integer((1 << 53) + i64::try_from(choices.below(4)).expect("small")),
            _ => Value::Integer(small(spread, choices)),
        },
        Kind::Float => match choices.below(24) {
            0 => Value::Float(f64::NAN),
            1 => Value::Float(*choices.pick(&[
                &f64::INFINITY,
                &f64::NEG_INFINITY,
                &-0.0,
                &f64::MAX,
                &5e-324,
                &9_223_372_036_854_775_808.0,
                &9_007_199_254_740_992.0,
            ])),
            2..=9 => Value::Float(f64::from(i32::try_from(small(spread, choices)).expect("small"))),
            _ => Value::Float(f64::from(i32::try_from(small(spread, choices)).expect("small")) + 0.5),
        },
        Kind::Text => Value::from(text(spread, choices)),
        Kind::Flag => Value::from(choices.percent(50)),
        Kind::Time => match choices.below(8) {
            // As it stands in JSON.
            0 => Value::from(choices.pick(&["2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00"])),
            _ => Value::Timestamp(Timestamp(MIDNIGHT + small(spread, choices) * 3_600_000_000)),
        },
        Kind::Place => Value::GeoPoint(place(choices)),
        Kind::Array => {
            let kind = if choices.percent(50) { Kind::Integer } else { Kind::Text };
            let count = choices.below(5);
            let elements = (0..count).map(|_| value(kind, spread, choices)).collect::<Vec<_>>();
            Value::array(elements).expect("scalars")
        }
    }
}

pub fn small(spread: usize, choices: &mut impl Choices) -> i64 {
    i64::try_from(choices.below(10 * spread)).expect("small") - 2 * i64::try_from(spread).expect("small")
}

pub fn text(spread: usize, choices: &mut impl Choices) -> String {
    if spread > 1 && choices.percent(50) {
        return format!("urn:ngsi:z:{}", choices.below(10 * spread));
    }
    let texts = [
        "",
        "a",
        "b",
        "ab",
        "aba",
        "abab",
        "urn:ngsi:x:1",
        "urn:ngsi:x:12",
        "urn:ngsi:y:1",
        "10%",
        "x_y",
        "ä",
        "äöü",
        "日本",
        "2024-01-01T00:00:00Z",
        "5",
    ];
    choices.pick(&texts).to_owned()
}

pub fn place(choices: &mut impl Choices) -> GeoPoint {
    let latitude = choices.pick(&[&-90.0, &-1.0, &0.0, &0.5, &1.0, &2.0, &90.0]);
    let longitude = choices.pick(&[&-180.0, &-179.5, &-1.0, &0.0, &0.5, &1.0, &2.0, &179.0, &180.0]);
    GeoPoint::new(*latitude, *longitude).expect("a place")
}
