//! Claims about operations: what is asked is done once, whatever dies on the way; what cannot be done changes nothing and is answered
//! by a sentence that says what would be right.

use std::collections::{BTreeMap, BTreeSet};

use gomera_cluster::address::Layer;
use gomera_cluster::identity::Term;
use gomera_cluster::layout::{Epoch, Layout, Settings};
use gomera_cluster::machine::Machine as _;
use gomera_cluster::report::{Clients, Report};
use gomera_cluster::time::Instant;

mod leaving;
mod supply;
mod waiting;

use super::*;
use crate::config::Config;
use crate::coordinator::{Action, Coordinator, Event};
use crate::desired::Desired;
use crate::plan::Observation;
use crate::registration::{NodeState, Registration};

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

/// A coordination service, nodes that do what layouts say, and one leader after another.
struct World {
    seen: Observation,
    leader: Coordinator,
    config: Config,
    now: Instant,
    term: u64,
    /// Clients do not leave connection points that are to leave.
    clients_stay: bool,
    /// Nodes say nothing new of themselves.
    nodes_are_silent: bool,
    /// Those that a layout in force has named.
    named: BTreeSet<Incarnation>,
    /// Those whose clients leave all the same.
    emptied: BTreeSet<Incarnation>,
}

impl World {
    /// A cluster of so many connection points and one node of each other layer, under its first layout.
    fn governed(points: u64) -> Self {
        Self::configured(points, config())
    }

    /// One of so many nodes of each layer.
    fn governed_by(desired: &str) -> Self {
        Self::with(desired.parse().expect("four numbers"), config())
    }

    fn configured(points: u64, config: Config) -> Self {
        Self::with(format!("{points}-1-1-1").parse().expect("four numbers"), config)
    }

    fn with(desired: Desired, config: Config) -> Self {
        let seen = Observation { desired, ..Observation::default() };
        let leader = leader(config.clone());
        let mut world = Self {
            seen,
            leader,
            config,
            now: Instant::ZERO,
            term: 0,
            clients_stay: false,
            nodes_are_silent: false,
            named: BTreeSet::new(),
            emptied: BTreeSet::new(),
        };
        for (layer, first) in Layer::ALL.into_iter().zip([1, 101, 201, 301]) {
            (first..first + u64::from(desired.of(layer))).for_each(|node| world.register(layer, node));
        }
        world.elect();
        world.settle();
        assert!(world.seen.layout.is_some());
        world
    }

    fn register(&mut self, layer: Layer, node: u64) {
        let registration = Registration {
            layer,
            name: Arc::from(format!("{}-{node}", layer.name())),
            incarnation: Incarnation(node),
            link_address: Arc::from("127.0.0.1:1"),
            client_address: Arc::from("127.0.0.1:2"),
            shards: 1,
            state: NodeState::Up,
        };
        self.seen.members.insert(Incarnation(node), registration);
    }

    fn ask(&mut self, id: &str, request: Request) {
        let requested_at = u64::try_from(self.seen.operations.len()).expect("few");
        let operation = Operation::requested(request, requested_at);
        self.seen.operations.insert(id.parse().expect("a good id"), Standing { operation, version: 0 });
    }

    fn scale(&mut self, id: &str, replicas: u16) {
        self.ask(id, Request::Scale { layer: Layer::ConnectionPoint, replicas });
    }

    fn cancel(&mut self, id: &str) {
        let standing = self.seen.operations.get_mut(&id.parse::<OperationId>().expect("a good id")).expect("it stands");
        standing.operation.cancel = Cancel::Asked;
        standing.version += 1;
    }

    fn elect(&mut self) {
        self.leader = leader(self.config.clone());
        self.term += 1;
        self.leader.handle(self.now, Event::Elected { term: Term(self.term), observation: self.seen.clone() });
    }

