//! A publication as its tenant's filters see it: for each attribute that any of them asks for, a number or a symbol.

use gomera_model::attributes::Attributes;
use gomera_model::value::{Value, compare_integer_with_float};

use super::schema::Schema;
use super::scratch::Paper;
use super::symbols::{Symbol, Symbols};
use crate::kernel::{Codes, Kernel, prefetch};

/// The type of a value, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is none.
    Missing,
    /// An integer or a float.
    Number,
    /// A string.
    Text,
    /// A boolean.
    Bool,
    /// A geo point.
    Point,
    /// An array.
    Array,
    /// Something that only the plain evaluator looks at.
    Other,
}

impl Default for Reading {
    fn default() -> Self {
        Self::MISSING
    }
}

/// What a publication has for one attribute.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Of what type.
    pub kind: Kind,
    /// Its symbol; 0 if it has none.
    pub symbol: Symbol,
    /// Of an array, where among all elements its own begin: their count, then their symbols.
    first: u32,
    /// The attribute's position in the publication.
    pub position: u32,
    /// A number: the greatest float that is not above it. Of a point, the latitude.
    pub down: f64,
    /// A number: the least float that is not below it. Of a point, the longitude.
    pub up: f64,
}

impl Reading {
    /// Nothing.
    pub const MISSING: Self =
        Self { kind: Kind::Missing, symbol: 0, first: 0, position: 0, down: f64::NAN, up: f64::NAN };

    /// Reads a value; its symbol, and those of its elements, only if they are wanted.
    #[inline]
    pub fn of(value: &Value, position: u32, wants_symbol: bool, symbols: &Symbols, elements: &mut Vec<u32>) -> Self {
        let none = Self { position, ..Self::MISSING };
        let symbol = |value: &Value| if wants_symbol { symbols.find(value) } else { 0 };
        match value {
            Value::Integer(integer) => {
                let (down, up) = around(*integer);
                Self { kind: Kind::Number, symbol: symbol(value), down, up, ..none }
            }
            Value::Float(float) => Self { kind: Kind::Number, symbol: symbol(value), down: *float, up: *float, ..none },
            Value::String(_) => Self { kind: Kind::Text, symbol: symbol(value), ..none },
            Value::Bool(_) => Self { kind: Kind::Bool, symbol: symbol(value), ..none },
            Value::GeoPoint(point) => Self { kind: Kind::Point, down: point.latitude(), up: point.longitude(), ..none },
            Value::Array(array) => {
                let first = u32::try_from(elements.len()).expect("few elements");
                elements.push(0);
                if wants_symbol {
                    let found = array.elements().iter().map(|element| symbols.find(element));
                    elements.extend(found.filter(|&symbol| symbol != 0));
                    let own = first as usize + 1;
                    elements[own..].sort_unstable();
                    let mut kept = own;
                    for index in own..elements.len() {
                        if kept == own || elements[kept - 1] != elements[index] {
                            elements[kept] = elements[index];
                            kept += 1;
                        }
                    }
                    elements.truncate(kept);
                }
                elements[first as usize] = u32::try_from(elements.len()).expect("few elements") - first - 1;
                Self { kind: Kind::Array, first, ..none }
            }
            Value::Timestamp(_) => Self { kind: Kind::Other, ..none },
        }
    }

    /// The symbols of an array's elements, ascending, each once; of those that no filter asks for there is none.
    #[inline]
    pub fn elements(self, elements: &[u32]) -> &[u32] {
        let first = self.first as usize;
        let count = elements[first] as usize;
        &elements[first + 1..first + 1 + count]
    }
}

/// The floats next to an integer, both equal to it if a float is.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "what is lost decides")]
fn around(integer: i64) -> (f64, f64) {
    let near = integer as f64;
    if integer.unsigned_abs() <= 1 << 53 {
        return (near, near);
    }
    match compare_integer_with_float(integer, near) {
        Some(std::cmp::Ordering::Less) => (near.next_down(), near),
        Some(std::cmp::Ordering::Greater) => (near, near.next_up()),
        Some(std::cmp::Ordering::Equal) | None => (near, near),
    }
}

/// Reads what the filters of the tenant ask for.
pub fn read(
    kernel: Kernel,
    schema: &mut Schema,
    symbols: &Symbols,
    attributes: &Attributes,
    codes: &mut Codes,
    paper: &mut Paper,
) {
    schema.events += 1;
    for (name, value) in attributes.iter() {
        if let Some(first) = name.as_bytes().first() {
            prefetch(first);
        }
        if let Value::String(text) = value
            && let Some(first) = text.as_bytes().first()
        {
            prefetch(first);
        }
    }
    let mut before = 0;
    for (position, (name, value)) in (0..).zip(attributes.iter()) {
        let Some(id) = schema.find_after(before, name) else { continue };
        before = id;
        let slot = schema.slot_mut(id);
        slot.seen += 1;
        let reading = Reading::of(value, position, slot.symbols > 0, symbols, &mut paper.elements);
        schema.code(kernel, schema.slot(id), &reading, codes);
        paper.present.push((id, reading));
    }
}
