//! `LIKE`: `%` cuts a pattern into pieces; each is looked for once, from where the one before ended, which suffices
//! because leftmost is best. A piece without `_` is found by the substring search of the standard library, one with `_`
//! by the shift-and algorithm (Baeza-Yates and Gonnet 1992), which reads each character of the text once.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::find;
use crate::value::shared_text_bytes;

/// A `LIKE` pattern: `%` stands for any text, `_` for any one character; after the escape character both stand for
/// themselves.
#[derive(Clone, Debug)]
pub struct LikePattern {
    text: Arc<str>,
    escape: Option<char>,
    compiled: Arc<Compiled>,
}

/// Three flat lists, each holding where its entries end in the next: many short pieces cost little.
#[derive(Debug)]
struct Compiled {
    literals: Box<str>,
    parts: Box<[Part]>,
    pieces: Box<[Piece]>,
}

/// A literal and the number of `_` after it.
#[derive(Debug)]
struct Part {
    literal_end: usize,
    any: usize,
}

/// What stands between two `%`.
#[derive(Debug)]
struct Piece {
    parts_end: usize,
    /// If it must be looked for and has a `_`.
    search: Option<Box<Search>>,
}

/// Why a `LIKE` pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LikePatternError {
    /// An escape character before something that needs none (SQL-92, 8.5 general rule 3).
    #[error(
        "escape character `{escape}` at character {position} of the pattern must be followed by `%`, `_` or itself"
    )]
    Escape {
        /// The escape character.
        escape: char,
        /// Character position in the pattern, from 1.
        position: usize,
    },
    /// A piece with `_` is too long to be looked for.
    #[error(
        "the pattern has {characters} characters between two `%` with a `_` among them, must have at most {PIECE_CHARACTERS_MAX}"
    )]
    PieceTooLong {
        /// How many.
        characters: usize,
    },
}

/// Of a piece with `_` between two `%`: one bit each.
const PIECE_CHARACTERS_MAX: usize = 64;

impl LikePattern {
    /// Compiles.
    pub fn new(text: impl Into<Arc<str>>, escape: Option<char>) -> Result<Self, LikePatternError> {
        let text = text.into();
        let mut builder = Builder::default();
        let mut characters = text.chars().enumerate();
        while let Some((index, character)) = characters.next() {
            if Some(character) == escape {
                match characters.next() {
                    Some((_, escaped)) if escaped == '%' || escaped == '_' || escaped == character => {
                        builder.literal(escaped);
                    }
                    _ => {
                        return Err(LikePatternError::Escape { escape: character, position: index + 1 });
                    }
                }
            } else if character == '%' {
                builder.end_piece();
            } else if character == '_' {
                builder.any();
            } else {
                builder.literal(character);
            }
        }
        let compiled = Arc::new(builder.build()?);
        Ok(Self { text, escape, compiled })
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
        let mut pieces = self.compiled.pieces();
        match (pieces.next(), pieces.next()) {
            (Some(only), None) => only.as_literal(),
            _ => None,
        }
    }

    /// The beginning, if the pattern asks for that and nothing else (`abc%`).
    #[must_use]
    pub fn as_prefix(&self) -> Option<&str> {
        self.as_two().and_then(|[first, last]| last.is_empty().then(|| first.as_literal()).flatten())
    }

    /// The end, if the pattern asks for that and nothing else (`%abc`).
    #[must_use]
    pub fn as_suffix(&self) -> Option<&str> {
        self.as_two().and_then(|[first, last]| first.is_empty().then(|| last.as_literal()).flatten())
    }

    fn as_two(&self) -> Option<[View<'_>; 2]> {
        let mut pieces = self.compiled.pieces();
        match (pieces.next(), pieces.next(), pieces.next()) {
            (Some(first), Some(last), None) => Some([first, last]),
            _ => None,
        }
    }

