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

/// The first of a stamp decides about one subscription.
fn sequenced(number: u64, operation: Arc<Operation>, stamp: Stamp) -> Sequenced {
    let decider = operation.change.subscription().map_or(Decider::All, |_| Decider::Active(stamp[0]));
    Sequenced {
        number: Number(number),
        operation,
        asker: ASKER,
        stamp,
        decider,
        charge: Charge::Asker,
        round: Round::First,
        answer: None,
    }
}

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
    operations.progress(from, Number(range.0), Number(range.1), outcomes, Vec::new(), &mut completed);
    completed
}

#[test]
fn an_operation_completes_when_all_it_is_stamped_with_have_come_so_far() {
    // Both orders of the two reports; the outcome comes from one of them, the active replica.
    for active in [A, B] {
        for order in [[A, B], [B, A]] {
            let mut operations = Operations::default();
            let decider = Decider::Active(active);
            operations.begin(Sequenced { decider, ..sequenced(5, get("s", "x", 1), stamp(vec![A, B])) });
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
    operations.begin(sequenced(1, get("s", "x", 1), stamp(vec![A])));
    operations.begin(sequenced(2, get("s", "y", 2), stamp(vec![B])));
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
    operations.begin(sequenced(1, get("s", "x", 1), stamp(vec![A])));
    assert!(completed(&mut operations, A, (0, 1), vec![]).is_empty());
    assert_eq!(completed(&mut operations, A, (1, 2), vec![(1, Outcome::NotFound)]).len(), 1);
}

#[test]
fn what_all_matchers_found_is_one_list_in_order_cut_to_what_was_asked() {
    let mut operations = Operations::default();
    let list = operation("s", 1, Change::List { after: None, limit: 3 });
    operations.begin(sequenced(1, list, stamp(vec![A, B])));
    completed(&mut operations, A, (0, 1), vec![(1, found(&[2, 5]))]);
    let done = completed(&mut operations, B, (0, 1), vec![(1, found(&[1, 3, 9]))]);
    let Outcome::Found(found) = done[0].outcome.as_ref().expect("heard") else { panic!("{done:?}") };
    assert_eq!(found.iter().map(|description| description.handle.0).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn the_new_state_is_in_force_where_all_have_it_and_the_worst_news_counts() {
    let combine = |known, other| combine(&Change::Forget, known, other);
    let Outcome::Applied { in_force_after, .. } = combine(applied(1, 4), applied(1, 9)) else { panic!("both applied") };
    assert_eq!(in_force_after, Vector::from_iter([Position { lane: LaneId(1), number: Number(9) }]));
    let Outcome::Applied { in_force_after, .. } = combine(applied(1, 4), applied(2, 9)) else { panic!("both applied") };
    let unsaid = |lane| Position { lane: LaneId(lane), number: UNSAID };
    assert_eq!(in_force_after, Vector::from_iter([unsaid(1), unsaid(2)]), "each has ended where nothing is said of it");
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
    operations.begin(sequenced(1, operation.clone(), stamp(vec![A])));
    operations.begin(sequenced(2, operation.clone(), stamp(vec![A])));
    assert_eq!(operations.trimmed(Number(1)), Trimmed::Awaited);
    let done = completed(&mut operations, A, (0, 2), vec![(1, Outcome::NotFound), (2, Outcome::NotFound)]);
    assert_eq!(done.iter().map(|done| done.freed).collect::<Vec<_>>(), [operation.cost(), 0]);
    assert_eq!(operations.trimmed(Number(2)), Trimmed::Free);
}

/// An operation on a slice of which A is active and B a standby, and one that went to both.
fn bereft(change: Change) -> Operations {
    let mut operations = Operations::default();
    operations.begin(sequenced(1, operation("s", 1, change), stamp(vec![A, B])));
    operations
}

fn released(operations: &mut Operations, gone: Address, progressed: u64) -> Vec<Completion> {
    let mut completed = Vec::new();
    operations.release(gone, Number(progressed), &mut completed);
    completed
}

#[test]
fn when_the_active_replica_is_gone_what_another_one_said_counts() {
    let key = gomera_cluster::identity::SubscriptionKey(7);
    for standby_first in [true, false] {
        let mut operations = bereft(Change::Remove(key));
        let mut done = Vec::new();
        if standby_first {
            done.extend(completed(&mut operations, B, (0, 1), vec![(1, Outcome::NotFound)]));
            assert!(done.is_empty(), "the active one may say something else");
            done.extend(released(&mut operations, A, 0));
        } else {
            done.extend(released(&mut operations, A, 0));
            assert!(done.is_empty(), "the other one is awaited still");
            done.extend(completed(&mut operations, B, (0, 1), vec![(1, Outcome::NotFound)]));
        }
        assert!(matches!(done.as_slice(), [Completion { outcome: Some(Outcome::NotFound), .. }]), "{done:?}");
    }
    // What the active one had said before counts, whatever the other one says.
    let mut operations = bereft(Change::Remove(key));
    assert!(completed(&mut operations, A, (0, 1), vec![(1, Outcome::Superseded)]).is_empty());
    assert!(released(&mut operations, A, 1).is_empty());
    let done = completed(&mut operations, B, (0, 1), vec![(1, Outcome::NotFound)]);
    assert!(matches!(done.as_slice(), [Completion { outcome: Some(Outcome::Superseded), .. }]), "{done:?}");
}

#[test]
fn when_nobody_is_left_who_could_say_it_a_change_is_applied_anew_and_a_read_is_not_answered() {
    let key = gomera_cluster::identity::SubscriptionKey(7);
    // B joins: it buffers, and says nothing.
    let mut operations = bereft(Change::Remove(key));
    assert!(completed(&mut operations, B, (0, 1), vec![]).is_empty());
    let done = released(&mut operations, A, 0);
    assert!(matches!(done.as_slice(), [Completion { outcome: None, .. }]), "{done:?}");
    assert_eq!(operations.len(), 0);
    // A read would see what was asked for behind it, and a list lacks what the one that is gone had; a context that all others have is in
    // force.
    let mut operations = bereft(Change::Get(key));
    assert!(completed(&mut operations, B, (0, 1), vec![]).is_empty());
    let done = released(&mut operations, A, 0);
    assert!(matches!(done.as_slice(), [Completion { outcome: Some(Outcome::Unanswered), .. }]), "{done:?}");
    let mut operations = bereft(Change::List { after: None, limit: 9 });
    assert!(completed(&mut operations, B, (0, 1), vec![(1, found(&[3, 4]))]).is_empty());
    let done = released(&mut operations, A, 0);
    assert!(matches!(done.as_slice(), [Completion { outcome: Some(Outcome::Unanswered), .. }]), "{done:?}");
    let mut operations = bereft(Change::SetContext(Arc::default()));
    assert!(completed(&mut operations, B, (0, 1), vec![(1, applied(1, 1))]).is_empty());
    let done = released(&mut operations, A, 0);
    assert!(matches!(done.as_slice(), [Completion { outcome: Some(Outcome::Applied { .. }), .. }]), "{done:?}");
}

#[test]
fn what_would_be_applied_anew_ends_with_its_session() {
    let key = gomera_cluster::identity::SubscriptionKey(7);
    for (ending, is_over) in [("s", true), ("another", false)] {
        let mut operations = Operations::default();
        operations.begin(sequenced(1, operation("s", 1, Change::Remove(key)), stamp(vec![A])));
        operations.begin(sequenced(2, operation(ending, 2, Change::Forget), stamp(vec![A, B])));
        assert!(completed(&mut operations, B, (0, 2), vec![(2, applied(1, 2))]).is_empty());
        let done = released(&mut operations, A, 0);
        assert_eq!(done.iter().map(|done| done.number.0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(matches!(done[0].outcome, Some(Outcome::Unanswered)), is_over, "{done:?}");
        assert_eq!(done[0].outcome.is_none(), !is_over, "{done:?}");
    }
}

#[test]
fn positions_count_only_if_all_who_may_have_judged_have_said_how_far_they_were() {
    let key = gomera_cluster::identity::SubscriptionKey(7);
    let mut operations = bereft(Change::Remove(key));
    assert!(completed(&mut operations, A, (0, 1), vec![(1, applied(1, 1))]).is_empty());
    let done = released(&mut operations, B, 0);
    assert!(matches!(done.as_slice(), [Completion { outcome: Some(_), hearing: Hearing::Partial, .. }]), "{done:?}");
    let mut operations = bereft(Change::Remove(key));
    assert!(completed(&mut operations, A, (0, 1), vec![(1, applied(1, 1))]).is_empty());
    let done = completed(&mut operations, B, (0, 1), vec![(1, applied(1, 1))]);
    assert!(matches!(done.as_slice(), [Completion { hearing: Hearing::Whole, .. }]), "{done:?}");
}

#[test]
fn what_is_settled_ends_before_the_first_that_is_not_complete() {
    let mut operations = Operations::default();
    for number in [2, 5, 6] {
        operations.begin(sequenced(number, get("s", "x", number), stamp(vec![A])));
    }
    assert_eq!(operations.settled(Number(6)), Number(1));
    completed(&mut operations, A, (0, 5), vec![(2, Outcome::NotFound), (5, Outcome::NotFound)]);
    assert_eq!(operations.settled(Number(6)), Number(5));
    completed(&mut operations, A, (5, 6), vec![(6, Outcome::NotFound)]);
    assert_eq!(operations.settled(Number(6)), Number(6));
}

#[test]
fn who_did_not_apply_what_counts_or_has_it_under_another_handle_is_told_what_it_is() {
    for (decided, other, missing) in [
        (named(7), named(7), None),
        (named(7), named(8), Some(Handle(7))),
        (named(7), Outcome::NotFound, Some(Handle(7))),
        (named(7), Outcome::Superseded, Some(Handle(7))),
        (Outcome::NotFound, named(7), None),
    ] {
        let mut operations = Operations::default();
        operations.begin(Sequenced { decider: Decider::Active(A), ..sequenced(1, change(), stamp(vec![A, B])) });
        completed(&mut operations, B, (0, 1), vec![(1, other.clone())]);
        let done = completed(&mut operations, A, (0, 1), vec![(1, decided.clone())]);
        let [Completion { missing: found, .. }] = done.as_slice() else { panic!("{done:?}") };
        assert_eq!(*found, missing, "{decided:?} {other:?}");
    }
}

#[test]
fn what_came_before_is_not_said_to_be_without_effect() {
    for (round, outcome, told) in [
        (Round::First, Outcome::Superseded, Outcome::Superseded),
        (Round::Again, Outcome::Superseded, Outcome::Unanswered),
        (Round::Again, Outcome::NotFound, Outcome::Unanswered),
        (Round::Again, named(7), named(7)),
    ] {
        let mut operations = Operations::default();
        let decider = Decider::Active(A);
        operations.begin(Sequenced { decider, round, ..sequenced(1, change(), stamp(vec![A])) });
        let done = completed(&mut operations, A, (0, 1), vec![(1, outcome)]);
        let [Completion { outcome: Some(found), .. }] = done.as_slice() else { panic!("{done:?}") };
        assert_eq!(std::mem::discriminant(found), std::mem::discriminant(&told));
    }
}

fn named(handle: u64) -> Outcome {
    Outcome::Applied { handle: Some(Handle(handle)), in_force_after: Vector::default() }
}

fn change() -> Arc<Operation> {
    operation("s", 1, Change::Remove(gomera_cluster::identity::SubscriptionKey(7)))
}
