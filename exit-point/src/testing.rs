//! What tests share: a small cluster's layout, a rig that drives one shard, and a client that keeps score.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gomera_cluster::address::{Address, Incarnation, Layer, Shard};
use gomera_cluster::credit::{Class, Total};
use gomera_cluster::identity::{
    ConnectionId, Generation, Handle, Instance, PublisherKey, Sequence, SessionKey, Tenant, Term,
};
use gomera_cluster::layout::{Epoch, Layout, MatcherSlice, Member, Settings};
use gomera_cluster::machine::{Machine, NodeEvent, Received, Send};
use gomera_cluster::message::connection_point::{Attached, Ended, Gap, Item, Notifications, Satisfied};
use gomera_cluster::message::exit_point::{
    Acknowledge, Attach, Detach, EndSession, Handles, Matched, Matches, SessionCredit, Target,
};
use gomera_cluster::message::{Message, ToConnectionPoint, ToExitPoint};
use gomera_cluster::position::{LaneId, Number, Position, Vector};
use gomera_cluster::publication::{AttributeBlock, Envelope, PublicationKey};
use gomera_cluster::session::{Attempt, SessionOptions};
use gomera_cluster::time::{Instant, WallClock};
use gomera_model::timestamp::Timestamp;

use crate::config::Config;
use crate::exit_point::ExitPoint;

pub(crate) const MATCHER_SLICES: u16 = 4;
pub(crate) const LANES: [LaneId; 2] = [LaneId(1), LaneId(2)];
pub(crate) const CREDIT: Total = Total(1 << 30);

pub(crate) const fn machine(node: u64) -> Address {
    Address { node: Incarnation(node), shard: Shard(0) }
}

pub(crate) const CONNECTION_POINT: Address = machine(1);
pub(crate) const OTHER_CONNECTION_POINT: Address = machine(2);
pub(crate) const ACCESS_POINT: Address = machine(3);
pub(crate) const MATCHERS: [Address; 2] = [machine(10), machine(11)];
pub(crate) const EXIT_POINT: Address = machine(20);

/// Two connection points, one access point with two lanes, two matchers with two slices each, one exit point.
pub(crate) fn layout(epoch: u64) -> Arc<Layout> {
    let member = |layer: Layer| Member {
        layer,
        name: Arc::from(layer.name()),
        link_address: Arc::from(""),
        client_address: Arc::from(""),
        shards: 1,
    };
    let members = [
        (CONNECTION_POINT, Layer::ConnectionPoint),
        (OTHER_CONNECTION_POINT, Layer::ConnectionPoint),
        (ACCESS_POINT, Layer::AccessPoint),
        (MATCHERS[0], Layer::Matcher),
        (MATCHERS[1], Layer::Matcher),
        (EXIT_POINT, Layer::ExitPoint),
    ];
    let members = members.into_iter().map(|(address, layer)| (address.node, member(layer))).collect();
    let settings = Settings { matcher_slices: MATCHER_SLICES, session_slices: 8, replication: 1 };
    let mut layout = Layout::initial(settings, members, 2, Epoch(1), LANES[0]);
    layout.epoch = Epoch(epoch);
    Arc::new(layout)
}

pub(crate) fn tenant() -> Tenant {
    Tenant::open()
}

pub(crate) fn session(name: &str) -> SessionKey {
    SessionKey::of(&tenant(), name)
}

pub(crate) fn at(lane: LaneId, number: u64) -> Position {
    Position { lane, number: Number(number) }
}

/// A publication of 100 bytes.
pub(crate) fn envelope(sequence: u64) -> Arc<Envelope> {
    expiring(sequence, None)
}

pub(crate) fn expiring(sequence: u64, expires_at: Option<Timestamp>) -> Arc<Envelope> {
    Arc::new(Envelope {
        tenant: tenant(),
        publisher: Arc::from("p"),
        key: PublicationKey {
            publisher: PublisherKey::of(&tenant(), "p"),
            instance: Instance(1),
            sequence: Sequence(sequence),
        },
        accepted_at: Timestamp(0),
        expires_at,
        content: Bytes::from(vec![0; 100]),
        attributes: AttributeBlock::Encoded,
    })
}

/// What one notification of [`envelope`] with one handle counts.
pub(crate) fn cost() -> u64 {
    envelope(1).cost() + 8
}

pub(crate) fn target(name: &str, generation: Generation, handles: &[u64]) -> Target {
    let handles = match handles {
        &[one] => Handles::One(generation, Handle(one)),
        several => Handles::Many(several.iter().map(|&handle| (generation, Handle(handle))).collect()),
    };
    Target { session: session(name), handles }
}

pub(crate) fn matched(number: u64, targets: Vec<Target>) -> Matched {
    Matched { number: Number(number), envelope: envelope(number), targets }
}