    /// One write of the leader, if it asks for one; then nodes do what they do. Whether anything happened.
    fn turn(&mut self) -> bool {
        let mut actions = Vec::new();
        self.leader.drain_actions(&mut actions);
        assert!(actions.len() <= 1, "one write at a time");
        let wrote = actions.pop().is_some_and(|action| self.write(action));
        let before = (self.seen.acknowledged.clone(), self.seen.reports.clone());
        self.follow();
        let moved = before != (self.seen.acknowledged.clone(), self.seen.reports.clone());
        self.leader.handle(self.now, Event::Observed(self.seen.clone()));
        wrote || moved
    }

    fn settle(&mut self) {
        self.follow();
        self.leader.handle(self.now, Event::Observed(self.seen.clone()));
        for _ in 0..200 {
            if !self.turn() {
                return;
            }
        }
        panic!("no end: {:?}", self.seen.operations);
    }

    /// As a coordination service would: nothing is written over what changed since it was read.
    fn write(&mut self, action: Action) -> bool {
        match action {
            Action::Propose(layout) => {
                if let Some(before) = &self.seen.layout {
                    layout.check_follows(before).expect("it may follow");
                }
                self.seen.proposed = Some(layout);
            }
            Action::Commit(layout) => self.seen.layout = Some(layout),
            Action::Journal(entry) => {
                let Entry { id, operation, version, wish } = *entry;
                let standing = self.seen.operations.get_mut(&id).expect("it stands");
                if standing.version != version {
                    return false;
                }
                assert!(!standing.operation.has_ended(), "what has ended stays as it is");
                *standing = Standing { operation, version: version + 1 };
                if let Some((layer, replicas)) = wish {
                    self.seen.desired.set(layer, replicas);
                }
            }
            Action::Forget(id, _) => {
                self.seen.operations.remove(&id);
            }
        }
        true
    }

    fn follow(&mut self) {
        if let Some(proposed) = &self.seen.proposed {
            let there = proposed.members.keys().filter(|node| self.seen.members.contains_key(node));
            self.seen.acknowledged.extend(there.map(|&node| (node, proposed.epoch)));
        }
        if let Some(layout) = &self.seen.layout {
            self.named.extend(layout.members.keys());
            if !self.nodes_are_silent {
                // Whoever is named no more ends itself.
                let named = &self.named;
                self.seen.members.retain(|node, _| layout.members.contains_key(node) || !named.contains(node));
                for node in &layout.leaving {
                    let node = self.seen.members.get_mut(node);
                    if let Some(node) = node.filter(|node| node.state == NodeState::Up) {
                        node.state = NodeState::Parting;
                    }
                }
            }
            let clients_leave = |node: &Incarnation| !self.clients_stay || self.emptied.contains(node);
            let is_left = |node: Incarnation| layout.leaving.contains(&node) && clients_leave(&node);
            let clients = |node| if is_left(node) { Clients::None } else { Clients::Some };
            let report = |node| Report { epoch: layout.epoch, clients: clients(node), ..Report::default() };
            let points = layout.machines(Layer::ConnectionPoint);
            self.seen.reports = points.map(|point| (point, report(point.node))).collect();
        }
    }

    fn pass(&mut self, time: std::time::Duration) {
        self.now = self.now + time;
        self.leader.handle_timeout(self.now);
        self.settle();
    }

    fn operation(&self, id: &str) -> &Operation {
        &self.seen.operations[&id.parse::<OperationId>().expect("a good id")].operation
    }

    fn outcome(&self, id: &str) -> Outcome {
        match &self.operation(id).state {
            State::Ended(ended) => ended.outcome.clone(),
            other @ (State::Requested | State::Running(_)) => panic!("{id} has not ended: {other:?}"),
        }
    }

    fn progress(&self, id: &str) -> Progress {
        match &self.operation(id).state {
            State::Running(running) => running.progress.clone(),
            other @ (State::Requested | State::Ended(_)) => panic!("{id} does not run: {other:?}"),
        }
    }

    fn points(&self) -> Vec<u64> {
        let layout = self.seen.layout.as_ref().expect("one is in force");
        layout.machines(Layer::ConnectionPoint).map(|machine| machine.node.0).collect()
    }

