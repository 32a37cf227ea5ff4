//! What everybody in a run shares: the time, what is due, the doors, the history, the transcript, the counts and the verdict.

use std::collections::BTreeMap;
use std::time::Duration;

use gomera_cluster::time::Instant;

use crate::agenda::{Agenda, Due};
use crate::doors::{ConnectionIndex, Doors, Owner};
use crate::history::History;
use crate::node::NodeIndex;
use crate::random::Random;
use crate::tally::{Tally, Transition};
use crate::transcript::Transcript;
use crate::verdict::{Promise, Violation};

use gomera_cluster::identity::Tenant;
use gomera_connection_point::client::ClientRequest;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Clients are active and faults last.
    Rough,
    /// Faults have stopped; clients finish what they have begun.
    Settling,
    /// Sessions attach once more without `W`: nothing may come again.
    Revisiting,
    /// Sessions end, publishers fall idle: nothing may remain.
    Leaving,
}

/// What everybody shares.
#[derive(Debug)]
pub struct Stage {
    /// The time.
    pub now: Instant,
    /// How far the run has come.
    pub phase: Phase,
    /// What is due.
    pub agenda: Agenda,
    /// Client connections.
    pub doors: Doors,
    /// What clients did and saw.
    pub history: History,
    /// What happened.
    pub transcript: Transcript,
    /// How often.
    pub tally: Tally,
    /// The first promise that broke.
    pub violation: Option<Violation>,
    /// The connection points that clients go to.
    pub points: Vec<NodeIndex>,
    /// Connection points that are to leave: some clients do not know it yet.
    pub leaving: Vec<NodeIndex>,
    /// Connection points that stopped or were dropped, and since when the cluster may act on that.
    pub unsure: BTreeMap<NodeIndex, Instant>,
    /// Whether a lane was fenced so far: what was under way on it is asked for again, and may have been in force before.
    pub has_fenced: bool,
    /// Of 1000 subscribers whose connection point stopped, those that never come back.
    pub deserters: u64,
    /// Of 1000 clients that are asked to move, those that do not.
    pub stubborn: u64,
    /// The dice of clients.
    pub random: Random,
    /// Publishers to wake at once: somebody has just seen a subscription acknowledged.
    pub publishers: usize,
    /// Subscribers to wake at once: somebody has just seen a publication acknowledged.
    pub subscribers: usize,
}

impl Stage {
    /// A promise broke; only the first counts.
    pub fn violate(&mut self, promise: Promise, subjects: Vec<String>, what: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { promise, what, subjects });
        }
    }

    /// Adds a line to the transcript.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        self.transcript.note(self.now, line);
    }

    /// Counts a transition.
    pub fn count(&mut self, transition: Transition) {
        self.tally.count(transition);
    }

    /// A client connects to a random connection point.
    pub fn connect(&mut self, owner: Owner, tenant: Tenant) -> ConnectionIndex {
        let is_late = !self.leaving.is_empty() && self.is_rough() && self.random.chance(200);
        let point = *self.random.pick(if is_late { &self.leaving } else { &self.points });
        self.connect_to(owner, tenant, point)
    }

    /// A client connects to a connection point.
    pub fn connect_to(&mut self, owner: Owner, tenant: Tenant, point: NodeIndex) -> ConnectionIndex {
        self.doors.connect(self.now, owner, tenant, point, &mut self.agenda)
    }

    /// A client sends a request.
    pub fn send(&mut self, connection: ConnectionIndex, request: ClientRequest) {
        self.doors.send(self.now, connection, request, &mut self.agenda);
    }

    /// A client drops its connection.
    pub fn leave(&mut self, connection: ConnectionIndex) {
        self.doors.leave(self.now, connection, &mut self.agenda);
    }

    /// Until when the cluster surely took the client of this connection for present, if the client is there until now.
    #[must_use]
    pub fn present_until(&self, connection: ConnectionIndex) -> Instant {
        let unsure = self.unsure.get(&self.doors.point(connection)).copied();
        [unsure, self.doors.closed(connection)]
            .into_iter()
            .flatten()
            .min()
            .map_or(self.now, |since| since.min(self.now))
    }

    /// Something is due after a while.
    pub fn after(&mut self, pause: Duration, due: Due) {
        self.agenda.enter(self.now + pause, due);
    }

    /// Whether clients still begin new things.
    #[must_use]
    pub fn is_rough(&self) -> bool {
        self.phase == Phase::Rough
    }

    /// A subscriber acts at once: what it does now meets the tightest moment.
    pub fn nudge_subscriber(&mut self) {
        if self.subscribers > 0 && self.is_rough() && self.random.chance(250) {
            let subscriber = self.random.index(self.subscribers);
            self.agenda.enter(self.now, Due::Subscriber(subscriber));
        }
    }

    /// A publisher acts at once.
    pub fn nudge_publisher(&mut self) {
        if self.publishers > 0 && self.is_rough() && self.random.chance(500) {
            let publisher = self.random.index(self.publishers);
            self.agenda.enter(self.now, Due::Publisher(publisher));
        }
    }
}
