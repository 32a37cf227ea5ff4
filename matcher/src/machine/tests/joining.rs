//! Slices that come to another machine while everything goes on: afterwards both have the same.

use std::collections::VecDeque;

use gomera_cluster::identity::Handle;
use gomera_cluster::layout::{MatcherSlice, Replica, Role};
use gomera_cluster::message::matcher::Replay;
use gomera_cluster::operation::{Change, SubscriptionOptions};
use gomera_model::timestamp::Timestamp;

use super::*;
use crate::fixture::{attributes, key, operation as on, put_with, session};

const A: Address = MATCHER;
const B: Address = address(3, 1);
const SLICES: u16 = 8;
const LANES: usize = 2;

/// Two matchers and two lanes; A has everything, B what `role` says.
fn shared(epoch: u64, role: Option<Role>) -> Arc<Layout> {
    let mut layout = (*layout(1, 2, 1)).clone();
    layout.epoch = Epoch(epoch);
    let lane = layout.lanes[&LaneId(1)].clone();
    layout.lanes.insert(LaneId(2), lane);
    layout.lane_next = LaneId(3);
    for placement in &mut layout.matcher {
        let a = if role == Some(Role::Active) { Role::Retiring } else { Role::Active };
        let ours = Replica { holder: A, role: a };
        placement.replicas = [Some(ours), role.map(|role| Replica { holder: B, role })].into_iter().flatten().collect();
    }
    Arc::new(layout)
}

/// The same with B active, and A what `role` says.
fn given_away(epoch: u64, role: Option<Role>) -> Arc<Layout> {
    let mut layout = (*shared(epoch, Some(Role::Active))).clone();
    for placement in &mut layout.matcher {
        placement.replicas.retain(|replica| replica.holder == B);
        placement.replicas.splice(0..0, role.map(|role| Replica { holder: A, role }));
    }
    Arc::new(layout)
}

/// Both machines, and what is under way between them.
struct Pair {
    machines: [Matcher; 2],
    links: [VecDeque<ToMatcher>; 2],
    /// Entries that a machine has not been told yet, by lane.
    waiting: [[VecDeque<(u64, Entry)>; LANES]; 2],
    told: [[u64; LANES]; 2],
    last: [u64; LANES],
    layout: Arc<Layout>,
    /// Whether B is told what concerns slices.
    b_is_stamped: [bool; LANES],
    counter: u64,
    /// The attachment of each session; the end of one begins the next.
    generations: [u64; 5],
    random: u64,
    parts: usize,
    matches: Vec<(Address, Matches)>,
    outcomes: Vec<(Address, Number, Outcome)>,
}

impl Pair {
    fn new(config: &Config, seed: u64) -> Self {
        // Time stands still here.
        let machine = |at| Matcher::new(at, Config { snapshot_bytes_per_second: u64::MAX, ..config.clone() });
        let mut pair = Self {
            machines: [machine(A), machine(B)],
            links: Default::default(),
            waiting: Default::default(),
            told: [[0; LANES]; 2],
            last: [0; LANES],
            layout: shared(1, None),
            b_is_stamped: [false; LANES],
            counter: 0,
            generations: [1; 5],
            random: seed,
            parts: 0,
            matches: Vec::new(),
            outcomes: Vec::new(),
        };
        pair.govern(shared(1, None));
        pair
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % limit
    }

    fn govern(&mut self, layout: Arc<Layout>) {
        self.layout = layout.clone();
        for machine in &mut self.machines {
            machine.handle(Instant::ZERO, NodeEvent::Layout(layout.clone()));
        }
        let credit = |lane| MatchesCredit { lane: LaneId(lane), class: Class::Live, total: Total(u64::MAX) };
        for (index, lane) in [(0, 1), (0, 2), (1, 1), (1, 2)] {
            self.tell(index, address(4, 0), ToMatcher::MatchesCredit(credit(lane)));
        }
    }

    fn tell(&mut self, index: usize, from: Address, message: ToMatcher) {
        let received = Received { from, epoch: self.layout.epoch, message };
        self.machines[index].handle(Instant::ZERO, NodeEvent::Received(received));
        self.drain(index);
    }

    fn append(&mut self, lane: usize, entry: Entry) {
        self.last[lane] += 1;
        let concerns_slice = matches!(&entry, Entry::Operation(operation) if operation.change.subscription().is_some());
        for index in 0..2 {
            if index == 0 || !concerns_slice || self.b_is_stamped[lane] {
                self.waiting[index][lane].push_back((self.last[lane], entry.clone()));
            }
        }
    }

