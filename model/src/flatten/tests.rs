//! Claims about flattening.

use super::*;
use crate::geo::GeoPoint;

fn flat(json: &str) -> Attributes {
    attributes_from_json(json.as_bytes(), &FlattenLimits::default()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn error(json: &str) -> FlattenError {
    attributes_from_json(json.as_bytes(), &FlattenLimits::default()).expect_err(json)
}

/// Attributes as `name=value` in order, values as literals.
fn shown(json: &str) -> String {
    let entries: Vec<String> = flat(json).iter().map(|(name, value)| format!("{name}={value}")).collect();
    entries.join(" ")
}

#[test]
fn json_becomes_typed_attributes_by_path() {
    for (json, expected) in [
        ("{}", ""),
        (r#"{"a":1,"b":1.0,"c":"x","d":true,"e":null}"#, "a=1 b=1.0 c='x' d=TRUE"),
        (r#"{"env":{"co2":{"ppm":612}},"id":"s1"}"#, "env.co2.ppm=612 id='s1'"),
        (r#"{"a":[1,"x",null,true]}"#, "a=[1, 'x', TRUE]"),
        (r#"{"a":[]}"#, "a=[]"),
        (r#"{"a":[{"b":1},{"b":2}]}"#, "a.0.b=1 a.1.b=2"),
        (r#"{"a":[1,{"b":2},3,null,[4,5]]}"#, "a.0=1 a.1.b=2 a.2=3 a.4=[4, 5]"),
        (r#"{"a":[[1],[2]]}"#, "a.0=[1] a.1=[2]"),
        (r#"{"a":{},"b":[{}]}"#, ""),
        (r#"{"t":"2024-05-17T08:30:00Z"}"#, "t='2024-05-17T08:30:00Z'"),
        (
            r#"{"a":9223372036854775807,"b":9223372036854775808,"c":-9223372036854775809}"#,
            "a=9223372036854775807 b=9.223372036854776e18 c=-9.223372036854776e18",
        ),
        (r#"{"a":123456789012345678901234567890}"#, "a=1.2345678901234568e29"),
        (r#"{"a":-0.0,"b":1e2}"#, "a=-0.0 b=100.0"),
        (r#"{"ä \"b\"":1}"#, "ä \"b\"=1"),
    ] {
        assert_eq!(shown(json), expected, "{json}");
    }
}

#[test]
fn a_geojson_point_becomes_a_geo_point_and_nothing_else_does() {
    let place = |latitude: f64, longitude: f64| Value::GeoPoint(GeoPoint::new(latitude, longitude).expect("a place"));
    let at = |json: &str, name: &str| flat(json).get(name).cloned();
    assert_eq!(at(r#"{"loc":{"type":"Point","coordinates":[-3.8,43]}}"#, "loc"), Some(place(43.0, -3.8)));
    assert_eq!(at(r#"{"loc":{"coordinates":[-3.8,43.4,12],"type":"Point"}}"#, "loc"), Some(place(43.4, -3.8)));
    assert_eq!(
        at(r#"{"location":{"type":"geo:json","value":{"type":"Point","coordinates":[1,2]}}}"#, "location.value"),
        Some(place(2.0, 1.0))
    );
    let route = at(r#"{"r":[{"type":"Point","coordinates":[1,2]},{"type":"Point","coordinates":[3,4]}]}"#, "r");
    assert_eq!(route, Some(Value::array(vec![place(2.0, 1.0), place(4.0, 3.0)]).expect("scalars")));
    for (json, expected) in [
        (r#"{"l":{"type":"Point","coordinates":[1,91]}}"#, "l.coordinates=[1, 91] l.type='Point'"),
        (r#"{"l":{"type":"Point","coordinates":[1]}}"#, "l.coordinates=[1] l.type='Point'"),
        (r#"{"l":{"type":"Point","coordinates":["1","2"]}}"#, "l.coordinates=['1', '2'] l.type='Point'"),
        (r#"{"l":{"type":"LineString","coordinates":[1,2]}}"#, "l.coordinates=[1, 2] l.type='LineString'"),
        (r#"{"l":{"type":"Point","coordinates":[1,2],"x":null}}"#, "l.coordinates=[1, 2] l.type='Point'"),
        (r#"{"l":{"type":"Point","coordinates":[1,2],"x":1}}"#, "l.coordinates=[1, 2] l.type='Point' l.x=1"),
        (r#"{"l":{"lat":1,"lon":2}}"#, "l.lat=1 l.lon=2"),
        (r#"{"l":{"type":"Point","coordinates":[1,null,2]}}"#, "l.coordinates=[1, 2] l.type='Point'"),
        (r#"{"l":{"type":"Point","coordinates":[null,null]}}"#, "l.coordinates=[] l.type='Point'"),
        (r#"{".type":"Point",".coordinates":[1,2]}"#, ".coordinates=[1, 2] .type='Point'"),
    ] {
        assert_eq!(shown(json), expected, "{json}");
    }
}

#[test]
fn of_members_given_twice_the_last_wins_wholly() {
    for (json, expected) in [
        (r#"{"a":1,"a":2}"#, "a=2"),
        (r#"{"a":1,"a":null}"#, ""),
        (r#"{"a":{"x":1,"y":1},"ab":1,"a":{"y":2}}"#, "a.y=2 ab=1"),
        (r#"{"a":{"x":1},"a":3,"a":{"z":1}}"#, "a.z=1"),
        (r#"{"o":{"a":1},"p":{"a":1,"a":[2]}}"#, "o.a=1 p.a=[2]"),
        (r#"{"a.b":1,"a":{"b":2}}"#, "a.b=2"),
        (r#"{"l":{"type":"x","type":"Point","coordinates":[1,2]}}"#, "l=POINT(2.0, 1.0)"),
    ] {
        assert_eq!(shown(json), expected, "{json}");
    }
    let many: Vec<String> = (0..100).map(|index| format!("\"k{index}\":1")).collect();
    let json = format!("{{{},\"k7\":2,\"k50\":3}}", many.join(","));
    let attributes = flat(&json);
    assert_eq!((attributes.len(), attributes.get("k7")), (100, Some(&Value::Integer(2))));
    assert_eq!(attributes.get("k50"), Some(&Value::Integer(3)));
}

#[test]
fn a_top_level_other_than_an_object_is_named_value() {
    for (json, expected) in [
        ("23.5", "value=23.5"),
        ("\"on\"", "value='on'"),
        ("[1,2]", "value=[1, 2]"),
        ("[{\"a\":1}]", "value.0.a=1"),
        ("null", ""),
        (r#"{"type":"Point","coordinates":[1,2]}"#, "value=POINT(2.0, 1.0)"),
    ] {
        assert_eq!(shown(json), expected, "{json}");
    }
}

#[test]
fn an_error_names_the_place_as_a_json_pointer() {
    for (json, message) in [
        ("", "not JSON at line 1, column 0 (within the top level): EOF"),
        ("{\"a\":{\"b\":[1,2,x]}}", "(within /a/b/2): expected value"),
        ("{\"a\":1} 2", "trailing characters"),
        ("{\"a\":{\"b/c~\":[1,{\"d\":tru}]}}", "(within /a/b~1c~0/1/d)"),
        (r#"{"a":{"":1}}"#, "JSON value at /a: an attribute name is empty"),
        (r#"{"gomera":{"time":1}}"#, "JSON value at /gomera/time: attribute name `gomera.time` is reserved"),
        (
            r#"{"gomera.publisher":"x"}"#,
            "JSON value at /gomera.publisher: attribute name `gomera.publisher` is reserved",
        ),
        (r#"{"gomera":[{"x":1}]}"#, "/gomera/0/x: attribute name `gomera.0.x` is reserved"),
    ] {
        let error = error(json).to_string();
        assert!(error.contains(message), "{json}: {error}");
    }
    assert_eq!(shown(r#"{"gomera":1}"#), "gomera=1");
}

#[test]
fn every_cap_is_named_when_exceeded() {
    let attributes = AttributeLimits { count_max: 3, name_bytes_max: 5, value_bytes_max: 4, array_elements_max: 2 };
    let limits = FlattenLimits { bytes_max: 60, depth_max: 3, attributes };
    for (json, message) in [
        (" ".repeat(61), "flatten.bytes_max = 60"),
        (r#"{"a":{"b":{"c":[1]}}}"#.to_owned(), "deeper than 3 at /a/b/c; the cap is flatten.depth_max = 3"),
        (r#"{"a":1,"b":[{"x":1},{"x":1},{"x":1}]}"#.to_owned(), "/b/2/x: more than 3 attributes"),
        (r#"{"a":[1,2,{},3,4]}"#.to_owned(), "/a/4: more than 3 attributes"),
        (r#"{"abc":{"de":1}}"#.to_owned(), "/abc/de: attribute name `abc.de` has 6 bytes"),
        (r#"{"a":"12345"}"#.to_owned(), "/a: attribute `a` has 5 bytes of text"),
        (r#"{"a":["123","45"]}"#.to_owned(), "/a: attribute `a` has 5 bytes of text"),
        (r#"{"a":[1,2,3]}"#.to_owned(), "/a: attribute `a` has 3 elements"),
    ] {
        let error = attributes_from_json(json.as_bytes(), &limits).expect_err(&json).to_string();
        assert!(error.contains(message), "{json}: {error}");
    }
    let at_the_cap = r#"{"a":{"b":{"c":1}},"d":[1,2]}"#;
    assert!(attributes_from_json(at_the_cap.as_bytes(), &limits).is_ok());
    // A member given again counts each time: forgetting the earlier one is not free.
    let repeats = r#"{"a":1,"a":2,"a":3,"a":4}"#;
    let error = attributes_from_json(repeats.as_bytes(), &limits).expect_err("repeats").to_string();
    assert!(error.contains("/a: more than 3 attributes"), "{error}");
    let deep = "[".repeat(100_000);
    let wide = FlattenLimits { depth_max: usize::MAX, ..FlattenLimits::default() };
    let error = attributes_from_json(deep.as_bytes(), &wide).expect_err("too deep").to_string();
    assert!(error.contains("flatten.depth_max = 100"), "{error}");
}

#[test]
fn a_float_is_read_as_the_nearest_one() {
    // Each misread in the last bit by a reader that rounds twice.
    for text in ["98.56906946328695", "0.30000000000000004", "2.2250738585072011e-308", "9007199254740993.0"] {
        let float: f64 = text.parse().expect("a float");
        assert_eq!(flat(&format!("{{\"a\":{text}}}")).get("a"), Some(&Value::Float(float)), "{text}");
    }
    let mut bits = 0x3f84_7ae1_47ae_147b_u64;
    for _ in 0..2_000 {
        bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let float = f64::from_bits(bits & !(1 << 62) | 0x3f00_0000_0000_0000);
        assert_eq!(flat(&format!("{{\"a\":{float:?}}}")).get("a"), Some(&Value::Float(float)));
    }
}

#[test]
fn a_byte_order_mark_is_ignored() {
    assert_eq!(shown("\u{feff}{\"a\":1}"), "a=1");
    assert_eq!(shown("{\"\u{feff}a\":1}"), "\u{feff}a=1");
    assert!(error("\u{feff}\u{feff}1").to_string().contains("not JSON"));
}

#[test]
fn no_error_repeats_a_long_input() {
    let long = "x".repeat(100_000);
    for json in [
        format!("{{\"gomera.{long}\":1}}"),
        format!("{{\"{long}\":{{\"b\":1}}}}"),
        format!("{{\"{long}\":[1,"),
        format!("{{\"a\":\"{long}\"}}"),
        format!("{}1", format!("{{\"{}\":", "y".repeat(3_000)).repeat(30)),
        format!("{{\"{long}\":[{}1]}}", "1,".repeat(2_000)),
    ] {
        let error = error(&json).to_string();
        assert!(error.len() < 700, "{} bytes: {error}", error.len());
    }
    let deep = format!("{}x", (0..20).map(|index| format!("{{\"k{index}\":")).collect::<String>());
    let error = error(&deep).to_string();
    assert!(error.contains("(within /k0/k1/k2/k3/…/k16/k17/k18/k19)"), "{error}");
}

#[test]
fn a_large_real_message_fits_the_default_caps() {
    // 934 attributes, as the largest message of an energy gateway among those of real devices.
    let channels: Vec<String> = (0..934).map(|index| format!("\"channel{index}\":{{\"wattHours\":{index}}}")).collect();
    assert_eq!(flat(&format!("{{\"device\":{{{}}}}}", channels.join(","))).len(), 934);
}
