//! Limits and what happens at them: a session at a limit of its own follows its policy; at a limit of its tenant or of the
//! shard the largest session gives first.
//!
//! | policy | attached | nobody attached |
//! | --- | --- | --- |
//! | drop oldest | the oldest go, with a gap | the same |
//! | disconnect | the attachment ends, then as if nobody were attached | the oldest go, with a gap |
//! | block | merging waits (see `deliver`), then as disconnect; no wait at limits of tenant and shard | the oldest go, with a gap |

use gomera_cluster::session::SlowPolicy;
use gomera_cluster::time::Instant;

use super::Sessions;
use crate::limits::{Account, Accounts, TenantId};
use crate::outbox::Freed;
use crate::session::{Attachment, SessionId};

/// Whether a notification can go in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It can.
    Made,
    /// The session ended on the way.
    Gone,
}

/// Whose limit is met.
#[derive(Clone, Copy, Debug)]
enum Scope {
    Tenant(TenantId),
    Node,
}

impl Sessions {
    /// Whether something has to go before a notification can go in.
    pub(super) fn needs_room(&self, id: SessionId) -> bool {
        let session = &self.table[id.0];
        session.is_full() || self.full_scope(session.tenant).is_some()
    }

    fn full_scope(&self, tenant: TenantId) -> Option<Scope> {
        if self.accounts.tenant(tenant).is_full(self.config.tenant_outbox_bytes_max) {
            Some(Scope::Tenant(tenant))
        } else if self.accounts.node().is_full(self.config.node_outbox_bytes_max) {
            Some(Scope::Node)
        } else {
            None
        }
    }

    /// Makes room for one notification.
    pub(super) fn make_room(&mut self, now: Instant, id: SessionId) -> Room {
        if self.table[id.0].is_full() {
            self.give_up(now, id);
        }
        loop {
            let Some(session) = self.table.get(id.0) else {
                return Room::Gone;
            };
            if session.is_full() {
                self.drop_oldest(id);
                continue;
            }
            let Some(scope) = self.full_scope(session.tenant) else {
                return Room::Made;
            };
            let largest = self.largest(scope).expect("a full account has a session with a notification");
            self.give_up(now, largest);
        }
    }

    /// A session gives something, as its policy says.
    fn give_up(&mut self, now: Instant, id: SessionId) {
        let session = &self.table[id.0];
        match (&session.attachment, session.terms.slow) {
            (Attachment::Attached(_), SlowPolicy::Disconnect | SlowPolicy::Block { .. }) => self.disconnect(now, id),
            (Attachment::Attached(_), SlowPolicy::DropOldest) | (Attachment::Detached(_), _) => self.drop_oldest(id),
        }
    }

    fn drop_oldest(&mut self, id: SessionId) {
        let session = &mut self.table[id.0];
        let Some((entry, sent)) = session.outbox.drop_oldest() else {
            return;
        };
        if entry.is_expired(self.wall) {
            self.statistics.notifications_expired += 1;
        } else {
            session.given_up.add(entry.position, sent);
            if self.followers.contains_key(&session.slice) {
                self.dropped.entry(session.key).or_default().raise(entry.position.lane, entry.position.number);
            }
            self.statistics.notifications_dropped += 1;
        }
        self.freed(id, Freed { bytes: entry.cost, notifications: 1 });
        self.queue(id);
    }

    /// What a session brings with it may be too much for its tenant or the shard.
    pub(super) fn shed(&mut self, id: SessionId) {
        let tenant = self.table[id.0].tenant;
        while let Some(scope) = self.full_scope(tenant) {
            let largest = self.largest(scope).expect("a full account has a session with a notification");
            self.drop_oldest(largest);
        }
    }

    fn largest(&mut self, scope: Scope) -> Option<SessionId> {
        loop {
            let account: &Account = match scope {
                Scope::Tenant(tenant) => self.accounts.tenant(tenant),
                Scope::Node => self.accounts.node(),
            };
            let id = account.highest()?;
            let session = &mut self.table[id.0];
            let held = session.outbox.all();
            if Accounts::is_in_place(session.rank, held) {
                return Some(id);
            }
            self.accounts.file(id, session.tenant, &mut session.rank, held);
        }
    }
}
