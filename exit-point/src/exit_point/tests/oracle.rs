//! Random interleavings of frames, overlaps, holes, losses of connections and acknowledgements, against a model that knows
//! nothing of the machine: one session, two lanes, two matchers. Every claim is about what the client saw in the end.

use std::collections::BTreeSet;

use gomera_cluster::credit::Total;
use gomera_cluster::message::connection_point::GapRange;
use gomera_cluster::message::exit_point::Attach;
use gomera_cluster::position::{Position, Vector};
use gomera_cluster::session::{SessionOptions, SlowPolicy};

use super::*;

/// A sequence of numbers that looks random (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }
}

const NUMBERS: u64 = 40;

/// What each slice finds at each position: handles. Slice `s` has the handles `10 * s + 1 ..= 10 * s + 2`.
struct World {
    found: BTreeMap<(Position, u16), Vec<u64>>,
}

impl World {
    fn new(random: &mut Random) -> Self {
        let mut found = BTreeMap::new();
        for lane in LANES {
            for (number, slice) in
                (1..=NUMBERS).flat_map(|number| (0..MATCHER_SLICES).map(move |slice| (number, slice)))
            {
                if random.one_in(3) {
                    let handles = (1..=random.between(1, 2)).map(|handle| u64::from(slice) * 10 + handle).collect();
                    found.insert((at(lane, number), slice), handles);
                }
            }
        }
        Self { found }
    }

    /// Every position with a match, and all its handles.
    fn expected(&self) -> BTreeMap<Position, Vec<u64>> {
        let mut expected = BTreeMap::<Position, Vec<u64>>::new();
        for (&(position, _), handles) in &self.found {
            expected.entry(position).or_default().extend(handles);
        }
        expected
    }

    fn frame(&self, client: &Client, lane: LaneId, slices: &[u16], (from, to): (u64, u64)) -> Matches {
        let mut found = Vec::new();
        for number in from + 1..=to {
            let handles = slices
                .iter()
                .filter_map(|&slice| self.found.get(&(at(lane, number), slice)))
                .flatten()
                .copied()
                .collect::<Vec<_>>();
            if !handles.is_empty() {
                found.push(matched(number, vec![target("s", client.generation(), &handles)]));
            }
        }
        frame(lane, slices, (from, to), found)
    }
}

/// Frames of both matchers that together cover all, in an order in which holes and repeats happen.
fn frames(world: &World, random: &mut Random, client: &Client) -> Vec<(Address, Matches)> {
    let mut streams = Vec::new();
    for lane in LANES {
        for (matcher, slices) in [(MATCHERS[0], [0, 2]), (MATCHERS[1], [1, 3])] {
            let (mut stream, mut from) = (Vec::new(), 0);
            while from < NUMBERS {
                let to = (from + random.between(1, 6)).min(NUMBERS);
                // Beginning below what is covered is an overlap with the frame before.
                let first = from - random.below(from.min(3) + 1);
                stream.push((matcher, world.frame(client, lane, &slices, (first, to))));
                if random.one_in(4) {
                    let slices = &[0, 1, 2, 3][..usize::try_from(random.between(1, 4)).expect("small")];
                    let last = random.between(1, NUMBERS);
                    let replay = world.frame(client, lane, slices, (random.below(last), last));
                    stream.push((MATCHERS[usize::try_from(random.below(2)).expect("small")], replay));
                }
                from = to;
            }
            for index in 1..stream.len() {
                if random.one_in(4) {
                    stream.swap(index - 1, index);
                }
            }
            stream.reverse();
            streams.push(stream);
        }
    }
    let mut mixed = Vec::new();
    while !streams.is_empty() {
        let pick = usize::try_from(random.below(u64::try_from(streams.len()).expect("small"))).expect("small");
        match streams[pick].pop() {
            Some(frame) => mixed.push(frame),
            None => drop(streams.swap_remove(pick)),
        }
    }
    mixed
}

/// How clients come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// Always with their vector.
    Vector,
    /// As it happens.
    Mixed,
}

/// What the application saw over all attachments.
#[derive(Default)]
struct Seen {
    handles: BTreeMap<Position, Vec<u64>>,
    gaps: Vec<GapRange>,
    repeats: u64,
    flagged: u64,
}

impl Seen {
    fn take(&mut self, client: &mut Client, habit: Habit) {
        let last = |client: &Client| {
            let mut last = BTreeMap::new();
            for got in &client.got {
                let before = last.insert(got.position.lane, got.position.number);
                assert!(before < Some(got.position.number), "a lane's numbers rise on an attachment");
            }
        };
        last(client);
        for got in client.got.drain(..) {
            self.flagged += u64::from(got.redelivered);
            if let Some(before) = self.handles.insert(got.position, got.handles.clone()) {
                assert_eq!(before, got.handles, "a repeat is the same");
                assert!(got.redelivered, "a repeat is flagged: {:?}", got.position);
                assert_eq!(habit, Habit::Mixed, "who resumes with its vector sees no repeat");
                self.repeats += 1;
            }
        }
        self.gaps.extend(client.gaps.drain(..).flat_map(|gap| gap.ranges));
    }

    fn in_gap(&self, position: Position) -> bool {
        self.gaps
            .iter()
            .any(|gap| gap.lane == position.lane && gap.first <= position.number && position.number <= gap.last)
    }
}

