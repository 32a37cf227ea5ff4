//! A whole cluster with its clients, in one thread, from one seed.
//!
//! ```text
//!   rough ──▶ settling ──▶ revisiting ──▶ leaving ──▶ judged
//!   faults    faults over  everybody      sessions end,
//!   last      all answered attaches anew  nothing remains
//! ```

mod bounds;
mod government;
mod machines;
mod office;
mod operators;
mod phases;
mod points;
mod registrations;
mod replicas;
mod scripted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::{Address, Incarnation, Layer, Shard};
use gomera_cluster::identity::{ConnectionId, PublisherKey, SessionKey, SubscriptionKey};
use gomera_cluster::layout::{Epoch, Layout, Member};
use gomera_cluster::position::LaneId;
use gomera_cluster::time::Instant;

use crate::agenda::{Agenda, Due};
use crate::describe;
use crate::doors::{ConnectionIndex, Doors, Downward, Owner};
use crate::history::History;
use crate::judge::Account;
use crate::names::{Names, letter};
use crate::network::Network;
use crate::node::{Incoming, Node, NodeIndex};
use crate::plan::Plan;
use crate::publisher::Publisher;
use crate::random::{Random, micros};
use crate::stage::{Phase, Stage};
use crate::subscriber::Subscriber;
use crate::tally::{Tally, Transition};
use crate::transcript::{Keep, Transcript};
use crate::verdict::{Promise, Violation};
use crate::watch::Watch;
use government::Government;
use office::Office;

/// Things that may happen in one run before it is taken to go round in circles.
const STEPS_MAX: u64 = 6_000_000;

/// A cluster with its clients.
#[derive(Debug)]
pub struct World {
    pub(crate) stage: Stage,
    pub(crate) plan: Plan,
    pub(crate) nodes: Vec<Node>,
    by_address: BTreeMap<Address, NodeIndex>,
    members: BTreeMap<Incarnation, Member>,
    pub(crate) network: Network,
    pub(crate) publishers: Vec<Publisher>,
    pub(crate) subscribers: Vec<Subscriber>,
    watch: Watch,
    /// Cost of what is on its way to clients, by connection.
    under_way: BTreeMap<ConnectionId, u64>,
    pub(crate) names: Names,
    layouts: BTreeMap<Epoch, Arc<Layout>>,
    office: Office,
    /// Real coordinators, if they lead.
    government: Option<Box<Government>>,
    /// Machines that do not hear of later layouts from the coordinator while faults last.
    deaf: Vec<bool>,
    random: Random,
    /// The dice of [`points`].
    fates: Random,
    steps: u64,
    phase_since: Instant,
    checked_at: Instant,
    account: Account,
}

/// How a run went.
#[derive(Debug)]
pub struct Outcome {
    /// The promise that broke, if one did.
    pub violation: Option<Violation>,
    /// What happened.
    pub transcript: Transcript,
    /// How often.
    pub tally: Tally,
    /// What the judge counted.
    pub account: Account,
    /// Operations answered as in force.
    pub operations: u64,
    /// Notifications received.
    pub deliveries: u64,
    /// Things that happened.
    pub steps: u64,
    /// How long it took, in simulated time.
    pub lasted: Duration,
}

