//! Claims about the session machine.

use std::sync::Arc;

use bytes::Bytes;
use gomera_cluster::position::{LaneId, Number};
use gomera_model::Timestamp;

use super::*;

const NOW: Duration = Duration::ZERO;

struct Bench {
    machine: Machine,
    completions: Vec<Completion>,
}

impl Bench {
    fn new(window: u64) -> Self {
        Self { machine: Machine::new(Acknowledgement::Automatic, window), completions: Vec::new() }
    }

    fn attached(window: u64) -> Self {
        let mut bench = Self::new(window);
        bench.credit();
        bench.attach(false, &[]);
        bench
    }

    /// The credit that goes with an attach.
    fn credit(&mut self) -> Request {
        self.machine.first_credit()
    }

    fn reply(&mut self, reply: Reply) {
        self.machine.reply(reply, NOW, &mut self.completions);
    }

    fn attach(&mut self, resumed: bool, merged: &[(u32, u64)]) {
        self.reply(Reply::Attached { resumed, merged: vector(merged) });
    }

    fn sent(&mut self) -> Vec<Request> {
        let mut sent = Vec::new();
        self.machine.send(&mut sent);
        sent
    }

    fn subscribe(&mut self, id: &str) -> RequestId {
        self.machine.ask(Operation::Subscribe(declaration(id)))
    }

    fn applied(&mut self, request: RequestId, handle: u64) {
        self.reply(Reply::Applied { request, handle: Some(handle), in_force_after: vector(&[(1, 1_000)]) });
    }

    fn arrive(&mut self, number: u64, handles: &[u64]) {
        let notification = Notification {
            subscriptions: Vec::new(),
            satisfied: 1,
            publisher: "p".into(),
            instance: 1,
            sequence: number,
            accepted: Timestamp(0),
            redelivered: false,
            lane: 1,
            number,
            content: Bytes::new(),
            ordinal: Ordinal::default(),
        };
        let position = Position { lane: LaneId(1), number: Number(number) };
        self.reply(Reply::Notification { notification, handles: handles.to_vec(), position, merged: Vec::new() });
    }

    /// Everything the program can take, as text.
    fn taken(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.machine.take())
            .map(|event| match event {
                Event::Notification(notification) => {
                    format!("{}:{}", notification.number, notification.subscriptions.join("+"))
                }
                Event::Gap(gap) => format!("gap {}", gap.dropped),
                Event::Resumed => "resumed".into(),
                Event::Recreated => "recreated".into(),
                Event::SubscriptionsLost => "subscriptions lost".into(),
                Event::RedeclarationFailed { subscription, .. } => {
                    format!("failed {}", subscription.unwrap_or_default())
                }
            })
            .collect()
    }
}

fn declaration(id: &str) -> Declaration {
    Declaration { id: id.into(), filter: "a = 1".into(), paused: false, expires_after: None }
}

fn vector(positions: &[(u32, u64)]) -> Vector {
    positions.iter().map(|&(lane, number)| Position { lane: LaneId(lane), number: Number(number) }).collect()
}

fn operations(sent: &[Request]) -> Vec<&Operation> {
    sent.iter()
        .filter_map(|request| match request {
            Request::Operation(_, operation) => Some(operation),
            Request::Acknowledge(_) | Request::Credit(_) => None,
        })
        .collect()
}

#[test]
fn nothing_but_the_attach_is_sent_before_it_is_answered() {
    let mut bench = Bench::new(8);
    bench.subscribe("a");
    assert!(!bench.machine.wants_to_send());
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.machine.resume_from(), None);
    assert_eq!(bench.credit(), Request::Credit(8));
    bench.attach(false, &[]);
    assert!(bench.machine.wants_to_send());
    assert_eq!(bench.sent(), [Request::Operation(RequestId(1), Operation::Subscribe(declaration("a")))]);
}

#[test]
fn a_notification_that_overtakes_the_answer_explaining_it_waits_and_so_does_what_follows() {
    let mut bench = Bench::attached(8);
    let known = bench.subscribe("known");
    bench.sent();
    bench.applied(known, 1);
    let new = bench.subscribe("new");
    bench.sent();
    bench.arrive(1, &[1]);
    bench.arrive(2, &[1, 2]);
    bench.arrive(3, &[1]);
    assert_eq!(bench.taken(), ["1:known"]);
    bench.applied(new, 2);
    assert_eq!(bench.taken(), ["2:known+new", "3:known"]);
}

