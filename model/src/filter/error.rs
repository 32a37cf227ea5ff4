//! What is wrong with a filter's text, and where.

use std::fmt;

use unicode_width::UnicodeWidthChar;

use crate::filter::limits::LimitExceeded;
use crate::shown::moves_cursor;

/// A text is no filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Bytes before the place.
    pub offset: usize,
    /// Line of the place, from 1.
    pub line: usize,
    /// Character of the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub kind: ParseErrorKind,
}

/// What is wrong with a filter's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// Something else should stand here.
    Unexpected {
        /// What stands there, in backquotes where it is quoted from the text.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// What stands here is of the right kind but wrong in itself.
    Invalid {
        /// A sentence.
        reason: String,
    },
    /// A cap is exceeded here.
    Limit(LimitExceeded),
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected { found, expected } => {
                write!(formatter, "found {found}, expected {expected}")
            }
            Self::Invalid { reason } => formatter.write_str(reason),
            Self::Limit(limit) => limit.fmt(formatter),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "filter is wrong at line {}, column {}: {}", self.line, self.column, self.kind)
    }
}

impl std::error::Error for ParseError {}

/// As it travels through the parser: boxed, to keep the frames of the recursion small.
pub(super) type Fault = Box<ParseError>;

/// Characters shown on either side of the place.
const SHOWN: usize = 60;

impl ParseError {
    pub(crate) fn new(text: &str, offset: usize, kind: ParseErrorKind) -> Self {
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { offset, line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1, kind }
    }

    /// The line of `text` (which must be what was parsed) and a caret under the place; no line end after the caret. Of
    /// a long line only the surroundings.
    #[must_use]
    pub fn caret(&self, text: &str) -> String {
        let before_all = text.get(..self.offset).unwrap_or(text);
        let line_start = before_all.rfind('\n').map_or(0, |newline| newline + 1);
        let before = &before_all[line_start..];
        let after = text[before_all.len()..].lines().next().unwrap_or("");
        let hidden = before.chars().count().saturating_sub(SHOWN);
        let mut shown: String = before.chars().skip(hidden).map(in_place).collect();
        if hidden > 0 {
            shown.insert(0, '…');
        }
        let mut padding = String::new();
        for character in shown.chars() {
            // Tabs stay tabs, so that the caret lines up however wide they are shown.
            if character == '\t' {
                padding.push('\t');
            } else {
                padding.extend(std::iter::repeat_n(' ', character.width().unwrap_or(0)));
            }
        }
        shown.extend(after.chars().take(SHOWN).map(in_place));
        if after.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        format!("{shown}\n{padding}^")
    }
}

/// One character for one, so that the caret stays in place.
fn in_place(character: char) -> char {
    if character != '\t' && moves_cursor(character) { char::REPLACEMENT_CHARACTER } else { character }
}
