//! Claims about layouts: waiting for one, following one.

use gomera_cluster::layout::{Lane, LaneState, Replica, Role};
use gomera_cluster::message::connection_point::{AttachRefusal, AttachRefused};

use gomera_cluster::message::copies::{AttachTerm, AttachedHere};

use super::*;

#[test]
fn clients_that_come_before_the_layout_are_served_when_it_comes() {
    let mut bench = Bench::without_layout(Config::default());
    bench.begin_publisher(1, "p", Some(9));
    bench.begin_session(2, "s");
    bench.publish(1, 1..=3);
    bench.pass(Duration::from_secs(4));
    assert!(bench.actions.is_empty());
    bench.layout(layout(1));
    bench.open_publisher(1, 0, 0);
    bench.attach(1);
    bench.credit(Class::Live, UNLIMITED);
    assert_eq!(sequences(&bench.published()), [1, 2, 3]);
    bench.pass(Duration::from_secs(60));
    assert_eq!((bench.closed(1), bench.closed(2)), (None, None));
}

#[test]
fn clients_wait_for_a_layout_only_so_long() {
    let mut bench = Bench::without_layout(Config::default());
    bench.begin_publisher(1, "p", Some(9));
    bench.begin_session(2, "s");
    bench.pass(Duration::from_secs(5));
    for number in [1, 2] {
        let failure = bench.closed_with(number);
        assert_eq!(failure.kind, FailureKind::Unavailable);
        assert!(failure.message.contains("layout_wait"), "{}", failure.message);
    }
    assert_eq!(bench.statistics().connections, 0);
    assert_eq!(bench.machine.poll_timeout(), None);
}

#[test]
fn a_layout_without_an_open_lane_or_an_active_exit_point_is_waited_out() {
    let mut bare = layout(1);
    bare.lanes.clear();
    for placement in &mut bare.session {
        placement.replicas.clear();
    }
    let mut bench = Bench::without_layout(Config::default());
    bench.layout(bare);
    bench.begin_publisher(1, "p", Some(9));
    bench.begin_session(2, "s");
    assert!(bench.actions.is_empty());
    bench.layout(layout(2));
    assert_eq!((bench.opens().len(), bench.attaches().len()), (1, 1));
}

#[test]
fn a_publisher_that_no_access_point_answers_is_given_up() {
    let mut bench = Bench::new(Config::default());
    bench.begin_publisher(1, "p", Some(9));
    bench.publish(1, 1..=3);
    bench.pass(Duration::from_secs(10));
    let failure = bench.closed_with(1);
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.message.contains("answer_wait"), "{}", failure.message);
}

#[test]
fn clients_are_served_only_while_the_layout_names_the_connection_point() {
    let mut without_us = layout(1);
    without_us.members.remove(&CONNECTION_POINT.node);
    let mut bench = Bench::without_layout(Config::default());
    bench.layout(without_us.clone());
    bench.begin_publisher(1, "p", Some(9));
    assert!(bench.opens().is_empty());
    bench.layout(layout(2));
    bench.open_publisher(1, 0, 0);
    bench.session(2, "s", 1);
    bench.connect(3);
    bench.layout(Layout { epoch: Epoch(3), ..without_us });
    for number in [1, 2, 3] {
        assert_eq!(bench.closed_with(number).kind, FailureKind::Unavailable);
    }
    assert_eq!(bench.statistics().connections, 0);
}

#[test]
fn a_newer_layout_with_the_same_places_changes_nothing() {
    let mut bench = Bench::new(Config::default());
    bench.publisher(1, "p", 9);
    let attach = bench.session(2, "s", 1);
    bench.publish(1, [1]);
    bench.operate(2, 1, ClientOperation::Get(Arc::from("id")));
    bench.actions.clear();
    assert_eq!(bench.machine.epoch(), Epoch(1));
    bench.layout(Layout { epoch: Epoch(2), ..layout(1) });
    assert_eq!(bench.machine.epoch(), Epoch(2));
    assert!(bench.actions.is_empty());
    bench.publish(1, [2]);
    assert_eq!(sequences(&bench.published()), [2], "credit and generation stand");
    let items = vec![notification(0, 1, 10)];
    bench.notify(Notifications { publications: vec![publication(1)], batches: vec![batch(&attach, 1, items)] });
    assert_eq!(bench.replies(2).len(), 1);
}

