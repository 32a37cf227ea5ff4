//! Claims about the end of a lane whose writer and another matcher die together.

use gomera_cluster::layout::{LaneEnd, Replica, Role};
use gomera_cluster::message::exit_point::{LaneCut, Reach};
use gomera_cluster::message::matcher::LaneDone;

use super::*;

const OTHER: Address = address(3, 1);
const EXIT: Address = address(4, 0);

/// Both matchers have everything; [`OTHER`] judges by all slices but the first.
fn shared() -> Arc<Layout> {
    let mut layout = (*layout(1, 2, 1)).clone();
    let roles = |ours, others| vec![Replica { holder: MATCHER, role: ours }, Replica { holder: OTHER, role: others }];
    for placement in &mut layout.matcher {
        placement.replicas = roles(Role::Standby, Role::Active);
    }
    layout.matcher[0].replicas = roles(Role::Active, Role::Standby);
    Arc::new(layout)
}

/// The writer is gone.
fn fenced(mut layout: Layout) -> Arc<Layout> {
    layout.members.remove(&WRITER.node);
    layout.lanes.clear();
    layout.ended.insert(LaneId(1), (LaneEnd::Fenced, Epoch(2)));
    Arc::new(layout)
}

/// The writer is gone, and [`OTHER`] as well.
fn bereaved(epoch: u64) -> Arc<Layout> {
    fenced((*layout(epoch, 1, 1)).clone())
}

#[derive(Debug)]
struct Told {
    matches: Vec<Matches>,
    cuts: Vec<LaneCut>,
}

fn drain(machine: &mut Matcher) -> Told {
    let (mut actions, mut told) = (Vec::new(), Told { matches: Vec::new(), cuts: Vec::new() });
    machine.drain_actions(&mut actions);
    for Send { to, message } in actions {
        match message {
            Message::ExitPoint(ToExitPoint::Matches(matches)) => told.matches.push(matches),
            Message::ExitPoint(ToExitPoint::LaneCut(cut)) => {
                assert_eq!(to, EXIT);
                told.cuts.push(cut);
            }
            _ => {}
        }
    }
    told
}

fn grant(machine: &mut Matcher, epoch: u64, class: Class) {
    let credit = MatchesCredit { lane: LaneId(1), class, total: Total(1 << 20) };
    let message = ToMatcher::MatchesCredit(credit);
    machine.handle(Instant::ZERO, NodeEvent::Received(Received { from: EXIT, epoch: Epoch(epoch), message }));
}

/// Five entries come, of which one is an operation on a slice of the other matcher, and `merged` are merged by all. Gives what is told.
fn begun(merged: Option<u64>) -> (Matcher, Vec<Matches>) {
    begun_with(merged, Config::default())
}

fn begun_with(merged: Option<u64>, config: Config) -> (Matcher, Vec<Matches>) {
    let layout = shared();
    let id = (0..)
        .map(|index| format!("x{index}"))
        .find(|id| layout.slice_of_subscription(crate::fixture::key("s", id)) != MatcherSlice(0));
    let put = operation(put("s", &id.expect("an id of another slice"), version(1, 1), 7, "a = 1"));
    let entries = [Entry::Barrier(layout.clone()), put, publication(1, 1), publication(2, 1), publication(3, 2)];
    let entries = (1..).map(Number).zip(entries).collect();
    let (from, to, merged) = (Number(0), Number(5), merged.map(Number));
    let run = Entries { lane: LaneId(1), class: Class::Live, from, to, entries, merged };
    let mut machine = Matcher::new(MATCHER, config);
    machine.handle(Instant::ZERO, NodeEvent::Layout(layout));
    grant(&mut machine, 1, Class::Live);
    let received = Received { from: WRITER, epoch: Epoch(1), message: ToMatcher::Entries(run) };
    machine.handle(Instant::ZERO, NodeEvent::Received(received));
    let live = drain(&mut machine).matches;
    (machine, live)
}

/// Then both die. Gives what is told before and afterwards.
fn ended(merged: Option<u64>) -> (Matcher, Vec<Matches>, Told) {
    let (mut machine, live) = begun(merged);
    machine.handle(Instant::ZERO, NodeEvent::Layout(bereaved(2)));
    grant(&mut machine, 2, Class::Replay);
    let told = drain(&mut machine);
    (machine, live, told)
}