impl World {
    /// The world of a plan, before anything has happened.
    #[must_use]
    pub fn new(plan: Plan, keep: Keep) -> Self {
        let mut random = Random::new(plan.seed);
        let members = machines::members(&plan.shape, &plan.points.joining);
        let first = points::first(&plan.shape, &members);
        let layout = Layout::initial(plan.shape.settings.clone(), first, plan.shape.lanes, Epoch(1), LaneId(1));
        let layout = gomera_coordinator::scaling::with_standbys(layout);
        let fates = Random::new(plan.seed ^ 0x6661_7465);
        let mut names = Names::default();
        let nodes = nodes(&plan, &members, &mut random, &mut names);
        let by_address =
            nodes.iter().enumerate().map(|(index, node)| (node.address, NodeIndex(index))).collect::<BTreeMap<_, _>>();
        let points = layout.machines(Layer::ConnectionPoint).map(|address| by_address[&address]).collect();
        let stage = Stage {
            now: Instant::ZERO,
            phase: Phase::Rough,
            agenda: Agenda::default(),
            doors: Doors::new(plan.stream_delay, plan.notice, random.fork()),
            history: History::default(),
            transcript: Transcript::new(keep),
            tally: Tally::default(),
            violation: None,
            points,
            leaving: Vec::new(),
            unsure: BTreeMap::new(),
            has_fenced: false,
            deserters: plan.points.deserters,
            stubborn: plan.points.stubborn,
            random: random.fork(),
            publishers: if plan.scripted { 0 } else { plan.publishers.len() },
            subscribers: if plan.scripted { 0 } else { plan.subscribers.len() },
        };
        let network = Network::new(plan.weather.clone(), random.fork());
        let mut world = Self {
            stage,
            nodes,
            by_address,
            members,
            network,
            publishers: Vec::new(),
            subscribers: Vec::new(),
            under_way: BTreeMap::new(),
            watch: Watch::new(layout.machines(Layer::ExitPoint)),
            names,
            office: Office::new(&layout),
            government: None,
            layouts: BTreeMap::from([(layout.epoch, Arc::new(layout))]),
            deaf: Vec::new(),
            random,
            fates,
            steps: 0,
            phase_since: Instant::ZERO,
            checked_at: Instant::ZERO,
            account: Account::default(),
            plan,
        };
        world.stage.history.replicated = world.plan.shape.settings.replication > 1;
        world.begin();
        world
    }

    fn begin(&mut self) {
        let plan = self.plan.clone();
        let later_layouts = usize::try_from(plan.troubles.later_layouts.0).expect("few");
        for index in 0..self.nodes.len() {
            self.nodes[index].inbox.push_back(Incoming::Clock);
            self.wake(NodeIndex(index), Instant::ZERO);
            let first = self.random.duration(Duration::ZERO, plan.troubles.first_layout);
            self.stage.after(first, Due::Layout(NodeIndex(index), Epoch(1)));
            self.stage.after(Duration::from_secs(1) + first, Due::Clock(NodeIndex(index)));
            let is_deaf = self.random.chance(plan.troubles.deaf);
            self.deaf.push(is_deaf);
        }
        if !plan.scripted {
            self.stage.after(plan.troubles.first_layout, Due::Coordinate);
        }
        if let Some(government) = &plan.government {
            self.found(government);
        }
        for later in 0..later_layouts {
            // Changes are spread over the rough time; each machine hears of each layout after a delay of its own.
            let changed = plan.rough_for * u32::try_from(later + 1).expect("few")
                / u32::try_from(later_layouts + 2).expect("few");
            self.stage.after(changed, Due::Change);
        }
        for &at in &plan.points.stops {
            self.stage.after(at, Due::Stop);
        }
        for (number, publisher) in plan.publishers.iter().enumerate() {
            let random = self.random.fork();
            self.names.publisher(PublisherKey::of(&publisher.tenant, &publisher.name), publisher.name.to_string());
            self.publishers.push(Publisher::new(publisher.clone(), number, random, &mut self.stage));
            let begin = self.random.duration(Duration::ZERO, plan.begin_within);
            if !plan.scripted {
                self.stage.after(begin, Due::Publisher(number));
            }
        }
        for (number, subscriber) in plan.subscribers.iter().enumerate() {
            let random = self.random.fork();
            let (tenant, name) = (&subscriber.tenant, &subscriber.name);
            self.names.session(SessionKey::of(tenant, name), name.to_string());
            for id in (0..subscriber.ids).map(|id| format!("s{id}")) {
                self.names.subscription(SubscriptionKey::of(tenant, name, &id), format!("{name}.{id}"));
            }
            self.subscribers.push(Subscriber::new(subscriber.clone(), number, random, &mut self.stage));
            let begin = self.random.duration(Duration::ZERO, plan.begin_within);
            if !plan.scripted {
                self.stage.after(begin, Due::Subscriber(number));
            }
        }
        if let Some((low, high)) = plan.troubles.stall_every {
            let pause = self.random.duration(low, high);
            self.stage.after(pause, Due::Fault);
        }
    }

