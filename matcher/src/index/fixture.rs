//! What claims of the index share: no contexts, numbers from a seed, filters from text.

use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, FilterLimits};

use super::{Contexts, RowId};

/// Nobody has a context.
pub struct Nothing;

impl Contexts for Nothing {
    fn context(&self, _row: RowId) -> Option<&Attributes> {
        None
    }
}

/// A number of 31 bits.
pub fn random(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    u32::try_from(*state >> 33).expect("31 bits")
}

/// A filter that is well written.
pub fn parsed(text: &str) -> Filter {
    Filter::parse(text, &FilterLimits::default()).expect("a good filter")
}
