//! A worker: some machines, one inbox, one loop.

use std::collections::{HashMap, VecDeque};
use std::future::Future as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use gomera_cluster::address::{Address, Incarnation};
use gomera_cluster::identity::ConnectionId;
use gomera_cluster::machine::Send;
use gomera_cluster::message::{Frame, Message};
use gomera_cluster::time::Instant;
use gomera_connection_point::client::{ClientAction, ClientEvent};
use tokio::sync::watch;

use super::gathering::Gathering;
use super::hosted::{Asked, Delivery, Hosted, Layered};
use super::{Fabric, Input, NodeHandle};
use crate::client_door::Outbound;
use crate::clock::Clock;
use crate::mailbox;
use crate::telemetry::statistics::{self, Labels};

/// What an inbox may weigh before those who read from outside have to wait: about the bytes that clients and links have handed
/// in and no machine has seen yet.
const INBOX_BYTES_MAX: usize = 16 << 20;

/// Publications, or other inputs, between two drains: enough to share the cost of a drain, few enough that the first are on
/// their way to subscribers while the rest of a flood is worked on (with 256 inputs of any size publishers, machines and
/// subscribers waited for each other in turn: 8 % less throughput).
const LOAD_PER_ROUND: usize = 128;

/// After so long without a pause, other tasks of the thread get their turn and what was asked for leaves.
const SLICE: Duration = Duration::from_millis(1);

/// How often machines are told the time of day, and figures are shown.
const TICK: Duration = Duration::from_secs(1);

/// A worker at work.
#[derive(Debug)]
pub struct WorkerHandle {
    inbox: mailbox::Sender<Input>,
    pulse: Arc<AtomicU64>,
    ended: watch::Receiver<()>,
}

impl WorkerHandle {
    /// Where it is told things.
    #[must_use]
    pub fn inbox(&self) -> &mailbox::Sender<Input> {
        &self.inbox
    }

    /// When its loop last went round; it does at least every second.
    #[must_use]
    pub fn last_round(&self) -> Instant {
        Instant::from_start(Duration::from_millis(self.pulse.load(Ordering::Relaxed)))
    }

    /// Whether the loop is over: it was stopped, or it panicked.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    /// Ends it, after what it was told before.
    pub async fn stop(&self) {
        self.inbox.push(Input::Stop, 0);
        // An error says that the loop, and the sender with it, is gone.
        let mut ended = self.ended.clone();
        while ended.changed().await.is_ok() {}
    }
}

/// How a machine is reached.
#[derive(Clone, Copy, Debug)]
enum Way {
    Here,
    Inbox(usize),
    Link(usize),
}

/// What leaves for one destination.
#[derive(Debug)]
struct Leaving<T> {
    to: mailbox::Sender<T>,
    items: Vec<T>,
}

/// Drives machines.
#[derive(Debug)]
pub struct Worker {
    clock: Clock,
    fabric: Fabric,
    inbox: mailbox::Receiver<Input>,
    pulse: Arc<AtomicU64>,
    hosted: Vec<Hosted>,
    labels: Vec<Labels>,
    places: HashMap<Address, usize>,
    connections: HashMap<(usize, ConnectionId), Arc<Outbound>>,
    /// Told, and gathered for a moment.
    gathering: Gathering,
    /// Told, but not yet looked at.
    waiting: VecDeque<Input>,
    /// Between machines of this worker.
    local: VecDeque<Frame>,
    ways: HashMap<(Incarnation, Address), Way>,
    inboxes: Vec<Leaving<Input>>,
    links: Vec<Leaving<Frame>>,
    asked: Asked,
    next_tick: Instant,
    is_stopped: bool,
}

impl Worker {
    /// A worker without machines.
    #[must_use]
    pub fn new(clock: Clock, fabric: Fabric) -> Self {
        let (_, inbox) = mailbox::mailbox(INBOX_BYTES_MAX);
        Self {
            clock,
            fabric,
            inbox,
            pulse: Arc::default(),
            hosted: Vec::new(),
            labels: Vec::new(),
            places: HashMap::new(),
            connections: HashMap::new(),
            gathering: Gathering::default(),
            waiting: VecDeque::new(),
            local: VecDeque::new(),
            ways: HashMap::new(),
            inboxes: Vec::new(),
            links: Vec::new(),
            asked: Asked::default(),
            next_tick: Instant::ZERO,
            is_stopped: false,
        }
    }

    /// Takes a machine in, before the worker begins.
    pub fn host(&mut self, address: Address, node: NodeHandle, machine: Layered) {
        let hosted = Hosted::new(address, node, machine);
        self.labels.push(Labels::new(hosted.layer(), address));
        self.places.insert(address, self.hosted.len());
        self.hosted.push(hosted);
        self.fabric.add(address, self.inbox.sender());
    }

