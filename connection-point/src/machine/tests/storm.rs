//! Claims that hold whatever happens in whatever order: random clients against access and exit points that answer late, refuse,
//! supersede and end, with every window at 1. A failure names its seed.

use std::collections::{BTreeSet, VecDeque};

use gomera_cluster::message::access_point::{SettleSession, Submission};
use gomera_cluster::message::connection_point::{
    AttachRefusal, AttachRefused, EndReason, Ended, PublisherSuperseded, Refusal, Refused, SessionSettled,
};

use super::*;

/// Numbers that look random: Marsaglia's xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// The other machines and the clients, as far as the connection point can tell.
struct Storm {
    bench: Bench,
    dice: Dice,
    /// Answers under way, per machine in order.
    access_point: VecDeque<ToConnectionPoint>,
    exit_point: VecDeque<ToConnectionPoint>,
    generation: u64,
    credits: [u64; 2],
    connections: u64,
    /// Connections that exist for the host.
    open: BTreeSet<u64>,
    paused: BTreeSet<u64>,
    /// What was sent last, per publisher and instance.
    sent: BTreeMap<(PublisherKey, Instance, Generation), Sequence>,
    sequence: u64,
    attached: Vec<(Attach, u64)>,
    acknowledged: u64,
    completed: u64,
    delivered: u64,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let config = Config {
            publisher_window_bytes: 1,
            publications_bytes_max: 1,
            session_window_bytes: 1,
            operations_outstanding_max: 1,
            attach_attempts_max: 3,
            publications_per_second_max: Some(50),
            connections_max: 8,
            ..Config::default()
        };
        let mut bench = Bench::without_layout(config);
        bench.layout(layout(1));
        Self {
            bench,
            dice: Dice(seed * 0x9e37_79b9 + 1),
            access_point: VecDeque::new(),
            exit_point: VecDeque::new(),
            generation: 0,
            credits: [0; 2],
            connections: 0,
            open: BTreeSet::new(),
            paused: BTreeSet::new(),
            sent: BTreeMap::new(),
            sequence: 0,
            attached: Vec::new(),
            acknowledged: 0,
            completed: 0,
            delivered: 0,
        }
    }

    /// Something a client does.
    fn client(&mut self) {
        if self.open.len() < 3 || self.dice.roll(20) == 0 {
            self.connections += 1;
            self.open.insert(self.connections);
            self.bench.connect(self.connections);
            let name: Arc<str> = Arc::from(format!("name{}", self.dice.roll(3)));
            let request = match self.dice.roll(3) {
                0 => attach_request(&name, SessionOptions::default(), None),
                1 => ClientRequest::OpenPublisher { publisher: name, instance: Some(Instance(1)) },
                _ => ClientRequest::OpenPublisher { publisher: name, instance: None },
            };
            self.bench.request(self.connections, request);
            return;
        }
        let index = usize::try_from(self.dice.roll(100)).expect("small") % self.open.len();
        let number = *self.open.iter().nth(index).expect("below its length");
        if self.dice.roll(60) == 0 {
            self.open.remove(&number);
            self.paused.remove(&number);
            return self.bench.disconnect(number);
        }
        // A paused client may have been read a little further.
        if self.paused.contains(&number) && self.dice.roll(5) > 0 {
            return;
        }
        let request = match self.dice.roll(5) {
            0 => ClientRequest::Operate { request: RequestId(1), operation: ClientOperation::Get(Arc::from("id")) },
            1 => ClientRequest::Acknowledge(vector(2)),
            2 if self.dice.roll(20) == 0 => ClientRequest::EndSession { request: RequestId(2) },
            _ => {
                let items = (0..self.dice.roll(4))
                    .map(|_| {
                        self.sequence += 1;
                        item(self.sequence, "content")
                    })
                    .collect();
                ClientRequest::Publish { items, acknowledged_through: Sequence(self.sequence) }
            }
        };
        self.bench.request(number, request);
    }

    /// Takes what the connection point asked for, checks it, and prepares answers.
    fn look(&mut self) {
        for action in std::mem::take(&mut self.bench.actions) {
            match action {
                Action::Send(Send { message, .. }) => self.machine(message),
                Action::Client(action) => self.told(action),
            }
        }
    }

    fn told(&mut self, action: ClientAction) {
        match action {
            ClientAction::Reply { connection, reply } => {
                assert!(self.open.contains(&connection.0), "a reply to a closed connection: {reply:?}");
                if let ClientReply::Notifications(deliveries) = reply {
                    self.delivered += u64::try_from(deliveries.len()).expect("few");
                    self.bench.taken(connection.0, u64::MAX);
                }
            }
            ClientAction::Pause { connection } => {
                assert!(self.open.contains(&connection.0) && self.paused.insert(connection.0), "paused twice");
            }
            ClientAction::Resume { connection } => {
                assert!(self.open.contains(&connection.0) && self.paused.remove(&connection.0), "resumed unpaused");
            }
            ClientAction::Close { connection, .. } => {
                assert!(self.open.remove(&connection.0), "closed twice");
                self.paused.remove(&connection.0);
            }
        }
    }

    fn machine(&mut self, message: Message) {
        match message {
            Message::AccessPoint(ToAccessPoint::OpenPublisher(open)) => {
                self.generation += 1;
                let OpenPublisher { lane, publisher, instance, connection, .. } = open;
                let (sequenced, acknowledged) = (Sequence(0), Sequence(0));
                let generation = Generation(self.generation);
                let opened =
                    PublisherOpened { lane, publisher, instance, connection, generation, sequenced, acknowledged };
                self.access_point.push_back(ToConnectionPoint::PublisherOpened(opened));
            }
            Message::AccessPoint(ToAccessPoint::Publish(publish)) => {
                self.credits[0] += publish.cost();
                for submission in publish.submissions {
                    self.submission(submission);
                }
            }
            Message::AccessPoint(ToAccessPoint::SettleSession(settle)) => {
                let SettleSession { lane, session, generation } = settle;
                let settled = SessionSettled { lane, session, generation };
                self.access_point.push_back(ToConnectionPoint::SessionSettled(settled));
            }
            Message::AccessPoint(ToAccessPoint::Operate(operate)) => {
                self.credits[1] += operate.cost();
                for operation in operate.operations {
                    let completed = Completed {
                        session: operation.session,
                        version: operation.version,
                        position: Position { lane: LANE, number: Number(1) },
                        outcome: Outcome::NotFound,
                    };
                    self.access_point.push_back(ToConnectionPoint::Completed(completed));
                }
            }
            Message::ExitPoint(ToExitPoint::Attach(attach)) => {
                let Attach { connection, session, .. } = attach;
                let answer = if self.dice.roll(2) == 0 {
                    let reason = AttachRefusal::NotActive;
                    ToConnectionPoint::AttachRefused(AttachRefused { connection, session, reason })
                } else {
                    self.generation += 1;
                    self.attached.push((attach.clone(), self.generation));
                    ToConnectionPoint::Attached(attached(&attach, self.generation))
                };
                self.exit_point.push_back(answer);
            }
            Message::ExitPoint(ToExitPoint::EndSession(end)) => {
                if let Some((attach, _)) = self.attached.iter().find(|(_, known)| *known == end.generation.0) {
                    let ended = ended(attach, end.generation.0, EndReason::EndedByClient);
                    self.exit_point.push_back(ended);
                }
            }
            Message::ExitPoint(ToExitPoint::SessionCredit(credit)) => {
                let known = self.attached.iter().find(|(_, known)| *known == credit.generation.0).cloned();
                if let Some((attach, generation)) = known {
                    self.exit_point.push_back(notified(&attach, generation));
                }
            }
            Message::ExitPoint(ToExitPoint::Detach(_) | ToExitPoint::Acknowledge(_)) => {}
            other => panic!("not for a connection point to send: {other:?}"),
        }
    }

    fn submission(&mut self, submission: Submission) {
        let (key, generation) = (submission.envelope.key, submission.generation);
        let last = self.sent.entry((key.publisher, key.instance, generation)).or_default();
        assert!(key.sequence > *last, "sent twice or out of order");
        *last = key.sequence;
        let (lane, publisher, instance, sequence) = (LANE, key.publisher, key.instance, key.sequence);
        self.access_point.push_back(match self.dice.roll(40) {
            0 => {
                let superseded = PublisherSuperseded { lane, publisher, instance, generation };
                ToConnectionPoint::PublisherSuperseded(superseded)
            }
            1 => {
                let reason = Refusal::Reused;
                ToConnectionPoint::Refused(Refused { lane, publisher, instance, generation, sequence, reason })
            }
            _ => {
                let through = vec![AcknowledgedThrough { publisher, instance, generation, sequence }];
                ToConnectionPoint::Acknowledged(Acknowledged { lane, through })
            }
        });
    }

    /// A machine says something: an answer that is under way, credit, a notification, an end.
    fn answer(&mut self) {
        match self.dice.roll(6) {
            0 => self.bench.credit(Class::Live, self.credits[0] + 1),
            1 => self.bench.credit(Class::Operation, self.credits[1] + 1),
            2 | 3 => {
                if let Some(message) = self.access_point.pop_front() {
                    self.bench.hear(ACCESS_POINT, message);
                }
            }
            4 => {
                if let Some(message) = self.exit_point.pop_front() {
                    if let ToConnectionPoint::Attached(attached) = &message
                        && let Some((attach, generation)) =
                            self.attached.iter().find(|(_, known)| *known == attached.generation.0).cloned()
                    {
                        self.exit_point.push_back(notified(&attach, generation));
                    }
                    self.bench.hear(EXIT_POINT, message);
                }
            }
            _ if self.dice.roll(30) == 0 => {
                if let Some((attach, generation)) = self.attached.pop() {
                    self.exit_point.push_back(ended(&attach, generation, EndReason::Slow));
                }
            }
            _ => {}
        }
    }

    fn count(&mut self) {
        let statistics = self.bench.statistics();
        self.acknowledged = statistics.publications_acknowledged;
        self.completed = statistics.operations_answered;
    }
}

