//! A histogram of latencies that many threads fill: fixed buckets, one atomic addition each. (The histograms of the exporter
//! keep every sample until somebody scrapes, which no notification can afford.)

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds in microseconds: from 50 µs to 100 s, three a decade and a few more where targets lie.
const BOUNDS: [i64; 22] = [
    50,
    100,
    200,
    350,
    500,
    700,
    1_000,
    1_500,
    2_000,
    3_500,
    5_000,
    7_500,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    10_000_000,
    100_000_000,
];

/// Counts by bucket.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_microseconds: AtomicU64,
}

impl Histogram {
    /// Nothing counted yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BOUNDS.len() + 1], sum_microseconds: AtomicU64::new(0) }
    }

    /// Counts one latency; one below zero (clocks of two machines) as zero.
    pub fn record(&self, microseconds: i64) {
        let bucket = BOUNDS.partition_point(|&bound| bound < microseconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_microseconds.fetch_add(u64::try_from(microseconds).unwrap_or(0), Ordering::Relaxed);
    }

    /// An upper bound of the latency that so large a share of all stay below, in microseconds; `None` if nothing was counted
    /// or it lies beyond the last bucket.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<i64> {
        quantile(&self.counts(), share)
    }

    /// The same of what was counted since `before`, which is brought up to date.
    pub fn quantile_since(&self, before: &mut Counts, share: f64) -> Option<i64> {
        let now = self.counts();
        let since = std::array::from_fn(|bucket| now[bucket].saturating_sub(before.0[bucket]));
        before.0 = now;
        quantile(&since, share)
    }

    /// Appends it in the text format of Prometheus.
    pub fn render(&self, name: &str, help: &str, into: &mut String) {
        let counts = self.counts();
        let mut below = 0;
        let mut write = || -> std::fmt::Result {
            writeln!(into, "# HELP {name} {help}\n# TYPE {name} histogram")?;
            for (bound, count) in BOUNDS.iter().zip(&counts) {
                below += count;
                writeln!(into, "{name}_bucket{{le=\"{}\"}} {below}", Seconds(bound.unsigned_abs()))?;
            }
            below += counts[BOUNDS.len()];
            writeln!(into, "{name}_bucket{{le=\"+Inf\"}} {below}")?;
            writeln!(into, "{name}_sum {}", Seconds(self.sum_microseconds.load(Ordering::Relaxed)))?;
            writeln!(into, "{name}_count {below}")
        };
        write().expect("writing to a string does not fail");
    }

    fn counts(&self) -> [u64; BOUNDS.len() + 1] {
        std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed))
    }
}

/// What stood in the buckets at some time.
#[derive(Clone, Debug, Default)]
pub struct Counts([u64; BOUNDS.len() + 1]);

fn quantile(counts: &[u64; BOUNDS.len() + 1], share: f64) -> Option<i64> {
    let total: u64 = counts.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "a share of a count need not be exact")]
    let wanted = total as f64 * share;
    let mut below = 0;
    let bucket = counts.iter().position(|count| {
        below += count;
        #[expect(clippy::cast_precision_loss, reason = "a share of a count need not be exact")]
        let reached = below as f64 >= wanted;
        below > 0 && reached
    })?;
    BOUNDS.get(bucket).copied()
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// Microseconds, printed as seconds.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// From the acceptance of a publication to its hand-over to a subscriber's transport, at the connection points of this process.
pub fn delivered() -> &'static Histogram {
    static DELIVERED: Histogram = Histogram::new();
    &DELIVERED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_bounds_of_the_bucket_they_fall_into() {
        let histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        for _ in 0..99 {
            histogram.record(40);
        }
        histogram.record(9_000);
        assert_eq!(histogram.quantile(0.5), Some(50));
        assert_eq!(histogram.quantile(0.99), Some(50));
        assert_eq!(histogram.quantile(1.0), Some(10_000));
        histogram.record(-5);
        histogram.record(i64::MAX);
        assert_eq!(histogram.quantile(1.0), None, "beyond the last bucket");
        let mut before = Counts::default();
        assert_eq!(histogram.quantile_since(&mut before, 0.5), Some(50));
        assert_eq!(histogram.quantile_since(&mut before, 0.5), None, "nothing since");
        histogram.record(9_000);
        assert_eq!(histogram.quantile_since(&mut before, 0.5), Some(10_000));
    }

    #[test]
    fn the_text_is_cumulative() {
        let histogram = Histogram::new();
        histogram.record(60);
        histogram.record(1_000_000);
        let mut text = String::new();
        histogram.render("latency_seconds", "Help.", &mut text);
        for line in [
            "# TYPE latency_seconds histogram",
            "latency_seconds_bucket{le=\"0.000050\"} 0",
            "latency_seconds_bucket{le=\"0.000100\"} 1",
            "latency_seconds_bucket{le=\"+Inf\"} 2",
            "latency_seconds_sum 1.000060",
            "latency_seconds_count 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
