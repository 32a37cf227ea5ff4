//! A node's side: it registers, again in every session and always under its incarnation, acknowledges proposals that name
//! it, and hands on the layouts that are committed. When the service is away it goes on with the layout it has.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::Incarnation;
use gomera_cluster::layout::{Epoch, Layout};
use gomera_cluster::report::Report;
use gomera_coordinator::config::ConfigError;
use gomera_coordinator::{NodeState, Registration};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::store::{Link, Session};
use super::{Acknowledgement, Coordination, CoordinationError, Held, Hints, LayoutReader, Topic};

/// Before trying again what failed, at most: a change of the session is tried at once.
const RETRY: Duration = Duration::from_millis(500);
/// How long after its machines a node says that it has a proposal, or which peers it does not reach: the others wait for that.
const URGENT_AFTER: Duration = Duration::from_millis(20);
/// How long what else machines report is collected: how far they are with what was decided. Nobody's messages wait for that.
const REPORT_AFTER: Duration = Duration::from_millis(100);
/// As [`REPORT_AFTER`], if only more was sent than before.
const PROGRESS_AFTER: Duration = Duration::from_millis(500);
/// What it follows.
const TOPICS: [Topic; 2] = [Topic::Layout, Topic::Proposed];
/// How long leaving may take when the service does not answer.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// Whether the layout in force names this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// There is no layout yet.
    NoLayout,
    /// It does.
    Named,
    /// It does not: the node has nothing to do.
    Idle,
}

/// How a node stands with its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipStatus {
    /// The connection to the coordination service.
    pub link: Link,
    /// The session it is registered in, 0 before the first.
    pub registered_in: u64,
    /// Its layout, 0 if it has none.
    pub epoch: Epoch,
    /// Whether that names it.
    pub naming: Naming,
}

/// A node's membership. Dropping it ends the task and leaves the registration to the session.
#[derive(Debug)]
pub struct Membership {
    layout: watch::Receiver<Option<Arc<Layout>>>,
    proposed: watch::Receiver<Option<Arc<Layout>>>,
    status: watch::Receiver<MembershipStatus>,
    wish: watch::Sender<Wish>,
    task: JoinHandle<()>,
}

/// Who says that a node has a proposal.
#[derive(Debug)]
pub enum Acknowledging {
    /// Nobody has to: it has it as soon as it was read.
    AtOnce,
    /// Its machines, by shard.
    ByMachines(Machines),
}

/// Reports of a node's machines, by shard. The node has a proposal when all of them do; what they report else is passed on as well.
#[derive(Debug)]
pub struct Machines {
    reports: watch::Receiver<Vec<Report>>,
    unreachable: watch::Receiver<BTreeSet<Incarnation>>,
    said: Acknowledgement,
}

impl Acknowledging {
    /// Machines that report there, and the peers that the node's links do not reach.
    #[must_use]
    pub fn by_machines(
        reports: watch::Receiver<Vec<Report>>,
        unreachable: watch::Receiver<BTreeSet<Incarnation>>,
    ) -> Self {
        Self::ByMachines(Machines { reports, unreachable, said: Acknowledgement::default() })
    }

    /// Waits until there is something new to say. If it is cancelled, it must be said.
    async fn changed(&mut self) {
        match self {
            Self::AtOnce => std::future::pending().await,
            Self::ByMachines(machines) => machines.changed().await,
        }
    }

    /// `read`: the last proposal that the node has read.
    fn say(&mut self, read: Epoch) -> Acknowledgement {
        match self {
            Self::AtOnce => Acknowledgement { epoch: read, ..Acknowledgement::default() },
            Self::ByMachines(machines) => machines.say(),
        }
    }
}

impl Machines {
    async fn changed(&mut self) {
        let mut say_at = self.pause().map(|pause| tokio::time::Instant::now() + pause);
        loop {
            let due = async {
                match say_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Ok(()) = self.reports.changed() => {}
                Ok(()) = self.unreachable.changed() => {}
                () = due => return,
            }
            let at = self.pause().map(|pause| tokio::time::Instant::now() + pause);
            say_at = say_at.into_iter().chain(at).min();
        }
    }