#[test]
fn an_unknown_handle_does_not_wait_for_requests_made_later() {
    let mut bench = Bench::attached(8);
    bench.arrive(1, &[7]);
    assert_eq!(bench.taken(), ["1:"], "nothing is on its way that could explain it");
    let first = bench.subscribe("first");
    bench.sent();
    bench.arrive(2, &[7]);
    bench.subscribe("later");
    bench.sent();
    bench.reply(Reply::Failed { request: first, error: OperationError::Limit("full".into()), not_found: false });
    assert_eq!(bench.taken(), ["2:"]);
    assert!(matches!(bench.completions.as_slice(), [(id, Err(OperationError::Limit(_)))] if *id == first));
}

#[test]
fn a_process_that_takes_over_a_session_learns_its_subscriptions_page_by_page_before_it_is_ready() {
    let mut bench = Bench::new(8);
    bench.attach(true, &[(1, 5)]);
    let sent = bench.sent();
    assert_eq!(operations(&sent), [&Operation::List { after: 0, limit: 1_000 }]);
    bench.arrive(6, &[1_001]);
    assert!(bench.taken().is_empty());
    let page = |from: u64, to: u64| {
        (from..=to).map(|handle| Listed { declaration: declaration(&format!("s{handle}")), handle }).collect()
    };
    bench.reply(Reply::Listed { request: RequestId(1), subscriptions: page(1, 1_000) });
    assert!(!bench.machine.is_ready());
    assert!(bench.taken().is_empty());
    assert_eq!(operations(&bench.sent()), [&Operation::List { after: 1_000, limit: 1_000 }]);
    bench.reply(Reply::Listed { request: RequestId(2), subscriptions: page(1_001, 1_001) });
    assert!(bench.machine.is_ready());
    assert_eq!(bench.taken(), ["6:s1001"]);
}

#[test]
fn after_a_break_what_was_not_answered_goes_again_in_order_and_the_session_resumes_from_what_is_processed() {
    let mut bench = Bench::attached(8);
    let answered = bench.subscribe("a");
    bench.subscribe("b");
    bench.sent();
    bench.applied(answered, 1);
    bench.machine.ask(Operation::Unsubscribe("b".into()));
    bench.arrive(1, &[1]);
    bench.arrive(2, &[1]);
    assert!(bench.machine.take().is_some());
    assert!(bench.machine.take().is_some(), "asking for the second finishes the first");
    bench.machine.disconnected();
    assert_eq!(bench.sent(), []);
    assert!(bench.machine.resume_from().is_some());
    assert_eq!(bench.credit(), Request::Credit(7), "one is still in the program's hand");
    bench.attach(true, &[(1, 1)]);
    let sent = bench.sent();
    assert_eq!(operations(&sent), [&Operation::Subscribe(declaration("b")), &Operation::Unsubscribe("b".into())]);
    bench.arrive(2, &[1]);
    bench.arrive(3, &[1]);
    assert_eq!(bench.taken(), ["resumed", "3:a"]);
}

#[test]
fn a_lost_session_is_declared_again_before_anything_else_and_the_program_is_told() {
    let mut bench = Bench::attached(8);
    for (id, handle) in [("a", 1), ("b", 2)] {
        let request = bench.subscribe(id);
        bench.sent();
        bench.applied(request, handle);
    }
    let context = Arc::new(gomera_model::Attributes::default());
    let request = bench.machine.ask(Operation::SetContext(context.clone()));
    bench.sent();
    bench.reply(Reply::Applied { request, handle: None, in_force_after: Vector::default() });
    bench.arrive(50, &[1]);
    let pending = bench.machine.ask(Operation::Unsubscribe("b".into()));
    bench.sent();
    bench.machine.disconnected();
    bench.attach(false, &[(1, 3)]);
    let sent = bench.sent();
    assert_eq!(
        operations(&sent),
        [
            &Operation::SetContext(context),
            &Operation::Subscribe(declaration("a")),
            &Operation::Subscribe(declaration("b")),
            &Operation::Unsubscribe("b".into()),
        ]
    );
    // Lanes may count from 1 again, and handles too.
    bench.arrive(4, &[1]);
    let declared: Vec<_> = sent
        .iter()
        .filter_map(|request| match request {
            Request::Operation(id, Operation::Subscribe(_)) => Some(*id),
            Request::Operation(..) | Request::Acknowledge(_) | Request::Credit(_) => None,
        })
        .collect();
    assert_eq!(bench.taken(), ["50:a", "recreated"]);
    bench.applied(declared[0], 1);
    bench.reply(Reply::Failed { request: declared[1], error: OperationError::Limit("full".into()), not_found: false });
    assert_eq!(bench.taken(), ["4:a", "failed b"]);
    bench.reply(Reply::Failed { request: pending, error: OperationError::NotFound("b".into()), not_found: true });
    assert!(matches!(bench.completions.last(), Some((id, Ok(_))) if *id == pending), "it is removed either way");
}