    fn barrier(&mut self, lane: usize) {
        self.b_is_stamped[lane] = self.layout.matcher[0].role(B).is_some();
        let layout = self.layout.clone();
        self.append(lane, Entry::Barrier(layout));
    }

    /// Something happens to one of some subscriptions of some sessions; a session keeps to its lane.
    fn operate(&mut self) {
        self.counter += 1;
        let (number, id) = (usize::try_from(self.below(5)).expect("small"), self.below(40));
        let lane = number % 2;
        let (session, id) = (format!("s{number}"), format!("x{id}"));
        let at = version(self.generations[number], self.counter);
        let options = SubscriptionOptions { paused: self.below(4) == 0, expires_at: Some(Timestamp(1 << 40)) };
        let change = match self.below(10) {
            0 => Change::Remove(key(&session, &id)),
            1 => Change::SetPaused(key(&session, &id), self.counter.is_multiple_of(2)),
            2 => Change::SetContext(Arc::new(attributes(&[(
                "zone",
                Value::from(i64::try_from(at.counter).expect("small")),
            )]))),
            3 if self.below(8) == 0 => {
                self.generations[number] += 1;
                Change::Forget
            }
            _ => {
                let text = format!("a = {}", self.below(9));
                let put = put_with(&session, &id, at, self.counter, &text, options);
                return self.append(lane, operation(put));
            }
        };
        self.append(lane, operation(on(&session, at, change)));
    }

    /// A machine is told some of what waits for it, and what it has for others is taken.
    fn run(&mut self, index: usize, lane: usize, most: u64) {
        for _ in 0..most {
            let Some((number, entry)) = self.waiting[index][lane].pop_front() else { break };
            let from = Number(if self.told[index][lane] == 0 { number - 1 } else { self.told[index][lane] });
            self.told[index][lane] = number;
            let id = LaneId(u32::try_from(lane).expect("small") + 1);
            let entries = vec![(Number(number), entry)];
            let run = Entries { lane: id, class: Class::Live, from, to: Number(number), entries, merged: None };
            self.tell(index, WRITER, ToMatcher::Entries(run));
        }
        self.machines[index].handle_timeout(Instant::ZERO);
        self.drain(index);
    }

    fn drain(&mut self, index: usize) {
        let mut actions = Vec::new();
        self.machines[index].drain_actions(&mut actions);
        for Send { to, message } in actions {
            match message {
                Message::Matcher(message) => {
                    self.parts += usize::from(matches!(message, ToMatcher::SnapshotPart(_)));
                    self.links[index].push_back(message);
                    assert_eq!(to, [B, A][index]);
                }
                Message::ExitPoint(ToExitPoint::Matches(matches)) => self.matches.push(([A, B][index], matches)),
                Message::AccessPoint(ToAccessPoint::Progress(progress)) => {
                    let outcomes = progress.outcomes.into_iter();
                    self.outcomes.extend(outcomes.map(|(number, outcome)| ([A, B][index], number, outcome)));
                }
                _ => {}
            }
        }
    }

    fn pass_on(&mut self, from: usize) {
        if let Some(message) = self.links[from].pop_front() {
            self.tell(1 - from, [A, B][from], message);
        }
    }

    fn rest(&mut self) {
        let is_busy = |pair: &Self| {
            let waits = pair.waiting.iter().flatten().any(|waiting| !waiting.is_empty());
            let runs = pair.machines.iter().any(|machine| machine.poll_timeout() == Some(Instant::ZERO));
            waits || runs || pair.links.iter().any(|link| !link.is_empty())
        };
        while is_busy(self) {
            for index in 0..2 {
                (0..LANES).for_each(|lane| self.run(index, lane, 1000));
                self.pass_on(index);
            }
        }
    }

    fn agree(&self) -> usize {
        let mut all = 0;
        for slice in (0..SLICES).map(MatcherSlice) {
            let [a, b] = self.machines.each_ref().map(|machine| machine.copies(slice).expect("it is whole"));
            assert_eq!(format!("{a:?}"), format!("{b:?}"));
            for state in &a {
                let [a, b] = self.machines.each_ref().map(|machine| machine.context(state.session).cloned());
                assert_eq!(format!("{a:?}"), format!("{b:?}"));
            }
            all += a.len();
        }
        all
    }
}

