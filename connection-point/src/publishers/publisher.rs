//! One publisher's connection.
//!
//! ```text
//!   AwaitingLane ──a layout with an open lane──▶ Opening ──PublisherOpened──▶ Open
//!        │ layout_wait           (Seeking first)    │ answer_wait               │ superseded, lane ended,
//!        ▼                                          ▼                           ▼ window overrun
//!      closed                                     closed                      closed
//! ```
//! A layout may give it another lane. It goes on there, with everything that the lane before has not acknowledged: at once, and flagged, if
//! that lane has ended; else when what it sent there is acknowledged, and nothing more is sent before.
//!
//! Publications are taken in every state and sent in the last one. Invariant: what is in the window was never refused, and is
//! acknowledged or handed back to the client (by the end of the connection) exactly once.

use std::sync::Arc;

use gomera_cluster::identity::{Generation, Instance, PublisherKey, Sequence, Tenant};
use gomera_cluster::position::LaneId;
use gomera_cluster::publication::PublicationKey;

use super::seeking::{CatchUp, Seeking};
use super::window::Window;
use crate::brake::Brake;
use crate::client::{Failure, PublishItem};
use crate::failure;
use crate::rate::Rate;
use crate::turns::Ticket;

/// Who gives the sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// The client, with its instance; they increase, with gaps perhaps.
    Client,
    /// We do, from 1: the items of this connection in the order in which they came.
    Here,
}

/// How far it is with its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The layout has no open lane, or there is none yet.
    AwaitingLane,
    /// The other lanes are asked whether they know it.
    Seeking,
    /// The access point is asked.
    Opening(LaneId),
    /// Publications go there, under this generation.
    Open(LaneId, Generation),
}

impl Standing {
    /// Its lane, if it has one.
    pub fn lane(self) -> Option<LaneId> {
        match self {
            Self::AwaitingLane | Self::Seeking => None,
            Self::Opening(lane) | Self::Open(lane, _) => Some(lane),
        }
    }
}

/// What is to be done with an item.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new: under this key.
    Take(PublicationKey),
    /// It is acknowledged already: say so again.
    Settled,
    /// It is in the window already, the same: it will be acknowledged.
    Known,
    /// It cannot be taken.
    Refuse(Sequence, Failure),
}

/// A refusal of something sent again that a client may not have heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unheard {
    /// Nothing was acknowledged since.
    Latest,
    /// The next acknowledgement was up to here: who has seen that one has heard of it. Who has seen an earlier one may have seen it before
    /// the refusal, on another connection even.
    Before(Sequence),
}

/// A publisher and what it has under way.
#[derive(Debug)]
pub(crate) struct Publisher {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name.
    pub name: Arc<str>,
    /// Hash of both.
    pub key: PublisherKey,
    /// Its life.
    pub instance: Instance,
    /// Who numbers.
    pub numbering: Numbering,
    /// How far it is with its lane.
    pub standing: Standing,
    /// Whether its client was told that it is open.
    pub is_introduced: bool,
    /// Whether it is to go on on another lane as soon as what it sent is acknowledged.
    pub is_moving: bool,
    /// Who was asked for it, while it is sought.
    pub seeking: Option<Box<Seeking>>,
    /// What is to be acknowledged first where it was found.
    pub catches_up: Option<CatchUp>,
    /// What is unacknowledged.
    pub window: Window,
    /// Why nothing more is read from it, if so.
    pub brake: Brake,
    /// How fast it may publish, if that is limited.
    pub rate: Option<Rate>,
    /// Its place among those that wait to send on its lane.
    pub turn: Option<Ticket>,
    /// Its place among those that wait for room.
    pub room: Option<Ticket>,
    /// The highest sequence it has used on this connection.
    pub highest: Sequence,
    /// Everything up to here is acknowledged.
    pub acknowledged: Sequence,
    /// The client has seen acknowledgements up to here.
    pub seen: Sequence,
    /// The access point was told that the client has.
    pub seen_told: Sequence,
    /// What was refused last of what it had sent again; nothing if its client has heard of that.
    pub unheard: Option<Unheard>,
}