#[test]
fn an_unsubscribe_that_was_never_sent_before_and_finds_nothing_fails() {
    let mut bench = Bench::attached(8);
    let request = bench.machine.ask(Operation::Unsubscribe("nothing".into()));
    bench.sent();
    bench.reply(Reply::Failed { request, error: OperationError::NotFound("nothing".into()), not_found: true });
    assert!(matches!(bench.completions.as_slice(), [(id, Err(OperationError::NotFound(_)))] if *id == request));
}

#[test]
fn a_read_that_nobody_could_answer_is_asked_again_a_few_times() {
    let mut bench = Bench::attached(10);
    let request = bench.machine.ask(Operation::List { after: 0, limit: 5 });
    for _ in 0..3 {
        let sent = bench.sent();
        assert!(sent.contains(&Request::Operation(request, Operation::List { after: 0, limit: 5 })), "{sent:?}");
        bench.reply(unanswered(request));
        assert!(bench.completions.is_empty());
    }
    bench.sent();
    bench.reply(unanswered(request));
    assert!(matches!(bench.completions.as_slice(), [(id, Err(OperationError::Refused { .. }))] if *id == request));
}

#[test]
fn a_change_that_nobody_could_answer_is_asked_again_unless_something_went_out_after_it() {
    let mut bench = Bench::attached(10);
    let request = bench.machine.ask(Operation::Unsubscribe("a".into()));
    bench.sent();
    bench.reply(unanswered(request));
    assert!(bench.sent().contains(&Request::Operation(request, Operation::Unsubscribe("a".into()))));
    // The first one had removed it.
    bench.reply(Reply::Failed { request, error: OperationError::NotFound("a".into()), not_found: true });
    assert!(matches!(bench.completions.as_slice(), [(id, Ok(_))] if *id == request));

    let (earlier, later) = (bench.subscribe("b"), bench.machine.ask(Operation::Unsubscribe("b".into())));
    bench.sent();
    bench.applied(later, 1);
    // Declared again now, it would be there although the program has removed it: the program decides.
    bench.reply(unanswered(earlier));
    assert!(matches!(bench.completions.last(), Some((id, Err(OperationError::Refused { .. }))) if *id == earlier));
    assert!(bench.sent().iter().all(|request| !matches!(request, Request::Operation(..))));
}

fn unanswered(request: RequestId) -> Reply {
    let error = OperationError::Refused { code: tonic::Code::Unavailable, message: "a matcher died".into() };
    Reply::Failed { request, error, not_found: false }
}

#[test]
fn credit_follows_what_the_program_has_finished() {
    let mut bench = Bench::attached(8);
    for number in 1..=8 {
        bench.arrive(number, &[]);
    }
    assert!(!bench.machine.wants_to_send(), "nothing is finished, so nothing more is granted");
    bench.machine.take();
    bench.machine.take();
    bench.machine.take();
    assert!(bench.machine.wants_to_send());
    assert!(bench.sent().contains(&Request::Credit(10)), "two of eight are finished");
    bench.taken();
    let sent = bench.sent();
    assert_eq!(sent, [Request::Acknowledge(vector(&[(1, 8)])), Request::Credit(16)]);
    assert!(!bench.machine.wants_to_send());
}

#[test]
fn acknowledgements_wait_until_nothing_is_left_or_enough_has_gathered() {
    let mut bench = Bench::attached(10_000);
    for number in 1..=200 {
        bench.arrive(number, &[]);
    }
    for _ in 0..10 {
        bench.machine.take();
    }
    assert!(!bench.machine.wants_to_send());
    for _ in 0..60 {
        bench.machine.take();
    }
    assert!(bench.machine.wants_to_send());
    assert_eq!(bench.sent(), [Request::Acknowledge(vector(&[(1, 69)]))]);
    bench.taken();
    assert!(bench.machine.wants_to_send());
}

