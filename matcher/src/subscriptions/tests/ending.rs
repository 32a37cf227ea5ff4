//! Claims about the end of a session that has begun anew: what is left of it is found at once, and what is not goes in steps.

use gomera_cluster::message::snapshot;

use super::*;

/// A session with so many rows of the life before, in front of one of the new life with handle 1,000,000.
fn begun_anew(rows: u64) -> Subscriptions {
    let mut subscriptions = new();
    for counter in 1..=rows {
        apply(&mut subscriptions, &put("s", &format!("x{counter}"), version(3, counter), counter, "a = 1"));
    }
    apply(&mut subscriptions, &put("s", "new", version(5, 1), 1_000_000, "a = 1"));
    subscriptions
}

fn listed(subscriptions: &mut Subscriptions) -> Option<Vec<u64>> {
    let list = operation("s", version(5, 1), Change::List { after: None, limit: 10 });
    match apply(subscriptions, &list) {
        Outcome::Found(found) => Some(found.iter().map(|description| description.handle.0).collect()),
        Outcome::Unanswered => None,
        other => panic!("{other:?}"),
    }
}

fn in_session(subscriptions: &Subscriptions) -> usize {
    let id = subscriptions.sessions.find(session("s")).expect("it is there");
    subscriptions.sessions.get(id).rows_len()
}

#[test]
fn what_is_left_of_a_session_that_began_anew_is_found_while_the_rest_goes_in_steps() {
    let mut subscriptions = begun_anew(3000);
    apply(&mut subscriptions, &forget("s", 4));
    assert_eq!(in_session(&subscriptions), 3001, "none is looked at at once");
    assert_eq!(listed(&mut subscriptions).as_deref(), Some([1_000_000].as_slice()));
    subscriptions.remove_doomed();
    assert!((1900..2100).contains(&in_session(&subscriptions)), "{}", in_session(&subscriptions));
    // Where it has been looked at already, where it has not, and what was put by the life before.
    for (id, counter, handle) in [("a", 2, 5), ("b", 3, 2_500), ("c", 4, 2_000_000), ("x2700", 5, 7)] {
        assert_eq!(
            applied(&apply(&mut subscriptions, &put("s", id, version(5, counter), handle, "a = 1"))),
            Some(handle)
        );
    }
    apply(&mut subscriptions, &remove("s", "b", version(5, 6)));
    assert_eq!(listed(&mut subscriptions).as_deref(), Some([5, 7, 1_000_000, 2_000_000].as_slice()));
    assert_eq!(handles(&mut subscriptions, &[("a", Value::from(1_i64))]), [5, 7, 1_000_000, 2_000_000]);
    // A second end while the first one is worked off.
    apply(&mut subscriptions, &put("s", "x2", version(6, 1), 9, "a = 1"));
    apply(&mut subscriptions, &forget("s", 5));
    let list = Change::List { after: None, limit: 10 };
    let Outcome::Found(found) = apply(&mut subscriptions, &operation("s", version(6, 2), list)) else {
        panic!("found")
    };
    assert_eq!(found.iter().map(|description| description.handle.0).collect::<Vec<_>>(), [9]);
    while subscriptions.has_doomed() {
        subscriptions.remove_doomed();
    }
    assert_eq!((subscriptions.len(), subscriptions.doomed(), in_session(&subscriptions)), (1, 0, 1));
}

#[test]
fn a_list_that_would_pass_over_too_many_is_not_answered_until_they_have_been_taken_out() {
    let mut subscriptions = begun_anew(9000);
    apply(&mut subscriptions, &forget("s", 4));
    assert_eq!(listed(&mut subscriptions), None);
    subscriptions.remove_doomed();
    assert_eq!(listed(&mut subscriptions).as_deref(), Some([1_000_000].as_slice()));
}

#[test]
fn what_refuses_late_operations_of_a_life_that_is_over_goes_in_steps_and_is_not_told_meanwhile() {
    let mut subscriptions = new();
    let remove_on = |subscriptions: &mut Subscriptions, slice: u16, generation: u64, counter: u64| {
        let remove = remove("s", &format!("x{slice} {counter}"), version(generation, counter));
        subscriptions.apply_to_slice(&remove, MatcherSlice(slice), Limits::Held, Vector::default);
    };
    for slice in 0..100 {
        for counter in 1..=30 {
            remove_on(&mut subscriptions, slice, 3, counter);
        }
    }
    remove_on(&mut subscriptions, 70, 5, 100);
    assert_eq!(subscriptions.tombstones(), 3001);
    apply(&mut subscriptions, &forget("s", 4));
    assert_eq!(subscriptions.tombstones(), 3001, "none is looked at at once");
    let told = |subscriptions: &Subscriptions| {
        let (slices, mut told) = ((0..100).map(MatcherSlice).collect::<SliceSet>(), Vec::new());
        let measure = Measure { things: 10, bytes: u64::MAX };
        subscriptions.list_sessions(0, &slices, snapshot::Sessions::Wanted, measure, &mut told);
        told.into_iter().flat_map(|state| state.settled).map(|state| (state.slice.0, state.tombstones.len())).collect()
    };
    let mut steps = 0;
    while subscriptions.has_doomed() {
        assert_eq!(told(&subscriptions), vec![(70, 1)]);
        subscriptions.remove_doomed();
        steps += 1;
    }
    assert_eq!((told(&subscriptions), subscriptions.tombstones()), (vec![(70, 1)], 1));
    assert!((3..=4).contains(&steps), "{steps}: some thousand in one");
    let late = put("s", "x70 1", version(4, 9), 1, "TRUE");
    assert!(matches!(apply(&mut subscriptions, &late), Outcome::Superseded));
}
