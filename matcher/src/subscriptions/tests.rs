//! Claims about versions, tombstones, contexts, sessions that end, and limits.

mod ending;

use std::sync::Arc;
use std::time::Duration;

use gomera_model::value::Value;

use super::*;
use crate::fixture::{attributes, envelope, filter, key, operation, put, put_with, session, version};
use gomera_cluster::operation::{Excess, Limited, SubscriptionOptions};
use gomera_cluster::position::LaneId;

const SLICE: MatcherSlice = MatcherSlice(0);

fn apply(subscriptions: &mut Subscriptions, operation: &Operation) -> Outcome {
    match operation.change.subscription() {
        Some(_) => subscriptions.apply_to_slice(operation, SLICE, Limits::Held, Vector::default),
        None => subscriptions.apply_to_all(Instant::ZERO, operation, &judged(), Vector::default),
    }
}

fn judged() -> SliceSet {
    std::iter::once(SLICE).collect()
}

fn new() -> Subscriptions {
    with(&Config::default())
}

fn with(config: &Config) -> Subscriptions {
    let mut subscriptions = Subscriptions::new(config);
    subscriptions.judge_by(judged(), SliceSet::default(), 1);
    subscriptions
}

fn handles(subscriptions: &mut Subscriptions, entries: &[(&str, Value)]) -> Vec<u64> {
    handles_at(subscriptions, 0, entries)
}

fn handles_at(subscriptions: &mut Subscriptions, accepted_at: i64, entries: &[(&str, Value)]) -> Vec<u64> {
    let mut hits = Hits::default();
    let envelope = std::sync::Arc::new(envelope(1, accepted_at, entries));
    assert_eq!(subscriptions.judge(std::slice::from_ref(&envelope), &judged(), usize::MAX), 1);
    subscriptions.hits(0, &envelope, &mut hits);
    let handles = hits.sessions().flat_map(|(_, handles)| handles);
    handles.map(|&(_, handle)| handle.0).collect()
}

fn applied(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Applied { handle, .. } => handle.map(|handle| handle.0),
        other => panic!("{other:?}"),
    }
}

fn remove(name: &str, id: &str, version: Version) -> Operation {
    operation(name, version, Change::Remove(key(name, id)))
}

fn forget(name: &str, generation: u64) -> Operation {
    operation(name, version(generation, u64::MAX), Change::Forget)
}

#[test]
fn an_update_replaces_the_filter_and_keeps_the_handle() {
    let mut subscriptions = new();
    assert_eq!(applied(&apply(&mut subscriptions, &put("s", "x", version(1, 1), 7, "a = 1"))), Some(7));
    assert_eq!(applied(&apply(&mut subscriptions, &put("s", "x", version(1, 2), 8, "a = 2"))), Some(7));
    assert!(handles(&mut subscriptions, &[("a", Value::from(1_i64))]).is_empty());
    assert_eq!(handles(&mut subscriptions, &[("a", Value::from(2_i64))]), [7]);
}

#[test]
fn an_update_of_what_is_not_there_is_not_found() {
    let mut subscriptions = new();
    let mut update = put("s", "x", version(1, 1), 7, "a = 1");
    if let Change::Put(_, existing) = &mut update.change {
        *existing = Existing::Required;
    }
    assert!(matches!(apply(&mut subscriptions, &update), Outcome::NotFound));
    assert_eq!(subscriptions.len(), 0);
}

#[test]
fn the_same_operations_in_every_order_and_doubled_come_to_the_same_state() {
    let pause = operation("s", version(1, 4), Change::SetPaused(key("s", "y"), true));
    let operations = [
        put("s", "x", version(1, 1), 1, "a = 1"),
        remove("s", "x", version(1, 2)),
        put("s", "x", version(2, 1), 2, "a = 2"),
        put("s", "y", version(1, 3), 3, "a = 1"),
        remove("s", "y", version(2, 2)),
        pause,
    ];
    for order in permutations(operations.len()) {
        let mut subscriptions = new();
        for &index in order.iter().chain(&order[..3]) {
            apply(&mut subscriptions, &operations[index]);
        }
        assert!(handles(&mut subscriptions, &[("a", Value::from(1_i64))]).is_empty(), "{order:?}");
        assert_eq!(handles(&mut subscriptions, &[("a", Value::from(2_i64))]).len(), 1, "{order:?}");
        assert_eq!(subscriptions.len(), 1, "{order:?}");
    }
}

