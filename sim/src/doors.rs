//! The streams between clients and connection points, as gRPC would carry them: first-in first-out both ways, read from only
//! while the connection point has not paused them and the client reads. What a client sends before it drops the connection
//! may arrive or not; the connection point learns of the loss late.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use gomera_cluster::identity::{ConnectionId, Tenant};
use gomera_cluster::time::Instant;
use gomera_connection_point::client::{ClientEvent, ClientReply, ClientRequest, CloseReason};

use crate::agenda::{Agenda, Due};
use crate::node::NodeIndex;
use crate::random::{Random, micros};

/// Which client connection; also its [`ConnectionId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionIndex(pub usize);

impl ConnectionIndex {
    /// The id connection points know it by: the first is 1.
    #[must_use]
    pub fn id(self) -> ConnectionId {
        ConnectionId(u64::try_from(self.0).expect("few connections") + 1)
    }

    fn of(id: ConnectionId) -> Self {
        Self(usize::try_from(id.0).expect("few connections") - 1)
    }
}

/// Whose client connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A publisher.
    Publisher(usize),
    /// A subscriber.
    Subscriber(usize),
}

/// What arrives at a client.
#[derive(Clone, Debug)]
pub enum Downward {
    /// A reply.
    Reply(ClientReply),
    /// The end of the stream.
    Closed(CloseReason),
    /// The stream broke: nobody is at its other end, or it seems so.
    Lost,
}

#[derive(Clone, Debug)]
enum Upward {
    Connected(Tenant),
    Request(ClientRequest),
    Gone,
}

#[derive(Debug)]
struct Stream {
    owner: Owner,
    point: NodeIndex,
    delay: (Duration, Duration),
    up: VecDeque<Upward>,
    up_last: Instant,
    down: VecDeque<Downward>,
    down_last: Instant,
    /// The connection point does not read.
    paused: bool,
    /// The client reads.
    reading: bool,
    /// The client is there.
    present: bool,
    /// The connection point has not closed it.
    open: bool,
    /// When it did, though the client was there.
    closed: Option<Instant>,
}

/// All client connections that ever were.
#[derive(Debug)]
pub struct Doors {
    streams: Vec<Stream>,
    random: Random,
    delay: (Duration, Duration),
    notice: Duration,
    /// Connection points that are gone.
    gone: BTreeSet<NodeIndex>,
}

/// What a connection point is told when something arrives.
#[derive(Debug)]
pub struct Arrival {
    /// Which connection point.
    pub point: NodeIndex,
    /// What.
    pub event: ClientEvent,
}

impl Doors {
    /// No connections yet. Streams take `delay`; a connection point learns of a lost client within `notice`.
    #[must_use]
    pub fn new(delay: (Duration, Duration), notice: Duration, random: Random) -> Self {
        Self { streams: Vec::new(), random, delay, notice, gone: BTreeSet::new() }
    }

    /// A client connects.
    pub fn connect(
        &mut self,
        now: Instant,
        owner: Owner,
        tenant: Tenant,
        point: NodeIndex,
        agenda: &mut Agenda,
    ) -> ConnectionIndex {
        let index = ConnectionIndex(self.streams.len());
        self.streams.push(Stream {
            owner,
            point,
            delay: self.delay,
            up: VecDeque::new(),
            up_last: now,
            down: VecDeque::new(),
            down_last: now,
            paused: false,
            reading: true,
            present: true,
            open: true,
            closed: None,
        });
        if self.gone.contains(&point) {
            // Nobody answers there.
            self.streams[index.0].open = false;
            self.push_down(now, index, Downward::Lost, agenda);
        } else {
            self.push_up(now, index, Upward::Connected(tenant), agenda);
        }
        index
    }

