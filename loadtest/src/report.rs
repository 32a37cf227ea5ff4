//! What a run found, for programs (JSON) and for people (one line a figure).

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latency from the scheduled send time to the arrival at the subscriber, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl Latency {
    /// From a histogram of microseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        Self { p50: histogram.value_at_quantile(0.5), p99: histogram.value_at_quantile(0.99), max: histogram.max() }
    }
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What ran: `content`, `fanout` or `floor`, with its size.
    pub workload: String,
    /// Publications offered a second; `null`: as fast as acknowledgements came.
    pub rate: Option<u64>,
    /// Acknowledged publications in the measured time.
    pub publications: u64,
    /// Acknowledged publications a second.
    pub publications_per_second: f64,
    /// Notifications that arrived a second, each counted with the filters it satisfied.
    pub delivered_per_second: f64,
    /// From scheduled send to arrival.
    pub latency_us: Latency,
    /// Processor seconds of the measured processes per million publications.
    pub cpu_seconds_per_million: f64,
    /// Of the load generator itself.
    pub generator_cpu_seconds_per_million: f64,
    /// Expected and not arrived.
    pub lost: u64,
    /// Arrived again.
    pub duplicated: u64,
    /// Arrived after a later one of the same publisher.
    pub reordered: u64,
    /// Arrived where no filter asked for them, or with a wrong number of filters.
    pub wrong: u64,
    /// In the measured processes; `null`: not built to count.
    pub allocations_per_publication: Option<f64>,
    /// In the measured processes; `null`: `perf` may not count here.
    pub syscalls_per_publication: Option<f64>,
    /// Whether delivered = published × matches, nothing lost, twice, reordered or wrong.
    pub valid: bool,
}

impl Report {
    /// For people.
    pub fn print(&self) {
        let optional =
            |value: Option<f64>| value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.2}"));
        println!("{}", self.workload);
        println!(
            "  offered                  {}",
            self.rate.map_or_else(|| "closed loop".to_owned(), |rate| format!("{rate}/s, open loop"))
        );
        println!("  publications             {:.0}/s", self.publications_per_second);
        println!("  delivered                {:.0}/s", self.delivered_per_second);
        println!(
            "  latency                  p50 {} us, p99 {} us, max {} us",
            self.latency_us.p50, self.latency_us.p99, self.latency_us.max
        );
        println!("  processor time           {:.2} s per million publications", self.cpu_seconds_per_million);
        println!("  of the generator         {:.2} s per million", self.generator_cpu_seconds_per_million);
        println!("  allocations              {} per publication", optional(self.allocations_per_publication));
        println!("  system calls             {} per publication", optional(self.syscalls_per_publication));
        println!(
            "  lost {}, duplicated {}, reordered {}, wrong {}: {}",
            self.lost,
            self.duplicated,
            self.reordered,
            self.wrong,
            if self.valid { "valid" } else { "VOID" }
        );
    }
}
