//! Runs the coordinator's machine over a coordination service: stands for election, reads everything there is to know after
//! each hint, tells the machine, and does the writes it asks for under the term. All decisions are the machine's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::{Address, Shard};
use gomera_cluster::layout::Settings;
use gomera_cluster::machine::Machine as _;
use gomera_cluster::report::Report;
use gomera_cluster::time::Instant;
use gomera_coordinator::config::{Config, ConfigError, validate_settings};
use gomera_coordinator::coordinator::Statistics;
use gomera_coordinator::registration::validate_name;
use gomera_coordinator::{Action, Coordinator, Event, Observation, Provisioner, Status};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::probing::{Probes, Probing, Suspects};
use super::provisioning::{Launch, Provider, Provisioning, Shortages, Wanted};
use super::rivalry::{Rival, Rivalry};
use super::store::Session;
use super::view::View;
use crate::node::IN_PROCESS;

use super::{Candidate, Coordination, CoordinationError, Hints, Reign, Topic};

/// Before trying again what failed.
const RETRY: Duration = Duration::from_millis(500);
/// How long hints are collected before anything is read: what nodes say of one layout comes together.
const READ_AFTER: Duration = Duration::from_millis(10);
/// After a layout is in force nothing is read or written for so long: what nodes do now, clients wait for, and hardly anything that they
/// report comes earlier.
const QUIET: Duration = Duration::from_millis(50);
/// So long after things have changed people are told how they stand then.
const SAID_AFTER: Duration = Duration::from_millis(200);
/// How long resigning may take when the service does not answer.
const RESIGN_WITHIN: Duration = Duration::from_secs(2);
/// How long one that led waits for the session of who replaced it, whatever it hears of it.
const UNSEATS_AFTER: Duration = Duration::from_secs(60);
/// Writes after one reading. A first layout takes two, an operation a few; more can only be others interfering, who cause hints.
const WRITES_MAX: usize = 16;

/// How one coordinator stands and what it has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoordinatorReport {
    /// Whether it leads, and what it waits for.
    pub status: Status,
    /// Counters and gauges.
    pub statistics: Statistics,
}