impl Publisher {
    /// Decides about an item by its sequence, and uses the sequence up.
    pub fn judge(&mut self, item: &PublishItem) -> Verdict {
        let sequence = match self.numbering {
            Numbering::Here => Sequence(self.highest.0 + 1),
            Numbering::Client => item.sequence,
        };
        if sequence == Sequence(0) {
            return Verdict::Refuse(sequence, failure::sequence_zero());
        }
        if sequence > self.highest {
            self.highest = sequence;
            let key = PublicationKey { publisher: self.key, instance: self.instance, sequence };
            return if sequence <= self.acknowledged { Verdict::Settled } else { Verdict::Take(key) };
        }
        if sequence <= self.acknowledged {
            return Verdict::Settled;
        }
        match self.window.get(sequence) {
            Some(envelope) if envelope.content == item.content => Verdict::Known,
            Some(_) => Verdict::Refuse(sequence, failure::sequence_reused(sequence)),
            None => Verdict::Refuse(sequence, failure::sequence_backwards(sequence, self.highest)),
        }
    }

    /// Everything up to `through` is acknowledged; says how many publications that settles.
    pub fn acknowledge(&mut self, through: Sequence) -> u64 {
        if self.unheard == Some(Unheard::Latest) && through > self.acknowledged {
            self.unheard = Some(Unheard::Before(through));
        }
        self.acknowledged = self.acknowledged.max(through);
        if self.numbering == Numbering::Here {
            // Nobody will ever send one of these again.
            self.seen = self.acknowledged;
        }
        self.window.acknowledge(through)
    }

    /// Its client has seen acknowledgements up to `through`, and everything it was told before the last of them.
    pub fn sees(&mut self, through: Sequence) {
        // A client cannot have seen more than there was.
        self.seen = self.seen.max(through.min(self.acknowledged));
        self.unheard.take_if(|unheard| match unheard {
            Unheard::Latest => false,
            Unheard::Before(acknowledged) => *acknowledged <= self.seen,
        });
    }

