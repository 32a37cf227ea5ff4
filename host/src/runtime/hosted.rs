//! One machine as its worker keeps it: any of the four, told and drained in the same way.

use std::time::Duration;

use gomera_access_point::machine::AccessPoint;
use gomera_cluster::address::{Address, Layer};
use gomera_cluster::layout::Epoch;
use gomera_cluster::machine::{Machine, NodeEvent, Received, Send};
use gomera_cluster::message::{Frame, Message};
use gomera_cluster::time::{Instant, WallClock};
use gomera_connection_point::ConnectionPoint;
use gomera_connection_point::client::{ClientAction, ClientEvent};
use gomera_connection_point::machine::{Action, Event};
use gomera_exit_point::ExitPoint;
use gomera_matcher::machine::Matcher;

use super::NodeHandle;
use crate::telemetry::statistics;

/// A machine of any layer.
#[derive(Debug)]
pub enum Layered {
    /// Holds clients.
    ConnectionPoint(Box<ConnectionPoint>),
    /// Writes lanes.
    AccessPoint(Box<AccessPoint>),
    /// Judges publications.
    Matcher(Box<Matcher>),
    /// Keeps outboxes.
    ExitPoint(Box<ExitPoint>),
}

impl Layered {
    /// Its layer.
    #[must_use]
    pub fn layer(&self) -> Layer {
        match self {
            Self::ConnectionPoint(_) => Layer::ConnectionPoint,
            Self::AccessPoint(_) => Layer::AccessPoint,
            Self::Matcher(_) => Layer::Matcher,
            Self::ExitPoint(_) => Layer::ExitPoint,
        }
    }
}

/// What a machine asked for.
#[derive(Debug, Default)]
pub struct Asked {
    /// Messages to other machines.
    pub sends: Vec<Send>,
    /// Of a connection point: what to do with clients.
    pub clients: Vec<ClientAction>,
    actions: Vec<Action>,
}

/// What became of a frame.
#[derive(Debug)]
pub enum Delivery {
    /// The machine was told.
    Told,
    /// It is for the driver: a layout, or a wish for one.
    Driver(Box<Frame>),
    /// It is for a machine of another layer: dropped.
    Misaddressed,
}

/// A machine and what its worker remembers about it.
#[derive(Debug)]
pub struct Hosted {
    /// Its address.
    pub address: Address,
    /// The node that it is a shard of.
    pub node: NodeHandle,
    /// The epoch of the layout it was told last; what it sends bears it.
    pub epoch: Epoch,
    /// The highest epoch that a sender was asked for.
    pub asked_for: Epoch,
    /// Whether it was told something since it was drained.
    pub is_dirty: bool,
    machine: Layered,
    timeout: Option<Instant>,
    /// When it reports, if it may have come further since it last did.
    report_at: Option<Instant>,
}

/// Reports of one machine are so far apart at least.
const REPORT_EVERY: Duration = Duration::from_millis(50);

impl Hosted {
    pub fn new(address: Address, node: NodeHandle, machine: Layered) -> Self {
        Self {
            address,
            node,
            epoch: Epoch(0),
            asked_for: Epoch(0),
            is_dirty: false,
            machine,
            timeout: None,
            report_at: None,
        }
    }

    /// When it wants to be woken.
    pub fn timeout(&self) -> Option<Instant> {
        self.timeout
    }

    /// Tells it what came for it.
    pub fn frame(&mut self, now: Instant, frame: Frame) -> Delivery {
        let Frame { from, to, epoch, message } = frame;
        match (&mut self.machine, message) {
            (Layered::ConnectionPoint(machine), Message::ConnectionPoint(message)) => {
                machine.handle(now, Event::Node(NodeEvent::Received(Received { from, epoch, message })));
            }
            (Layered::AccessPoint(machine), Message::AccessPoint(message)) => {
                machine.handle(now, NodeEvent::Received(Received { from, epoch, message }));
            }
            (Layered::Matcher(machine), Message::Matcher(message)) => {
                machine.handle(now, NodeEvent::Received(Received { from, epoch, message }));
            }
            (Layered::ExitPoint(machine), Message::ExitPoint(message)) => {
                machine.handle(now, NodeEvent::Received(Received { from, epoch, message }));
            }
            (_, message @ (Message::Layout(_) | Message::LayoutWanted(_))) => {
                return Delivery::Driver(Box::new(Frame { from, to, epoch, message }));
            }
            (
                _,
                Message::ConnectionPoint(_) | Message::AccessPoint(_) | Message::Matcher(_) | Message::ExitPoint(_),
            ) => return Delivery::Misaddressed,
        }
        self.is_dirty = true;
        Delivery::Told
    }

    /// Tells it what a client did; says whether it is one that has clients.
    pub fn client(&mut self, now: Instant, event: ClientEvent) -> bool {
        match &mut self.machine {
            Layered::ConnectionPoint(machine) => {
                machine.handle(now, Event::Client(event));
                self.is_dirty = true;
                true
            }
            Layered::AccessPoint(_) | Layered::Matcher(_) | Layered::ExitPoint(_) => false,
        }
    }

