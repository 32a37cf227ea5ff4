//! What a subscriber makes of what it is told, and what it holds against it.

use std::sync::Arc;

use gomera_cluster::identity::{Generation, Handle};
use gomera_cluster::message::connection_point::{Gap, Satisfied};
use gomera_cluster::operation::Description;
use gomera_cluster::position::{Position, Vector};
use gomera_cluster::publication::Envelope;
use gomera_cluster::session::SlowPolicy;
use gomera_connection_point::client::{ClientReply, CloseReason, Delivery, FailureKind, RequestId};

use super::operations::enter;
use super::{Acknowledging, Asked, Asking, Attachment, End, Standing, Subscriber};
use crate::history::{Passage, PublicationIndex, Read, ReadOf, Reception, Standing as LifeStanding};
use crate::stage::{Phase, Stage};
use crate::subscriptions::{ContextChange, SubscriptionChange};
use crate::tally::Transition;
use crate::timeline::{Answer, Precision, Step};
use crate::verdict::Promise;

/// What was told with an attachment.
struct AttachedReply {
    request: RequestId,
    session: Arc<str>,
    resumed: bool,
    merged: Vector,
    generation: Generation,
}

/// A notification as the client sees it.
struct Received {
    envelope: Arc<Envelope>,
    position: Position,
    satisfied: Satisfied,
    merged: Vec<Position>,
    redelivered: bool,
}

impl Subscriber {
    pub(super) fn wrong(&self, stage: &mut Stage, promise: Promise, publication: Option<PublicationIndex>, what: &str) {
        let name = self.plan.name.to_string();
        let subjects = match publication {
            Some(publication) => vec![name, publication.name()],
            None => vec![name],
        };
        stage.violate(promise, subjects, format!("session {} {what}", self.plan.name));
    }

    pub(super) fn reply(&mut self, stage: &mut Stage, index: usize, reply: ClientReply) {
        match reply {
            ClientReply::Attached { request, session, resumed, merged, generation } => {
                let reply = AttachedReply { request, session, resumed, merged, generation };
                self.attached(stage, index, reply);
            }
            ClientReply::Applied { request, handle, in_force_after } => {
                self.applied(stage, index, request, handle, in_force_after);
            }
            ClientReply::Found { request, subscriptions } => self.found(stage, index, request, subscriptions),
            ClientReply::Failed { request, failure } => self.failed(stage, index, request, &failure),
            ClientReply::Notifications(deliveries) => {
                for delivery in deliveries {
                    match delivery {
                        Delivery::Notification { envelope, position, satisfied, merged, redelivered, cost: _ } => {
                            let received = Received { envelope, position, satisfied, merged, redelivered };
                            self.notified(stage, index, received);
                        }
                        Delivery::Gap(gap) => self.gap(stage, index, gap),
                    }
                }
                self.acknowledge_when_due(stage, index);
            }
            ClientReply::MoveTo { .. } => self.move_elsewhere(stage, index),
            ClientReply::SubscriptionsLost { number } => self.subscriptions_lost(stage, index, number),
            other @ (ClientReply::PublisherOpened { .. }
            | ClientReply::Acknowledged { .. }
            | ClientReply::PublicationRefused { .. }) => {
                self.wrong(stage, Promise::Surface, None, &format!("was told {other:?}"));
            }
        }
    }