/// The layout after `layout(1)` in which another exit point reigns over every slice.
fn moved() -> Layout {
    let mut moved = Layout { epoch: Epoch(2), ..layout(1) };
    let member = moved.members[&EXIT_POINT.node].clone();
    moved.members.insert(OTHER_EXIT_POINT.node, member);
    for placement in &mut moved.session {
        placement.term = Term(2);
        placement.replicas = vec![Replica { holder: OTHER_EXIT_POINT, role: Role::Active }];
    }
    moved
}

#[test]
fn an_attach_follows_its_session_and_the_older_exit_point_is_not_heard() {
    let mut bench = Bench::new(Config::default());
    bench.begin_session(1, "s");
    let first = bench.attaches().pop().expect("asked");
    bench.layout(moved());
    let second = bench.attaches().pop().expect("asked again");
    assert_eq!((first.term, second.term), (Term(1), Term(2)));
    bench.hear(EXIT_POINT, ToConnectionPoint::Attached(attached(&first, 9)));
    assert!(bench.replies(1).is_empty());
    bench.hear(OTHER_EXIT_POINT, ToConnectionPoint::Attached(attached(&second, 10)));
    assert!(matches!(bench.replies(1)[..], [ClientReply::Attached { generation: Generation(10), .. }]));
}

/// What the other exit point was told since this was looked at.
fn told_other(bench: &mut Bench) -> Vec<ToExitPoint> {
    bench.take(|action| match action {
        Action::Send(Send { to: OTHER_EXIT_POINT, message: Message::ExitPoint(message) }) => Some(message.clone()),
        Action::Send(_) | Action::Client(_) => None,
    })
}

/// The reign of the other exit point begins.
fn begin_reign(bench: &mut Bench, attach: &Attach, term: u64) -> Vec<AttachedHere> {
    let slices = vec![(attach.slice, Term(term))];
    bench.hear(OTHER_EXIT_POINT, ToConnectionPoint::AttachTerm(AttachTerm { slices }));
    told_other(bench)
        .into_iter()
        .find_map(|message| match message {
            ToExitPoint::TermAttached(attached) => Some(attached.sessions),
            _ => None,
        })
        .unwrap_or_default()
}

fn notified(attach: &Attach, term: u64, number: u64) -> Notifications {
    let notification = Notification {
        publication: 0,
        position: Position { lane: LANE, number: Number(number) },
        satisfied: Satisfied::One(Handle(1)),
        merged: Vec::new(),
        redelivered: false,
        cost: 100,
    };
    let batch = Batch {
        session: attach.session,
        slice: attach.slice,
        term: Term(term),
        connection: attach.connection,
        generation: Generation(1),
        items: vec![Item::Notification(notification)],
    };
    Notifications { publications: vec![publication(number)], batches: vec![batch] }
}

#[test]
fn a_session_goes_on_at_the_exit_point_that_takes_over_and_nothing_of_the_older_one_is_heard() {
    let mut bench = Bench::new(Config::default());
    let attach = bench.session(1, "s", 1);
    bench.notify(notified(&attach, 1, 5));
    assert_eq!(bench.replies(1).len(), 2, "attached, notified");
    bench.layout(moved());
    bench.notify(notified(&attach, 1, 6));
    assert!(bench.replies(1).is_empty(), "of a lower term");
    let here = begin_reign(&mut bench, &attach, 2);
    let [here] = &here[..] else { panic!("one is attached: {here:?}") };
    assert_eq!((here.connection, here.generation), (attach.connection, Generation(1)));
    assert_eq!(here.told.get(LANE), Number(5));
    assert_eq!(here.received, Total(100));
    bench.hear(OTHER_EXIT_POINT, ToConnectionPoint::Notifications(notified(&attach, 2, 6)));
    assert_eq!(bench.replies(1).len(), 1);
    assert_eq!(bench.closed(1), None, "the client sees nothing of it");
}

