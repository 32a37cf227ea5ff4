//! What a subscriber asks for once it is attached.

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::identity::Handle;
use gomera_connection_point::client::{ClientOperation, ClientRequest, ClientSubscription, RequestId};
use gomera_model::attributes::Attributes;

use super::{Asked, Asking, Contested, Process, Standing, Subscriber};
use crate::history::{LifeIndex, ReadOf};
use crate::random::millis;
use crate::stage::Stage;
use crate::subscriptions::{ContextChange, Declaration, Declared, NEVER, Span, SubscriptionChange};
use crate::tally::Transition;
use crate::timeline::{Answer, Step};
use crate::traffic;

impl Subscriber {
    /// Asks for some change, or reads.
    pub(super) fn operate(&mut self, stage: &mut Stage) {
        let outstanding = self.current().asked.len();
        let connection = self.current().connection;
        let blocked = connection.is_none_or(|connection| stage.doors.unread_up(connection) > 8);
        if outstanding >= self.plan.outstanding_max || blocked {
            return;
        }
        // What the connection before left under way meets the next change of the same subscription.
        let contested = self.contested.pop().filter(|_| self.random.chance(700));
        let new = self.missing_id();
        if contested.is_none() && new.is_none() && !self.random.chance(self.plan.changes) {
            return;
        }
        let (id, dice) = match (contested, new) {
            (Some(Contested::Subscription(id)), _) => (id, 30 + self.random.below(37)),
            (Some(Contested::Context), _) => (Arc::from(""), 67),
            (None, Some(id)) => (id, 0),
            (None, None) => (Arc::from(format!("s{}", self.random.below(self.plan.ids))), self.random.below(90)),
        };
        match dice {
            0..=29 => {
                let declaration = traffic::declaration(&mut self.random);
                let paused = self.random.chance(60);
                let expires_after = self.draw_expiry();
                self.subscribe(stage, id, declaration, paused, expires_after);
            }
            30..=49 => {
                let declaration = traffic::declaration(&mut self.random);
                let expires_after = self.draw_expiry();
                self.update(stage, id, declaration, false, expires_after);
            }
            50..=57 => self.unsubscribe(stage, id),
            58..=66 => {
                let paused = self.random.chance(400);
                self.set_paused(stage, id, paused);
            }
            67..=80 => {
                let context = traffic::context(&mut self.random);
                self.set_context(stage, context);
            }
            81..=83 => self.get(stage, id),
            _ => {
                let limit = if self.random.chance(300) { 1 } else { 6 };
                let after = self.random.chance(300).then(|| Handle(self.random.logarithmic(1, u64::MAX)));
                self.list(stage, after, limit);
            }
        }
    }

    /// An id that was not subscribed in this life of the session: those come first.
    fn missing_id(&self) -> Option<Arc<str>> {
        (0..self.plan.ids).map(|id| Arc::from(format!("s{id}"))).find(|id| !self.ids.contains(id))
    }

    fn draw_expiry(&mut self) -> Option<Duration> {
        self.random.chance(self.plan.expiring).then(|| self.random.duration(millis(5), millis(800)))
    }

    fn declared(
        &self,
        stage: &Stage,
        declaration: Arc<Declaration>,
        paused: bool,
        expires_after: Option<Duration>,
    ) -> Declared {
        let expires = expires_after.map(|after| Span { from: stage.now + after, to: NEVER });
        Declared { declaration, paused, expires }
    }

    /// Creates or replaces a subscription.
    pub fn subscribe(
        &mut self,
        stage: &mut Stage,
        id: Arc<str>,
        declaration: Arc<Declaration>,
        paused: bool,
        expires_after: Option<Duration>,
    ) {
        self.ids.insert(id.clone());
        let declared = self.declared(stage, declaration.clone(), paused, expires_after);
        let subscription =
            ClientSubscription { id: id.clone(), filter: declaration.filter.clone(), paused, expires_after };
        self.ask(
            stage,
            ClientOperation::Subscribe(subscription),
            Asking::Subscription(id, SubscriptionChange::Subscribe(declared)),
        );
    }

    /// Replaces a subscription.
    pub fn update(
        &mut self,
        stage: &mut Stage,
        id: Arc<str>,
        declaration: Arc<Declaration>,
        paused: bool,
        expires_after: Option<Duration>,
    ) {
        let declared = self.declared(stage, declaration.clone(), paused, expires_after);
        let subscription =
            ClientSubscription { id: id.clone(), filter: declaration.filter.clone(), paused, expires_after };
        self.ask(
            stage,
            ClientOperation::Update(subscription),
            Asking::Subscription(id, SubscriptionChange::Update(declared)),
        );
    }