    /// For how long what is new since something was last said is collected.
    fn pause(&self) -> Option<Duration> {
        let (said, reports) = (&self.said.shards, &*self.reports.borrow());
        let is_urgent = (&self.said.epoch, &self.said.unreachable) != (&proposed(reports), &*self.unreachable.borrow());
        let but_bytes = |reports: &[Report]| -> Vec<Report> {
            reports.iter().map(|report| Report { snapshot_bytes: 0, ..report.clone() }).collect()
        };
        match () {
            () if is_urgent => Some(URGENT_AFTER),
            () if said == reports => None,
            () if but_bytes(said) == but_bytes(reports) => Some(PROGRESS_AFTER),
            () => Some(REPORT_AFTER),
        }
    }

    fn say(&mut self) -> Acknowledgement {
        let shards = self.reports.borrow_and_update().clone();
        let unreachable = self.unreachable.borrow_and_update().clone();
        self.said = Acknowledgement { epoch: proposed(&shards), shards, unreachable };
        self.said.clone()
    }
}

/// The last proposal that all machines have.
fn proposed(reports: &[Report]) -> Epoch {
    reports.iter().map(|report| report.proposed).min().unwrap_or_default()
}

/// What the node wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Stay(NodeState),
    Leave,
}

impl Membership {
    /// Begins to register the node and to follow layouts. Returns at once; [`Membership::layout`] tells when there is one.
    ///
    /// # Errors
    /// If the registration is not valid.
    pub fn start(
        coordination: Coordination,
        registration: Registration,
        acknowledging: Acknowledging,
    ) -> Result<Self, ConfigError> {
        registration.validate()?;
        let session = *coordination.session().borrow();
        let (layout_sender, layout) = watch::channel(None);
        let (proposed_sender, proposed) = watch::channel(None);
        let (wish, wish_receiver) = watch::channel(Wish::Stay(registration.state));
        let status = MembershipStatus {
            link: session.link,
            registered_in: 0,
            epoch: Epoch::default(),
            naming: Naming::NoLayout,
        };
        let (status_sender, status) = watch::channel(status);
        let task = Task {
            hints: coordination.hints(&TOPICS),
            session: coordination.session(),
            layout_reader: coordination.layout_reader(),
            proposal_reader: coordination.proposal_reader(),
            layout: layout_sender,
            proposed: proposed_sender,
            status: status_sender,
            wish: wish_receiver,
            coordination,
            registration,
            acknowledging,
            acknowledged: None,
            was_named: false,
        };
        Ok(Self { layout, proposed, status, wish, task: tokio::spawn(task.run()) })
    }

    /// The layout in force, newer ones as they are committed. `None` before the first.
    #[must_use]
    pub fn layout(&self) -> watch::Receiver<Option<Arc<Layout>>> {
        self.layout.clone()
    }

    /// The layout proposed last; handed on before it is acknowledged.
    #[must_use]
    pub fn proposed(&self) -> watch::Receiver<Option<Arc<Layout>>> {
        self.proposed.clone()
    }

