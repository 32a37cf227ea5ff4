//! Claims about a connection point, driven by hand-written messages of access points and exit points.

mod attaching;
mod layouts;
mod leaving;
mod limits;
mod moving;
mod notifying;
mod operating;
mod publishing;
mod seeking;
mod settling;
mod storm;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gomera_cluster::address::{Incarnation, Layer, Shard};
use gomera_cluster::credit::{Class, Total};
use gomera_cluster::identity::{
    Generation, Handle, Instance, PublisherKey, Sequence, SessionKey, SubscriptionKey, Term,
};
use gomera_cluster::layout::{Epoch, Layout, Member, Settings};
use gomera_cluster::message::access_point::{OpenPublisher, Operate, Publish};
use gomera_cluster::message::connection_point::{
    Acknowledged, AcknowledgedThrough, Attached, Batch, Completed, Item, LaneCredit, Notification, Notifications,
    Presence, PublisherOpened, Satisfied,
};
use gomera_cluster::message::exit_point::Attach;
use gomera_cluster::message::{Message, ToAccessPoint, ToExitPoint};
use gomera_cluster::operation::Outcome;
use gomera_cluster::position::{LaneId, Number, Position, Vector};
use gomera_cluster::publication::{AttributeBlock, Envelope, PublicationKey};
use gomera_cluster::session::{Attempt, SessionOptions};
use gomera_cluster::time::WallClock;
use gomera_model::attributes::Attributes;
use gomera_model::timestamp::Timestamp;

use super::*;
use crate::client::{
    ClientOperation, ClientReply, ClientRequest, CloseReason, Failure, FailureKind, PublishItem, RequestId,
};

const CONNECTION_POINT: Address = address(1);
const ACCESS_POINT: Address = address(2);
const EXIT_POINT: Address = address(4);
const OTHER_EXIT_POINT: Address = address(5);
const LANE: LaneId = LaneId(1);
const UNLIMITED: u64 = u64::MAX / 4;

const fn address(node: u64) -> Address {
    Address { node: Incarnation(node), shard: Shard(0) }
}

fn connection(number: u64) -> ConnectionId {
    ConnectionId(number)
}

/// One connection point, one access point, one matcher, one exit point.
fn layout(epoch: u64) -> Layout {
    let member = |layer: Layer| Member {
        layer,
        name: Arc::from(layer.name()),
        link_address: Arc::from("127.0.0.1:1"),
        client_address: Arc::from(""),
        shards: 1,
    };
    let members: BTreeMap<_, _> =
        (1..).map(Incarnation).zip(Layer::ALL).map(|(node, layer)| (node, member(layer))).collect();
    Layout::initial(Settings::default(), members, 1, Epoch(epoch), LANE)
}

/// The machine under test, and what it has asked for since that was looked at.
struct Bench {
    machine: ConnectionPoint,
    now: Instant,
    actions: Vec<Action>,
}

impl Bench {
    /// With the layout and unlimited credit for the lane.
    fn new(config: Config) -> Self {
        let mut bench = Self::without_layout(config);
        bench.layout(layout(1));
        bench.credit(Class::Live, UNLIMITED);
        bench.credit(Class::Operation, UNLIMITED);
        bench
    }

    fn without_layout(config: Config) -> Self {
        let machine = ConnectionPoint::new(CONNECTION_POINT, config);
        let mut bench = Self { machine, now: Instant::ZERO, actions: Vec::new() };
        let clock = WallClock { at: Instant::ZERO, showed: Timestamp(1_000_000_000) };
        bench.event(Event::Node(NodeEvent::Clock(clock)));
        bench
    }

    /// Handles an event without draining, as a driver in the middle of a batch.
    fn handle(&mut self, event: Event) {
        self.machine.handle(self.now, event);
    }

    fn drain(&mut self) {
        self.machine.drain_actions(&mut self.actions);
    }

    fn event(&mut self, event: Event) {
        self.handle(event);
        self.drain();
    }

    fn layout(&mut self, layout: Layout) {
        self.event(Event::Node(NodeEvent::Layout(Arc::new(layout))));
    }

    fn hear(&mut self, from: Address, message: ToConnectionPoint) {
        self.event(received(from, message));
    }

    fn credit(&mut self, class: Class, total: u64) {
        let credit = LaneCredit { lane: LANE, class, total: Total(total) };
        self.hear(ACCESS_POINT, ToConnectionPoint::LaneCredit(credit));
    }

    fn request(&mut self, number: u64, request: ClientRequest) {
        self.event(Event::Client(ClientEvent::Request { connection: connection(number), request }));
    }

    fn connect(&mut self, number: u64) {
        let tenant = Tenant::open();
        self.event(Event::Client(ClientEvent::Connected { connection: connection(number), tenant }));
    }

