//! The connection point as a machine: one shard, told events, asking for actions.
//!
//! Each client connection is in one of three places: among those that have said nothing yet, among the publishers, or among the
//! sessions. What comes from clients goes to the part that holds their connection; what comes from machines goes through the
//! gate and then to the part it concerns. At the end of every batch of events, what waits for lanes is sent as far as credit
//! goes, so that hundreds of publications become one frame a lane.
//!
//! Invariant: nothing is asked about a connection after it was closed.

mod requests;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::gate::{Gate, Passage};
use gomera_cluster::identity::{ConnectionId, Tenant};
use gomera_cluster::layout::{Epoch, Layout};
use gomera_cluster::machine::{Machine, NodeEvent, Received, Send};
use gomera_cluster::message::access_point::LeaveLane;
use gomera_cluster::message::{ToAccessPoint, ToConnectionPoint};
use gomera_cluster::report::{Clients, Report};
use gomera_cluster::rules::{self, Rule};
use gomera_cluster::time::Instant;

use crate::client::{ClientAction, ClientEvent};
use crate::config::Config;
use crate::failure;
use crate::lanes::Lanes;
use crate::parting::{Left, Parting, is_told_to_leave};
use crate::publishers::Publishers;
use crate::sessions::{Farewell, Sessions};
use crate::statistics::Statistics;
use crate::surroundings::Surroundings;
use crate::timers::Timer;

/// Most timers that go off in one step; the rest do in steps of their own.
const TIMERS_MAX: usize = 256;

/// What a connection point can be told.
#[derive(Clone, Debug)]
pub enum Event {
    /// By machines and the driver.
    Node(NodeEvent<ToConnectionPoint>),
    /// By clients.
    Client(ClientEvent),
}

/// What a connection point can ask for.
#[derive(Clone, Debug)]
pub enum Action {
    /// A message to another machine.
    Send(Send),
    /// Something about a client connection.
    Client(ClientAction),
}

/// One shard of a connection point.
#[derive(Debug)]
pub struct ConnectionPoint {
    around: Surroundings,
    gate: Gate<ToConnectionPoint>,
    lanes: Lanes,
    /// Connections that neither publish nor subscribe yet.
    fresh: BTreeMap<ConnectionId, Tenant>,
    publishers: Publishers,
    sessions: Sessions,
    /// If this node is to leave.
    parting: Option<Parting>,
}

impl ConnectionPoint {
    /// A connection point that has no layout and no clients yet. The configuration is valid ([`Config::validate`]).
    ///
    /// # Panics
    /// If the configuration is not valid.
    #[must_use]
    pub fn new(address: Address, config: Config) -> Self {
        assert_eq!(config.validate(), Ok(()), "a configuration is validated before a machine is made of it");
        Self {
            around: Surroundings::new(address, config),
            gate: Gate::default(),
            lanes: Lanes::default(),
            fresh: BTreeMap::new(),
            publishers: Publishers::default(),
            sessions: Sessions::default(),
            parting: None,
        }
    }

