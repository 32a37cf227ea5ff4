//! Claims about timestamps.

use super::*;

fn at(text: &str) -> i64 {
    Timestamp::parse(text).unwrap_or_else(|| panic!("{text} is a timestamp")).0
}

#[test]
fn known_instants_are_read_exactly() {
    assert_eq!(at("1970-01-01T00:00:00Z"), 0);
    assert_eq!(at("2000-02-29T12:00:00Z"), 951_825_600_000_000);
    assert_eq!(at("1969-12-31T23:59:59.999999Z"), -1);
    assert_eq!(at("2024-05-17T10:30:00.25+02:00"), at("2024-05-17T08:30:00.250Z"));
    assert_eq!(at("2024-05-17t08:30:00z"), at("2024-05-17 08:30:00Z"));
    assert_eq!(at("0000-01-01T00:00:00Z"), Timestamp::MIN_PRINTABLE.0);
    assert_eq!(at("9999-12-31T23:59:59.999999Z"), Timestamp::MAX_PRINTABLE.0);
}

#[test]
fn digits_below_a_microsecond_are_cut_off() {
    assert_eq!(at("1970-01-01T00:00:00.1234567899Z"), 123_456);
}

#[test]
fn a_leap_second_is_the_start_of_the_next_minute_and_stands_only_at_the_end_of_a_day() {
    assert_eq!(at("2016-12-31T23:59:60Z"), at("2017-01-01T00:00:00Z"));
    assert_eq!(at("2017-01-01T00:59:60+01:00"), at("2017-01-01T00:00:00Z"));
    assert_eq!(Timestamp::parse("2016-12-31T22:59:60Z"), None);
}

#[test]
fn what_is_not_rfc_3339_is_refused() {
    for text in [
        "",
        "2024",
        "2024-05-17",
        "2024-05-17T08:30:00",
        "2024-05-17T08:30Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-05-17T24:00:00Z",
        "2024-05-17T08:60:00Z",
        "2024-05-17T08:30:61Z",
        "2024-05-17T08:30:00.Z",
        "2024-05-17T08:30:00+2:00",
        "2024-05-17T08:30:00+0200",
        "2024-05-17T08:30:00+24:00",
        "2024-05-17T08:30:00ZZ",
        "+024-05-17T08:30:00Z",
        "2024-05-17T08:30:0०Z",
        "0000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2024-05-17X08:30:00Z",
    ] {
        assert_eq!(Timestamp::parse(text), None, "{text}");
    }
}

#[test]
fn printing_then_reading_gives_the_same_instant() {
    let mut microseconds = Timestamp::MIN_PRINTABLE.0;
    let step = (Timestamp::MAX_PRINTABLE.0 - microseconds) / 9_973;
    while microseconds <= Timestamp::MAX_PRINTABLE.0 {
        let instant = Timestamp(microseconds);
        assert_eq!(Timestamp::parse(&instant.to_string()), Some(instant), "{instant}");
        microseconds += step;
    }
}

#[test]
fn the_text_form_is_short_and_in_utc() {
    assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00Z");
    assert_eq!(Timestamp(250_000).to_string(), "1970-01-01T00:00:00.250Z");
    assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999999Z");
    assert_eq!(Timestamp(i64::MAX).to_string(), "@9223372036854775807");
}
