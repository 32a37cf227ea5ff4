//! Whether there is room for one more subscription.

use gomera_cluster::identity::Tenant;
use gomera_cluster::operation::{Excess, Limited, Outcome};

use super::Subscriptions;
use super::sessions::SessionId;
use super::weights::Weight;

/// Whether limits stand against an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// They do: this shard judges by the slice, and answers for it.
    Held,
    /// They do not: who judges by the slice has room or not, and others follow.
    Waived,
}

impl Subscriptions {
    pub(super) fn check_limits(&self, tenant: &Tenant, session: SessionId, weight: &Weight) -> Result<(), Outcome> {
        let of_session = self.sessions.get(session).rows_len();
        let of_tenant = self.weights.of(tenant).subscriptions;
        let of_tenant = usize::try_from(of_tenant).expect("32 bits fit a usize");
        for (have, limit) in [
            (of_session, self.config.subscriptions_per_session_max),
            (of_tenant, self.config.subscriptions_per_tenant_max),
            (self.rows.len(), self.config.subscriptions_max),
        ] {
            if have >= usize::try_from(limit).expect("32 bits fit a usize") {
                return Err(Outcome::LimitExceeded(too_many(limit)));
            }
        }
        self.weights.check(tenant, &Weight::default(), weight).map_err(Outcome::LimitExceeded)
    }
}

/// A table of so many is full.
pub(super) fn too_many(limit: u32) -> Excess {
    Excess { limited: Limited::Subscriptions, limit: u64::from(limit), used: u64::from(limit), asked: 1 }
}