#[test]
fn whoever_joins_has_the_same_afterwards_whatever_happens_meanwhile() {
    for seed in 0..16 {
        let window = if seed % 2 == 0 { 1 } else { 1 << 20 };
        let config = Config { snapshot_window_bytes: window, frame_bytes_max: window, ..Config::default() };
        let mut pair = Pair::new(&config, seed);
        (0..LANES).for_each(|lane| pair.barrier(lane));
        for _ in 0..200 {
            pair.operate();
        }
        pair.govern(shared(2, Some(Role::Joining)));
        let late = pair.below(60);
        for step in 0..400 {
            if step == 10 {
                pair.barrier(0);
            }
            if step == 10 + late {
                pair.barrier(1);
            }
            pair.operate();
            for _ in 0..3 {
                let (index, lane) = (pair.below(2), pair.below(2));
                let most = pair.below(4);
                let (index, lane) = (usize::from(index == 1), usize::from(lane == 1));
                pair.run(index, lane, most);
                let from = usize::from(pair.below(2) == 1);
                pair.pass_on(from);
            }
        }
        pair.rest();
        assert_eq!(pair.machines[1].installed().len(), usize::from(SLICES), "seed {seed}");
        assert!(pair.parts >= 2, "{}", pair.parts);
        assert!(pair.agree() > 20, "seed {seed}");
    }
}

#[test]
fn who_judges_a_lane_that_is_late_answers_there_though_it_has_left_and_joins_anew_elsewhere() {
    let mut pair = Pair::new(&Config::default(), 3);
    (0..LANES).for_each(|lane| pair.barrier(lane));
    (0..200).for_each(|_| pair.operate());
    pair.govern(shared(2, Some(Role::Joining)));
    (0..LANES).for_each(|lane| pair.barrier(lane));
    pair.rest();
    pair.append(1, operation(put_with("s9", "all", version(9, 1000), 1000, "TRUE", SubscriptionOptions::default())));
    let number = Number(pair.last[1]);
    pair.append(1, publication(1, 1));
    // All lanes have written these barriers. Of the second one, A has not heard since the operation before them.
    for layout in [given_away(3, Some(Role::Retiring)), given_away(4, None), given_away(5, Some(Role::Joining))] {
        pair.govern(layout);
        (0..LANES).for_each(|lane| pair.barrier(lane));
    }
    pair.run(0, 0, 1000);
    pair.outcomes.clear();
    pair.matches.clear();
    pair.run(0, 1, 2);
    let [(A, of, Outcome::Applied { handle: Some(Handle(1000)), .. })] = pair.outcomes.as_slice() else {
        panic!("{:?}", pair.outcomes)
    };
    assert_eq!(*of, number);
    let matched = pair.matches.iter().flat_map(|(_, frame)| &frame.matched);
    assert!(matched.flat_map(|matched| &matched.targets).any(|target| target.session == session("s9")));
    pair.rest();
    assert_eq!(pair.machines[0].installed().len(), usize::from(SLICES));
    assert!(pair.agree() > 20);
}

#[test]
fn too_many_operations_meanwhile_begin_a_snapshot_anew() {
    let config = Config { joining_bytes_max: 2000, snapshot_window_bytes: 1, frame_bytes_max: 1, ..Config::default() };
    let mut pair = Pair::new(&config, 7);
    (0..LANES).for_each(|lane| pair.barrier(lane));
    (0..200).for_each(|_| pair.operate());
    pair.govern(shared(2, Some(Role::Joining)));
    (0..LANES).for_each(|lane| pair.barrier(lane));
    for _ in 0..300 {
        pair.operate();
        (0..LANES).for_each(|lane| pair.run(1, lane, 9));
    }
    assert!(pair.machines[1].statistics().snapshots_overrun > 0);
    pair.rest();
    assert_eq!(pair.machines[1].installed().len(), usize::from(SLICES));
    pair.agree();
}

/// Lanes may be late for long, and what A had stays as long as one is judged by it.
#[test]
fn what_is_kept_is_bounded_also_while_what_was_there_before_cannot_go() {
    for seed in 0..8 {
        let config = Config { joining_bytes_max: 2000, ..Config::default() };
        let mut pair = Pair::new(&config, seed);
        (0..LANES).for_each(|lane| pair.barrier(lane));
        (0..200).for_each(|_| pair.operate());
        pair.govern(shared(2, Some(Role::Joining)));
        (0..LANES).for_each(|lane| pair.barrier(lane));
        pair.rest();
        let before = pair.machines[0].statistics().snapshots_overrun;
        for layout in [given_away(3, Some(Role::Retiring)), given_away(4, None), given_away(5, Some(Role::Joining))] {
            pair.govern(layout);
            // What A does not hear of for long has operations behind the last barrier that it knows.
            (0..20).for_each(|_| pair.operate());
            (0..LANES).for_each(|lane| pair.barrier(lane));
        }
        for _ in 0..400 {
            pair.operate();
            pair.run(0, 0, 9);
            let most = pair.below(2);
            if pair.below(40) == 0 {
                // It judges a little of the late lane.
                let behind = pair.waiting[0][1].iter().position(|(_, entry)| matches!(entry, Entry::Barrier(_)));
                pair.run(0, 1, if behind.is_some_and(|behind| behind > 1) { most } else { 0 });
            }
            pair.run(1, 0, 9);
        }
        assert!(!pair.waiting[0][1].is_empty(), "the second lane is late");
        assert!(pair.machines[0].statistics().snapshots_overrun > before, "seed {seed}");
        pair.rest();
        assert_eq!(pair.machines[0].installed().len(), usize::from(SLICES));
        assert!(pair.agree() > 20, "seed {seed}");
    }
}

