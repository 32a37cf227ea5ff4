//! Claims about what is kept of a lane, and who judges its end by it.

use gomera_cluster::address::Address;
use gomera_cluster::layout::{Replica, Role};

use super::*;
use crate::fixture::{MATCHER, address, envelope, layout, put, version};

const LANE: LaneId = LaneId(1);
/// The other matcher, which dies.
const OTHER: Address = address(3, 1);

/// Both matchers, of which one judges by each slice: this one by those listed. The other one stands by.
fn shared(epoch: u64, ours: &[u16]) -> Arc<Layout> {
    let mut layout = (*layout(epoch, 2, 1)).clone();
    for (slice, placement) in (0..).zip(&mut layout.matcher) {
        let (active, standby) = if ours.contains(&slice) { (MATCHER, OTHER) } else { (OTHER, MATCHER) };
        let replica = |(holder, role)| Replica { holder, role };
        placement.replicas = [(active, Role::Active), (standby, Role::Standby)].map(replica).into();
    }
    Arc::new(layout)
}

/// This matcher alone. Slices were lost by the layouts that stand beside them.
fn alone(epoch: u64, lost: &[(usize, u64)]) -> Ownership {
    let mut layout = (*layout(epoch, 1, 1)).clone();
    lost.iter().for_each(|&(slice, by)| layout.matcher[slice].lost = Epoch(by));
    Ownership::new(Arc::new(layout), MATCHER)
}

fn publication(number: u64) -> (Number, Entry) {
    (Number(number), Entry::Publication(envelope(number, 0, &[])))
}

fn barrier(number: u64, layout: &Arc<Layout>) -> (Number, Entry) {
    (Number(number), Entry::Barrier(layout.clone()))
}

fn keep(retained: &mut Retained, entries: impl IntoIterator<Item = (Number, Entry)>) {
    entries.into_iter().for_each(|(number, entry)| retained.keep(number, &entry));
}

/// A lane that begins with a layout by which each matcher judges by half, and of which nothing is merged.
fn begun(ours: &[u16]) -> Retained {
    let layout = shared(1, ours);
    let mut retained = Retained::new(LANE, &layout);
    retained.let_go(Some(Number(0)));
    keep(&mut retained, [barrier(1, &layout)]);
    retained
}

/// What is to be judged: by which slices, from where to where, which entries.
fn left(
    retained: &Retained,
    latest: &Ownership,
    queued: &[(Number, Entry)],
    received: u64,
) -> Vec<(Vec<u16>, [u64; 2], Vec<u64>)> {
    let runs = retained.left_unsaid(latest, Epoch(5), |_| true, queued.iter(), Number(received));
    let told = |run: Replay| {
        let slices = run.slices.iter().map(|slice| slice.0).collect();
        (slices, [run.from.0, run.to.0], run.entries.iter().map(|(number, _)| number.0).collect())
    };
    runs.into_iter().map(told).collect()
}

#[test]
fn what_is_beyond_what_all_have_merged_is_judged_by_the_slices_of_who_is_dead_with_what_is_queued() {
    let mut retained = begun(&[0, 1, 2, 3]);
    keep(&mut retained, (2..=6).map(publication));
    let operation = Entry::Operation(Arc::new(put("s", "x", version(1, 1), 1, "a = 1")));
    keep(&mut retained, [(Number(7), operation.clone())]);
    retained.let_go(Some(Number(4)));
    let queued = [publication(8), (Number(9), operation), (Number(10), Entry::Close)];
    let expected = vec![(vec![4, 5, 6, 7], [4, 12], vec![5, 6, 8, 10])];
    assert_eq!(left(&retained, &alone(5, &[]), &queued, 12), expected);
    let nobody_died = Ownership::new(shared(5, &[0, 1, 2, 3]), MATCHER);
    assert!(left(&retained, &nobody_died, &queued, 12).is_empty());
    retained.let_go(Some(Number(12)));
    assert_eq!((left(&retained, &alone(5, &[]), &[], 12), retained.bytes()), (vec![], 0));
}

#[test]
fn a_slice_is_judged_up_to_where_another_one_judged_by_it() {
    let mut retained = begun(&[0, 1, 2, 3]);
    keep(&mut retained, (2..=3).map(publication));
    let (second, third) = (shared(2, &[0, 1, 2, 3, 4, 5]), shared(3, &[1, 2, 3, 4, 5]));
    let later = [barrier(4, &second), publication(5), barrier(6, &third), publication(7)];
    keep(&mut retained, later);
    let expected = vec![(vec![4, 5], [0, 4], vec![1, 2, 3, 4]), (vec![0, 6, 7], [0, 7], (1..=7).collect())];
    assert_eq!(left(&retained, &alone(5, &[]), &[], 7), expected);
    // Once that is merged which the other one judged by a slice, nothing of it is left.
    retained.let_go(Some(Number(4)));
    let expected = vec![(vec![0, 6, 7], [4, 7], vec![5, 6, 7])];
    assert_eq!(left(&retained, &alone(5, &[]), &[], 7), expected);
}

