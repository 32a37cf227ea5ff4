//! What an earlier attachment of a session may have left on lanes: its operations are worked off before any of this one goes out on another
//! lane, and what comes of it later is not taken. Every lane is asked once, the session's own as well, which is waited for only by who
//! leaves it: within a lane operations have their order.
//!
//! ```text
//!   attached ── SettleSession to each lane ──▶ operations wait for all but the own ──▶ they go out
//!                    ▲                                 │ answer_wait
//!                    └── once more ────────────────────┴──▶ closed, UNAVAILABLE
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use gomera_cluster::identity::ConnectionId;
use gomera_cluster::layout::Layout;
use gomera_cluster::message::ToAccessPoint;
use gomera_cluster::message::access_point::SettleSession;
use gomera_cluster::message::connection_point::SessionSettled;
use gomera_cluster::position::LaneId;
use gomera_cluster::time::Instant;

use super::sending::queue;
use super::session::Session;
use super::{Farewell, Sessions};
use crate::failure;
use crate::lanes::Lanes;
use crate::surroundings::Surroundings;
use crate::timers::Timer;

/// For how long lanes that come later are asked too: an earlier attachment may have been at a connection point that had them already.
const ASKED_FOR: Duration = Duration::from_secs(60);

/// The lanes that have not answered.
#[derive(Debug)]
pub(crate) struct Settling {
    since: Instant,
    asked: BTreeSet<LaneId>,
    missing: BTreeSet<LaneId>,
    /// Whether those that are missing were asked twice.
    is_urged: bool,
}

impl Settling {
    /// Nobody was asked yet.
    pub fn new(now: Instant) -> Self {
        Self { since: now, asked: BTreeSet::new(), missing: BTreeSet::new(), is_urged: false }
    }

    /// Whether nothing may go out on this lane yet.
    pub fn holds(&self, own: Option<LaneId>) -> bool {
        self.missing.iter().any(|&lane| Some(lane) != own)
    }

    /// Takes lanes out that have ended: what they had is told to all matchers before anything behind the barrier that ends them.
    fn follow(&mut self, layout: &Layout) {
        self.missing.retain(|lane| layout.lanes.contains_key(lane));
    }
}

/// Asks the lanes of the layout that were not asked yet.
pub(super) fn settle(around: &mut Surroundings, connection: ConnectionId, session: &mut Session) {
    let (now, key) = (around.now, session.key);
    let Some(layout) = around.layout.clone() else { return };
    let Some(attachment) = session.attachment_mut() else { return };
    let (generation, settling) = (attachment.generation, &mut attachment.settling);
    settling.follow(&layout);
    if now.since(settling.since) > ASKED_FOR {
        return;
    }
    for (&lane, of_layout) in &layout.lanes {
        if settling.asked.insert(lane) {
            settling.missing.insert(lane);
            let settle = SettleSession { lane, session: key, generation };
            around.output.tell_access_point(of_layout.writer, ToAccessPoint::SettleSession(settle));
            around.timers.set(Timer::Retry(connection), now + around.config.answer_wait);
        }
    }
}

impl Sessions {
    /// Nothing of an earlier attachment is under way on a lane any more.
    pub fn settled(&mut self, around: &mut Surroundings, lanes: &mut Lanes, settled: SessionSettled) {
        let SessionSettled { lane, session: key, generation } = settled;
        let found = self.by_session.get(&key).and_then(|&connection| {
            let session = self.by_connection.get_mut(&connection)?;
            let attachment = session.attachment_mut().filter(|attachment| attachment.generation == generation)?;
            attachment.settling.missing.remove(&lane).then_some((connection, session))
        });
        match found {
            Some((connection, session)) => queue(around, lanes, connection, session),
            None => around.statistics.messages_stale += 1,
        }
    }

    /// Lanes have not answered for a while: what was asked, or the answer, may have been lost at a machine that had no room for it.
    pub fn urge(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId) {
        let Some(layout) = around.layout.clone() else { return };
        let Some(session) = self.by_connection.get_mut(&connection) else { return };
        let key = session.key;
        let Some(attachment) = session.attachment_mut() else { return };
        let (own, generation, settling) = (attachment.operations.lane, attachment.generation, &mut attachment.settling);
        if settling.missing.is_empty() {
            return;
        }
        if std::mem::replace(&mut settling.is_urged, true) && settling.holds(own) {
            let failure = failure::no_answer(
                "an access point that may have operations of this session",
                around.config.answer_wait,
            );
            self.close(around, lanes, connection, Some(failure), Farewell::Told);
            return;
        }
        for &lane in &settling.missing {
            if let Some(writer) = layout.writer(lane) {
                let settle = SettleSession { lane, session: key, generation };
                around.output.tell_access_point(writer, ToAccessPoint::SettleSession(settle));
            }
        }
        around.timers.set(Timer::Retry(connection), around.now + around.config.answer_wait);
    }
}
