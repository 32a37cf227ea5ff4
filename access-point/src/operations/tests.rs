//! Claims about operations that await matchers.

use gomera_cluster::identity::Handle;
use gomera_cluster::operation::{Description, Excess, Limited, SubscriptionOptions};
use gomera_cluster::position::{LaneId, Position, Vector};
use gomera_model::filter::Filter;

use super::*;
use crate::fixture::{CONNECTION_POINT, address, get, operation};
use crate::log::stamp;

const A: Address = address(3, 0);
const B: Address = address(3, 1);
const ASKER: Asker = Asker::ConnectionPoint(CONNECTION_POINT);

fn applied(lane: u32, number: u64) -> Outcome {
    let position = Position { lane: LaneId(lane), number: Number(number) };
    Outcome::Applied { handle: None, in_force_after: std::iter::once(position).collect() }
}

fn found(handles: &[u64]) -> Outcome {
    let description = |&handle: &u64| Description {
        id: Arc::from("x"),
        handle: Handle(handle),
        filter: Filter::everything(),
        options: SubscriptionOptions::default(),
    };
    Outcome::Found(handles.iter().map(description).collect())
}

fn completed(
    operations: &mut Operations,
    from: Address,
    range: (u64, u64),
    outcomes: Vec<(u64, Outcome)>,
) -> Vec<Completion> {
    let mut completed = Vec::new();
    let outcomes = outcomes.into_iter().map(|(number, outcome)| (Number(number), outcome)).collect();
    operations.progress(from, Number(range.0), Number(range.1), outcomes, &mut completed);
    completed
}

#[test]
fn an_operation_completes_when_all_it_is_stamped_with_have_come_so_far() {
    // Both orders of the two reports; the outcome comes from one of them, the active replica.
    for active in [A, B] {
        for order in [[A, B], [B, A]] {
            let mut operations = Operations::default();
            operations.begin(Number(5), get("s", "x", 1), ASKER, stamp(vec![A, B]));
            let report = |operations: &mut Operations, from| {
                let outcomes = if from == active { vec![(5, applied(1, 5))] } else { vec![] };
                completed(operations, from, (0, 7), outcomes)
            };
            assert!(report(&mut operations, order[0]).is_empty());
            let done = report(&mut operations, order[1]);
            assert_eq!((done.len(), done[0].number, done[0].freed), (1, Number(5), 0));
            assert_eq!(operations.len(), 0);
        }
    }
}

#[test]
fn who_is_not_stamped_is_not_awaited_and_later_ones_do_not_wait_for_earlier_ones() {
    let mut operations = Operations::default();
    operations.begin(Number(1), get("s", "x", 1), ASKER, stamp(vec![A]));
    operations.begin(Number(2), get("s", "y", 2), ASKER, stamp(vec![B]));
    let done = completed(&mut operations, B, (0, 2), vec![(2, Outcome::NotFound)]);
    assert_eq!(done.iter().map(|done| done.number.0).collect::<Vec<_>>(), [2]);
    assert_eq!(operations.len(), 2, "kept in order until the first is complete");
    let done = completed(&mut operations, A, (0, 2), vec![(1, Outcome::NotFound)]);
    assert_eq!(done.iter().map(|done| done.number.0).collect::<Vec<_>>(), [1]);
    assert_eq!(operations.len(), 0);
}

#[test]
fn no_operation_completes_without_an_outcome() {
    let mut operations = Operations::default();
    operations.begin(Number(1), get("s", "x", 1), ASKER, stamp(vec![A]));
    assert!(completed(&mut operations, A, (0, 1), vec![]).is_empty());
    assert_eq!(completed(&mut operations, A, (1, 2), vec![(1, Outcome::NotFound)]).len(), 1);
}

#[test]
fn what_all_matchers_found_is_one_list_in_order_cut_to_what_was_asked() {
    let mut operations = Operations::default();
    let list = operation("s", 1, Change::List { after: None, limit: 3 });
    operations.begin(Number(1), list, ASKER, stamp(vec![A, B]));
    completed(&mut operations, A, (0, 1), vec![(1, found(&[2, 5]))]);
    let done = completed(&mut operations, B, (0, 1), vec![(1, found(&[1, 3, 9]))]);
    let Outcome::Found(found) = &done[0].outcome else { panic!("{done:?}") };
    assert_eq!(found.iter().map(|description| description.handle.0).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn the_new_state_is_in_force_where_all_have_it_and_the_worst_news_counts() {
    let combine = |known, other| combine(&Change::Forget, known, other);
    let Outcome::Applied { in_force_after, .. } = combine(applied(1, 4), applied(1, 9)) else { panic!("both applied") };
    assert_eq!(in_force_after, Vector::from_iter([Position { lane: LaneId(1), number: Number(9) }]));
    assert!(matches!(combine(applied(1, 4), Outcome::Superseded), Outcome::Superseded));
    let excess = Excess { limited: Limited::Subscriptions, limit: 3, used: 3, asked: 1 };
    assert!(
        matches!(combine(Outcome::LimitExceeded(excess), applied(1, 4)), Outcome::LimitExceeded(told) if told == excess)
    );
}

#[test]
fn credit_is_freed_by_the_later_of_completion_and_trim() {
    let operation = get("s", "x", 1);
    let mut operations = Operations::default();
    operations.begin(Number(1), operation.clone(), ASKER, stamp(vec![A]));
    operations.begin(Number(2), operation.clone(), ASKER, stamp(vec![A]));
    assert_eq!(operations.trimmed(Number(1)), Trimmed::Awaited);
    let done = completed(&mut operations, A, (0, 2), vec![(1, Outcome::NotFound), (2, Outcome::NotFound)]);
    assert_eq!(done.iter().map(|done| done.freed).collect::<Vec<_>>(), [operation.cost(), 0]);
    assert_eq!(operations.trimmed(Number(2)), Trimmed::Free);
}
