//! What a subscriber makes of what failed.

use gomera_connection_point::client::{Failure, FailureKind, RequestId};

use super::operations::UNASKED;
use super::{Asking, End, Standing, Subscriber};
use crate::stage::Stage;
use crate::tally::Transition;
use crate::timeline::{Answer, Ticket};
use crate::verdict::Promise;

impl Subscriber {
    pub(super) fn failed(&mut self, stage: &mut Stage, index: usize, request: RequestId, failure: &Failure) {
        if let Standing::Attaching { request: attach, .. } = self.processes[index].standing
            && request == attach
        {
            if failure.kind == FailureKind::Exhausted {
                self.turn_away(stage);
            }
            // It did not come to anything; the client tries again on a new connection.
            if let Some(connection) = self.processes[index].connection {
                stage.leave(connection);
            }
            return self.away(stage, index, End::Left);
        }
        if request == UNASKED {
            return self.wrong(stage, Promise::Surface, None, &format!("was told of a failure: {failure:?}"));
        }
        let Some(asked) = self.take_asked(stage, index, request) else {
            return;
        };
        let life = self.attachment(index).map(|attachment| attachment.life);
        let without_effect = match failure.kind {
            FailureKind::NotFound => {
                stage.count(Transition::OperationNotFound);
                true
            }
            FailureKind::Exhausted => {
                stage.count(Transition::OperationLimit);
                // A context goes to every matcher, and some may have had room for it.
                !matches!(asked.what, Asking::Context(_))
            }
            FailureKind::Aborted => {
                stage.count(Transition::OperationSuperseded);
                true
            }
            FailureKind::Unavailable => {
                if failure.message.starts_with("a matcher died") {
                    stage.count(Transition::ReadUnanswered);
                }
                false
            }
            FailureKind::Precondition
            | FailureKind::Invalid
            | FailureKind::AlreadyExists
            | FailureKind::OutOfRange
            | FailureKind::Unimplemented => {
                let what = format!("asked for {:?} and was told {failure:?}", asked.what);
                return self.wrong(stage, Promise::Surface, None, &what);
            }
        };
        if let (true, Some(life)) = (without_effect, life) {
            without(stage, life, asked.ticket, &asked.what);
        }
    }
}

fn without(stage: &mut Stage, life: crate::history::LifeIndex, ticket: Ticket, what: &Asking) {
    let at = stage.now;
    let life = stage.history.life(life);
    match what {
        Asking::Subscription(id, _) => {
            if let Some(step) = life.subscription(id).step_mut(ticket) {
                step.answer = Answer::Without { at };
            }
        }
        Asking::Context(_) => {
            if let Some(step) = life.context.step_mut(ticket) {
                step.answer = Answer::Without { at };
            }
        }
        Asking::Read(_) | Asking::End => {}
    }
}