/// Plays one seed. Returns what was seen and what should have been.
fn play(seed: u64, habit: Habit, options: &SessionOptions) -> (Seen, BTreeMap<Position, Vec<u64>>, Rig) {
    let mut random = Random(seed);
    let mut rig = Rig::new(Config { matches_window_bytes: 1, ..Config::default() });
    let mut credit = random.between(0, 3 * cost());
    let attach = Attach { options: options.clone(), credit: Total(credit), ..rig.attach_message("s") };
    let mut client = rig.attach_as(attach);
    let world = World::new(&mut random);
    let mut seen = Seen::default();
    let mut attached = true;
    for (matcher, matches) in frames(&world, &mut random, &client) {
        rig.tell(matcher, ToExitPoint::Matches(matches));
        rig.wait(Duration::from_millis(random.below(20)));
        if attached && random.one_in(2) {
            client.read(&rig);
            seen.take(&mut client, habit);
        }
        if attached && random.one_in(3) {
            credit += random.below(4 * cost());
            rig.grant(&client, credit);
        }
        if attached && random.one_in(4) {
            rig.acknowledge(&client, &client.vector.clone());
        }
        let over = rig.ended().iter().any(|ended| ended.generation == client.generation());
        if attached && (over || random.one_in(8)) {
            // What it has not read is lost with the connection.
            rig.detach(&client);
            attached = false;
        } else if !attached && random.one_in(3) {
            let resume = (habit == Habit::Vector || random.one_in(2)).then(|| client.vector.clone());
            credit = random.below(4 * cost());
            let attach = Attach { options: options.clone(), credit: Total(credit), resume, ..rig.attach_message("s") };
            client = rig.attach_as(attach);
            attached = true;
        }
    }
    // In the end somebody reads everything; twice, since merging that waited may have cost the first attachment.
    for _ in 0..2 {
        let resume = Some(client.vector.clone());
        let attach = Attach { options: options.clone(), resume, ..rig.attach_message("s") };
        client = rig.attach_as(attach);
        rig.wait(Duration::from_secs(5));
        client.read(&rig);
        seen.take(&mut client, habit);
    }
    let all = LANES.map(|lane| at(lane, NUMBERS)).into_iter().collect::<Vector>();
    let merged = LANES.map(|lane| at(lane, rig.exit.merger.merged().get(lane).0)).into_iter().collect::<Vector>();
    assert_eq!(merged, all, "seed {seed}: everything is merged");
    rig.acknowledge(&client, &all);
    assert_eq!(rig.exit.statistics().outbox_bytes, 0, "seed {seed}: everything is acknowledged");
    (seen, world.expected(), rig)
}

#[test]
fn who_resumes_with_its_vector_gets_everything_exactly_once() {
    let mut held = 0;
    for seed in 0..400 {
        let (seen, expected, rig) = play(seed, Habit::Vector, &SessionOptions::default());
        assert_eq!(seen.handles, expected, "seed {seed}");
        assert_eq!(seen.flagged, 0, "seed {seed}: nothing may have been delivered before");
        held += rig.exit.statistics().frames_covered;
    }
    assert!(held > 100, "repeats happened: {held}");
}

#[test]
fn who_resumes_without_gets_everything_and_repeats_are_flagged() {
    let mut repeats = 0;
    for seed in 1000..1400 {
        let (seen, expected, _) = play(seed, Habit::Mixed, &SessionOptions::default());
        assert_eq!(seen.handles, expected, "seed {seed}");
        repeats += seen.repeats;
    }
    assert!(repeats > 1000, "repeats happened: {repeats}");
}

#[test]
fn whatever_is_missing_at_a_limit_lies_in_a_gap_that_was_told() {
    let wait_max = Duration::from_millis(50);
    for slow in [SlowPolicy::DropOldest, SlowPolicy::Disconnect, SlowPolicy::Block { wait_max }] {
        let options = SessionOptions { outbox_notifications_max: 5, slow, ..SessionOptions::default() };
        let (mut missing, mut holds) = (0, 0);
        for seed in 2000..2300 {
            let (seen, expected, rig) = play(seed, Habit::Vector, &options);
            let lost = expected.keys().filter(|position| !seen.handles.contains_key(position)).collect::<Vec<_>>();
            for position in &lost {
                assert!(seen.in_gap(**position), "{slow:?}, seed {seed}: {position:?} is missing, was not told");
            }
            let strangers = seen.handles.keys().filter(|position| !expected.contains_key(position));
            assert_eq!(strangers.collect::<BTreeSet<_>>(), BTreeSet::new(), "seed {seed}");
            missing += lost.len();
            holds += rig.exit.statistics().holds;
        }
        assert!(missing > 1000, "{slow:?}: limits were met: {missing}");
        assert_eq!(holds > 100, slow == (SlowPolicy::Block { wait_max }), "{slow:?}: {holds} holds");
    }
}

#[test]
fn the_same_seed_twice_asks_for_the_same() {
    let transcript = |seed| format!("{:?}", play(seed, Habit::Mixed, &SessionOptions::default()).2.sent);
    assert_eq!(transcript(7), transcript(7));
    assert_ne!(transcript(7), transcript(8));
}
