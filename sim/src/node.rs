//! A machine and its driver: what it has received, when it works, which layout it has, what its wall clock shows.

use std::collections::VecDeque;
use std::sync::Arc;

use gomera_access_point::machine::AccessPoint;
use gomera_cluster::address::{Address, Layer};
use gomera_cluster::layout::{Epoch, Layout};
use gomera_cluster::machine::{Machine, NodeEvent, Received, Send};
use gomera_cluster::message::{Frame, Message};
use gomera_cluster::report::Report;
use gomera_cluster::time::{Instant, WallClock};
use gomera_connection_point::client::{ClientAction, ClientEvent};
use gomera_connection_point::{ConnectionPoint, machine as connection_point};
use gomera_exit_point::ExitPoint;
use gomera_matcher::machine::Matcher;
use gomera_model::timestamp::Timestamp;

/// Which machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeIndex(pub usize);

/// A machine of one of the four layers.
#[derive(Debug)]
pub enum AnyMachine {
    /// A connection point.
    ConnectionPoint(Box<ConnectionPoint>),
    /// An access point.
    AccessPoint(Box<AccessPoint>),
    /// A matcher.
    Matcher(Box<Matcher>),
    /// An exit point.
    ExitPoint(Box<ExitPoint>),
}

impl AnyMachine {
    /// How far it has come with layouts.
    #[must_use]
    pub fn report(&self) -> Report {
        match self {
            Self::ConnectionPoint(machine) => machine.report(),
            Self::AccessPoint(machine) => machine.report(),
            Self::Matcher(machine) => machine.report(),
            Self::ExitPoint(machine) => machine.report(),
        }
    }
}

/// What waits for a machine.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// From another machine.
    Frame(Frame),
    /// A layout that is proposed.
    Proposed(Arc<Layout>),
    /// A committed layout.
    Layout(Arc<Layout>),
    /// Time to look at the wall clock.
    Clock,
    /// From a client.
    Client(ClientEvent),
}

/// What a machine asks for.
#[derive(Debug)]
pub enum Outgoing {
    /// To another machine.
    Send(Send),
    /// To a client.
    Client(ClientAction),
}

/// The wall clock of a run begins here: 2024-01-01.
const EPOCH_MICROS: i64 = 1_704_067_200_000_000;

/// Whether a machine lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does.
    Well,
    /// It stands still, and others take it for dead.
    Paused,
    /// It stood still, was taken for dead, and goes on.
    Woken,
    /// It is gone.
    Crashed,
}

/// A machine and its driver.
#[derive(Debug)]
pub struct Node {
    /// Where it is.
    pub address: Address,
    /// Its layer.
    pub layer: Layer,
    /// Its name in transcripts.
    pub name: String,
    /// The machine.
    pub machine: AnyMachine,
    /// What it has received and not worked on.
    pub inbox: VecDeque<Incoming>,
    /// When it works next.
    pub work_at: Option<Instant>,
    /// It does nothing before.
    pub stalled_until: Instant,
    /// Whether it lives.
    pub fate: Fate,
    /// Its layout.
    pub layout: Option<Arc<Layout>>,
    /// The latest epoch it has asked somebody for.
    pub asked: Epoch,
    /// How much its wall clock is ahead, in microseconds.
    pub wall_ahead: i64,
}

impl Node {
    /// A machine that has heard of nothing.
    #[must_use]
    pub fn new(address: Address, layer: Layer, name: String, machine: AnyMachine, wall_ahead: i64) -> Self {
        Self {
            address,
            layer,
            name,
            machine,
            inbox: VecDeque::new(),
            work_at: None,
            stalled_until: Instant::ZERO,
            fate: Fate::Well,
            layout: None,
            asked: Epoch(0),
            wall_ahead,
        }
    }