#[test]
fn who_takes_over_judges_the_end_of_the_lane_by_the_slices_of_who_died_with_its_writer() {
    let (machine, live, told) = ended(Some(3));
    assert!(live.iter().all(|frame| frame.matched.is_empty() && frame.slices.iter().count() == 1));
    let [LaneCut { lane: LaneId(1), reach }] = told.cuts.as_slice() else { panic!("{:?}", told.cuts) };
    let [Reach { slices, from: Number(3), to: Number(5) }] = reach.as_slice() else { panic!("{reach:?}") };
    assert_eq!(**slices, (1..8).map(MatcherSlice).collect::<SliceSet>());
    let [frame] = told.matches.as_slice() else { panic!("{:?}", told.matches) };
    assert_eq!((frame.class, frame.from, frame.to), (Class::Replay, Number(3), Number(5)));
    assert_eq!(frame.slices, *slices);
    let satisfied = frame.matched.iter().map(|matched| (matched.number.0, matched.targets.len())).collect::<Vec<_>>();
    assert_eq!(
        satisfied,
        [(4, 1), (5, 0)],
        "what satisfies nothing is told as well: its second copy has to be known as one"
    );
    let statistics = machine.statistics();
    assert_eq!((statistics.ends_judged, statistics.replayed), (7, 2));
}

#[test]
fn nothing_is_judged_of_a_lane_whose_writer_does_not_say_what_is_merged() {
    let (machine, _, told) = ended(None);
    assert!(told.cuts.iter().all(|cut| cut.reach.is_empty()), "{:?}", told.cuts);
    assert!(told.matches.is_empty());
    assert_eq!((machine.statistics().ends_judged, machine.statistics().replayed), (0, 0));
}

/// An exit point has merged the lane to its cut.
fn done(machine: &mut Matcher, epoch: u64) {
    let message = ToMatcher::LaneDone(LaneDone { lane: LaneId(1) });
    machine.handle(Instant::ZERO, NodeEvent::Received(Received { from: EXIT, epoch: Epoch(epoch), message }));
}

#[test]
fn what_is_kept_of_a_fenced_lane_is_judged_for_who_dies_by_a_later_layout_and_goes_when_all_have_merged_it() {
    let (mut machine, _) = begun(Some(3));
    machine.handle(Instant::ZERO, NodeEvent::Layout(fenced(Layout { epoch: Epoch(2), ..(*shared()).clone() })));
    let told = drain(&mut machine);
    assert!(
        matches!(told.cuts.as_slice(), [cut] if cut.reach.is_empty()),
        "all is said, and nobody has died: {told:?}"
    );
    machine.handle(Instant::ZERO, NodeEvent::Layout(bereaved(3)));
    grant(&mut machine, 3, Class::Replay);
    let told = drain(&mut machine);
    let [LaneCut { lane: LaneId(1), reach }] = told.cuts.as_slice() else { panic!("{:?}", told.cuts) };
    let [Reach { slices, from: Number(3), to: Number(5) }] = reach.as_slice() else { panic!("{reach:?}") };
    assert_eq!(**slices, (1..8).map(MatcherSlice).collect::<SliceSet>());
    assert_eq!(told.matches.iter().map(|frame| (frame.from, frame.to)).collect::<Vec<_>>(), [(Number(3), Number(5))]);
    machine.handle(Instant::ZERO, NodeEvent::Layout(bereaved(4)));
    let told = drain(&mut machine);
    assert!(matches!(told.cuts.as_slice(), [cut] if cut.reach.is_empty()), "nothing is judged twice: {told:?}");
    assert!(machine.statistics().retained_bytes > 0);
    done(&mut machine, 4);
    assert_eq!(drain(&mut machine).cuts.len(), 0);
    assert_eq!((machine.statistics().ends_judged, machine.statistics().retained_bytes), (7, 0));
}

