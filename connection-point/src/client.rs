//! What clients can ask of a connection point and what they are told, in terms of the model: the host turns the streams of
//! `gomera.v1` into these and back, and does nothing else with them.
//!
//! A connection is one stream of one client (a publish stream, a session stream, a unary call). Flow control towards the
//! client is told by [`ClientEvent::Taken`]; flow control from it by [`ClientAction::Pause`] and [`ClientAction::Resume`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gomera_cluster::identity::{ConnectionId, Generation, Handle, Instance, Sequence, Tenant};
use gomera_cluster::message::connection_point::{Gap, Satisfied};
use gomera_cluster::operation::Description;
use gomera_cluster::position::{Position, Vector};
use gomera_cluster::publication::Envelope;
use gomera_cluster::session::{Attempt, SessionOptions};
use gomera_model::attributes::Attributes;
use gomera_model::filter::Filter;
use gomera_model::timestamp::Timestamp;

/// What happens on client connections.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// A client connection is there; its tenant comes from its credential.
    Connected {
        /// Never used before in this incarnation.
        connection: ConnectionId,
        /// Whose client.
        tenant: Tenant,
    },
    /// The client asks.
    Request {
        /// Who asks.
        connection: ConnectionId,
        /// What.
        request: ClientRequest,
    },
    /// So much of what [`ClientReply::Notifications`] gave (sum of `cost`, and how many) has left for the client.
    Taken {
        /// Whose.
        connection: ConnectionId,
        /// Sum of the `cost` of each [`Delivery::Notification`].
        cost: u64,
    },
    /// The connection is gone, for whatever reason.
    Disconnected {
        /// Which.
        connection: ConnectionId,
    },
}

/// Echoed in the reply to a request; chosen by the client. 0: no reply wanted (unless it fails).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a client can ask.
#[derive(Clone, Debug)]
pub enum ClientRequest {
    /// First on a connection that publishes.
    OpenPublisher {
        /// The publisher's name; empty: the connection point gives one.
        publisher: Arc<str>,
        /// Its life, or `None`: the connection point numbers publications in the order they come in, from 1 per connection, and
        /// is the publisher instance itself.
        instance: Option<Instance>,
    },
    /// Publications, in order; at most some 2000 at once, so that other clients wait for less than a millisecond (a larger
    /// request of a client is handed in as several).
    Publish {
        /// The publications.
        items: Vec<PublishItem>,
        /// The client has seen acknowledgements up to here.
        acknowledged_through: Sequence,
    },
    /// First on a connection that subscribes.
    Attach {
        /// Echoed.
        request: RequestId,
        /// The session's name; empty: the connection point gives one.
        session: Arc<str>,
        /// Its options.
        options: SessionOptions,
        /// The client's `W`, if it has one.
        resume: Option<Vector>,
        /// Which of its tries this is.
        attempt: Attempt,
    },
    /// An operation on the session attached.
    Operate {
        /// Echoed.
        request: RequestId,
        /// What to do.
        operation: ClientOperation,
    },
    /// Everything at or below is processed.
    Acknowledge(Vector),
    /// From the first one on: no more notifications than this in total on this connection.
    Credit {
        /// Since the attachment began.
        notifications_total: u64,
    },
    /// The session ends.
    EndSession {
        /// Echoed.
        request: RequestId,
    },
}

/// A publication as a client hands it in, decoded and validated by the host against the limits of the model.
#[derive(Clone, Debug)]
pub struct PublishItem {
    /// Its sequence; ignored without an instance.
    pub sequence: Sequence,
    /// As the client sent it.
    pub content: Bytes,
    /// Its attributes as the client gave them or flattened from the payload, without system attributes.
    pub attributes: Attributes,
    /// When it was measured, if the client says.
    pub time: Option<Timestamp>,
    /// How long after acceptance outboxes drop it.
    pub expires_after: Option<Duration>,
    /// Whether it may have been sent before.
    pub resent: bool,
}

/// An operation on the session attached.
#[derive(Clone, Debug)]
pub enum ClientOperation {
    /// Create or replace.
    Subscribe(ClientSubscription),
    /// Replace; `NotFound` if there is none.
    Update(ClientSubscription),
    /// Remove.
    Unsubscribe(Arc<str>),
    /// Pause or resume.
    SetPaused(Arc<str>, bool),
    /// Read one.
    Get(Arc<str>),
    /// Read some, in order of handle.
    List {
        /// Only handles above this one.
        after: Option<Handle>,
        /// At most so many, 1 to 1000.
        limit: u16,
    },
    /// Replace the context.
    SetContext(Attributes),
}

