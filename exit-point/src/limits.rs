//! What sessions hold together, per tenant and on the whole shard, and who of them holds most.
//!
//! Sessions are ordered by size class, eight to a power of two, so that «the largest» is exact to an eighth and an outbox that
//! fills and empties all the time costs one comparison a notification. A session climbs as soon as it outgrows its class and
//! sinks only when it is looked at: each look-up that finds one in too high a class sinks it, which its climb has paid for.
//!
//! Invariant: every session with a notification stands in the order, in its class or in a higher one.

use std::collections::{BTreeMap, BTreeSet};

use gomera_cluster::identity::Tenant;
use slab::Slab;

use crate::outbox::Freed;
use crate::session::SessionId;

/// A place in the table of tenants; used again after the tenant has no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TenantId(usize);

/// All accounts of a shard.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    node: Account,
    tenants: Slab<(Tenant, Account)>,
    by_name: BTreeMap<Tenant, TenantId>,
}

/// What some sessions hold together.
#[derive(Debug, Default)]
pub(crate) struct Account {
    bytes: u64,
    notifications: u64,
    /// Sessions, and those that matchers have yet to forget.
    sessions: u64,
    /// Those of them that are decided about elsewhere.
    followed: u64,
    by_size: BTreeSet<(Class, SessionId)>,
}

/// A size class: 0 below two to the [`SMALL_BYTES_LOG`], then eight to a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Class(u16);

/// Sessions below are not told apart: each power of two further down would cost every small outbox a climb.
const SMALL_BYTES_LOG: u32 = 14;

/// Where a session stands in the order of sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rank {
    /// Not in it: it never held anything since it was last looked at.
    Absent,
    /// In it.
    In {
        /// Its class, or a higher one.
        class: ClassInOrder,
        /// At so many bytes it climbs.
        climbs_at: u64,
    },
}

/// The class under which a session is filed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClassInOrder(Class);

impl Class {
    fn of(bytes: u64) -> Self {
        let Some(log) = bytes.checked_ilog2().filter(|&log| log >= SMALL_BYTES_LOG) else {
            return Self(0);
        };
        let eighth = (bytes >> (log - 3)) & 7;
        let class = u64::from(log - SMALL_BYTES_LOG) * 8 + eighth + 1;
        Self(u16::try_from(class).expect("50 powers of two of 8 classes"))
    }

    /// The first size of the next class.
    fn end(self) -> u64 {
        let Some(index) = self.0.checked_sub(1) else {
            return 1 << SMALL_BYTES_LOG;
        };
        let (log, eighth) = (u32::from(index / 8) + SMALL_BYTES_LOG, u64::from(index % 8));
        // The last class of all has no end that 64 bits can say.
        (9 + eighth).checked_shl(log - 3).filter(|end| end >> (log - 3) == 9 + eighth).unwrap_or(u64::MAX)
    }
}

impl Rank {
    /// Whether a session of this size has to climb.
    pub(crate) const fn is_outgrown(self, bytes: u64) -> bool {
        match self {
            Self::Absent => true,
            Self::In { climbs_at, .. } => bytes >= climbs_at,
        }
    }
}

impl Account {
    /// Whether it has reached a limit, and somebody has something to give.
    pub(crate) const fn is_full(&self, bytes_max: u64) -> bool {
        self.bytes >= bytes_max && self.notifications > 0
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) const fn notifications(&self) -> u64 {
        self.notifications
    }

    /// Sessions that are decided about here.
    pub(crate) const fn sessions(&self) -> u64 {
        self.sessions - self.followed
    }

    /// The session that stands highest in the order; the caller knows its true size.
    pub(crate) fn highest(&self) -> Option<SessionId> {
        self.by_size.last().map(|&(_, session)| session)
    }

    fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.notifications += 1;
    }

    fn free(&mut self, freed: Freed) {
        self.bytes -= freed.bytes;
        self.notifications -= freed.notifications;
    }
}

impl Accounts {
    /// The whole shard.
    pub(crate) const fn node(&self) -> &Account {
        &self.node
    }

    /// One tenant.
    pub(crate) fn tenant(&self, tenant: TenantId) -> &Account {
        &self.tenants[tenant.0].1
    }

    /// A tenant's name.
    pub(crate) fn name(&self, tenant: TenantId) -> &Tenant {
        &self.tenants[tenant.0].0
    }

    /// How many sessions a tenant has.
    pub(crate) fn sessions_of(&self, tenant: &Tenant) -> u64 {
        self.by_name.get(tenant).map_or(0, |&id| self.tenant(id).sessions())
    }

