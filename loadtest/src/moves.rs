//! `loadtest moves`: how long a layer takes to grow, over the bytes that have to move and over the rate of publications meanwhile. It is to
//! depend on the former alone.

use anyhow::{Result, ensure};
use clap::Args;
use gomera_cluster::address::Layer;
use serde::Serialize;

use crate::fleet::Shape;
use crate::scale::{LoadFlags, Scale, layer};

/// Of the variation of the times, this much has to follow from the bytes.
const FIT_MIN: f64 = 0.9;
/// Times at one rate differ by no more from those at all rates.
const RATE_EFFECT_MAX: f64 = 0.1;

/// `loadtest moves`
#[derive(Args, Clone, Debug)]
pub struct Moves {
    /// The layer that goes from one node to two
    #[arg(long, value_parser = layer, default_value = "matcher")]
    pub layer: Layer,
    /// Numbers of subscriptions
    #[arg(long, value_delimiter = ',', default_values_t = [20_000, 40_000, 80_000, 120_000, 160_000])]
    pub subscriptions: Vec<u64>,
    /// Publications a second
    #[arg(long, value_delimiter = ',', default_values_t = [2_000, 5_000, 8_000])]
    pub rates: Vec<u64>,
    /// Machine-readable: one object
    #[arg(long)]
    pub json: bool,
}

/// One run.
#[derive(Clone, Copy, Debug, Serialize)]
struct Move {
    subscriptions: u64,
    rate: u64,
    bytes_moved: u64,
    duration_ms: u64,
    /// Whether anything was lost, came twice or out of order, or anybody was disconnected.
    whole: bool,
}

/// All runs, and what follows from them.
#[derive(Clone, Debug, Serialize)]
struct Measured {
    runs: Vec<Move>,
    fit: Fit,
}

/// The straight line through all runs, times over bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Fit {
    /// Milliseconds that a change takes without any bytes.
    base_ms: f64,
    /// Milliseconds a megabyte.
    ms_per_megabyte: f64,
    /// How much of the variation of the times follows from the bytes, at most 1.
    r_squared: f64,
    /// By how much times at one rate differ from the line on average, at most over the rates, as a share.
    rate_effect: f64,
}

impl Fit {
    #[expect(clippy::cast_precision_loss, reason = "bytes and milliseconds far below 2^53")]
    fn of(runs: &[Move]) -> Self {
        let points = || runs.iter().map(|run| (run.bytes_moved as f64 / 1e6, run.duration_ms as f64));
        let count = runs.len() as f64;
        let mean = |of: &dyn Fn((f64, f64)) -> f64| points().map(of).sum::<f64>() / count;
        let (x, y) = (mean(&|point| point.0), mean(&|point| point.1));
        let slope = mean(&|point| (point.0 - x) * (point.1 - y)) / mean(&|point| (point.0 - x).powi(2));
        let line = |bytes: f64| y + slope * (bytes - x);
        let left = mean(&|point| (point.1 - line(point.0)).powi(2)) / mean(&|point| (point.1 - y).powi(2));
        let effect = |rate: u64| {
            let ratios: Vec<f64> = (runs.iter().zip(points()))
                .filter(|(run, _)| run.rate == rate)
                .map(|(_, (bytes, took))| took / line(bytes))
                .collect();
            (ratios.iter().sum::<f64>() / ratios.len() as f64 - 1.0).abs()
        };
        Self {
            base_ms: line(0.0),
            ms_per_megabyte: slope,
            r_squared: 1.0 - left,
            rate_effect: runs.iter().map(|run| effect(run.rate)).fold(0.0, f64::max),
        }
    }

    fn holds(&self) -> bool {
        self.r_squared >= FIT_MIN && self.rate_effect <= RATE_EFFECT_MAX
    }
}

