//! What is published and what is subscribed to: few names and few values, so that filters are true and false often, and
//! filters over contexts change their mind when the context does.

use std::sync::Arc;

use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, FilterLimits};
use gomera_model::value::Value;

use crate::random::Random;
use crate::subscriptions::Declaration;

const KINDS: [&str; 3] = ["road", "rain", "tram"];
const ZONES: [&str; 4] = ["z0", "z1", "z2", "y9"];

/// The attributes of a publication, without system attributes.
#[must_use]
pub fn attributes(random: &mut Random) -> Attributes {
    let mut entries: Vec<(&str, Value)> = Vec::new();
    entries.push(("kind", Value::string(*random.pick(&KINDS))));
    let n = i64::try_from(random.below(10)).expect("below 10");
    entries.push((
        "n",
        if random.chance(200) {
            Value::Float(f64::from(i32::try_from(n).expect("below 10")))
        } else {
            Value::Integer(n)
        },
    ));
    if random.chance(850) {
        entries.push(("zone", Value::string(*random.pick(&ZONES))));
    }
    if random.chance(300) {
        entries.push(("hot", Value::Bool(random.chance(500))));
    }
    if random.chance(400) {
        entries.push(("env.co2", Value::Float(f64::from(u32::try_from(random.between(300, 900)).expect("small")))));
    }
    entries.into_iter().collect()
}

/// What filters see beside them.
#[must_use]
pub fn with_system(attributes: &Attributes, publisher: &str) -> Attributes {
    attributes
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .chain([(Arc::from("gomera.publisher"), Value::string(publisher))])
        .collect()
}

/// A subscriber's context.
#[must_use]
pub fn context(random: &mut Random) -> Attributes {
    let mut entries: Vec<(&str, Value)> = Vec::new();
    if random.chance(900) {
        entries.push(("zone", Value::string(*random.pick(&ZONES))));
    }
    if random.chance(900) {
        entries.push(("limit", Value::Integer(i64::try_from(random.below(10)).expect("below 10"))));
    }
    entries.into_iter().collect()
}

/// A filter.
#[must_use]
pub fn declaration(random: &mut Random) -> Arc<Declaration> {
    let kind = *random.pick(&KINDS);
    let zone = *random.pick(&ZONES);
    let (low, high) = (random.below(7), random.between(3, 9));
    let text = match random.below(16) {
        0 => "n < 100".to_owned(),
        1 => format!("kind = '{kind}' AND n < {high}"),
        2 => format!("n BETWEEN {low} AND {high}"),
        3 => format!("n >= {low} AND n < {high} AND zone = '{zone}'"),
        4 | 5 => "zone = $zone".to_owned(),
        6 => format!("n < $limit AND kind = '{kind}'"),
        7 => format!("kind <> '{kind}' OR n IN ({low}, {high})"),
        8 => "hot = TRUE OR env.co2 > 600".to_owned(),
        9 => "zone LIKE 'z%' AND n > $limit".to_owned(),
        10 => format!("NOT (kind = '{kind}')"),
        11 => format!("gomera.publisher = 'p{}'", random.below(3)),
        12 => format!("n = {low}"),
        13 => format!("zone IS NULL OR n * 2 >= {high}"),
        14 => format!("zone = '{zone}' AND kind = '{kind}'"),
        _ => format!("n + 1 > {low}"),
    };
    declare(&text)
}

/// The filter of a text.
///
/// # Panics
/// If it does not parse: texts here are ours.
#[must_use]
pub fn declare(text: &str) -> Arc<Declaration> {
    let filter = Filter::parse(text, &FilterLimits::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
    Arc::new(Declaration { text: Arc::from(text), filter })
}
