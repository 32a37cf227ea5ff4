//! Slices that come to be judged here or cease to, by layouts and their barriers.

use std::collections::BTreeSet;

use gomera_cluster::identity::Handle;
use gomera_cluster::layout::{MatcherSlice, Replica, Role};
use gomera_cluster::message::exit_point::Handles;
use gomera_cluster::operation::Change;

use super::*;
use crate::fixture::{key, operation as on, session};

const OTHER: Address = address(3, 1);
const SLICES: u16 = 8;

/// Two matchers, two lanes; each slice with what this one is for it, the other one being what is missing.
fn roles(epoch: u64, role_of: impl Fn(u16) -> Option<Role>) -> Arc<Layout> {
    let mut layout = (*layout(epoch, 2, 1)).clone();
    let lane = layout.lanes[&LaneId(1)].clone();
    layout.lanes.insert(LaneId(2), lane);
    layout.lane_next = LaneId(3);
    for (number, placement) in (0..).zip(&mut layout.matcher) {
        let role = role_of(number);
        let other = if role == Some(Role::Active) { Role::Standby } else { Role::Active };
        let ours = role.map(|role| Replica { holder: MATCHER, role });
        placement.replicas = ours.into_iter().chain([Replica { holder: OTHER, role: other }]).collect();
    }
    Arc::new(layout)
}

struct Moving {
    bench: Bench,
    layout: Arc<Layout>,
    next: [u64; 2],
    sequence: u64,
    /// Subscriptions by handle: their slice, and what `a` they ask for.
    held: Vec<Option<(MatcherSlice, i64)>>,
    /// Publications that came while the machine had something left to do.
    meanwhile: usize,
}

impl Moving {
    fn new(first: &Arc<Layout>) -> Self {
        let mut machine = Matcher::new(MATCHER, Config::default());
        machine.handle(Instant::ZERO, NodeEvent::Layout(first.clone()));
        let bench =
            Bench { machine, next: 0, matches: Vec::new(), progress: Vec::new(), grants: 0, expired: Vec::new() };
        let mut moving =
            Self { bench, layout: first.clone(), next: [0, 0], sequence: 0, held: Vec::new(), meanwhile: 0 };
        for lane in [1, 2] {
            let credit = MatchesCredit { lane: LaneId(lane), class: Class::Live, total: Total(u64::MAX) };
            moving.bench.tell(address(4, 0), 1, ToMatcher::MatchesCredit(credit));
        }
        moving
    }

    fn tell(&mut self, lane: usize, entry: Entry) -> Number {
        let from = Number(self.next[lane]);
        self.next[lane] += 1;
        let to = Number(self.next[lane]);
        let id = LaneId(u32::try_from(lane).expect("small") + 1);
        let run = Entries { lane: id, class: Class::Live, from, to, entries: vec![(to, entry)], merged: None };
        let epoch = self.layout.epoch.0;
        self.bench.tell(WRITER, epoch, ToMatcher::Entries(run));
        to
    }

    fn layout(&mut self, layout: &Arc<Layout>) {
        self.layout = layout.clone();
        self.bench.machine.handle(Instant::ZERO, NodeEvent::Layout(layout.clone()));
    }

    fn barrier(&mut self, lane: usize) {
        let layout = self.layout.clone();
        self.tell(lane, Entry::Barrier(layout));
    }

    fn name(handle: usize) -> String {
        format!("x{handle}")
    }

    /// Puts a subscription, or changes it.
    fn put(&mut self, lane: usize, handle: usize, a: i64) {
        self.sequence += 1;
        let (name, number) = (Self::name(handle), u64::try_from(handle).expect("small"));
        let text = if handle.is_multiple_of(3) { format!("a = {a} OR b = {a}") } else { format!("a = {a}") };
        self.tell(lane, operation(put("s", &name, version(1, self.sequence), number, &text)));
        if self.held.len() <= handle {
            self.held.resize(handle + 1, None);
        }
        self.held[handle] = Some((self.layout.slice_of_subscription(key("s", &name)), a));
    }

    fn remove(&mut self, lane: usize, handle: usize) {
        self.sequence += 1;
        let change = Change::Remove(key("s", &Self::name(handle)));
        self.tell(lane, operation(on("s", version(1, self.sequence), change)));
        self.held[handle] = None;
    }

    /// What a publication is told to match.
    fn publish(&mut self, lane: usize, a: i64) -> BTreeSet<u64> {
        self.sequence += 1;
        let sequence = self.sequence;
        self.meanwhile += usize::from(self.bench.machine.poll_timeout().is_some_and(|at| at == Instant::ZERO));
        let number = self.tell(lane, publication(sequence, a));
        let id = LaneId(u32::try_from(lane).expect("small") + 1);
        for _ in 0..64 {
            self.bench.drain();
            if self.bench.machine.poll_timeout().is_some_and(|at| at == Instant::ZERO) && !self.is_told(id, number) {
                self.bench.machine.handle_timeout(Instant::ZERO);
            }
        }
        let mut found = BTreeSet::new();
        for (_, frame) in self.bench.matches.iter().filter(|(_, frame)| frame.lane == id) {
            let of_it = frame.matched.iter().filter(|matched| matched.number == number);
            for target in of_it.flat_map(|matched| &matched.targets) {
                assert_eq!(target.session, session("s"));
                let handles: Vec<(_, Handle)> = match &target.handles {
                    &Handles::One(generation, handle) => vec![(generation, handle)],
                    Handles::Many(several) => several.to_vec(),
                };
                for (_, handle) in handles {
                    assert!(found.insert(handle.0), "told once");
                }
            }
        }
        found
    }