fn ended(attach: &Attach, generation: u64, reason: EndReason) -> ToConnectionPoint {
    let (connection, session, generation) = (attach.connection, attach.session, Generation(generation));
    ToConnectionPoint::Ended(Ended { connection, session, generation, reason })
}

fn notified(attach: &Attach, generation: u64) -> ToConnectionPoint {
    let items = vec![notification(0, 1, 300)];
    let batches = vec![batch(attach, generation, items)];
    ToConnectionPoint::Notifications(Notifications { publications: vec![publication(1)], batches })
}

#[test]
fn whatever_happens_order_holds_nothing_follows_a_close_and_everything_is_given_back() {
    let (mut acknowledged, mut completed, mut delivered, mut closed) = (0, 0, 0, 0);
    for seed in 1..=40 {
        println!("seed {seed}");
        let mut storm = Storm::new(seed);
        for _ in 0..3_000 {
            storm.client();
            storm.look();
            storm.answer();
            storm.look();
            storm.bench.pass(Duration::from_millis(storm.dice.roll(20)));
            storm.look();
        }
        // Quiet: every answer arrives, credit comes, and nobody is left paused.
        for round in 1..=3_000 {
            storm.answer();
            storm.look();
            storm.bench.pass(Duration::from_millis(100));
            storm.look();
            assert!(round < 3_000 || storm.paused.is_empty(), "left paused: {:?}", storm.paused);
        }
        let statistics = storm.bench.statistics();
        assert_eq!(statistics.publications_unacknowledged_bytes, 0);
        assert_eq!(statistics.operations_unanswered_bytes, 0);
        for number in std::mem::take(&mut storm.open) {
            storm.bench.disconnect(number);
        }
        let statistics = storm.bench.statistics();
        assert_eq!((statistics.connections, statistics.publishers, statistics.sessions), (0, 0, 0));
        assert_eq!(storm.bench.machine.poll_timeout(), None, "no timer outlives its connection");
        storm.count();
        acknowledged += storm.acknowledged;
        completed += storm.completed;
        delivered += storm.delivered;
        closed += statistics.connections_closed;
    }
    println!("{acknowledged} acknowledged, {completed} completed, {delivered} delivered, {closed} closed");
    assert!(acknowledged > 2_000 && completed > 200 && delivered > 500 && closed > 500, "too calm to prove anything");
}
