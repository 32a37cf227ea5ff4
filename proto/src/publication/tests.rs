//! Claims about reading publications.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn limits() -> PublicationLimits {
    PublicationLimits::default()
}

fn wire_value() -> impl Strategy<Value = v1::Value> {
    use v1::value::Value as Wire;
    let scalar = prop_oneof![
        any::<bool>().prop_map(Wire::Boolean),
        any::<i64>().prop_map(Wire::Integer),
        any::<f64>().prop_map(Wire::Float),
        ".{0,12}".prop_map(Wire::String),
        (-1000_i64..4_000_000_000, 0_i32..1_000_000_000)
            .prop_map(|(seconds, nanos)| Wire::Timestamp(prost_types::Timestamp { seconds, nanos })),
        (-90.0..90.0, -180.0..180.0)
            .prop_map(|(latitude, longitude)| Wire::GeoPoint(v1::GeoPoint { latitude, longitude })),
    ]
    .prop_map(|value| v1::Value { value: Some(value) });
    prop_oneof![
        4 => scalar.clone(),
        1 => prop::collection::vec(scalar, 0..5)
            .prop_map(|values| v1::Value { value: Some(Wire::Array(v1::Array { values })) }),
    ]
}

fn wire_publication() -> impl Strategy<Value = v1::Publication> {
    (
        ".{0,8}",
        prop::collection::btree_map("[a-z]{1,8}(\\.[a-z]{1,4})?", wire_value(), 1..6),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::option::of((0_i64..4_000_000_000, 0_i32..1_000_000_000)),
        prop::option::of((1_i64..100_000, 0_i32..1_000_000_000)),
    )
        .prop_map(|(id, attributes, payload, time, expires)| v1::Publication {
            id,
            attributes,
            payload: payload.into(),
            content_type: "application/octet-stream".to_owned(),
            time: time.map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos }),
            expires_after: expires.map(|(seconds, nanos)| prost_types::Duration { seconds, nanos }),
        })
}

proptest! {
    #[test]
    fn what_prost_writes_is_read_as_the_conversion_of_values_has_it(wire in wire_publication()) {
        let content = Bytes::from(wire.encode_to_vec());
        let read = read_publication(&content, &limits()).expect("a valid publication");
        let expected = value::attributes(wire.attributes.clone(), limits().attributes).expect("valid attributes");
        prop_assert_eq!(&read.attributes, &expected);
        prop_assert_eq!(read.id.as_deref().unwrap_or(""), &wire.id);
        prop_assert_eq!(&read.payload, &wire.payload);
        prop_assert_eq!(read.time, wire.time.map(|time| value::timestamp(&time).expect("in range")));
        prop_assert_eq!(read.expires_after, wire.expires_after.map(|after| value::duration(&after).expect("in range")));
        let again = encode_publication(&read);
        prop_assert_eq!(read_publication(&again, &limits()).expect("what we write"), read);
    }

    #[test]
    fn what_prost_makes_of_arbitrary_bytes_is_read(content in prop::collection::vec(any::<u8>(), 0..64)) {
        // prost takes some bytes that protobuf does not allow; what it writes is always right.
        if let Ok(wire) = v1::Publication::decode(content.as_slice()) {
            let read = decode_publication(&wire.encode_to_vec(), &limits());
            prop_assert!(!matches!(read, Err(DecodeError::Malformed(_))), "{:?}", read);
        }
        // Whatever it is, it ends.
        drop(decode_publication(&content, &limits()));
    }

    #[test]
    fn a_cut_publication_is_refused_or_is_a_shorter_one(wire in wire_publication(), keep in 0.0..1.0_f64) {
        let content = wire.encode_to_vec();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a length")]
        let cut = &content[..(content.len() as f64 * keep) as usize];
        prop_assert_eq!(
            matches!(decode_publication(cut, &limits()), Err(DecodeError::Malformed(_))),
            v1::Publication::decode(cut).is_err()
        );
    }
}

