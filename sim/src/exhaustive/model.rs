//! The small cluster: two access points with a lane each, two matchers, of which the first has the only slice, an exit point with the
//! only session. The connection point is its clients.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use gomera_cluster::address::{Address, Incarnation, Layer};
use gomera_cluster::identity::{
    ConnectionId, Generation, Handle, Instance, PublisherKey, Sequence, SessionKey, SubscriptionKey, Tenant,
};
use gomera_cluster::layout::{Epoch, Layout};
use gomera_cluster::machine::Send;
use gomera_cluster::message::access_point::{OpenPublisher, Operate, Publish, Purpose, Submission};
use gomera_cluster::message::connection_point::Item;
use gomera_cluster::message::exit_point::Attach;
use gomera_cluster::message::{Frame, Message, ToAccessPoint, ToConnectionPoint, ToExitPoint};
use gomera_cluster::operation::{Change, Existing, Operation, Subscription, SubscriptionOptions, Version};
use gomera_cluster::publication::{AttributeBlock, Envelope, PublicationKey};
use gomera_cluster::report::Report;
use gomera_cluster::session::{Attempt, SessionOptions};
use gomera_coordinator::scaling::{self, Goal, Knowledge, Next};
use gomera_model::filter::{Filter, FilterLimits};
use gomera_model::timestamp::Timestamp;
use gomera_model::value::Value;

use super::client::Clients;
use super::cluster::{
    CLIENTS, EXIT_POINT, LANES, NOW, Names, PLENTY, SOURCE, TARGET, WRITERS, first_layout, is_no_matter_of_order,
    members, name, nodes, told,
};
use super::{Bounds, Late, Loss};
use crate::node::{Incoming, Node, Outgoing};

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next message of a client on a lane.
    Client(usize),
    /// The first message under way from one machine to another arrives.
    Arrive(Address, Address),
    /// The coordinator has the next layout acknowledged and commits it.
    Decide,
    /// A machine hears of the next layout, or of the latest.
    Hear(Address, Epoch),
    /// A machine dies; what it sent last is lost as well, or is not.
    Die(Address, Words),
}

impl Step {
    /// Whether a machine dies.
    pub fn is_death(self) -> bool {
        matches!(self, Self::Die(..))
    }
}

/// What becomes of the last words of a machine that dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// They arrive.
    Kept,
    /// They do not.
    Lost,
}

/// See the top of this file. Printed in full, but for layouts (`fingerprint`), it tells states apart.
#[derive(Debug)]
pub struct Model {
    nodes: BTreeMap<Address, Node>,
    links: BTreeMap<(Address, Address), VecDeque<Frame>>,
    layouts: Vec<Arc<Layout>>,
    /// What stands in the layouts, one after the other.
    history: u64,
    dead: BTreeSet<Incarnation>,
    has_lost: bool,
    clients: Clients,
    /// Messages of clients that are left, by lane.
    left: [usize; 2],
    published: [u64; 2],
    generations: [Generation; 2],
    session: Generation,
    handle: Handle,
    bounds: Fixed,
}

/// What is the same all the time, and tells no states apart.
struct Fixed(Bounds, Names);

impl std::fmt::Debug for Fixed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("fixed")
    }
}

impl Model {
    /// Before anything has happened: clients are attached, a slice is to move.
    pub fn new(bounds: Bounds) -> Self {
        let layout = Arc::new(first_layout());
        let names = Names::of(&layout);
        let mut model = Self {
            nodes: nodes(),
            links: BTreeMap::new(),
            layouts: Vec::new(),
            history: 0,
            dead: BTreeSet::new(),
            has_lost: false,
            clients: Clients::default(),
            left: bounds.messages,
            published: [0; 2],
            generations: [Generation(0); 2],
            session: Generation(0),
            handle: Handle(0),
            bounds: Fixed(bounds, names),
        };
        model.prepare(layout).expect("nothing is wrong yet");
        model
    }

