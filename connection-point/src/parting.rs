//! Leaving by plan: when a layout says that this node is to leave, clients are asked to move, some at a time, so that those who take
//! them in are not overrun; who is still there long after the last was asked is closed, and counted. Nobody is taken in meanwhile. A
//! layout that calls the node back ends it.
//!
//! ```text
//!   serving ──layout: leaving──▶ asking, so many at a time ──all asked──▶ waiting ──leave_within──▶ the rest is closed
//!      ▲                              │                                      │
//!      └─────── layout: not leaving ──┴──────────────────────────────────────┘
//! ```
//! Invariant: each connection is asked once, in order; who came before the layout is asked or gone before the rest is closed.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::identity::ConnectionId;
use gomera_cluster::layout::Layout;

use crate::client::ClientReply;
use crate::surroundings::Surroundings;
use crate::timers::Timer;

/// Time between two groups that are asked.
const STEP: Duration = Duration::from_millis(10);
/// Groups in a second.
const STEPS_PER_SECOND: u32 = 100;

/// How far it has come.
#[derive(Debug)]
pub(crate) struct Parting {
    /// Where clients are to go.
    others: Arc<[Arc<str>]>,
    /// The last connection that was asked.
    asked: Bound<ConnectionId>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Asking,
    /// Everybody was asked.
    Waiting,
}

/// What is to be done about those who are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing yet.
    Stay,
    /// They are closed.
    Close,
}

/// Whether a layout tells this node to leave.
pub(crate) fn is_told_to_leave(layout: &Layout, address: Address) -> bool {
    layout.leaving.contains(&address.node)
}

/// Where else clients are served.
fn others(layout: &Layout) -> Arc<[Arc<str>]> {
    let points = layout.members.iter().filter(|(_, member)| member.layer == Layer::ConnectionPoint);
    let staying = points.filter(|(node, _)| !layout.leaving.contains(node));
    staying.map(|(_, member)| member.client_address.clone()).collect()
}

impl Parting {
    /// It begins with the first of those connected.
    pub fn begin(around: &mut Surroundings, layout: &Layout) -> Self {
        around.timers.set(Timer::Parting, around.now);
        Self { others: others(layout), asked: Bound::Unbounded, stage: Stage::Asking }
    }

    /// Others may serve by now.
    pub fn follow(&mut self, layout: &Layout) {
        self.others = others(layout);
    }

    /// Asks the next ones; `next` gives so many of those who are connected, after one, in order. Says what becomes of those who are
    /// left.
    pub fn step(
        &mut self,
        around: &mut Surroundings,
        next: impl FnOnce(Bound<ConnectionId>, usize) -> Vec<ConnectionId>,
    ) -> Left {
        match self.stage {
            Stage::Waiting => return Left::Close,
            Stage::Asking => {}
        }
        let group = usize::try_from(around.config.moves_per_second.div_ceil(STEPS_PER_SECOND)).unwrap_or(usize::MAX);
        let asked = next(self.asked, group);
        for &connection in &asked {
            around.statistics.connections_asked_to_move += 1;
            around.output.reply(connection, ClientReply::MoveTo { endpoints: self.others.clone() });
            self.asked = Bound::Excluded(connection);
        }
        let again = if asked.len() < group {
            self.stage = Stage::Waiting;
            around.config.leave_within
        } else {
            STEP
        };
        around.timers.set(Timer::Parting, around.now + again);
        Left::Stay
    }
}
