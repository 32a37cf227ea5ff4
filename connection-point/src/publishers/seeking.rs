//! Where a publisher instance stands that comes back: a layout may have given it another lane while it was away, and what it handed in
//! on the lane before may be outstanding there. On another lane it would stand a second time, and both would go on.
//!
//! ```text
//!   opened by its client ──▶ Seeking: all other lanes are asked whether they know it
//!                               │ none has something outstanding          │ one has
//!                               ▼                                         ▼
//!                            Opening on its own lane               Open there, until that is acknowledged;
//!                                                                  then it goes on on its own lane
//! ```
//! Asking ends its older attachments as well. A connection seeks once: what it hands in itself it hands in here. What is outstanding on its
//! own lane is caught up with in the same way, if a layout gives it another one. A lane that everybody
//! here has left takes nothing from here any more: there it waits, and hands in what is unacknowledged on its own lane. It waits no longer
//! than for an answer: what an access point does not acknowledge by itself was handed in so long ago that it was forgotten since.

use std::collections::BTreeSet;

use gomera_cluster::identity::{ConnectionId, Generation, Sequence};
use gomera_cluster::layout::Layout;
use gomera_cluster::message::ToAccessPoint;
use gomera_cluster::message::access_point::{OpenPublisher, Purpose};
use gomera_cluster::message::connection_point::PublisherOpened;
use gomera_cluster::position::LaneId;

use super::publisher::{Numbering, Publisher, Standing};
use super::{Publishers, queue};
use crate::client::ClientReply;
use crate::lanes::Lanes;
use crate::surroundings::Surroundings;
use crate::timers::Timer;

/// Which lanes were asked for a publisher, and what they said.
#[derive(Debug, Default)]
pub(crate) struct Seeking {
    asked: BTreeSet<LaneId>,
    missing: BTreeSet<LaneId>,
    /// Where something is outstanding.
    found: Option<Found>,
    /// Everything up to here is acknowledged.
    acknowledged: Sequence,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    lane: LaneId,
    generation: Generation,
    sequenced: Sequence,
}

/// What is to be acknowledged where a publisher was found before it goes on on its own lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CatchUp {
    through: Sequence,
    /// Nothing may be handed in there from here.
    pub holds: bool,
}

impl CatchUp {
    /// On its own lane.
    pub fn here(through: Sequence) -> Self {
        Self { through, holds: false }
    }
}

impl Seeking {
    fn follow(&mut self, layout: &Layout) {
        let stands = |lane: LaneId| layout.lanes.contains_key(&lane);
        self.missing.retain(|&lane| stands(lane));
        self.found = self.found.filter(|found| stands(found.lane));
    }
}

impl Publishers {
    /// Whether a publisher has to be sought before it is opened.
    pub(super) fn is_to_be_sought(publisher: &Publisher) -> bool {
        publisher.numbering == Numbering::Client && !publisher.is_introduced
    }

    /// Asks the lanes that were not asked yet, and ends the search if nobody is left to answer. `own`: the publisher's lane.
    pub(super) fn seek(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId, own: LaneId) {
        let Some(layout) = around.layout.clone() else { return };
        let Some(publisher) = self.by_connection.get_mut(&connection) else { return };
        let before = std::mem::replace(&mut publisher.standing, Standing::Seeking);
        let seeking = publisher.seeking.get_or_insert_default();
        if let Standing::Opening(asked) = before {
            // It answers that: asked twice, the second attachment would end the first.
            seeking.asked.insert(asked);
            seeking.missing.insert(asked);
        }
        seeking.follow(&layout);
        for (&lane, of_layout) in &layout.lanes {
            if lane != own && seeking.asked.insert(lane) {
                seeking.missing.insert(lane);
                let (publisher, instance) = (publisher.key, publisher.instance);
                let open = OpenPublisher { lane, publisher, instance, connection, purpose: Purpose::Settle };
                around.output.tell_access_point(of_layout.writer, ToAccessPoint::OpenPublisher(open));
                around.timers.set(Timer::Wait(connection), around.now + around.config.answer_wait);
            }
        }
        self.sought(around, lanes, connection);
    }