#[test]
fn who_left_and_joins_anew_has_not_installed_what_lanes_that_are_late_are_still_judged_by() {
    let mut pair = Pair::new(&Config::default(), 3);
    (0..LANES).for_each(|lane| pair.barrier(lane));
    pair.govern(shared(2, Some(Role::Joining)));
    (0..LANES).for_each(|lane| pair.barrier(lane));
    pair.rest();
    for layout in [given_away(3, Some(Role::Retiring)), given_away(4, None), given_away(5, Some(Role::Joining))] {
        pair.govern(layout);
        (0..LANES).for_each(|lane| pair.barrier(lane));
    }
    assert!(pair.machines[0].report().installed.is_empty(), "it has all of an earlier life");
    pair.rest();
    assert_eq!(pair.machines[0].report().installed.len(), usize::from(SLICES));
}

#[test]
fn what_came_from_a_slice_that_is_lost_goes_before_it_comes_from_who_began_with_nothing() {
    let config = Config {
        snapshot_bytes_per_second: u64::MAX,
        snapshot_window_bytes: 1,
        frame_bytes_max: 1,
        ..Config::default()
    };
    let mut pair = Pair::new(&config, 3);
    (0..LANES).for_each(|lane| pair.barrier(lane));
    (0..200).for_each(|_| pair.operate());
    pair.govern(shared(2, Some(Role::Joining)));
    (0..LANES).for_each(|lane| pair.barrier(lane));
    pair.rest();
    assert_eq!(pair.machines[1].installed().len(), usize::from(SLICES), "nobody knows yet that it has all");
    // A dies and somebody else takes its place.
    pair.machines[0] = Matcher::new(A, config);
    (pair.waiting, pair.told[0], pair.links) = (Default::default(), [0; LANES], Default::default());
    let mut lost = (*shared(3, Some(Role::Joining))).clone();
    lost.matcher.iter_mut().for_each(|placement| placement.lost = Epoch(3));
    pair.govern(Arc::new(lost));
    (0..LANES).for_each(|lane| pair.barrier(lane));
    (0..60).for_each(|_| pair.operate());
    pair.rest();
    assert_eq!(pair.machines[1].installed().len(), usize::from(SLICES));
    assert!(pair.agree() > 5);
}

#[test]
fn what_a_dead_matcher_left_unsaid_is_judged_by_who_has_its_slices_now() {
    let mut pair = Pair::new(&Config::default(), 3);
    pair.govern(shared(2, Some(Role::Joining)));
    (0..LANES).for_each(|lane| pair.barrier(lane));
    (0..100).for_each(|_| pair.operate());
    pair.append(0, operation(put_with("s0", "all", version(9, 1000), 1000, "TRUE", SubscriptionOptions::default())));
    pair.rest();
    pair.govern(shared(3, Some(Role::Standby)));
    let before = pair.last[0];
    for sequence in 0..10 {
        pair.append(0, publication(sequence, 1));
    }
    // A dies before it has said anything about them; B has not come to the barrier, and judges them all the same.
    let slices = Arc::new((0..SLICES).map(MatcherSlice).collect::<SliceSet>());
    let entries = (1..=10).map(|number| (Number(before + number), publication(number, 1))).collect();
    let (from, to) = (Number(before), Number(before + 10));
    let credit = MatchesCredit { lane: LaneId(1), class: Class::Replay, total: Total(u64::MAX) };
    pair.tell(1, address(4, 0), ToMatcher::MatchesCredit(credit));
    pair.tell(1, WRITER, ToMatcher::Replay(Replay { lane: LaneId(1), slices, from, to, entries }));
    pair.run(1, 0, 0);
    let frames = pair.matches.iter().filter(|(by, frame)| *by == B && frame.class == Class::Replay).collect::<Vec<_>>();
    let [(_, frame)] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!((frame.from, frame.to, frame.slices.len()), (from, to, usize::from(SLICES)));
    assert_eq!(frame.matched.len(), 10);
}
