//! The attributes of a publication, or of a subscriber's context: names and typed values, sorted by name, no name
//! twice. One sorted vector: small, and looked up by binary search without hashing.

use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::shown::shown;
use crate::value::{Value, shared_text_bytes};

/// Names that begin so are the system's own; publishers may not use them.
pub const RESERVED_PREFIX: &str = "gomera.";

/// Whether only the system may set an attribute of this name.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    name.starts_with(RESERVED_PREFIX)
}

/// Sorted, unique attributes. Share behind an `Arc` where clones are frequent.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    entries: Vec<(Arc<str>, Value)>,
}

impl Attributes {
    /// The value of `name`, if present.
    #[inline]
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let position = self.entries.binary_search_by(|(entry, _)| entry.as_ref().cmp(name)).ok()?;
        Some(&self.entries[position].1)
    }

    /// The value at a position in the order of [`Attributes::iter`].
    #[inline]
    #[must_use]
    pub fn at(&self, position: usize) -> Option<&Value> {
        self.entries.get(position).map(|(_, value)| value)
    }

    /// Names and values, ascending by name (byte order).
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Value)> + DoubleEndedIterator {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// Adds what the system knows to attributes that have nothing of it yet: names under [`RESERVED_PREFIX`], ascending.
    /// They stand together, so that one look for their place is enough.
    pub fn add_reserved<const N: usize>(&mut self, reserved: [(Arc<str>, Value); N]) {
        debug_assert!(reserved.iter().all(|(name, _)| is_reserved(name)), "only the system's own names");
        debug_assert!(reserved.is_sorted_by(|left, right| left.0 < right.0), "ascending");
        let place = self.entries.partition_point(|(name, _)| &**name < RESERVED_PREFIX);
        debug_assert!(self.entries.get(place).is_none_or(|(name, _)| !is_reserved(name)), "nothing of the system yet");
        self.entries.splice(place..place, reserved);
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Approximate heap bytes that these attributes hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let contents: usize =
            self.entries.iter().map(|(name, value)| shared_text_bytes(name) + value.heap_bytes()).sum();
        self.entries.capacity() * size_of::<(Arc<str>, Value)>() + contents
    }

    /// Checks every cap, for attributes that did not come from an [`AttributesBuilder`]. System names pass.
    pub fn check(&self, limits: &AttributeLimits) -> Result<(), AttributesError> {
        if self.len() > limits.count_max {
            return Err(AttributesError::TooMany { limit: limits.count_max });
        }
        self.iter().try_for_each(|(name, value)| limits.check(name, value))
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

/// Of two entries with one name the later wins. No caps: for untrusted input use [`AttributesBuilder`].
impl<Name: Into<Arc<str>>> FromIterator<(Name, Value)> for Attributes {
    fn from_iter<Entries: IntoIterator<Item = (Name, Value)>>(entries: Entries) -> Self {
        from_entries(entries.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

/// Sorts; of two entries with one name the later wins.
pub(crate) fn from_entries(mut entries: Vec<(Arc<str>, Value)>) -> Attributes {
    if !entries.is_sorted_by(|left, right| left.0 < right.0) {
        entries.sort_by(|left, right| left.0.cmp(&right.0));
        // `dedup_by` keeps the first of a run and passes it as the second argument: swapping keeps the last.
        entries.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
    }
    Attributes { entries }
}

impl IntoIterator for Attributes {
    type Item = (Arc<str>, Value);
    type IntoIter = std::vec::IntoIter<(Arc<str>, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// A flat JSON object.
impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(&**name, value)?;
        }
        map.end()
    }
}

/// Caps on attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeLimits {
    /// Attributes in one publication or context.
    pub count_max: usize,
    /// UTF-8 bytes of a name.
    pub name_bytes_max: usize,
    /// UTF-8 bytes of a string, or of all strings of an array together.
    pub value_bytes_max: usize,
    /// Elements of an array.
    pub array_elements_max: usize,
}

impl Default for AttributeLimits {
    fn default() -> Self {
        // Of 1,954 real device messages the largest has 934 attributes (an energy gateway telling all its panels).
        Self { count_max: 1024, name_bytes_max: 256, value_bytes_max: 16 * 1024, array_elements_max: 1024 }
    }
}

impl AttributeLimits {
    pub(crate) fn check(&self, name: &str, value: &Value) -> Result<(), AttributesError> {
        if name.is_empty() {
            return Err(AttributesError::EmptyName);
        }
        if name.len() > self.name_bytes_max {
            return Err(AttributesError::NameTooLong {
                name: shown(name),
                bytes: name.len(),
                limit: self.name_bytes_max,
            });
        }
        if let Value::Array(elements) = value
            && elements.len() > self.array_elements_max
        {
            return Err(AttributesError::ArrayTooLong {
                name: shown(name),
                elements: elements.len(),
                limit: self.array_elements_max,
            });
        }
        let bytes = text_bytes(value);
        if bytes > self.value_bytes_max {
            return Err(AttributesError::ValueTooLong { name: shown(name), bytes, limit: self.value_bytes_max });
        }
        Ok(())
    }
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.iter().map(text_bytes).sum(),
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Timestamp(_) | Value::GeoPoint(_) => 0,
    }
}

/// Why attributes were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributesError {
    /// Over `count_max`.
    #[error("more than {limit} attributes; the cap is attributes.count_max = {limit}")]
    TooMany {
        /// The cap.
        limit: usize,
    },
    /// A name without a character.
    #[error("an attribute name is empty, must have at least one character")]
    EmptyName,
    /// Over `name_bytes_max`.
    #[error("attribute name `{name}` has {bytes} bytes; the cap is attributes.name_bytes_max = {limit}")]
    NameTooLong {
        /// Its beginning.
        name: String,
        /// Its length.
        bytes: usize,
        /// The cap.
        limit: usize,
    },
    /// Over `value_bytes_max`.
    #[error("attribute `{name}` has {bytes} bytes of text; the cap is attributes.value_bytes_max = {limit}")]
    ValueTooLong {
        /// The attribute.
        name: String,
        /// Its length.
        bytes: usize,
        /// The cap.
        limit: usize,
    },
    /// Over `array_elements_max`.
    #[error("attribute `{name}` has {elements} elements; the cap is attributes.array_elements_max = {limit}")]
    ArrayTooLong {
        /// The attribute.
        name: String,
        /// How many.
        elements: usize,
        /// The cap.
        limit: usize,
    },
    /// A publisher used a name of the system.
    #[error("attribute name `{name}` is reserved: names that begin with `gomera.` are set by the system only")]
    Reserved {
        /// The name.
        name: String,
    },
}

/// Collects attributes under caps. Of two with one name the later wins.
#[derive(Clone, Debug)]
pub struct AttributesBuilder {
    limits: AttributeLimits,
    entries: Vec<(Arc<str>, Value)>,
}

impl AttributesBuilder {
    /// An empty collection under these caps.
    #[must_use]
    pub fn new(limits: AttributeLimits) -> Self {
        Self { limits, entries: Vec::new() }
    }

    /// An empty collection under these caps, with room for so many before it has to grow.
    #[must_use]
    pub fn with_room(limits: AttributeLimits, count: usize) -> Self {
        Self { limits, entries: Vec::with_capacity(count) }
    }

    /// Adds what a publisher or subscriber gave; refuses reserved names.
    pub fn insert(&mut self, name: impl Into<Arc<str>>, value: impl Into<Value>) -> Result<&mut Self, AttributesError> {
        let name = name.into();
        if is_reserved(&name) {
            return Err(AttributesError::Reserved { name: shown(&name) });
        }
        self.insert_system(name, value)
    }

    /// Adds what the system knows; any name.
    pub fn insert_system(
        &mut self,
        name: impl Into<Arc<str>>,
        value: impl Into<Value>,
    ) -> Result<&mut Self, AttributesError> {
        let (name, value) = (name.into(), value.into());
        self.limits.check(&name, &value)?;
        // A name given over and over must not get round the cap by being counted once in the end.
        if self.entries.len() >= self.limits.count_max {
            return Err(AttributesError::TooMany { limit: self.limits.count_max });
        }
        self.entries.push((name, value));
        Ok(self)
    }

    /// The attributes.
    #[must_use]
    pub fn build(self) -> Attributes {
        from_entries(self.entries)
    }
}

#[cfg(test)]
mod tests {
    //! Claims about attributes.

    use super::*;

    #[test]
    fn attributes_are_sorted_and_the_later_of_two_equal_names_wins() {
        let attributes: Attributes =
            [("b", Value::Integer(1)), ("a", Value::Integer(2)), ("b", Value::Integer(3)), ("b", Value::Integer(4))]
                .into_iter()
                .collect();
        let names: Vec<_> = attributes.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(attributes.get("b"), Some(&Value::Integer(4)));
        assert_eq!(attributes.get("c"), None);
        assert!(attributes.bytes() > 0);
    }

    #[test]
    fn each_cap_is_named_when_exceeded() {
        let limits = AttributeLimits { count_max: 2, name_bytes_max: 4, value_bytes_max: 5, array_elements_max: 2 };
        let texts = |texts: &[&str]| Value::array(texts.iter().map(|text| Value::from(*text)).collect::<Vec<_>>());
        let cases = [
            ("", Value::Integer(1), "empty"),
            ("abcde", Value::Integer(1), "name_bytes_max = 4"),
            ("a", Value::from("123456"), "value_bytes_max = 5"),
            ("a", texts(&["123", "456"]).expect("scalars"), "value_bytes_max = 5"),
            ("a", texts(&["", "", ""]).expect("scalars"), "array_elements_max = 2"),
            ("gomera.time", Value::Integer(1), "`gomera.time` is reserved"),
        ];
        for (name, value, expected) in cases {
            let error = AttributesBuilder::new(limits).insert(name, value).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let mut builder = AttributesBuilder::new(limits);
        let reserved = format!("gomera.{}", "x".repeat(100_000));
        let error = builder.insert(reserved, 1_i64).expect_err("reserved").to_string();
        assert!(error.len() < 200, "{error}");
        builder.insert("a", 1_i64).expect("fits").insert("b", 2_i64).expect("fits");
        assert_eq!(builder.insert("c", 3_i64).err(), Some(AttributesError::TooMany { limit: 2 }));
        let two = builder.build();
        assert_eq!(two.check(&limits), Ok(()));
        assert_eq!(two.check(&AttributeLimits { count_max: 1, ..limits }), Err(AttributesError::TooMany { limit: 1 }));
    }

    #[test]
    fn what_the_system_adds_stands_in_order_among_the_rest() {
        for names in [&[][..], &["a"], &["z"], &["a", "go", "gomera", "gomerb", "z"]] {
            let mut attributes: Attributes = names.iter().map(|&name| (name, Value::Integer(1))).collect();
            let system = ["gomera.publisher", "gomera.time"].map(|name| (Arc::from(name), Value::Bool(true)));
            attributes.add_reserved(system);
            let found: Vec<_> = attributes.iter().map(|(name, _)| &**name).collect();
            assert_eq!(found.len(), names.len() + 2);
            assert!(found.is_sorted(), "{found:?}");
            assert_eq!(attributes.get("gomera.time"), Some(&Value::Bool(true)));
        }
    }

    #[test]
    fn the_system_may_use_reserved_names() {
        let limits = AttributeLimits { name_bytes_max: 20, ..AttributeLimits::default() };
        let mut builder = AttributesBuilder::new(limits);
        builder.insert_system("gomera.publisher", "p1").expect("fits");
        assert_eq!(builder.build().get("gomera.publisher"), Some(&Value::from("p1")));
        assert!(!is_reserved("gomera"));
        assert!(!is_reserved("gomerado.x"));
    }
}