#[test]
fn what_expired_is_gone_in_every_order_in_which_its_operations_come_by_different_lanes() {
    let options = SubscriptionOptions { paused: false, expires_at: Some(Timestamp(100)) };
    let expire = |counter| operation("s", version(1, counter), Change::Expire(key("s", "x")));
    let operations = [
        put("s", "x", version(1, 1), 1, "a = 1"),
        put_with("s", "x", version(1, 2), 2, "a = 1", options),
        put("s", "y", version(1, 4), 3, "a = 1"),
        expire(2),
    ];
    let pause = operation("s", version(1, 3), Change::SetPaused(key("s", "x"), true));
    let paused = operations[..3].iter().cloned().chain([expire(3), pause]).collect();
    let orders =
        |operations: Vec<_>| permutations(operations.len()).into_iter().map(move |order| (order, operations.clone()));
    for (order, operations) in orders(operations.to_vec()).chain(orders(paused)) {
        let mut subscriptions = new();
        for &index in order.iter().chain(&order[..3]) {
            apply(&mut subscriptions, &operations[index]);
        }
        assert_eq!(handles(&mut subscriptions, &[("a", Value::from(1_i64))]), [3], "{order:?}");
        assert_eq!(subscriptions.len(), 1, "{order:?}");
        apply(&mut subscriptions, &put("s", "x", version(1, 4), 4, "a = 1"));
        assert_eq!(subscriptions.len(), 2, "it may be put again: {order:?}");
    }
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for next in 0..count {
        all = all
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=order.len()).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, next);
                    order
                })
            })
            .collect();
    }
    all
}

#[test]
fn a_tombstone_goes_when_its_version_is_settled_and_late_operations_are_still_refused() {
    let mut subscriptions = new();
    apply(&mut subscriptions, &put("s", "x", version(1, 1), 1, "TRUE"));
    apply(&mut subscriptions, &remove("s", "x", version(1, 2)));
    assert_eq!(subscriptions.tombstones(), 1);
    let mut next = put("s", "y", version(1, 3), 2, "TRUE");
    next.low = version(1, 3);
    apply(&mut subscriptions, &next);
    assert_eq!(subscriptions.tombstones(), 0);
    let late = apply(&mut subscriptions, &put("s", "x", version(1, 1), 1, "TRUE"));
    assert!(matches!(late, Outcome::Superseded), "{late:?}");
    assert_eq!(handles(&mut subscriptions, &[]), [2]);
}

#[test]
fn with_no_room_for_tombstones_a_removal_still_holds() {
    let mut subscriptions = with(&Config { tombstones_max: 0, ..Config::default() });
    apply(&mut subscriptions, &put("s", "x", version(1, 2), 1, "TRUE"));
    apply(&mut subscriptions, &remove("s", "x", version(1, 3)));
    assert_eq!(subscriptions.tombstones(), 0);
    assert!(matches!(apply(&mut subscriptions, &put("s", "x", version(1, 1), 1, "TRUE")), Outcome::Superseded));
    assert_eq!(applied(&apply(&mut subscriptions, &put("s", "x", version(1, 4), 5, "TRUE"))), Some(5));
}

#[test]
fn tombstones_of_a_session_that_settles_nothing_are_bounded() {
    let mut subscriptions = new();
    for counter in 1..1000 {
        apply(&mut subscriptions, &remove("s", &format!("x{counter}"), version(1, counter)));
    }
    assert!(subscriptions.tombstones() <= 64, "{}", subscriptions.tombstones());
    assert!(matches!(apply(&mut subscriptions, &put("s", "x5", version(1, 4), 1, "TRUE")), Outcome::Superseded));
}