    /// What nobody will ever send again once this connection is gone: the access point need not know it any longer.
    pub fn final_through(&self) -> Sequence {
        match self.numbering {
            Numbering::Here => self.highest,
            Numbering::Client => self.seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use gomera_model::attributes::Attributes;
    use gomera_model::timestamp::Timestamp;

    use super::*;
    use crate::acceptance::Acceptance;
    use crate::client::FailureKind;

    fn publisher(numbering: Numbering) -> Publisher {
        let tenant = Tenant::open();
        Publisher {
            key: PublisherKey::of(&tenant, "p"),
            tenant,
            name: Arc::from("p"),
            instance: Instance(7),
            numbering,
            standing: Standing::AwaitingLane,
            is_introduced: false,
            is_moving: false,
            seeking: None,
            catches_up: None,
            window: Window::default(),
            brake: Brake::default(),
            rate: None,
            turn: None,
            room: None,
            highest: Sequence(0),
            acknowledged: Sequence(0),
            seen: Sequence(0),
            seen_told: Sequence(0),
            unheard: None,
        }
    }

    fn item(sequence: u64, content: &'static str) -> PublishItem {
        PublishItem {
            sequence: Sequence(sequence),
            content: Bytes::from_static(content.as_bytes()),
            attributes: Attributes::default(),
            time: None,
            expires_after: None,
            resent: false,
        }
    }

    fn take(publisher: &mut Publisher, sequence: u64, content: &'static str) -> Sequence {
        let item = item(sequence, content);
        match publisher.judge(&item) {
            Verdict::Take(key) => {
                let envelope = Acceptance::default()
                    .envelope(&publisher.tenant, &publisher.name, key, item, Timestamp(0))
                    .expect("nothing reserved");
                publisher.window.push(envelope, false);
                key.sequence
            }
            other => panic!("not taken: {other:?}"),
        }
    }

    fn refused(verdict: Verdict) -> FailureKind {
        match verdict {
            Verdict::Refuse(_, failure) => failure.kind,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn sequences_may_leave_gaps_but_not_go_back() {
        let mut publisher = publisher(Numbering::Client);
        take(&mut publisher, 1, "a");
        take(&mut publisher, 5, "b");
        assert_eq!(refused(publisher.judge(&item(3, "c"))), FailureKind::Invalid);
        take(&mut publisher, 6, "d");
    }

    #[test]
    fn sequence_zero_is_refused() {
        assert_eq!(refused(publisher(Numbering::Client).judge(&item(0, "a"))), FailureKind::Invalid);
    }

    #[test]
    fn a_repeat_inside_the_window_is_known_if_it_is_the_same_and_refused_if_not() {
        let mut publisher = publisher(Numbering::Client);
        take(&mut publisher, 1, "a");
        take(&mut publisher, 2, "b");
        assert_eq!(publisher.judge(&item(1, "a")), Verdict::Known);
        assert_eq!(refused(publisher.judge(&item(1, "other"))), FailureKind::AlreadyExists);
    }

    #[test]
    fn a_repeat_below_the_window_is_settled() {
        let mut publisher = publisher(Numbering::Client);
        take(&mut publisher, 1, "a");
        assert_eq!(publisher.acknowledge(Sequence(1)), 1);
        assert_eq!(publisher.judge(&item(1, "a")), Verdict::Settled);
        assert_eq!(publisher.window.bytes(), 0);
    }

    #[test]
    fn without_an_instance_sequences_count_the_items_of_the_connection() {
        let mut publisher = publisher(Numbering::Here);
        assert_eq!(take(&mut publisher, 0, "a"), Sequence(1));
        assert_eq!(take(&mut publisher, 0, "a"), Sequence(2));
        publisher.acknowledge(Sequence(2));
        assert_eq!(publisher.seen, Sequence(2));
    }

    #[test]
    fn a_client_has_heard_of_a_refusal_when_it_has_seen_the_acknowledgement_that_follows() {
        let mut publisher = publisher(Numbering::Client);
        publisher.unheard = Some(Unheard::Latest);
        publisher.sees(Sequence(100));
        // It saw that one on a connection of before.
        for through in [101, 103] {
            publisher.acknowledge(Sequence(through));
            publisher.sees(Sequence(100));
            assert_eq!(publisher.unheard, Some(Unheard::Before(Sequence(101))));
        }
        publisher.sees(Sequence(101));
        assert_eq!(publisher.unheard, None);
        publisher.unheard = Some(Unheard::Latest);
        publisher.acknowledge(Sequence(103));
        publisher.sees(Sequence(103));
        assert_eq!(publisher.unheard, Some(Unheard::Latest), "that was told before");
    }

    #[test]
    fn a_refused_publication_leaves_the_window_wherever_it_stands() {
        let mut publisher = publisher(Numbering::Client);
        for sequence in 1..=4 {
            take(&mut publisher, sequence, "a");
        }
        let mut sent = Vec::new();
        publisher.window.send(1, Generation(1), &mut sent);
        publisher.window.send(1, Generation(1), &mut sent);
        assert!(publisher.window.remove(Sequence(1)) && publisher.window.remove(Sequence(4)));
        assert!(!publisher.window.remove(Sequence(4)));
        publisher.window.send(u64::MAX, Generation(1), &mut sent);
        let sequences: Vec<_> = sent.iter().map(|submission| submission.envelope.key.sequence.0).collect();
        assert_eq!(sequences, [1, 2, 3], "each once, in order");
        assert_eq!(publisher.acknowledge(Sequence(3)), 2);
        assert_eq!(publisher.window.bytes(), 0);
    }
}