/// A subscription as a client declares it.
#[derive(Clone, Debug)]
pub struct ClientSubscription {
    /// Unique in the session.
    pub id: Arc<str>,
    /// Its filter.
    pub filter: Filter,
    /// Not matched.
    pub paused: bool,
    /// From acceptance on.
    pub expires_after: Option<Duration>,
}

/// What the machine asks the host to do with client connections.
#[derive(Clone, Debug)]
pub enum ClientAction {
    /// Tell the client.
    Reply {
        /// Whom.
        connection: ConnectionId,
        /// What.
        reply: ClientReply,
    },
    /// Read nothing more from it until [`ClientAction::Resume`].
    Pause {
        /// Which.
        connection: ConnectionId,
    },
    /// Read from it again.
    Resume {
        /// Which.
        connection: ConnectionId,
    },
    /// Tell it why and close; nothing follows, [`ClientEvent::Disconnected`] is not needed.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
}

/// What a client is told.
#[derive(Clone, Debug)]
pub enum ClientReply {
    /// It may publish (it may have begun before: publications are kept meanwhile).
    PublisherOpened {
        /// The highest sequence taken from the instance before.
        sequenced: Sequence,
        /// Everything up to here is acknowledged.
        acknowledged: Sequence,
    },
    /// Everything up to here that was not refused is in the outbox of every session it satisfies.
    Acknowledged {
        /// Cumulative.
        through: Sequence,
    },
    /// One publication was not taken; the connection goes on.
    PublicationRefused {
        /// Which.
        sequence: Sequence,
        /// Why.
        failure: Failure,
    },
    /// The session is attached.
    Attached {
        /// Echoed.
        request: RequestId,
        /// Its name, also if given by the connection point.
        session: Arc<str>,
        /// Whether it existed.
        resumed: bool,
        /// Where it stands.
        merged: Vector,
        /// The attachment.
        generation: Generation,
    },
    /// An operation is in force.
    Applied {
        /// Echoed.
        request: RequestId,
        /// The subscription's handle, where there is one.
        handle: Option<Handle>,
        /// Per lane: from the next number on surely the new state decides.
        in_force_after: Vector,
    },
    /// Subscriptions read.
    Found {
        /// Echoed.
        request: RequestId,
        /// In order of handle.
        subscriptions: Vec<Description>,
    },
    /// A request failed; the connection goes on.
    Failed {
        /// Echoed.
        request: RequestId,
        /// Why.
        failure: Failure,
    },
    /// Notifications and gaps, in order.
    Notifications(Vec<Delivery>),
    /// Subscriptions were lost with all matchers that had them: of what was answered before, any subscription and the context may be
    /// missing; what is answered later stands. Told when an attachment that existed is resumed as well: a number that the client was
    /// told before is nothing new.
    SubscriptionsLost {
        /// Rises with each loss.
        number: u64,
    },
    /// This connection point is to leave: the client should open another connection elsewhere, take up there what it does here, and
    /// close this one; until then it is served here.
    MoveTo {
        /// `HOST:PORT` of the others.
        endpoints: Arc<[Arc<str>]>,
    },
}

/// One thing delivered to a session.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A publication that satisfied subscriptions.
    Notification {
        /// The publication.
        envelope: Arc<Envelope>,
        /// Where it stands.
        position: Position,
        /// What it satisfied.
        satisfied: Satisfied,
        /// What else of the merged vector rose.
        merged: Vec<Position>,
        /// May have been delivered before.
        redelivered: bool,
        /// To be told back by [`ClientEvent::Taken`].
        cost: u64,
    },
    /// What was given up before this point.
    Gap(Gap),
}

/// Why a request or a publication was not taken. Text for people is made here, so that every door says the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind; the host maps it to a gRPC code by one table.
    pub kind: FailureKind,
    /// A sentence that names the thing and what would be right.
    pub message: String,
}

/// Kinds of failure a client acts differently on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The request makes no sense; sending it again will not help.
    Invalid,
    /// Not in this state of the connection.
    Precondition,
    /// No such subscription.
    NotFound,
    /// A sequence was used for other content.
    AlreadyExists,
    /// Too old to be known.
    OutOfRange,
    /// A limit was met.
    Exhausted,
    /// Not now; try again.
    Unavailable,
    /// Something newer took over.
    Aborted,
    /// Not served.
    Unimplemented,
}

/// Why a connection is closed by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReason {
    /// What kind, `None`: an ordinary end.
    pub failure: Option<Failure>,
}
