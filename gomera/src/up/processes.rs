//! A cluster of processes over ZooKeeper: one child for each node and one for the coordinator, all of this binary.
//!
//! A child tells by JSON lines on its standard output when its ports are open and when it serves. It holds the reading end of
//! a pipe as its standard input and stops in good order when the pipe closes: when we say so, or when we die. It is in a
//! process group of its own, so that Ctrl-C reaches us alone and we decide the order: connection points first (their
//! clients go elsewhere or are served to the end), the coordinator last. Who has not ended by the deadline is killed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use gomera_cluster::address::Layer;
use gomera_coordinator::Desired;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::configuration::Configuration;
use crate::exit::{Failure, Outcome, Reason};
use crate::node::Told;
use crate::output;
use crate::signals;

/// Beyond what clients are given, a process may need this much to end.
const END_SLACK: Duration = Duration::from_secs(6);

/// A cluster that does not serve by then is explained.
const SERVES_SOON: Duration = Duration::from_secs(5);

/// What children are called in messages.
type Label = String;

/// What happens to children.
#[derive(Debug)]
enum News {
    Told(usize, Told),
    Ended(usize, std::io::Result<ExitStatus>),
}

/// One process.
#[derive(Debug)]
struct Child {
    label: Label,
    /// `None`: the coordinator.
    layer: Option<Layer>,
    id: u32,
    /// Dropped to make it stop.
    leash: Option<ChildStdin>,
    kill: Option<oneshot::Sender<()>>,
    state: State,
    clients: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Serving,
    Ended,
}

