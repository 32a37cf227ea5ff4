//! What came of a trial: one JSON object for programs, a table for people, and whether a promise broke.

use std::time::Duration;

use serde::Serialize;

use crate::exit::{Failure, Outcome, Reason};
use crate::ledger::{Progress, Tally};
use crate::output;

/// Delivered latency in microseconds, from when a publication was due to be published until its subscriber had it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Half of the notifications.
    pub p50: u64,
    /// All but one in ten.
    pub p90: u64,
    /// All but one in a hundred.
    pub p99: u64,
    /// All.
    pub max: u64,
}

/// What came of one subscriber.
#[derive(Clone, Debug, Serialize)]
pub struct Subscriber {
    name: String,
    /// As they were at the beginning.
    filters: Vec<String>,
    delivered: u64,
    missing: u64,
    duplicated: u64,
    reordered: u64,
    unexpected: u64,
    dropped: u64,
}

impl Subscriber {
    /// From its tally.
    #[must_use]
    pub fn new(name: &str, filters: &[String], tally: Tally) -> Self {
        Self {
            name: name.to_owned(),
            filters: filters.to_vec(),
            delivered: tally.delivered,
            missing: tally.missing,
            duplicated: tally.duplicated,
            reordered: tally.reordered,
            unexpected: tally.unexpected,
            dropped: tally.dropped,
        }
    }
}

impl Subscriber {
    /// What should be zero and is not.
    fn faults(&self) -> impl Iterator<Item = (u64, &'static str)> {
        let counts = [
            (self.missing, "missing"),
            (self.duplicated, "duplicated"),
            (self.reordered, "reordered"),
            (self.unexpected, "unexpected"),
            (self.dropped, "given up by the cluster, which said so"),
        ];
        counts.into_iter().filter(|(count, _)| *count > 0)
    }
}

/// What came of a trial. Of the counts that should be zero, `missing` and `unexpected` count subscriptions, the others
/// notifications.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    published: u64,
    acknowledged: u64,
    refused: u64,
    delivered: u64,
    missing: u64,
    duplicated: u64,
    reordered: u64,
    unexpected: u64,
    dropped: u64,
    latency_us: Latency,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Changes>,
    subscribers: Vec<Subscriber>,
}

/// What changed while publications came, each change in force when it was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Contexts of subscribers that move.
    pub context: u64,
    /// Filters of subscribers that want something else.
    pub filter: u64,
}

impl Summary {
    /// Adds up.
    #[must_use]
    pub fn new(progress: Progress, latency: Latency, published_for: Duration, subscribers: Vec<Subscriber>) -> Self {
        let sum = |count: fn(&Subscriber) -> u64| subscribers.iter().map(count).sum();
        Self {
            published: progress.published,
            acknowledged: progress.acknowledged,
            refused: progress.refused,
            delivered: progress.delivered,
            missing: sum(|subscriber| subscriber.missing),
            duplicated: sum(|subscriber| subscriber.duplicated),
            reordered: sum(|subscriber| subscriber.reordered),
            unexpected: sum(|subscriber| subscriber.unexpected),
            dropped: sum(|subscriber| subscriber.dropped),
            latency_us: latency,
            seconds: published_for.as_secs_f64(),
            seed: None,
            changes: None,
            subscribers,
        }
    }

    /// Says what it takes to repeat it.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Says what changed meanwhile.
    #[must_use]
    pub fn with_changes(mut self, changes: Changes) -> Self {
        self.changes = Some(changes);
        self
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.acknowledged == self.published
            && [self.refused, self.missing, self.duplicated, self.reordered, self.unexpected] == [0; 5]
    }

    /// Prints it; fails if a promise broke.
    pub fn conclude(&self, json: bool) -> Outcome {
        if json {
            output::json(self)?;
        } else {
            self.print()?;
        }
        output::flush()?;
        if self.is_kept() {
            return Ok(());
        }
        let repeat = self.seed.map(|seed| format!(" (seed {seed})")).unwrap_or_default();
        Err(Failure::say(
            Reason::BrokenPromise,
            format!(
                "a promise broke{repeat}: {} of {} acknowledged, {} refused, {} missing, {} duplicated, {} reordered, {} unexpected",
                self.acknowledged,
                self.published,
                self.refused,
                self.missing,
                self.duplicated,
                self.reordered,
                self.unexpected
            ),
        ))
    }

