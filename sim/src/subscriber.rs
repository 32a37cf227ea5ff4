//! A subscriber as the interface describes it: keeps `W`, attaches with or without it, acknowledges, changes its mind about
//! subscriptions and context, stops reading, drops its connection, ends its session. A session may have several processes one
//! after the other, or two at once: the older one is superseded and stays away.

mod connections;
mod failures;
mod operations;
mod replies;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::identity::Tenant;
use gomera_cluster::position::Vector;
use gomera_cluster::session::SessionOptions;
use gomera_cluster::time::Instant;
use gomera_connection_point::client::{ClientRequest, RequestId};

use crate::agenda::Due;
use crate::doors::{ConnectionIndex, Downward};
use crate::history::{LifeIndex, ReadOf};
use crate::random::{Random, millis};
use crate::stage::{Phase, Stage};
use crate::subscriptions::{ContextChange, SubscriptionChange};
use crate::tally::Transition;
use crate::timeline::Ticket;

/// When a subscriber acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledging {
    /// Every so many notifications.
    Every(u64),
    /// Only when it has nothing else to do.
    Seldom,
    /// Never, until faults stop.
    Never,
}

/// What a seed decides about a subscriber. Chances are of 1000 each time it acts.
#[derive(Clone, Debug)]
pub struct SubscriberPlan {
    /// Whose.
    pub tenant: Tenant,
    /// The session's name.
    pub name: Arc<str>,
    /// What it asks for when it attaches.
    pub options: SessionOptions,
    /// Time between acts.
    pub interval: (Duration, Duration),
    /// Drops its connection.
    pub drops: u64,
    /// How long it stays away then.
    pub away: (Duration, Duration),
    /// Of the reconnects, those of a new process that knows no `W`.
    pub forgetful: u64,
    /// A second process attaches while the first is there.
    pub twins: u64,
    /// Ends its session.
    pub ends: u64,
    /// Stops reading for a while.
    pub stops_reading: u64,
    /// For how long.
    pub not_reading: (Duration, Duration),
    /// Never reads at all while faults last, once subscribed.
    pub never_reads: bool,
    /// When it acknowledges.
    pub acknowledging: Acknowledging,
    /// Grants notifications by number, so many at once.
    pub grants: Option<u64>,
    /// Subscription ids it uses.
    pub ids: u64,
    /// Asks for a change.
    pub changes: u64,
    /// Sends operations without waiting for the attach to be answered.
    pub pipelines: bool,
    /// Operations not answered, at most.
    pub outstanding_max: usize,
    /// Subscriptions that expire, of 1000.
    pub expiring: u64,
    /// How much later than the cluster a client may learn that its attachment is over.
    pub lag: Duration,
}

#[derive(Debug)]
pub(crate) struct Attachment {
    generation: u64,
    life: LifeIndex,
    since: Instant,
    requested: Instant,
    created: bool,
}

#[derive(Debug)]
enum Standing {
    Away,
    Attaching { request: RequestId, requested: Instant },
    Attached(Attachment),
}

/// What an unanswered request asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    ticket: Ticket,
    requested: Instant,
    /// Orders it when it was asked before the attachment's generation was known.
    what: Asking,
}

#[derive(Clone, Debug)]
pub(crate) enum Asking {
    Subscription(Arc<str>, SubscriptionChange),
    Context(ContextChange),
    Read(ReadOf),
    End,
}

/// What a change that was not answered is about.
#[derive(Clone, Debug)]
pub(crate) enum Contested {
    Subscription(Arc<str>),
    Context,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client left.
    Left,
    /// The client was told.
    Told,
}

#[derive(Debug)]
pub(crate) struct Process {
    number: u32,
    connection: Option<ConnectionIndex>,
    standing: Standing,
    /// Whether it asked to resume with its `W`.
    resumes: bool,
    w: Vector,
    /// Whether it ever was attached, so that `w` means something.
    knows_w: bool,
    unacknowledged: u64,
    asked: BTreeMap<RequestId, Asked>,
    granted: Option<u64>,
    received: u64,
    reading: bool,
    /// It asked for the session to end.
    ending: bool,
    /// Its grant of notifications surely arrived: what was asked after it was answered.
    grant_known: bool,
    /// It was asked to move away from its connection.
    asked_to_move: bool,
}

impl Process {
    fn new(number: u32) -> Self {
        Self {
            number,
            connection: None,
            standing: Standing::Away,
            resumes: false,
            w: Vector::default(),
            knows_w: false,
            unacknowledged: 0,
            asked: BTreeMap::new(),
            granted: None,
            received: 0,
            reading: true,
            ending: false,
            grant_known: false,
            asked_to_move: false,
        }
    }
}

