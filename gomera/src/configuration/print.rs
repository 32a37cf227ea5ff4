//! Settings as the text of a file that reads back to them, each commented out: what is not taken into use stays the default of
//! its command and of its version.

use std::time::Duration;

use serde_json::{Map, Value};

/// TOML: values first, then tables.
pub fn toml(settings: &Value) -> String {
    let mut text = String::new();
    if let Value::Object(settings) = settings {
        table(&mut text, "", settings);
    }
    text
}

fn table(text: &mut String, path: &str, settings: &Map<String, Value>) {
    for (name, value) in settings {
        match (value, as_duration(value)) {
            // What is absent unless given.
            (Value::Null, _) => text.push_str(&format!("# {name} =\n")),
            (_, Some(duration)) => text.push_str(&format!("# {name} = \"{}\"\n", as_text(duration))),
            (Value::Object(_), None) => {}
            // Strings, numbers and booleans are written alike in JSON and TOML.
            (value, None) => text.push_str(&format!("# {name} = {value}\n")),
        }
    }
    for (name, value) in settings {
        if let (Value::Object(inner), None) = (value, as_duration(value)) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            text.push_str(&format!("\n[{path}]\n"));
            table(text, &path, inner);
        }
    }
}

/// A duration as serde writes it.
fn as_duration(value: &Value) -> Option<Duration> {
    let parts = value.as_object().filter(|parts| parts.len() == 2)?;
    let nanos = u32::try_from(parts.get("nanos")?.as_u64()?).ok()?;
    Some(Duration::new(parts.get("secs")?.as_u64()?, nanos))
}

/// As `durations` reads it; nothing that is set is finer than a millisecond.
fn as_text(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}