    fn attached(&mut self, stage: &mut Stage, index: usize, reply: AttachedReply) {
        let Standing::Attaching { request, requested } = self.processes[index].standing else {
            return self.wrong(stage, Promise::Surface, None, "was attached without asking");
        };
        if index + 1 == self.processes.len() {
            self.has_moved(stage);
        }
        if reply.request != request || reply.session != self.plan.name {
            let what = format!("was attached as {} in answer to {:?}", reply.session, reply.request);
            self.wrong(stage, Promise::Surface, None, &what);
        }
        if std::mem::take(&mut self.bereaved) && reply.resumed {
            stage.count(Transition::ResumedElsewhere);
        }
        let going = stage.history.going(self.session);
        let away = stage.now.since(self.attached_until);
        let may_have_ended = self.may_have_ended(stage);
        let generation = reply.generation.0;
        let life = if reply.resumed {
            stage.count(if self.processes[index].resumes {
                Transition::AttachResumedWithW
            } else {
                Transition::AttachResumedWithoutW
            });
            if going.is_none() && self.attaches_lost == 0 {
                self.wrong(stage, Promise::Surface, None, "was resumed, though it did not exist");
            }
            let life = going.unwrap_or_else(|| stage.history.life_begins(self.session, requested));
            if self.attaches_lost > 0 && may_have_ended {
                self.perhaps_forgotten(stage, life, generation);
            }
            for orphan in &self.orphans {
                enter(stage, life, generation - 1, orphan);
            }
            life
        } else {
            stage.count(Transition::AttachCreated);
            if going.is_some() {
                if !may_have_ended {
                    let what = format!(
                        "was gone after {} ms without an attachment; it should live {} ms",
                        away.as_millis(),
                        self.expires_after_min.as_millis()
                    );
                    self.wrong(stage, Promise::Delivery, None, &what);
                }
                if !self.end_asked {
                    stage.count(Transition::SessionExpired);
                }
            }
            self.ids.clear();
            self.orphans.clear();
            stage.history.life_begins(self.session, requested)
        };
        self.orphans.clear();
        self.end_asked = false;
        self.attached_until = self.attached_until.max(requested);
        self.turned_away = false;
        self.expires_after_min = self.plan.options.expires_after;
        let created = !reply.resumed;
        let process = &mut self.processes[index];
        process.w.raise_all(&reply.merged);
        process.knows_w = true;
        let record = stage.history.life(life);
        record.reached.raise_all(&process.w);
        record.passages.push(Passage { generation, from: process.w.clone(), to: process.w.clone() });
        process.standing = Standing::Attached(Attachment { generation, life, since: stage.now, requested, created });
        self.enter_early(stage, index);
    }

    /// The session may have ended and begun anew without the client knowing: all its subscriptions are in doubt.
    fn perhaps_forgotten(&mut self, stage: &mut Stage, life: crate::history::LifeIndex, generation: u64) {
        let requested = self.attached_until;
        let generation = generation - 1;
        let ticket = stage.history.ticket();
        let now = stage.now;
        let life = stage.history.life(life);
        life.in_doubt_until = now;
        for timeline in life.subscriptions.values_mut() {
            let change = SubscriptionChange::PerhapsForgotten;
            timeline.add(Step { ticket, generation, change, requested, answer: Answer::Unknown });
        }
        let change = ContextChange::PerhapsForgotten;
        life.context.add(Step { ticket, generation, change, requested, answer: Answer::Unknown });
    }

    pub(super) fn take_asked(&mut self, stage: &mut Stage, index: usize, request: RequestId) -> Option<Asked> {
        let asked = self.processes[index].asked.remove(&request);
        self.processes[index].grant_known = true;
        if asked.is_none() {
            let what = format!("got an answer to request {}, which it did not make or which was answered", request.0);
            self.wrong(stage, Promise::Surface, None, &what);
        }
        asked
    }

    pub(super) fn attachment(&self, index: usize) -> Option<&Attachment> {
        match &self.processes[index].standing {
            Standing::Attached(attachment) => Some(attachment),
            Standing::Away | Standing::Attaching { .. } => None,
        }
    }

    fn applied(
        &mut self,
        stage: &mut Stage,
        index: usize,
        request: RequestId,
        handle: Option<Handle>,
        in_force_after: Vector,
    ) {
        let Some(asked) = self.take_asked(stage, index, request) else {
            return;
        };
        let Some(life) = self.attachment(index).map(|attachment| attachment.life) else {
            return self.wrong(stage, Promise::Surface, None, "got an answer before it was attached");
        };
        stage.history.operations += 1;
        let now = stage.now;
        let precision = if stage.has_fenced { Precision::AtTheLatest } else { Precision::Exact };
        let answer = Answer::Applied { at: now, in_force_after, precision };
        match &asked.what {
            Asking::Subscription(id, change) => {
                stage.count(match change {
                    SubscriptionChange::Subscribe(_) => Transition::SubscribeApplied,
                    SubscriptionChange::Update(_) => Transition::UpdateApplied,
                    SubscriptionChange::Unsubscribe => Transition::UnsubscribeApplied,
                    SubscriptionChange::SetPaused(_) | SubscriptionChange::PerhapsForgotten => Transition::PauseApplied,
                });
                let life = stage.history.life(life);
                if let Some(step) = life.subscription(id).step_mut(asked.ticket) {
                    if let Some(from) = step.change.expires_from() {
                        step.change.expires_before(now + from.since(asked.requested));
                    }
                    step.answer = answer;
                }
                if let Some(handle) = handle {
                    life.handles.entry(handle).or_default().insert(id.clone());
                } else if !matches!(change, SubscriptionChange::SetPaused(_)) {
                    self.wrong(stage, Promise::Surface, None, &format!("was not told the handle of {id}"));
                }
            }
            Asking::Context(_) => {
                stage.count(Transition::ContextApplied);
                if let Some(step) = stage.history.life(life).context.step_mut(asked.ticket) {
                    step.answer = answer;
                }
            }
            Asking::End => {
                stage.count(Transition::EndedByClient);
                stage.history.life(life).standing = LifeStanding::Over;
                self.end_asked = false;
            }
            Asking::Read(_) => self.wrong(stage, Promise::Surface, None, "was told that a read is in force"),
        }
        stage.nudge_publisher();
    }

