//! What is measured: an engine that takes subscriptions in and out and says which of them a publication satisfies.

mod a_tree;
mod gomera;
mod scan;
mod simple;

use gomera_model::attributes::Attributes;
use gomera_model::filter::Filter;

use crate::spec::Spec;
use crate::workload::{Name, Workload};

pub use a_tree::ATreeEngine;
pub use gomera::Gomera;
pub use scan::Scan;
pub use simple::Simple;

/// A subscription on its way in.
#[derive(Debug)]
pub struct Offered {
    pub id: u32,
    pub spec: Spec,
    /// The same as Gomera reads it: parsed, as after decoding.
    pub filter: Filter,
}

/// An engine.
pub trait Engine {
    /// A publication as this engine wants it: prepared before the clock runs.
    type Event;

    /// Takes a subscription in.
    fn insert(&mut self, offered: &Offered);

    /// Takes it out.
    fn remove(&mut self, id: u32);

    /// Whatever it does beside, to the end: before anything is measured.
    fn settle(&mut self) {}

    /// Prepares a publication. All subscriptions are in.
    fn prepare(&mut self, attributes: &Attributes) -> Self::Event;

    /// Appends the ids of the satisfied subscriptions, each once, in any order.
    fn matches(&mut self, event: &Self::Event, into: &mut Vec<u32>);

    /// The same for several events; those of each go into a list of its own.
    fn match_together(&mut self, events: &[Self::Event], into: &mut [Vec<u32>]) {
        events.iter().zip(into).for_each(|(event, into)| self.matches(event, into));
    }

    /// Bytes that it says it holds, if it keeps accounts.
    fn accounted_bytes(&self) -> Option<usize> {
        None
    }
}

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineName {
    Gomera,
    Scan,
    ATree,
    Simple,
}

impl EngineName {
    pub const ALL: [Self; 4] = [Self::Gomera, Self::Scan, Self::ATree, Self::Simple];

    pub fn text(self) -> &'static str {
        match self {
            Self::Gomera => "gomera",
            Self::Scan => "scan",
            Self::ATree => "a-tree",
            Self::Simple => "simple",
        }
    }

    /// Whether there is such a row by default.
    pub fn takes(self, workload: &Workload) -> bool {
        let hostile = match workload.name {
            Name::Hostile(hostile) => Some(hostile),
            Name::A | Name::B | Name::C | Name::Cd | Name::D | Name::E | Name::F => None,
        };
        match self {
            Self::Gomera => hostile.is_none_or(|hostile| workload.subscriptions <= hostile.subscriptions_max()),
            Self::Scan | Self::Simple => hostile.is_none(),
            Self::ATree => hostile.is_none() && workload.subscriptions < 1_000_000,
        }
    }
}