    /// What clients say is gathered for so long from now on; by default it passes at once.
    pub fn gather(&mut self, within: Duration) {
        self.gathering.set_within(within);
    }

    /// Begins, as a task of the runtime that calls: right where that has a single thread, which then does everything.
    #[must_use]
    pub fn spawn(self) -> WorkerHandle {
        let (handle, end) = self.handle();
        tokio::spawn(async move {
            self.run().await;
            drop(end);
        });
        handle
    }

    /// Begins, on a thread and a runtime of its own.
    pub fn spawn_thread(self, name: &str) -> std::io::Result<WorkerHandle> {
        let (handle, end) = self.handle();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(self.run());
            drop(end);
        })?;
        Ok(handle)
    }

    /// Where it is told things, also before it begins.
    #[must_use]
    pub fn inbox(&self) -> mailbox::Sender<Input> {
        self.inbox.sender()
    }

    fn handle(&self) -> (WorkerHandle, watch::Sender<()>) {
        let (end, ended) = watch::channel(());
        (WorkerHandle { inbox: self.inbox.sender(), pulse: self.pulse.clone(), ended }, end)
    }

    async fn run(mut self) {
        let mut inputs = Vec::new();
        let timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(timer);
        self.gathering.start();
        loop {
            let began = self.clock.now();
            self.gathering.release(began, LOAD_PER_ROUND, &mut self.waiting);
            self.pulse.store(u64::try_from(began.since_start().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            self.tick(began);
            let is_done = self.work(began);
            self.flush();
            if self.is_stopped {
                break;
            }
            if is_done {
                let deadline = self.clock.runtime_instant(self.deadline());
                if timer.deadline() != deadline {
                    timer.as_mut().reset(deadline);
                }
                self.gathering.wait(self.clock.now());
                std::future::poll_fn(|context| {
                    let has_input = self.inbox.poll_take(context, &mut inputs).is_ready();
                    let is_due = self.gathering.poll_due(context).is_ready();
                    if has_input || is_due || timer.as_mut().poll(context).is_ready() {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            } else {
                tokio::task::yield_now().await;
                self.inbox.try_take(&mut inputs);
            }
            self.gathering.take(inputs.drain(..), &mut self.waiting);
        }
        for hosted in &self.hosted {
            self.fabric.remove(hosted.address);
        }
    }

    /// Goes round until nothing is left to do here, or the slice is over; says which.
    fn work(&mut self, began: Instant) -> bool {
        let mut now = began;
        loop {
            for _ in 0..self.local.len() {
                let frame = self.local.pop_front().expect("counted");
                self.frame(now, frame);
            }
            // What is under way here goes first, to its end.
            let mut load = if self.local.is_empty() { 0 } else { LOAD_PER_ROUND };
            while load < LOAD_PER_ROUND
                && let Some(input) = self.waiting.pop_front()
            {
                load += input.load();
                self.input(now, input);
                if self.is_stopped {
                    return true;
                }
            }
            for hosted in &mut self.hosted {
                hosted.wake(now);
            }
            for place in 0..self.hosted.len() {
                if self.hosted[place].is_dirty {
                    self.drain(now, place);
                }
                self.hosted[place].report(now);
            }
            now = self.clock.now();
            let is_due = self.hosted.iter().filter_map(Hosted::timeout).any(|timeout| timeout <= now);
            if self.local.is_empty() && self.waiting.is_empty() && !is_due {
                return true;
            }
            if now.since(began) >= SLICE {
                return false;
            }
        }
    }

    fn input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Frame(frame) => return self.frame(now, frame),
            Input::Layout { node, layout } => {
                for hosted in self.hosted.iter_mut().filter(|hosted| hosted.node.incarnation() == node) {
                    hosted.layout(now, &layout);
                }
                // Ways may have opened or closed.
                self.ways.clear();
                self.links.retain(|leaving| !leaving.items.is_empty());
                return;
            }
            Input::Proposed { node, proposal } => {
                for hosted in self.hosted.iter_mut().filter(|hosted| hosted.node.incarnation() == node) {
                    hosted.proposed(now, &proposal);
                }
                return;
            }
            Input::Stop => {
                self.is_stopped = true;
                return;
            }
            Input::Connected { machine, connection, ref outbound, .. } => {
                if let Some(&place) = self.places.get(&machine) {
                    self.connections.insert((place, connection), outbound.clone());
                }
            }
            Input::Request { .. } | Input::Taken { .. } | Input::Disconnected { .. } => {}
        }
        let Some((machine, event)) = input.into_client_event() else { return };
        let Some(&place) = self.places.get(&machine) else { return };
        if let ClientEvent::Disconnected { connection } = event {
            self.connections.remove(&(place, connection));
        }
        self.hosted[place].client(now, event);
    }

    fn frame(&mut self, now: Instant, frame: Frame) {
        let Some(&place) = self.places.get(&frame.to) else {
            statistics::frames_unknown().increment(1);
            return;
        };
        let hosted = &mut self.hosted[place];
        if frame.epoch > hosted.epoch && frame.epoch > hosted.asked_for {
            hosted.asked_for = frame.epoch;
            let wanted = Send { to: frame.from, message: Message::LayoutWanted(frame.epoch) };
            self.send(place, wanted);
        }
        match self.hosted[place].frame(now, frame) {
            Delivery::Told => {}
            Delivery::Misaddressed => statistics::frames_unknown().increment(1),
            Delivery::Driver(frame) => self.gossip(place, *frame),
        }
    }

    /// A layout, or a wish for one.
    fn gossip(&mut self, place: usize, frame: Frame) {
        let node = &self.hosted[place].node;
        match frame.message {
            Message::Layout(layout) => node.offer(&layout),
            Message::LayoutWanted(epoch) => {
                let layout = node.layout().borrow().clone();
                if let Some(layout) = layout.filter(|layout| layout.epoch >= epoch) {
                    self.send(place, Send { to: frame.from, message: Message::Layout(layout) });
                }
            }
            Message::ConnectionPoint(_) | Message::AccessPoint(_) | Message::Matcher(_) | Message::ExitPoint(_) => {}
        }
    }

    fn drain(&mut self, now: Instant, place: usize) {
        let mut asked = std::mem::take(&mut self.asked);
        self.hosted[place].drain(now, &mut asked);
        for send in asked.sends.drain(..) {
            self.send(place, send);
        }
        for action in asked.clients.drain(..) {
            self.client(place, action);
        }
        self.asked = asked;
    }

    fn send(&mut self, place: usize, send: Send) {
        let Hosted { address, epoch, .. } = self.hosted[place];
        let Send { to, message } = send;
        let frame = Frame { from: address, to, epoch, message };
        match self.way(place, to) {
            Some(Way::Here) => self.local.push_back(frame),
            Some(Way::Inbox(index)) => self.inboxes[index].items.push(Input::Frame(frame)),
            Some(Way::Link(index)) => self.links[index].items.push(frame),
            None => {
                statistics::frames_unreachable().increment(1);
                tracing::debug!(from = %address, %to, "no way there: dropped");
            }
        }
    }

    fn way(&mut self, place: usize, to: Address) -> Option<Way> {
        if self.places.contains_key(&to) {
            return Some(Way::Here);
        }
        let node = &self.hosted[place].node;
        let key = (node.incarnation(), to);
        if let Some(&way) = self.ways.get(&key) {
            return Some(way);
        }
        let way = if let Some(inbox) = self.fabric.inbox(to) {
            Way::Inbox(place_of(&mut self.inboxes, inbox))
        } else {
            Way::Link(place_of(&mut self.links, node.link(to.node)?))
        };
        self.ways.insert(key, way);
        Some(way)
    }

    fn client(&mut self, place: usize, action: ClientAction) {
        let (connection, is_last) = match &action {
            ClientAction::Close { connection, .. } => (*connection, true),
            ClientAction::Reply { connection, .. }
            | ClientAction::Pause { connection }
            | ClientAction::Resume { connection } => (*connection, false),
        };
        if let Some(outbound) = self.connections.get(&(place, connection)) {
            outbound.act(action);
            if is_last {
                self.connections.remove(&(place, connection));
            }
        }
    }

    /// Hands over what goes elsewhere.
    fn flush(&mut self) {
        for leaving in &mut self.inboxes {
            let weight = leaving.items.len();
            leaving.to.append(&mut leaving.items, weight);
        }
        for leaving in &mut self.links {
            let weight = leaving.items.len();
            leaving.to.append(&mut leaving.items, weight);
        }
    }

    fn tick(&mut self, now: Instant) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        let wall = self.clock.wall();
        for (hosted, labels) in self.hosted.iter_mut().zip(&self.labels) {
            hosted.clock(now, wall);
            hosted.export(labels);
        }
    }

    fn deadline(&self) -> Instant {
        let due = |hosted: &Hosted| hosted.timeout().into_iter().chain(hosted.next_report()).min();
        self.hosted.iter().filter_map(due).fold(self.next_tick, Instant::min)
    }
}

/// The place of a destination among those known.
fn place_of<T>(known: &mut Vec<Leaving<T>>, to: mailbox::Sender<T>) -> usize {
    known.iter().position(|leaving| leaving.to.is_same(&to)).unwrap_or_else(|| {
        known.push(Leaving { to, items: Vec::new() });
        known.len() - 1
    })
}
