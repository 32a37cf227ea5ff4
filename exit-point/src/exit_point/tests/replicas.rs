//! Claims about slices that change hands: two shards, what passes between them, and the connection point in between.

use gomera_cluster::credit::Total;
use gomera_cluster::identity::{ConnectionId, SessionKey, Term};
use gomera_cluster::layout::{Placement, Replica, Role, Settings};
use gomera_cluster::message::ToConnectionPoint;
use gomera_cluster::message::connection_point::{EndReason, Item};
use gomera_cluster::message::copies::{AttachedHere, TermAttached};
use gomera_cluster::message::exit_point::{Acknowledge, Attach, EndSession, Mark, Matched, Witness};
use gomera_cluster::position::Number;
use gomera_cluster::session::{Attempt, SessionOptions};
use gomera_model::timestamp::Timestamp;

use super::*;

mod agreement;
mod late;

const OTHER: Address = machine(21);

/// The layout in which the first exit point has these roles in all slices, and the other one those.
fn shared(epoch: u64, term: u64, roles: [Option<Role>; 2]) -> Arc<Layout> {
    let mut layout = (*layout(epoch)).clone();
    layout.settings = Settings { replication: 2, ..layout.settings };
    let member = layout.members[&EXIT_POINT.node].clone();
    let holders = [EXIT_POINT, OTHER].into_iter().zip(roles);
    let replicas: Vec<_> = holders.filter_map(|(holder, role)| role.map(|role| Replica { holder, role })).collect();
    layout.members.remove(&EXIT_POINT.node);
    for replica in &replicas {
        layout.members.insert(replica.holder.node, member.clone());
    }
    layout.session.fill(Placement { term: Term(term), lost: Epoch(0), replicas });
    Arc::new(layout)
}

/// Two shards. What goes to connection points, access points and matchers stands in `sent`.
struct Pair {
    exits: [ExitPoint; 2],
    now: Instant,
    epoch: u64,
    sent: Vec<(usize, Send)>,
    /// Whether the second one hears the first.
    linked: bool,
}

impl Pair {
    /// The first one has everything.
    fn new() -> Self {
        let exits = [EXIT_POINT, OTHER].map(|address| ExitPoint::new(address, Config::default()));
        let mut pair = Self { exits, now: Instant::ZERO, epoch: 1, sent: Vec::new(), linked: true };
        for index in [0, 1] {
            pair.event(index, NodeEvent::Clock(WallClock { at: Instant::ZERO, showed: Timestamp(0) }));
        }
        pair.event(0, NodeEvent::Layout(shared(1, 1, [Some(Role::Active), None])));
        pair
    }

    fn event(&mut self, index: usize, event: NodeEvent<ToExitPoint>) {
        self.exits[index].handle(self.now, event);
        self.drain(index);
    }

    fn drain(&mut self, index: usize) {
        let mut sends = Vec::new();
        self.exits[index].drain_actions(&mut sends);
        for send in sends {
            let to = [EXIT_POINT, OTHER].iter().position(|&address| address == send.to);
            match (to, send.message) {
                (Some(to), Message::ExitPoint(message)) if self.linked || to == 0 => {
                    let from = [EXIT_POINT, OTHER][index];
                    let epoch = Epoch(self.epoch);
                    self.event(to, NodeEvent::Received(Received { from, epoch, message }));
                }
                (Some(_), _) => {}
                (None, message) => self.sent.push((index, Send { to: send.to, message })),
            }
        }
        while self.exits[index].poll_timeout().is_some_and(|due| due <= self.now) {
            self.exits[index].handle_timeout(self.now);
            let mut none = Vec::new();
            self.exits[index].drain_actions(&mut none);
            for send in none {
                if let (Some(to), Message::ExitPoint(message)) =
                    ([EXIT_POINT, OTHER].iter().position(|&address| address == send.to), send.message)
                {
                    let (from, epoch) = ([EXIT_POINT, OTHER][index], Epoch(self.epoch));
                    self.event(to, NodeEvent::Received(Received { from, epoch, message }));
                }
            }
        }
    }

    fn tell(&mut self, index: usize, from: Address, message: ToExitPoint) {
        let epoch = Epoch(self.epoch);
        self.event(index, NodeEvent::Received(Received { from, epoch, message }));
    }

    fn layout(&mut self, layout: &Arc<Layout>, to: &[usize]) {
        self.epoch = layout.epoch.0;
        for &index in to {
            self.event(index, NodeEvent::Layout(Arc::clone(layout)));
        }
    }

    /// A frame for all slices, to these.
    fn matches(&mut self, to: &[usize], lane: LaneId, range: (u64, u64), matched: &[Matched]) {
        for &index in to {
            self.tell(index, MATCHERS[0], ToExitPoint::Matches(whole(lane, range, matched.to_vec())));
        }
    }