    /// Runs to the end.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        while self.stage.violation.is_none() {
            if self.advance() {
                break;
            }
        }
        self.finish()
    }

    fn finish(mut self) -> Outcome {
        bounds::count(&self.nodes, &mut self.stage.tally);
        let Self { stage, account, steps, .. } = self;
        Outcome {
            violation: stage.violation,
            transcript: stage.transcript,
            tally: stage.tally,
            account,
            operations: stage.history.operations,
            deliveries: stage.history.deliveries,
            steps,
            lasted: stage.now.since_start(),
        }
    }

    /// Lets one thing happen. True when the run is over.
    fn advance(&mut self) -> bool {
        if self.phase_check() {
            return true;
        }
        let Some((at, due)) = self.stage.agenda.take_next() else {
            self.stage.violate(Promise::Progress, Vec::new(), "nothing is due any more".to_owned());
            return true;
        };
        self.stage.now = self.stage.now.max(at);
        self.steps += 1;
        if self.steps > STEPS_MAX {
            let pending = self.pending().unwrap_or_else(|| "nothing in particular".to_owned());
            let what = format!("{STEPS_MAX} steps and no end; waiting for: {pending}");
            self.stage.violate(Promise::Progress, Vec::new(), what);
            return true;
        }
        self.happen(due);
        false
    }

    pub(crate) fn happen(&mut self, due: Due) {
        match due {
            Due::Link(link) => self.frame_arrives(link),
            Due::Work(node) => self.work(node),
            Due::Clock(node) => {
                if !self.nodes[node.0].is_crashed() {
                    self.hand(node, Incoming::Clock);
                    self.wake(node, self.stage.now);
                    self.stage.after(Duration::from_secs(1), Due::Clock(node));
                }
            }
            Due::Layout(node, epoch) => {
                let layout = self.layouts[&epoch].clone();
                self.hand(node, Incoming::Layout(layout));
                self.wake(node, self.stage.now);
            }
            Due::Upward(connection) => self.request_arrives(connection),
            Due::Downward(connection) => self.reply_arrives(connection),
            Due::Publisher(number) => self.publishers[number].act(&mut self.stage),
            Due::Subscriber(number) => self.subscribers[number].act(&mut self.stage),
            Due::Fault => self.fault(),
            Due::Proposed(node, epoch) => {
                let proposal = self.office.proposal_of(epoch);
                self.hand(node, Incoming::Proposed(proposal));
                self.wake(node, self.stage.now);
            }
            Due::Change => self.change_mind(),
            Due::Ask => self.ask(),
            Due::Cancel(number) => self.cancel_operation(number),
            Due::Overthrow => self.overthrow(),
            Due::Turn(turn) => self.take_turn(turn),
            Due::Coordinate => self.coordinate(),
            Due::Stop => self.stop_some(),
            Due::Drop(node) => self.bury(node),
        }
    }

    fn request_arrives(&mut self, connection: ConnectionIndex) {
        let Some(arrival) = self.stage.doors.arrive_up(connection) else {
            return;
        };
        let node = &mut self.nodes[arrival.point.0];
        let name = &node.name;
        self.stage.transcript.note(self.stage.now, || describe::arrival(name, &arrival.event));
        node.inbox.push_back(Incoming::Client(arrival.event));
        self.wake_soon(arrival.point);
    }

    fn reply_arrives(&mut self, connection: ConnectionIndex) {
        let now = self.stage.now;
        let Some((owner, downward)) = self.stage.doors.arrive_down(now, connection, &mut self.stage.agenda) else {
            return;
        };
        self.taken(connection, &downward);
        let name = match owner {
            Owner::Publisher(number) => self.publishers[number].name(),
            Owner::Subscriber(number) => self.subscribers[number].name(),
        };
        self.stage
            .transcript
            .note(self.stage.now, || format!("{name}! ({}) {}", connection.id().0, describe::downward(&downward)));
        match owner {
            Owner::Publisher(number) => self.publishers[number].receive(&mut self.stage, connection, downward),
            Owner::Subscriber(number) => self.subscribers[number].receive(&mut self.stage, connection, downward),
        }
    }

    fn fault(&mut self) {
        let Some((low, high)) = self.plan.troubles.stall_every else {
            return;
        };
        if !self.stage.is_rough() {
            return;
        }
        if self.random.chance(500) {
            let node = NodeIndex(self.random.index(self.nodes.len()));
            let pause = self.random.duration(micros(500), self.plan.troubles.stall_max);
            let until = self.stage.now + pause;
            self.stage.count(Transition::MachineStalled);
            let node = &mut self.nodes[node.0];
            node.stalled_until = node.stalled_until.max(until);
            let name = &node.name;
            self.stage.transcript.note(self.stage.now, || format!("{name} stalls for {pause:?}"));
        } else if let Some((from, to, pause)) = self.network.stall_some(self.stage.now, &mut self.random) {
            self.stage.count(Transition::LinkStalled);
            let (from, to) = (&self.nodes[from.0].name, &self.nodes[to.0].name);
            self.stage.transcript.note(self.stage.now, || format!("link {from} to {to} stalls for {pause:?}"));
        }
        let pause = self.random.duration(low, high);
        self.stage.after(pause, Due::Fault);
    }
}