    /// Counts a session, or one that is being forgotten.
    pub(crate) fn open(&mut self, tenant: &Tenant) -> TenantId {
        let id = match self.by_name.get(tenant) {
            Some(&id) => id,
            None => {
                let id = TenantId(self.tenants.insert((tenant.clone(), Account::default())));
                self.by_name.insert(tenant.clone(), id);
                id
            }
        };
        self.tenants[id.0].1.sessions += 1;
        self.node.sessions += 1;
        id
    }

    /// A session that is counted is decided about elsewhere, or is not any more. What it holds counts against no limit meanwhile.
    pub(crate) fn follow(&mut self, tenant: TenantId, follows: bool) {
        for account in [&mut self.node, &mut self.tenants[tenant.0].1] {
            account.followed = if follows { account.followed + 1 } else { account.followed - 1 };
        }
    }

    /// Counts everything that a session holds.
    pub(crate) fn take(&mut self, tenant: TenantId, held: Freed) {
        for account in [&mut self.node, &mut self.tenants[tenant.0].1] {
            account.bytes += held.bytes;
            account.notifications += held.notifications;
        }
    }

    /// Counts it no more.
    pub(crate) fn close(&mut self, tenant: TenantId) {
        self.node.sessions -= 1;
        let account = &mut self.tenants[tenant.0].1;
        account.sessions -= 1;
        if account.sessions == 0 {
            let (name, account) = self.tenants.remove(tenant.0);
            assert!(account.notifications == 0, "a tenant without sessions holds nothing");
            self.by_name.remove(&name);
        }
    }

    /// Counts a notification that went into an outbox.
    pub(crate) fn add(&mut self, tenant: TenantId, bytes: u64) {
        self.node.add(bytes);
        self.tenants[tenant.0].1.add(bytes);
    }

    /// Counts notifications that left one.
    pub(crate) fn free(&mut self, tenant: TenantId, freed: Freed) {
        self.node.free(freed);
        self.tenants[tenant.0].1.free(freed);
    }

    /// Files a session under its size; one that holds nothing is taken out of the order.
    pub(crate) fn file(&mut self, session: SessionId, tenant: TenantId, rank: &mut Rank, held: Freed) {
        let account = &mut self.tenants[tenant.0].1;
        match *rank {
            Rank::Absent => {}
            Rank::In { class, .. } => {
                self.node.by_size.remove(&(class.0, session));
                account.by_size.remove(&(class.0, session));
            }
        }
        *rank = if held.notifications == 0 {
            Rank::Absent
        } else {
            let class = Class::of(held.bytes);
            self.node.by_size.insert((class, session));
            account.by_size.insert((class, session));
            Rank::In { class: ClassInOrder(class), climbs_at: class.end() }
        };
    }

    /// Whether a session of this size is filed where it belongs.
    pub(crate) fn is_in_place(rank: Rank, held: Freed) -> bool {
        match rank {
            Rank::Absent => held.notifications == 0,
            Rank::In { class, .. } => held.notifications > 0 && class.0 == Class::of(held.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_cover_all_sizes_without_overlap() {
        for bytes in [0, 1, 100, 16_383, 16_384, 16_385, 18_431, 18_432, 1 << 20, (1 << 40) + 12_345, u64::MAX / 2] {
            let class = Class::of(bytes);
            assert!(bytes < class.end(), "{bytes}");
            assert_eq!(Class::of(class.end() - 1), class, "{bytes}");
            assert!(Class::of(class.end()) > class, "{bytes}");
        }
        assert_eq!(Class::of(u64::MAX).end(), u64::MAX);
    }

    #[test]
    fn the_largest_is_found_and_a_tenant_without_sessions_is_forgotten() {
        let mut accounts = Accounts::default();
        let tenant = Tenant::open();
        let id = accounts.open(&tenant);
        assert_eq!(accounts.open(&tenant), id);
        let mut ranks = [Rank::Absent; 2];
        let held = |bytes| Freed { bytes, notifications: 1 };
        for (session, bytes) in [(0, 50_000), (1, 90_000)] {
            accounts.add(id, bytes);
            assert!(ranks[session].is_outgrown(bytes));
            accounts.file(SessionId(session), id, &mut ranks[session], held(bytes));
        }
        assert_eq!(accounts.node().highest(), Some(SessionId(1)));
        accounts.free(id, held(90_000));
        accounts.file(SessionId(1), id, &mut ranks[1], Freed::default());
        assert_eq!(accounts.tenant(id).highest(), Some(SessionId(0)));
        accounts.free(id, held(50_000));
        accounts.file(SessionId(0), id, &mut ranks[0], Freed::default());
        accounts.close(id);
        accounts.close(id);
        assert_eq!((accounts.sessions_of(&tenant), accounts.node().bytes()), (0, 0));
        assert!(accounts.by_name.is_empty());
    }
}