    fn found(&mut self, stage: &mut Stage, index: usize, request: RequestId, found: Vec<Description>) {
        let Some(asked) = self.take_asked(stage, index, request) else {
            return;
        };
        let Some((life, generation)) =
            self.attachment(index).map(|attachment| (attachment.life, attachment.generation))
        else {
            return self.wrong(stage, Promise::Surface, None, "got an answer before it was attached");
        };
        let Asking::Read(of) = asked.what else {
            return self.wrong(stage, Promise::Surface, None, "was told subscriptions it did not ask for");
        };
        stage.history.operations += 1;
        stage.count(match of {
            ReadOf::One(_) => Transition::ReadOne,
            ReadOf::Some { .. } => Transition::ReadSome,
        });
        let now = stage.now;
        let is_newest = index + 1 == self.processes.len();
        let ending = self.processes[index].ending;
        let life = stage.history.life(life);
        for description in &found {
            life.handles.entry(description.handle).or_default().insert(description.id.clone());
        }
        // What a superseded process reads may be older or newer than its own operations; the end of a session may overtake. A read that was
        // asked for again, because its lane was fenced, may find what was asked for behind it.
        if is_newest && !ending && !stage.has_fenced {
            let (ticket, requested) = (asked.ticket, asked.requested);
            life.reads.push(Read { ticket, generation, of, requested, answered: now, found });
        }
    }

    fn notified(&mut self, stage: &mut Stage, index: usize, received: Received) {
        let Received { envelope, position, satisfied, merged, redelivered } = received;
        let Some(publication) = PublicationIndex::of(&envelope.content) else {
            return self.wrong(stage, Promise::Delivery, None, "received content that nobody published");
        };
        let number = self.processes[index].number;
        let Some((life, generation, since, created)) = self
            .attachment(index)
            .map(|attachment| (attachment.life, attachment.generation, attachment.since, attachment.created))
        else {
            return self.wrong(stage, Promise::Surface, Some(publication), "was notified before it was attached");
        };
        stage.history.deliveries += 1;
        match &satisfied {
            Satisfied::One(_) => {}
            Satisfied::Many(_) => stage.count(Transition::HandlesMany),
            Satisfied::Count(_) => stage.count(Transition::HandlesCounted),
        }
        if redelivered {
            stage.count(Transition::Redelivered);
        }
        let known = &stage.history.publications[publication.0];
        let intact = known.content == envelope.content
            && known.publisher == envelope.publisher
            && known.tenant == envelope.tenant
            && known.position.is_none_or(|known| known == position);
        let (sent, expected) = (known.sent, known.position);
        if !intact {
            let what = format!("received {} changed, or from another place than {expected:?}", publication.name());
            return self.wrong(stage, Promise::Delivery, Some(publication), &what);
        }
        if redelivered && (created || sent > since) {
            let what = format!("received {} flagged though it cannot have been sent before", publication.name());
            self.wrong(stage, Promise::Delivery, Some(publication), &what);
        }
        if self.processes[index].w.covers(position) {
            let what = format!(
                "received {} at or below its W ({} in lane {})",
                publication.name(),
                self.processes[index].w.get(position.lane).0,
                position.lane
            );
            self.wrong(stage, Promise::Delivery, Some(publication), &what);
        }
        if stage.phase >= Phase::Revisiting {
            let what = format!("received {} again, though everything was acknowledged", publication.name());
            self.wrong(stage, Promise::Delivery, Some(publication), &what);
        }
        let process = &mut self.processes[index];
        process.w.raise(position.lane, position.number);
        for other in merged {
            process.w.raise(other.lane, other.number);
        }
        process.unacknowledged += 1;
        process.received += 1;
        let over_granted = process.grant_known && process.granted.is_some_and(|granted| process.received > granted);
        let w = process.w.clone();
        if over_granted {
            self.wrong(stage, Promise::Surface, Some(publication), "received more notifications than it granted");
        }
        let now = stage.now;
        let record = stage.history.life(life);
        record.reached.raise_all(&w);
        if let Some(passage) = record.passages.iter_mut().rfind(|passage| passage.generation == generation) {
            passage.to.raise_all(&w);
        }
        let again = redelivered && record.receptions.iter().any(|earlier| earlier.publication == publication);
        record.receptions.push(Reception { publication, at: now, process: number, generation, satisfied, redelivered });
        if again {
            stage.count(Transition::RedeliveredTwice);
        }
    }