    /// The epoch it is in.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.layout.as_ref().map_or(Epoch(0), |layout| layout.epoch)
    }

    /// Whether it is gone.
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        self.fate == Fate::Crashed
    }

    /// Whether anything in it waits for this machine, or would be sent to it. None of the layers behind the access points do.
    #[must_use]
    pub fn remembers(&self, machine: Address) -> bool {
        match &self.machine {
            AnyMachine::AccessPoint(access_point) => access_point.remembers(machine),
            AnyMachine::ExitPoint(exit_point) => exit_point.remembers(machine),
            AnyMachine::ConnectionPoint(_) | AnyMachine::Matcher(_) => false,
        }
    }

    /// What its wall clock shows.
    #[must_use]
    pub fn wall(&self, now: Instant) -> Timestamp {
        let micros = i64::try_from(now.since_start().as_micros()).expect("runs are short");
        Timestamp(EPOCH_MICROS + micros + self.wall_ahead)
    }

    /// Gives the machine one thing.
    pub fn handle(&mut self, now: Instant, incoming: Incoming) {
        match incoming {
            Incoming::Frame(frame) => self.handle_frame(now, frame),
            Incoming::Layout(layout) => {
                if layout.epoch > self.epoch() {
                    self.layout = Some(layout.clone());
                }
                self.handle_common(now, Common::Layout(layout));
            }
            Incoming::Proposed(proposal) => self.handle_common(now, Common::Proposed(proposal)),
            Incoming::Clock => {
                let clock = WallClock { at: now, showed: self.wall(now) };
                self.handle_common(now, Common::Clock(clock));
            }
            Incoming::Client(event) => match &mut self.machine {
                AnyMachine::ConnectionPoint(machine) => {
                    machine.handle(now, connection_point::Event::Client(event));
                }
                AnyMachine::AccessPoint(_) | AnyMachine::Matcher(_) | AnyMachine::ExitPoint(_) => {
                    panic!("clients connect to connection points only")
                }
            },
        }
    }

    fn handle_frame(&mut self, now: Instant, frame: Frame) {
        let Frame { from, to: _, epoch, message } = frame;
        match (&mut self.machine, message) {
            (AnyMachine::ConnectionPoint(machine), Message::ConnectionPoint(message)) => {
                let received = NodeEvent::Received(Received { from, epoch, message });
                machine.handle(now, connection_point::Event::Node(received));
            }
            (AnyMachine::AccessPoint(machine), Message::AccessPoint(message)) => {
                machine.handle(now, NodeEvent::Received(Received { from, epoch, message }));
            }
            (AnyMachine::Matcher(machine), Message::Matcher(message)) => {
                machine.handle(now, NodeEvent::Received(Received { from, epoch, message }));
            }
            (AnyMachine::ExitPoint(machine), Message::ExitPoint(message)) => {
                machine.handle(now, NodeEvent::Received(Received { from, epoch, message }));
            }
            (_, message) => panic!("{} got a message for another layer: {message:?}", self.name),
        }
    }

    fn handle_common(&mut self, now: Instant, common: Common) {
        match &mut self.machine {
            AnyMachine::ConnectionPoint(machine) => {
                machine.handle(now, connection_point::Event::Node(common.event()));
            }
            AnyMachine::AccessPoint(machine) => machine.handle(now, common.event()),
            AnyMachine::Matcher(machine) => machine.handle(now, common.event()),
            AnyMachine::ExitPoint(machine) => machine.handle(now, common.event()),
        }
    }

    /// Lets the machine act on time that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.machine {
            AnyMachine::ConnectionPoint(machine) => machine.handle_timeout(now),
            AnyMachine::AccessPoint(machine) => machine.handle_timeout(now),
            AnyMachine::Matcher(machine) => machine.handle_timeout(now),
            AnyMachine::ExitPoint(machine) => machine.handle_timeout(now),
        }
    }

    /// When the machine wants that.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.machine {
            AnyMachine::ConnectionPoint(machine) => machine.poll_timeout(),
            AnyMachine::AccessPoint(machine) => machine.poll_timeout(),
            AnyMachine::Matcher(machine) => machine.poll_timeout(),
            AnyMachine::ExitPoint(machine) => machine.poll_timeout(),
        }
    }

    /// What the machine asks for.
    pub fn drain(&mut self, into: &mut Vec<Outgoing>) {
        match &mut self.machine {
            AnyMachine::ConnectionPoint(machine) => {
                let mut actions = Vec::new();
                machine.drain_actions(&mut actions);
                into.extend(actions.into_iter().map(|action| match action {
                    connection_point::Action::Send(send) => Outgoing::Send(send),
                    connection_point::Action::Client(action) => Outgoing::Client(action),
                }));
            }
            AnyMachine::AccessPoint(machine) => sends(machine.as_mut(), into),
            AnyMachine::Matcher(machine) => sends(machine.as_mut(), into),
            AnyMachine::ExitPoint(machine) => sends(machine.as_mut(), into),
        }
    }
}

fn sends(machine: &mut impl Machine<Action = Send>, into: &mut Vec<Outgoing>) {
    let mut actions = Vec::new();
    machine.drain_actions(&mut actions);
    into.extend(actions.into_iter().map(Outgoing::Send));
}

enum Common {
    Proposed(Arc<Layout>),
    Layout(Arc<Layout>),
    Clock(WallClock),
}

impl Common {
    fn event<M>(self) -> NodeEvent<M> {
        match self {
            Self::Proposed(proposal) => NodeEvent::Proposed(proposal),
            Self::Layout(layout) => NodeEvent::Layout(layout),
            Self::Clock(clock) => NodeEvent::Clock(clock),
        }
    }
}
