//! `loadtest scale`: a layer grows or shrinks under load, and everything that was promised is judged from outside.
//!
//! The control comes first: the same clients put the same load on the same cluster for a while in which nothing changes. Then the change
//! is asked for as a person would ask (`gomera.v1.Cluster`), and its latencies are compared with those of the control.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use gomera_client::{Client, Earnest, Operation, OperationState, ShapeError, ShapeRequest};
use gomera_cluster::address::Layer;
use gomera_proto::topology::to_layer;

use crate::fleet::node::Role;
use crate::fleet::{Fleet, Shape};
use crate::judge::Phase;
use crate::report::Latency;
use crate::trial::{self, Load, Trial};
use crate::verdict::{Outcome, Verdict};

/// Connections and caches are warm after this.
const WARM_UP: Duration = Duration::from_secs(3);
/// The moments before the change.
const BEFORE: Duration = Duration::from_secs(3);
/// What a change left behind shows within this.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// A change that has not ended by then has failed.
const CHANGES_WITHIN: Duration = Duration::from_secs(180);

/// Clients have as much time on a busy machine as servers have.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Bounds on time: silence beyond the schedule, acknowledgement of operations, and how busy the machine may be without a change.
const SILENT_MAX: Duration = Duration::from_millis(20);
const ACKNOWLEDGED_US_MAX: u64 = 150_000;
const CONTROL_US_MAX: u64 = 10_000;

/// `loadtest scale`
#[derive(Args, Clone, Debug)]
pub struct Scale {
    /// connection-point, access-point, matcher or exit-point
    #[arg(long, value_parser = layer)]
    pub layer: Layer,
    /// How many nodes it has at the beginning
    #[arg(long)]
    pub from: u16,
    /// How many it is to have
    #[arg(long)]
    pub to: u16,
    /// And back again; both changes are judged together
    #[arg(long)]
    pub back: bool,
    /// Out and in so many times, with new processes each time; all changes are judged together, so that what the machine does meanwhile
    /// counts less. Needs `--back`, and `--to` above `--from`
    #[arg(long, default_value_t = 1)]
    pub rounds: u16,
    /// Nodes of the other layers: connection points - access points - matchers - exit points
    #[arg(long, value_name = "A-B-C-D", default_value = "1-1-1-1")]
    pub processes: Shape,
    #[command(flatten)]
    pub load: LoadFlags,
    /// Seconds of the control
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Machine-readable: one object
    #[arg(long)]
    pub json: bool,
    /// Where to draw throughput and the slowest notifications over time, as SVG
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Keep what the processes log, and tell where
    #[arg(long)]
    pub keep_logs: bool,
}

/// What is put on the cluster.
#[derive(Args, Clone, Debug)]
pub struct LoadFlags {
    /// Subscriptions, spread over the judged sessions
    #[arg(long, default_value_t = 10_000)]
    pub subscriptions: u64,
    /// Publications a second, open loop; each satisfies one subscription
    #[arg(long, default_value_t = 10_000)]
    pub rate: u64,
    /// Judged sessions; every second one speaks plain gRPC, the others are of the client crate
    #[arg(long, default_value_t = 4)]
    pub sessions: u64,
    /// Publishers, the same way
    #[arg(long, default_value_t = 8)]
    pub publishers: u64,
    /// Payload bytes
    #[arg(long, default_value_t = 200)]
    pub payload: usize,
}

impl LoadFlags {
    /// Checks that they fit together.
    ///
    /// # Errors
    /// Says which does not.
    pub fn validate(&self) -> Result<()> {
        crate::workload::Content::new(self.subscriptions, self.sessions, 1, self.payload)?;
        for (name, value) in [("--rate", self.rate), ("--publishers", self.publishers)] {
            anyhow::ensure!(value > 0, "{name} is 0, must be at least 1");
        }
        anyhow::ensure!(
            self.rate >= self.publishers,
            "--rate is {}, must be at least --publishers ({})",
            self.rate,
            self.publishers
        );
        Ok(())
    }

    /// As a trial takes it.
    pub fn load(&self) -> Load {
        Load {
            subscriptions: self.subscriptions,
            rate: self.rate,
            sessions: self.sessions,
            publishers: self.publishers,
            payload: self.payload,
            keep_alive: KEEP_ALIVE,
        }
    }
}

/// A layer by its name.
pub fn layer(text: &str) -> Result<Layer, String> {
    let found = Layer::ALL.into_iter().find(|layer| layer.name() == text.trim_end_matches('s'));
    found.ok_or_else(|| "must be connection-point, access-point, matcher or exit-point".to_owned())
}

