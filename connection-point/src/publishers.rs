//! All publishers of this connection point: takes publications in, keeps them until acknowledged, gives them to lanes as credit
//! allows, in turn, and holds back clients that are ahead of it.
//!
//! Invariants: a publisher that is open and has something unsent waits in its lane; one connection at most stands for a
//! publisher instance; `bytes` is the sum over all windows.

mod answers;
mod publisher;
mod seeking;
mod window;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::identity::{ConnectionId, Instance, PublisherKey, Sequence, Tenant};
use gomera_cluster::layout::Layout;
use gomera_cluster::message::ToAccessPoint;
use gomera_cluster::message::access_point::{OpenPublisher, Publish, Purpose, Submission};
use gomera_cluster::position::LaneId;

use self::publisher::{Numbering, Publisher, Standing, Verdict};
use self::window::Window;
use crate::brake::{Brake, Reason};
use crate::client::{ClientReply, Failure, PublishItem};
use crate::failure;
use crate::lanes::{FRAME_BYTES_MAX, Lane, Lanes};
use crate::rate::Rate;
use crate::surroundings::Surroundings;
use crate::timers::Timer;
use crate::turns::Turns;

/// Most publishers that go on in one step once there is room again; the rest follow in steps of their own.
const RESUMES_MAX: usize = 64;

/// All publishers, by connection and by instance.
#[derive(Debug, Default)]
pub(crate) struct Publishers {
    by_connection: BTreeMap<ConnectionId, Publisher>,
    by_instance: BTreeMap<(PublisherKey, Instance), ConnectionId>,
    /// Who waits for room among all.
    waiting: Turns,
    bytes: u64,
}

/// What a client said when it opened: its publisher's name and life.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub tenant: Tenant,
    pub name: Arc<str>,
    pub instance: Option<Instance>,
}

impl Publishers {
    /// Whether this connection publishes.
    pub fn contains(&self, connection: ConnectionId) -> bool {
        self.by_connection.contains_key(&connection)
    }