#[test]
fn a_paused_subscription_matches_nothing_and_comes_back() {
    let mut subscriptions = new();
    apply(&mut subscriptions, &put("s", "x", version(1, 1), 1, "TRUE"));
    let set = |counter, paused| operation("s", version(1, counter), Change::SetPaused(key("s", "x"), paused));
    assert_eq!(applied(&apply(&mut subscriptions, &set(3, true))), Some(1));
    assert!(handles(&mut subscriptions, &[]).is_empty());
    assert!(matches!(apply(&mut subscriptions, &set(2, false)), Outcome::Superseded));
    apply(&mut subscriptions, &set(4, false));
    assert_eq!(handles(&mut subscriptions, &[]), [1]);
}

#[test]
fn a_subscription_stops_at_its_expiry_and_is_removed_later() {
    let slack = Duration::from_micros(50);
    let mut subscriptions = with(&Config { expiry_slack: slack, ..Config::default() });
    let options = SubscriptionOptions { paused: false, expires_at: Some(Timestamp(100)) };
    apply(&mut subscriptions, &put_with("s", "x", version(1, 1), 1, "TRUE", options));
    assert_eq!(handles_at(&mut subscriptions, 99, &[]), [1]);
    assert!(handles_at(&mut subscriptions, 100, &[]).is_empty());
    let due = |subscriptions: &mut Subscriptions, at| {
        subscriptions.expired(Timestamp(at), |slice| slice == SLICE, |_| Some(LaneId(7)))
    };
    assert!(due(&mut subscriptions, 149).is_empty());
    let expired = due(&mut subscriptions, 150);
    assert_eq!((expired.len(), expired[0].lane, expired[0].version), (1, LaneId(7), version(1, 1)));
    assert!(due(&mut subscriptions, 20_000_000).is_empty(), "its lane was asked");
    // It was changed before its removal stood in the lane: it stays.
    let later = SubscriptionOptions { paused: false, expires_at: Some(Timestamp(40_000_000)) };
    apply(&mut subscriptions, &put_with("s", "x", version(1, 2), 1, "TRUE", later));
    let remove = |counter| operation("s", version(1, counter), Change::Expire(key("s", "x")));
    assert!(matches!(apply(&mut subscriptions, &remove(1)), Outcome::Superseded));
    assert_eq!(due(&mut subscriptions, 40_000_050).len(), 1, "it expires again");
    assert_eq!(applied(&apply(&mut subscriptions, &remove(2))), Some(1));
    assert_eq!((subscriptions.len(), subscriptions.next_expiry()), (0, None));
}

#[test]
fn a_context_decides_from_its_operation_on_and_the_latest_wins() {
    let mut subscriptions = new();
    apply(&mut subscriptions, &put("s", "x", version(1, 1), 1, "a = $here"));
    apply(&mut subscriptions, &put("t", "x", version(1, 1), 2, "a = $here"));
    let set = |counter, here: i64| {
        let context = Arc::new(attributes(&[("here", Value::from(here))]));
        operation("s", version(1, counter), Change::SetContext(context))
    };
    assert!(handles(&mut subscriptions, &[("a", Value::from(5_i64))]).is_empty());
    apply(&mut subscriptions, &set(3, 5));
    assert_eq!(handles(&mut subscriptions, &[("a", Value::from(5_i64))]), [1]);
    assert!(matches!(apply(&mut subscriptions, &set(2, 6)), Outcome::Superseded));
    assert!(handles(&mut subscriptions, &[("a", Value::from(6_i64))]).is_empty());
}