impl Scale {
    /// Checks what makes no sense before anything starts.
    ///
    /// # Errors
    /// Says what would.
    pub fn validate(&self) -> Result<()> {
        for (name, nodes) in [("--from", self.from), ("--to", self.to)] {
            anyhow::ensure!((1..=16).contains(&nodes), "{name} is {nodes}, must be 1 to 16 on one machine");
        }
        anyhow::ensure!(self.from != self.to, "--from and --to are both {}: nothing would change", self.to);
        anyhow::ensure!((1..=100).contains(&self.rounds), "--rounds is {}, must be 1 to 100", self.rounds);
        anyhow::ensure!(
            self.rounds == 1 || self.back && self.to > self.from,
            "--rounds is {}, which needs --back and --to above --from",
            self.rounds
        );
        anyhow::ensure!(self.seconds >= 1, "--seconds is 0, must be at least 1");
        self.load.validate()
    }

    /// Runs it.
    ///
    /// # Errors
    /// If it could not be run; what the cluster does wrong is in the outcome.
    pub async fn run(&self) -> Result<Outcome> {
        let back = match (self.back, self.rounds) {
            (false, _) => String::new(),
            (true, 1) => format!(" → {}", self.from),
            (true, rounds) => format!(" → {}, {rounds} times", self.from),
        };
        let mut outcome = Outcome::new(format!(
            "scale: {} {} → {}{back}, {} subscriptions, {} publications/s",
            self.layer, self.from, self.to, self.load.subscriptions, self.load.rate
        ));
        let shape = self.processes.with(self.layer, self.from);
        let mut fleet = Fleet::new_at(Ipv4Addr::LOCALHOST, shape, 1, None)?;
        if self.keep_logs {
            eprintln!("loadtest: processes log in {}", fleet.keep_logs().display());
        }
        fleet.start_all()?;
        fleet.serves().await?;
        let doors = fleet.doors();
        eprintln!("loadtest: a cluster of {shape} serves at {}", doors.join(", "));
        self.start(&mut fleet, 0)?;
        if let Some(reason) = self.refusal(&doors).await? {
            outcome.add(Verdict::Refused, reason);
            return Ok(outcome);
        }
        let mut trial = Trial::start(self.load.load(), &doors, &[]).await?;
        trial.run(Phase::Aside, WARM_UP).await?;
        eprintln!("loadtest: control, {} s", self.seconds);
        trial.run(Phase::Control, Duration::from_secs(self.seconds)).await?;
        let there_and_back = if self.back { vec![self.to, self.from] } else { vec![self.to] };
        let steps = (0..self.rounds).flat_map(|round| there_and_back.iter().map(move |&nodes| (round, nodes)));
        let mut marks = Vec::new();
        for (round, nodes) in steps {
            if round > 0 && nodes == self.to {
                trial.shared.enter(Phase::Aside);
                self.start(&mut fleet, round)?;
                trial.run(Phase::Aside, WARM_UP).await?;
            }
            trial.run(Phase::Before, BEFORE).await?;
            marks.push((trial.shared.begun.elapsed(), format!("{} → {nodes}", self.layer)));
            self.step((round, nodes), &fleet, &mut trial, &mut outcome).await?;
            let topology = fleet.topology().await?;
            let doors = topology.nodes.iter().filter(|node| !node.leaving && !node.client_address.is_empty());
            trial.shared.move_doors(doors.map(|node| node.client_address.clone()).collect());
        }
        trial.run(Phase::Aside, AFTERWARDS).await?;
        let (findings, shared) = trial.finish().await?;
        outcome.judge(&findings, true);
        outcome.said = shared.said();
        outcome.latency_us_control = Latency::of(&trial::latency(&shared, Phase::Control)?);
        outcome.latency_us_before = Some(Latency::of(&trial::latency(&shared, Phase::Before)?));
        outcome.latency_us_during = Latency::of(&trial::latency(&shared, Phase::During)?);
        outcome.acknowledged_us_control = Latency::of(&shared.operations(Phase::Control));
        outcome.acknowledged_us_during = Latency::of(&shared.operations(Phase::During));
        let millis = |silence: Duration| silence.as_secs_f64() * 1e3;
        outcome.silent_ms_max = shared.silence(Phase::During).map(millis);
        outcome.silent_ms_control = shared.silence(Phase::Control).map(millis);
        bound(&mut outcome);
        if let Some(path) = &self.plot {
            let chart = crate::chart::throughput(&outcome.run, &shared, &marks);
            std::fs::write(path, chart).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(outcome)
    }

    /// Starts the nodes that are to come in a round.
    fn start(&self, fleet: &mut Fleet, round: u16) -> Result<()> {
        for ordinal in self.from..self.to {
            fleet.start(Role::Of(self.layer), &format!("a-{}-{round}-{ordinal}", self.layer))?;
        }
        Ok(())
    }

    /// Why the cluster would not do it, if it would not.
    async fn refusal(&self, doors: &[String]) -> Result<Option<String>> {
        let mut shape = Client::connect(doors.to_vec()).await?.shape().await?;
        let deadline = Instant::now() + CHANGES_WITHIN;
        loop {
            match shape.ask("", self.request(self.to), Earnest::DryRun).await {
                Ok(_) => return Ok(None),
                // The nodes that were started last may not be registered yet.
                Err(ShapeError::Refused { code: tonic::Code::ResourceExhausted, .. } | ShapeError::Unavailable(_))
                    if Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(ShapeError::Refused { message, .. }) => return Ok(Some(message)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn request(&self, nodes: u16) -> ShapeRequest {
        ShapeRequest::Scale { layer: to_layer(self.layer), replicas: u32::from(nodes) }
    }

    /// Asks for so many nodes and waits for the end of it.
    async fn step(
        &self,
        (round, nodes): (u16, u16),
        fleet: &Fleet,
        trial: &mut Trial,
        outcome: &mut Outcome,
    ) -> Result<()> {
        trial.shared.enter(Phase::During);
        let asked = Instant::now();
        let id = format!("loadtest-{round}-{nodes}");
        let (doors, request) = (fleet.doors(), self.request(nodes));
        let ended = tokio::time::timeout(CHANGES_WITHIN, async {
            loop {
                match ask_and_wait(&doors, &id, &request).await {
                    Err(ShapeError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                    other => return other,
                }
            }
        });
        let operation = match ended.await {
            Err(_) => bail!("the change has not ended within {CHANGES_WITHIN:?}"),
            Ok(operation) => operation.context("ask for the change")?,
        };
        let took = asked.elapsed();
        let progress = operation.progress.clone().unwrap_or_default();
        eprintln!("loadtest: {} took {} ms", operation.request, took.as_millis());
        if operation.state() != OperationState::Succeeded {
            outcome
                .add(Verdict::Broken, format!("{}: {:?} {}", operation.request, operation.state(), operation.reason));
        }
        outcome.duration_ms = outcome.duration_ms.max(u64::try_from(took.as_millis())?);
        outcome.slices_moved += u64::from(progress.slices_moved);
        outcome.bytes_moved += progress.bytes_moved;
        tokio::time::sleep(AFTERWARDS).await;
        trial.check().await
    }
}

/// Bounds on time.
fn bound(outcome: &mut Outcome) {
    let (control, during) = (outcome.latency_us_control.p99, outcome.latency_us_during.p99);
    if control > CONTROL_US_MAX {
        let reason = format!(
            "p99 of the control is {control} us, must be at most {CONTROL_US_MAX}: the machine is too busy to tell"
        );
        outcome.add(Verdict::Void, reason);
        return;
    }
    if during >= 2 * control {
        outcome
            .add(Verdict::Late, format!("p99 during is {during} us, must be below twice the control's {control} us"));
    }
    let silent_max = SILENT_MAX.as_secs_f64() * 1e3;
    match outcome.silent_ms_max {
        Some(silent) if silent > silent_max => {
            outcome.add(Verdict::Late, format!("{silent:.1} ms of silence, must be at most {silent_max} ms"));
        }
        Some(_) | None => {}
    }
    let acknowledged = outcome.acknowledged_us_during.p99;
    if acknowledged >= ACKNOWLEDGED_US_MAX {
        let reason =
            format!("p99 of acknowledged operations is {acknowledged} us, must be below {ACKNOWLEDGED_US_MAX}");
        outcome.add(Verdict::Late, reason);
    }
}

/// Asks for a change under this id and waits for its end; may be repeated.
async fn ask_and_wait(doors: &[String], id: &str, request: &ShapeRequest) -> Result<Operation, ShapeError> {
    let unavailable = |error: &dyn std::error::Error| ShapeError::Unavailable(error.to_string());
    let client = Client::connect(doors.to_vec()).await.map_err(|error| unavailable(&error))?;
    let mut shape = client.shape().await?;
    let asked = shape.ask(id, request.clone(), Earnest::Done).await?;
    let has_ended = |operation: &Operation| {
        !matches!(operation.state(), OperationState::Requested | OperationState::Running | OperationState::Unspecified)
    };
    if has_ended(&asked) {
        return Ok(asked);
    }
    // The connection point that is asked may itself be the one that goes.
    let mut watched = shape.watch(id).await.map_err(|error| unavailable(&error))?;
    while let Some(changed) = watched.next().await.map_err(|error| unavailable(&error))? {
        if let Some(operation) = changed.into_iter().find(|operation| operation.id == id && has_ended(operation)) {
            return Ok(operation);
        }
    }
    Err(ShapeError::Unavailable("the connection point has gone".to_owned()))
}
