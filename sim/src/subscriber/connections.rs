//! How a subscriber comes and goes.

use gomera_cluster::session::{Attempt, SlowPolicy};
use gomera_connection_point::client::ClientRequest;

use super::{Asking, Contested, End, Process, Standing, Subscriber};
use crate::doors::{ConnectionIndex, Owner};
use crate::history::Standing as LifeStanding;
use crate::random::millis;
use crate::stage::{Phase, Stage};
use crate::tally::Transition;

impl Subscriber {
    /// A new process comes up while the present one is there, and becomes the present one.
    pub fn twin(&mut self, stage: &mut Stage) {
        self.processes_ever += 1;
        stage.note(|| format!("{} gets a second process", self.plan.name));
        self.processes.push(Process::new(self.processes_ever));
    }

    /// The present process attaches; a forgetful one without its `W`, as a new process would.
    pub fn attach(&mut self, stage: &mut Stage, forgetful: bool) {
        let connection = stage.connect(Owner::Subscriber(self.number), self.plan.tenant.clone());
        self.attach_on(stage, connection, forgetful);
    }

    /// Attaches on a connection that is there.
    pub fn attach_on(&mut self, stage: &mut Stage, connection: ConnectionIndex, forgetful: bool) {
        if forgetful && self.current().knows_w {
            self.processes_ever += 1;
            let number = self.processes_ever;
            *self.current_mut() = Process::new(number);
        }
        let request = self.next_request();
        let options = self.plan.options.clone();
        self.expires_after_min = self.expires_after_min.min(options.expires_after);
        let (session, grants, now) = (self.plan.name.clone(), self.plan.grants, stage.now);
        let process = self.current_mut();
        process.connection = Some(connection);
        process.standing = Standing::Attaching { request, requested: now };
        process.resumes = process.knows_w;
        process.reading = true;
        process.ending = false;
        process.grant_known = false;
        process.asked_to_move = false;
        process.received = 0;
        process.granted = grants;
        let resume = process.knows_w.then(|| process.w.clone());
        let attempt = Attempt { process: u64::from(process.number), number: request.0 };
        stage.send(connection, ClientRequest::Attach { request, session, options, resume, attempt });
        if let Some(notifications_total) = grants {
            stage.count(Transition::ClientCredit);
            stage.send(connection, ClientRequest::Credit { notifications_total });
        }
    }

    /// Drops the present process's connection.
    pub fn drop_connection(&mut self, stage: &mut Stage) {
        let Some(connection) = self.current().connection else {
            return;
        };
        stage.count(Transition::ClientDropped);
        stage.note(|| format!("{} drops connection {}", self.plan.name, connection.id().0));
        stage.leave(connection);
        let index = self.processes.len() - 1;
        self.away(stage, index, End::Left);
    }

    /// A process's connection point has stopped, or seems so. A superseded process stays away for good.
    pub(super) fn lost(&mut self, stage: &mut Stage, index: usize) {
        stage.count(Transition::ConnectionLost);
        self.bereaved = true;
        self.away(stage, index, End::Left);
        if index + 1 < self.processes.len() {
            self.processes.remove(index);
        } else if stage.is_rough() && self.processes.len() == 1 && self.random.chance(stage.deserters) {
            self.desert(stage);
        }
    }

    /// It never comes back: its session ends when it expires.
    fn desert(&mut self, stage: &mut Stage) {
        stage.count(Transition::SessionDeserted);
        stage.note(|| format!("{} never comes back", self.plan.name));
        self.deserted = true;
        if let Some(life) = stage.history.going(self.session) {
            stage.history.life(life).standing = LifeStanding::Over;
        }
    }

    /// Its connection point is to leave: it reads no more there, and attaches elsewhere with its `W`. The old connection is closed
    /// when the new one stands.
    pub(super) fn move_elsewhere(&mut self, stage: &mut Stage, index: usize) {
        self.processes[index].asked_to_move = true;
        let process = &self.processes[index];
        let Some(connection) = process.connection else { return };
        let is_present = index + 1 == self.processes.len() && !process.ending && stage.phase != Phase::Leaving;
        if !is_present || self.random.chance(stage.stubborn) {
            return stage.count(Transition::MoveDeclined);
        }
        stage.note(|| format!("{} moves away from connection {}", self.plan.name, connection.id().0));
        stage.doors.set_reading(stage.now, connection, false, &mut stage.agenda);
        self.away(stage, index, End::Left);
        self.former = Some(connection);
        self.attach(stage, false);
    }

    /// The old connection is closed, once the new one stands.
    pub(super) fn has_moved(&mut self, stage: &mut Stage) {
        if let Some(former) = self.former.take() {
            stage.count(Transition::SessionMoved);
            stage.leave(former);
        }
    }

    /// A process has no connection any more.
    pub(super) fn away(&mut self, stage: &mut Stage, index: usize, end: End) {
        if index + 1 == self.processes.len()
            && let Some(former) = self.former.take()
        {
            stage.count(Transition::MoveOvertaken);
            stage.leave(former);
        }
        let process = &mut self.processes[index];
        let present_until = process.connection.take().map_or(stage.now, |connection| stage.present_until(connection));
        let asked = std::mem::take(&mut process.asked);
        match std::mem::replace(&mut process.standing, Standing::Away) {
            Standing::Away => {}
            Standing::Attaching { .. } => {
                self.attaches_lost += 1;
                self.orphans.extend(asked.into_values());
            }
            Standing::Attached(attachment) => {
                // Only a session that never is too slow is surely attached until its client leaves.
                let until = match (self.plan.options.slow, end) {
                    (SlowPolicy::DropOldest, End::Left) => present_until,
                    (
                        SlowPolicy::DropOldest | SlowPolicy::Disconnect | SlowPolicy::Block { .. },
                        End::Left | End::Told,
                    ) => attachment.requested,
                };
                self.attached_until = self.attached_until.max(until);
                for asked in asked.values() {
                    stage.count(Transition::OperationUnanswered);
                    match &asked.what {
                        Asking::End => self.end_asked = true,
                        Asking::Subscription(id, _) => self.contested.push(Contested::Subscription(id.clone())),
                        Asking::Context(_) => self.contested.push(Contested::Context),
                        Asking::Read(_) => {}
                    }
                }
            }
        }
        let pause = self.random.duration(self.plan.away.0, self.plan.away.1);
        self.away_until = stage.now + if stage.is_rough() { pause } else { millis(10) };
    }
}
