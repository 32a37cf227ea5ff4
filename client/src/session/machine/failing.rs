//! What fails, and subscriptions that the cluster has lost with all matchers that had them: they are declared again.

use std::time::Duration;

use gomera_cluster::position::Vector;
use tonic::Code;

use super::{Answer, Applied, Completion, Event, Inbound, Machine};
use crate::error::OperationError;
use crate::session::operation::{Asked, Copies, Declaration, Operation, Origin, RequestId};

/// What a death left without an answer is asked again so often.
const ASKED_AGAIN_MAX: u32 = 3;

impl Machine {
    /// What was answered before may be lost; what is answered from now on stands.
    pub(super) fn subscriptions_lost(&mut self, number: u64, now: Duration) {
        if number <= self.loss.0 {
            return;
        }
        self.loss = (number, self.requests.last());
        let Self { requests, subscriptions, .. } = self;
        let again = subscriptions.declare_again(now, |id| requests.concerns(id));
        if !again.is_empty() {
            self.requests.ask_first(again, Origin::Redeclaration);
            self.inbound(Inbound::Other(Event::SubscriptionsLost));
        }
    }

    pub(super) fn failed(
        &mut self,
        request: RequestId,
        error: OperationError,
        not_found: bool,
        now: Duration,
        completions: &mut Vec<Completion>,
    ) {
        let Some(asked) = self.requests.answered(request) else { return };
        let is_unanswered = matches!(error, OperationError::Refused { code: Code::Unavailable, .. });
        // A change may have been made: made again it is the same, unless another one went out after it.
        let may_again = asked.is_read() || self.requests.is_last_sent(request);
        if is_unanswered && may_again && asked.unanswered < ASKED_AGAIN_MAX {
            return self.requests.again(request, asked);
        }
        if not_found && self.met_a_loss(request, &asked, now) {
            if asked.origin == Origin::Application {
                completions.push((request, Err(error)));
            }
            return;
        }
        let mut subscription = None;
        match asked.operation {
            // The first copy removed it, and its answer was lost with the connection.
            Operation::Unsubscribe(id) if not_found => {
                self.subscriptions.remove(&id, None, Vector::default());
                if asked.copies == Copies::Repeated {
                    completions.push((request, Ok(Answer::Applied(Applied::default()))));
                    return;
                }
            }
            Operation::Update(declaration) if not_found => {
                self.subscriptions.remove(&declaration.id, None, Vector::default());
            }
            Operation::Subscribe(declaration) => subscription = Some(declaration.id),
            Operation::Unsubscribe(_)
            | Operation::Update(_)
            | Operation::SetPaused(..)
            | Operation::Get(_)
            | Operation::List { .. }
            | Operation::SetContext(_)
            | Operation::End => {}
        }
        match asked.origin {
            Origin::Application => completions.push((request, Err(error))),
            Origin::Learning => self.learning_ended(),
            Origin::Redeclaration => {
                if let Some(id) = &subscription {
                    self.subscriptions.remove(id, None, Vector::default());
                }
                self.inbound(Inbound::Other(Event::RedeclarationFailed { subscription, error }));
            }
        }
    }

    /// Whether a change that found nothing met the gap that a loss left: what was there before is declared again then. The program
    /// hears that its change failed.
    fn met_a_loss(&mut self, request: RequestId, asked: &Asked, now: Duration) -> bool {
        if self.loss.0 == 0 || request > self.loss.1 {
            return false;
        }
        let (Operation::Update(Declaration { id, .. }) | Operation::SetPaused(id, _)) = &asked.operation else {
            return false;
        };
        let Some(again) = self.subscriptions.declare_one_again(id, now) else { return false };
        if !self.requests.concerns(id) {
            self.requests.ask_first(vec![again], Origin::Redeclaration);
        }
        true
    }
}
