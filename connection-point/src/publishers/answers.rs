//! What access points answer to publishers: opened, superseded, acknowledged, refused.
//!
//! An answer counts only from the lane and for the generation under which the publisher stands now; anything else is stale.

use gomera_cluster::address::Address;
use gomera_cluster::identity::{ConnectionId, Sequence};
use gomera_cluster::message::connection_point::{Acknowledged, PublisherOpened, PublisherSuperseded, Refusal, Refused};
use gomera_cluster::rules::{self, Rule};

use super::publisher::{Standing, Unheard};
use super::seeking::CatchUp;
use super::{Publishers, queue};
use crate::brake::Reason;
use crate::client::ClientReply;
use crate::failure;
use crate::lanes::Lanes;
use crate::surroundings::Surroundings;
use crate::timers::Timer;

impl Publishers {
    /// An access point has opened a publisher.
    pub fn opened(&mut self, around: &mut Surroundings, lanes: &mut Lanes, from: Address, opened: PublisherOpened) {
        let asked = self.by_connection.get_mut(&opened.connection).filter(|publisher| {
            (publisher.key, publisher.instance) == (opened.publisher, opened.instance)
                && lanes.writer(opened.lane) == Some(from)
        });
        let standing = asked.as_ref().map(|publisher| publisher.standing);
        if standing == Some(Standing::Seeking) {
            self.answered(around, lanes, opened.connection, opened.lane, Some(opened));
            return;
        }
        let Some(publisher) = asked.filter(|publisher| publisher.standing == Standing::Opening(opened.lane)) else {
            around.statistics.messages_stale += 1;
            return;
        };
        publisher.standing = Standing::Open(opened.lane, opened.generation);
        around.timers.cancel(Timer::Wait(opened.connection));
        let PublisherOpened { sequenced, acknowledged, .. } = opened;
        if publisher.is_introduced {
            if self.settle(around, opened.connection, acknowledged) {
                around.output.acknowledge(opened.connection, acknowledged);
            }
        } else {
            if sequenced > acknowledged {
                // Of before: a layout that gives it another lane finds it here until that is acknowledged.
                publisher.catches_up = Some(CatchUp::here(sequenced));
                around.timers.set(Timer::Wait(opened.connection), around.now + around.config.answer_wait);
            }
            self.introduce(around, opened.connection, sequenced, acknowledged);
        }
        if let Some(publisher) = self.by_connection.get_mut(&opened.connection) {
            queue(lanes, opened.connection, publisher);
        }
        self.give_room(around);
    }

    /// A newer attachment of a publisher instance exists, at another connection point perhaps.
    pub fn superseded(&mut self, around: &mut Surroundings, lanes: &mut Lanes, superseded: PublisherSuperseded) {
        let PublisherSuperseded { lane, publisher, instance, generation } = superseded;
        match self.find(publisher, instance, Standing::Open(lane, generation)) {
            Some(connection) => self.close(around, lanes, connection, failure::publisher_superseded()),
            None => around.statistics.messages_stale += 1,
        }
    }

    /// Publications that every exit point has merged.
    pub fn acknowledged(&mut self, around: &mut Surroundings, lanes: &mut Lanes, acknowledged: &Acknowledged) {
        for entry in &acknowledged.through {
            let found = if rules::holds(Rule::AcknowledgedByTheLastLane) {
                let standing = Standing::Open(acknowledged.lane, entry.generation);
                self.find(entry.publisher, entry.instance, standing)
            } else {
                self.by_instance.get(&(entry.publisher, entry.instance)).copied()
            };
            match found {
                Some(connection) => {
                    if self.settle(around, connection, entry.sequence) {
                        around.output.acknowledge(connection, entry.sequence);
                    }
                    self.catch_up(around, lanes, connection);
                    self.move_on(around, lanes, connection);
                }
                None => around.statistics.messages_stale += 1,
            }
        }
        self.give_room(around);
    }

    /// A publication that the access point did not take; or, while it is asked to open, a publisher.
    pub fn refused(&mut self, around: &mut Surroundings, lanes: &mut Lanes, refused: Refused) {
        let Refused { lane, publisher: key, instance, generation, sequence, reason } = refused;
        if reason == Refusal::Lane
            && let Some(connection) = self.find(key, instance, Standing::Seeking)
        {
            self.answered(around, lanes, connection, lane, None);
            return;
        }
        let found = match reason {
            Refusal::Reused | Refusal::OutOfRange => self.find(key, instance, Standing::Open(lane, generation)),
            // These concern the publisher as a whole, so they can be the answer to its opening as well.
            Refusal::Publishers(_) | Refusal::Lane => self
                .find(key, instance, Standing::Open(lane, generation))
                .or_else(|| self.find(key, instance, Standing::Opening(lane))),
        };
        let Some(connection) = found else {
            around.statistics.messages_stale += 1;
            return;
        };
        match reason {
            Refusal::Publishers(limit) => self.close(around, lanes, connection, failure::publishers(limit)),
            // Were only this publication refused, those sent after it would be taken, and it could never be sent again.
            Refusal::Lane => self.close(around, lanes, connection, failure::lane_ended()),
            Refusal::Reused | Refusal::OutOfRange => {
                self.refuse(around, connection, sequence, reason);
                self.move_on(around, lanes, connection);
            }
        }
    }

    /// Everything up to `through` is acknowledged; says whether that is news.
    pub(super) fn settle(&mut self, around: &mut Surroundings, connection: ConnectionId, through: Sequence) -> bool {
        let Some(publisher) = self.by_connection.get_mut(&connection) else { return false };
        let (before, bytes_before) = (publisher.acknowledged, publisher.window.bytes());
        around.statistics.publications_acknowledged += publisher.acknowledge(through);
        self.bytes -= bytes_before - publisher.window.bytes();
        if publisher.window.bytes() <= around.config.publisher_window_bytes / 2 {
            publisher.brake.release(Reason::Window, connection, &mut around.output);
        }
        through > before
    }

    fn refuse(&mut self, around: &mut Surroundings, connection: ConnectionId, sequence: Sequence, reason: Refusal) {
        let Some(publisher) = self.by_connection.get_mut(&connection) else { return };
        let bytes_before = publisher.window.bytes();
        if !publisher.window.remove(sequence) {
            around.statistics.messages_stale += 1;
            return;
        }
        self.bytes -= bytes_before - publisher.window.bytes();
        if reason == Refusal::OutOfRange {
            publisher.unheard = Some(Unheard::Latest);
        }
        around.statistics.publications_refused += 1;
        let failure = failure::refusal(sequence, reason);
        around.output.reply(connection, ClientReply::PublicationRefused { sequence, failure });
        if publisher.window.bytes() <= around.config.publisher_window_bytes / 2 {
            publisher.brake.release(Reason::Window, connection, &mut around.output);
        }
        self.give_room(around);
    }
}