    /// A barrier at this number of both lanes.
    fn barrier(&mut self, to: &[usize], number: u64, epoch: u64) {
        for lane in LANES {
            for &index in to {
                let mut frame = whole(lane, (number - 1, number), Vec::new());
                frame.marks = vec![(Number(number), Mark::Barrier(Epoch(epoch)))];
                self.tell(index, MATCHERS[0], ToExitPoint::Matches(frame));
            }
        }
    }

    fn attach(&mut self, index: usize, name: &str, term: u64) {
        self.attach_at(index, name, term, Attempt::default());
    }

    fn attach_at(&mut self, index: usize, name: &str, term: u64, attempt: Attempt) {
        let key = session(name);
        let attach = Attach {
            connection: ConnectionId(7),
            tenant: tenant(),
            name: Arc::from(name),
            session: key,
            slice: layout(1).slice_of_session(key),
            term: Term(term),
            options: SessionOptions::default(),
            resume: None,
            credit: CREDIT,
            attempt,
        };
        self.tell(index, CONNECTION_POINT, ToExitPoint::Attach(attach));
    }

    fn attached(&self) -> Option<Generation> {
        self.sent.iter().rev().find_map(|(_, send)| match &send.message {
            Message::ConnectionPoint(ToConnectionPoint::Attached(attached)) => Some(attached.generation),
            _ => None,
        })
    }

    /// Numbers and flags that one of them sent to clients.
    fn notified(&self, index: usize) -> Vec<(u64, bool)> {
        let mut all = Vec::new();
        for (_, send) in self.sent.iter().filter(|(from, _)| *from == index) {
            if let Message::ConnectionPoint(ToConnectionPoint::Notifications(frame)) = &send.message {
                for item in frame.batches.iter().flat_map(|batch| &batch.items) {
                    match item {
                        Item::Notification(one) => all.push((one.position.number.0, one.redelivered)),
                        Item::Gap(_) => {}
                    }
                }
            }
        }
        all
    }

    /// Connection points answer the reign of the second one: the client is there, and has this much.
    fn answer(&mut self, name: &str, generation: Generation, told: &[Position], received: u64) {
        let key = session(name);
        let here = AttachedHere {
            session: key,
            tenant: tenant(),
            connection: ConnectionId(7),
            generation,
            told: told.iter().copied().collect(),
            granted: CREDIT,
            received: Total(received),
        };
        let asked = self.sent.iter().any(|(from, send)| {
            *from == 1 && matches!(send.message, Message::ConnectionPoint(ToConnectionPoint::AttachTerm(_)))
        });
        assert!(asked, "connection points are asked who is attached");
        for (slice, point) in (0..8).flat_map(|slice| [(slice, CONNECTION_POINT), (slice, OTHER_CONNECTION_POINT)]) {
            let slice = SessionSlice(slice);
            let is_its = point == CONNECTION_POINT && slice == layout(1).slice_of_session(key);
            let sessions = if is_its { vec![here.clone()] } else { Vec::new() };
            let attached = TermAttached { slice, term: Term(2), sessions };
            self.tell(1, point, ToExitPoint::TermAttached(attached));
        }
    }

    /// A session at the first one with notifications 1 and 2 of the first lane; the other one joins at number 3.
    fn joining() -> (Self, Generation) {
        let mut pair = Self::new();
        pair.attach(0, "a", 1);
        let generation = pair.attached().expect("nobody else has to know");
        let one = |number| matched(number, vec![target("a", generation, &[1])]);
        pair.matches(&[0], LANES[0], (0, 2), &[one(1), one(2)]);
        pair.matches(&[0], LANES[1], (0, 2), &[]);
        pair.layout(&shared(2, 1, [Some(Role::Active), Some(Role::Joining)]), &[0, 1]);
        pair.barrier(&[0], 3, 2);
        assert!(pair.exits[1].report().installed.is_empty());
        (pair, generation)
    }

    /// The other one hears where lanes begin for it, and asks for copies.
    fn begin(&mut self) {
        for lane in LANES {
            let (after, governed) = (Number(3), Some(Epoch(2)));
            let begins = LaneBegins { lane, after, governed, by: Witness::Before };
            self.tell(1, MATCHERS[0], ToExitPoint::LaneBegins(begins));
        }
        assert_eq!(self.exits[1].report().installed.len(), 8);
    }

    /// The same, and it stands by.
    fn joined() -> (Self, Generation) {
        let (mut pair, generation) = Self::joining();
        pair.begin();
        pair.layout(&shared(3, 1, [Some(Role::Active), Some(Role::Standby)]), &[0, 1]);
        pair.barrier(&[0, 1], 4, 3);
        (pair, generation)
    }
}

