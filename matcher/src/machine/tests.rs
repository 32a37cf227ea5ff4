//! Claims about the machine as its neighbours see it.

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::credit::{Class, Total};
use gomera_cluster::message::Message;
use gomera_cluster::message::access_point::{Expire, ToAccessPoint};
use gomera_cluster::message::exit_point::{Mark, Matches, ToExitPoint};
use gomera_cluster::message::matcher::{Entries, Entry, MatchesCredit};
use gomera_cluster::operation::{Operation, Outcome};
use gomera_cluster::position::{LaneId, Number};
use gomera_cluster::publication::{AttributeBlock, Envelope};
use gomera_model::value::Value;

use super::*;
use crate::fixture::{MATCHER, WRITER, address, envelope, layout, put, version};

struct Bench {
    machine: Matcher,
    next: u64,
    matches: Vec<(Address, Matches)>,
    progress: Vec<(u64, Vec<(Number, Outcome)>)>,
    grants: usize,
    expired: Vec<Expire>,
}

impl Bench {
    fn new(config: Config, exits: u16) -> Self {
        let mut machine = Matcher::new(MATCHER, config);
        machine.handle(Instant::ZERO, NodeEvent::Layout(layout(1, 1, exits)));
        let mut bench =
            Self { machine, next: 0, matches: Vec::new(), progress: Vec::new(), grants: 0, expired: Vec::new() };
        bench.drain();
        bench
    }

    fn tell(&mut self, from: Address, epoch: u64, message: ToMatcher) {
        let received = Received { from, epoch: Epoch(epoch), message };
        self.machine.handle(Instant::ZERO, NodeEvent::Received(received));
    }

    fn entries(&mut self, entries: Vec<Entry>) {
        let from = Number(self.next);
        let entries = entries
            .into_iter()
            .map(|entry| {
                self.next += 1;
                (Number(self.next), entry)
            })
            .collect();
        let run = Entries { lane: LaneId(1), class: Class::Live, from, to: Number(self.next), entries, merged: None };
        self.tell(WRITER, 1, ToMatcher::Entries(run));
    }

    fn grant(&mut self, shard: u16, total: u64) {
        let credit = MatchesCredit { lane: LaneId(1), class: Class::Live, total: Total(total) };
        self.tell(address(4, shard), 1, ToMatcher::MatchesCredit(credit));
    }

