//! Claims about slices on their way here.

use gomera_cluster::address::{Incarnation, Shard};

use super::*;

#[test]
fn more_is_granted_no_faster_than_the_configuration_says() {
    let config = Config { snapshot_bytes_per_second: 1_000, snapshot_window_bytes: 1, ..Config::default() };
    let (mut replicas, mut subscriptions) = (Replicas::new(1, &config), Subscriptions::new(&config));
    let source = Address { node: Incarnation(9), shard: Shard(0) };
    let mut credit = ReceiveCredit::new(config.snapshot_window_bytes);
    credit.grant().expect("the first one");
    let (transfer, slices, sessions) = (TransferId(1), Arc::default(), Sessions::Wanted);
    replicas.incoming.insert(source, Incoming { transfer, slices, sessions, credit });
    let mut at = Instant::ZERO;
    for _ in 0..10 {
        let part = SnapshotPart { transfer, sessions: Vec::new(), subscriptions: Vec::new(), extent: Extent::More };
        let pause = Duration::from_millis(part.cost());
        replicas.take(at, source, part, &mut subscriptions);
        assert_eq!((replicas.credits_due(), replicas.credits(at).len()), (Some(at + pause), 0));
        at = at + pause;
        assert_eq!(replicas.credits(at).len(), 1);
    }
}