    /// Whether the whole of `text` is like this pattern.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        let mut pieces = self.compiled.pieces();
        let first = pieces.next().expect("a pattern has a piece");
        let Some(mut remaining) = first.strip_from(text) else {
            return false;
        };
        let Some(mut piece) = pieces.next() else {
            return remaining.is_empty();
        };
        for next in pieces {
            match piece.find_and_skip(remaining) {
                Some(after) => remaining = after,
                None => return false,
            }
            piece = next;
        }
        piece.ends(remaining)
    }

    /// Heap bytes behind this pattern; clones share them.
    pub(crate) fn heap_bytes(&self) -> usize {
        let Compiled { literals, parts, pieces } = &*self.compiled;
        let searches: usize = pieces
            .iter()
            .filter_map(|piece| piece.search.as_deref())
            .map(|search| size_of::<Search>() + size_of_val(&*search.masks))
            .sum();
        shared_text_bytes(&self.text)
            + size_of::<Compiled>()
            + literals.len()
            + size_of_val(&**parts)
            + size_of_val(&**pieces)
            + searches
    }

    /// How many pieces `%` cuts it into, and of them those with a `_` that must be looked for.
    pub(crate) fn pieces(&self) -> (usize, usize) {
        let pieces = &self.compiled.pieces;
        (pieces.len(), pieces.iter().filter(|piece| piece.search.is_some()).count())
    }

    fn key(&self) -> (&str, Option<char>) {
        (&self.text, self.escape)
    }
}

#[derive(Default)]
struct Builder {
    literals: String,
    parts: Vec<Part>,
    pieces: Vec<Piece>,
    /// The `_` that stand before the next literal of the piece.
    any: usize,
    /// Whether the last part is still this piece's and without a `_`.
    is_open: bool,
}

impl Builder {
    fn literal(&mut self, character: char) {
        if !self.is_open {
            self.parts.push(Part { literal_end: self.literals.len(), any: 0 });
            self.is_open = true;
        } else if self.any > 0 {
            self.close_part();
            self.parts.push(Part { literal_end: self.literals.len(), any: 0 });
        }
        self.literals.push(character);
        self.parts.last_mut().expect("pushed before").literal_end = self.literals.len();
    }

    fn any(&mut self) {
        if !self.is_open {
            self.parts.push(Part { literal_end: self.literals.len(), any: 0 });
            self.is_open = true;
        }
        self.any += 1;
    }

    fn close_part(&mut self) {
        self.parts.last_mut().expect("a part is open").any = self.any;
        self.any = 0;
    }

    fn end_piece(&mut self) {
        if self.is_open {
            self.close_part();
            self.is_open = false;
        }
        self.pieces.push(Piece { parts_end: self.parts.len(), search: None });
    }

    fn build(mut self) -> Result<Compiled, LikePatternError> {
        self.end_piece();
        let mut compiled =
            Compiled { literals: self.literals.into(), parts: self.parts.into(), pieces: self.pieces.into() };
        // The first and the last piece stand where the text begins and ends.
        let last = compiled.pieces.len() - 1;
        let searches = compiled
            .pieces()
            .enumerate()
            .map(|(index, piece)| if index == 0 || index == last { Ok(None) } else { Search::new(piece) })
            .collect::<Result<Vec<_>, _>>()?;
        for (piece, search) in compiled.pieces.iter_mut().zip(searches) {
            piece.search = search.map(Box::new);
        }
        Ok(compiled)
    }
}

impl Compiled {
    fn pieces(&self) -> impl Iterator<Item = View<'_>> {
        let mut parts_start = 0_usize;
        self.pieces.iter().map(move |piece| {
            let literals_start = parts_start.checked_sub(1).map_or(0, |before| self.parts[before].literal_end);
            let parts = &self.parts[parts_start..piece.parts_end];
            parts_start = piece.parts_end;
            View { literals: &self.literals, literals_start, parts, search: piece.search.as_deref() }
        })
    }
}

/// A piece with what it refers to.
#[derive(Clone, Copy)]
struct View<'p> {
    literals: &'p str,
    literals_start: usize,
    parts: &'p [Part],
    search: Option<&'p Search>,
}