    /// A lane has answered; `opened` is missing if it has ended.
    pub(super) fn answered(
        &mut self,
        around: &mut Surroundings,
        lanes: &mut Lanes,
        connection: ConnectionId,
        lane: LaneId,
        opened: Option<PublisherOpened>,
    ) {
        let Some(publisher) = self.by_connection.get_mut(&connection) else { return };
        let Some(seeking) = publisher.seeking.as_mut().filter(|seeking| seeking.missing.contains(&lane)) else {
            around.statistics.messages_stale += 1;
            return;
        };
        seeking.missing.remove(&lane);
        if let Some(opened) = opened {
            let PublisherOpened { generation, sequenced, acknowledged, .. } = opened;
            seeking.acknowledged = seeking.acknowledged.max(acknowledged);
            let is_later = seeking.found.is_none_or(|found| found.sequenced < sequenced);
            if sequenced > acknowledged && is_later {
                seeking.found = Some(Found { lane, generation, sequenced });
            }
        }
        self.sought(around, lanes, connection);
    }

    fn sought(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId) {
        let Some(publisher) = self.by_connection.get_mut(&connection) else { return };
        let Some(seeking) = publisher.seeking.take_if(|seeking| seeking.missing.is_empty()) else { return };
        // Nothing was handed in on this connection yet.
        publisher.acknowledged = publisher.acknowledged.max(seeking.acknowledged);
        let Some(Found { lane, generation, sequenced }) = seeking.found else {
            self.open_on_its_lane(around, connection);
            return;
        };
        around.statistics.publishers_found += 1;
        let holds = lanes.get_mut(lane).is_none_or(|lane| lane.is_left());
        publisher.catches_up = Some(CatchUp { through: sequenced, holds });
        publisher.standing = Standing::Open(lane, generation);
        around.timers.set(Timer::Wait(connection), around.now + around.config.answer_wait);
        self.introduce(around, connection, sequenced, seeking.acknowledged);
        if let Some(publisher) = self.by_connection.get_mut(&connection) {
            queue(lanes, connection, publisher);
        }
    }

    /// Tells the client where its publisher stands.
    pub(super) fn introduce(
        &mut self,
        around: &mut Surroundings,
        connection: ConnectionId,
        sequenced: Sequence,
        acknowledged: Sequence,
    ) {
        let Some(publisher) = self.by_connection.get_mut(&connection) else { return };
        publisher.is_introduced = true;
        let acknowledged = acknowledged.max(publisher.acknowledged);
        let sequenced = sequenced.max(acknowledged);
        around.output.reply(connection, ClientReply::PublisherOpened { sequenced, acknowledged });
        self.settle(around, connection, acknowledged);
    }

    /// Goes on on its own lane if nothing is outstanding where it was found.
    pub(super) fn catch_up(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId) {
        let publisher = self.by_connection.get(&connection);
        let is_done = publisher.is_some_and(|publisher| {
            publisher.catches_up.is_some_and(|catch_up| publisher.acknowledged >= catch_up.through)
        });
        if is_done {
            self.end_catching_up(around, lanes, connection);
        }
    }

    /// It waits no longer where it was found.
    pub(super) fn end_catching_up(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId) {
        let Some(publisher) = self.by_connection.get_mut(&connection) else { return };
        publisher.catches_up = None;
        around.timers.cancel(Timer::Wait(connection));
        let own = around.layout.as_ref().and_then(|layout| layout.lane_of_publisher(publisher.key));
        if own.is_some() && own != publisher.standing.lane() {
            self.begin_to_move(around, lanes, connection);
        } else {
            queue(lanes, connection, publisher);
        }
    }
}
