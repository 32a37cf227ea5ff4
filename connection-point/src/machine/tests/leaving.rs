//! Claims about a connection point that is to leave.

use gomera_cluster::report::Clients;

use super::*;

const OTHER: Incarnation = Incarnation(9);

/// Two connection points; this one is to leave.
fn leaving(epoch: u64) -> Layout {
    let mut layout = staying(epoch);
    layout.leaving.insert(CONNECTION_POINT.node);
    layout
}

fn staying(epoch: u64) -> Layout {
    let mut layout = Layout { epoch: Epoch(epoch), ..layout(1) };
    let ours = layout.members[&CONNECTION_POINT.node].clone();
    layout.members.insert(OTHER, Member { client_address: Arc::from("10.0.0.9:7411"), ..ours });
    layout
}

fn asked(bench: &mut Bench, number: u64) -> bool {
    bench.replies(number).iter().any(|reply| match reply {
        ClientReply::MoveTo { endpoints } => {
            assert_eq!(endpoints.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["10.0.0.9:7411"]);
            true
        }
        ClientReply::PublisherOpened { .. }
        | ClientReply::Acknowledged { .. }
        | ClientReply::PublicationRefused { .. }
        | ClientReply::Attached { .. }
        | ClientReply::SubscriptionsLost { .. }
        | ClientReply::Applied { .. }
        | ClientReply::Found { .. }
        | ClientReply::Failed { .. }
        | ClientReply::Notifications(_) => false,
    })
}

#[test]
fn clients_are_asked_to_move_some_at_a_time_and_served_meanwhile() {
    let mut bench = Bench::new(Config { moves_per_second: 200, ..Config::default() });
    for number in [1, 3, 5] {
        bench.begin_publisher(number, &format!("p{number}"), Some(number));
        bench.open_publisher(number, 0, 0);
    }
    bench.session(2, "s", 1);
    bench.connect(4);
    bench.layout(leaving(2));
    bench.pass(Duration::ZERO);
    // 200 a second are 2 every 10 ms, the oldest first.
    let mut order = Vec::new();
    for step in 0..4 {
        for number in 1..=5 {
            if asked(&mut bench, number) {
                order.push((step, number));
            }
        }
        bench.pass(Duration::from_millis(10));
    }
    assert_eq!(order, [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5)]);
    bench.publish(1, 1..=2);
    assert_eq!(sequences(&bench.published()), [1, 2], "served as before");
    assert_eq!(bench.statistics().connections_asked_to_move, 5);
    assert_eq!(bench.machine.report().clients, Clients::Some);
    for number in 1..=5 {
        bench.disconnect(number);
    }
    assert_eq!(bench.machine.report().clients, Clients::None);
}

#[test]
fn who_comes_is_turned_away_and_who_stays_is_closed_in_the_end_and_counted() {
    let mut bench = Bench::new(Config { leave_within: Duration::from_secs(3), ..Config::default() });
    bench.begin_publisher(1, "p", Some(9));
    bench.open_publisher(1, 0, 0);
    bench.session(2, "s", 1);
    bench.connect(3);
    bench.layout(leaving(2));
    bench.connect(4);
    assert!(bench.closed_with(4).message.contains("to leave the cluster: connect to another one"));
    bench.pass(Duration::from_millis(2_999));
    assert_eq!((bench.closed(1), bench.closed(2), bench.closed(3)), (None, None, None));
    bench.pass(Duration::from_millis(1));
    for number in 1..=3 {
        assert_eq!(bench.closed_with(number).kind, FailureKind::Unavailable);
    }
    let statistics = bench.statistics();
    assert_eq!((statistics.connections_forced, statistics.connections_turned_away), (3, 1));
    assert_eq!(statistics.connections, 0);
    assert_eq!(bench.machine.poll_timeout(), None);
}

#[test]
fn a_layout_that_calls_it_back_ends_it() {
    let mut bench = Bench::new(Config { moves_per_second: 1, ..Config::default() });
    bench.begin_publisher(1, "p", Some(9));
    bench.open_publisher(1, 0, 0);
    bench.session(2, "s", 1);
    bench.layout(leaving(2));
    bench.pass(Duration::ZERO);
    assert!(asked(&mut bench, 1) && !asked(&mut bench, 2));
    bench.layout(staying(3));
    bench.pass(Duration::from_secs(60));
    assert!(!asked(&mut bench, 2));
    assert_eq!((bench.closed(1), bench.closed(2)), (None, None));
    bench.connect(3);
    assert_eq!(bench.closed(3), None, "taken in again");
    // Told again, it begins anew.
    bench.layout(leaving(4));
    bench.pass(Duration::from_millis(20));
    assert!(asked(&mut bench, 1) && asked(&mut bench, 2));
}
