//! Durations as people write them, `500ms` or `10s`, in files and in the environment.
//!
//! The settings of machines hold numbers and durations and no texts, so that a text that reads as a duration is one. The
//! settings at the top do hold texts (a cluster may be called `10s`); of them only [`AT_THE_TOP`] are durations.

use std::time::Duration;

use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

/// The durations among the settings at the top.
const AT_THE_TOP: [&str; 2] = ["stop_within", "drain_within"];

/// Reads `250ms`, `10s`, `5m`, `2h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("`{text}` is not a duration, must be a whole number and a unit such as 250ms, 10s, 5m, 2h");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs).ok_or_else(wrong);
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3_600),
        _ => Err(wrong()),
    }
}

/// A source of settings in which durations may be texts.
pub struct Durations<Source>(pub Source);

impl<Source: Provider> Provider for Durations<Source> {
    fn metadata(&self) -> Metadata {
        self.0.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut data = self.0.data()?;
        for settings in data.values_mut() {
            for (name, value) in settings.iter_mut() {
                match value {
                    Value::Dict(_, table) => translate(table),
                    other if AT_THE_TOP.contains(&name.as_str()) => translate_value(other),
                    _ => {}
                }
            }
        }
        Ok(data)
    }
}

fn translate(table: &mut Dict) {
    for value in table.values_mut() {
        translate_value(value);
    }
}

fn translate_value(value: &mut Value) {
    match value {
        Value::Dict(_, table) => translate(table),
        Value::String(tag, text) => {
            if let Ok(duration) = duration(text) {
                let parts =
                    [("secs", Value::from(duration.as_secs())), ("nanos", Value::from(duration.subsec_nanos()))];
                *value = Value::Dict(*tag, parts.map(|(name, part)| (name.to_owned(), part)).into_iter().collect());
            }
        }
        _ => {}
    }
}
