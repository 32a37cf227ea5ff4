//! `loadtest chaos`: processes of a cluster are killed, paused and cut off under load, ZooKeeper servers and coordinators too, and every
//! promise is judged from outside. What is done when follows from the seed; when exactly it takes effect does not.
//!
//! Only what is meant to survive is tried: one node at a time, with another one of its layer there. Each event ends with delivery whole
//! again, and the next begins when the cluster has as many nodes as it should.

mod detection;
mod event;
mod network;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use gomera_cluster::address::Layer;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::fleet::node::Role;
use crate::fleet::{Fleet, Shape};
use crate::judge::Phase;
use crate::report::Latency;
use crate::scale::{LoadFlags, layer};
use crate::trial::{self, Load, Trial};
use crate::verdict::{Outcome, Verdict};
use network::Network;

/// Connections and caches are warm after this.
const WARM_UP: Duration = Duration::from_secs(3);
/// How it looks when nothing happens.
const CONTROL: Duration = Duration::from_secs(5);
/// A cluster that is not complete by then is given up.
const COMPLETE_WITHIN: Duration = Duration::from_secs(60);
/// Clients find a connection point that hangs as soon as nodes find each other.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Bounds on a kill: from it until delivery is whole, and from its being known.
const WHOLE_MS_MAX: u64 = 1_000;
const WHOLE_AFTER_DETECTION_MS_MAX: u64 = 300;
/// The same for a node that is paused or cut off: two seconds until that is known.
const WHOLE_AWAY_MS_MAX: u64 = 2_300;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// `kill -9` of a node
    Kill,
    /// A node is stopped for a while and goes on, as after a long pause of its machine
    Pause,
    /// A node is cut off from all others and from ZooKeeper for a while (network namespaces: needs root and `ip`)
    Partition,
    /// `kill -9` of a ZooKeeper server of three, which comes back
    Zookeeper,
    /// `kill -9` of a coordinator; another one stands by
    Coordinator,
}

/// `loadtest chaos`
#[derive(Args, Clone, Debug)]
pub struct Chaos {
    /// For how long
    #[arg(long, default_value_t = 1.0)]
    pub minutes: f64,
    /// What happens in which order follows from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// At most so many events; without it, as many as the time allows
    #[arg(long)]
    pub events: Option<usize>,
    /// Only these faults; may be given several times. Without it, all that this machine allows
    #[arg(long, value_enum)]
    pub fault: Vec<Fault>,
    /// Victims of these layers only; may be given several times. Without it, all
    #[arg(long, value_parser = layer)]
    pub layer: Vec<Layer>,
    #[command(flatten)]
    pub load: LoadFlags,
    /// A configuration file for every process (`gomera config` prints one)
    #[arg(long, value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,
    /// Machine-readable: one object
    #[arg(long)]
    pub json: bool,
    /// Keep what the processes log, and tell where
    #[arg(long)]
    pub keep_logs: bool,
}

/// A run under way.
struct Run {
    fleet: Fleet,
    trial: Trial,
    random: SmallRng,
    network: Option<Network>,
    /// How many nodes there should be.
    shape: Shape,
    victims: Vec<Layer>,
    /// Counts nodes that were started in the place of others.
    replaced: u32,
}

impl Chaos {
    /// Checks what makes no sense before anything starts.
    ///
    /// # Errors
    /// Says what would.
    pub fn validate(&self) -> Result<()> {
        anyhow::ensure!(
            self.minutes > 0.0 && self.minutes <= 24.0 * 60.0,
            "--minutes is {}, must be above 0 and at most 1440",
            self.minutes
        );
        if self.fault.contains(&Fault::Partition)
            && let Err(reason) = network::is_possible()
        {
            bail!("--fault partition: {reason}");
        }
        self.load.validate()
    }

    /// Layers with victims.
    fn victims(&self) -> Vec<Layer> {
        Layer::ALL.into_iter().filter(|layer| self.layer.is_empty() || self.layer.contains(layer)).collect()
    }

    /// What is tried; never nothing, since [`Self::validate`] lets nothing by that is impossible here.
    fn faults(&self) -> Vec<Fault> {
        let all = Fault::value_variants().iter().copied();
        let wanted = all.filter(|fault| self.fault.is_empty() || self.fault.contains(fault));
        let is_possible = |fault: &Fault| match fault {
            Fault::Partition => match network::is_possible() {
                Ok(()) => true,
                Err(reason) => {
                    eprintln!("loadtest: nobody is cut off: {reason}");
                    false
                }
            },
            Fault::Kill | Fault::Pause | Fault::Zookeeper | Fault::Coordinator => true,
        };
        wanted.filter(is_possible).collect()
    }

    /// Runs it.
    ///
    /// # Errors
    /// If it could not be run; what the cluster does wrong is in the outcome.
    pub async fn run(&self) -> Result<Outcome> {
        let (victims, faults) = (self.victims(), self.faults());
        let outcome = Outcome::new(format!(
            "chaos: seed {}, {:?} of {}, {} subscriptions, {} publications/s",
            self.seed,
            faults,
            names(&victims),
            self.load.subscriptions,
            self.load.rate
        ));
        let mut run = self.start(&faults, victims).await?;
        run.trial.run(Phase::Aside, WARM_UP).await?;
        run.trial.run(Phase::Control, CONTROL).await?;
        run.trial.shared.enter(Phase::During);
        let ends = Instant::now() + Duration::from_secs_f64(self.minutes * 60.0);
        let mut events = Vec::new();
        while Instant::now() < ends && self.events.is_none_or(|most| events.len() < most) {
            let quiet = run.random.random_range(500..2_000);
            tokio::time::sleep(Duration::from_millis(quiet)).await;
            let fault = faults[run.random.random_range(0..faults.len())];
            let event = run.happen(fault).await?;
            eprintln!("loadtest: {:.1} s: {}, whole after {:?} ms", event.at_s, event.what, event.whole_after_ms);
            let is_whole = event.whole_after_ms.is_some();
            events.push(event);
            run.trial.check().await?;
            if !is_whole {
                // What comes then says nothing of later events.
                break;
            }
        }
        self.conclude(run, events, outcome).await
    }

