//! Identities of tenants, publishers, sessions and subscriptions. Names come from clients; inside the cluster a 128-bit
//! hash of the name stands for it, so that routing and tables never compare strings.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::hash;

/// The tenant a credential belongs to; part of every key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tenant(pub Arc<str>);

impl Tenant {
    /// The tenant of a cluster without identities.
    #[must_use]
    pub fn open() -> Self {
        Self(Arc::from("default"))
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A publisher: hash of tenant and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublisherKey(pub u128);

impl PublisherKey {
    /// The key of the publisher `name` of `tenant`.
    #[must_use]
    pub fn of(tenant: &Tenant, name: &str) -> Self {
        Self(hash::key(tenant, &[name]))
    }
}

/// 64 random bits drawn at each start of a publishing process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(pub u64);

/// The number a publisher instance gives to a publication; strictly increasing, gaps allowed, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// A session: hash of tenant and session name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub u128);

impl SessionKey {
    /// The key of the session `name` of `tenant`.
    #[must_use]
    pub fn of(tenant: &Tenant, name: &str) -> Self {
        Self(hash::key(tenant, &[name]))
    }
}

/// A subscription: hash of tenant, session name and subscription id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionKey(pub u128);

impl SubscriptionKey {
    /// The key of the subscription `id` of the session `session` of `tenant`.
    #[must_use]
    pub fn of(tenant: &Tenant, session: &str, id: &str) -> Self {
        Self(hash::key(tenant, &[session, id]))
    }
}

/// Counts the attachments of a session or of a publisher; the newest wins. Given by whoever owns the thing attached to
/// (active exit point, access point), never reused, and increasing also across the end of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// The reign of one active exit-point replica over its slice, or of one coordinator leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Term(pub u64);

/// A client connection of one connection point; never reused within an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What stands for a subscription in notifications: small, unique within the life of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u64);
