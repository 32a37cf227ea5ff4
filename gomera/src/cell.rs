//! Texts without a type, from a command line or a table, typed by what they look like.
//!
//! | text | becomes |
//! | --- | --- |
//! | nothing, `NA`, `NaN`, `null` | no attribute |
//! | `true`, `false` | boolean |
//! | `-12` | integer |
//! | `-12.5`, `1e3` | float |
//! | `2024-05-17T08:30:00Z`, `2024-05-17 08:30`, `2024-05-17` | timestamp; without a zone it is taken as UTC |
//! | `POINT(43.46, -3.81)` | geo point: latitude, longitude |
//! | `'12'` | the string between the quotes |
//! | anything else | string |

use gomera_model::{GeoPoint, Timestamp, Value};

/// Types a text; `None` stands for no attribute.
#[must_use]
pub fn value(text: &str) -> Option<Value> {
    let text = text.trim();
    if matches!(text, "" | "NA" | "NaN" | "nan" | "null") {
        return None;
    }
    if let Some(quoted) = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return Some(Value::string(quoted));
    }
    match text {
        "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        _ => {}
    }
    // A first look spares the parsers most texts.
    let number_like = text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'));
    if number_like {
        if let Ok(integer) = text.parse::<i64>() {
            return Some(Value::Integer(integer));
        }
        if let Some(float) = text.parse::<f64>().ok().filter(|float| float.is_finite()) {
            return Some(Value::Float(float));
        }
        if let Some(timestamp) = timestamp(text) {
            return Some(Value::Timestamp(timestamp));
        }
    }
    Some(point(text).map_or_else(|| Value::string(text), Value::GeoPoint))
}

/// Date and time with or without zone and seconds, or a date.
fn timestamp(text: &str) -> Option<Timestamp> {
    /// `2024-05-17`.
    const DATE_BYTES: usize = 10;
    /// `2024-05-17T08:30`.
    const MINUTES_BYTES: usize = 16;
    if !text.is_ascii() || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    Timestamp::parse(text).or_else(|| match text.len() {
        DATE_BYTES => Timestamp::parse(&format!("{text}T00:00:00Z")),
        MINUTES_BYTES => Timestamp::parse(&format!("{text}:00Z")),
        _ => Timestamp::parse(&format!("{text}Z")),
    })
}

fn point(text: &str) -> Option<GeoPoint> {
    let inside = text.strip_prefix("POINT(")?.strip_suffix(')')?;
    let (latitude, longitude) = inside.split_once(',')?;
    GeoPoint::new(latitude.trim().parse().ok()?, longitude.trim().parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    //! Claims about typing texts.

    use super::*;

    #[test]
    fn texts_are_typed_by_what_they_look_like() {
        let at = |text: &str| Value::Timestamp(Timestamp::parse(text).expect(text));
        for (text, expected) in [
            ("", None),
            (" NA ", None),
            ("NaN", None),
            ("null", None),
            ("true", Some(Value::Bool(true))),
            ("FALSE", Some(Value::Bool(false))),
            ("12", Some(Value::Integer(12))),
            ("-0", Some(Value::Integer(0))),
            ("12.50", Some(Value::Float(12.5))),
            ("1e3", Some(Value::Float(1_000.0))),
            ("9223372036854775808", Some(Value::Float(9_223_372_036_854_775_808.0))),
            ("1e999", Some(Value::string("1e999"))),
            ("-", Some(Value::string("-"))),
            ("inf", Some(Value::string("inf"))),
            ("2013-07-04 00:00:00", Some(at("2013-07-04T00:00:00Z"))),
            ("2013-07-04 00:05", Some(at("2013-07-04T00:05:00Z"))),
            ("2016-07-01 00:15:00-07:00", Some(at("2016-07-01T07:15:00Z"))),
            ("2012-01-01", Some(at("2012-01-01T00:00:00Z"))),
            ("2012-13-01", Some(Value::string("2012-13-01"))),
            ("8/1/2019", Some(Value::string("8/1/2019"))),
            ("'12'", Some(Value::string("12"))),
            ("''", Some(Value::string(""))),
            ("M-30", Some(Value::string("M-30"))),
            ("POINT(43.46, -3.81)", Some(Value::GeoPoint(GeoPoint::new(43.46, -3.81).expect("a place")))),
            ("POINT(143.46, -3.81)", Some(Value::string("POINT(143.46, -3.81)"))),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }
}
