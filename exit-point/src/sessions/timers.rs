//! What happens because time passes: sessions without an attachment end, expired notifications go.

use gomera_cluster::time::Instant;
use gomera_model::timestamp::Timestamp;

use super::Sessions;
use super::deliver::sweep_due;
use crate::session::Sweep;

impl Sessions {
    /// Does what is due, at most so much that one call stays short; the rest is due at once again.
    pub(crate) fn pass(&mut self, now: Instant) {
        /// Removing a session costs what its outbox holds.
        const SESSIONS_MAX: usize = 64;
        /// Notifications looked at.
        const SWEPT_MAX: usize = 20_000;
        for _ in 0..SESSIONS_MAX {
            let Some(id) = self.expiry.pop(now) else {
                break;
            };
            self.expire_session(id);
        }
        let mut swept = 0;
        while swept < SWEPT_MAX {
            let Some(id) = self.sweeps.pop(self.wall) else {
                break;
            };
            let wall = self.wall;
            let session = &mut self.table[id.0];
            swept += session.outbox.len() + 1;
            let expired = session.outbox.remove(|entry| entry.is_expired(wall));
            // What its client has may have stood behind it, and nothing else may be acknowledged ever.
            let settled = session.outbox.acknowledge(&session.acknowledged);
            session.sweep = match session.outbox.first_expiry().map(sweep_due) {
                Some(due) => {
                    self.sweeps.set(due, id);
                    Sweep::At(due)
                }
                None => Sweep::None,
            };
            self.statistics.notifications_expired += expired.notifications;
            self.statistics.notifications_acknowledged += settled.notifications;
            self.freed(id, expired);
            self.freed(id, settled);
        }
    }

    /// When the next session ends for want of an attachment.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiry.first()
    }

    /// When, by the wall clock, the next outbox is swept.
    pub(crate) fn next_sweep(&self) -> Option<Timestamp> {
        self.sweeps.first()
    }
}