    /// So many connections after one, in order.
    pub fn after(&self, after: Bound<ConnectionId>, count: usize) -> impl Iterator<Item = ConnectionId> + '_ {
        self.by_connection.range((after, Bound::Unbounded)).map(|(&connection, _)| connection).take(count)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_connection.len()
    }

    /// Cost of everything unacknowledged.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A client opens its publisher; an older connection of the same instance is superseded here and now.
    pub fn open(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId, opening: Opening) {
        let Opening { tenant, name, instance } = opening;
        let name = if name.is_empty() { Arc::from(format!("cp-{}-{}", around.address, connection.0)) } else { name };
        let key = PublisherKey::of(&tenant, &name);
        let (numbering, instance) = match instance {
            Some(instance) => (Numbering::Client, instance),
            None => (Numbering::Here, own_instance(around.address, connection)),
        };
        if let Some(&older) = self.by_instance.get(&(key, instance)) {
            self.close(around, lanes, older, failure::publisher_superseded());
        }
        let rate = around.config.publications_per_second_max.map(|per_second| Rate::new(per_second, around.now));
        let publisher = Publisher {
            tenant,
            name,
            key,
            instance,
            numbering,
            standing: Standing::AwaitingLane,
            is_introduced: false,
            is_moving: false,
            seeking: None,
            catches_up: None,
            window: Window::default(),
            brake: Brake::default(),
            rate,
            turn: None,
            room: None,
            highest: Sequence(0),
            acknowledged: Sequence(0),
            seen: Sequence(0),
            seen_told: Sequence(0),
            unheard: None,
        };
        self.by_instance.insert((key, instance), connection);
        self.by_connection.insert(connection, publisher);
        around.timers.set(Timer::Wait(connection), around.now + around.config.layout_wait);
        self.ask(around, lanes, connection);
    }

    /// Publications of a client; says whether this connection publishes at all.
    pub fn publish(
        &mut self,
        around: &mut Surroundings,
        lanes: &mut Lanes,
        connection: ConnectionId,
        items: Vec<PublishItem>,
        seen: Sequence,
    ) -> bool {
        let wall = around.wall();
        let Some(publisher) = self.by_connection.get_mut(&connection) else { return false };
        let Surroundings { config, now, acceptance, timers, output, statistics, .. } = around;
        publisher.sees(seen);
        let (count, bytes_before) = (items.len(), publisher.window.bytes());
        let mut settled = false;
        for item in items {
            let refused = match publisher.judge(&item) {
                Verdict::Take(key) => {
                    let resent = item.resent && publisher.numbering == Numbering::Client;
                    match acceptance.envelope(&publisher.tenant, &publisher.name, key, item, wall) {
                        Ok(envelope) => {
                            publisher.window.push(envelope, resent);
                            statistics.publications_accepted += 1;
                            continue;
                        }
                        Err(failure) => (key.sequence, failure),
                    }
                }
                Verdict::Settled => {
                    settled = true;
                    statistics.publications_repeated += 1;
                    continue;
                }
                Verdict::Known => {
                    statistics.publications_repeated += 1;
                    continue;
                }
                Verdict::Refuse(sequence, failure) => (sequence, failure),
            };
            let (sequence, failure) = refused;
            statistics.publications_refused += 1;
            output.reply(connection, ClientReply::PublicationRefused { sequence, failure });
        }
        if settled {
            output.acknowledge(connection, publisher.acknowledged);
        }
        self.bytes += publisher.window.bytes() - bytes_before;
        if publisher.window.bytes() >= config.publisher_window_bytes {
            publisher.brake.press(Reason::Window, connection, output, statistics);
        }
        if let Some(again) = publisher.rate.as_mut().and_then(|rate| rate.spend(*now, count)) {
            publisher.brake.press(Reason::Rate, connection, output, statistics);
            timers.set(Timer::Refill(connection), again);
        }
        if self.bytes >= config.publications_bytes_max && publisher.room.is_none() {
            publisher.brake.press(Reason::Room, connection, output, statistics);
            publisher.room = Some(self.waiting.enter(connection));
        }
        queue(lanes, connection, publisher);
        let (bytes, limit) = (publisher.window.bytes(), config.publisher_bytes_max);
        // One request may go over the window however small that is; what comes although nothing should be read may not.
        if bytes_before >= config.publisher_window_bytes && bytes > limit {
            self.close(around, lanes, connection, failure::publisher_overrun(bytes, limit));
        }
        true
    }

    /// Follows a layout: publishers without a lane may get one, those whose lane has ended go on on another one at once, those that
    /// belong to another lane now when what they sent is acknowledged.
    pub fn follow(&mut self, around: &mut Surroundings, lanes: &mut Lanes) {
        let Some(layout) = around.layout.clone() else { return };
        let mut asking = Vec::new();
        let mut moving = Vec::new();
        let mut ending = Vec::new();
        for (&connection, publisher) in &mut self.by_connection {
            let wanted = layout.lane_of_publisher(publisher.key);
            publisher.is_moving = false;
            match publisher.standing.lane() {
                None => asking.push(connection),
                Some(lane) if lanes.writer(lane).is_none() && publisher.unheard.is_some() => ending.push(connection),
                Some(lane) if lanes.writer(lane).is_none() => {
                    around.statistics.publishers_fenced += 1;
                    publisher.window.send_again();
                    // Its turn has gone with the lane.
                    publisher.turn = None;
                    publisher.catches_up = None;
                    publisher.standing = Standing::AwaitingLane;
                    around.timers.set(Timer::Wait(connection), around.now + around.config.layout_wait);
                    asking.push(connection);
                }
                Some(lane) if wanted.is_some_and(|wanted| wanted != lane) && publisher.catches_up.is_none() => {
                    moving.push(connection);
                }
                Some(_) => queue(lanes, connection, publisher),
            }
        }
        for connection in ending {
            self.close(around, lanes, connection, failure::lane_ended());
        }
        for connection in moving {
            self.begin_to_move(around, lanes, connection);
        }
        for connection in asking {
            self.ask(around, lanes, connection);
        }
    }

    /// Hands nothing in any more where it is, and goes on on its own lane when what was sent is acknowledged.
    fn begin_to_move(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId) {
        let Some(publisher) = self.by_connection.get_mut(&connection) else { return };
        publisher.is_moving = true;
        if let (Some(turn), Some(lane)) = (publisher.turn.take(), publisher.standing.lane())
            && let Some(lane) = lanes.get_mut(lane)
        {
            lane.publications.turns.leave(turn);
        }
        self.move_on(around, lanes, connection);
    }

    /// Goes on on another lane, if it is to and if what was sent on the one before is acknowledged.
    fn move_on(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId) {
        let Some(publisher) = self.by_connection.get_mut(&connection) else { return };
        if !publisher.is_moving || publisher.window.has_sent() {
            return;
        }
        publisher.is_moving = false;
        if publisher.unheard.is_some() {
            // On another lane nobody knows what was refused on this one: were something taken there, what was refused before it would
            // pass for acknowledged, or for a repeat if the client sent it again.
            self.close(around, lanes, connection, failure::lane_ended());
            return;
        }
        around.statistics.publishers_moved += 1;
        if let Standing::Open(lane, _) = publisher.standing
            && publisher.seen > publisher.seen_told
            && let Some(lane) = lanes.get_mut(lane)
        {
            lane.left.push((publisher.key, publisher.instance, publisher.seen));
        }
        publisher.seen_told = Sequence(0);
        self.ask(around, lanes, connection);
    }

    /// Whether a connection publishes on a lane.
    pub fn stands_on(&self, connection: ConnectionId, lane: LaneId) -> bool {
        self.by_connection.get(&connection).is_some_and(|publisher| publisher.standing.lane() == Some(lane))
    }

    /// Somebody who publishes on a lane.
    pub fn find_on(&self, lane: LaneId) -> Option<ConnectionId> {
        let mut publishers = self.by_connection.iter();
        publishers.find(|(_, publisher)| publisher.standing.lane() == Some(lane)).map(|(&connection, _)| connection)
    }

    /// What a connection waited for did not come.
    pub fn give_up(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId) {
        let Some(publisher) = self.by_connection.get(&connection) else { return };
        let failure = match publisher.standing {
            Standing::AwaitingLane => failure::no_layout(around.config.layout_wait),
            Standing::Seeking | Standing::Opening(_) => {
                failure::no_answer("the access point of this publisher", around.config.answer_wait)
            }
            Standing::Open(..) => {
                self.end_catching_up(around, lanes, connection);
                return;
            }
        };
        self.close(around, lanes, connection, failure);
    }

    /// A publisher's rate allows more.
    pub fn refill(&mut self, around: &mut Surroundings, connection: ConnectionId) {
        if let Some(publisher) = self.by_connection.get_mut(&connection) {
            publisher.brake.release(Reason::Rate, connection, &mut around.output);
        }
    }

    /// Lets publishers go on that waited for room, if there is some.
    pub fn give_room(&mut self, around: &mut Surroundings) {
        for _ in 0..RESUMES_MAX {
            if self.bytes >= around.config.publications_bytes_max {
                return;
            }
            let Some(connection) = self.waiting.next() else { return };
            let publisher = self.by_connection.get_mut(&connection).expect("who goes gives its place back");
            publisher.room = None;
            publisher.brake.release(Reason::Room, connection, &mut around.output);
        }
        if !self.waiting.is_empty() {
            around.timers.set(Timer::Room, around.now);
        }
    }

    /// Sends to a lane what waits for it, as far as its credit goes: one frame, or more if it would become too large.
    pub fn send(&mut self, around: &mut Surroundings, id: LaneId, lane: &mut Lane) {
        let (mut submissions, mut bytes) = (Vec::<Submission>::new(), 0);
        let mut acknowledged_through = std::mem::take(&mut lane.left);
        while let Some((connection, share)) = lane.publications.next() {
            let publisher = self.by_connection.get_mut(&connection).expect("who goes gives its turn back");
            publisher.turn = None;
            let Standing::Open(_, generation) = publisher.standing else {
                unreachable!("only an open publisher waits in a lane");
            };
            if publisher.seen > publisher.seen_told {
                publisher.seen_told = publisher.seen;
                acknowledged_through.push((publisher.key, publisher.instance, publisher.seen));
            }
            let cost = publisher.window.send(share, generation, &mut submissions);
            lane.publications.credit.spend(cost);
            bytes += cost;
            if publisher.window.has_unsent() {
                publisher.turn = Some(lane.publications.turns.enter(connection));
            }
            if bytes >= FRAME_BYTES_MAX {
                let (submissions, through) =
                    (std::mem::take(&mut submissions), std::mem::take(&mut acknowledged_through));
                flush(around, lane.writer, Publish { lane: id, submissions, acknowledged_through: through });
                bytes = 0;
            }
        }
        if !submissions.is_empty() || !acknowledged_through.is_empty() {
            flush(around, lane.writer, Publish { lane: id, submissions, acknowledged_through });
        }
    }

    /// A connection is gone, or going: what is held for it is dropped. Says whether it published.
    pub fn remove(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId) -> bool {
        let Some(publisher) = self.by_connection.remove(&connection) else { return false };
        let instance = (publisher.key, publisher.instance);
        if self.by_instance.get(&instance) == Some(&connection) {
            self.by_instance.remove(&instance);
        }
        if let Standing::Open(lane, _) = publisher.standing
            && let Some(lane) = lanes.get_mut(lane)
        {
            if let Some(turn) = publisher.turn {
                lane.publications.turns.leave(turn);
            }
            let final_through = publisher.final_through();
            if final_through > publisher.seen_told {
                lane.left.push((publisher.key, publisher.instance, final_through));
            }
        }
        if let Some(room) = publisher.room {
            self.waiting.leave(room);
        }
        around.timers.cancel(Timer::Wait(connection));
        around.timers.cancel(Timer::Refill(connection));
        self.bytes -= publisher.window.bytes();
        self.give_room(around);
        true
    }

    /// Closes all, with the same words.
    pub fn close_all(&mut self, around: &mut Surroundings, lanes: &mut Lanes, failure: &Failure) {
        while let Some((&connection, _)) = self.by_connection.first_key_value() {
            self.close(around, lanes, connection, failure.clone());
        }
    }

    fn close(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId, failure: Failure) {
        around.output.close(connection, Some(failure));
        around.statistics.connections_closed += 1;
        self.remove(around, lanes, connection);
    }

    /// Asks the access point of the publisher's lane, if there is one, or first those of all others.
    fn ask(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId) {
        let Some(publisher) = self.by_connection.get(&connection) else { return };
        let own = around.layout.as_ref().and_then(|layout| layout.lane_of_publisher(publisher.key));
        match own {
            Some(own) if Self::is_to_be_sought(publisher) => self.seek(around, lanes, connection, own),
            Some(_) | None => self.open_on_its_lane(around, connection),
        }
    }

    fn open_on_its_lane(&mut self, around: &mut Surroundings, connection: ConnectionId) {
        let Some(publisher) = self.by_connection.get_mut(&connection) else { return };
        let place = around.layout.as_deref().and_then(|layout| place(layout, publisher.key));
        let Some((lane, writer)) = place else { return };
        publisher.standing = Standing::Opening(lane);
        let (publisher, instance) = (publisher.key, publisher.instance);
        let open = OpenPublisher { lane, publisher, instance, connection, purpose: Purpose::Publish };
        around.output.tell_access_point(writer, ToAccessPoint::OpenPublisher(open));
        around.timers.set(Timer::Wait(connection), around.now + around.config.answer_wait);
    }

    /// The connection of a publisher instance, if it stands so.
    fn find(&self, key: PublisherKey, instance: Instance, standing: Standing) -> Option<ConnectionId> {
        let connection = *self.by_instance.get(&(key, instance))?;
        let publisher = self.by_connection.get(&connection)?;
        (publisher.standing == standing).then_some(connection)
    }
}