    fn disconnect(&mut self, number: u64) {
        self.event(Event::Client(ClientEvent::Disconnected { connection: connection(number) }));
    }

    fn taken(&mut self, number: u64, cost: u64) {
        self.event(Event::Client(ClientEvent::Taken { connection: connection(number), cost }));
    }

    /// Lets time pass and everything that is due in it happen.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.machine.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.machine.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Connects and asks to open a publisher, without an answer of the access point.
    fn begin_publisher(&mut self, number: u64, name: &str, instance: Option<u64>) {
        self.connect(number);
        let instance = instance.map(Instance);
        self.request(number, ClientRequest::OpenPublisher { publisher: Arc::from(name), instance });
    }

    /// The access point opens what was asked last.
    fn open_publisher(&mut self, generation: u64, sequenced: u64, acknowledged: u64) -> OpenPublisher {
        let open = self.opens().pop().expect("an access point was asked");
        let opened = PublisherOpened {
            lane: open.lane,
            publisher: open.publisher,
            instance: open.instance,
            connection: open.connection,
            generation: Generation(generation),
            sequenced: Sequence(sequenced),
            acknowledged: Sequence(acknowledged),
        };
        self.hear(ACCESS_POINT, ToConnectionPoint::PublisherOpened(opened));
        open
    }

    /// A publisher with an instance, open in generation 1.
    fn publisher(&mut self, number: u64, name: &str, instance: u64) -> OpenPublisher {
        self.begin_publisher(number, name, Some(instance));
        self.open_publisher(1, 0, 0)
    }

    fn publish(&mut self, number: u64, sequences: impl IntoIterator<Item = u64>) {
        let items = sequences.into_iter().map(|sequence| item(sequence, "content")).collect();
        self.request(number, ClientRequest::Publish { items, acknowledged_through: Sequence(0) });
    }

    fn acknowledge(&mut self, open: &OpenPublisher, generation: u64, sequence: u64) {
        let through = AcknowledgedThrough {
            publisher: open.publisher,
            instance: open.instance,
            generation: Generation(generation),
            sequence: Sequence(sequence),
        };
        let acknowledged = Acknowledged { lane: open.lane, through: vec![through] };
        self.hear(ACCESS_POINT, ToConnectionPoint::Acknowledged(acknowledged));
    }

    /// Connects and asks to attach, without an answer of the exit point. The request is 100.
    fn begin_session(&mut self, number: u64, name: &str) {
        self.connect(number);
        let attach = attach_request(name, SessionOptions::default(), None);
        self.request(number, attach);
    }

    /// The exit point attaches what was asked last.
    fn attach(&mut self, generation: u64) -> Attach {
        let attach = self.attaches().pop().expect("an exit point was asked");
        let attached = attached(&attach, generation);
        self.hear(EXIT_POINT, ToConnectionPoint::Attached(attached));
        attach
    }

    /// A session attached in this generation.
    fn session(&mut self, number: u64, name: &str, generation: u64) -> Attach {
        self.begin_session(number, name);
        self.attach(generation)
    }

    fn operate(&mut self, number: u64, request: u64, operation: ClientOperation) {
        self.request(number, ClientRequest::Operate { request: RequestId(request), operation });
    }

    fn complete(&mut self, operation: &gomera_cluster::operation::Operation, outcome: Outcome) {
        let completed = Completed {
            session: operation.session,
            version: operation.version,
            position: Position { lane: LANE, number: Number(7) },
            outcome,
        };
        self.hear(ACCESS_POINT, ToConnectionPoint::Completed(completed));
    }

    fn notify(&mut self, notifications: Notifications) {
        self.hear(EXIT_POINT, ToConnectionPoint::Notifications(notifications));
    }

    /// Takes out of what was asked for all that `pick` gives something for, in order.
    fn take<T>(&mut self, mut pick: impl FnMut(&Action) -> Option<T>) -> Vec<T> {
        let mut taken = Vec::new();
        self.actions.retain(|action| match pick(action) {
            Some(picked) => {
                taken.push(picked);
                false
            }
            None => true,
        });
        taken
    }

    fn told_exit_point(&mut self) -> Vec<ToExitPoint> {
        self.take(|action| match action {
            Action::Send(Send { to, message: Message::ExitPoint(message) }) if *to == EXIT_POINT => {
                Some(message.clone())
            }
            Action::Send(_) | Action::Client(_) => None,
        })
    }

    fn opens(&mut self) -> Vec<OpenPublisher> {
        self.take(|action| match action {
            Action::Send(Send { message: Message::AccessPoint(ToAccessPoint::OpenPublisher(open)), .. }) => {
                Some(open.clone())
            }
            Action::Send(_) | Action::Client(_) => None,
        })
    }