    /// What would be answered now.
    fn refusal(&self, request: &Request) -> (RefusalKind, String) {
        let Refusal { kind, reason } = judge(&self.seen, None, request).expect_err("it cannot be done");
        (kind, reason)
    }
}

fn config() -> Config {
    Config { grace: SECOND * 5, node_wait: SECOND * 30, ..Config::default() }
}

fn leader(config: Config) -> Coordinator {
    let settings = Settings { matcher_slices: 8, session_slices: 8, ..Settings::default() };
    Coordinator::new(config, settings)
}

#[test]
fn a_layer_grows_and_shrinks_and_the_wish_with_it() {
    let mut world = World::governed(1);
    world.register(Layer::ConnectionPoint, 2);
    world.settle();
    assert_eq!(world.points(), [1], "one is wanted");
    world.scale("out", 2);
    world.settle();
    assert_eq!((world.outcome("out"), world.points()), (Outcome::Succeeded, vec![1, 2]));
    assert_eq!(world.seen.desired.connection_points, 2);
    world.scale("in", 1);
    world.settle();
    assert_eq!((world.outcome("in"), world.points()), (Outcome::Succeeded, vec![1]));
    assert_eq!(world.seen.desired.connection_points, 1);
    assert_eq!((world.operation("out").number(), world.operation("in").number()), (1, 2));
}

/// Another leader takes over after each write of each operation in turn: all comes to the same.
#[test]
fn a_leader_that_dies_at_any_point_is_continued() {
    let requests = [
        Request::Scale { layer: Layer::ConnectionPoint, replicas: 3 },
        Request::Scale { layer: Layer::ConnectionPoint, replicas: 1 },
        Request::Drain { node: Arc::from("connection-point-2") },
        Request::Rebalance,
    ];
    for request in requests {
        let run = |dies_after: usize| {
            let mut world = World::governed(2);
            world.register(Layer::ConnectionPoint, 3);
            world.ask("it", request.clone());
            for turn in 0..40 {
                if turn == dies_after {
                    // What it had asked for is not done.
                    world.elect();
                }
                world.turn();
            }
            world.settle();
            (world.outcome("it"), world.points(), world.seen.desired, world.seen.layout.map(|layout| layout.epoch))
        };
        let undisturbed = run(usize::MAX);
        assert_eq!(undisturbed.0, Outcome::Succeeded, "{request}");
        for dies_after in 0..20 {
            assert_eq!(run(dies_after), undisturbed, "{request}, dead after {dies_after}");
        }
    }
}

#[test]
fn an_operation_is_cancelled_before_it_activates_something_and_leaves_no_trace() {
    let mut world = World::governed(2);
    world.clients_stay = true;
    world.scale("in", 1);
    world.settle();
    world.cancel("in");
    world.settle();
    assert_eq!((world.outcome("in"), world.points()), (Outcome::Cancelled, vec![1, 2]));
    assert!(world.seen.layout.as_ref().expect("one is in force").leaving.is_empty(), "called back");
    assert_eq!(world.seen.desired.connection_points, 2);
    // One that nobody took up.
    world.scale("never", 1);
    world.cancel("never");
    world.settle();
    assert_eq!((world.outcome("never"), world.points()), (Outcome::Cancelled, vec![1, 2]));
}

#[test]
fn cancelling_comes_too_late_once_a_node_is_in() {
    let mut world = World::governed(1);
    world.register(Layer::ConnectionPoint, 2);
    world.register(Layer::ConnectionPoint, 3);
    world.scale("out", 3);
    // Three are wanted, and one of those that were there has gone since: the operation waits for another one.
    while !matches!(world.operation("out").state, State::Running(_)) {
        world.turn();
    }
    world.seen.members.remove(&Incarnation(3));
    world.leader.handle(world.now, Event::Observed(world.seen.clone()));
    world.settle();
    assert_eq!(world.progress("out").awaits, ["1 more connection point"]);
    world.cancel("out");
    world.settle();
    assert_eq!(world.operation("out").cancel, Cancel::TooLate);
    world.register(Layer::ConnectionPoint, 4);
    world.settle();
    assert_eq!((world.outcome("out"), world.points()), (Outcome::Succeeded, vec![1, 2, 4]));
}