/// A subscriber.
#[derive(Debug)]
pub struct Subscriber {
    pub(crate) plan: SubscriberPlan,
    number: usize,
    random: Random,
    session: usize,
    /// The last is the present one; the others are being superseded.
    processes: Vec<Process>,
    processes_ever: u32,
    requests: u64,
    /// When somebody was surely attached last.
    attached_until: Instant,
    /// Attaches whose answers were lost: the session may have been created, now or much later, without anybody knowing.
    attaches_lost: u64,
    /// The shortest expiry asked for since the session was surely there.
    expires_after_min: Duration,
    /// The client asked for the session to end and was not answered.
    end_asked: bool,
    /// Operations whose attachment is not known.
    orphans: Vec<Asked>,
    /// Ids that were ever subscribed.
    ids: BTreeSet<Arc<str>>,
    /// What had a change that was not answered when the connection broke: it may still be under way.
    contested: Vec<Contested>,
    /// When it acts next by itself; others may nudge it before.
    beat: Instant,
    away_until: Instant,
    reads_again_at: Instant,
    /// Its last attach was refused because there are as many sessions as there may be.
    turned_away: bool,
    /// Its connection point stopped, and it has not been attached since.
    bereaved: bool,
    /// It never comes back.
    deserted: bool,
    /// The last loss of subscriptions it was told of.
    lost: u64,
    /// The connection it moves away from: it is closed when the new one stands.
    former: Option<ConnectionIndex>,
}

impl Subscriber {
    /// A subscriber that has not begun.
    #[must_use]
    pub fn new(plan: SubscriberPlan, number: usize, random: Random, stage: &mut Stage) -> Self {
        let session = stage.history.session(plan.tenant.clone(), plan.name.clone());
        let expires_after_min = plan.options.expires_after;
        Self {
            plan,
            number,
            random,
            session,
            processes: vec![Process::new(1)],
            processes_ever: 1,
            requests: 0,
            attached_until: Instant::ZERO,
            attaches_lost: 0,
            expires_after_min,
            end_asked: false,
            orphans: Vec::new(),
            ids: BTreeSet::new(),
            contested: Vec::new(),
            beat: Instant::ZERO,
            away_until: Instant::ZERO,
            reads_again_at: Instant::ZERO,
            turned_away: false,
            bereaved: false,
            deserted: false,
            lost: 0,
            former: None,
        }
    }

    /// Its session's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// What it still waits for; none when it is done.
    #[must_use]
    pub fn pending(&self, phase: Phase) -> Option<String> {
        let process = self.processes.last().expect("there is always a process");
        let name = &self.plan.name;
        if self.deserted {
            return None;
        }
        match (phase, &process.standing) {
            (Phase::Rough, _) => None,
            (Phase::Leaving, Standing::Away) => None,
            (Phase::Leaving, Standing::Attaching { .. } | Standing::Attached(_)) => {
                process.connection.map(|_| format!("session {name} waits for its end"))
            }
            (Phase::Settling | Phase::Revisiting, Standing::Attached(_)) => {
                let (_, first) = process.asked.first_key_value()?;
                Some(format!("session {name} waits for {} answers, first to {:?}", process.asked.len(), first.what))
            }
            (Phase::Settling | Phase::Revisiting, Standing::Away) if self.turned_away => None,
            (Phase::Settling | Phase::Revisiting, Standing::Away | Standing::Attaching { .. }) => {
                Some(format!("session {name} waits to be attached"))
            }
        }
    }

    /// Whether it has to be told yet that subscriptions were lost, by this number and since then.
    #[must_use]
    pub fn is_owed_a_loss(&self, number: u64, since: Instant) -> bool {
        let process = self.processes.last().expect("there is always a process");
        match &process.standing {
            // A session that began afterwards has lost nothing.
            Standing::Attached(attachment) => {
                let was_there = !attachment.created || attachment.since < since;
                self.lost < number && was_there && !process.ending && !self.deserted
            }
            Standing::Away | Standing::Attaching { .. } => false,
        }
    }

    /// The present process's connection.
    #[must_use]
    pub fn connection(&self) -> Option<ConnectionIndex> {
        self.current().connection
    }

    fn current(&self) -> &Process {
        self.processes.last().expect("there is always a process")
    }

    fn current_mut(&mut self) -> &mut Process {
        self.processes.last_mut().expect("there is always a process")
    }

    fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    /// Does something.
    pub fn act(&mut self, stage: &mut Stage) {
        if stage.phase == Phase::Leaving || self.deserted {
            return;
        }
        match self.current().standing {
            Standing::Away if stage.now < self.away_until || (self.turned_away && !stage.is_rough()) => {}
            Standing::Away => {
                let forgetful = self.random.chance(self.plan.forgetful);
                self.attach(stage, forgetful);
            }
            Standing::Attaching { .. } => {
                if self.plan.pipelines && stage.is_rough() {
                    self.operate(stage);
                } else if stage.is_rough() && self.random.chance(self.plan.drops) {
                    self.drop_connection(stage);
                }
            }
            Standing::Attached(_) => {
                if stage.is_rough() {
                    self.act_attached(stage);
                } else {
                    self.catch_up(stage);
                }
            }
        }
        if stage.now >= self.beat {
            let pause = self.random.duration(self.plan.interval.0, self.plan.interval.1);
            let pause = if stage.is_rough() { pause.max(millis(1)) } else { millis(5) };
            self.beat = stage.now + pause;
            stage.after(pause, Due::Subscriber(self.number));
        }
    }

    fn act_attached(&mut self, stage: &mut Stage) {
        if self.current().ending {
            return;
        }
        if self.random.chance(self.plan.drops) {
            return self.drop_connection(stage);
        }
        if self.processes.len() < 4 && self.random.chance(self.plan.twins) {
            self.twin(stage);
            return self.attach(stage, false);
        }
        if self.random.chance(self.plan.ends) {
            return self.end(stage);
        }
        if !self.current().reading {
            if stage.now >= self.reads_again_at && !self.plan.never_reads {
                self.set_reading(stage, true);
            }
        } else if self.plan.never_reads && !self.ids.is_empty() && self.current().asked.is_empty() {
            self.set_reading(stage, false);
        } else if self.random.chance(self.plan.stops_reading) {
            self.set_reading(stage, false);
            self.reads_again_at = stage.now + self.random.duration(self.plan.not_reading.0, self.plan.not_reading.1);
        }
        if self.plan.acknowledging == Acknowledging::Seldom && self.random.chance(50) {
            self.acknowledge(stage);
        }
        self.grant(stage);
        self.operate(stage);
    }

    /// What a subscriber does when it only finishes.
    fn catch_up(&mut self, stage: &mut Stage) {
        if !self.current().reading {
            self.set_reading(stage, true);
        }
        if self.current().unacknowledged > 0 {
            self.acknowledge(stage);
        }
        self.grant(stage);
    }

    fn grant(&mut self, stage: &mut Stage) {
        let Some(step) = self.plan.grants else {
            return;
        };
        let calm = !stage.is_rough();
        let process = self.current_mut();
        let (Some(connection), Some(granted)) = (process.connection, process.granted) else {
            return;
        };
        if granted.saturating_sub(process.received) < step || calm {
            let notifications_total = process.received + if calm { step.max(10_000) } else { step };
            if notifications_total > granted {
                process.granted = Some(notifications_total);
                stage.send(connection, ClientRequest::Credit { notifications_total });
            }
        }
    }

    /// Acknowledges everything received.
    pub fn acknowledge(&mut self, stage: &mut Stage) {
        let process = self.current_mut();
        if let (Some(connection), Standing::Attached(_)) = (process.connection, &process.standing) {
            process.unacknowledged = 0;
            let w = process.w.clone();
            stage.send(connection, ClientRequest::Acknowledge(w));
        }
    }

    /// Reads, or stops to.
    pub fn set_reading(&mut self, stage: &mut Stage, reading: bool) {
        let process = self.processes.last_mut().expect("there is always a process");
        let Some(connection) = process.connection else {
            return;
        };
        if process.reading != reading {
            process.reading = reading;
            if !reading {
                stage.count(Transition::ClientStoppedReading);
            }
            stage.note(|| format!("{} {}", self.plan.name, if reading { "reads" } else { "stops reading" }));
            stage.doors.set_reading(stage.now, connection, reading, &mut stage.agenda);
        }
    }

    /// Something arrives.
    pub fn receive(&mut self, stage: &mut Stage, connection: ConnectionIndex, downward: Downward) {
        let Some(index) = self.processes.iter().position(|process| process.connection == Some(connection)) else {
            return;
        };
        match downward {
            Downward::Reply(reply) => self.reply(stage, index, reply),
            Downward::Closed(reason) => self.closed(stage, index, reason),
            Downward::Lost => self.lost(stage, index),
        }
    }

    /// A new phase of the run begins.
    pub fn enter_phase(&mut self, stage: &mut Stage) {
        if self.deserted {
            return;
        }
        match stage.phase {
            Phase::Rough => {}
            Phase::Settling => {
                for process in &mut self.processes {
                    process.reading = true;
                    if let Some(connection) = process.connection {
                        stage.doors.set_reading(stage.now, connection, true, &mut stage.agenda);
                    }
                }
                self.act(stage);
            }
            Phase::Revisiting => {
                if !self.turned_away {
                    self.drop_connection(stage);
                    self.attach(stage, true);
                }
            }
            Phase::Leaving => {
                if self.random.chance(500) {
                    self.end(stage);
                } else {
                    self.drop_connection(stage);
                }
            }
        }
    }
}