impl<'p> View<'p> {
    /// Literals, each with the number of `_` after it.
    fn parts(self) -> impl Iterator<Item = (&'p str, usize)> {
        let mut start = self.literals_start;
        self.parts.iter().map(move |part| {
            let literal = &self.literals[start..part.literal_end];
            start = part.literal_end;
            (literal, part.any)
        })
    }

    fn is_empty(self) -> bool {
        self.parts.is_empty()
    }

    fn as_literal(self) -> Option<&'p str> {
        match self.parts {
            [] => Some(""),
            [Part { any: 0, .. }] => self.parts().next().map(|(literal, _)| literal),
            _ => None,
        }
    }

    fn characters(self) -> usize {
        self.parts().map(|(literal, any)| literal.chars().count() + any).sum()
    }

    /// What follows if `text` begins with this piece.
    fn strip_from(self, text: &str) -> Option<&str> {
        let mut remaining = text;
        for (literal, any) in self.parts() {
            remaining = remaining.strip_prefix(literal)?;
            let mut characters = remaining.chars();
            for _ in 0..any {
                characters.next()?;
            }
            remaining = characters.as_str();
        }
        Some(remaining)
    }

    /// What follows the first occurrence of this piece in `text`.
    fn find_and_skip(self, text: &str) -> Option<&str> {
        if let Some(search) = self.search {
            return search.end_of_first(text).map(|end| &text[end..]);
        }
        let literal = self.as_literal().expect("a piece with `_` has a search");
        let start = find(text, literal)?;
        Some(&text[start + literal.len()..])
    }

    /// Whether `text` ends with this piece.
    fn ends(self, text: &str) -> bool {
        if let Some(literal) = self.as_literal() {
            return text.ends_with(literal);
        }
        match text.char_indices().rev().nth(self.characters() - 1) {
            Some((start, _)) => self.strip_from(&text[start..]).is_some_and(str::is_empty),
            None => false,
        }
    }
}

/// Bit i of a mask says whether a character fits place i of the piece.
#[derive(Debug)]
struct Search {
    /// For the characters that the piece names, ascending.
    masks: Box<[(char, u64)]>,
    /// For any other: the places of `_`.
    any: u64,
    /// The bit of the last place.
    last: u64,
}

impl Search {
    /// Of a piece without `_` there is none.
    fn new(piece: View<'_>) -> Result<Option<Self>, LikePatternError> {
        if piece.as_literal().is_some() {
            return Ok(None);
        }
        let characters = piece.characters();
        if characters > PIECE_CHARACTERS_MAX {
            return Err(LikePatternError::PieceTooLong { characters });
        }
        let places: Vec<Option<char>> = piece
            .parts()
            .flat_map(|(literal, any)| literal.chars().map(Some).chain(std::iter::repeat_n(None, any)))
            .collect();
        let mask = |fits: &dyn Fn(Option<char>) -> bool| {
            places.iter().enumerate().fold(0, |mask, (index, place)| mask | (u64::from(fits(*place)) << index))
        };
        let mut named: Vec<char> = places.iter().copied().flatten().collect();
        named.sort_unstable();
        named.dedup();
        let masks = named
            .into_iter()
            .map(|character| (character, mask(&|place| place.is_none_or(|named| named == character))))
            .collect();
        Ok(Some(Self { masks, any: mask(&|place| place.is_none()), last: 1 << (characters - 1) }))
    }

    fn end_of_first(&self, text: &str) -> Option<usize> {
        // Bit i: the characters just read fit places 0 to i.
        let mut state = 0_u64;
        for (index, character) in text.char_indices() {
            let mask = match self.masks.binary_search_by_key(&character, |(named, _)| *named) {
                Ok(found) => self.masks[found].1,
                Err(_) => self.any,
            };
            state = ((state << 1) | 1) & mask;
            if state & self.last != 0 {
                return Some(index + character.len_utf8());
            }
        }
        None
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