impl Moves {
    /// Checks what makes no sense before anything starts.
    ///
    /// # Errors
    /// Says what would.
    pub fn validate(&self) -> Result<()> {
        ensure!(self.subscriptions.len() >= 3, "--subscriptions has {}, must be at least 3", self.subscriptions.len());
        ensure!(self.rates.len() >= 2, "--rates has {}, must be at least 2", self.rates.len());
        self.scales().try_for_each(|scale| scale.validate())
    }

    fn scales(&self) -> impl Iterator<Item = Scale> + '_ {
        let of = |&subscriptions: &u64| self.rates.iter().map(move |&rate| (subscriptions, rate));
        self.subscriptions.iter().flat_map(of).map(|(subscriptions, rate)| Scale {
            layer: self.layer,
            from: 1,
            to: 2,
            rounds: 1,
            back: false,
            processes: Shape([1; 4]),
            load: LoadFlags { subscriptions, rate, sessions: 4, publishers: 8, payload: 200 },
            seconds: 2,
            json: false,
            plot: None,
            keep_logs: false,
        })
    }

    /// Runs all of it; says whether times follow from bytes alone, and every run kept its promises.
    ///
    /// # Errors
    /// If a run cannot be made.
    pub async fn run(&self) -> Result<bool> {
        let mut runs = Vec::new();
        for scale in self.scales() {
            let outcome = scale.run().await?;
            let findings = outcome.findings;
            runs.push(Move {
                subscriptions: scale.load.subscriptions,
                rate: scale.load.rate,
                bytes_moved: outcome.bytes_moved,
                duration_ms: outcome.duration_ms,
                whole: findings.lost + findings.duplicated + findings.reordered + findings.disconnects == 0,
            });
        }
        let all = Measured { fit: Fit::of(&runs), runs };
        if self.json {
            println!("{}", serde_json::to_string(&all)?);
        } else {
            all.print();
        }
        Ok(all.fit.holds() && all.runs.iter().all(|run| run.whole))
    }
}

impl Measured {
    fn print(&self) {
        println!("subscriptions  publications/s  bytes moved  ms");
        for run in &self.runs {
            let whole = if run.whole { "" } else { "  BROKEN" };
            println!("{:>13}{:>16}{:>13}{:>6}{whole}", run.subscriptions, run.rate, run.bytes_moved, run.duration_ms);
        }
        let Fit { base_ms, ms_per_megabyte, r_squared, rate_effect } = self.fit;
        println!("{base_ms:.0} ms + {ms_per_megabyte:.1} ms a megabyte: R² {r_squared:.3}, at least {FIT_MIN}");
        println!("effect of the rate: {:.1} %, at most {:.0} %", rate_effect * 100.0, RATE_EFFECT_MAX * 100.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(megabytes: u64, rate: u64, duration_ms: u64) -> Move {
        Move { subscriptions: 1, rate, bytes_moved: megabytes * 1_000_000, duration_ms, whole: true }
    }

    #[test]
    fn times_that_follow_from_bytes_alone_fit() {
        let runs: Vec<_> = (1..6).flat_map(|size| [2, 5].map(|rate| run(size, rate, 100 + 30 * size))).collect();
        let fit = Fit::of(&runs);
        assert!((fit.base_ms - 100.0).abs() < 1e-6 && (fit.ms_per_megabyte - 30.0).abs() < 1e-6, "{fit:?}");
        assert!(fit.r_squared > 0.999 && fit.rate_effect < 0.001 && fit.holds(), "{fit:?}");
    }

    #[test]
    fn times_that_depend_on_the_rate_or_on_nothing_do_not() {
        let by_rate: Vec<_> =
            (1..6).flat_map(|size| [2, 5].map(|rate| run(size, rate, size * (80 + 10 * rate)))).collect();
        let fit = Fit::of(&by_rate);
        assert!(fit.rate_effect > 0.1 && !fit.holds(), "{fit:?}");
        let noise: Vec<_> = (1..6).map(|size| run(size, 2, 100 + 50 * (size % 2))).collect();
        assert!(!Fit::of(&noise).holds(), "{:?}", Fit::of(&noise));
    }
}