#[test]
fn by_hand_nothing_is_acknowledged_unless_the_program_says_so() {
    let mut bench = Bench { machine: Machine::new(Acknowledgement::Manual, 4), completions: Vec::new() };
    bench.credit();
    bench.attach(false, &[]);
    for number in 1..=4 {
        bench.arrive(number, &[]);
    }
    let taken: Vec<_> = std::iter::from_fn(|| bench.machine.take()).collect();
    assert!(!bench.machine.wants_to_send(), "a program that acknowledges nothing gets no more than its window");
    let Some(Event::Notification(third)) = taken.get(2) else { panic!("four notifications: {taken:?}") };
    bench.machine.acknowledge(third);
    assert!(bench.machine.wants_to_send());
    assert_eq!(bench.sent(), [Request::Acknowledge(vector(&[(1, 3)])), Request::Credit(7)]);
}

#[test]
fn what_repeats_while_nobody_reads_is_joined() {
    let mut bench = Bench::attached(8);
    for round in 0..3 {
        bench.machine.disconnected();
        bench.attach(true, &[]);
        bench.reply(Reply::Gap(Gap::default()));
        bench.reply(Reply::Gap(Gap { dropped: 1 + round, ranges: vec![] }));
    }
    assert_eq!(bench.taken(), ["resumed", "gap 1", "resumed", "gap 2", "resumed", "gap 3"]);
    for _ in 0..3 {
        bench.machine.disconnected();
        bench.attach(true, &[]);
    }
    assert_eq!(bench.taken(), ["resumed"]);
}

#[test]
fn what_was_never_answered_is_told_when_it_is_over() {
    let mut bench = Bench::attached(8);
    let first = bench.subscribe("a");
    bench.sent();
    let second = bench.subscribe("b");
    assert_eq!(bench.machine.abandon(), [first, second]);
}

#[test]
fn the_end_of_a_session_that_was_asked_for_is_no_break_before_and_after_it_is_answered() {
    let mut bench = Bench::attached(8);
    assert!(!bench.machine.is_ending());
    let request = bench.machine.ask(Operation::End);
    bench.sent();
    assert!(bench.machine.is_ending());
    bench.reply(Reply::Applied { request, handle: None, in_force_after: Vector::default() });
    assert!(bench.machine.is_ending());
    assert!(matches!(bench.completions.as_slice(), [(id, Ok(_))] if *id == request));
}

#[test]
fn a_session_that_moves_goes_on_without_a_word_and_asks_again_what_was_not_answered() {
    let mut bench = Bench::attached(100);
    let first = bench.subscribe("a");
    assert_eq!(bench.sent().len(), 1);
    bench.applied(first, 7);
    bench.arrive(1, &[7]);
    let second = bench.subscribe("b");
    bench.sent();
    bench.machine.moves();
    assert!(!bench.machine.wants_to_send(), "nothing is sent between two attachments");
    assert!(bench.machine.resume_from().is_some());
    bench.credit();
    bench.attach(true, &[]);
    let again = bench.sent();
    assert!(again.iter().any(|request| matches!(request, Request::Operation(id, _) if *id == second)), "{again:?}");
    // What the other connection brings again was had already.
    bench.arrive(1, &[7]);
    bench.arrive(2, &[7]);
    assert_eq!(bench.taken(), ["1:a", "2:a"]);
    // A connection that breaks while it moves is told when the session is back.
    bench.machine.moves();
    bench.machine.disconnected();
    bench.credit();
    bench.attach(true, &[]);
    assert_eq!(bench.taken(), ["resumed"]);
}

#[test]
fn what_may_be_lost_is_declared_again_once_but_for_what_is_under_way() {
    let mut bench = Bench::attached(8);
    for (id, handle) in [("a", 1), ("b", 2)] {
        let asked = bench.subscribe(id);
        bench.sent();
        bench.applied(asked, handle);
    }
    let update = bench.machine.ask(Operation::Update(declaration("b")));
    bench.sent();
    bench.reply(Reply::SubscriptionsLost(7));
    bench.reply(Reply::SubscriptionsLost(7));
    let sent = bench.sent();
    assert_eq!(operations(&sent), [&Operation::Subscribe(declaration("a"))]);
    assert_eq!(bench.taken(), ["subscriptions lost"]);
    // The update met nothing: what was there before is declared again.
    let error = OperationError::NotFound("b".into());
    bench.reply(Reply::Failed { request: update, error, not_found: true });
    let sent = bench.sent();
    assert_eq!(operations(&sent), [&Operation::Subscribe(declaration("b"))]);
}
