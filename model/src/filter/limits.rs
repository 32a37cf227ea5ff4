//! Caps on filters: what a subscriber may cost the cluster before the first publication arrives.

/// Caps on one filter. Every cap has an error that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterLimits {
    /// UTF-8 bytes of the text (of the canonical text, for a filter that came as a structure).
    pub text_bytes_max: usize,
    /// Nesting of conditions and operands; at most [`DEPTH_CEILING`].
    pub depth_max: usize,
    /// Conditions and operands together. Members of `IN` and vertices of `POLYGON` count under their own caps.
    pub nodes_max: usize,
    /// Members of one `IN` list.
    pub in_members_max: usize,
    /// Vertices of one `POLYGON`.
    pub polygon_vertices_max: usize,
    /// `MATCHES` patterns.
    pub regexes_max: usize,
    /// UTF-8 bytes of all `MATCHES` patterns together: a few bytes of them can take a millisecond to compile.
    pub regex_text_bytes_max: usize,
    /// Bytes of the automaton of one `MATCHES` pattern, and of what it takes to make it.
    pub regex_bytes_max: usize,
}

/// Whatever the limits say, a filter is not nested deeper: this bounds the stack of every walk over it. The parser is
/// the hungriest, at most 9 KiB a level measured in a debug build, so that even there it stays under 1 MiB.
pub const DEPTH_CEILING: usize = 96;

impl Default for FilterLimits {
    fn default() -> Self {
        Self {
            text_bytes_max: 16 * 1024,
            depth_max: 64,
            nodes_max: 1024,
            in_members_max: 1024,
            polygon_vertices_max: 512,
            regexes_max: 8,
            regex_text_bytes_max: 1024,
            regex_bytes_max: 256 * 1024,
        }
    }
}

impl FilterLimits {
    /// For a filter that has passed the caps of an edge already and now travels inside the cluster: only the stack is
    /// still guarded.
    #[must_use]
    pub fn trusted() -> Self {
        Self {
            text_bytes_max: usize::MAX,
            depth_max: DEPTH_CEILING,
            nodes_max: usize::MAX,
            in_members_max: usize::MAX,
            polygon_vertices_max: usize::MAX,
            regexes_max: usize::MAX,
            regex_text_bytes_max: usize::MAX,
            regex_bytes_max: 16 * 1024 * 1024,
        }
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth_max.min(DEPTH_CEILING)
    }
}

/// A cap that a filter exceeds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; the cap is filter.{cap} = {limit}")]
pub struct LimitExceeded {
    /// What is too much, as a clause.
    pub what: String,
    /// The name of the field of [`FilterLimits`].
    pub cap: &'static str,
    /// Its value.
    pub limit: usize,
}