    fn drain(&mut self) {
        let mut actions = Vec::new();
        self.machine.drain_actions(&mut actions);
        for Send { to, message } in actions {
            match message {
                Message::ExitPoint(ToExitPoint::Matches(matches)) => self.matches.push((to, matches)),
                Message::AccessPoint(ToAccessPoint::Progress(told)) => {
                    assert_eq!(to, WRITER);
                    self.progress.push((told.through.0, told.outcomes));
                }
                Message::AccessPoint(ToAccessPoint::EntriesCredit(credit)) => {
                    self.grants += usize::from(credit.class == Class::Live);
                }
                Message::AccessPoint(ToAccessPoint::Expire(expire)) => self.expired.push(expire),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn publication(sequence: u64, a: i64) -> Entry {
    Entry::Publication(envelope(sequence, 0, &[("a", Value::from(a))]))
}

fn operation(operation: Operation) -> Entry {
    Entry::Operation(Arc::new(operation))
}

#[test]
fn publications_before_an_operation_see_the_old_state_and_those_after_it_the_new() {
    let mut bench = Bench::new(Config::default(), 1);
    bench.grant(0, 1 << 20);
    bench.entries(vec![
        Entry::Barrier(layout(1, 1, 1)),
        publication(1, 1),
        operation(put("s", "x", version(1, 1), 7, "a = 1")),
        publication(2, 1),
        operation(put("s", "x", version(1, 2), 8, "a = 2")),
        publication(3, 1),
        publication(4, 2),
    ]);
    bench.drain();
    assert_eq!(bench.matches.len(), 1);
    let (to, matches) = &bench.matches[0];
    assert_eq!((*to, matches.from, matches.to), (address(4, 0), Number(0), Number(7)));
    assert_eq!(*matches.slices, (0..8).map(gomera_cluster::layout::MatcherSlice).collect::<SliceSet>());
    assert_eq!(matches.marks, [(Number(1), Mark::Barrier(Epoch(1)))]);
    assert_eq!(matches.matched.iter().map(|matched| matched.number.0).collect::<Vec<_>>(), [4, 7]);
    let (through, outcomes) = &bench.progress[0];
    assert_eq!((*through, outcomes.len()), (7, 2));
    let Outcome::Applied { handle: Some(handle), in_force_after } = &outcomes[1].1 else { panic!("{outcomes:?}") };
    assert_eq!((handle.0, in_force_after.get(LaneId(1))), (7, Number(5)));
}

#[test]
fn every_exit_point_hears_of_every_range_and_only_of_its_own_sessions() {
    let mut bench = Bench::new(Config::default(), 2);
    for shard in 0..2 {
        bench.grant(shard, 1 << 20);
    }
    let names = (0..20).map(|index| format!("s{index}")).collect::<Vec<_>>();
    let mut entries = names.iter().map(|name| operation(put(name, "x", version(1, 1), 1, "TRUE"))).collect::<Vec<_>>();
    entries.push(publication(1, 1));
    bench.entries(entries);
    bench.drain();
    assert_eq!(
        bench.matches.iter().map(|(to, frame)| (to.shard.0, frame.to.0)).collect::<Vec<_>>(),
        [(0, 21), (1, 21)]
    );
    let layout = layout(1, 1, 2);
    let mut told = 0;
    for (to, frame) in &bench.matches {
        let targets = &frame.matched[0].targets;
        assert!(targets.is_sorted_by_key(|target| target.session));
        for target in targets {
            let slice = layout.slice_of_session(target.session);
            assert_eq!(layout.session_placement(slice).active(), Some(*to));
        }
        told += targets.len();
    }
    assert_eq!(told, 20);
}

#[test]
fn a_long_run_is_worked_off_in_steps_that_ask_to_be_called_at_once() {
    let mut bench = Bench::new(Config { step_entries_max: 10, ..Config::default() }, 1);
    bench.entries((1..=25).map(|sequence| publication(sequence, 1)).collect());
    for through in [10, 20, 25] {
        bench.drain();
        assert_eq!(bench.progress.last().map(|(through, _)| *through), Some(through));
        if through < 25 {
            assert_eq!(bench.machine.poll_timeout(), Some(Instant::ZERO));
            bench.machine.handle_timeout(Instant::ZERO);
        }
    }
    assert_eq!(bench.machine.poll_timeout(), None);
    assert_eq!(bench.machine.statistics().publications, 25);
}

#[test]
fn with_every_window_at_one_everything_still_goes_through() {
    let config = Config { lane_window_bytes: 1, output_bytes_max: 1, frame_bytes_max: 1, ..Config::default() };
    let mut bench = Bench::new(config, 1);
    bench.entries(vec![operation(put("s", "x", version(1, 1), 1, "TRUE"))]);
    let (mut granted, mut seen) = (1, 0);
    for sequence in 1..=20 {
        bench.entries(vec![publication(sequence, 1)]);
        for _ in 0..4 {
            bench.grant(0, granted);
            bench.drain();
            bench.machine.handle_timeout(Instant::ZERO);
            bench.drain();
            granted = 1 + bench.matches.iter().map(|(_, frame)| frame.cost()).sum::<u64>();
        }
        seen = bench.matches.iter().map(|(_, frame)| frame.matched.len()).sum();
    }
    assert_eq!(seen, 20);
    assert_eq!(bench.progress.last().map(|(through, _)| *through), Some(21));
    assert_eq!(bench.grants, 1 + 21, "one at first, one for each run");
}

#[test]
fn entries_of_a_later_epoch_wait_for_their_layout_and_strangers_are_refused() {
    let mut bench = Bench::new(Config::default(), 1);
    let run = |from, to| {
        let (from, to) = (Number(from), Number(to));
        Entries { lane: LaneId(1), class: Class::Live, from, to, entries: vec![], merged: None }
    };
    bench.tell(WRITER, 2, ToMatcher::Entries(run(0, 3)));
    bench.tell(address(9, 0), 1, ToMatcher::Entries(run(0, 3)));
    bench.tell(address(1, 0), 1, ToMatcher::Entries(run(0, 3)));
    bench.drain();
    assert!(bench.progress.is_empty());
    assert_eq!((bench.machine.statistics().held, bench.machine.statistics().misdirected), (1, 2));
    bench.machine.handle(Instant::ZERO, NodeEvent::Layout(layout(2, 1, 1)));
    bench.drain();
    assert_eq!(bench.progress.iter().map(|(through, _)| *through).collect::<Vec<_>>(), [3]);
    assert_eq!(bench.machine.epoch(), Epoch(2));
}

#[test]
fn the_removal_of_what_expired_is_sequenced_by_who_judges_it() {
    use gomera_cluster::operation::SubscriptionOptions;
    use gomera_model::timestamp::Timestamp;

    let mut bench = Bench::new(Config { expiry_slack: Duration::from_secs(1), ..Config::default() }, 1);
    let options = SubscriptionOptions { paused: false, expires_at: Some(Timestamp(5_000_000)) };
    bench.entries(vec![operation(crate::fixture::put_with("s", "x", version(1, 1), 1, "TRUE", options))]);
    assert_eq!(bench.machine.poll_timeout(), None, "without a clock there is no time");
    let clock = WallClock { at: Instant::ZERO, showed: Timestamp(1_000_000) };
    bench.machine.handle(Instant::ZERO, NodeEvent::Clock(clock));
    let due = bench.machine.poll_timeout().expect("an expiry is ahead");
    assert_eq!(due, Instant::from_start(Duration::from_micros(5_000_001)));
    bench.machine.handle_timeout(due);
    bench.drain();
    let [expire] = bench.expired.as_slice() else { panic!("{:?}", bench.expired) };
    assert_eq!((expire.lane, expire.version), (LaneId(1), version(1, 1)));
    assert_eq!(bench.machine.statistics().subscriptions, 1, "it is removed where the lane says so");
    // Asked once of a lane, however often it is looked at.
    let again = bench.machine.poll_timeout().expect("it is looked at again");
    bench.machine.handle_timeout(again);
    bench.drain();
    assert_eq!(bench.expired.len(), 1);
    let change = gomera_cluster::operation::Change::Expire(crate::fixture::key("s", "x"));
    bench.entries(vec![operation(crate::fixture::operation("s", version(1, 1), change))]);
    bench.drain();
    assert_eq!((bench.machine.statistics().subscriptions, bench.machine.statistics().expired), (0, 1));
    assert_eq!(bench.machine.poll_timeout(), None);
}

#[test]
#[should_panic(expected = "the driver of a matcher decodes attributes")]
fn an_encoded_publication_is_the_drivers_mistake() {
    let mut bench = Bench::new(Config::default(), 1);
    let decoded = envelope(1, 0, &[]);
    let encoded = Envelope { attributes: AttributeBlock::Encoded, ..(*decoded).clone() };
    bench.entries(vec![Entry::Publication(Arc::new(encoded))]);
}

#[test]
fn a_step_ends_early_when_publications_satisfy_many_whatever_came_before() {
    // Publications that cost little, so that many are judged together when those come that satisfy many.
    for light in [0, 63] {
        let mut bench = Bench::new(Config::default(), 1);
        bench.grant(0, 1 << 30);
        let puts = (0..1000).map(|id| operation(put("s", &format!("x{id}"), version(1, id + 1), id + 1, "a = 1")));
        bench.entries(puts.collect());
        bench.entries((1..=light).map(|sequence| publication(sequence, 2)).collect());
        while bench.machine.poll_timeout() == Some(Instant::ZERO) {
            bench.machine.handle_timeout(Instant::ZERO);
        }
        let before = bench.machine.statistics().publications;
        bench.entries((1..=40).map(|sequence| publication(light + sequence, 1)).collect());
        assert!(bench.machine.statistics().publications - before < 10, "one step of forty thousand matches");
        let mut steps = 1;
        while bench.machine.poll_timeout() == Some(Instant::ZERO) {
            bench.machine.handle_timeout(Instant::ZERO);
            bench.drain();
            steps += 1;
        }
        assert_eq!(bench.machine.statistics().publications - before, 40);
        assert!(steps >= 5, "{steps}");
    }
}

#[test]
fn a_filter_beyond_the_limits_is_answered_and_what_is_held_is_told_as_figures() {
    let cost_max = Duration::from_micros(120);
    let mut bench = Bench::new(Config { filter_cost_per_tenant_max: cost_max, ..Config::default() }, 1);
    bench.grant(0, 1 << 20);
    let costly = |number: u64| {
        operation(put("s", &format!("x{number}"), version(1, number), number, &format!("MATCHES(note, 'a+{number}')")))
    };
    bench.entries(vec![costly(1), costly(2)]);
    bench.drain();
    let held = *bench.machine.statistics();
    assert_eq!(held.subscriptions, 2);
    assert!(held.filter_cost_nanoseconds > 60_000 && held.filter_cost_nanoseconds <= 120_000, "{held:?}");
    assert!(held.index_bytes > 1_000 && held.subscription_bytes > 1_000, "{held:?}");
    bench.entries(vec![costly(3), operation(put("s", "plain", version(1, 4), 4, "a = 1")), publication(1, 1)]);
    bench.drain();
    let (_, outcomes) = bench.progress.last().expect("answers");
    let [(_, Outcome::LimitExceeded(excess)), (_, Outcome::Applied { .. })] = outcomes.as_slice() else {
        panic!("{outcomes:?}")
    };
    assert_eq!((excess.limit, excess.used), (120_000, held.filter_cost_nanoseconds));
    assert!(excess.asked > 50_000, "{excess:?}");
    assert_eq!(bench.machine.statistics().matches, 1);
    let remove = |number: u64| {
        let key = crate::fixture::key("s", &format!("x{number}"));
        let change = gomera_cluster::operation::Change::Remove(key);
        operation(crate::fixture::operation("s", version(1, 10 + number), change))
    };
    bench.entries(vec![remove(1), remove(2)]);
    bench.drain();
    let left = bench.machine.statistics();
    assert!(left.filter_cost_nanoseconds < 10 && left.subscription_bytes < held.subscription_bytes / 2, "{left:?}");
}

mod adapting;
mod ends;
mod joining;
mod kept;
mod moves;