#[test]
fn a_slice_that_was_lost_covers_publications_that_came_before_and_judges_none_of_them() {
    let mut retained = begun(&[]);
    keep(&mut retained, (2..=3).map(publication));
    let judged = |lost| left(&retained, &alone(6, &[(0, lost)]), &[], 3);
    let others = (vec![1, 2, 3, 4, 5, 6, 7], [0, 3], vec![1, 2, 3]);
    let none = (vec![0], [0, 3], vec![1]);
    // The lane is fenced by layout 5.
    for lost in [5, 6] {
        assert_eq!(judged(lost), [none.clone(), others.clone()], "{lost}");
    }
    assert_eq!(judged(3), [others], "what was declared again meanwhile may have to count");
    assert_eq!(judged(1), [((0..8).collect(), [0, 3], vec![1, 2, 3])], "long ago");
}

#[test]
fn nothing_is_kept_if_the_writer_does_not_say_what_is_merged_nor_by_a_matcher_that_is_alone_nor_after_the_end() {
    let silent = |retained: &mut Retained| retained.let_go(None);
    let over = |retained: &mut Retained| {
        retained.end();
        retained.let_go(Some(Number(3)));
    };
    for stop in [silent, over] {
        let mut retained = begun(&[]);
        keep(&mut retained, (2..=3).map(publication));
        assert!(retained.bytes() > 2 * 100);
        stop(&mut retained);
        keep(&mut retained, (4..=6).map(publication));
        assert_eq!((retained.bytes(), left(&retained, &alone(5, &[]), &[], 6)), (0, vec![]));
    }
    let mut retained = Retained::new(LANE, &layout(1, 1, 1));
    retained.let_go(Some(Number(0)));
    keep(&mut retained, (2..=3).map(publication));
    assert_eq!(retained.bytes(), 0);
    // Another one comes: from now on it is.
    let shared = shared(2, &[0]);
    retained.follow(&shared);
    keep(&mut retained, [barrier(4, &shared), publication(5)]);
    assert_eq!(left(&retained, &alone(5, &[]), &[], 5), [((1..8).collect(), [3, 5], vec![4, 5])]);
}

#[test]
fn what_is_kept_when_all_others_have_gone_is_whole_until_it_is_merged() {
    let mut retained = begun(&[]);
    keep(&mut retained, (2..=3).map(publication));
    let second = layout(2, 1, 1);
    retained.follow(&second);
    keep(&mut retained, [publication(4), barrier(5, &second), publication(6)]);
    let expected = vec![((0..8).collect(), [0, 5], (1..=5).collect())];
    assert_eq!(left(&retained, &alone(5, &[]), &[], 6), expected, "the dead one judged up to the barrier");
    retained.let_go(Some(Number(6)));
    keep(&mut retained, (7..=8).map(publication));
    assert_eq!(retained.bytes(), 0);
}

#[test]
fn what_was_merged_before_it_is_worked_off_is_not_kept() {
    let mut retained = begun(&[]);
    retained.let_go(Some(Number(3)));
    keep(&mut retained, (2..=4).map(publication));
    assert_eq!(left(&retained, &alone(5, &[]), &[], 4), [((0..8).collect(), [3, 4], vec![4])]);
}

#[test]
fn what_was_not_sent_while_slices_were_loaded_is_not_judged_but_may_be_covered() {
    let roles = |ours| {
        let mut layout = (*shared(1, &[])).clone();
        for placement in &mut layout.matcher {
            placement.replicas[1].role = ours;
        }
        layout
    };
    let loading = Arc::new(roles(Role::Joining));
    let mut retained = Retained::new(LANE, &loading);
    retained.let_go(Some(Number(0)));
    keep(&mut retained, [barrier(1, &loading)]);
    let all = (0..8).collect::<Vec<_>>();
    assert!(left(&retained, &alone(5, &[]), &[], 7).is_empty(), "it has nothing of it");
    let lost = (0..8).map(|slice| (slice, 5)).collect::<Vec<_>>();
    assert_eq!(left(&retained, &alone(5, &lost), &[], 7), [(all.clone(), [0, 7], vec![1])], "nobody judges it");
    let standing_by = Arc::new(Layout { epoch: Epoch(2), ..roles(Role::Standby) });
    keep(&mut retained, [barrier(8, &standing_by), publication(9)]);
    assert_eq!(left(&retained, &alone(5, &[]), &[], 9), [(all, [8, 9], vec![9])], "from that barrier on");
}
