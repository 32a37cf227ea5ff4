//! Claims about what matchers are sent.

use super::*;

#[test]
fn matchers_are_told_how_far_all_exit_points_have_merged_with_entries_or_when_none_have_followed_for_a_second() {
    let mut bench = Bench::open_for_all(&Config::default());
    let told = |bench: &mut Bench| {
        let frames = bench.entries.drain(..).filter(|&(to, _)| to == MATCHERS[0]);
        frames.map(|(_, frame)| (frame.to.0, frame.merged.map(|merged| merged.0))).collect::<Vec<_>>()
    };
    bench.publish(vec![submission("p", 1, 1)]);
    bench.flush();
    bench.merge(0, 2);
    bench.merge(1, 1);
    bench.publish(vec![submission("p", 2, 1)]);
    bench.flush();
    assert_eq!(told(&mut bench), [(1, Some(0)), (2, Some(0)), (3, Some(1))]);
    assert_eq!(bench.lane.next_saying(), None, "everything is said");
    bench.merge(0, 3);
    bench.merge(1, 3);
    let at = bench.lane.next_saying().expect("something is to be said");
    bench.lane.sweep(Instant::ZERO);
    bench.flush();
    assert!(told(&mut bench).is_empty(), "entries may follow");
    bench.lane.sweep(at);
    bench.flush();
    assert_eq!((told(&mut bench), bench.lane.next_saying()), (vec![(3, Some(3))], None), "once");
    bench.flush();
    assert!(told(&mut bench).is_empty());
}

#[test]
fn who_only_loads_slices_is_sent_no_publications_from_that_barrier_on_until_it_has_some() {
    let with = |epoch, role| {
        let mut layout = (*layout(epoch)).clone();
        for placement in &mut layout.matcher {
            placement.replicas = [(MATCHERS[0], Role::Active), (MATCHERS[1], role)]
                .map(|(holder, role)| Replica { holder, role })
                .into();
        }
        Arc::new(Routes::new(Arc::new(layout)))
    };
    let mut bench = Bench::open_for_all(&Config::default());
    let mut sequence = 0;
    let mut told = |bench: &mut Bench, matcher: Address| {
        sequence += 1;
        bench.publish(vec![submission("p", sequence, 1)]);
        bench.flush();
        let to = |frame: &&(Address, Entries)| frame.0 == matcher;
        let entries = bench.entries.iter().filter(to).flat_map(|(_, frame)| frame.entries.iter().map(|(at, _)| at.0));
        let entries = entries.collect::<Vec<_>>();
        let through = bench.entries.iter().rfind(to).map(|(_, frame)| frame.to.0);
        bench.entries.clear();
        (entries, through)
    };
    assert_eq!(told(&mut bench, MATCHERS[1]), (vec![1, 2], Some(2)));
    bench.lane.govern(&with(2, Role::Joining), &mut bench.output);
    assert_eq!(told(&mut bench, MATCHERS[1]), (vec![3], Some(4)), "the barrier, and that there is more");
    assert_eq!(told(&mut bench, MATCHERS[1]), (vec![], None), "it hears of that later");
    assert_eq!(told(&mut bench, MATCHERS[0]), (vec![6], Some(6)));
    bench.lane.govern(&with(3, Role::Joining), &mut bench.output);
    bench.lane.govern(&with(4, Role::Standby), &mut bench.output);
    assert_eq!(told(&mut bench, MATCHERS[1]), (vec![7, 8, 9], Some(9)));
    assert_eq!(told(&mut bench, MATCHERS[1]), (vec![10], Some(10)));
    bench.lane.govern(&with(5, Role::Joining), &mut bench.output);
    let heard = (0..600).filter_map(|_| told(&mut bench, MATCHERS[1]).1).collect::<Vec<_>>();
    assert_eq!(heard, [12, 268, 524], "that there is more, now and then");
}

#[test]
fn merged_entries_stay_until_every_matcher_was_sent_them() {
    let mut bench = Bench::new(&Config::default());
    bench.publish(vec![submission("p", 1, 1)]);
    bench.lane.entries_credit(MATCHERS[0], Class::Live, Total(u64::MAX));
    bench.flush();
    for exit in 0..2 {
        bench.merge(exit, 2);
    }
    assert!(bench.acknowledged().is_empty());
    bench.lane.entries_credit(MATCHERS[1], Class::Live, Total(u64::MAX));
    bench.flush();
    bench.merge(0, 2);
    assert_eq!(bench.acknowledged(), [1]);
}

#[test]
fn who_is_sent_no_publications_hears_of_them_seldom_however_long_the_load_lasts() {
    let mut layout = (*layout(2)).clone();
    for placement in &mut layout.matcher {
        placement.replicas = vec![Replica { holder: MATCHERS[0], role: Role::Active }];
    }
    let mut bench = Bench::open_for_all(&Config::default());
    bench.lane.govern(&Arc::new(Routes::new(Arc::new(layout))), &mut bench.output);
    let mut frames = Vec::new();
    for second in 0..3 {
        bench.entries.clear();
        for step in 0..1000 {
            let (number, now) =
                (1000 * second + step, Instant::from_start(Duration::from_millis(1000 * second + step)));
            let last = bench.lane.log.last();
            EXITS.iter().for_each(|&exit| bench.lane.merged(now, exit, last));
            bench.publish(vec![submission("p", number + 1, 1)]);
            if bench.lane.next_sweep().is_some_and(|at| at <= now) {
                bench.lane.sweep(now);
            }
            bench.flush();
        }
        frames.push(bench.entries.iter().filter(|(to, _)| *to == MATCHERS[1]).count());
    }
    assert!(frames.iter().all(|&frames| frames < 8), "{frames:?}");
}