#[test]
fn an_ended_session_matches_nothing_at_once_and_its_rows_go_in_steps() {
    let mut subscriptions = new();
    for counter in 1..=1000 {
        apply(&mut subscriptions, &put("s", &format!("x{counter}"), version(3, counter), counter, "TRUE"));
    }
    apply(&mut subscriptions, &put("t", "x", version(4, 1), 5000, "TRUE"));
    assert_eq!(applied(&apply(&mut subscriptions, &forget("s", 3))), None);
    assert_eq!(handles(&mut subscriptions, &[]), [5000]);
    assert!(matches!(
        apply(&mut subscriptions, &operation("s", version(3, 1001), Change::Get(key("s", "x1")))),
        Outcome::Superseded
    ));
    let list = Change::List { after: None, limit: 10 };
    assert!(matches!(apply(&mut subscriptions, &operation("s", version(3, 1001), list)), Outcome::Superseded));
    let mut steps = 0;
    while subscriptions.has_doomed() {
        subscriptions.remove_doomed();
        steps += 1;
    }
    assert!(steps > 1, "a thousand are not removed at once");
    assert_eq!((subscriptions.len(), subscriptions.doomed()), (1, 0));
}

#[test]
fn what_the_end_of_a_session_overtook_is_refused_and_its_new_life_stands() {
    let mut subscriptions = new();
    apply(&mut subscriptions, &put("s", "old", version(3, 1), 1, "TRUE"));
    apply(&mut subscriptions, &put("s", "both", version(3, 2), 2, "TRUE"));
    apply(&mut subscriptions, &put("s", "both", version(5, 1), 9, "TRUE"));
    apply(&mut subscriptions, &put("s", "new", version(5, 2), 3, "TRUE"));
    apply(&mut subscriptions, &forget("s", 4));
    assert_eq!(handles(&mut subscriptions, &[]), [2, 3], "put again by a later attachment: it stands");
    assert!(matches!(apply(&mut subscriptions, &put("s", "late", version(3, 9), 4, "TRUE")), Outcome::Superseded));
    let context = Change::SetContext(Arc::default());
    assert!(matches!(apply(&mut subscriptions, &operation("s", version(4, 1), context)), Outcome::Superseded));
    assert_eq!(applied(&apply(&mut subscriptions, &put("s", "old", version(5, 3), 11, "TRUE"))), Some(11), "as if new");
    while subscriptions.has_doomed() {
        subscriptions.remove_doomed();
    }
    assert_eq!(handles(&mut subscriptions, &[]), [2, 3, 11], "removal in steps spares what was put again");
}

#[test]
fn traces_of_ended_sessions_go_after_a_while_or_when_they_are_too_many() {
    let mut subscriptions = with(&Config { forgotten_max: 3, ..Config::default() });
    for index in 0..10 {
        apply(&mut subscriptions, &put(&format!("s{index}"), "x", version(1, 1), 1, "TRUE"));
        apply(&mut subscriptions, &forget(&format!("s{index}"), 1));
        subscriptions.remove_doomed();
    }
    assert_eq!(subscriptions.sessions(), 3);
    let at = subscriptions.next_forgetting().expect("traces have a time");
    subscriptions.forget_sessions(at);
    assert_eq!(subscriptions.sessions(), 0);
    assert_eq!(subscriptions.next_forgetting(), None);
}

#[test]
fn each_limit_is_named_when_it_is_met_and_room_is_given_back() {
    let config = Config {
        subscriptions_max: 3,
        subscriptions_per_tenant_max: 3,
        subscriptions_per_session_max: 2,
        sessions_max: 2,
        ..Config::default()
    };
    let mut subscriptions = with(&config);
    let exceeded = |outcome: Outcome| match outcome {
        Outcome::LimitExceeded(excess) => excess.limit,
        other => panic!("{other:?}"),
    };
    for counter in 1..=2 {
        applied(&apply(&mut subscriptions, &put("s", &format!("x{counter}"), version(1, counter), counter, "TRUE")));
    }
    assert_eq!(exceeded(apply(&mut subscriptions, &put("s", "x3", version(1, 3), 3, "TRUE"))), 2);
    applied(&apply(&mut subscriptions, &put("s", "x2", version(1, 4), 3, "FALSE")));
    applied(&apply(&mut subscriptions, &put("t", "x1", version(1, 1), 1, "TRUE")));
    assert_eq!(exceeded(apply(&mut subscriptions, &put("t", "x2", version(1, 2), 2, "TRUE"))), 3);
    assert_eq!(exceeded(apply(&mut subscriptions, &put("u", "x1", version(1, 1), 1, "TRUE"))), 2);
    assert!(matches!(apply(&mut subscriptions, &remove("u", "x1", version(1, 2))), Outcome::NotFound));
    apply(&mut subscriptions, &remove("s", "x1", version(1, 5)));
    applied(&apply(&mut subscriptions, &put("t", "x2", version(1, 3), 2, "TRUE")));
}

