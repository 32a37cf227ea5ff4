//! Claims about operations on what had no room.

use gomera_cluster::identity::{Handle, SubscriptionKey, Tenant};
use gomera_cluster::message::connection_point::Completed;
use gomera_cluster::operation::{Change, Existing, Subscription, SubscriptionOptions};
use gomera_cluster::position::Vector;
use gomera_model::filter::{Filter, FilterLimits};

use super::*;

fn put() -> Change {
    let filter = Filter::parse("a = 1", &FilterLimits::default()).expect("a filter");
    let (key, id) = (SubscriptionKey::of(&Tenant::open(), "s", "x"), Arc::from("x"));
    Change::Put(
        Subscription { key, id, handle: Handle(1), filter, options: SubscriptionOptions::default() },
        Existing::Any,
    )
}

/// Both have worked off so much; the first one decides. Gives what clients are told, by version.
fn progress(bench: &mut Bench, through: u64, outcomes: &[(u64, Outcome)], refused: &[u64]) -> Vec<(u64, Outcome)> {
    for (matcher, decides) in MATCHERS.into_iter().zip([true, false]) {
        let outcomes = outcomes.iter().filter(|_| decides).map(|(number, outcome)| (Number(*number), outcome.clone()));
        let refused = refused.iter().filter(|_| decides).map(|&number| (Number(number), None));
        let (outcomes, refused) = (outcomes.collect(), refused.collect());
        let progress = Progress { lane: LANE, through: Number(through), outcomes, refused };
        bench.lane.progress(matcher, progress, &mut bench.output);
    }
    bench.flush();
    let completed = bench.told.drain(..).filter_map(|(_, told)| match told {
        ToConnectionPoint::Completed(Completed { version, outcome, .. }) => Some((version.counter, outcome)),
        _ => None,
    });
    completed.collect()
}

#[test]
fn what_resumes_what_had_no_room_is_asked_again_behind_its_being_taken_back() {
    let mut layout = (*layout(2)).clone();
    for placement in &mut layout.matcher {
        let roles = [(MATCHERS[0], Role::Active), (MATCHERS[1], Role::Standby)];
        placement.replicas = roles.map(|(holder, role)| Replica { holder, role }).into();
    }
    let mut bench = Bench::open_for_all(&Config::default());
    bench.lane.govern(&Arc::new(Routes::new(Arc::new(layout))), &mut bench.output);
    let resume = Change::SetPaused(SubscriptionKey::of(&Tenant::open(), "s", "x"), false);
    let operations = vec![operation("s", 1, put()), operation("s", 2, resume.clone())];
    bench.lane.operate(CONNECTION_POINT, Operate { lane: LANE, operations }, &mut bench.output);
    bench.flush();
    let applied = Outcome::Applied { handle: None, in_force_after: Vector::default() };
    // Both come before the put is taken back, as number 5.
    assert!(progress(&mut bench, 3, &[(3, Outcome::Superseded)], &[3]).is_empty(), "it is to be taken back first");
    assert!(progress(&mut bench, 4, &[(4, applied.clone())], &[]).is_empty(), "what was resumed is taken back");
    let told = progress(&mut bench, 5, &[(5, applied.clone())], &[]);
    assert!(matches!(told.as_slice(), [(1, Outcome::Superseded)]), "{told:?}");
    let told = progress(&mut bench, 6, &[(6, Outcome::NotFound)], &[]);
    assert!(matches!(told.as_slice(), [(2, Outcome::Unanswered)]), "it may have been in force for a while: {told:?}");
    // Nothing is taken back any more.
    bench.lane.operate(
        CONNECTION_POINT,
        Operate { lane: LANE, operations: vec![operation("s", 3, resume)] },
        &mut bench.output,
    );
    bench.flush();
    assert_eq!(progress(&mut bench, 7, &[(7, applied)], &[]).len(), 1);
    assert!(bench.lane.restoring.is_empty(), "nothing of it is kept");
}