    /// What it has counted, as of the last drain.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.around.statistics
    }

    /// The layout it acts on, 0 before the first.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.gate.epoch()
    }

    /// How far it has come with layouts.
    #[must_use]
    pub fn report(&self) -> Report {
        let clients = if self.connections() == 0 { Clients::None } else { Clients::Some };
        // Acting on a layout takes it no time.
        Report {
            proposed: self.gate.proposed(),
            epoch: self.gate.epoch(),
            acted: self.gate.epoch(),
            clients,
            ..Report::default()
        }
    }

    fn connections(&self) -> usize {
        self.fresh.len() + self.publishers.len() + self.sessions.len()
    }

    fn node(&mut self, event: NodeEvent<ToConnectionPoint>) {
        match event {
            NodeEvent::Clock(clock) => self.around.clock = clock,
            NodeEvent::Proposed(proposal) => {
                let comes_by_it = self.around.layout.is_none() && proposal.names(self.around.address);
                if self.gate.propose(proposal.clone()) && comes_by_it && !rules::holds(Rule::ServedFromTheCommit) {
                    self.serve(Some(proposal));
                }
            }
            NodeEvent::Layout(layout) => {
                if self.gate.install(layout) {
                    self.follow();
                    for received in self.gate.release() {
                        self.message(received);
                    }
                }
            }
            NodeEvent::Received(received) if counts_from_any_lane(&received.message) => self.message(received),
            NodeEvent::Received(received) => match self.gate.admit(received) {
                Passage::Pass(received) => self.message(received),
                // Layouts travel by the driver; nobody has to be asked from here.
                Passage::Held { .. } => {}
                Passage::Refused => self.around.statistics.messages_refused += 1,
            },
        }
    }

    /// Follows the layout at the gate: clients are served while it names us.
    fn follow(&mut self) {
        let layout = self.gate.layout();
        self.serve(layout.filter(|layout| layout.names(self.around.address)).cloned());
    }

    /// Serves clients by a layout, or nobody any more.
    fn serve(&mut self, named: Option<Arc<Layout>>) {
        let Self { around, gate: _, lanes, fresh, publishers, sessions, parting } = self;
        let served_before = around.layout.is_some();
        around.layout = named;
        lanes.follow(around.layout.as_deref());
        if let Some(layout) = around.layout.clone() {
            publishers.follow(around, lanes);
            sessions.follow(around, lanes);
            match parting {
                Some(parting) if is_told_to_leave(&layout, around.address) => parting.follow(&layout),
                None if is_told_to_leave(&layout, around.address) => *parting = Some(Parting::begin(around, &layout)),
                Some(_) | None => {
                    *parting = None;
                    around.timers.cancel(Timer::Parting);
                }
            }
        } else if served_before {
            let failure = failure::not_serving();
            publishers.close_all(around, lanes, &failure);
            sessions.close_all(around, lanes, &failure);
            while let Some((connection, _)) = fresh.pop_first() {
                around.statistics.connections_closed += 1;
                around.output.close(connection, Some(failure.clone()));
            }
        }
    }

    /// More clients are asked to move, or those who are left are closed.
    fn send_away(&mut self) {
        let Self { around, lanes, fresh, publishers, sessions, parting, .. } = self;
        let Some(parting) = parting else { return };
        let next = |after: Bound<ConnectionId>, count| {
            let beyond = (after, Bound::Unbounded);
            let fresh = fresh.range(beyond).map(|(&connection, _)| connection).take(count);
            let mut next: Vec<_> =
                fresh.chain(publishers.after(after, count)).chain(sessions.after(after, count)).collect();
            next.sort_unstable();
            next.truncate(count);
            next
        };
        match parting.step(around, next) {
            Left::Stay => {}
            Left::Close => {
                let left = fresh.len() + publishers.len() + sessions.len();
                around.statistics.connections_forced += u64::try_from(left).unwrap_or(u64::MAX);
                let failure = failure::leaving();
                publishers.close_all(around, lanes, &failure);
                sessions.close_all(around, lanes, &failure);
                while let Some((connection, _)) = fresh.pop_first() {
                    around.statistics.connections_closed += 1;
                    around.output.close(connection, Some(failure.clone()));
                }
            }
        }
    }

    fn message(&mut self, received: Received<ToConnectionPoint>) {
        let Self { around, lanes, publishers, sessions, .. } = self;
        let Received { from, epoch: _, message } = received;
        match message {
            ToConnectionPoint::PublisherOpened(opened) => publishers.opened(around, lanes, from, opened),
            ToConnectionPoint::PublisherSuperseded(superseded) => publishers.superseded(around, lanes, superseded),
            ToConnectionPoint::Acknowledged(acknowledged) => publishers.acknowledged(around, lanes, &acknowledged),
            ToConnectionPoint::Refused(refused) => publishers.refused(around, lanes, refused),
            ToConnectionPoint::Completed(completed) => sessions.completed(around, lanes, completed),
            ToConnectionPoint::SessionSettled(settled) => sessions.settled(around, lanes, settled),
            ToConnectionPoint::LaneCredit(grant) => {
                if !lanes.grant(from, grant) {
                    around.statistics.messages_stale += 1;
                }
            }
            ToConnectionPoint::Attached(attached) => sessions.attached(around, lanes, from, attached),
            ToConnectionPoint::AttachRefused(refused) => sessions.refused(around, lanes, from, refused),
            ToConnectionPoint::Notifications(notifications) => sessions.notifications(around, from, notifications),
            ToConnectionPoint::AttachTerm(begins) => sessions.begin_reign(around, from, &begins),
            ToConnectionPoint::Ended(ended) => sessions.ended(around, lanes, from, ended),
        }
    }

    fn client(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Connected { connection, tenant } => self.connected(connection, tenant),
            ClientEvent::Request { connection, request } => self.request(connection, request),
            ClientEvent::Taken { connection, cost } => self.sessions.taken(&mut self.around, connection, cost),
            ClientEvent::Disconnected { connection } => {
                let Self { around, lanes, fresh, publishers, sessions, .. } = self;
                // It is in one place at most; in none if we closed it.
                if fresh.remove(&connection).is_none() && !publishers.remove(around, lanes, connection) {
                    sessions.remove(around, lanes, connection, Farewell::Told);
                }
            }
        }
    }

    fn connected(&mut self, connection: ConnectionId, tenant: Tenant) {
        let limit = self.around.config.connections_max;
        if self.parting.is_some() {
            self.around.statistics.connections_turned_away += 1;
            self.around.output.close(connection, Some(failure::leaving()));
        } else if self.connections() >= limit {
            self.around.statistics.connections_refused += 1;
            self.around.output.close(connection, Some(failure::connections(limit)));
        } else {
            self.fresh.insert(connection, tenant);
        }
    }
}