    /// How the node stands with its cluster.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<MembershipStatus> {
        self.status.clone()
    }

    /// Says that the node is up or about to leave.
    pub fn set_state(&self, state: NodeState) {
        self.wish.send_replace(Wish::Stay(state));
    }

    /// Takes the registration away and ends. Waits for that for two seconds at most.
    pub async fn leave(mut self) {
        self.wish.send_replace(Wish::Leave);
        // Whatever is left then goes with the session.
        if tokio::time::timeout(LEAVE_WITHIN, &mut self.task).await.is_err() {
            tracing::warn!("left without having been able to say so");
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    coordination: Coordination,
    registration: Registration,
    acknowledging: Acknowledging,
    /// What it acknowledged last, and how it stands there.
    acknowledged: Option<(Held, Acknowledgement)>,
    hints: Hints,
    session: watch::Receiver<Session>,
    layout_reader: LayoutReader,
    proposal_reader: LayoutReader,
    layout: watch::Sender<Option<Arc<Layout>>>,
    proposed: watch::Sender<Option<Arc<Layout>>>,
    status: watch::Sender<MembershipStatus>,
    wish: watch::Receiver<Wish>,
    /// Whether a layout has named the node.
    was_named: bool,
}

impl Task {
    async fn run(mut self) {
        let mut failed = false;
        loop {
            tokio::select! {
                () = self.hints.next() => {}
                Ok(()) = self.session.changed() => {}
                Ok(()) = self.wish.changed() => {}
                () = self.acknowledging.changed(), if !failed => {}
                () = tokio::time::sleep(RETRY), if failed => {}
            }
            let wish = *self.wish.borrow_and_update();
            let outcome = match wish {
                Wish::Stay(state) => self.follow(state, failed).await,
                Wish::Leave => {
                    self.leave().await;
                    return;
                }
            };
            failed = outcome.is_err();
            match outcome {
                Ok(()) => {}
                // Whoever keeps the session logs that it is away.
                Err(CoordinationError::Unavailable { reason, .. }) => {
                    tracing::debug!(reason, node = %self.registration.name, "going on with the layout at hand");
                }
                Err(error) => {
                    tracing::error!(%error, node = %self.registration.name, "going on with the layout at hand");
                }
            }
            let link = self.session.borrow().link;
            self.tell(|status| status.link = link);
        }
    }

    /// What it says of itself: a layout may have told it to leave, or gone on without it.
    fn present_state(&mut self, wished: NodeState) -> NodeState {
        let node = self.registration.incarnation;
        let layout = self.layout.borrow();
        let Some(layout) = layout.as_ref() else { return wished };
        let is_named = layout.members.contains_key(&node);
        self.was_named |= is_named;
        if wished == NodeState::Draining {
            return wished;
        }
        if self.was_named && (!is_named || layout.leaving.contains(&node)) { NodeState::Parting } else { wished }
    }

    /// Registers, hands on what is new, and acknowledges. What cannot have changed is not read again, if the last time did not fail.
    async fn follow(&mut self, wished: NodeState, failed: bool) -> Result<(), CoordinationError> {
        let session = *self.session.borrow_and_update();
        let news = self.hints.news();
        // Whoever has read a proposal hears that it is in force.
        let committed = self.hints.made(Topic::Layout).and_then(|name| self.proposal_reader.committed(&name));
        let is_told = committed.is_some();
        self.take_layout(committed);
        let state = self.present_state(wished);
        let is_another = self.status.borrow().registered_in != session.number;
        let everything = failed || is_another || news.len() == TOPICS.len();
        if everything {
            self.acknowledged = None;
        }
        if everything || state != self.registration.state {
            self.registration.state = state;
            self.coordination.register(&self.registration).await?;
        }
        if is_another {
            tracing::info!(node = %self.registration.name, layer = %self.registration.layer, "registered");
            self.tell(|status| status.registered_in = session.number);
        }
        // The layout first: a proposal follows the layout that stood before it.
        if everything || (news == BTreeSet::from([Topic::Layout]) && !is_told) {
            let layout = self.layout_reader.read(&self.coordination).await?;
            self.take_layout(layout);
        }
        let proposed = if everything {
            self.proposal_reader.read(&self.coordination).await?
        } else if news.contains(&Topic::Proposed) {
            let Self { layout_reader, proposal_reader, coordination, .. } = self;
            let [layout, proposed] = LayoutReader::read_both([layout_reader, proposal_reader], coordination).await?;
            self.take_layout(layout?);
            proposed?
        } else {
            None
        };
        if let Some(proposed) = proposed {
            replace_if_newer(&self.proposed, proposed);
        }
        self.acknowledge().await
    }

    /// Says how far it has come, if the last proposal names it.
    async fn acknowledge(&mut self) -> Result<(), CoordinationError> {
        let proposed = self.proposed.borrow().clone();
        let read = proposed.as_ref().map_or(Epoch::default(), |proposed| proposed.epoch);
        let acknowledgement = self.acknowledging.say(read);
        if proposed.is_some_and(|proposed| proposed.members.contains_key(&self.registration.incarnation)) {
            let last = self.acknowledged.take();
            let held = match &last {
                Some((held, said)) if *said == acknowledgement => *held,
                Some(_) | None => {
                    let last = last.map(|(held, _)| held);
                    self.coordination.acknowledge(&self.registration, &acknowledgement, last).await?
                }
            };
            self.acknowledged = Some((held, acknowledgement));
        }
        Ok(())
    }

    fn take_layout(&self, layout: Option<Arc<Layout>>) {
        let Some(layout) = layout else { return };
        let epoch = layout.epoch;
        let naming =
            if layout.members.contains_key(&self.registration.incarnation) { Naming::Named } else { Naming::Idle };
        let node = &self.registration.name;
        match replace_if_newer(&self.layout, layout) {
            Replaced::Yes => {
                match naming {
                    Naming::Named => tracing::info!(%node, epoch = epoch.0, "a layout is in force"),
                    Naming::Idle | Naming::NoLayout => {
                        tracing::info!(%node, epoch = epoch.0, "a layout is in force and has no work for this node");
                    }
                }
                self.tell(|status| (status.epoch, status.naming) = (epoch, naming));
            }
            Replaced::Same => {}
            Replaced::Older(held) => {
                tracing::warn!(%node, epoch = epoch.0, held = held.0, "an older layout stands there; keeping the newer one");
            }
        }
    }

    async fn leave(&self) {
        if let Err(error) = self.coordination.withdraw(&self.registration).await {
            tracing::warn!(%error, node = %self.registration.name, "the registration goes with the session");
        }
    }

    fn tell(&self, change: impl FnOnce(&mut MembershipStatus)) {
        self.status.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            *status != before
        });
    }
}