    fn is_told(&self, lane: LaneId, number: Number) -> bool {
        self.bench.matches.iter().any(|(_, frame)| frame.lane == lane && frame.to >= number)
    }

    /// What it should match if it is judged by these slices.
    fn expected(&self, a: i64, judged: impl Fn(u16) -> bool) -> BTreeSet<u64> {
        let held = (0..).zip(&self.held);
        let wanted = held.filter(|(_, row)| row.is_some_and(|(slice, of)| of == a && judged(slice.0)));
        wanted.map(|(handle, _)| handle).collect()
    }

    /// Has the machine do what it has to.
    fn rest(&mut self) -> usize {
        (0..10_000)
            .find(|_| {
                let is_runnable = self.bench.machine.poll_timeout().is_some_and(|at| at == Instant::ZERO);
                self.bench.machine.handle_timeout(Instant::ZERO);
                self.bench.drain();
                !is_runnable
            })
            .expect("it comes to rest")
    }
}

fn is_even(slice: u16) -> bool {
    slice.is_multiple_of(2)
}

#[test]
fn every_publication_is_judged_by_the_slices_of_its_place_in_its_lane_while_rows_move() {
    let standby = roles(1, |slice| Some(if is_even(slice) { Role::Active } else { Role::Standby }));
    let all = roles(2, |_| Some(Role::Active));
    let odd = roles(3, |slice| Some(if is_even(slice) { Role::Retiring } else { Role::Active }));
    let given_up = roles(4, |slice| (!is_even(slice)).then_some(Role::Active));
    let mut moving = Moving::new(&standby);
    for lane in [0, 1] {
        moving.barrier(lane);
    }
    for handle in 0..6_000 {
        moving.put(0, handle, i64::try_from(handle % 40).expect("small"));
    }
    moving.rest();
    assert_eq!(moving.publish(0, 7), moving.expected(7, is_even), "standbys match nothing");

    moving.layout(&all);
    assert_eq!(moving.publish(0, 8), moving.expected(8, is_even), "before the barrier");
    moving.barrier(0);
    moving.meanwhile = 0;
    for step in 0..60 {
        let a = step % 40;
        assert_eq!(moving.publish(0, a), moving.expected(a, |_| true), "after the barrier, step {step}");
        assert_eq!(moving.publish(1, a), moving.expected(a, is_even), "the other lane has not come to it");
        let handle = usize::try_from(step * 37 % 6_000).expect("small");
        if step % 3 == 0 {
            moving.remove(0, handle);
        } else {
            moving.put(0, handle, a + 1);
        }
    }
    assert!(moving.meanwhile >= 5, "rows move meanwhile: {}", moving.meanwhile);
    moving.barrier(1);
    assert_eq!(moving.publish(1, 9), moving.expected(9, |_| true));

    moving.layout(&odd);
    moving.barrier(1);
    moving.meanwhile = 0;
    for step in 0..20 {
        assert_eq!(moving.publish(1, step), moving.expected(step, |slice| !is_even(slice)), "retired, step {step}");
        assert_eq!(moving.publish(0, step), moving.expected(step, |_| true), "not yet in this lane");
        moving.put(1, usize::try_from(step).expect("small") + 100, step + 1);
    }
    moving.barrier(0);
    for step in 0..20 {
        assert_eq!(moving.publish(0, step), moving.expected(step, |slice| !is_even(slice)));
    }
    assert!(moving.meanwhile >= 5, "rows move meanwhile: {}", moving.meanwhile);
    let held = moving.held.iter().flatten().count();
    moving.rest();
    assert_eq!(moving.bench.machine.statistics().subscriptions, u64::try_from(held).expect("small"));

    moving.layout(&given_up);
    moving.barrier(0);
    moving.rest();
    let all_held = moving.bench.machine.statistics().subscriptions;
    assert_eq!(all_held, u64::try_from(held).expect("small"), "the other lane may still be about these slices");
    moving.barrier(1);
    assert!(moving.rest() > 3, "rows are removed in steps");
    let kept = moving.held.iter().flatten().filter(|(slice, _)| !is_even(slice.0)).count();
    assert_eq!(moving.bench.machine.statistics().subscriptions, u64::try_from(kept).expect("small"));
    assert_eq!(moving.publish(1, 7), moving.expected(7, |slice| !is_even(slice)));
}

#[test]
fn frames_name_the_slices_that_they_were_judged_by_and_nothing_before_the_barrier() {
    let none = roles(1, |_| Some(Role::Standby));
    let some = roles(2, |slice| Some(if slice == 3 { Role::Active } else { Role::Standby }));
    let mut moving = Moving::new(&none);
    moving.barrier(0);
    moving.tell(0, publication(1, 1));
    moving.rest();
    assert!(moving.bench.matches.is_empty(), "who judges nothing says nothing");
    moving.layout(&some);
    moving.tell(0, publication(2, 1));
    moving.barrier(0);
    moving.tell(0, publication(3, 1));
    moving.rest();
    let frames = moving.bench.matches.iter().map(|(_, frame)| (frame.from.0, frame.to.0, frame.slices.len()));
    assert_eq!(frames.collect::<Vec<_>>(), [(4, 5, 1)], "from the barrier on, for the slice that is judged");
    assert_eq!(SLICES, moving.layout.settings.matcher_slices);
}