pub(crate) fn frame(lane: LaneId, slices: &[u16], range: (u64, u64), matched: Vec<Matched>) -> Matches {
    // Each lane has a publisher of its own.
    let matched = matched.into_iter().map(|matched| {
        let mut envelope = (*matched.envelope).clone();
        envelope.key.instance = Instance(u64::from(lane.0));
        Matched { envelope: Arc::new(envelope), ..matched }
    });
    Matches {
        lane,
        class: Class::Live,
        slices: Arc::new(slices.iter().map(|&slice| MatcherSlice(slice)).collect()),
        from: Number(range.0),
        to: Number(range.1),
        matched: matched.collect(),
        marks: Vec::new(),
    }
}

/// The same on another lane, by its publisher.
pub(crate) fn on(lane: LaneId, matches: Matches) -> Matches {
    let Matches { from, to, matched, .. } = matches;
    whole(lane, (from.0, to.0), matched)
}

/// A frame for all slices.
pub(crate) fn whole(lane: LaneId, range: (u64, u64), matched: Vec<Matched>) -> Matches {
    frame(lane, &[0, 1, 2, 3], range, matched)
}

/// A shard, the time, and what it asked to send.
pub(crate) struct Rig {
    pub(crate) exit: ExitPoint,
    pub(crate) now: Instant,
    pub(crate) sent: Vec<Send>,
    connections: u64,
}

impl Rig {
    pub(crate) fn new(config: Config) -> Self {
        let mut rig =
            Self { exit: ExitPoint::new(EXIT_POINT, config), now: Instant::ZERO, sent: Vec::new(), connections: 0 };
        rig.event(NodeEvent::Clock(WallClock { at: Instant::ZERO, showed: Timestamp(0) }));
        rig.event(NodeEvent::Layout(layout(1)));
        rig
    }

    pub(crate) fn event(&mut self, event: NodeEvent<ToExitPoint>) {
        self.exit.handle(self.now, event);
        self.exit.drain_actions(&mut self.sent);
    }

    /// Tells the shard something without draining it.
    pub(crate) fn whisper(&mut self, from: Address, message: ToExitPoint) {
        self.exit.handle(self.now, NodeEvent::Received(Received { from, epoch: Epoch(1), message }));
    }

    /// By whom has come as far with layouts as this shard.
    pub(crate) fn tell_by_latest(&mut self, from: Address, message: ToExitPoint) {
        let epoch = self.exit.report().epoch;
        self.exit.handle(self.now, NodeEvent::Received(Received { from, epoch, message }));
        self.exit.drain_actions(&mut self.sent);
    }

    pub(crate) fn tell(&mut self, from: Address, message: ToExitPoint) {
        self.whisper(from, message);
        self.exit.drain_actions(&mut self.sent);
    }

    pub(crate) fn matches(&mut self, matches: Matches) {
        self.tell(MATCHERS[0], ToExitPoint::Matches(matches));
    }

