//! A broken promise, in words.

use std::fmt;

/// What was promised (`DESIGN.md` section 2, and what the protocol pages add).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// 1: exactly once, to exactly the right sessions.
    Delivery,
    /// 2: when a subscription counts.
    Counting,
    /// 3: a publisher's publications in order.
    Order,
    /// 6: bounded memory.
    Bounds,
    /// Nothing is kept for ever.
    Retention,
    /// When faults stop, everything settles.
    Progress,
    /// A client is answered as the interface says.
    Surface,
    /// 7: an operation of the coordinator leaves the old layout or completes.
    Operations,
}

impl Promise {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Counting => "when a subscription counts",
            Self::Order => "order",
            Self::Bounds => "bounded memory",
            Self::Retention => "nothing is kept for ever",
            Self::Progress => "progress",
            Self::Surface => "the interface",
            Self::Operations => "operations",
        }
    }
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which promise.
    pub promise: Promise,
    /// What happened, in a sentence.
    pub what: String,
    /// The names (of sessions, publications, machines) whose transcript lines explain it.
    pub subjects: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "promise broken ({}): {}", self.promise.name(), self.what)
    }
}