    /// Removes a subscription.
    pub fn unsubscribe(&mut self, stage: &mut Stage, id: Arc<str>) {
        self.ask(
            stage,
            ClientOperation::Unsubscribe(id.clone()),
            Asking::Subscription(id, SubscriptionChange::Unsubscribe),
        );
    }

    /// Pauses or resumes a subscription.
    pub fn set_paused(&mut self, stage: &mut Stage, id: Arc<str>, paused: bool) {
        self.ask(
            stage,
            ClientOperation::SetPaused(id.clone(), paused),
            Asking::Subscription(id, SubscriptionChange::SetPaused(paused)),
        );
    }

    /// Replaces the context.
    pub fn set_context(&mut self, stage: &mut Stage, context: Attributes) {
        self.ask(
            stage,
            ClientOperation::SetContext(context.clone()),
            Asking::Context(ContextChange::Set(Arc::new(context))),
        );
    }

    /// Reads a subscription.
    pub fn get(&mut self, stage: &mut Stage, id: Arc<str>) {
        self.ask(stage, ClientOperation::Get(id.clone()), Asking::Read(ReadOf::One(id)));
    }

    /// Reads subscriptions.
    pub fn list(&mut self, stage: &mut Stage, after: Option<Handle>, limit: u16) {
        self.ask(stage, ClientOperation::List { after, limit }, Asking::Read(ReadOf::Some { after, limit }));
    }

    /// Ends the session.
    pub fn end(&mut self, stage: &mut Stage) {
        let request = self.next_request();
        let ticket = stage.history.ticket();
        let process = self.processes.last_mut().expect("there is always a process");
        if let Some(connection) = process.connection {
            process.asked.insert(request, Asked { ticket, requested: stage.now, what: Asking::End });
            process.ending = true;
            self.end_asked = true;
            stage.send(connection, ClientRequest::EndSession { request });
        }
    }

    /// Subscriptions may be lost: declares them again, and its context, but for those about which something is under way.
    pub(super) fn subscriptions_lost(&mut self, stage: &mut Stage, index: usize, number: u64) {
        if number <= self.lost || index + 1 != self.processes.len() || self.current().ending {
            return;
        }
        self.lost = number;
        stage.count(Transition::SubscriptionsLost);
        let is_under_way = |process: &Process, id: &Arc<str>| {
            process.asked.values().any(|asked| match &asked.what {
                Asking::Subscription(other, _) => other == id,
                Asking::Context(_) | Asking::Read(_) | Asking::End => false,
            })
        };
        let context = traffic::context(&mut self.random);
        self.set_context(stage, context);
        for id in self.ids.clone() {
            if !is_under_way(self.current(), &id) {
                let declaration = traffic::declaration(&mut self.random);
                self.subscribe(stage, id, declaration, false, None);
            }
        }
    }

    fn ask(&mut self, stage: &mut Stage, operation: ClientOperation, what: Asking) {
        let request = self.next_request();
        let ticket = stage.history.ticket();
        let asked = Asked { ticket, requested: stage.now, what };
        let process = self.processes.last_mut().expect("there is always a process");
        let Some(connection) = process.connection else {
            return;
        };
        if let Standing::Attached(attachment) = &process.standing {
            enter(stage, attachment.life, attachment.generation, &asked);
        }
        process.asked.insert(request, asked);
        stage.send(connection, ClientRequest::Operate { request, operation });
    }

    /// Enters what was asked before the attachment was known.
    pub(super) fn enter_early(&self, stage: &mut Stage, index: usize) {
        let process = &self.processes[index];
        if let Standing::Attached(attachment) = &process.standing {
            for asked in process.asked.values() {
                enter(stage, attachment.life, attachment.generation, asked);
            }
        }
    }
}

/// Enters a change into the history of a life, unanswered.
pub(super) fn enter(stage: &mut Stage, life: LifeIndex, generation: u64, asked: &Asked) {
    let (ticket, requested) = (asked.ticket, asked.requested);
    let life = stage.history.life(life);
    match &asked.what {
        Asking::Subscription(id, change) => life.subscription(id).add(Step {
            ticket,
            generation,
            change: change.clone(),
            requested,
            answer: Answer::Unknown,
        }),
        Asking::Context(change) => {
            life.context.add(Step { ticket, generation, change: change.clone(), requested, answer: Answer::Unknown });
        }
        Asking::Read(_) | Asking::End => {}
    }
}

/// The request that answers nothing.
pub(super) const UNASKED: RequestId = RequestId(0);