    /// Lets time pass, with every timeout on the way.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.exit.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.exit.handle_timeout(self.now);
            self.exit.drain_actions(&mut self.sent);
        }
        self.now = end;
    }

    pub(crate) fn attach_message(&mut self, name: &str) -> Attach {
        self.connections += 1;
        let key = session(name);
        let slice = layout(1).slice_of_session(key);
        Attach {
            connection: ConnectionId(self.connections),
            tenant: tenant(),
            name: Arc::from(name),
            session: key,
            slice,
            term: Term(1),
            options: SessionOptions::default(),
            resume: None,
            credit: CREDIT,
            attempt: Attempt::default(),
        }
    }

    pub(crate) fn attach(&mut self, name: &str) -> Client {
        let attach = self.attach_message(name);
        self.attach_as(attach)
    }

    pub(crate) fn attach_with(&mut self, name: &str, options: SessionOptions) -> Client {
        let attach = Attach { options, ..self.attach_message(name) };
        self.attach_as(attach)
    }

    pub(crate) fn attach_as(&mut self, attach: Attach) -> Client {
        let session = attach.session;
        let sent = self.sent.len();
        self.tell(CONNECTION_POINT, ToExitPoint::Attach(attach));
        self.attached_since(session, sent)
    }

    /// The client of the attach of a session that was accepted last.
    pub(crate) fn attached_last(&self, name: &str) -> Client {
        let is_attached =
            |send: &Send| matches!(&send.message, Message::ConnectionPoint(ToConnectionPoint::Attached(_)));
        let sent = self.sent.iter().rposition(is_attached).expect("an attach was accepted");
        self.attached_since(session(name), sent)
    }

    fn attached_since(&self, session: SessionKey, sent: usize) -> Client {
        let attached = self.sent[sent..].iter().find_map(|send| match &send.message {
            Message::ConnectionPoint(ToConnectionPoint::Attached(attached)) => Some(attached.clone()),
            _ => None,
        });
        let attached = attached.expect("the attach is accepted");
        Client { session, vector: attached.merged.clone(), attached, read: sent, got: Vec::new(), gaps: Vec::new() }
    }

    pub(crate) fn detach(&mut self, client: &Client) {
        self.tell(
            CONNECTION_POINT,
            ToExitPoint::Detach(Detach { session: client.session, generation: client.generation() }),
        );
    }

    pub(crate) fn end(&mut self, client: &Client) {
        let end = EndSession { session: client.session, generation: client.generation() };
        self.tell(CONNECTION_POINT, ToExitPoint::EndSession(end));
    }

    pub(crate) fn acknowledge(&mut self, client: &Client, through: &Vector) {
        self.tell(
            CONNECTION_POINT,
            ToExitPoint::Acknowledge(Acknowledge {
                session: client.session,
                generation: client.generation(),
                through: through.clone(),
            }),
        );
    }

    pub(crate) fn grant(&mut self, client: &Client, total: u64) {
        let credit = SessionCredit { session: client.session, generation: client.generation(), total: Total(total) };
        self.tell(CONNECTION_POINT, ToExitPoint::SessionCredit(credit));
    }

    pub(crate) fn ended(&self) -> Vec<Ended> {
        let ended = |send: &Send| match &send.message {
            Message::ConnectionPoint(ToConnectionPoint::Ended(ended)) => Some(*ended),
            _ => None,
        };
        self.sent.iter().filter_map(ended).collect()
    }

    pub(crate) fn frames(&self) -> Vec<&Notifications> {
        let mut frames = Vec::new();
        for send in &self.sent {
            if let Message::ConnectionPoint(ToConnectionPoint::Notifications(frame)) = &send.message {
                frames.push(frame);
            }
        }
        frames
    }
}

/// A client: its `W`, and what it got on this attachment.
pub(crate) struct Client {
    pub(crate) session: SessionKey,
    pub(crate) attached: Attached,
    pub(crate) vector: Vector,
    read: usize,
    pub(crate) got: Vec<Got>,
    pub(crate) gaps: Vec<Gap>,
}

/// A notification as a client got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) position: Position,
    pub(crate) handles: Vec<u64>,
    pub(crate) redelivered: bool,
    /// `W` after it.
    pub(crate) vector: BTreeMap<LaneId, u64>,
}

impl Client {
    pub(crate) fn generation(&self) -> Generation {
        self.attached.generation
    }

    /// Takes in what was sent to it since it last looked. Returns how many notifications.
    pub(crate) fn read(&mut self, rig: &Rig) -> usize {
        let before = self.got.len();
        for send in &rig.sent[self.read..] {
            if let Message::ConnectionPoint(ToConnectionPoint::Notifications(frame)) = &send.message {
                self.take(frame);
            }
        }
        self.read = rig.sent.len();
        self.got.len() - before
    }

    fn take(&mut self, frame: &Notifications) {
        let mine = |batch: &&gomera_cluster::message::connection_point::Batch| {
            batch.session == self.session
                && batch.generation == self.attached.generation
                && batch.connection == self.attached.connection
        };
        for item in frame.batches.iter().filter(mine).flat_map(|batch| &batch.items).cloned().collect::<Vec<_>>() {
            match item {
                Item::Gap(gap) => self.gaps.push(gap),
                Item::Notification(notification) => {
                    let envelope = &frame.publications[usize::try_from(notification.publication).expect("small")];
                    assert_eq!(envelope.key.sequence.0, notification.position.number.0, "the right publication");
                    assert!(!self.vector.covers(notification.position), "{:?} is not a repeat", notification.position);
                    for position in notification.merged {
                        assert_ne!(position.lane, notification.position.lane, "its own lane is not named");
                        assert!(self.vector.raise(position.lane, position.number), "only what rose is named");
                    }
                    self.vector.raise(notification.position.lane, notification.position.number);
                    let handles = match &notification.satisfied {
                        Satisfied::One(handle) => vec![handle.0],
                        Satisfied::Many(handles) => handles.iter().map(|handle| handle.0).collect(),
                        Satisfied::Count(count) => vec![0; usize::try_from(*count).expect("small")],
                    };
                    self.got.push(Got {
                        position: notification.position,
                        handles,
                        redelivered: notification.redelivered,
                        vector: self.vector.iter().map(|position| (position.lane, position.number.0)).collect(),
                    });
                }
            }
        }
    }

    /// Numbers it got on a lane, in order.
    pub(crate) fn numbers(&self, lane: LaneId) -> Vec<u64> {
        self.got.iter().filter(|got| got.position.lane == lane).map(|got| got.position.number.0).collect()
    }
}