#[test]
fn nothing_is_judged_of_a_fenced_lane_that_all_have_merged_when_somebody_dies() {
    let (mut machine, _) = begun(Some(3));
    machine.handle(Instant::ZERO, NodeEvent::Layout(fenced(Layout { epoch: Epoch(2), ..(*shared()).clone() })));
    drain(&mut machine);
    done(&mut machine, 2);
    machine.handle(Instant::ZERO, NodeEvent::Layout(bereaved(3)));
    assert!(drain(&mut machine).cuts.is_empty());
    assert_eq!(machine.statistics().ends_judged, 0);
}

#[test]
fn who_never_knew_a_fenced_lane_says_so_by_each_layout_until_all_have_merged_it() {
    let mut machine = Matcher::new(MATCHER, Config::default());
    machine.handle(Instant::ZERO, NodeEvent::Layout(fenced(Layout { epoch: Epoch(2), ..(*shared()).clone() })));
    assert_eq!(drain(&mut machine).cuts.len(), 1);
    machine.handle(Instant::ZERO, NodeEvent::Layout(bereaved(3)));
    assert_eq!(drain(&mut machine).cuts.len(), 1);
    done(&mut machine, 3);
    machine.handle(Instant::ZERO, NodeEvent::Layout(bereaved(4)));
    assert_eq!(drain(&mut machine).cuts.len(), 0);
}

fn tails_told(machine: &mut Matcher) -> usize {
    let mut actions = Vec::new();
    machine.drain_actions(&mut actions);
    let is_tail = |send: &&Send| send.to == OTHER && matches!(send.message, Message::Matcher(ToMatcher::LaneTail(_)));
    actions.iter().filter(is_tail).count()
}

#[test]
fn who_never_knew_a_fenced_lane_tells_its_tail_though_exit_points_were_done_before_it_began() {
    let mut machine = Matcher::new(MATCHER, Config::default());
    // Held until the layout is here.
    done(&mut machine, 2);
    machine.handle(Instant::ZERO, NodeEvent::Layout(fenced(Layout { epoch: Epoch(2), ..(*shared()).clone() })));
    assert_eq!(tails_told(&mut machine), 1, "others wait for it");
    assert_eq!(tails_told(&mut machine), 0);
}

/// As [`bereaved`], and the same layout brings another exit point, to which the fenced lane is none of its business.
fn bereaved_with_newcomer(epoch: u64) -> Arc<Layout> {
    let mut layout = (*bereaved(epoch)).clone();
    let member = layout.members[&EXIT.node].clone();
    layout.members.insert(address(5, 0).node, member);
    Arc::new(layout)
}

#[test]
fn an_exit_point_that_comes_later_does_not_hold_a_fenced_lane_for_ever() {
    let (mut machine, _) = begun(Some(3));
    machine.handle(Instant::ZERO, NodeEvent::Layout(fenced(Layout { epoch: Epoch(2), ..(*shared()).clone() })));
    drain(&mut machine);
    machine.handle(Instant::ZERO, NodeEvent::Layout(bereaved_with_newcomer(3)));
    grant(&mut machine, 3, Class::Replay);
    drain(&mut machine);
    done(&mut machine, 3);
    drain(&mut machine);
    assert_eq!(machine.report().acted, Epoch(3), "all who were told want nothing more");
}

#[test]
fn an_exit_point_that_comes_does_not_stop_what_is_judged_once_more() {
    for newcomer in [false, true] {
        let (mut machine, _) = begun_with(Some(0), Config { output_bytes_max: 150, ..Config::default() });
        machine.handle(Instant::ZERO, NodeEvent::Layout(fenced(Layout { epoch: Epoch(2), ..(*shared()).clone() })));
        drain(&mut machine);
        let layout = if newcomer { bereaved_with_newcomer(3) } else { bereaved(3) };
        machine.handle(Instant::ZERO, NodeEvent::Layout(layout));
        grant(&mut machine, 3, Class::Replay);
        let mut through = 0;
        for _ in 0..20 {
            grant(&mut machine, 3, Class::Replay);
            through = drain(&mut machine).matches.iter().map(|frame| frame.to.0).max().unwrap_or(0).max(through);
        }
        assert_eq!(through, 5, "with a newcomer: {newcomer}");
    }
}