/// Whether something counts whoever says it. In the product nothing does: whoever wrote a lane that is fenced is refused.
fn counts_from_any_lane(message: &ToConnectionPoint) -> bool {
    !rules::holds(Rule::AcknowledgedByTheLastLane) && matches!(message, ToConnectionPoint::Acknowledged(_))
}

impl Machine for ConnectionPoint {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, now: Instant, event: Event) {
        self.around.now = now;
        match event {
            Event::Node(event) => self.node(event),
            Event::Client(event) => self.client(event),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.around.now = now;
        for _ in 0..TIMERS_MAX {
            let Some(timer) = self.around.timers.take_due(now) else { break };
            let Self { around, lanes, publishers, sessions, .. } = self;
            match timer {
                Timer::Wait(connection) => {
                    publishers.give_up(around, lanes, connection);
                    sessions.give_up(around, lanes, connection);
                }
                Timer::Retry(connection) => {
                    sessions.retry(around, connection);
                    sessions.urge(around, lanes, connection);
                }
                Timer::Refill(connection) => publishers.refill(around, connection),
                Timer::Room => publishers.give_room(around),
                Timer::Parting => self.send_away(),
            }
        }
    }

    fn drain_actions(&mut self, into: &mut Vec<Action>) {
        let connections = self.connections();
        let Self { around, lanes, publishers, sessions, .. } = self;
        for (id, lane) in lanes.iter_mut() {
            publishers.send(around, id, lane);
            sessions.send(around, id, lane);
        }
        for (lane, writer) in lanes.left(publishers, sessions) {
            around.output.tell_access_point(writer, ToAccessPoint::LeaveLane(LeaveLane { lane }));
        }
        sessions.send_acknowledgements(around);
        let statistics = &mut around.statistics;
        statistics.connections = connections;
        statistics.publishers = publishers.len();
        statistics.sessions = sessions.len();
        statistics.publications_unacknowledged_bytes = publishers.bytes();
        statistics.operations_unanswered_bytes = sessions.bytes();
        statistics.deliveries_held = sessions.held();
        around.output.drain(into);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.around.timers.first()
    }
}

#[cfg(test)]
mod tests;