/// Whoever dies or leaves by itself meanwhile makes more slices move than were planned.
#[test]
fn nothing_is_cancelled_once_a_slice_has_moved_whatever_becomes_of_others() {
    let has_left = |world: &World, before: &Layout| {
        let now = world.seen.layout.as_ref().expect("one is in force");
        let actives = before.matcher.iter().zip(&now.matcher).map(|(was, is)| (was.active(), is.active()));
        actives.into_iter().any(|(was, is)| was.is_some_and(|was| was.node == Incarnation(203)) && was != is)
    };
    for (other, dies, turns) in (0..32).map(|case| (201 + case % 2, case / 2 % 2 == 0, case / 4)) {
        let mut world = World::governed_by("1-1-3-1");
        world.ask("drain", Request::Drain { node: Arc::from("matcher-203") });
        let before = world.seen.layout.clone().expect("one is in force");
        (0..turns).for_each(|_| _ = world.turn());
        if dies {
            world.seen.members.remove(&Incarnation(other));
        } else {
            world.seen.members.get_mut(&Incarnation(other)).expect("it is there").state = NodeState::Draining;
        }
        world.settle();
        world.pass(SECOND * 6);
        world.cancel("drain");
        let moved = has_left(&world, &before);
        world.settle();
        let is_cancelled =
            matches!(&world.operation("drain").state, State::Ended(ended) if ended.outcome == Outcome::Cancelled);
        assert!(!(moved && is_cancelled), "{other} {dies} {turns}");
    }
}

#[test]
fn a_node_that_does_not_come_fails_the_operation_which_says_what_serves() {
    let mut world = World::governed(1);
    world.register(Layer::ConnectionPoint, 2);
    world.scale("out", 2);
    while !matches!(world.operation("out").state, State::Running(_)) {
        world.turn();
    }
    world.seen.members.remove(&Incarnation(2));
    world.leader.handle(world.now, Event::Observed(world.seen.clone()));
    world.settle();
    world.pass(SECOND * 29);
    assert_eq!(world.progress("out").awaits, ["1 more connection point"]);
    world.pass(SECOND);
    let Outcome::Failed { reason } = world.outcome("out") else { panic!("{:?}", world.outcome("out")) };
    assert_eq!(reason, "1 of 2 connection points serve, and no other came within 30s");
    assert_eq!(world.seen.desired.connection_points, 1, "nobody is surprised later");
}

#[test]
fn a_layer_that_shrank_to_fewer_than_were_asked_for_is_no_success_and_goes_on_wanting_them() {
    let mut world = World::governed(3);
    world.clients_stay = true;
    world.scale("in", 2);
    world.settle();
    world.seen.members.remove(&Incarnation(1));
    world.clients_stay = false;
    world.settle();
    world.pass(SECOND * 6);
    assert_eq!(world.progress("in").awaits, ["1 more connection point"]);
    assert_eq!(world.points(), [2], "who was sent away does not take the place, though it says that it is up");
    world.seen.members.remove(&Incarnation(3));
    world.pass(SECOND * 30);
    let Outcome::Failed { reason } = world.outcome("in") else { panic!("{:?}", world.outcome("in")) };
    assert_eq!(reason, "1 of 2 connection points serve, and no other came within 30s");
    assert_eq!((world.points(), world.seen.desired.connection_points), (vec![2], 2), "who comes back is let in");
}

