//! What comes of operations that all who have to have worked off: answers, and what has to be done before there is one.

use std::sync::Arc;

use gomera_cluster::identity::Handle;
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::connection_point::{Completed, ToConnectionPoint};
use gomera_cluster::message::exit_point::{Forgotten, ToExitPoint};
use gomera_cluster::message::matcher::{LaneSettled, ToMatcher};
use gomera_cluster::message::snapshot::SubscriptionState;
use gomera_cluster::operation::{Change, Operation, Outcome, Subscription, UNSAID};
use gomera_cluster::position::Position;

use super::{Lane, Output};
use crate::operations::{Asker, Charge, Completion, Hearing, Round};

impl Lane {
    pub(super) fn complete(&mut self, completion: Completion, output: &mut Output) {
        let Completion { number, operation, asker, outcome, hearing, restore, missing, freed } = completion;
        self.settling.end(operation.session);
        if let Change::Restore(key, _) = &operation.change
            && self.restoring.get(key) == Some(&number)
        {
            self.restoring.remove(key);
        }
        if let Asker::ConnectionPoint(from) = asker {
            self.sources.free_operations(from, freed);
        }
        let Some(mut outcome) = outcome else {
            // Whoever could have said what came of it is gone. Twice is harmless: it carries its version.
            self.sequence(operation, asker, Charge::Nobody, Round::Again, None, output);
            return;
        };
        if let (Hearing::Partial, Outcome::Applied { in_force_after, .. }) = (hearing, &mut outcome) {
            let lanes = in_force_after.iter().map(|at| at.lane).chain(self.routes.layout.lanes.keys().copied());
            *in_force_after = lanes.map(|lane| Position { lane, number: UNSAID }).collect();
        }
        if let (Change::SetPaused(key, _), Asker::ConnectionPoint(_)) = (&operation.change, asker)
            && self.restoring.get(key).is_some_and(|&restored| number < restored)
        {
            // What it paused or resumed had no room, and is taken back behind it.
            self.sequence(operation, asker, Charge::Nobody, Round::Again, None, output);
            return;
        }
        let restore = restore.or_else(|| missing.and_then(|handle| self.under(&operation, handle)).map(Some));
        if let (Some(before), Some(key)) = (restore, operation.change.subscription()) {
            // Others applied what did not count where it is decided, or the other way round. The client hears of it when they are at one.
            let restored = Operation { change: Change::Restore(key, before), ..(*operation).clone() };
            self.sequence(Arc::new(restored), asker, Charge::Nobody, Round::First, Some(outcome), output);
            return;
        }
        output.statistics.completed += 1;
        let (session, version) = (operation.session, operation.version);
        match asker {
            Asker::ConnectionPoint(to) => {
                if self.sources.serves(to) {
                    let position = Position { lane: self.id, number };
                    let completed = Completed { session, version, position, outcome };
                    output.tell(to, ToConnectionPoint::Completed(completed));
                }
            }
            Asker::ExitPoint(to) => {
                self.endings_under_way -= 1;
                // Whoever decides in place of a dead one asks for it itself.
                if self.routes.layout.names(to) {
                    let forgotten = ToExitPoint::Forgotten(Forgotten { session, generation: version.generation });
                    output.actions.push(Send { to, message: Message::ExitPoint(forgotten) });
                }
            }
            Asker::Nobody => self.endings_under_way -= 1,
        }
    }

    /// What a put came to where it counts: one replica had removed the subscription before, or not had it yet, and another one still had
    /// what an operation on another lane made.
    fn under(&self, operation: &Operation, handle: Handle) -> Option<Box<SubscriptionState>> {
        let Change::Put(subscription, _) = &operation.change else { return None };
        let slice = self.routes.layout.slice_of_subscription(subscription.key);
        let (tenant, session, version) = (operation.tenant.clone(), operation.session, operation.version);
        let subscription = Subscription { handle, ..subscription.clone() };
        Some(Box::new(SubscriptionState { tenant, session, slice, version, put: version, subscription }))
    }

    /// Several matchers are told which operations all of them have: the others they keep, should this lane be fenced.
    pub(super) fn tell_settled(&mut self, output: &mut Output) {
        let through = self.operations.settled(self.last_operation);
        if through > self.told_settled && self.routes.matchers.len() > 1 {
            self.told_settled = through;
            let settled = LaneSettled { lane: self.id, through };
            for &to in &*self.routes.matchers {
                let message = Message::Matcher(ToMatcher::LaneSettled(settled));
                output.actions.push(Send { to, message });
            }
        }
    }
}
