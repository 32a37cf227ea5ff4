//! A subscription as a program makes it and reads it back.

use std::sync::Arc;
use std::time::Duration;

use super::machine::Listed;
use super::operation::Declaration;

/// A subscription to be made: a filter and how long it holds.
///
/// Made from a filter's text, or with [`Subscription::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    filter: Arc<str>,
    paused: bool,
    expires_after: Option<Duration>,
}

impl Subscription {
    /// A subscription with this filter, in the language of `docs/filter-language.md`.
    #[must_use]
    pub fn new(filter: impl Into<Arc<str>>) -> Self {
        Self { filter: filter.into(), paused: false, expires_after: None }
    }

    /// Made paused: not matched until it is resumed.
    #[must_use]
    pub fn paused(mut self) -> Self {
        self.paused = true;
        self
    }

    /// Ends by itself, so long after the cluster has accepted it.
    #[must_use]
    pub fn expires_after(mut self, after: Duration) -> Self {
        self.expires_after = Some(after);
        self
    }

    pub(crate) fn declare(self, id: &str) -> Declaration {
        let Self { filter, paused, expires_after } = self;
        Declaration { id: id.into(), filter, paused, expires_after }
    }
}

impl From<&str> for Subscription {
    fn from(filter: &str) -> Self {
        Self::new(filter)
    }
}

impl From<String> for Subscription {
    fn from(filter: String) -> Self {
        Self::new(filter)
    }
}

impl From<&gomera_model::Filter> for Subscription {
    fn from(filter: &gomera_model::Filter) -> Self {
        Self::new(filter.to_string())
    }
}

/// Whether a subscription is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// It is.
    On,
    /// It is not, and nothing is kept for it.
    Paused,
}

/// A subscription as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionState {
    /// Its id.
    pub id: Arc<str>,
    /// Its filter in canonical form.
    pub filter: Arc<str>,
    /// Whether it is matched.
    pub matching: Matching,
    /// How long it still holds, if it ends by itself.
    pub expires_after: Option<Duration>,
    /// Its place in lists.
    pub handle: u64,
}

impl From<Listed> for SubscriptionState {
    fn from(listed: Listed) -> Self {
        let Declaration { id, filter, paused, expires_after } = listed.declaration;
        let matching = if paused { Matching::Paused } else { Matching::On };
        Self { id, filter, matching, expires_after, handle: listed.handle }
    }
}