    /// Tells it the time of day.
    pub fn clock(&mut self, now: Instant, clock: WallClock) {
        self.is_dirty = true;
        match &mut self.machine {
            Layered::ConnectionPoint(machine) => machine.handle(now, Event::Node(NodeEvent::Clock(clock))),
            Layered::AccessPoint(machine) => machine.handle(now, NodeEvent::Clock(clock)),
            Layered::Matcher(machine) => machine.handle(now, NodeEvent::Clock(clock)),
            Layered::ExitPoint(machine) => machine.handle(now, NodeEvent::Clock(clock)),
        }
    }

    /// Tells it about a layout, if it is newer than its own.
    pub fn layout(&mut self, now: Instant, layout: &std::sync::Arc<gomera_cluster::layout::Layout>) {
        if layout.epoch <= self.epoch {
            return;
        }
        self.epoch = layout.epoch;
        self.is_dirty = true;
        let layout = layout.clone();
        match &mut self.machine {
            Layered::ConnectionPoint(machine) => machine.handle(now, Event::Node(NodeEvent::Layout(layout))),
            Layered::AccessPoint(machine) => machine.handle(now, NodeEvent::Layout(layout)),
            Layered::Matcher(machine) => machine.handle(now, NodeEvent::Layout(layout)),
            Layered::ExitPoint(machine) => machine.handle(now, NodeEvent::Layout(layout)),
        }
    }

    /// Tells it about a proposal.
    pub fn proposed(&mut self, now: Instant, proposal: &std::sync::Arc<gomera_cluster::layout::Layout>) {
        self.is_dirty = true;
        let proposal = proposal.clone();
        match &mut self.machine {
            Layered::ConnectionPoint(machine) => machine.handle(now, Event::Node(NodeEvent::Proposed(proposal))),
            Layered::AccessPoint(machine) => machine.handle(now, NodeEvent::Proposed(proposal)),
            Layered::Matcher(machine) => machine.handle(now, NodeEvent::Proposed(proposal)),
            Layered::ExitPoint(machine) => machine.handle(now, NodeEvent::Proposed(proposal)),
        }
        self.report_at = Some(now);
    }

    /// Tells its node how far it has come, some time after it did anything. A report is no hurry, except for a proposal.
    pub fn report(&mut self, now: Instant) {
        if self.report_at.is_none_or(|at| at > now) {
            return;
        }
        self.report_at = None;
        let report = match &self.machine {
            Layered::ConnectionPoint(machine) => machine.report(),
            Layered::AccessPoint(machine) => machine.report(),
            Layered::Matcher(machine) => machine.report(),
            Layered::ExitPoint(machine) => machine.report(),
        };
        self.node.report(self.address.shard, &report);
    }

    /// When [`Hosted::report`] has something to do.
    pub fn next_report(&self) -> Option<Instant> {
        self.report_at
    }

    /// Wakes it if it is time; says whether it was.
    pub fn wake(&mut self, now: Instant) -> bool {
        if self.timeout.is_none_or(|timeout| timeout > now) {
            return false;
        }
        match &mut self.machine {
            Layered::ConnectionPoint(machine) => machine.handle_timeout(now),
            Layered::AccessPoint(machine) => machine.handle_timeout(now),
            Layered::Matcher(machine) => machine.handle_timeout(now),
            Layered::ExitPoint(machine) => machine.handle_timeout(now),
        }
        self.is_dirty = true;
        true
    }

    /// Takes what it asks for.
    pub fn drain(&mut self, now: Instant, asked: &mut Asked) {
        self.is_dirty = false;
        self.report_at.get_or_insert(now + REPORT_EVERY);
        match &mut self.machine {
            Layered::ConnectionPoint(machine) => {
                machine.drain_actions(&mut asked.actions);
                for action in asked.actions.drain(..) {
                    match action {
                        Action::Send(send) => asked.sends.push(send),
                        Action::Client(action) => asked.clients.push(action),
                    }
                }
                self.timeout = machine.poll_timeout();
            }
            Layered::AccessPoint(machine) => {
                machine.drain_actions(&mut asked.sends);
                self.timeout = machine.poll_timeout();
            }
            Layered::Matcher(machine) => {
                machine.drain_actions(&mut asked.sends);
                self.timeout = machine.poll_timeout();
            }
            Layered::ExitPoint(machine) => {
                machine.drain_actions(&mut asked.sends);
                self.timeout = machine.poll_timeout();
            }
        }
    }

    /// Bytes that wait in it.
    fn backlog_bytes(&self) -> u64 {
        match &self.machine {
            Layered::ConnectionPoint(machine) => machine.statistics().publications_unacknowledged_bytes,
            Layered::AccessPoint(machine) => machine.statistics().retained_bytes,
            Layered::Matcher(machine) => machine.statistics().input_bytes + machine.statistics().output_bytes,
            Layered::ExitPoint(machine) => machine.statistics().unmerged_bytes,
        }
    }

    /// Shows its counters and gauges to whoever scrapes.
    pub fn export(&self, labels: &statistics::Labels) {
        let backlog = self.backlog_bytes();
        self.node.note_backlog(self.address.shard, backlog);
        labels.backlog(backlog);
        match &self.machine {
            Layered::ConnectionPoint(machine) => statistics::connection_point(labels, machine.statistics()),
            Layered::AccessPoint(machine) => statistics::access_point(labels, machine.statistics()),
            Layered::Matcher(machine) => statistics::matcher(labels, machine.statistics()),
            Layered::ExitPoint(machine) => statistics::exit_point(labels, machine.statistics()),
        }
    }

    /// Its layer.
    pub fn layer(&self) -> Layer {
        self.machine.layer()
    }
}
