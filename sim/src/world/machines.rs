//! Driving the machines: what arrives, when they work, what they ask for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gomera_access_point::machine::AccessPoint;
use gomera_cluster::address::{Address, Incarnation, Layer};
use gomera_cluster::layout::{Epoch, Member};
use gomera_cluster::machine::Send;
use gomera_cluster::message::{Frame, Message};
use gomera_cluster::time::Instant;
use gomera_connection_point::ConnectionPoint;
use gomera_connection_point::client::{ClientAction, ClientEvent};
use gomera_exit_point::ExitPoint;
use gomera_matcher::machine::Matcher;

use super::{World, bounds, costs};
use crate::agenda::Due;
use crate::describe;
use crate::doors::{ConnectionIndex, Downward};
use crate::network::LinkIndex;
use crate::node::{AnyMachine, Incoming, NodeIndex, Outgoing};
use crate::plan::{Configurations, Shape};
use crate::random::micros;
use crate::tally::Transition;

/// All nodes of a run of this shape, with those beyond it that only later layouts name. Incarnations only have to differ.
pub(super) fn members(shape: &Shape, joining: &[u16; 4]) -> BTreeMap<Incarnation, Member> {
    let mut members = BTreeMap::new();
    for (place, layer) in Layer::ALL.into_iter().enumerate() {
        for number in 0..shape.nodes[place] + joining[place] {
            let incarnation = Incarnation(u64::try_from(place).expect("four") * 1000 + u64::from(number) + 1);
            let name: Arc<str> = Arc::from(format!("{layer}-{number}"));
            let member = Member {
                layer,
                name,
                link_address: Arc::from(""),
                client_address: Arc::from(""),
                shards: shape.shards[place],
            };
            members.insert(incarnation, member);
        }
    }
    members
}

pub(super) fn machine(layer: Layer, address: Address, configurations: &Configurations) -> AnyMachine {
    let Configurations { connection_point, access_point, matcher, exit_point } = configurations;
    match layer {
        Layer::ConnectionPoint => {
            AnyMachine::ConnectionPoint(Box::new(ConnectionPoint::new(address, connection_point.clone())))
        }
        Layer::AccessPoint => AnyMachine::AccessPoint(Box::new(AccessPoint::new(address, access_point.clone()))),
        Layer::Matcher => AnyMachine::Matcher(Box::new(Matcher::new(address, matcher.clone()))),
        Layer::ExitPoint => AnyMachine::ExitPoint(Box::new(ExitPoint::new(address, exit_point.clone()))),
    }
}

impl World {
    /// A machine receives something, if it is there.
    pub(super) fn hand(&mut self, index: NodeIndex, incoming: Incoming) {
        let node = &mut self.nodes[index.0];
        if !node.is_crashed() {
            node.inbox.push_back(incoming);
        }
    }

    /// A machine works at this instant at the latest.
    pub(super) fn wake(&mut self, index: NodeIndex, at: Instant) {
        let node = &mut self.nodes[index.0];
        if node.is_crashed() {
            return;
        }
        if node.work_at.is_none_or(|planned| at < planned) {
            node.work_at = Some(at);
            self.stage.agenda.enter(at, Due::Work(index));
        }
    }

    pub(super) fn wake_soon(&mut self, index: NodeIndex) {
        let (low, high) = if self.stage.is_rough() { self.plan.troubles.work_delay } else { (micros(1), micros(20)) };
        let at = self.stage.now + self.random.duration(low, high);
        self.wake(index, at);
    }

    pub(super) fn frame_arrives(&mut self, link: LinkIndex) {
        let Some((to, frame)) = self.network.arrive(self.stage.now, link, &mut self.stage.agenda) else {
            return;
        };
        let epoch = frame.epoch;
        match frame.message {
            // Layouts are the driver's: machines only hear of them.
            Message::LayoutWanted(_) => {
                if let Some(layout) = self.nodes[to.0].layout.clone() {
                    self.send(to, Send { to: frame.from, message: Message::Layout(layout) });
                }
                return;
            }
            Message::Layout(layout) => self.nodes[to.0].inbox.push_back(Incoming::Layout(layout)),
            Message::ConnectionPoint(_) | Message::AccessPoint(_) | Message::Matcher(_) | Message::ExitPoint(_) => {
                let node = &mut self.nodes[to.0];
                if epoch > node.epoch() && epoch > node.asked {
                    node.asked = epoch;
                    self.stage.count(Transition::LayoutAsked);
                    self.send(to, Send { to: frame.from, message: Message::LayoutWanted(epoch) });
                }
                self.nodes[to.0].inbox.push_back(Incoming::Frame(frame));
            }
        }
        self.wake_soon(to);
    }

    /// A machine works on some of what it has received.
    pub(super) fn work(&mut self, index: NodeIndex) {
        let now = self.stage.now;
        if self.nodes[index.0].work_at != Some(now) {
            return;
        }
        self.nodes[index.0].work_at = None;
        let stalled_until = self.nodes[index.0].stalled_until;
        if stalled_until > now {
            return self.wake(index, stalled_until);
        }
        self.has_woken(index);
        let epoch_before = self.nodes[index.0].epoch();
        let waiting = self.nodes[index.0].inbox.len();
        let batch =
            if self.plan.scripted || self.random.chance(300) { waiting } else { 1 + self.random.index(waiting.max(1)) };
        for _ in 0..batch {
            let Some(incoming) = self.nodes[index.0].inbox.pop_front() else {
                break;
            };
            self.about_to_handle(index, &incoming);
            self.nodes[index.0].handle(now, incoming);
        }
        if self.nodes[index.0].poll_timeout().is_some_and(|at| at <= now) {
            self.nodes[index.0].handle_timeout(now);
        }
        let mut outgoing = Vec::new();
        self.nodes[index.0].drain(&mut outgoing);
        for action in outgoing {
            match action {
                Outgoing::Send(send) => {
                    self.check_addressee(index, epoch_before, &send);
                    self.send(index, send);
                }
                Outgoing::Client(action) => self.client(index, action),
            }
        }
        let node = &self.nodes[index.0];
        let checked = bounds::check(node, &self.plan).and_then(|()| bounds::honest(node, &self.watch));
        if let Err(violation) = checked {
            self.stage.violation.get_or_insert(violation);
        }
        if !self.nodes[index.0].inbox.is_empty() {
            self.wake_soon(index);
        }
        if let Some(at) = self.nodes[index.0].poll_timeout() {
            self.wake(index, at.max(now + micros(1)));
        }
    }

