//! What the data shows to be a bad choice is corrected between publications.

use super::*;

/// Filters evaluated for so many publications, all with the value that nobody expected to be frequent; and their matches.
fn judge(bench: &mut Bench, first: u64, count: u64) -> (u64, u64) {
    let before = *bench.machine.statistics();
    for sequence in first..first + count {
        let t = format!("y{:02}-end", sequence % 20);
        let entries = [("n", Value::from(-1_i64)), ("s", Value::from("x7")), ("t", Value::from(t.as_str()))];
        bench.entries(vec![Entry::Publication(envelope(sequence, 0, &entries))]);
    }
    let after = bench.machine.statistics();
    (after.evaluations - before.evaluations, after.matches - before.matches)
}

#[test]
fn a_value_that_turns_out_frequent_costs_less_once_the_machine_had_time() {
    let mut bench = Bench::new(Config { subscriptions_per_session_max: 20_000, ..Config::default() }, 1);
    bench.grant(0, u64::MAX);
    for index in 0..16_000_u64 {
        let text = format!("s = 'x{}' AND STARTS_WITH(t, 'y{:02}-') AND n <> {index}", index % 50, index / 50 % 20);
        bench.entries(vec![operation(put("s", &format!("id{index}"), version(1, index + 1), index, &text))]);
    }
    bench.drain();
    let (early, early_matches) = judge(&mut bench, 0, 4);
    assert!(early >= 4 * 250, "every row under the value is looked at: {early}");
    // By now the value has proved to be frequent; some rows may have moved already.
    judge(&mut bench, 4, 60);
    let mut rounds = 0;
    while bench.machine.poll_timeout().is_some_and(|at| at == Instant::ZERO) {
        bench.machine.handle_timeout(Instant::ZERO);
        bench.drain();
        rounds += 1;
        assert!(rounds < 1_000, "it comes to rest");
    }
    let (late, late_matches) = judge(&mut bench, 64, 4);
    // Fewer than 64 rows under a key are left where they are.
    assert!(late * 4 < early, "{early} before, {late} after");
    assert_eq!((early_matches, late_matches), (4 * 16, 4 * 16));
}