/// Whoever was to take over has died, or leaves by itself.
#[test]
fn what_cannot_be_done_is_answered_by_what_would_be_right_and_changes_nothing() {
    let mut world = World::governed(1);
    world.register(Layer::ConnectionPoint, 2);
    let scale = |layer, replicas| Request::Scale { layer, replicas };
    let drain = |node: &str| Request::Drain { node: Arc::from(node) };
    for (request, kind, words) in [
        (scale(Layer::ConnectionPoint, 0), RefusalKind::Invalid, "must be at least 1"),
        (scale(Layer::ConnectionPoint, 5000), RefusalKind::Invalid, "must be at most 1024"),
        (scale(Layer::ConnectionPoint, 4), RefusalKind::Exhausted, "1 serve and 1 wait for work: start 2 more"),
        (scale(Layer::ExitPoint, 2), RefusalKind::Exhausted, "start 1 more"),
        (drain("nobody"), RefusalKind::NotFound, "there is no node «nobody»; the nodes are access-point-101, "),
        (drain("access-point-101"), RefusalKind::Precondition, "is the last access point: start another one first"),
        (drain("exit-point-301"), RefusalKind::Precondition, "is the last exit point: start another one first"),
        (drain("connection-point-2"), RefusalKind::Precondition, "is idle and holds nothing"),
    ] {
        let (was, reason) = world.refusal(&request);
        assert!(was == kind && reason.contains(words), "{request}: {was:?} {reason}");
        world.ask("refused", request.clone());
        let (layout, desired) = (world.seen.layout.clone(), world.seen.desired);
        world.settle();
        assert_eq!(world.outcome("refused"), Outcome::Refused(Refusal { kind, reason }), "{request}");
        assert_eq!((&world.seen.layout, world.seen.desired), (&layout, desired), "{request}");
    }
    world.seen.members.remove(&Incarnation(2));
    let (_, reason) = world.refusal(&drain("0000000000000001"));
    assert!(reason.contains("is the last connection point: start another one first"), "{reason}");
    world.seen.layout = None;
    assert_eq!(world.refusal(&scale(Layer::ConnectionPoint, 2)).0, RefusalKind::Unavailable);
}

#[test]
fn a_second_operation_is_refused_while_one_runs_and_names_it() {
    let mut world = World::governed(2);
    world.clients_stay = true;
    world.scale("first", 1);
    world.scale("second", 1);
    world.settle();
    let Outcome::Refused(Refusal { kind, reason }) = world.outcome("second") else { panic!("one at a time") };
    assert_eq!(kind, RefusalKind::Precondition);
    assert_eq!(
        reason,
        "operation first (scale connection-point 1) is under way: wait until it has ended, or cancel it"
    );
    assert!(matches!(world.operation("first").state, State::Running(_)));
}

#[test]
fn old_operations_go_and_the_journal_stays_bounded() {
    let mut world = World::governed(1);
    for number in 0..3 * ENDED_MAX {
        world.ask(&format!("r{number}"), Request::Rebalance);
        world.settle();
    }
    assert_eq!(world.seen.operations.len(), ENDED_MAX);
    let oldest = world.seen.operations.values().map(|standing| standing.operation.number()).min();
    assert_eq!(oldest, u64::try_from(2 * ENDED_MAX + 1).ok());
}

#[test]
fn an_operation_is_json_that_a_person_can_read() {
    let mut world = World::governed(1);
    world.register(Layer::ConnectionPoint, 2);
    world.scale("out", 2);
    let text = |world: &World| serde_json::to_string(world.operation("out")).expect("it is plain");
    assert_eq!(
        text(&world),
        r#"{"request":{"kind":"scale","layer":"connection-point","replicas":2},"requested_at":0,"cancel":"no","state":{"name":"requested"}}"#
    );
    world.settle();
    let json = text(&world);
    for part in
        [r#""number":1"#, r#""from":1,"to":2"#, r#""name":"connection-point-2","incarnation":"0000000000000002""#]
    {
        assert!(json.contains(part), "{json}");
    }
    assert_eq!(serde_json::from_str::<Operation>(&json).expect("reads").number(), 1);
    let all: BTreeMap<_, _> = world.seen.operations.iter().collect();
    assert_eq!(all.len(), 1);
    assert_eq!(world.seen.layout.map(|layout| layout.epoch), Some(Epoch(2)));
}
