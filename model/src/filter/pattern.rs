//! The patterns of `LIKE` and `MATCHES`, compiled when a filter is made.
//!
//! Both take time linear in the text with a small constant that no pattern can raise: what could is refused when the
//! filter is made. Neither allocates while matching.

mod like;
mod regex;

use memchr::{memchr, memmem};

pub use like::{LikePattern, LikePatternError};
pub(crate) use regex::RegexBudget;
pub use regex::{RegexCompiler, RegexPattern, RegexPatternError};

/// Where `part` first stands in `text`. In long texts many bytes are compared at a time, which is worth its preparation there.
pub(crate) fn find(text: &str, part: &str) -> Option<usize> {
    /// From here on preparing pays.
    const LONG_BYTES: usize = 128;
    match part.as_bytes() {
        &[byte] => memchr(byte, text.as_bytes()),
        bytes if text.len() >= LONG_BYTES => memmem::find(text.as_bytes(), bytes),
        _ => text.find(part),
    }
}

#[cfg(test)]
mod tests;
