//! Values that filters ask for by equality, numbered, so that comparing is comparing numbers. Two values have one number exactly
//! if the filter language calls them equal: `5` and `5.0` do. Number 0 is no value's.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use gomera_cluster::pages::Pages;
use gomera_cluster::table::Seeded;
use gomera_model::timestamp::Timestamp;
use gomera_model::value::Value;

use super::finder::Finder;

/// A number for a value; 0 for every value that no filter asks for.
pub type Symbol = u32;

#[derive(Clone, Debug, PartialEq)]
enum Constant {
    Text(Arc<str>),
    Integer(i64),
    /// Neither whole and within 64 bits, nor NaN.
    Float(u64),
    Bool(bool),
}

#[derive(Debug, Default)]
struct Entry {
    constant: Option<Constant>,
    uses: u32,
}

/// All of them.
#[derive(Debug)]
pub struct Symbols {
    hashing: Seeded,
    finder: Finder,
    entries: Pages<Entry>,
    text_bytes: usize,
}

/// What an equality with a value asks for, borrowed.
#[derive(Clone, Copy)]
enum Sought<'a> {
    Text(&'a str),
    Integer(i64),
    Float(u64),
    Bool(bool),
}

impl<'a> Sought<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        /// 2^63, which a float represents exactly.
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        match value {
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Integer(integer) => Some(Self::Integer(*integer)),
            Value::Float(float) if float.is_nan() => None,
            Value::Float(float) if float.trunc() == *float && (-LIMIT..LIMIT).contains(float) => {
                #[expect(clippy::cast_possible_truncation, reason = "whole and in [-2^63, 2^63): the cast is exact")]
                let integer = *float as i64;
                Some(Self::Integer(integer))
            }
            Value::Float(float) => Some(Self::Float(float.to_bits())),
            Value::String(text) => Some(Self::Text(text)),
            Value::Timestamp(_) | Value::GeoPoint(_) | Value::Array(_) => None,
        }
    }

    fn hash(self, hashing: Seeded) -> u64 {
        let mut hasher = hashing.build_hasher();
        match self {
            Self::Text(text) => hasher.write(text.as_bytes()),
            Self::Integer(integer) => {
                hasher.write_u64(3);
                hasher.write_u64(integer.cast_unsigned());
            }
            Self::Float(bits) => {
                hasher.write_u64(4);
                hasher.write_u64(bits);
            }
            Self::Bool(value) => hasher.write_u64(u64::from(value) + 1),
        }
        hasher.finish()
    }

    fn is(self, constant: &Constant) -> bool {
        match (self, constant) {
            (Self::Text(text), Constant::Text(other)) => text == &**other,
            (Self::Integer(integer), Constant::Integer(other)) => integer == *other,
            (Self::Float(bits), Constant::Float(other)) => bits == *other,
            (Self::Bool(value), Constant::Bool(other)) => value == *other,
            (Self::Text(_) | Self::Integer(_) | Self::Float(_) | Self::Bool(_), _) => false,
        }
    }
}

/// Whether equality with this constant is equality of symbols. Not for a text that reads as a timestamp, which equals
/// timestamps as well, nor for what is no scalar.
pub fn is_symbolic(constant: &Value) -> bool {
    match constant {
        Value::String(text) => !may_be_time(text) || Timestamp::parse(text).is_none(),
        Value::Bool(_) | Value::Integer(_) => true,
        Value::Float(float) => !float.is_nan(),
        Value::Timestamp(_) | Value::GeoPoint(_) | Value::Array(_) => false,
    }
}

/// Whether a text begins as RFC 3339 does, with a digit or white space or a sign: most do not, and need not be parsed.
fn may_be_time(text: &str) -> bool {
    text.as_bytes().first().is_some_and(|first| !first.is_ascii_alphabetic())
}

impl Symbols {
    /// None yet.
    pub fn new(hashing: Seeded) -> Self {
        let mut entries = Pages::new();
        entries.insert(Entry::default());
        Self { hashing, finder: Finder::new(), entries, text_bytes: 0 }
    }

    /// The symbol of a value, 0 if it has none.
    #[inline]
    pub fn find(&self, value: &Value) -> Symbol {
        Sought::of(value).map_or(0, |sought| self.find_sought(sought, sought.hash(self.hashing)))
    }

    /// The symbol of a text, 0 if it has none.
    #[inline]
    pub fn find_text(&self, text: &str) -> Symbol {
        let sought = Sought::Text(text);
        self.find_sought(sought, sought.hash(self.hashing))
    }

    #[inline]
    fn find_sought(&self, sought: Sought<'_>, hash: u64) -> Symbol {
        let is_meant = |symbol| self.entries[symbol].constant.as_ref().is_some_and(|constant| sought.is(constant));
        self.finder.find(hash, is_meant).unwrap_or(0)
    }

    /// The symbol of a value, from now on; one more use of it. The value [`is_symbolic`].
    pub fn intern(&mut self, value: &Value) -> Symbol {
        let sought = Sought::of(value).expect("a symbolic constant");
        let hash = sought.hash(self.hashing);
        let found = self.find_sought(sought, hash);
        if found != 0 {
            self.entries[found].uses += 1;
            return found;
        }
        let constant = match (sought, value) {
            (Sought::Integer(integer), _) => Constant::Integer(integer),
            (Sought::Float(bits), _) => Constant::Float(bits),
            (Sought::Bool(value), _) => Constant::Bool(value),
            (Sought::Text(_), Value::String(text)) => Constant::Text(text.clone()),
            (Sought::Text(text), _) => Constant::Text(Arc::from(text)),
        };
        if let Constant::Text(text) = &constant {
            self.text_bytes += text_bytes(text);
        }
        let symbol = self.entries.insert(Entry { constant: Some(constant), uses: 1 });
        self.finder.insert(hash, symbol);
        symbol
    }

    /// One use less.
    pub fn release(&mut self, symbol: Symbol) {
        let entry = &mut self.entries[symbol];
        entry.uses -= 1;
        if entry.uses > 0 {
            return;
        }
        let constant = self.entries.remove(symbol).constant.expect("a symbol in use stands for a constant");
        let sought = match &constant {
            Constant::Text(text) => {
                self.text_bytes -= text_bytes(text);
                Sought::Text(text)
            }
            Constant::Integer(integer) => Sought::Integer(*integer),
            Constant::Float(bits) => Sought::Float(*bits),
            Constant::Bool(value) => Sought::Bool(*value),
        };
        self.finder.remove(sought.hash(self.hashing), symbol);
    }

    /// The text that a symbol stands for.
    pub fn text(&self, symbol: Symbol) -> &str {
        match &self.entries[symbol].constant {
            Some(Constant::Text(text)) => text,
            Some(Constant::Integer(_) | Constant::Float(_) | Constant::Bool(_)) | None => "",
        }
    }

    /// As a literal, for people.
    pub fn literal(&self, symbol: Symbol) -> String {
        match &self.entries[symbol].constant {
            Some(Constant::Text(text)) => Value::String(text.clone()).to_string(),
            Some(Constant::Integer(integer)) => integer.to_string(),
            Some(Constant::Float(bits)) => Value::Float(f64::from_bits(*bits)).to_string(),
            Some(Constant::Bool(value)) => Value::Bool(*value).to_string(),
            None => String::new(),
        }
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.finder.bytes() + self.entries.bytes() + self.text_bytes
    }
}

/// What an `Arc<str>` asks the allocator for.
pub fn text_bytes(text: &str) -> usize {
    2 * size_of::<usize>() + text.len().next_multiple_of(align_of::<usize>())
}