#[test]
fn who_joins_has_what_was_there_and_merges_what_comes() {
    let (mut pair, generation) = Pair::joined();
    assert_eq!(pair.exits[1].statistics().followed_notifications, 2);
    pair.matches(&[0, 1], LANES[0], (4, 5), &[matched(5, vec![target("a", generation, &[1])])]);
    assert_eq!(pair.exits[1].statistics().followed_notifications, 3);
    assert_eq!(pair.notified(0), [(1, false), (2, false), (5, false)]);
    assert_eq!(pair.notified(1), []);
    for index in [0, 1] {
        let through = [at(LANES[0], 2)].into_iter().collect();
        let acknowledge = Acknowledge { session: session("a"), generation, through };
        pair.tell(index, CONNECTION_POINT, ToExitPoint::Acknowledge(acknowledge));
    }
    assert_eq!(pair.exits[1].statistics().followed_notifications, 1);
    let slice = layout(1).slice_of_session(session("a"));
    assert_eq!(pair.exits[0].copies(slice), pair.exits[1].copies(slice));
}

#[test]
fn a_reign_goes_on_after_what_connection_points_have() {
    let (mut pair, generation) = Pair::joined();
    // The other one is behind: it has not merged 5, which the client has; neither has anybody sent 6.
    pair.matches(&[0], LANES[0], (4, 5), &[matched(5, vec![target("a", generation, &[1])])]);
    pair.layout(&shared(4, 2, [Some(Role::Retiring), Some(Role::Active)]), &[0, 1]);
    pair.answer("a", generation, &[at(LANES[0], 5)], 3 * cost());
    pair.matches(&[0, 1], LANES[0], (5, 6), &[matched(6, vec![target("a", generation, &[1])])]);
    pair.matches(&[1], LANES[0], (4, 5), &[matched(5, vec![target("a", generation, &[1])])]);
    assert_eq!(pair.notified(0), [(1, false), (2, false), (5, false)], "it is not active any more");
    assert_eq!(pair.notified(1), [(6, false)]);
    assert_eq!(pair.exits[1].statistics().outbox_notifications, 4, "nothing is acknowledged");
    assert_eq!(pair.exits[0].statistics().followed_notifications, 4, "it follows from now on");
    let mut ended = pair
        .sent
        .iter()
        .filter(|(_, send)| matches!(send.message, Message::ConnectionPoint(ToConnectionPoint::Ended(_))));
    assert!(ended.next().is_none(), "the client sees nothing of it");
}

#[test]
fn what_was_not_written_by_a_dead_exit_point_is_sent_by_the_next_one() {
    let (mut pair, generation) = Pair::joined();
    pair.linked = false;
    pair.layout(&shared(4, 2, [None, Some(Role::Active)]), &[1]);
    pair.answer("a", generation, &[at(LANES[0], 1)], cost());
    assert_eq!(pair.notified(1), [(2, false)]);
    assert_eq!(pair.exits[1].statistics().sessions_adopted, 1);
    // The one that was taken for dead wakes up.
    pair.layout(&shared(4, 2, [None, Some(Role::Active)]), &[0]);
    assert_eq!(pair.exits[0].statistics().sessions + pair.exits[0].statistics().sessions_followed, 0);
}

#[test]
fn an_attach_is_answered_when_the_other_replica_knows_of_it() {
    let (mut pair, before) = Pair::joined();
    pair.linked = false;
    pair.sent.clear();
    pair.attach(0, "b", 1);
    assert_eq!(pair.attached(), None);
    pair.layout(&shared(4, 1, [Some(Role::Active), None]), &[0]);
    assert!(pair.attached().expect("nobody else has to know any more") > before);
}

#[test]
fn what_comes_to_a_client_whose_first_answer_never_came_is_not_flagged() {
    let (mut pair, _) = Pair::joined();
    pair.sent.clear();
    let attempt = Attempt { process: 5, number: 1 };
    pair.attach_at(0, "b", 1, attempt);
    let unheard = pair.attached().expect("the other one knows");
    pair.layout(&shared(4, 4, [Some(Role::Retiring), Some(Role::Active)]), &[0, 1]);
    for (slice, point) in (0..8).flat_map(|slice| [(slice, CONNECTION_POINT), (slice, OTHER_CONNECTION_POINT)]) {
        let attached = TermAttached { slice: SessionSlice(slice), term: Term(4), sessions: Vec::new() };
        pair.tell(1, point, ToExitPoint::TermAttached(attached));
    }
    // The connection point hears of the term before the answer, and asks whoever leads now.
    pair.attach_at(1, "b", 4, attempt);
    let generation = pair.attached().expect("answered");
    assert!(generation > unheard);
    // Of before the layout that began the term: who led then may have sent it to clients that it had answered.
    pair.matches(&[1], LANES[0], (4, 5), &[matched(5, vec![target("b", generation, &[1])])]);
    assert_eq!(pair.notified(1), [(5, false)]);
}