    /// A connection point is gone: what its clients sent and it did not read is lost, and some of what it sent last. Says how
    /// many clients it had.
    pub fn crash(&mut self, now: Instant, point: NodeIndex, agenda: &mut Agenda) -> usize {
        self.gone.insert(point);
        let mut lost = 0;
        for index in 0..self.streams.len() {
            let stream = &mut self.streams[index];
            if stream.point != point || !stream.open {
                continue;
            }
            stream.open = false;
            stream.paused = false;
            stream.up.clear();
            if stream.present {
                lost += 1;
                stream.down.truncate(self.random.index(stream.down.len() + 1));
                self.lose(now, ConnectionIndex(index), self.notice, agenda);
            }
        }
        lost
    }

    /// A connection point stands still for a while: some of its clients find that out, within `notice`, and take it for gone.
    pub fn pause(&mut self, now: Instant, point: NodeIndex, notice: Duration, agenda: &mut Agenda) {
        for index in 0..self.streams.len() {
            let stream = &self.streams[index];
            if stream.point == point && stream.open && stream.present && self.random.chance(500) {
                self.lose(now, ConnectionIndex(index), notice, agenda);
            }
        }
    }

    fn lose(&mut self, now: Instant, index: ConnectionIndex, notice: Duration, agenda: &mut Agenda) {
        let late = self.random.duration(Duration::ZERO, notice);
        let stream = &mut self.streams[index.0];
        stream.down_last = stream.down_last.max(now + late);
        self.push_down(now, index, Downward::Lost, agenda);
    }

    fn push_down(&mut self, now: Instant, index: ConnectionIndex, downward: Downward, agenda: &mut Agenda) {
        let delay = self.random.duration(self.delay.0, self.delay.1);
        let stream = &mut self.streams[index.0];
        let at = (now + delay).max(stream.down_last);
        stream.down_last = at;
        stream.down.push_back(downward);
        agenda.enter(at, Due::Downward(index));
    }

    /// A client sends a request.
    pub fn send(&mut self, now: Instant, index: ConnectionIndex, request: ClientRequest, agenda: &mut Agenda) {
        if self.streams[index.0].open {
            self.push_up(now, index, Upward::Request(request), agenda);
        }
    }

    /// A client is gone. Some of what it sent last may be lost.
    pub fn leave(&mut self, now: Instant, index: ConnectionIndex, agenda: &mut Agenda) {
        let keep = {
            let stream = &self.streams[index.0];
            self.random.index(stream.up.len() + 1)
        };
        let stream = &mut self.streams[index.0];
        if !stream.present {
            return;
        }
        stream.present = false;
        stream.down.clear();
        let connected = matches!(stream.up.front(), Some(Upward::Connected(_)));
        stream.up.truncate(keep.max(usize::from(connected)));
        if stream.paused {
            stream.up.retain(|upward| matches!(upward, Upward::Connected(_)));
        }
        let late = self.random.duration(Duration::ZERO, self.notice);
        stream.up_last = stream.up_last.max(now + late);
        self.push_up(now, index, Upward::Gone, agenda);
    }

    fn push_up(&mut self, now: Instant, index: ConnectionIndex, upward: Upward, agenda: &mut Agenda) {
        let stream = &mut self.streams[index.0];
        let at = (now + self.random.duration(stream.delay.0, stream.delay.1)).max(stream.up_last);
        stream.up_last = at;
        stream.up.push_back(upward);
        agenda.enter(at, Due::Upward(index));
    }

    /// What arrives at a connection point now; nothing while it does not read.
    pub fn arrive_up(&mut self, index: ConnectionIndex) -> Option<Arrival> {
        let stream = &mut self.streams[index.0];
        let reads = !stream.paused || matches!(stream.up.front(), Some(Upward::Gone));
        if !stream.open || !reads {
            return None;
        }
        let connection = index.id();
        let event = match stream.up.pop_front()? {
            Upward::Connected(tenant) => ClientEvent::Connected { connection, tenant },
            Upward::Request(request) => ClientEvent::Request { connection, request },
            Upward::Gone => {
                stream.open = false;
                ClientEvent::Disconnected { connection }
            }
        };
        Some(Arrival { point: stream.point, event })
    }

