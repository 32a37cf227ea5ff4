//! Properties of flattening, against a plain recursive definition over a parsed tree.

use gomera_model::{Attributes, FlattenLimits, GeoPoint, Value, attributes_from_json};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value as Json;

fn json() -> BoxedStrategy<Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "[a-z\\PC]{0,4}".prop_map(Json::from),
        Just(Json::from("Point")),
        (-100.0..100.0, -200.0..200.0).prop_map(|(latitude, longitude)| {
            serde_json::json!({"type": "Point", "coordinates": [longitude, latitude]})
        }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop_oneof!["[a-c]", "\\PC{1,3}", Just("type".to_owned()), Just("coordinates".to_owned())];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::from),
            btree_map(name, inner, 0..4).prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
    .boxed()
}

/// What a value is by itself: a value, or nothing because it is absent or has members of its own.
fn single(json: &Json) -> Option<Value> {
    match json {
        Json::Null => None,
        Json::Bool(value) => Some(Value::Bool(*value)),
        Json::Number(number) => {
            Some(number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap()), Value::Integer))
        }
        Json::String(text) => Some(Value::from(text.as_str())),
        Json::Array(elements) => {
            let scalars: Option<Vec<Value>> = elements
                .iter()
                .filter(|element| !element.is_null())
                .map(|element| single(element).filter(|value| !matches!(value, Value::Array(_))))
                .collect();
            scalars.map(|scalars| Value::array(scalars).unwrap())
        }
        Json::Object(members) => {
            let coordinates = members.get("coordinates")?.as_array()?;
            let is_point = members.len() == 2
                && members.get("type") == Some(&Json::from("Point"))
                && (2..=3).contains(&coordinates.len())
                && coordinates.iter().all(Json::is_number);
            if !is_point {
                return None;
            }
            GeoPoint::new(coordinates[1].as_f64()?, coordinates[0].as_f64()?).ok().map(Value::GeoPoint)
        }
    }
}

fn collect(path: &str, json: &Json, into: &mut Vec<(String, Value)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (single(json), json) {
        (Some(value), _) => into.push((if path.is_empty() { "value".to_owned() } else { path.to_owned() }, value)),
        (None, Json::Array(elements)) => {
            let path = if path.is_empty() { "value" } else { path };
            for (index, element) in elements.iter().enumerate() {
                collect(&format!("{path}.{index}"), element, into);
            }
        }
        (None, Json::Object(members)) => {
            for (name, member) in members {
                collect(&below(name), member, into);
            }
        }
        (None, _) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flattening_follows_its_definition(json in json()) {
        let text = serde_json::to_string(&json).unwrap();
        let mut expected = Vec::new();
        collect("", &json, &mut expected);
        let names: std::collections::BTreeSet<_> = expected.iter().map(|(name, _)| name.clone()).collect();
        // Paths that collide depend on the order of the text; unit tests say what wins.
        prop_assume!(names.len() == expected.len());
        let expected: Attributes = expected.into_iter().collect();
        let found = attributes_from_json(text.as_bytes(), &FlattenLimits::default());
        prop_assert_eq!(found.as_ref(), Ok(&expected), "{}", text);
    }

    #[test]
    fn no_bytes_make_flattening_panic(
        bytes in prop_oneof![vec(any::<u8>(), 0..64), "[\\[\\]{}:,\"a1.e-]{0,60}".prop_map(String::into_bytes)]
    ) {
        match attributes_from_json(&bytes, &FlattenLimits::default()) {
            Ok(attributes) => prop_assert!(serde_json::from_slice::<Json>(&bytes).is_ok(), "{:?}", attributes),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
