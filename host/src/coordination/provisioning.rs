//! Sees to it that there are as many nodes as a leader says there should be: starts processes, or runs what the operator configured.
//! Decides nothing: how many are needed is the coordinator's to say, and what it says is acted on again until it is so.
//!
//! Processes that it started live on when the coordinator ends; the next leader finds them registered. They end themselves when a
//! layout goes on without them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::Layer;
use gomera_coordinator::supply::Need;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::Instant;

/// How often it looks whether what it did has helped.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Before it tries again what failed, twice as long each time up to the second.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// A command that ended well and did not help is run again after so long, and a process that does not register is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of what a command printed, so much is told.
const WORDS_MAX: usize = 200;

/// How a process of a node is started: `PROGRAM LAYER ARGUMENTS… --name NAME`.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// What every node of a layer is told.
    pub arguments: BTreeMap<Layer, Vec<OsString>>,
}

/// What provides nodes.
#[derive(Clone, Debug)]
pub enum Provider {
    /// Processes on this machine.
    Processes(Launch),
    /// A command.
    Command {
        /// For `sh -c`.
        line: String,
        /// The name of the cluster.
        cluster: Arc<str>,
        /// How long it may take.
        within: Duration,
    },
}

/// What is needed, and who is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// By layer; empty while another coordinator leads.
    pub needs: BTreeMap<Layer, Need>,
    /// Names of those that are registered.
    pub names: BTreeSet<(Layer, Arc<str>)>,
}

/// Why nodes of a layer do not come.
pub type Shortages = BTreeMap<Layer, String>;

/// Provides nodes until it is dropped.
#[derive(Debug)]
pub struct Provisioning {
    wanted: watch::Sender<Wanted>,
    shortages: watch::Receiver<Shortages>,
    task: tokio::task::JoinHandle<()>,
}

impl Provisioning {
    /// Begins.
    #[must_use]
    pub fn start(provider: Provider) -> Self {
        let (wanted, wanted_receiver) = watch::channel(Wanted::default());
        let (shortages_sender, shortages) = watch::channel(Shortages::new());
        let task = Task {
            provider,
            wanted: wanted_receiver,
            shortages: shortages_sender,
            started: Vec::new(),
            tries: BTreeMap::new(),
        };
        Self { wanted, shortages, task: tokio::spawn(task.run()) }
    }

    /// Says what is needed now.
    pub fn want(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|known| {
            let changed = *known != wanted;
            *known = wanted;
            changed
        });
    }

    /// Why nodes do not come; the receiver is told of every change.
    #[must_use]
    pub fn shortages(&self) -> watch::Receiver<Shortages> {
        self.shortages.clone()
    }
}