enum Replaced {
    Yes,
    Same,
    /// What was held is newer.
    Older(Epoch),
}

fn replace_if_newer(held: &watch::Sender<Option<Arc<Layout>>>, layout: Arc<Layout>) -> Replaced {
    let mut replaced = Replaced::Same;
    held.send_if_modified(|held| {
        let epoch = held.as_ref().map_or(Epoch::default(), |held| held.epoch);
        if layout.epoch > epoch {
            *held = Some(layout);
            replaced = Replaced::Yes;
            return true;
        }
        if layout.epoch < epoch {
            replaced = Replaced::Older(epoch);
        }
        false
    });
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_is_acknowledged_soon_and_how_much_was_sent_is_told_late() {
        let (machine, reports) = watch::channel(vec![Report::default(); 2]);
        let (links, unreachable) = watch::channel(BTreeSet::new());
        let Acknowledging::ByMachines(mut machines) = Acknowledging::by_machines(reports, unreachable) else {
            unreachable!("it was made of machines")
        };
        assert_eq!(machines.pause(), Some(REPORT_AFTER), "nothing was said yet");
        machines.say();
        assert_eq!(machines.pause(), None);
        let change = |change: fn(&mut Vec<Report>)| machine.send_modify(change);
        change(|reports| reports[0].snapshot_bytes += 7);
        assert_eq!(machines.pause(), Some(PROGRESS_AFTER));
        change(|reports| reports[1].installed.extend([4]));
        assert_eq!(machines.pause(), Some(REPORT_AFTER), "the other machine has more to say");
        change(|reports| reports[1].proposed = Epoch(2));
        assert_eq!(machines.pause(), Some(REPORT_AFTER), "not all have the proposal");
        change(|reports| reports[0].proposed = Epoch(3));
        assert_eq!(machines.pause(), Some(URGENT_AFTER));
        let said = machines.say();
        assert_eq!((said.epoch, &said.shards), (Epoch(2), &*machine.borrow()));
        assert_eq!(machines.pause(), None);
        links.send_modify(|unreachable| unreachable.extend([Incarnation(3)]));
        assert_eq!(machines.pause(), Some(URGENT_AFTER));
        machines.say();
        assert_eq!(machines.pause(), None);
    }
}
