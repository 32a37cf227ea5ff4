//! What an earlier attachment of a session may have left on other lanes, before a layout gave it this one: its operations are worked off
//! before any of this one goes out, and what comes of it later is not taken. A connection that moves its session itself waits for
//! answers; one that attaches has to ask.

use std::collections::BTreeSet;

use gomera_cluster::layout::Layout;
use gomera_cluster::message::ToAccessPoint;
use gomera_cluster::message::access_point::SettleSession;
use gomera_cluster::message::connection_point::SessionSettled;
use gomera_cluster::position::LaneId;

use super::Sessions;
use super::sending::queue;
use super::session::Session;
use crate::lanes::Lanes;
use crate::surroundings::Surroundings;

/// The lanes that have not answered.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    asked: BTreeSet<LaneId>,
    missing: BTreeSet<LaneId>,
}

impl Settling {
    /// Whether some have not.
    pub fn is_under_way(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Takes lanes out that have ended: what they had is told to all matchers before anything behind the barrier that ends them.
    fn follow(&mut self, layout: &Layout) {
        self.missing.retain(|lane| layout.lanes.contains_key(lane));
    }
}

/// Asks the lanes of the layout that were not asked yet, but the session's own, where its operations have an order anyway. `is_new`: the
/// session was attached just now; of one that has settled, nothing older can be on lanes that come later.
pub(super) fn settle(around: &mut Surroundings, session: &mut Session, is_new: bool) {
    let Some(layout) = around.layout.clone() else { return };
    let key = session.key;
    let Some(attachment) = session.attachment_mut() else { return };
    let (own, generation, settling) = (attachment.operations.lane, attachment.generation, &mut attachment.settling);
    settling.follow(&layout);
    if !is_new && !settling.is_under_way() {
        return;
    }
    for (&lane, of_layout) in &layout.lanes {
        if Some(lane) != own && settling.asked.insert(lane) {
            settling.missing.insert(lane);
            let settle = SettleSession { lane, session: key, generation };
            around.output.tell_access_point(of_layout.writer, ToAccessPoint::SettleSession(settle));
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
}