impl Drop for Provisioning {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A process that has been started and has not ended.
struct Started {
    layer: Layer,
    name: Arc<str>,
    process: Child,
    since: Instant,
    has_registered: bool,
}

/// What was tried for a layer.
#[derive(Clone, Copy, Default)]
struct Tries {
    /// For how many nodes, and when; `None` before the first command.
    last: Option<(u16, Instant)>,
    /// In a row.
    failures: u32,
    not_before: Option<Instant>,
}

struct Task {
    provider: Provider,
    wanted: watch::Receiver<Wanted>,
    shortages: watch::Sender<Shortages>,
    started: Vec<Started>,
    tries: BTreeMap<Layer, Tries>,
}

impl Task {
    async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = self.wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                _ = look.tick() => {}
            }
            let wanted = self.wanted.borrow_and_update().clone();
            self.reap(&wanted);
            for (&layer, &need) in &wanted.needs {
                match self.provider.clone() {
                    Provider::Processes(launch) => self.start_processes(&launch, layer, need, &wanted.names),
                    Provider::Command { line, cluster, within } => {
                        self.run_command(&line, &cluster, within, layer, need).await;
                    }
                }
            }
        }
    }

    /// Looks at what has been started.
    fn reap(&mut self, wanted: &Wanted) {
        let now = Instant::now();
        let mut troubles = Vec::new();
        let (tries, shortages) = (&mut self.tries, &self.shortages);
        self.started.retain_mut(|started| {
            if !started.has_registered && wanted.names.contains(&(started.layer, started.name.clone())) {
                started.has_registered = true;
                tries.remove(&started.layer);
                shortages.send_if_modified(|shortages| shortages.remove(&started.layer).is_some());
            }
            let ended = match started.process.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(describe(status)),
                Err(error) => Some(format!("cannot be waited for: {error}")),
            };
            match ended {
                Some(how) if started.has_registered => {
                    tracing::info!(layer = %started.layer, name = %started.name, "a process that was started here {how}");
                }
                Some(how) => troubles.push((started.layer, format!("{} {how} before it registered", started.name))),
                None if !started.has_registered && now - started.since > PATIENCE => {
                    troubles.push((started.layer, format!("{} did not register within {PATIENCE:?}", started.name)));
                    if let Err(error) = started.process.start_kill() {
                        tracing::warn!(%error, name = %started.name, "it cannot be ended");
                    }
                }
                None => return true,
            }
            false
        });
        for (layer, trouble) in troubles {
            self.failed(layer, trouble);
        }
    }

    fn start_processes(&mut self, launch: &Launch, layer: Layer, need: Need, names: &BTreeSet<(Layer, Arc<str>)>) {
        let under_way = self.started.iter().filter(|started| started.layer == layer && !started.has_registered);
        let there = usize::from(need.there) + under_way.count();
        for _ in there..usize::from(need.needed) {
            if self.must_wait(layer) {
                return;
            }
            let is_free = |name: &Arc<str>| {
                !names.contains(&(layer, name.clone()))
                    && self.started.iter().all(|started| started.layer != layer || started.name != *name)
            };
            let mut candidates = (1_usize..).map(|number| Arc::<str>::from(format!("{layer}-{number}")));
            let Some(name) = candidates.find(is_free) else { return };
            let mut command = Command::new(&launch.program);
            command.arg(layer.name()).args(launch.arguments.get(&layer).into_iter().flatten());
            // A group of its own: what is typed at the coordinator's terminal is not for it.
            command.arg("--name").arg(name.as_ref()).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
            match command.spawn() {
                Ok(process) => {
                    tracing::info!(%layer, %name, id = process.id(), "a node is started");
                    let since = Instant::now();
                    self.started.push(Started { layer, name, process, since, has_registered: false });
                }
                Err(error) => {
                    let program = launch.program.display();
                    return self.failed(layer, format!("{program} cannot be started: {error}"));
                }
            }
        }
    }

    /// Runs the command if the number of nodes is not what it should be, and was not asked for a moment ago.
    async fn run_command(&mut self, line: &str, cluster: &str, within: Duration, layer: Layer, need: Need) {
        let tries = self.tries.entry(layer).or_default();
        let wants_fewer = tries.last.is_some_and(|(replicas, _)| replicas > need.needed);
        let is_asked = tries.last.is_some_and(|(replicas, at)| {
            replicas == need.needed && tries.failures == 0 && (need.there >= need.needed || at.elapsed() < PATIENCE)
        });
        if need.there >= need.needed && !wants_fewer {
            // What one day has to shrink is known from here on.
            tries.last.get_or_insert((need.needed, Instant::now()));
            self.shortages.send_if_modified(|shortages| shortages.remove(&layer).is_some());
            return;
        }
        if is_asked || self.must_wait(layer) {
            return;
        }
        tracing::info!(%layer, replicas = need.needed, line, "a command is run");
        let mut command = Command::new("sh");
        command.args(["-c", line]).stdin(Stdio::null()).kill_on_drop(true);
        command.env("GOMERA_CLUSTER", cluster).env("GOMERA_LAYER", layer.name());
        command.env("GOMERA_REPLICAS", need.needed.to_string());
        let trouble = match tokio::time::timeout(within, command.output()).await {
            Ok(Ok(output)) if output.status.success() => None,
            Ok(Ok(output)) => {
                let words = String::from_utf8_lossy(&output.stderr);
                let words = words.trim_end().lines().next_back().unwrap_or_default();
                let words: String = words.chars().take(WORDS_MAX).collect();
                let joint = if words.is_empty() { "" } else { ": " };
                Some(format!("the command {}{joint}{words}", describe(output.status)))
            }
            Ok(Err(error)) => Some(format!("the command cannot be run: {error}")),
            Err(_) => Some(format!("the command did not end within {within:?}")),
        };
        match trouble {
            Some(trouble) => self.failed(layer, trouble),
            None => {
                let last = Some((need.needed, Instant::now()));
                self.tries.insert(layer, Tries { last, ..Tries::default() });
                self.shortages.send_if_modified(|shortages| shortages.remove(&layer).is_some());
            }
        }
    }

    fn must_wait(&self, layer: Layer) -> bool {
        let not_before = self.tries.get(&layer).and_then(|tries| tries.not_before);
        not_before.is_some_and(|at| Instant::now() < at)
    }

    fn failed(&mut self, layer: Layer, trouble: String) {
        tracing::warn!(%layer, trouble, "a node does not come");
        let tries = self.tries.entry(layer).or_default();
        let (first, longest) = RETRY;
        let wait = first.saturating_mul(1 << tries.failures.min(10)).min(longest);
        tries.failures += 1;
        tries.not_before = Some(Instant::now() + wait);
        self.shortages.send_modify(|shortages| {
            shortages.insert(layer, trouble);
        });
    }
}

fn describe(status: ExitStatus) -> String {
    format!("ended with {status}")
}

#[cfg(test)]
mod tests;