    async fn start(&self, faults: &[Fault], victims: Vec<Layer>) -> Result<Run> {
        let mut shape = Shape([1; 4]);
        for &layer in &victims {
            shape = shape.with(layer, 2);
        }
        let settings = self.config.as_ref().map(std::fs::read_to_string).transpose().context("read --config")?;
        let mut network = faults.contains(&Fault::Partition).then(Network::new).transpose()?;
        let servers = if faults.contains(&Fault::Zookeeper) { 3 } else { 1 };
        let host = network.as_ref().map_or(std::net::Ipv4Addr::LOCALHOST, Network::host);
        let mut fleet = Fleet::new_at(host, shape, servers, settings.as_deref())?;
        if self.keep_logs {
            eprintln!("loadtest: processes log in {}", fleet.keep_logs().display());
        }
        for layer in Layer::ALL {
            for ordinal in 1..=shape.of(layer) {
                let place = network.as_mut().map(Network::place).transpose()?;
                fleet.start_in(Role::Of(layer), &format!("z-{layer}-{ordinal}"), place, None)?;
            }
        }
        for ordinal in 1..=2 {
            fleet.start(Role::Coordinator, &format!("coordinator-{ordinal}"))?;
        }
        fleet.serves().await?;
        eprintln!("loadtest: a cluster of {shape} serves, ZooKeeper servers: {servers}");
        let doors = fleet.doors();
        let trial = Trial::start(Load { keep_alive: KEEP_ALIVE, ..self.load.load() }, &doors, &doors).await?;
        let random = SmallRng::seed_from_u64(self.seed);
        Ok(Run { fleet, trial, random, network, shape, victims, replaced: 0 })
    }

    async fn conclude(
        &self,
        run: Run,
        mut events: Vec<crate::verdict::Event>,
        mut outcome: Outcome,
    ) -> Result<Outcome> {
        let Run { fleet, trial, .. } = run;
        let clock = detection::clock(&trial.shared);
        let (findings, shared) = trial.finish().await?;
        outcome.judge(&findings, false);
        outcome.said = shared.said();
        outcome.latency_us_control = Latency::of(&trial::latency(&shared, Phase::Control)?);
        outcome.latency_us_during = Latency::of(&trial::latency(&shared, Phase::During)?);
        outcome.acknowledged_us_control = Latency::of(&shared.operations(Phase::Control));
        outcome.acknowledged_us_during = Latency::of(&shared.operations(Phase::During));
        outcome.silent_ms_max = shared.silence(Phase::During).map(|silence| silence.as_secs_f64() * 1e3);
        outcome.silent_ms_control = shared.silence(Phase::Control).map(|silence| silence.as_secs_f64() * 1e3);
        detection::fill(&mut events, &fleet, clock);
        for event in &events {
            outcome.duration_ms = outcome.duration_ms.max(event.whole_after_ms.unwrap_or(0));
            self.bound(event, &mut outcome);
        }
        if events.is_empty() {
            outcome.add(Verdict::Void, "nothing happened: --minutes is too short".to_owned());
        } else if !events.iter().any(|event| event.counts) {
            outcome.add(Verdict::Void, "no event counts: too few publications were under way".to_owned());
        }
        outcome.events = events;
        drop(fleet);
        Ok(outcome)
    }

    fn bound(&self, event: &crate::verdict::Event, outcome: &mut Outcome) {
        let Some(whole) = event.whole_after_ms else {
            outcome.add(Verdict::Broken, format!("{}: delivery is not whole again", event.what));
            return;
        };
        if event.what.contains(" paused for ") || event.what.contains(" cut off for ") {
            if whole >= WHOLE_AWAY_MS_MAX {
                let late = format!("{}: whole after {whole} ms, must be below {WHOLE_AWAY_MS_MAX}", event.what);
                outcome.add(Verdict::Late, late);
            }
            return;
        }
        if !event.what.starts_with("kill -9 of a node") || !event.counts {
            return;
        }
        if whole >= WHOLE_MS_MAX {
            outcome.add(Verdict::Late, format!("{}: whole after {whole} ms, must be below {WHOLE_MS_MAX}", event.what));
        }
        if let Some(detected) = event.detected_after_ms
            && whole.saturating_sub(detected) >= WHOLE_AFTER_DETECTION_MS_MAX
        {
            let after = whole - detected;
            outcome.add(
                Verdict::Late,
                format!(
                    "{}: whole {after} ms after it was known, must be below {WHOLE_AFTER_DETECTION_MS_MAX}",
                    event.what
                ),
            );
        }
    }
}

fn names(layers: &[Layer]) -> String {
    layers.iter().map(|layer| layer.name()).collect::<Vec<_>>().join(", ")
}