    fn about_to_handle(&mut self, index: NodeIndex, incoming: &Incoming) {
        let node = &self.nodes[index.0];
        match incoming {
            Incoming::Frame(frame) => {
                if frame.epoch > node.epoch() || node.epoch() == Epoch(0) {
                    self.stage.tally.count(Transition::HeldAtGate);
                }
                self.count_refused(index, frame);
                let node = &self.nodes[index.0];
                self.watch.handled(frame, &mut self.stage.tally);
                let (name, names) = (&node.name, &self.names);
                self.stage.transcript.note(self.stage.now, || {
                    format!("{name} < {}: {}", names.of_machine(frame.from), describe::message(names, &frame.message))
                });
            }
            Incoming::Layout(layout) => {
                if layout.epoch > node.epoch() {
                    if layout.epoch > Epoch(1) {
                        self.stage.tally.count(Transition::LayoutChanged);
                    }
                    self.count_change(index, layout);
                    let node = &self.nodes[index.0];
                    let name = &node.name;
                    self.stage.transcript.note(self.stage.now, || format!("{name} has layout {}", layout.epoch.0));
                }
            }
            Incoming::Proposed(_) | Incoming::Clock => {}
            Incoming::Client(event) => {
                if matches!(event, ClientEvent::Connected { .. }) && node.epoch() == Epoch(0) {
                    self.stage.tally.count(Transition::AttachBeforeLayout);
                }
            }
        }
    }

    fn send(&mut self, from: NodeIndex, send: Send) {
        let node = &self.nodes[from.0];
        let frame = Frame { from: node.address, to: send.to, epoch: node.epoch(), message: send.message };
        let Some(&to) = self.by_address.get(&frame.to) else {
            panic!("{} sends to {}, which does not exist: {:?}", node.name, frame.to, frame.message);
        };
        if let Err(violation) =
            self.watch.sent(&frame, node.wall(self.stage.now), &mut self.stage.history, &mut self.stage.tally)
        {
            self.stage.violation.get_or_insert(violation);
        }
        let names = &self.names;
        self.stage.transcript.note(self.stage.now, || {
            format!(
                "{} > {}: {}",
                names.of_machine(frame.from),
                names.of_machine(frame.to),
                describe::message(names, &frame.message)
            )
        });
        if !self.nodes[to.0].is_crashed() {
            self.network.send(self.stage.now, from, to, frame, &mut self.stage.agenda);
        }
    }

    fn client(&mut self, point: NodeIndex, action: ClientAction) {
        let now = self.stage.now;
        let name = &self.nodes[point.0].name;
        match action {
            ClientAction::Reply { connection, reply } => {
                let downward = Downward::Reply(reply);
                let under_way = self.under_way.entry(connection).or_default();
                *under_way += costs(&downward).iter().sum::<u64>();
                if let Err(violation) = bounds::under_way(name, *under_way, &self.plan) {
                    self.stage.violation.get_or_insert(violation);
                }
                self.stage.doors.reply(now, connection, downward, &mut self.stage.agenda);
            }
            ClientAction::Pause { connection } => {
                self.stage.tally.count(Transition::ConnectionPaused);
                self.stage.transcript.note(now, || format!("{name} pauses connection {}", connection.0));
                self.stage.doors.set_paused(now, connection, true, &mut self.stage.agenda);
            }
            ClientAction::Resume { connection } => {
                self.stage.tally.count(Transition::ConnectionResumed);
                self.stage.transcript.note(now, || format!("{name} resumes connection {}", connection.0));
                self.stage.doors.set_paused(now, connection, false, &mut self.stage.agenda);
            }
            ClientAction::Close { connection, reason } => {
                self.stage.transcript.note(now, || format!("{name} closes connection {}", connection.0));
                self.stage.doors.reply(now, connection, Downward::Closed(reason), &mut self.stage.agenda);
            }
        }
    }

    /// A client has read something: its connection point learns how much.
    pub(super) fn taken(&mut self, connection: ConnectionIndex, downward: &Downward) {
        let costs = costs(downward);
        if costs.iter().sum::<u64>() == 0 {
            return;
        }
        let under_way = self.under_way.entry(connection.id()).or_default();
        *under_way = under_way.saturating_sub(costs.iter().sum());
        let point = self.stage.doors.point(connection);
        // A host may tell of everything at once or of one after the other.
        let told = if self.plan.scripted || self.random.chance(500) { vec![costs.iter().sum()] } else { costs };
        for cost in told.into_iter().filter(|&cost| cost > 0) {
            let event = ClientEvent::Taken { connection: connection.id(), cost };
            self.hand(point, Incoming::Client(event));
        }
        self.wake_soon(point);
    }

    /// Stalls are over: everybody works.
    pub(super) fn wake_all(&mut self) {
        for index in 0..self.nodes.len() {
            self.nodes[index].stalled_until = Instant::ZERO;
            self.wake(NodeIndex(index), self.stage.now + Duration::from_micros(1));
        }
    }
}