/// Told with `--json`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Report<'a> {
    Process { label: &'a str, id: u32 },
    Died { label: &'a str, id: u32, how: String },
}

/// Runs the cluster until it is told to stop.
pub async fn run(configuration: &Configuration, file: Option<&Path>, nodes: Desired, json: bool) -> Outcome {
    let mut told_to_stop = signals::interrupted();
    let (sender, mut news) = mpsc::channel(64);
    let mut cluster = Cluster { children: Vec::new(), json };
    let outcome = match cluster.spawn_all(configuration, file, nodes, &sender) {
        Err(failure) => Err(failure),
        Ok(()) => tokio::select! {
            outcome = cluster.supervise(configuration, nodes, &mut news) => outcome,
            () = &mut told_to_stop => Ok(()),
        },
    };
    let stopped = cluster.stop(configuration.stop_within, &mut news).await;
    outcome.and(stopped)
}

#[derive(Debug)]
struct Cluster {
    children: Vec<Child>,
    json: bool,
}

impl Cluster {
    fn spawn_all(
        &mut self,
        configuration: &Configuration,
        file: Option<&Path>,
        nodes: Desired,
        news: &mpsc::Sender<News>,
    ) -> Outcome {
        let mut started = 0_u16;
        for layer in Layer::ALL {
            for ordinal in 1..=nodes.of(layer) {
                let mut arguments = vec![layer.to_string()];
                if layer == Layer::ConnectionPoint {
                    let address = nth(configuration.listen, ordinal - 1)?;
                    arguments.extend(["--listen".into(), address.to_string()]);
                }
                let links = SocketAddr::new(configuration.link_listen.ip(), 0);
                arguments.extend(["--link-listen".into(), links.to_string()]);
                arguments.extend(["--shards".into(), configuration.shards.to_string()]);
                arguments.extend(["--threads".into(), configuration.threads.to_string()]);
                arguments.extend(["--workers".into(), configuration.workers.to_string()]);
                let metrics = nth(configuration.metrics_listen, started)?;
                self.spawn(configuration, file, Some(layer), format!("{layer}-{ordinal}"), metrics, arguments, news)?;
                started += 1;
            }
        }
        let arguments = vec!["coordinator".into(), "--nodes".into(), nodes.to_string()];
        let metrics = nth(configuration.metrics_listen, started)?;
        self.spawn(configuration, file, None, "coordinator".into(), metrics, arguments, news)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is one part of a command line; a struct would only rename them"
    )]
    fn spawn(
        &mut self,
        configuration: &Configuration,
        file: Option<&Path>,
        layer: Option<Layer>,
        label: Label,
        metrics: SocketAddr,
        mut arguments: Vec<String>,
        news: &mpsc::Sender<News>,
    ) -> Outcome {
        for (flag, value) in [
            ("--name", label.clone()),
            ("--cluster", configuration.cluster.clone()),
            ("--zookeeper", configuration.zookeeper.servers.clone()),
            ("--metrics-listen", metrics.to_string()),
            ("--stop-within", format!("{}ms", configuration.stop_within.as_millis())),
            ("--log", configuration.log.clone()),
            ("--log-format", configuration.log_format.to_string()),
        ] {
            arguments.extend([flag.to_owned(), value]);
        }
        let program = std::env::current_exe().map_err(|error| Failure::new(Reason::Internal, error))?;
        let mut command = Command::new(program);
        command.args(arguments).args(["--json", "--supervised"]);
        if let Some(file) = file {
            command.arg("--config").arg(file);
        }
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).kill_on_drop(true).spawn().map_err(
                |error| Failure::new(Reason::Internal, anyhow::Error::new(error).context(format!("start {label}"))),
            )?;
        let index = self.children.len();
        let id = process.id().unwrap_or_default();
        let leash = process.stdin.take();
        if let Some(out) = process.stdout.take() {
            tokio::spawn(listen(index, out, news.clone()));
        }
        let (kill, killed) = oneshot::channel();
        let ended = news.clone();
        tokio::spawn(async move {
            let status = tokio::select! {
                status = process.wait() => status,
                Ok(()) = killed => {
                    // It may have ended by itself in this moment.
                    let _gone = process.start_kill();
                    process.wait().await
                }
            };
            let _nobody_listens = ended.send(News::Ended(index, status)).await;
        });
        if self.json {
            output::json(&Report::Process { label: &label, id })?;
        }
        self.children.push(Child {
            label,
            layer,
            id,
            leash,
            kill: Some(kill),
            state: State::Starting,
            clients: None,
            metrics: None,
        });
        Ok(())
    }

    /// Says when all serve, and who dies. Ends when a child ends before that, or when none is left.
    async fn supervise(
        &mut self,
        configuration: &Configuration,
        nodes: Desired,
        news: &mut mpsc::Receiver<News>,
    ) -> Outcome {
        let mut serves = false;
        let (explanation, mut is_explained) = (Instant::now() + SERVES_SOON, false);
        loop {
            let news = tokio::select! {
                news = news.recv() => news,
                () = tokio::time::sleep_until(explanation), if !serves && !is_explained => {
                    is_explained = true;
                    self.explain_waiting(configuration);
                    continue;
                }
            };
            let Some(news) = news else { break };
            match news {
                News::Told(index, Told::Started { clients, metrics, .. }) => {
                    self.children[index].clients = clients;
                    self.children[index].metrics = metrics;
                }
                News::Told(index, Told::Serving) => self.children[index].state = State::Serving,
                News::Told(_, Told::Stopped { .. }) => {}
                News::Ended(index, status) => {
                    let child = &mut self.children[index];
                    child.state = State::Ended;
                    if !serves {
                        return Err(Failure::say(
                            Reason::Unavailable,
                            format!("{} ended before the cluster served: {}", child.label, describe(&status)),
                        ));
                    }
                    self.report_death(index, &status)?;
                    if self.children.iter().all(|child| child.state == State::Ended) {
                        return Err(Failure::say(Reason::Unavailable, "all processes have died"));
                    }
                }
            }
            if !serves && self.children.iter().all(|child| child.state == State::Serving) {
                serves = true;
                let clients: Vec<_> = self.children.iter().filter_map(|child| child.clients).collect();
                let metrics = self.children.iter();
                let metrics = metrics.filter_map(|child| child.metrics.map(|address| (child.label.as_str(), address)));
                let metrics: Vec<_> = metrics.collect();
                super::serving(configuration, nodes, "each in a process of its own", &clients, &metrics, self.json)?;
            }
        }
        Ok(())
    }

    /// Nodes wait for ZooKeeper, for each other, and for a coordinator to give them work, as long as it takes.
    fn explain_waiting(&self, configuration: &Configuration) {
        let waiting = self.children.iter().filter(|child| child.state == State::Starting);
        let waiting: Vec<_> = waiting.map(|child| child.label.as_str()).collect();
        eprintln!(
            "gomera: not serving yet: {}; if a cluster `{}` runs already over ZooKeeper at {}, it has the work, and this one needs \
             a name of its own: --cluster NAME (--log info tells more)",
            waiting.join(", "),
            configuration.cluster,
            configuration.zookeeper.servers,
        );
    }

    fn report_death(&self, index: usize, status: &std::io::Result<ExitStatus>) -> Outcome {
        let Child { label, id, .. } = &self.children[index];
        let how = describe(status);
        if self.json {
            output::json(&Report::Died { label, id: *id, how })?;
            return output::flush();
        }
        eprintln!("gomera: {label} (process {id}) died: {how}");
        Ok(())
    }

    /// Ends all: doors first, the coordinator last; kills who has not ended by the deadline, or at once when told again.
    async fn stop(&mut self, within: Duration, news: &mut mpsc::Receiver<News>) -> Outcome {
        let again = signals::told_again();
        tokio::pin!(again);
        let mut is_told_again = false;
        let (explanation, mut is_explained) = (Instant::now() + super::TELL_AFTER, self.json);
        let deadline = Instant::now() + within + END_SLACK;
        let doors = |child: &Child| child.layer == Some(Layer::ConnectionPoint);
        let others = |child: &Child| child.layer.is_some();
        let rest = |_: &Child| true;
        let mut killed = Vec::new();
        for stage in [&doors as &dyn Fn(&Child) -> bool, &others, &rest] {
            for child in self.children.iter_mut().filter(|child| stage(child)) {
                child.leash = None;
            }
            while self.children.iter().any(|child| stage(child) && child.state != State::Ended) {
                tokio::select! {
                    () = tokio::time::sleep_until(explanation), if !is_explained => {
                        is_explained = true;
                        eprintln!("gomera: stopping: clients that are still connected have {within:?} to leave; told again, it stops at once");
                    }
                    news = news.recv() => match news {
                        Some(News::Ended(index, _)) => self.children[index].state = State::Ended,
                        Some(News::Told(..)) => {}
                        None => return Ok(()),
                    },
                    () = tokio::time::sleep_until(deadline) => killed.extend(self.kill()),
                    () = &mut again, if !is_told_again => {
                        is_told_again = true;
                        killed.extend(self.kill());
                    }
                }
            }
        }
        if killed.is_empty() {
            return Ok(());
        }
        Err(Failure::say(Reason::Internal, format!("had to be killed: {}", killed.join(", "))))
    }

    fn kill(&mut self) -> Vec<Label> {
        let left = self.children.iter_mut().filter(|child| child.state != State::Ended);
        let mut killed = Vec::new();
        for child in left {
            if let Some(kill) = child.kill.take() {
                killed.push(child.label.clone());
                let _ended_just_now = kill.send(());
            }
        }
        killed
    }
}

/// Passes on what a child tells; anything else that it prints is printed.
async fn listen(index: usize, out: ChildStdout, news: mpsc::Sender<News>) {
    let mut lines = BufReader::new(out).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str::<Told>(&line) {
            Ok(told) => {
                if news.send(News::Told(index, told)).await.is_err() {
                    return;
                }
            }
            Err(_) => eprintln!("{line}"),
        }
    }
}

/// The address so many ports further; any free port stays any free port.
fn nth(first: SocketAddr, ordinal: u16) -> Outcome<SocketAddr> {
    if first.port() == 0 {
        return Ok(first);
    }
    let port = first.port().checked_add(ordinal).ok_or_else(|| {
        Failure::say(Reason::Configuration, format!("the ports from {} on do not suffice", first.port()))
    })?;
    Ok(SocketAddr::new(first.ip(), port))
}

fn describe(status: &std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("it cannot be waited for: {error}"),
    }
}