/// Lets an open publisher with something unsent wait for its turn on its lane.
fn queue(lanes: &mut Lanes, connection: ConnectionId, publisher: &mut Publisher) {
    if let Standing::Open(lane, _) = publisher.standing
        && publisher.turn.is_none()
        && !publisher.is_moving
        && publisher.catches_up.is_none_or(|catch_up| !catch_up.holds)
        && publisher.window.has_unsent()
        && let Some(lane) = lanes.get_mut(lane)
    {
        publisher.turn = Some(lane.publications.turns.enter(connection));
    }
}

fn flush(around: &mut Surroundings, writer: Address, publish: Publish) {
    around.statistics.publish_frames_sent += 1;
    around.statistics.publications_sent += u64::try_from(publish.submissions.len()).unwrap_or(u64::MAX);
    around.output.tell_access_point(writer, ToAccessPoint::Publish(publish));
}

/// The publisher's lane and who writes it.
fn place(layout: &Layout, publisher: PublisherKey) -> Option<(LaneId, Address)> {
    let lane = layout.lane_of_publisher(publisher)?;
    Some((lane, layout.writer(lane)?))
}

/// The instance under which this connection point publishes for a client that has none: of this life of the node, this shard
/// and this connection.
fn own_instance(address: Address, connection: ConnectionId) -> Instance {
    let here = (u128::from(address.node.0) << 64) | u128::from(address.shard.0);
    Instance(gomera_cluster::hash::rendezvous_weight(here, connection.0))
}
