//! What `loadtest scale` and `loadtest chaos` say in the end: one JSON object for programs, lines for people, an exit code.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::report::Latency;
use crate::trial::Findings;

/// What came of a run, the worst that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every promise and every bound.
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
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What ran.
    pub run: String,
    /// Due and never come.
    pub lost: u64,
    /// Come again, or where they were not due.
    pub duplicated: u64,
    /// Come after a later one of the same publisher.
    pub reordered: u64,
    /// Come although no subscription in force asked for it.
    pub unexpected: u64,
    /// Publications never acknowledged.
    pub unacknowledged: u64,
    /// Streams that broke, sessions made anew.
    pub disconnects: u64,
    /// The longest that a judged session heard nothing although something was due, during the change; `null`: sessions get fewer than
    /// 2,000 notifications a second.
    pub silent_ms_max: Option<f64>,
    /// The same without a change.
    pub silent_ms_control: Option<f64>,
    /// Of deliveries, in the seconds before the change.
    pub latency_us_before: Latency,
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
    /// Publications sent.
    pub publications: u64,
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
        Self {
            run,
            lost: 0,
            duplicated: 0,
            reordered: 0,
            unexpected: 0,
            unacknowledged: 0,
            disconnects: 0,
            silent_ms_max: None,
            silent_ms_control: None,
            latency_us_before: Latency::default(),
            latency_us_during: Latency::default(),
            latency_us_control: Latency::default(),
            acknowledged_us_during: Latency::default(),
            acknowledged_us_control: Latency::default(),
            duration_ms: 0,
            bytes_moved: 0,
            slices_moved: 0,
            publications: 0,
            events: Vec::new(),
            reasons: Vec::new(),
            said: Vec::new(),
            verdict: Verdict::Kept,
        }
    }

    /// Takes in what a trial found; whatever breaks a promise is a reason. Whether disconnects do depends on what was done.
    pub fn judge(&mut self, findings: &Findings, disconnects_break: bool) {
        self.publications = findings.published;
        (self.lost, self.duplicated, self.reordered) = (findings.lost, findings.duplicated, findings.reordered);
        (self.unexpected, self.unacknowledged) = (findings.unexpected, findings.unacknowledged);
        self.disconnects = findings.disconnects;
        for (count, what, breaks) in [
            (self.lost, "lost", true),
            (self.duplicated, "duplicated", true),
            (self.reordered, "reordered", true),
            (self.unexpected, "unexpected", true),
            (self.unacknowledged, "never acknowledged", true),
            (self.disconnects, "disconnects", disconnects_break),
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
        println!("  publications   {}", self.publications);
        println!("  delivery       control {}", latency(&self.latency_us_control));
        println!("                 before  {}", latency(&self.latency_us_before));
        println!("                 during  {}", latency(&self.latency_us_during));
        println!("  operations     control {}", latency(&self.acknowledged_us_control));
        println!("                 during  {}", latency(&self.acknowledged_us_during));
        println!("  silence        control {}, during {}", millis(self.silent_ms_control), millis(self.silent_ms_max));
        println!("  change         {} ms, {} slices, {} bytes", self.duration_ms, self.slices_moved, self.bytes_moved);
        println!(
            "  lost {}, duplicated {}, reordered {}, unexpected {}, unacknowledged {}, disconnects {}",
            self.lost, self.duplicated, self.reordered, self.unexpected, self.unacknowledged, self.disconnects
        );
        for line in &self.said {
            println!("  seen: {line}");
        }
        let reasons = self.reasons.join("; ");
        println!("  {:?}{}{reasons}", self.verdict, if reasons.is_empty() { "" } else { ": " });
    }
}

/// p50, p99 and the longest.
pub fn latency(histogram: &Histogram<u64>) -> Latency {
    Latency::of(histogram)
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
