//! The patterns of `LIKE` and `MATCHES`, compiled when a filter is made.
//!
//! Both take time linear in the text: `LIKE` at most pattern length × text length character comparisons (each piece
//! between `%` is looked for once from where the last ended, which suffices because leftmost is best), `MATCHES`
//! by the automata of the `regex` crate, which never backtrack.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::filter::limits::{FilterLimits, LimitExceeded};

/// A `LIKE` pattern: `%` stands for any text, `_` for any one character; after the escape character both stand for
/// themselves.
#[derive(Clone, Debug)]
pub struct LikePattern {
    text: Arc<str>,
    escape: Option<char>,
    pieces: Arc<[Piece]>,
}

/// What stands between two `%`.
#[derive(Debug)]
struct Piece {
    /// Alternating literal and number of `_` after it; a single literal without `_` is the common case.
    parts: Vec<(String, usize)>,
}

/// Why a `LIKE` pattern is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("escape character `{escape}` at character {position} of the pattern must be followed by `%`, `_` or itself")]
pub struct LikePatternError {
    /// The escape character.
    pub escape: char,
    /// Character position in the pattern, from 1.
    pub position: usize,
}

impl LikePattern {
    /// Compiles; an escape character before anything but `%`, `_` or itself is refused (SQL-92, 8.5 general rule 3).
    pub fn new(text: impl Into<Arc<str>>, escape: Option<char>) -> Result<Self, LikePatternError> {
        let text = text.into();
        let mut pieces = Vec::new();
        let mut piece = Piece { parts: vec![(String::new(), 0)] };
        let mut characters = text.chars().enumerate();
        while let Some((index, character)) = characters.next() {
            if Some(character) == escape {
                match characters.next() {
                    Some((_, escaped)) if escaped == '%' || escaped == '_' || escaped == character => {
                        piece.push(escaped);
                    }
                    _ => {
                        return Err(LikePatternError { escape: character, position: index + 1 });
                    }
                }
            } else if character == '%' {
                pieces.push(std::mem::replace(&mut piece, Piece { parts: vec![(String::new(), 0)] }));
            } else if character == '_' {
                piece.parts.last_mut().expect("a piece has a part").1 += 1;
            } else {
                piece.push(character);
            }
        }
        pieces.push(piece);
        Ok(Self { text, escape, pieces: pieces.into() })
    }

    /// As written.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The escape character, if one was given.
    #[must_use]
    pub fn escape(&self) -> Option<char> {
        self.escape
    }

    /// The text that the pattern stands for if it has no `%` and no `_`.
    #[must_use]
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.pieces {
            [only] => only.as_literal(),
            _ => None,
        }
    }

    /// The beginning, if the pattern asks for that and nothing else (`abc%`).
    #[must_use]
    pub fn as_prefix(&self) -> Option<&str> {
        match &*self.pieces {
            [first, last] if last.is_empty() => first.as_literal(),
            _ => None,
        }
    }

    /// The end, if the pattern asks for that and nothing else (`%abc`).
    #[must_use]
    pub fn as_suffix(&self) -> Option<&str> {
        match &*self.pieces {
            [first, last] if first.is_empty() => last.as_literal(),
            _ => None,
        }
    }

    /// Whether the whole of `text` is like this pattern.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        let (first, rest) = self.pieces.split_first().expect("a pattern has a piece");
        let Some(mut remaining) = first.strip_from(text) else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else {
            return remaining.is_empty();
        };
        for piece in middle {
            match piece.find_and_skip(remaining) {
                Some(after) => remaining = after,
                None => return false,
            }
        }
        last.ends(remaining)
    }
}

impl Piece {
    fn push(&mut self, character: char) {
        match self.parts.last_mut().expect("a piece has a part") {
            (literal, 0) => literal.push(character),
            (_, _) => self.parts.push((character.to_string(), 0)),
        }
    }

    fn is_empty(&self) -> bool {
        self.as_literal().is_some_and(str::is_empty)
    }

    fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [(literal, 0)] => Some(literal),
            _ => None,
        }
    }

    /// What follows if `text` begins with this piece.
    fn strip_from<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut remaining = text;
        for (literal, any) in &self.parts {
            remaining = remaining.strip_prefix(literal.as_str())?;
            let mut characters = remaining.chars();
            for _ in 0..*any {
                characters.next()?;
            }
            remaining = characters.as_str();
        }
        Some(remaining)
    }

    /// What follows the first occurrence of this piece in `text`.
    fn find_and_skip<'t>(&self, text: &'t str) -> Option<&'t str> {
        if let Some(literal) = self.as_literal() {
            let start = text.find(literal)?;
            return Some(&text[start + literal.len()..]);
        }
        text.char_indices().find_map(|(start, _)| self.strip_from(&text[start..]))
    }

    /// Whether `text` ends with this piece.
    fn ends(&self, text: &str) -> bool {
        if let Some(literal) = self.as_literal() {
            return text.ends_with(literal);
        }
        let length: usize = self.parts.iter().map(|(literal, any)| literal.chars().count() + any).sum();
        match text.char_indices().rev().nth(length - 1) {
            Some((start, _)) => self.strip_from(&text[start..]).is_some_and(str::is_empty),
            None => false,
        }
    }
}

/// A regular expression in the syntax of the `regex` crate.
#[derive(Clone, Debug)]
pub struct RegexPattern {
    regex: Regex,
}

/// Why a regular expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegexPatternError {
    /// Not a regular expression.
    #[error("not a regular expression: {0}")]
    Syntax(String),
    /// It compiles to more than the cap.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
}

impl RegexPattern {
    /// Compiles under `regex_bytes_max`.
    pub fn new(text: &str, limits: &FilterLimits) -> Result<Self, RegexPatternError> {
        let limit = limits.regex_bytes_max;
        let built = RegexBuilder::new(text).size_limit(limit).dfa_size_limit(limit).nest_limit(NEST_MAX).build();
        match built {
            Ok(regex) => Ok(Self { regex }),
            Err(regex::Error::CompiledTooBig(_)) => Err(LimitExceeded {
                what: "the regular expression compiles to too many bytes".to_owned(),
                cap: "regex_bytes_max",
                limit,
            }
            .into()),
            Err(error) => {
                // The crate draws the pattern with a caret over several lines; its last line says what is wrong.
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or(&text);
                Err(RegexPatternError::Syntax(reason.trim_start_matches("error: ").to_owned()))
            }
        }
    }

    /// As written.
    #[must_use]
    pub fn text(&self) -> &str {
        self.regex.as_str()
    }

    /// Whether it matches somewhere in `text`.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// Nesting within a regular expression; bounds the stack of its parser.
const NEST_MAX: u32 = 50;

impl LikePattern {
    fn key(&self) -> (&str, Option<char>) {
        (&self.text, self.escape)
    }
}

impl PartialEq for LikePattern {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for LikePattern {}

impl PartialOrd for LikePattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LikePattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Hash for LikePattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialEq for RegexPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for RegexPattern {}

impl PartialOrd for RegexPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RegexPattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text().cmp(other.text())
    }
}

impl Hash for RegexPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

#[cfg(test)]
mod tests;
