//! The patterns of `LIKE` and `MATCHES`, compiled when a filter is made.
//!
//! Both take time linear in the text with a small constant that no pattern can raise: what could is refused when the
//! filter is made. Neither allocates while matching.

mod like;
mod regex;

pub use like::{LikePattern, LikePatternError};
pub(crate) use regex::RegexBudget;
pub use regex::{RegexCompiler, RegexPattern, RegexPatternError};

#[cfg(test)]
mod tests;
