//! Subscriptions and contexts as a client declares them, and what the changes it asks for do to them.

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::time::Instant;
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, Truth, evaluate};

use crate::timeline::Change;

/// A filter and its text.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// As written.
    pub text: Arc<str>,
    /// As parsed.
    pub filter: Filter,
}

/// A subscription as it stands.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its filter.
    pub declaration: Arc<Declaration>,
    /// Not matched.
    pub paused: bool,
    /// Between which moments it expires.
    pub expires: Option<Span>,
}

/// A time between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Not before.
    pub from: Instant,
    /// Not after.
    pub to: Instant,
}

/// The end of time.
pub const NEVER: Instant = Instant::from_start(Duration::MAX);

impl PartialEq for Declared {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.declaration, &other.declaration)
            && self.paused == other.paused
            && self.expires == other.expires
    }
}

/// A change of a subscription.
#[derive(Clone, Debug)]
pub enum SubscriptionChange {
    /// Create or replace.
    Subscribe(Declared),
    /// Replace.
    Update(Declared),
    /// Remove.
    Unsubscribe,
    /// Pause or resume.
    SetPaused(bool),
    /// The session may have ended and begun anew without its client knowing.
    PerhapsForgotten,
}

impl SubscriptionChange {
    /// Sets when a subscription that this change declares expires, now that more is known.
    pub fn expires_before(&mut self, to: Instant) {
        match self {
            Self::Subscribe(declared) | Self::Update(declared) => {
                if let Some(span) = &mut declared.expires {
                    span.to = to;
                }
            }
            Self::Unsubscribe | Self::SetPaused(_) | Self::PerhapsForgotten => {}
        }
    }

    /// The lifetime that this change asks for, as the earliest end.
    #[must_use]
    pub fn expires_from(&self) -> Option<Instant> {
        match self {
            Self::Subscribe(declared) | Self::Update(declared) => declared.expires.map(|span| span.from),
            Self::Unsubscribe | Self::SetPaused(_) | Self::PerhapsForgotten => None,
        }
    }
}

impl Change for SubscriptionChange {
    type State = Option<Declared>;
    const DECIDED_BY_ONE: bool = true;

    fn apply(&self, before: &Self::State) -> Option<Self::State> {
        match (self, before) {
            (Self::Subscribe(declared), _) | (Self::Update(declared), Some(_)) => Some(Some(declared.clone())),
            (Self::Unsubscribe, Some(_)) | (Self::PerhapsForgotten, _) => Some(None),
            (Self::SetPaused(paused), Some(declared)) => Some(Some(Declared { paused: *paused, ..declared.clone() })),
            (Self::Update(_) | Self::Unsubscribe | Self::SetPaused(_), None) => None,
        }
    }
}

/// A change of a context.
#[derive(Clone, Debug)]
pub enum ContextChange {
    /// Replace.
    Set(Arc<Attributes>),
    /// The session may have ended and begun anew without its client knowing.
    PerhapsForgotten,
}

impl Change for ContextChange {
    type State = Arc<Attributes>;
    // Every matcher takes it, each at a moment of its own; the answer says the latest.
    const DECIDED_BY_ONE: bool = false;

    fn apply(&self, _: &Self::State) -> Option<Self::State> {
        Some(match self {
            Self::Set(context) => context.clone(),
            Self::PerhapsForgotten => Arc::default(),
        })
    }
}

/// What may be true of a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Possible {
    /// It may hold.
    pub yes: bool,
    /// It may not hold.
    pub no: bool,
}

impl Possible {
    /// It surely holds.
    #[must_use]
    pub const fn surely(self) -> bool {
        self.yes && !self.no
    }

    /// Takes in one more possibility.
    pub const fn add(&mut self, holds: bool) {
        if holds {
            self.yes = true;
        } else {
            self.no = true;
        }
    }
}

/// Whether a subscription that is in force is satisfied, by the plain evaluator.
#[must_use]
pub fn satisfies(declared: &Declared, attributes: &Attributes, context: &Attributes) -> bool {
    !declared.paused && evaluate(&declared.declaration.filter, attributes, context) == Truth::True
}