    /// The limit of sessions was met: so the session does not exist.
    pub(super) fn turn_away(&mut self, stage: &mut Stage) {
        stage.count(Transition::AttachRefusedLimit);
        self.turned_away = true;
        if let Some(life) = stage.history.going(self.session) {
            if !self.may_have_ended(stage) {
                self.wrong(stage, Promise::Delivery, None, "was refused at a limit of sessions though it exists");
            }
            stage.history.life(life).standing = LifeStanding::Over;
        }
    }

    fn may_have_ended(&self, stage: &Stage) -> bool {
        let away = stage.now.since(self.attached_until);
        self.end_asked || away + self.plan.lag >= self.expires_after_min
    }

    fn gap(&mut self, stage: &mut Stage, index: usize, gap: Gap) {
        stage.count(Transition::GapTold);
        if gap.dropped == 0 || gap.ranges.is_empty() || gap.ranges.iter().any(|range| range.first > range.last) {
            self.wrong(stage, Promise::Surface, None, &format!("was told an empty gap: {gap:?}"));
        }
        if let Some((life, generation)) =
            self.attachment(index).map(|attachment| (attachment.life, attachment.generation))
        {
            stage.history.life(life).gaps.push((generation, gap));
        }
    }

    fn acknowledge_when_due(&mut self, stage: &mut Stage, index: usize) {
        let current = index + 1 == self.processes.len();
        let due = match self.plan.acknowledging {
            Acknowledging::Every(count) => self.processes[index].unacknowledged >= count,
            Acknowledging::Seldom | Acknowledging::Never => false,
        };
        if current && (due || !stage.is_rough()) {
            self.acknowledge(stage);
        }
    }

    pub(super) fn closed(&mut self, stage: &mut Stage, index: usize, reason: CloseReason) {
        let kind = reason.failure.as_ref().map(|failure| failure.kind);
        match kind {
            None => {
                if !self.processes[index].ending {
                    self.wrong(stage, Promise::Surface, None, "was closed without a reason");
                }
            }
            Some(FailureKind::Aborted) => {
                stage.count(Transition::AttachSuperseded);
                if index + 1 == self.processes.len() {
                    stage.count(Transition::SupersededByItself);
                    if self.processes_ever == 1 {
                        self.wrong(stage, Promise::Surface, None, "was superseded, and there is nobody else");
                    }
                }
            }
            Some(FailureKind::Exhausted) => match (&self.processes[index].standing, self.plan.options.slow) {
                (Standing::Attached(_), SlowPolicy::Block { .. }) => stage.count(Transition::BlockRanOut),
                (Standing::Attached(_), SlowPolicy::Disconnect | SlowPolicy::DropOldest) => {
                    stage.count(Transition::EndedSlow);
                }
                (Standing::Away | Standing::Attaching { .. }, _) => self.turn_away(stage),
            },
            Some(FailureKind::Unavailable) => {
                let is_leaving = reason.failure.as_ref().is_some_and(|failure| failure.message.contains("is to leave"));
                let process = &self.processes[index];
                if is_leaving && !process.asked_to_move && matches!(process.standing, Standing::Attached(_)) {
                    self.wrong(stage, Promise::Surface, None, "was closed without having been asked to move");
                }
            }
            Some(
                FailureKind::Invalid
                | FailureKind::Precondition
                | FailureKind::NotFound
                | FailureKind::AlreadyExists
                | FailureKind::OutOfRange
                | FailureKind::Unimplemented,
            ) => self.wrong(stage, Promise::Surface, None, &format!("was closed: {reason:?}")),
        }
        self.away(stage, index, End::Told);
        // A superseded process that has a successor stays away for good.
        if index + 1 < self.processes.len() {
            self.processes.remove(index);
        }
    }
}
