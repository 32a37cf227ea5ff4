//! What `loadtest scale` and `loadtest chaos` say in the end: one JSON object for programs, lines for people, an exit code.

use serde::Serialize;

use crate::report::Latency;
use crate::trial::Findings;

/// What came of a run, the worst that holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every promise and every bound.
    #[default]
    Kept,
    /// Nothing can be said of the bounds on time, since the machine was too busy without any change; every other promise was kept.
    Void,
    /// Every promise but a bound on time.
    Late,
    /// The cluster does not do what was asked, and said so; nothing has changed.
    Refused,
    /// Something was lost, came twice, came out of order, came where nobody asked for it, or somebody was disconnected.
    Broken,
}

impl Verdict {
    /// 0 kept, 1 broken, 2 late, 3 void; 75 refused, as `gomera scale` has it.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Kept => 0,
            Self::Broken => 1,
            Self::Late => 2,
            Self::Void => 3,
            Self::Refused => 75,
        }
    }
}

/// One run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// What ran.
    pub run: String,
    /// What was wrong, in counts.
    #[serde(flatten)]
    pub findings: Findings,
    /// The longest that a judged session heard nothing although something was due, during the change; `null`: sessions get fewer than
    /// 2,000 notifications a second.
    pub silent_ms_max: Option<f64>,
    /// The same without a change.
    pub silent_ms_control: Option<f64>,
    /// Of deliveries, in the seconds before the change; `null` in `chaos`, which has no such moment.
    pub latency_us_before: Option<Latency>,
    /// From the request to a second after its end.
    pub latency_us_during: Latency,
    /// The same load on the same cluster for as long, without a change.
    pub latency_us_control: Latency,
    /// From asking for a change of a subscription or context to its acknowledgement, during the change.
    pub acknowledged_us_during: Latency,
    /// The same without a change.
    pub acknowledged_us_control: Latency,
    /// From the request to its end; of several, the longest.
    pub duration_ms: u64,
    /// Bytes of state that moved, as the operation tells.
    pub bytes_moved: u64,
    /// Slices that have another active replica.
    pub slices_moved: u64,
    /// What was done to the cluster, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// What the verdict is based on, in words; empty if everything was kept.
    pub reasons: Vec<String>,
    /// What was seen on the way, the first few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
    /// The whole in a word.
    pub verdict: Verdict,
}

/// Something that was done to the cluster.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Seconds since the clock began.
    pub at_s: f64,
    /// In words.
    pub what: String,
    /// Publications sent and not acknowledged at that moment.
    pub in_flight: u64,
    /// Whether it counts: a kill does with at least 100 publications under way.
    pub counts: bool,
    /// Until everything that was due had come.
    pub whole_after_ms: Option<u64>,
    /// Until a coordinator knew of it, where it says so.
    pub detected_after_ms: Option<u64>,
}

impl Outcome {
    /// Nothing measured yet.
    pub fn new(run: String) -> Self {
        Self { run, ..Self::default() }
    }

    /// Takes in what a trial found; whatever breaks a promise is a reason. Whether disconnects do depends on what was done.
    pub fn judge(&mut self, findings: &Findings, disconnects_break: bool) {
        self.findings = *findings;
        for (count, what, breaks) in [
            (findings.lost, "lost", true),
            (findings.duplicated, "duplicated", true),
            (findings.reordered, "reordered", true),
            (findings.unexpected, "unexpected", true),
            (findings.unacknowledged, "never acknowledged", true),
            (findings.disconnects, "disconnects", disconnects_break),
        ] {
            if count > 0 && breaks {
                self.add(Verdict::Broken, format!("{count} {what}"));
            }
        }
    }

    /// One more reason for this verdict or a worse one.
    pub fn add(&mut self, verdict: Verdict, reason: String) {
        self.verdict = self.verdict.max(verdict);
        self.reasons.push(reason);
    }

    /// For people.
    pub fn print(&self) {
        let millis = |silence: Option<f64>| {
            silence.map_or_else(|| "not judged".to_owned(), |silence| format!("{silence:.1} ms"))
        };
        let latency =
            |latency: &Latency| format!("p50 {} us, p99 {} us, max {} us", latency.p50, latency.p99, latency.max);
        println!("{}", self.run);
        for event in &self.events {
            let counts = if event.counts { "" } else { " (does not count)" };
            let after = |millis: Option<u64>| millis.map_or_else(|| "?".to_owned(), |millis| format!("{millis} ms"));
            println!(
                "  {:8.3} s  {}{counts}: {} in flight, detected after {}, whole after {}",
                event.at_s,
                event.what,
                event.in_flight,
                after(event.detected_after_ms),
                after(event.whole_after_ms),
            );
        }
        println!("  publications   {}", self.findings.published);
        println!("  delivery       control {}", latency(&self.latency_us_control));
        if let Some(before) = &self.latency_us_before {
            println!("                 before  {}", latency(before));
        }
        println!("                 during  {}", latency(&self.latency_us_during));
        println!("  operations     control {}", latency(&self.acknowledged_us_control));
        println!("                 during  {}", latency(&self.acknowledged_us_during));
        println!("  silence        control {}, during {}", millis(self.silent_ms_control), millis(self.silent_ms_max));
        println!("  change         {} ms, {} slices, {} bytes", self.duration_ms, self.slices_moved, self.bytes_moved);
        let Findings { published: _, lost, duplicated, reordered, unexpected, unacknowledged, disconnects } =
            self.findings;
        println!(
            "  lost {lost}, duplicated {duplicated}, reordered {reordered}, unexpected {unexpected}, \
             unacknowledged {unacknowledged}, disconnects {disconnects}"
        );
        for line in &self.said {
            println!("  seen: {line}");
        }
        let reasons = self.reasons.join("; ");
        println!("  {:?}{}{reasons}", self.verdict, if reasons.is_empty() { "" } else { ": " });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_reason_decides() {
        let mut outcome = Outcome::new("a run".to_owned());
        outcome.add(Verdict::Late, "slow".to_owned());
        outcome.judge(&Findings { lost: 1, disconnects: 3, ..Findings::default() }, false);
        assert_eq!(
            (outcome.verdict, outcome.reasons.as_slice()),
            (Verdict::Broken, &["slow".to_owned(), "1 lost".to_owned()][..])
        );
        outcome.add(Verdict::Void, "busy".to_owned());
        assert_eq!(outcome.verdict.exit_code(), 1);
    }
}