#[test]
fn a_list_goes_on_after_a_handle() {
    let mut subscriptions = new();
    for counter in 1..=5 {
        apply(&mut subscriptions, &put("s", &format!("x{counter}"), version(1, counter), counter * 10, "a = 1"));
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let list = operation("s", version(1, 9), Change::List { after, limit: 2 });
        let Outcome::Found(found) = apply(&mut subscriptions, &list) else { panic!("a list finds") };
        let Some(last) = found.last() else { break };
        after = Some(last.handle);
        seen.extend(found.iter().map(|description| description.handle.0));
    }
    assert_eq!(seen, [10, 20, 30, 40, 50]);
    let get = operation("s", version(1, 9), Change::Get(key("s", "x3")));
    let Outcome::Found(found) = apply(&mut subscriptions, &get) else { panic!("it is there") };
    assert_eq!((&*found[0].id, &found[0].filter), ("x3", &filter("a = 1")));
    assert_eq!(session("s"), get.session);
}

#[test]
fn a_read_of_a_life_that_has_ended_is_superseded_and_not_empty() {
    let mut subscriptions = new();
    apply(&mut subscriptions, &put("s", "x", version(1, 1), 1, "a = 1"));
    apply(&mut subscriptions, &forget("s", 1));
    let list =
        |generation, counter| operation("s", version(generation, counter), Change::List { after: None, limit: 10 });
    let get = |generation, counter| operation("s", version(generation, counter), Change::Get(key("s", "x")));
    assert!(matches!(apply(&mut subscriptions, &list(1, 2)), Outcome::Superseded));
    assert!(matches!(apply(&mut subscriptions, &get(1, 3)), Outcome::Superseded));
    assert!(matches!(apply(&mut subscriptions, &list(2, 1)), Outcome::Found(found) if found.is_empty()));
    assert!(matches!(apply(&mut subscriptions, &get(2, 2)), Outcome::NotFound));
}

/// What the limits let in of one kind of filter, and the excess that ended it.
fn fill(subscriptions: &mut Subscriptions, name: &str, filter: impl Fn(u64) -> String) -> (u64, Excess) {
    for counter in 1..1_000_000 {
        let id = format!("{counter:07}");
        match apply(subscriptions, &put(name, &id, version(1, counter), counter, &filter(counter))) {
            Outcome::Applied { .. } => {}
            Outcome::LimitExceeded(excess) => return (counter - 1, excess),
            other => panic!("{other:?}"),
        }
    }
    panic!("no limit stands against it");
}

