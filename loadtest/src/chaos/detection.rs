//! When a coordinator knew: from what coordinators log when they propose another layout.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::fleet::Fleet;
use crate::fleet::node::Role;
use crate::trial::shared::Shared;
use crate::verdict::Event;

/// The begin of the trial's clock as wall time, in milliseconds since 1970.
pub(super) fn clock(shared: &Shared) -> f64 {
    let since = Instant::now().duration_since(shared.begun).as_secs_f64();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
    (now - since) * 1e3
}

/// Notes with each event how long after it a layout was proposed, if that was before the next one.
pub(super) fn fill(events: &mut [Event], fleet: &Fleet, clock_ms: f64) {
    let coordinators = fleet.nodes.iter().filter(|node| node.role == Role::Coordinator);
    let texts = coordinators.filter_map(|node| std::fs::read_to_string(&node.log).ok()).collect::<Vec<_>>();
    let mut proposed: Vec<f64> = texts.iter().flat_map(|text| text.lines()).filter_map(proposed_at_ms).collect();
    proposed.sort_by(f64::total_cmp);
    let begins: Vec<_> = events.iter().map(|event| clock_ms + event.at_s * 1e3).collect();
    for (index, event) in events.iter_mut().enumerate() {
        let next = begins.get(index + 1).copied().unwrap_or(f64::MAX);
        let first = proposed.iter().find(|at| **at >= begins[index] && **at < next);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time below an hour, not below 0")]
        let after = first.map(|at| (at - begins[index]) as u64);
        event.detected_after_ms = after;
    }
}

/// When a line says that a layout was proposed.
fn proposed_at_ms(line: &str) -> Option<f64> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line["fields"]["message"] != "proposed a layout" {
        return None;
    }
    milliseconds(line["timestamp"].as_str()?)
}

/// `2026-11-28T18:22:58.068791Z` as milliseconds since 1970.
fn milliseconds(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i32>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split(':').map(|part| part.parse::<f64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    // Days from civil (Howard Hinnant): years begin in March.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day
            - 719_469;
    Some(((f64::from(days) * 24.0 + hour) * 60.0 + minute) * 60_000.0 + second * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_line_is_read() {
        assert_eq!(milliseconds("1970-01-01T00:00:00.5Z"), Some(500.0));
        assert_eq!(milliseconds("2000-03-01T00:00:01Z"), Some(951_868_801_000.0));
        assert_eq!(milliseconds("2024-02-29T12:00:00Z"), Some(1_709_208_000_000.0));
        assert_eq!(milliseconds("yesterday"), None);
        let line = r#"{"timestamp":"1970-01-01T00:00:01Z","fields":{"message":"proposed a layout","epoch":1}}"#;
        assert_eq!(proposed_at_ms(line), Some(1_000.0));
        assert_eq!(proposed_at_ms(r#"{"fields":{"message":"committed a layout"}}"#), None);
    }
}
