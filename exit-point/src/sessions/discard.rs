//! Outboxes of sessions that are gone. Letting a million notifications go takes tens of milliseconds, so they go in steps, one an
//! event. Limits do not count them any more: a step lets go more than one event can bring in.

use std::collections::VecDeque;

use crate::outbox::Outbox;

/// Notifications in one step: a few hundred microseconds.
const STEP: usize = 4096;

/// Outboxes to be emptied.
#[derive(Debug, Default)]
pub(super) struct Discarded {
    outboxes: VecDeque<Outbox>,
}

impl Discarded {
    /// Takes an outbox; a small one goes at once.
    pub(super) fn push(&mut self, outbox: Outbox) {
        if outbox.len() > STEP {
            self.outboxes.push_back(outbox);
        }
    }

    /// Whether something is left.
    pub(super) fn is_empty(&self) -> bool {
        self.outboxes.is_empty()
    }

    /// Lets some of it go.
    pub(super) fn step(&mut self) {
        let mut left = STEP;
        while let Some(outbox) = self.outboxes.front_mut() {
            left -= outbox.discard(left);
            if left == 0 {
                return;
            }
            self.outboxes.pop_front();
        }
    }
}