    fn prepare(&mut self, layout: Arc<Layout>) -> Result<(), String> {
        for address in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.tell(address, Incoming::Clock)?;
            self.tell(address, Incoming::Layout(layout.clone()))?;
        }
        self.layouts.push(layout);
        let attach = self.attach();
        self.say(EXIT_POINT, Message::ExitPoint(ToExitPoint::Attach(attach)))?;
        for index in 0..2 {
            let open = OpenPublisher {
                lane: LANES[index],
                publisher: self.publisher(index),
                instance: Instance(1),
                connection: ConnectionId(1),
                purpose: Purpose::Publish,
            };
            self.say(WRITERS[index], Message::AccessPoint(ToAccessPoint::OpenPublisher(open)))?;
        }
        while let Some(&(from, to)) = self.links.iter().find(|(_, link)| !link.is_empty()).map(|(ends, _)| ends) {
            self.arrive(from, to)?;
        }
        let is_ready = self.session > Generation(0) && self.generations.iter().all(|&given| given > Generation(0));
        if is_ready { Ok(()) } else { Err("clients are not attached".to_owned()) }
    }

    /// Everything that can happen, always in the same order.
    pub fn possible(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let Fixed(bounds, _) = &self.bounds;
        steps.extend((0..2).filter(|&index| self.left[index] > 0).map(Step::Client));
        let busy = self.links.iter().filter(|(_, link)| !link.is_empty());
        steps.extend(busy.map(|(&(from, to), _)| Step::Arrive(from, to)));
        if matches!(self.next(), Next::Propose(_)) {
            steps.push(Step::Decide);
        }
        let latest = self.latest().epoch;
        for (&address, node) in &self.nodes {
            let next = Epoch(node.epoch().0 + 1);
            if next <= latest {
                steps.push(Step::Hear(address, next));
            }
            if next < latest {
                steps.push(Step::Hear(address, latest));
            }
        }
        let victim = match bounds.loss {
            Loss::None => None,
            Loss::Source => Some(SOURCE),
            Loss::Target => Some(TARGET),
        };
        // Before it is a member nobody misses it, and afterwards neither; with the last one everything would stand still.
        let is_named = |machine: Address| self.latest().names(machine);
        let victim = victim.filter(|&victim| self.nodes.contains_key(&victim) && is_named(victim) && is_named(SOURCE));
        if let Some(victim) = victim {
            steps.push(Step::Die(victim, Words::Kept));
            if self.links.iter().any(|((from, _), link)| *from == victim && !link.is_empty()) {
                steps.push(Step::Die(victim, Words::Lost));
            }
        }
        steps
    }

    /// Which of the possible steps is the usual one: what is under way arrives first, then everybody hears of layouts, then clients and
    /// the coordinator go on, whoever has done less so far. A death is usual only where nothing else is left.
    pub fn usual(&self, possible: &[Step]) -> Option<usize> {
        let rank = |step: &Step| match step {
            Step::Arrive(..) => (0, 0),
            Step::Hear(..) => (1, 0),
            Step::Client(index) => (2, self.bounds.0.messages[*index] - self.left[*index]),
            Step::Decide => (2, self.layouts.len()),
            Step::Die(..) => (3, 0),
        };
        (0..possible.len()).min_by_key(|&index| rank(&possible[index]))
    }

    /// A step in words.
    pub fn describe(&self, step: &Step) -> String {
        match step {
            Step::Client(index) => format!("a client says something on lane {}", LANES[*index]),
            Step::Arrive(from, to) => {
                let frame = self.links.get(&(*from, *to)).and_then(VecDeque::front);
                format!(
                    "{} < {}: {}",
                    name(*to),
                    name(*from),
                    frame.map_or(String::new(), |frame| told(&frame.message))
                )
            }
            Step::Decide => format!("layout {} is in force", self.latest().epoch.0 + 1),
            Step::Hear(address, epoch) => format!("{} hears of layout {}", name(*address), epoch.0),
            Step::Die(address, words) => format!("{} dies, its last words {words:?}", name(*address)),
        }
    }

    /// Takes a step, and lets everything follow that is no matter of order.
    pub fn take(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Client(index) => self.client(index),
            Step::Arrive(from, to) => self.arrive(from, to),
            Step::Decide => self.decide(),
            Step::Hear(address, epoch) => {
                let layout = self.layouts.iter().find(|layout| layout.epoch == epoch).expect("it was offered").clone();
                self.tell(address, Incoming::Layout(layout))
            }
            Step::Die(address, words) => {
                self.nodes.remove(&address);
                self.dead.insert(address.node);
                self.links.retain(|&(from, to), _| to != address && (from != address || words == Words::Kept));
                Ok(())
            }
        }
    }

    /// Nothing more can happen: is everything as it was promised?
    pub fn judge(&self) -> Result<(), String> {
        match self.next() {
            Next::Done => {}
            Next::Wait(awaited) => return Err(format!("the coordinator waits for {awaited:?} for ever")),
            Next::Propose(_) => return Err("a layout is to come".to_owned()),
        }
        self.clients.judge(self.has_lost)
    }

    fn latest(&self) -> &Arc<Layout> {
        self.layouts.last().expect("there is a first one")
    }

    /// What the coordinator does next: the slice goes to whoever is there, if possible to the target.
    fn next(&self) -> Next {
        let latest = self.latest();
        let lives = |node: &Incarnation| !self.dead.contains(node);
        // As the real one has it: the last one stays until another one is in.
        let is_left = latest.machines(Layer::Matcher).any(|machine| lives(&machine.node));
        let dead = if is_left { self.dead.clone() } else { BTreeSet::new() };
        let mut serving = members();
        serving.retain(|node, _| lives(node) || (!is_left && latest.members.contains_key(node)));
        if lives(&TARGET.node) && lives(&SOURCE.node) {
            serving.remove(&SOURCE.node);
        }
        let goal = Goal { serving, lanes_per_shard: 1, joining_max: 1 };
        let mut reports: BTreeMap<Address, Report> =
            self.nodes.iter().map(|(&address, node)| (address, node.machine.report())).collect();
        // The connection point has no machine here, and hears of everything at once.
        let epoch = latest.epoch;
        reports.insert(CLIENTS, Report { proposed: epoch, epoch, acted: epoch, ..Report::default() });
        scaling::next(latest, &goal, &Knowledge::gather(latest, &reports, dead))
    }

    fn decide(&mut self) -> Result<(), String> {
        let Next::Propose(proposal) = self.next() else { return Err("nothing is to be decided".to_owned()) };
        self.has_lost |= !proposal.lost.is_empty();
        let layout = Arc::new(proposal.layout);
        layout.check_follows(self.latest()).map_err(|error| error.to_string())?;
        let everybody = self.nodes.keys().copied().collect::<Vec<_>>();
        for &address in &everybody {
            self.tell(address, Incoming::Proposed(layout.clone()))?;
        }
        self.history = xxhash_rust::xxh3::xxh3_64(format!("{} {layout:?}", self.history).as_bytes());
        self.layouts.push(layout.clone());
        for address in everybody {
            let late = match self.bounds.0.late {
                Late::Writers => WRITERS.contains(&address),
                Late::Source => address == SOURCE,
                Late::Target => address == TARGET,
                Late::ExitPoint => address == EXIT_POINT,
            };
            if !late {
                self.tell(address, Incoming::Layout(layout.clone()))?;
            }
        }
        Ok(())
    }

    /// On the first lane operations and publications take turns, on the second there are only publications.
    fn client(&mut self, index: usize) -> Result<(), String> {
        self.left[index] -= 1;
        let turn = self.bounds.0.messages[index] - self.left[index];
        if index == 0 && turn % 2 == 1 {
            return self.operate();
        }
        self.published[index] += 1;
        let sequence = self.published[index];
        self.clients.publish((LANES[index], sequence));
        let publish = Publish {
            lane: LANES[index],
            submissions: vec![Submission {
                envelope: self.envelope(index, sequence),
                generation: self.generations[index],
                resent: false,
            }],
            acknowledged_through: Vec::new(),
        };
        self.say(WRITERS[index], Message::AccessPoint(ToAccessPoint::Publish(publish)))
    }

    fn operate(&mut self) -> Result<(), String> {
        let subscribes = self.clients.ask();
        let (tenant, Fixed(_, names)) = (Tenant::open(), &self.bounds);
        let key = SubscriptionKey::of(&tenant, &names.session, "x");
        let counter = u64::try_from(self.clients.asked()).expect("few");
        let change = if subscribes {
            let filter = Filter::parse("a = 1", &FilterLimits::default()).map_err(|error| error.to_string())?;
            let (id, handle, options) = (Arc::from("x"), self.handle, SubscriptionOptions::default());
            Change::Put(Subscription { key, id, handle, filter, options }, Existing::Any)
        } else {
            Change::Remove(key)
        };
        let operation = Operation {
            session: SessionKey::of(&tenant, &names.session),
            tenant,
            version: Version { generation: self.session, counter },
            low: Version { generation: Generation(0), counter: 0 },
            change,
        };
        let operate = Operate { lane: LANES[0], operations: vec![Arc::new(operation)] };
        self.say(WRITERS[0], Message::AccessPoint(ToAccessPoint::Operate(operate)))
    }

    /// A client's message reaches the machine it is for at once: what differs is when it is sent.
    fn say(&mut self, to: Address, message: Message) -> Result<(), String> {
        // The connection point stamps what it sends with its epoch; the machine may be behind.
        let epoch = self.layouts.first().map_or(Epoch(0), |layout| layout.epoch);
        self.tell(to, Incoming::Frame(Frame { from: CLIENTS, to, epoch, message }))
    }

    fn arrive(&mut self, from: Address, to: Address) -> Result<(), String> {
        match self.links.get_mut(&(from, to)).and_then(VecDeque::pop_front) {
            Some(frame) => self.tell(to, Incoming::Frame(frame)),
            None => Ok(()),
        }
    }

    /// A machine is told something and does what it can; what is no matter of order arrives at once, and so on.
    fn tell(&mut self, to: Address, incoming: Incoming) -> Result<(), String> {
        let late = self.bounds.0.late;
        let mut told = VecDeque::from([(to, incoming)]);
        while let Some((to, incoming)) = told.pop_front() {
            let Some(node) = self.nodes.get_mut(&to) else { continue };
            node.handle(NOW, incoming);
            let mut outgoing = Vec::new();
            node.drain(&mut outgoing);
            while node.poll_timeout().is_some_and(|at| at <= NOW) {
                node.handle_timeout(NOW);
                node.drain(&mut outgoing);
            }
            let epoch = node.epoch();
            for outgoing in outgoing {
                let Outgoing::Send(Send { to: receiver, message }) = outgoing else { continue };
                if receiver == CLIENTS {
                    self.hear(message)?;
                    continue;
                }
                if !self.nodes.contains_key(&receiver) {
                    continue;
                }
                let frame = Frame { from: to, to: receiver, epoch, message };
                let link = self.links.entry((to, receiver)).or_default();
                link.push_back(frame);
                if link.iter().all(|frame| is_no_matter_of_order(&frame.message, late)) {
                    told.extend(link.drain(..).map(|frame| (receiver, Incoming::Frame(frame))));
                }
            }
        }
        self.links.retain(|_, link| !link.is_empty());
        Ok(())
    }

    /// What clients are told.
    fn hear(&mut self, message: Message) -> Result<(), String> {
        let Message::ConnectionPoint(message) = message else { return Ok(()) };
        match message {
            ToConnectionPoint::PublisherOpened(opened) => {
                let index = usize::from(opened.lane == LANES[1]);
                self.generations[index] = opened.generation;
            }
            ToConnectionPoint::Attached(attached) => {
                self.session = attached.generation;
                self.handle = attached.handle_first;
            }
            ToConnectionPoint::Acknowledged(acknowledged) => {
                for through in acknowledged.through {
                    self.clients.acknowledge(acknowledged.lane, through.sequence.0);
                }
            }
            ToConnectionPoint::Completed(completed) => {
                let operation = usize::try_from(completed.version.counter).expect("few");
                self.clients.answer(operation)?;
            }
            ToConnectionPoint::Notifications(notifications) => {
                for item in notifications.batches.iter().flat_map(|batch| &batch.items) {
                    let Item::Notification(notification) = item else {
                        return Err(format!("something was given up: {item:?}"));
                    };
                    let index = usize::try_from(notification.publication).expect("few");
                    let sequence = notifications.publications[index].key.sequence;
                    self.clients.deliver((notification.position.lane, sequence.0))?;
                }
            }
            ToConnectionPoint::LaneCredit(_) => {}
            ToConnectionPoint::PublisherSuperseded(_)
            | ToConnectionPoint::SessionSettled(_)
            | ToConnectionPoint::Refused(_)
            | ToConnectionPoint::AttachRefused(_)
            | ToConnectionPoint::AttachTerm(_)
            | ToConnectionPoint::Ended(_) => return Err(format!("a client is told {message:?}")),
        }
        Ok(())
    }

    fn publisher(&self, index: usize) -> PublisherKey {
        PublisherKey::of(&Tenant::open(), &self.bounds.1.publishers[index])
    }

    fn envelope(&self, index: usize, sequence: u64) -> Arc<Envelope> {
        let key =
            PublicationKey { publisher: self.publisher(index), instance: Instance(1), sequence: Sequence(sequence) };
        Arc::new(Envelope {
            tenant: Tenant::open(),
            publisher: self.bounds.1.publishers[index].clone(),
            key,
            accepted_at: Timestamp(0),
            expires_at: None,
            content: Bytes::from_static(b"content"),
            attributes: AttributeBlock::Decoded([("a", Value::Integer(1))].into_iter().collect()),
        })
    }

    fn attach(&self) -> Attach {
        let (tenant, layout, name) = (Tenant::open(), self.latest(), self.bounds.1.session.clone());
        let session = SessionKey::of(&tenant, &name);
        let slice = layout.slice_of_session(session);
        Attach {
            connection: ConnectionId(1),
            tenant,
            name,
            session,
            slice,
            term: layout.session_placement(slice).term,
            options: SessionOptions::default(),
            resume: None,
            credit: PLENTY,
            attempt: Attempt::default(),
        }
    }
}