#[test]
fn a_session_that_ends_is_forgotten_when_the_other_replica_knows_of_it() {
    let forgets = |pair: &Pair| {
        let is_forget =
            |(_, send): &&(usize, Send)| matches!(send.message, Message::AccessPoint(ToAccessPoint::Forget(_)));
        pair.sent.iter().filter(is_forget).map(|(from, _)| *from).collect::<Vec<_>>()
    };
    let (mut pair, generation) = Pair::joined();
    pair.linked = false;
    let end = EndSession { session: session("a"), generation };
    pair.tell(0, CONNECTION_POINT, ToExitPoint::EndSession(end));
    assert_eq!(forgets(&pair), [0; 0]);
    let (mut pair, generation) = Pair::joined();
    let end = EndSession { session: session("a"), generation };
    pair.tell(0, CONNECTION_POINT, ToExitPoint::EndSession(end));
    assert_eq!(forgets(&pair), [0]);
    assert_eq!(pair.exits[1].statistics().sessions_followed, 0);
    // Whoever takes over sees to it.
    pair.layout(&shared(4, 2, [None, Some(Role::Active)]), &[1]);
    assert_eq!(forgets(&pair), [0, 1]);
}

#[test]
fn sessions_that_died_with_their_last_replica_are_lost_and_forgotten() {
    let mut pair = Pair::new();
    pair.attach(0, "a", 1);
    let generation = pair.attached().expect("attached");
    pair.layout(&shared(4, 2, [None, Some(Role::Active)]), &[1]);
    pair.answer("a", generation, &[], 0);
    let lost = pair.sent.iter().any(|(_, send)| {
        matches!(&send.message, Message::ConnectionPoint(ToConnectionPoint::Ended(ended)) if ended.reason == EndReason::Lost)
    });
    assert!(lost);
    pair.sent.clear();
    pair.attach(1, "c", 2);
    assert_eq!(pair.attached(), None, "matchers may have something of an earlier life");
    let forget = pair.sent.iter().find_map(|(_, send)| match &send.message {
        Message::AccessPoint(ToAccessPoint::Forget(forget)) => Some(forget.clone()),
        _ => None,
    });
    let Some(forget) = forget else { panic!("it is forgotten first") };
    let forgotten = Forgotten { session: forget.session, generation: forget.generation };
    pair.tell(1, ACCESS_POINT, ToExitPoint::Forgotten(forgotten));
    assert!(pair.attached().is_some());
}

#[test]
fn what_stands_acknowledged_behind_something_that_expires_goes_with_it() {
    let (mut pair, generation) = Pair::joined();
    let target = || vec![target("a", generation, &[1])];
    let expiring = Matched { envelope: expiring(5, Some(Timestamp(1_000_000))), ..matched(5, target()) };
    pair.matches(&[1], LANES[0], (4, 5), &[expiring]);
    pair.matches(&[1], LANES[1], (4, 5), &[matched(5, target())]);
    // Its leader sent the second one first, and the first one not before it expired.
    let through = [at(LANES[0], 4), at(LANES[1], 5)].into_iter().collect();
    let acknowledge = Acknowledge { session: session("a"), generation, through };
    pair.tell(1, CONNECTION_POINT, ToExitPoint::Acknowledge(acknowledge));
    assert_eq!(pair.exits[1].statistics().followed_notifications, 2);
    pair.event(1, NodeEvent::Clock(WallClock { at: Instant::ZERO, showed: Timestamp(1_000_000) }));
    assert_eq!(pair.exits[1].statistics().followed_notifications, 0);
}

#[test]
fn who_joins_and_has_everything_is_told_what_a_later_reign_decides_from_the_first_attach_on() {
    let (mut pair, _) = Pair::joining();
    pair.begin();
    // In between another one led, by a layout of which nobody here has heard.
    pair.layout(&shared(4, 4, [Some(Role::Active), Some(Role::Joining)]), &[0, 1]);
    assert_eq!(pair.exits[1].report().installed.len(), 8, "it may take over");
    pair.attach(0, "a", 4);
    let generation = pair.attached().expect("both know of it");
    pair.layout(&shared(5, 5, [Some(Role::Retiring), Some(Role::Active)]), &[0, 1]);
    let slice = layout(1).slice_of_session(session("a"));
    let latest = |(key, _, latest): (SessionKey, Generation, Generation)| (key, latest);
    let copies = pair.exits[1].copies(slice).expect("it leads").into_iter().map(latest).collect::<Vec<_>>();
    assert_eq!(copies, [(session("a"), generation)]);
}