    fn published(&mut self) -> Vec<Publish> {
        self.take(|action| match action {
            Action::Send(Send { message: Message::AccessPoint(ToAccessPoint::Publish(publish)), .. }) => {
                Some(publish.clone())
            }
            Action::Send(_) | Action::Client(_) => None,
        })
    }

    fn operated(&mut self) -> Vec<Operate> {
        self.take(|action| match action {
            Action::Send(Send { message: Message::AccessPoint(ToAccessPoint::Operate(operate)), .. }) => {
                Some(operate.clone())
            }
            Action::Send(_) | Action::Client(_) => None,
        })
    }

    fn attaches(&mut self) -> Vec<Attach> {
        self.take(|action| match action {
            Action::Send(Send { message: Message::ExitPoint(ToExitPoint::Attach(attach)), .. }) => Some(attach.clone()),
            Action::Send(_) | Action::Client(_) => None,
        })
    }

    fn replies(&mut self, number: u64) -> Vec<ClientReply> {
        self.take(|action| match action {
            Action::Client(ClientAction::Reply { connection, reply }) if connection.0 == number => Some(reply.clone()),
            Action::Client(_) | Action::Send(_) => None,
        })
    }

    /// Failed requests of a connection.
    fn failures(&mut self, number: u64) -> Vec<(u64, Failure)> {
        self.replies(number)
            .into_iter()
            .filter_map(|reply| {
                let ClientReply::Failed { request, failure } = reply else { return None };
                Some((request.0, failure))
            })
            .collect()
    }

    /// Why a connection was closed, if it was.
    fn closed(&mut self, number: u64) -> Option<CloseReason> {
        let mut reasons = self.take(|action| match action {
            Action::Client(ClientAction::Close { connection, reason }) if connection.0 == number => {
                Some(reason.clone())
            }
            Action::Client(_) | Action::Send(_) => None,
        });
        assert!(reasons.len() <= 1, "closed once: {reasons:?}");
        reasons.pop()
    }

    /// With which failure a connection was closed.
    fn closed_with(&mut self, number: u64) -> Failure {
        self.closed(number).expect("closed").failure.expect("with a failure")
    }

    /// Pauses (true) and resumptions (false) of a connection, in order.
    fn brakes(&mut self, number: u64) -> Vec<bool> {
        self.take(|action| match action {
            Action::Client(ClientAction::Pause { connection }) if connection.0 == number => Some(true),
            Action::Client(ClientAction::Resume { connection }) if connection.0 == number => Some(false),
            Action::Client(_) | Action::Send(_) => None,
        })
    }

    fn statistics(&self) -> Statistics {
        *self.machine.statistics()
    }
}

fn received(from: Address, message: ToConnectionPoint) -> Event {
    Event::Node(NodeEvent::Received(Received { from, epoch: Epoch(1), message }))
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

fn sequences(publishes: &[Publish]) -> Vec<u64> {
    let submissions = publishes.iter().flat_map(|publish| &publish.submissions);
    submissions.map(|submission| submission.envelope.key.sequence.0).collect()
}

fn attach_request(name: &str, options: SessionOptions, resume: Option<Vector>) -> ClientRequest {
    ClientRequest::Attach {
        request: RequestId(100),
        session: Arc::from(name),
        options,
        resume,
        attempt: Attempt::default(),
    }
}

fn attached(attach: &Attach, generation: u64) -> Attached {
    Attached {
        connection: attach.connection,
        session: attach.session,
        slice: attach.slice,
        term: attach.term,
        generation: Generation(generation),
        handle_first: Handle(1),
        presence: Presence::Created,
        merged: Vector::default(),
    }
}

fn publication(sequence: u64) -> Arc<Envelope> {
    let tenant = Tenant::open();
    Arc::new(Envelope {
        key: PublicationKey {
            publisher: PublisherKey::of(&tenant, "p"),
            instance: Instance(1),
            sequence: Sequence(sequence),
        },
        tenant,
        publisher: Arc::from("p"),
        accepted_at: Timestamp(0),
        expires_at: None,
        content: Bytes::new(),
        attributes: AttributeBlock::Encoded,
    })
}

fn notification(publication: u32, number: u64, cost: u64) -> Item {
    Item::Notification(Notification {
        publication,
        position: Position { lane: LANE, number: Number(number) },
        satisfied: Satisfied::One(Handle(1)),
        merged: Vec::new(),
        redelivered: false,
        cost,
    })
}

fn batch(attach: &Attach, generation: u64, items: Vec<Item>) -> Batch {
    Batch {
        session: attach.session,
        slice: attach.slice,
        term: attach.term,
        connection: attach.connection,
        generation: Generation(generation),
        items,
    }
}

/// A client's vector that names so many lanes.
fn vector(lanes: u32) -> Vector {
    (0..lanes).map(|lane| Position { lane: LaneId(lane), number: Number(1) }).collect()
}