fn with_attribute(name: &str, value: Option<v1::value::Value>) -> Vec<u8> {
    let attributes = BTreeMap::from([(name.to_owned(), v1::Value { value })]);
    v1::Publication { attributes, ..v1::Publication::default() }.encode_to_vec()
}

#[test]
fn errors_name_the_attribute_and_what_would_be_right() {
    use v1::value::Value as Wire;
    let nested = Wire::Array(v1::Array {
        values: vec![v1::Value { value: Some(Wire::Array(v1::Array { values: Vec::new() })) }],
    });
    let long = v1::Publication { id: "x".repeat(300), ..v1::Publication::default() }.encode_to_vec();
    let at_once =
        v1::Publication { expires_after: Some(prost_types::Duration::default()), ..v1::Publication::default() };
    let cases = [
        (with_attribute("a", None), "attribute `a` has no value, must have one of boolean"),
        (with_attribute("gomera.time", Some(Wire::Integer(1))), "`gomera.time` is reserved"),
        (with_attribute("", Some(Wire::Integer(1))), "name is empty"),
        (with_attribute("a", Some(nested)), "attribute `a` array element 0 is itself an array"),
        (with_attribute("a", Some(Wire::GeoPoint(v1::GeoPoint { latitude: 200.0, longitude: 0.0 }))), "latitude 200"),
        (long, "publication id has 300 bytes; the cap is publication.id_bytes_max = 256"),
        (at_once.encode_to_vec(), "expires_after is zero"),
        (vec![0x0a, 0x05, b'a'], "it ends within field 1"),
        (vec![0x0a, 0x01, 0xff], "field 1 is not UTF-8"),
        (vec![0x08, 0x01], "field 1 has another wire type than length-delimited"),
    ];
    for (content, expected) in cases {
        let error = decode_publication(&content, &limits()).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn unknown_fields_are_passed_over() {
    let mut content = with_attribute("a", Some(v1::value::Value::Integer(-7)));
    // Field 100: a varint, a string, and a group with a field inside.
    content.extend([0xa0, 0x06, 0x01, 0xa2, 0x06, 0x01, b'x', 0xa3, 0x06, 0x08, 0x01, 0xa4, 0x06]);
    let decoded = decode_publication(&content, &limits()).expect("unknown fields do no harm");
    assert_eq!(decoded.attributes.get("a"), Some(&Value::Integer(-7)));
}

#[test]
fn a_json_payload_becomes_attributes_unless_there_are_some() {
    let json = |content_type: &str, payload: &'static [u8], attributes: bool| {
        let attributes = if attributes {
            BTreeMap::from([("given".to_owned(), value::to_value(&Value::Bool(true)))])
        } else {
            BTreeMap::new()
        };
        let wire = v1::Publication {
            payload: Bytes::from_static(payload),
            content_type: content_type.to_owned(),
            attributes,
            ..v1::Publication::default()
        };
        decode_publication(&wire.encode_to_vec(), &limits()).map(|decoded| decoded.attributes)
    };
    let object = br#"{"env":{"co2":{"ppm":612}}}"#;
    for content_type in ["", "application/json", "application/JSON; charset=utf-8", "application/ld+json"] {
        let attributes = json(content_type, object, false).expect("JSON");
        assert_eq!(attributes.get("env.co2.ppm"), Some(&Value::Integer(612)), "{content_type}");
    }
    assert!(json("text/plain", object, false).expect("opaque").is_empty());
    assert_eq!(json("", object, true).expect("attributes").get("env.co2.ppm"), None);
    assert!(json("", b"\x00\x01", false).expect("opaque").is_empty());
    let error = json("application/json", b"{\"a\":", false).expect_err("not JSON").to_string();
    assert!(error.contains("not JSON at line 1"), "{error}");
    let error = json("", br#"{"gomera":{"time":1}}"#, false).expect_err("reserved").to_string();
    assert!(error.contains("reserved"), "{error}");
}