    fn print(&self) -> Outcome {
        let width = self.subscribers.iter().map(|subscriber| subscriber.name.chars().count()).max().unwrap_or(0);
        output::line(format!("{:>10}  {:<width$}  filter", "delivered", "subscriber"))?;
        for subscriber in &self.subscribers {
            let mut filters = subscriber.filters.iter();
            let first = filters.next().map(String::as_str).unwrap_or_default();
            output::line(format!("{:>10}  {:<width$}  {first}", grouped(subscriber.delivered), subscriber.name))?;
            for (count, what) in subscriber.faults() {
                output::line(format!("{:>10}  {:<width$}  {count} {what}", "", "!"))?;
            }
            for filter in filters {
                output::line(format!("{:>10}  {:<width$}  {filter}", "", ""))?;
            }
        }
        output::line("")?;
        let rate = |count: u64| per_second(count, self.seconds);
        output::line(format!(
            "published  {} in {:.1} s ({}/s), all acknowledged: {}",
            grouped(self.published),
            self.seconds,
            rate(self.published),
            if self.acknowledged == self.published { "yes" } else { "no" }
        ))?;
        output::line(format!("delivered  {} ({}/s)", grouped(self.delivered), rate(self.delivered)))?;
        if let Some(changes) = self.changes {
            output::line(format!(
                "meanwhile  the courier moved {} (its context), the traffic desk changed its filter {}",
                output::count(changes.context, "time"),
                output::count(changes.filter, "time"),
            ))?;
        }
        output::line(format!(
            "checked    missing {}, duplicated {}, reordered {}, unexpected {}",
            self.missing, self.duplicated, self.reordered, self.unexpected
        ))?;
        let latency = self.latency_us;
        output::line(format!(
            "latency    p50 {}, p90 {}, p99 {}, max {}",
            milliseconds(latency.p50),
            milliseconds(latency.p90),
            milliseconds(latency.p99),
            milliseconds(latency.max)
        ))
    }
}

/// Thousands apart.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Microseconds as people read them.
#[must_use]
pub fn milliseconds(micros: u64) -> String {
    let duration = Duration::from_micros(micros);
    if micros < 100_000 {
        format!("{:.2} ms", duration.as_secs_f64() * 1_000.0)
    } else {
        format!("{:.0} ms", duration.as_secs_f64() * 1_000.0)
    }
}

/// A rate as people read it.
#[must_use]
pub fn per_second(count: u64, seconds: f64) -> String {
    let seconds = Duration::from_secs_f64(seconds.max(0.001));
    let per_second = u128::from(count) * 1_000 / seconds.as_millis().max(1);
    grouped(u64::try_from(per_second).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    //! Claims about how numbers read.

    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"],
            [0, 999, 1_000, 1_234_567].map(grouped).each_ref().map(String::as_str)
        );
        assert_eq!(milliseconds(1_234), "1.23 ms");
        assert_eq!(milliseconds(250_000), "250 ms");
        assert_eq!(per_second(500, 0.25), "2,000");
    }

    #[test]
    fn a_promise_is_broken_by_any_count_that_should_be_zero() {
        let latency = Latency { p50: 1, p90: 1, p99: 1, max: 1 };
        let good = Progress { published: 2, acknowledged: 2, delivered: 2, ..Progress::default() };
        let summary = |progress, tally| {
            Summary::new(progress, latency, Duration::from_secs(1), vec![Subscriber::new("s", &[], tally)])
        };
        assert!(summary(good, Tally::default()).is_kept());
        assert!(!summary(Progress { acknowledged: 1, ..good }, Tally::default()).is_kept());
        assert!(!summary(Progress { refused: 1, ..good }, Tally::default()).is_kept());
        for tally in [
            Tally { missing: 1, ..Tally::default() },
            Tally { duplicated: 1, ..Tally::default() },
            Tally { reordered: 1, ..Tally::default() },
            Tally { unexpected: 1, ..Tally::default() },
        ] {
            assert!(!summary(good, tally).is_kept(), "{tally:?}");
        }
    }
}