fn nodes(plan: &Plan, members: &BTreeMap<Incarnation, Member>, random: &mut Random, names: &mut Names) -> Vec<Node> {
    let mut nodes = Vec::new();
    for layer in Layer::ALL {
        for (number, (&incarnation, member)) in members.iter().filter(|(_, member)| member.layer == layer).enumerate() {
            let skew = i64::try_from(plan.troubles.skew.as_micros()).expect("small");
            let ahead = if skew == 0 {
                0
            } else {
                i64::try_from(random.below(plan.troubles.skew.as_micros().try_into().expect("small"))).expect("small")
            };
            for shard in 0..member.shards {
                let address = Address { node: incarnation, shard: Shard(shard) };
                let suffix = if member.shards > 1 { format!(".{shard}") } else { String::new() };
                let name = format!("{}{number}{suffix}", letter(layer));
                names.machine(address, name.clone());
                let machine = machines::machine(layer, address, &plan.configurations);
                nodes.push(Node::new(address, layer, name, machine, ahead));
            }
        }
    }
    nodes
}

/// Takes what a client has read off its connection point's account.
fn costs(downward: &Downward) -> Vec<u64> {
    use gomera_connection_point::client::{ClientReply, Delivery};
    match downward {
        Downward::Reply(ClientReply::Notifications(deliveries)) => deliveries
            .iter()
            .map(|delivery| match delivery {
                Delivery::Notification { cost, .. } => *cost,
                Delivery::Gap(_) => 0,
            })
            .collect(),
        Downward::Reply(
            ClientReply::PublisherOpened { .. }
            | ClientReply::Acknowledged { .. }
            | ClientReply::PublicationRefused { .. }
            | ClientReply::Attached { .. }
            | ClientReply::SubscriptionsLost { .. }
            | ClientReply::Applied { .. }
            | ClientReply::Found { .. }
            | ClientReply::Failed { .. }
            | ClientReply::MoveTo { .. },
        )
        | Downward::Closed(_)
        | Downward::Lost => Vec::new(),
    }
}