#[test]
fn a_reign_that_is_over_is_not_told_who_is_attached() {
    let mut bench = Bench::new(Config::default());
    let attach = bench.session(1, "s", 1);
    bench.layout(moved());
    assert!(begin_reign(&mut bench, &attach, 1).is_empty());
    assert_eq!(begin_reign(&mut bench, &attach, 2).len(), 1);
    assert!(begin_reign(&mut bench, &attach, 2).is_empty(), "it knows");
}

#[test]
fn what_a_client_asks_for_while_nobody_is_in_charge_is_asked_of_who_takes_over() {
    let mut bench = Bench::new(Config::default());
    let attach = bench.session(1, "s", 1);
    bench.layout(moved());
    bench.request(1, ClientRequest::EndSession { request: RequestId(3) });
    assert!(told_other(&mut bench).is_empty());
    let slices = vec![(attach.slice, Term(2))];
    bench.hear(OTHER_EXIT_POINT, ToConnectionPoint::AttachTerm(AttachTerm { slices }));
    let told = told_other(&mut bench);
    assert!(matches!(told[..], [ToExitPoint::TermAttached(_), ToExitPoint::EndSession(_)]), "{told:?}");
}

/// The layout after `layout(1)` in which the lane is another one.
fn relaned() -> Layout {
    let mut relaned = Layout { epoch: Epoch(2), ..layout(1) };
    relaned.lanes.clear();
    relaned.lanes.insert(LaneId(2), Lane { writer: ACCESS_POINT, state: LaneState::Open, since: Epoch(2) });
    relaned
}

#[test]
fn operations_without_an_open_lane_are_waited_for_only_so_long() {
    let mut bench = Bench::new(Config::default());
    bench.session(1, "idle", 1);
    bench.session(2, "busy", 1);
    let mut laneless = relaned();
    laneless.lanes.clear();
    bench.layout(laneless);
    bench.operate(2, 1, ClientOperation::Get(Arc::from("a")));
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.closed_with(2).kind, FailureKind::Unavailable);
    assert_eq!(bench.closed(1), None, "who asks nothing of a lane needs none");
}

#[test]
fn messages_of_machines_the_layout_does_not_name_are_refused() {
    let mut bench = Bench::new(Config::default());
    let open = bench.publisher(1, "p", 9);
    bench.publish(1, [1]);
    bench.replies(1);
    let through = AcknowledgedThrough {
        publisher: open.publisher,
        instance: open.instance,
        generation: Generation(1),
        sequence: Sequence(1),
    };
    let acknowledged = Acknowledged { lane: LANE, through: vec![through] };
    bench.hear(address(99), ToConnectionPoint::Acknowledged(acknowledged));
    assert!(bench.replies(1).is_empty());
    assert_eq!(bench.statistics().messages_refused, 1);
}

#[test]
fn a_late_refusal_of_an_earlier_attach_does_not_attach_twice() {
    let mut bench = Bench::new(Config::default());
    bench.begin_session(1, "s");
    let mut renewed = Layout { epoch: Epoch(2), ..layout(1) };
    for placement in &mut renewed.session {
        placement.term = Term(2);
    }
    bench.layout(renewed);
    let asked = bench.attaches();
    assert_eq!(asked.iter().map(|attach| attach.term).collect::<Vec<_>>(), [Term(1), Term(2)]);
    let refused =
        AttachRefused { connection: connection(1), session: asked[0].session, reason: AttachRefusal::NotActive };
    bench.hear(EXIT_POINT, ToConnectionPoint::AttachRefused(refused));
    bench.pass(Duration::from_secs(1));
    assert!(bench.attaches().is_empty(), "the second is still to be answered");
    bench.hear(EXIT_POINT, ToConnectionPoint::Attached(attached(&asked[1], 5)));
    assert!(matches!(bench.replies(1)[..], [ClientReply::Attached { .. }]));
}