    /// A connection point pauses or resumes reading.
    pub fn set_paused(&mut self, now: Instant, connection: ConnectionId, paused: bool, agenda: &mut Agenda) {
        let index = ConnectionIndex::of(connection);
        let stream = &mut self.streams[index.0];
        stream.paused = paused;
        if !paused {
            for _ in 0..stream.up.len() {
                agenda.enter(now.max(stream.up_last), Due::Upward(index));
            }
        }
    }

    /// A connection point replies.
    pub fn reply(&mut self, now: Instant, connection: ConnectionId, downward: Downward, agenda: &mut Agenda) {
        let index = ConnectionIndex::of(connection);
        let stream = &mut self.streams[index.0];
        if matches!(downward, Downward::Closed(_)) {
            stream.open = false;
            stream.closed = Some(now);
        }
        if stream.present {
            self.push_down(now, index, downward, agenda);
        }
    }

    /// What arrives at a client now; nothing while it does not read.
    pub fn arrive_down(
        &mut self,
        now: Instant,
        index: ConnectionIndex,
        agenda: &mut Agenda,
    ) -> Option<(Owner, Downward)> {
        let stream = &mut self.streams[index.0];
        if !stream.present || !stream.reading {
            return None;
        }
        let downward = stream.down.pop_front()?;
        let owner = stream.owner;
        match downward {
            Downward::Reply(_) => {}
            Downward::Closed(_) => stream.present = false,
            Downward::Lost => {
                stream.present = false;
                stream.down.clear();
                if stream.open {
                    // Not gone after all: it learns that its client is.
                    self.push_up(now, index, Upward::Gone, agenda);
                }
            }
        }
        Some((owner, downward))
    }

    /// When the connection point closed it, whether or not the client has read so.
    #[must_use]
    pub fn closed(&self, index: ConnectionIndex) -> Option<Instant> {
        self.streams[index.0].closed
    }

    /// A client reads, or stops to.
    pub fn set_reading(&mut self, now: Instant, index: ConnectionIndex, reading: bool, agenda: &mut Agenda) {
        let stream = &mut self.streams[index.0];
        stream.reading = reading;
        if reading {
            for _ in 0..stream.down.len() {
                agenda.enter(now.max(stream.down_last), Due::Downward(index));
            }
        }
    }

    /// Which connection point serves a connection.
    #[must_use]
    pub fn point(&self, index: ConnectionIndex) -> NodeIndex {
        self.streams[index.0].point
    }

    /// How much a client has sent that its connection point has not read: its side of back-pressure.
    #[must_use]
    pub fn unread_up(&self, index: ConnectionIndex) -> usize {
        self.streams[index.0].up.len()
    }

    /// Whether something arrives without anybody doing anything.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.streams.iter().any(|stream| {
            (stream.open && !stream.paused && !stream.up.is_empty())
                || (stream.present && stream.reading && !stream.down.is_empty())
        })
    }

    /// A connection on which something is under way, and what.
    #[must_use]
    pub fn under_way(&self) -> Option<String> {
        let (index, stream) = self.streams.iter().enumerate().find(|(_, stream)| {
            (stream.open && !stream.up.is_empty()) || (stream.present && !stream.down.is_empty())
        })?;
        Some(format!(
            "{} requests{} and {} replies{} are under way on connection {}",
            stream.up.len(),
            if stream.paused { " (paused)" } else { "" },
            stream.down.len(),
            if stream.reading { "" } else { " (not read)" },
            index + 1
        ))
    }

    /// From now on streams are fast and losses are noticed at once.
    pub fn calm_down(&mut self, now: Instant, agenda: &mut Agenda) {
        self.delay = (micros(20), micros(100));
        self.notice = micros(100);
        for (index, stream) in self.streams.iter_mut().enumerate() {
            stream.delay = self.delay;
            stream.up_last = now;
            stream.down_last = now;
            for _ in 0..stream.up.len() {
                agenda.enter(now, Due::Upward(ConnectionIndex(index)));
            }
            for _ in 0..stream.down.len() {
                agenda.enter(now, Due::Downward(ConnectionIndex(index)));
            }
        }
    }
}
