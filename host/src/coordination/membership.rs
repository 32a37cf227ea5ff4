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
use super::{Acknowledgement, Coordination, CoordinationError, Hints, LayoutReader, Topic};

/// Before trying again what failed, at most: a change of the session is tried at once.
const RETRY: Duration = Duration::from_millis(500);
/// How long reports are collected before they are passed on: a moment for people, and few writes.
const REPORT_AFTER: Duration = Duration::from_millis(20);
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
    /// Its machines, by shard: it has a proposal when all of them do. What they report else is passed on as well, and which peers its
    /// links do not reach.
    ByMachines(watch::Receiver<Vec<Report>>, watch::Receiver<BTreeSet<Incarnation>>),
}

impl Acknowledging {
    /// Waits until there is something new to say.
    async fn changed(&mut self) {
        match self {
            Self::AtOnce => std::future::pending().await,
            Self::ByMachines(reports, unreachable) => {
                tokio::select! {
                    Ok(()) = reports.changed() => {}
                    Ok(()) = unreachable.changed() => {}
                    // The machines have ended, and the node with them.
                    else => std::future::pending().await,
                }
                // What changes at the same time in other machines is told in one.
                tokio::time::sleep(REPORT_AFTER).await;
            }
        }
    }

    fn say(&mut self, proposed: &Layout) -> Acknowledgement {
        match self {
            Self::AtOnce => Acknowledgement { epoch: proposed.epoch, ..Acknowledgement::default() },
            Self::ByMachines(reports, unreachable) => {
                let shards = reports.borrow_and_update().clone();
                let epoch = shards.iter().map(|report| report.proposed).min().unwrap_or_default();
                Acknowledgement { epoch, shards, unreachable: unreachable.borrow_and_update().clone() }
            }
        }
    }
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
            hints: coordination.hints(&[Topic::Layout, Topic::Proposed]),
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
                () = self.acknowledging.changed() => {}
                () = tokio::time::sleep(RETRY), if failed => {}
            }
            let wish = *self.wish.borrow_and_update();
            let outcome = match wish {
                Wish::Stay(state) => {
                    self.registration.state = self.present_state(state);
                    self.follow().await
                }
                Wish::Leave => {
                    self.leave().await;
                    return;
                }
            };
            match outcome {
                Ok(()) => failed = false,
                // Whoever keeps the session logs that it is away.
                Err(CoordinationError::Unavailable { reason, .. }) => {
                    tracing::debug!(reason, node = %self.registration.name, "going on with the layout at hand");
                    failed = true;
                }
                Err(error) => {
                    tracing::error!(%error, node = %self.registration.name, "going on with the layout at hand");
                    failed = true;
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

    /// Registers, acknowledges, and hands on what is new.
    async fn follow(&mut self) -> Result<(), CoordinationError> {
        let session = *self.session.borrow_and_update();
        self.coordination.register(&self.registration).await?;
        if self.status.borrow().registered_in != session.number {
            tracing::info!(node = %self.registration.name, layer = %self.registration.layer, "registered");
            self.tell(|status| status.registered_in = session.number);
        }
        // The layout first: a proposal follows the layout that stood before it.
        let layout = self.layout_reader.read(&self.coordination).await?;
        self.take_layout(layout);
        let proposed = self.proposal_reader.read(&self.coordination).await?;
        if let Some(proposed) = proposed {
            let named = proposed.members.contains_key(&self.registration.incarnation);
            replace_if_newer(&self.proposed, proposed.clone());
            if named {
                let acknowledgement = self.acknowledging.say(&proposed);
                self.coordination.acknowledge(&self.registration, &acknowledgement).await?;
            }
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