#[test]
fn costly_filters_are_refused_from_the_limit_of_the_tenant_on_and_removal_gives_room() {
    let cost_max = Duration::from_millis(1);
    let mut subscriptions = with(&Config { filter_cost_per_tenant_max: cost_max, ..Config::default() });
    let costly = |index| format!("MATCHES(note, '^a{index}')");
    let (taken, excess) = fill(&mut subscriptions, "s", costly);
    assert!((15..25).contains(&taken), "{taken}");
    assert_eq!((excess.limited, excess.limit), (Limited::Cost, 1_000_000));
    assert!(excess.used <= excess.limit && excess.used + excess.asked > excess.limit, "{excess:?}");
    assert_eq!(subscriptions.weights.of(&Tenant::open()).nanoseconds, excess.used);
    // What costs next to nothing has room, also in the place of what costs much; the other way round it is refused, and the
    // old filter stays.
    applied(&apply(&mut subscriptions, &put("s", "0000001", version(1, 2_000), 1, "a = 1")));
    applied(&apply(&mut subscriptions, &put("s", "0000001", version(1, 2_001), 1, &costly(1))));
    applied(&apply(&mut subscriptions, &put("s", "cheap", version(1, 2_002), 2_000, "a = 1")));
    let update = put("s", "cheap", version(1, 2_003), 2_000, &costly(70));
    assert!(matches!(apply(&mut subscriptions, &update), Outcome::LimitExceeded(again) if again.asked < excess.asked));
    assert_eq!(handles(&mut subscriptions, &[("a", Value::from(1_i64))]), [2_000]);
    apply(&mut subscriptions, &remove("s", "0000002", version(1, 2_004)));
    applied(&apply(&mut subscriptions, &put("s", "cheap", version(1, 2_005), 2_000, &costly(70))));
    // What a filter has that is in use already costs nothing anew.
    applied(&apply(&mut subscriptions, &put("s", "same", version(1, 2_006), 2_001, &costly(70))));
}

#[test]
fn bytes_are_limited_for_each_tenant_and_together_and_given_back_to_the_last() {
    let config =
        Config { subscription_bytes_per_tenant_max: 60_000, subscription_bytes_max: 90_000, ..Config::default() };
    let mut subscriptions = with(&config);
    let long = |index| format!("a = '{index}{}'", "x".repeat(2_000));
    let (taken, excess) = fill(&mut subscriptions, "s", long);
    assert_eq!((excess.limited, excess.limit), (Limited::TenantBytes, 60_000));
    assert!((10..25).contains(&taken), "{taken}");
    let other = |counter: u64| {
        let mut put = put("t", &format!("y{counter}"), version(1, counter), counter, &long(counter));
        put.tenant = Tenant(Arc::from("other"));
        put
    };
    let refused = (1..100).find_map(|counter| match apply(&mut subscriptions, &other(counter)) {
        Outcome::LimitExceeded(excess) => Some((counter - 1, excess)),
        _ => None,
    });
    let (others, excess) = refused.expect("a limit of all");
    assert_eq!((excess.limited, excess.limit), (Limited::Bytes, 90_000));
    assert!(others > 2 && subscriptions.bytes() == excess.used, "{others} {excess:?}");
    // All that is given back is all that was taken: the sums are asserted to be zero with the last of a tenant.
    for counter in 1..=taken {
        apply(&mut subscriptions, &remove("s", &format!("{counter:07}"), version(1, 5_000 + counter)));
    }
    let mut end = forget("t", 1);
    end.tenant = Tenant(Arc::from("other"));
    apply(&mut subscriptions, &end);
    while subscriptions.has_doomed() {
        subscriptions.remove_doomed();
    }
    assert_eq!((subscriptions.bytes(), subscriptions.weights.tenants()), (0, 0));
}

#[test]
fn a_change_of_context_touches_no_row() {
    let mut subscriptions = new();
    for index in 1..=100_u64 {
        apply(&mut subscriptions, &put("s", &format!("x{index}"), version(1, index), index, "a > $limit AND b = 1"));
    }
    let entries = [("a", Value::from(5_i64)), ("b", Value::from(1_i64))];
    assert!(handles(&mut subscriptions, &entries).is_empty(), "without a context nothing is known");
    assert!(subscriptions.survey().is_some());
    for (counter, limit, matching) in [(101, 3_i64, 100), (102, 7, 0), (103, 4, 100)] {
        let context = Arc::new(attributes(&[("limit", Value::from(limit))]));
        apply(&mut subscriptions, &operation("s", version(1, counter), Change::SetContext(context)));
        assert_eq!(subscriptions.survey(), None, "no row was put in, taken out or indexed anew");
        assert_eq!(handles(&mut subscriptions, &entries).len(), matching, "below {limit}");
    }
}