/// A coordinator that runs. Dropping it ends it as a crash would, but for the session.
#[derive(Debug)]
pub struct Coordinating {
    report: watch::Receiver<CoordinatorReport>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Coordinating {
    /// Begins to stand for election and to coordinate when elected. `settings` are those that the cluster was settled with
    /// ([`Coordination::settle`]). `launch` says how processes of nodes are started; for the provisioner `process`.
    ///
    /// # Errors
    /// If a setting is out of range, or nodes are to be processes and nobody says how.
    pub fn start(
        coordination: Coordination,
        candidate: Candidate,
        config: Config,
        settings: Settings,
        launch: Option<Launch>,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let provisioning = provider(&config, coordination.cluster(), launch)?.map(Provisioning::start);
        let shortages = match &provisioning {
            Some(provisioning) => provisioning.shortages(),
            // Never changes.
            None => watch::channel(Shortages::new()).1,
        };
        validate_settings(&settings)?;
        validate_name("name", &candidate.name)?;
        let (report_sender, report) = watch::channel(CoordinatorReport::default());
        let (stop, stopped) = watch::channel(false);
        let topics = [&View::TOPICS[..], &[Topic::Leadership]].concat();
        let session = coordination.session();
        let known = *session.borrow();
        let probing = Probing::start();
        let rivalry = Rivalry::start(config.silence);
        let task = Task {
            hints: coordination.hints(&topics),
            known,
            session,
            view: View::new(&coordination),
            leader_may_differ: true,
            published: None,
            unsaid: None,
            begun: tokio::time::Instant::now(),
            standing: Standing::Following,
            machine: Coordinator::new(config.clone(), settings),
            report: report_sender,
            stop: stopped,
            coordination,
            candidate,
            config,
            provisioning,
            shortages,
            probes: probing.probes(),
            probing,
            fallen: rivalry.fallen(),
            rivalry,
            deposed: None,
        };
        Ok(Self { report, stop, task: tokio::spawn(task.run()) })
    }

    /// How it stands; the receiver is told of every change.
    #[must_use]
    pub fn report(&self) -> watch::Receiver<CoordinatorReport> {
        self.report.clone()
    }

    /// Resigns and ends. Waits for that for two seconds at most.
    pub async fn resign(mut self) {
        self.stop.send_replace(true);
        // Whatever is left then goes with the session.
        if tokio::time::timeout(RESIGN_WITHIN, &mut self.task).await.is_err() {
            tracing::warn!("resigned without having been able to say so");
        }
    }
}

impl Drop for Coordinating {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Who provides nodes. `launch` is how their processes are started, if this process knows.
fn provider(config: &Config, cluster: &str, launch: Option<Launch>) -> Result<Option<Provider>, ConfigError> {
    match (config.provisioner, launch) {
        (Provisioner::Pool | Provisioner::Everybody, _) => Ok(None),
        (Provisioner::Process, Some(launch)) => Ok(Some(Provider::Processes(launch))),
        (Provisioner::Process, None) => {
            let right = "`pool`, `command` or `everybody` where all nodes are in one process";
            Err(ConfigError::new("provisioner", "process", right))
        }
        (Provisioner::Command, _) => {
            let (line, within) = (config.command.clone(), config.command_within);
            Ok(Some(Provider::Command { line, cluster: Arc::from(cluster), within }))
        }
    }
}

struct Task {
    coordination: Coordination,
    candidate: Candidate,
    config: Config,
    hints: Hints,
    session: watch::Receiver<Session>,
    /// The session as it stood when last looked at.
    known: Session,
    view: View,
    /// Whether who leads may have changed. Nobody could write who does not lead any more: this is to find out early.
    leader_may_differ: bool,
    /// The status that stands there, if it is known.
    published: Option<Status>,
    /// When it is to be told where things stand, if they stand otherwise than is told there.
    unsaid: Option<Instant>,
    begun: tokio::time::Instant,
    standing: Standing,
    machine: Coordinator,
    report: watch::Sender<CoordinatorReport>,
    stop: watch::Receiver<bool>,
    provisioning: Option<Provisioning>,
    shortages: watch::Receiver<Shortages>,
    /// Asks those directly whom something speaks against.
    probing: Probing,
    probes: watch::Receiver<Probes>,
    /// Watches whoever stands before this candidate.
    rivalry: Rivalry,
    fallen: watch::Receiver<Option<Rival>>,
    /// When this candidate led last, if it does not any more.
    deposed: Option<tokio::time::Instant>,
}

enum Standing {
    Following,
    Leading(Reign),
}

impl Task {
    async fn run(mut self) {
        let mut failed = false;
        loop {
            let now = self.now();
            let due = || self.machine.poll_timeout().into_iter().chain(self.unsaid).min();
            let wake = if failed { Some(now + RETRY) } else { due() };
            let timeout = async {
                match wake {
                    Some(at) => tokio::time::sleep(at.since(now)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.hints.next() => tokio::time::sleep(READ_AFTER).await,
                Ok(()) = self.session.changed() => {}
                Ok(()) = self.shortages.changed() => {}
                Ok(()) = self.probes.changed() => {}
                Ok(()) = self.fallen.changed() => {}
                () = timeout => {}
                // Also when the handle is gone.
                _ = self.stop.changed() => {
                    self.resign().await;
                    return;
                }
            }
            let news = self.hints.news();
            if news.contains(&Topic::Leadership) {
                (self.leader_may_differ, self.published) = (true, None);
            }
            self.view.doubt(news);
            let outcome = self.step().await;
            failed = outcome.is_err();
            if let Err(error) = outcome {
                self.doubt_everything();
                self.complain(&error);
                self.say_all_the_same().await;
            }
            self.tell();
            self.provide();
        }
    }

    /// Says what is needed to who provides it.
    fn provide(&self) {
        if let Some(provisioning) = &self.provisioning {
            let names = self.machine.names().collect();
            provisioning.want(Wanted { needs: self.machine.needs(), names });
        }
    }

    /// Reads what may have changed, tells the machine, and does what it asks for, until it asks for nothing.
    async fn step(&mut self) -> Result<(), CoordinationError> {
        self.look_at_session();
        if self.leader_may_differ
            && let Standing::Leading(reign) = &self.standing
            && !self.coordination.reigns(reign).await?
        {
            self.depose();
        }
        let reign = match &self.standing {
            Standing::Leading(reign) => {
                let reign = reign.clone();
                let observation = self.observe().await?;
                self.machine.handle(self.now(), Event::Observed(observation));
                reign
            }
            Standing::Following => {
                self.unseat_fallen().await?;
                if !self.leader_may_differ {
                    return Ok(());
                }
                let Some(reign) = self.coordination.stand(&self.candidate).await? else {
                    self.rivalry.watch(self.coordination.rival(&self.candidate).await?);
                    self.leader_may_differ = false;
                    return Ok(());
                };
                self.rivalry.watch(None);
                self.coordination.want_initially(&self.config.desired).await?;
                self.coordination.publish_supply(&reign, &self.config.supply()).await?;
                self.doubt_everything();
                let observation = self.observe().await?;
                tracing::info!(term = reign.term.0, name = %self.candidate.name, "this coordinator leads");
                self.machine.handle(self.now(), Event::Elected { term: reign.term, observation });
                self.standing = Standing::Leading(reign.clone());
                // What stands there was said by the one before.
                self.unsaid = Some(self.now());
                reign
            }
        };
        self.leader_may_differ = false;
        for _ in 0..WRITES_MAX {
            let mut actions = Vec::new();
            self.machine.drain_actions(&mut actions);
            if actions.is_empty() {
                break;
            }
            self.tell();
            for action in &actions {
                self.write(&reign, action).await?;
            }
            let observation = self.observe().await?;
            self.machine.handle(self.now(), Event::Observed(observation));
        }
        self.say(&reign).await
    }

    /// Whoever stands before this candidate and does not answer any more stands there no longer; unless this one was unseated lately itself:
    /// two that cannot reach each other would take turns.
    async fn unseat_fallen(&mut self) -> Result<(), CoordinationError> {
        let fallen = self.fallen.borrow_and_update().clone();
        let Some(rival) = fallen.filter(|_| self.deposed.is_none_or(|at| at.elapsed() > UNSEATS_AFTER)) else {
            return Ok(());
        };
        tracing::warn!(candidacy = %rival.candidacy, address = %rival.address, "who leads does not answer any more");
        self.coordination.unseat(&rival).await?;
        self.leader_may_differ = true;
        Ok(())
    }

    fn doubt_everything(&mut self) {
        self.leader_may_differ = true;
        self.published = None;
        self.view.doubt(View::TOPICS);
    }

    /// Another session ends the reign; an interruption of the same one is told to the machine.
    fn look_at_session(&mut self) {
        let session = *self.session.borrow_and_update();
        if session != self.known {
            self.doubt_everything();
        }
        if session.number != self.known.number {
            self.depose();
        } else if session.interruptions != self.known.interruptions {
            self.machine.handle(self.now(), Event::Interrupted);
        }
        self.known = session;
    }

    fn depose(&mut self) {
        if let Standing::Leading(reign) = &self.standing {
            tracing::warn!(term = reign.term.0, name = %self.candidate.name, "this coordinator leads no longer");
            // Nothing is to be told any more: waiting for that moment, which passes, would be waiting for nothing for ever.
            self.unsaid = None;
            self.machine.handle(self.now(), Event::Deposed);
            self.probing.suspect(Suspects::new());
            self.standing = Standing::Following;
            self.deposed = Some(tokio::time::Instant::now());
        }
    }

    async fn observe(&mut self) -> Result<Observation, CoordinationError> {
        self.view.read(&self.coordination).await?;
        let View { members, desired, layout, proposed, operations, acknowledgements: said, .. } = &self.view;
        let by_shard = |node, shards: &[Report]| {
            let addresses = (0_u16..).map(move |shard| Address { node, shard: Shard(shard) });
            addresses.zip(shards.iter().cloned()).collect::<Vec<_>>()
        };
        let observation = Observation {
            members: members.clone(),
            desired: *desired,
            layout: layout.clone(),
            proposed: proposed.clone(),
            acknowledged: said.iter().map(|(&node, said)| (node, said.epoch)).collect(),
            reports: said.iter().flat_map(|(&node, said)| by_shard(node, &said.shards)).collect(),
            operations: operations.clone(),
            probes: self.probes.borrow_and_update().clone(),
            supply: self.config.supply(),
            shortages: self.shortages.borrow_and_update().clone(),
        };
        let unreachable: BTreeSet<_> = said.values().flat_map(|said| said.unreachable.iter().copied()).collect();
        let mut suspects = observation.suspects(&unreachable);
        // Nodes of one process reach each other without ports.
        suspects.retain(|_, address| **address != *IN_PROCESS);
        self.probing.suspect(suspects);
        Ok(observation)
    }

    async fn write(&mut self, reign: &Reign, action: &Action) -> Result<(), CoordinationError> {
        // As they were when the machine decided, if nothing speaks against that.
        let known = self.view.known();
        self.view.writes(match action {
            Action::Propose(_) => vec![Topic::Proposed],
            Action::Commit(_) => vec![Topic::Layout],
            Action::Journal(entry) if entry.wish.is_some() => vec![Topic::Operations, Topic::Desired],
            Action::Journal(_) | Action::Forget(..) => vec![Topic::Operations],
        });
        let (written, what, epoch) = match action {
            Action::Propose(layout) => {
                (self.coordination.propose_after(reign, layout, Some(known)).await, "proposed a layout", layout.epoch.0)
            }
            Action::Commit(layout) => {
                (self.coordination.commit_after(reign, layout, Some(known)).await, "committed a layout", layout.epoch.0)
            }
            Action::Journal(entry) => {
                tracing::info!(id = %entry.id, request = %entry.operation.request, "an operation comes further");
                return self.coordination.journal(reign, entry).await;
            }
            Action::Forget(id, version) => return self.coordination.forget(reign, id, *version).await,
        };
        match written {
            Ok(()) => {
                tracing::info!(term = reign.term.0, epoch, "{what}");
                if matches!(action, Action::Commit(_)) {
                    tokio::time::sleep(QUIET).await;
                }
                Ok(())
            }
            // What stands there is read next.
            Err(error @ CoordinationError::Superseded { .. }) => {
                tracing::warn!(%error, "reading again");
                self.doubt_everything();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Tells people where things stand: here at once, in the coordination service a moment after it changed, and no more often.
    async fn say(&mut self, reign: &Reign) -> Result<(), CoordinationError> {
        self.tell();
        let (status, now) = (self.machine.status(), self.now());
        if self.published.as_ref() == Some(&status) {
            self.unsaid = None;
        } else if *self.unsaid.get_or_insert(now + SAID_AFTER) <= now {
            self.coordination.publish_status(reign, &status).await?;
            (self.published, self.unsaid) = (Some(status), None);
        }
        Ok(())
    }

    /// The same where something could not be done, which may last: people look there to know why.
    async fn say_all_the_same(&mut self) {
        let Standing::Leading(reign) = &self.standing else { return };
        let reign = reign.clone();
        if let Err(error) = self.say(&reign).await {
            tracing::debug!(%error, "nobody is told where things stand");
        }
    }

    fn tell(&self) {
        let report = CoordinatorReport { status: self.machine.status(), statistics: *self.machine.statistics() };
        self.report.send_if_modified(|told| {
            if told.status != report.status {
                tracing::info!(name = %self.candidate.name, "{}", report.status);
            }
            let changed = *told != report;
            *told = report;
            changed
        });
    }

    fn complain(&mut self, error: &CoordinationError) {
        match error {
            CoordinationError::Unavailable { .. } => tracing::debug!(%error, "the coordinator waits"),
            CoordinationError::Fenced { .. } => self.depose(),
            CoordinationError::Superseded { .. } => tracing::warn!(%error, "reading again"),
            CoordinationError::Damaged { .. } | CoordinationError::OtherSettings { .. } => {
                tracing::error!(%error, "the coordinator can do nothing until this is repaired");
            }
        }
    }

    async fn resign(&mut self) {
        self.machine.handle(self.now(), Event::Deposed);
        if let Err(error) = self.coordination.resign(&self.candidate).await {
            tracing::warn!(%error, "the candidacy goes with the session");
        }
        self.tell();
    }

    fn now(&self) -> Instant {
        Instant::from_start(self.begun.elapsed())
    }
}
