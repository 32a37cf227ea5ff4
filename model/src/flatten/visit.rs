//! The visitor behind flattening. It keeps one dotted path as a buffer and a list of what was found; errors are put
//! aside in the state and collect their JSON pointer while they unwind, so that the good path pays nothing for it.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{DEPTH_MAX, Entry, FlattenError, FlattenLimits, TOP_LEVEL_NAME};
use crate::attributes::{Attributes, AttributesError, from_entries, is_reserved};
use crate::geo::GeoPoint;
use crate::shown::shown;
use crate::value::Value;

/// What a JSON value turned out to be.
pub(super) enum Outcome {
    /// Absent.
    Null,
    /// One value for the path that led here; arrays of scalars and GeoJSON points included.
    Value(Value),
    /// Its members are in the state already.
    Members,
}

/// Attributes that a usual publication has at most; more only cost a reallocation.
const EXPECTED: usize = 16;

/// Segments of a JSON pointer that an error shows.
const POINTER_SEGMENTS_MAX: usize = 8;

/// Why reading stopped.
enum Fault {
    TooDeep { limit: usize },
    Attribute(AttributesError),
}

pub(super) struct State<'a> {
    limits: &'a FlattenLimits,
    path: String,
    found: Vec<Entry>,
    /// Members that replaced an earlier one of their name.
    repeats: usize,
    /// Whether a null was left out of the array read last.
    last_array_had_null: bool,
    fault: Option<Fault>,
    /// Segments of the place of an error, innermost first.
    place: Vec<String>,
    /// Member names of the open objects one after the other, and where each ends; see [`Names`].
    names: String,
    name_ends: Vec<usize>,
}

impl<'a> State<'a> {
    pub(super) fn new(limits: &'a FlattenLimits) -> Self {
        Self {
            limits,
            path: String::new(),
            found: Vec::with_capacity(EXPECTED),
            repeats: 0,
            last_array_had_null: false,
            fault: None,
            place: Vec::new(),
            names: String::new(),
            name_ends: Vec::new(),
        }
    }

    /// Records a value for the present path.
    fn record<E: Error>(&mut self, value: Value) -> Result<(), E> {
        let limits = &self.limits.attributes;
        if is_reserved(&self.path) {
            return Err(self.refuse(AttributesError::Reserved { name: shown(&self.path) }));
        }
        self.check_count()?;
        if let Err(error) = limits.check(&self.path, &value) {
            return Err(self.refuse(error));
        }
        self.found.push((self.path.as_str().into(), value));
        Ok(())
    }

    fn check_count<E: Error>(&mut self) -> Result<(), E> {
        let limit = self.limits.attributes.count_max;
        if self.found.len() + self.repeats >= limit {
            return Err(self.refuse(AttributesError::TooMany { limit }));
        }
        Ok(())
    }

    fn refuse<E: Error>(&mut self, error: AttributesError) -> E {
        self.fault = Some(Fault::Attribute(error));
        E::custom("refused")
    }

    /// Appends a segment; returns the length to go back to.
    fn enter(&mut self, segment: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(segment);
        length
    }

    /// As [`enter`](Self::enter) with an element's index.
    fn enter_index(&mut self, index: usize) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        write!(self.path, "{index}").expect("writing to a string cannot fail");
        length
    }

    fn leave(&mut self, length: usize) {
        self.path.truncate(length);
    }

    /// Forgets what was found for `path` and below it, from entry `start` on. Looks at every entry, so it may not happen
    /// more often than there may be entries.
    fn forget<E: Error>(&mut self, start: usize) -> Result<(), E> {
        self.check_count()?;
        self.repeats += 1;
        let path = self.path.as_str();
        let mut index = 0;
        self.found.retain(|(name, _)| {
            index += 1;
            let below = name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            index <= start || !below
        });
        Ok(())
    }

    pub(super) fn finish(mut self, outcome: Outcome) -> Result<Attributes, FlattenError> {
        if let Outcome::Value(value) = outcome {
            self.enter(TOP_LEVEL_NAME);
            if let Err(error) = self.record::<serde_json::Error>(value) {
                return Err(self.into_error(&error));
            }
        }
        Ok(from_entries(self.found))
    }

    /// The place of an error. Of a long one the ends, which say most.
    fn pointer(&self) -> String {
        if self.place.is_empty() {
            return "the top level".to_owned();
        }
        let segments = || {
            let outermost_first = self.place.iter().rev();
            outermost_first.map(|segment| shown(segment).replace('~', "~0").replace('/', "~1"))
        };
        let hidden = self.place.len().saturating_sub(POINTER_SEGMENTS_MAX);
        let mut pointer = String::new();
        for (index, segment) in segments().enumerate() {
            let since_cut = index.checked_sub(POINTER_SEGMENTS_MAX / 2);
            match since_cut {
                Some(0) if hidden > 0 => pointer.push_str("/…"),
                Some(since) if since < hidden => {}
                Some(_) | None => {
                    pointer.push('/');
                    pointer.push_str(&segment);
                }
            }
        }
        pointer
    }

    pub(super) fn into_error(self, error: &serde_json::Error) -> FlattenError {
        let pointer = self.pointer();
        match self.fault {
            Some(Fault::TooDeep { limit }) => FlattenError::TooDeep { pointer, limit },
            Some(Fault::Attribute(error)) => FlattenError::Attribute { pointer, error },
            None => {
                let text = error.to_string();
                let reason = text.split(" at line ").next().unwrap_or(&text).to_owned();
                FlattenError::Syntax { line: error.line(), column: error.column(), pointer, reason }
            }
        }
    }
}

/// Reads one JSON value at the present path.
pub(super) struct Node<'s, 'a> {
    pub(super) state: &'s mut State<'a>,
    pub(super) depth: usize,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Outcome;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Outcome, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Node<'_, '_> {
    fn check_depth<E: Error>(&mut self) -> Result<(), E> {
        let limit = self.state.limits.depth_max.min(DEPTH_MAX);
        if self.depth >= limit {
            self.state.fault = Some(Fault::TooDeep { limit });
            return Err(E::custom("too deep"));
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Outcome;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Outcome, E> {
        Ok(Outcome::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Outcome, E> {
        Ok(Outcome::Value(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Outcome, E> {
        Ok(Outcome::Value(Value::Integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Outcome, E> {
        Ok(Outcome::Value(i64::try_from(value).map_or_else(|_| Value::Float(value as f64), Value::Integer)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Outcome, E> {
        Ok(Outcome::Value(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Outcome, E> {
        Ok(Outcome::Value(Value::from(value)))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Outcome, A::Error> {
        self.check_depth()?;
        let Self { state, depth } = self;
        let start = state.found.len();
        let mut names = Names::new(state);
        while let Some(member) = members.next_key_seed(Name { state: &mut *state, names: &mut names })? {
            let forgotten = if member.repeated { state.forget(start) } else { Ok(()) };
            let read = forgotten
                .and_then(|()| members.next_value_seed(Node { state: &mut *state, depth: depth + 1 }))
                .and_then(|outcome| match outcome {
                    Outcome::Value(value) => state.record(value),
                    Outcome::Null | Outcome::Members => Ok(()),
                });
            if let Err(error) = read {
                state.place.push(state.path[member.name].to_owned());
                return Err(error);
            }
            state.leave(member.path_before);
        }
        let count = names.count;
        names.leave(state);
        match point(state, start, count) {
            Some(point) => {
                state.found.truncate(start);
                Ok(Outcome::Value(Value::GeoPoint(point)))
            }
            None => Ok(Outcome::Members),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Outcome, A::Error> {
        self.check_depth()?;
        let Self { state, depth } = self;
        let top = (depth == 0).then(|| state.enter(TOP_LEVEL_NAME));
        let elements_max = state.limits.attributes.array_elements_max;
        // Scalars so far with their index; taken away once something else turns up.
        let mut scalars: Option<Vec<(usize, Value)>> = Some(Vec::new());
        let mut had_null = false;
        let mut index = 0;
        loop {
            let length = state.enter_index(index);
            let read = elements.next_element_seed(Node { state: &mut *state, depth: depth + 1 });
            let outcome = match read {
                Ok(outcome) => outcome,
                Err(error) => {
                    state.place.push(index.to_string());
                    return Err(error);
                }
            };
            state.leave(length);
            let recorded = match (outcome, &mut scalars) {
                (None, _) => break,
                (Some(Outcome::Null), _) => {
                    had_null = true;
                    Ok(())
                }
                (Some(Outcome::Value(value)), Some(scalars)) if !matches!(value, Value::Array(_)) => {
                    if scalars.len() >= elements_max {
                        let name = shown(&state.path);
                        let elements = scalars.len() + 1;
                        let error = AttributesError::ArrayTooLong { name, elements, limit: elements_max };
                        return Err(state.refuse(error));
                    }
                    scalars.push((index, value));
                    Ok(())
                }
                (Some(Outcome::Value(value)), _) => record_at(state, scalars.take(), Some((index, value))),
                (Some(Outcome::Members), _) => record_at(state, scalars.take(), None),
            };
            if let Err(error) = recorded {
                state.place.push(index.to_string());
                return Err(error);
            }
            index += 1;
        }
        if let Some(length) = top {
            state.leave(length);
        }
        state.last_array_had_null = had_null;
        match scalars {
            Some(scalars) => {
                let values: Vec<Value> = scalars.into_iter().map(|(_, value)| value).collect();
                Ok(Outcome::Value(Value::array(values).expect("arrays among the elements went to indexed paths")))
            }
            None => Ok(Outcome::Members),
        }
    }
}

/// Records elements under their indexes: those put aside as scalars, then the last one.
fn record_at<E: Error>(
    state: &mut State<'_>,
    scalars: Option<Vec<(usize, Value)>>,
    last: Option<(usize, Value)>,
) -> Result<(), E> {
    for (index, value) in scalars.into_iter().flatten().chain(last) {
        let length = state.enter_index(index);
        state.record(value)?;
        state.leave(length);
    }
    Ok(())
}

/// The place that an object names, if the entries from `start` on are the two members of a GeoJSON Point.
fn point(state: &State<'_>, start: usize, member_count: usize) -> Option<GeoPoint> {
    let [first, second] = &state.found[start..] else {
        return None;
    };
    // One of the two is a string, so an array with a null in it can only be the coordinates.
    if member_count != 2 || state.last_array_had_null {
        return None;
    }
    let member = |name: &str| {
        let is = |entry: &Entry| match entry.0.strip_prefix(state.path.as_str()) {
            Some(rest) if state.path.is_empty() => rest == name,
            Some(rest) => rest.strip_prefix('.') == Some(name),
            None => false,
        };
        [first, second].into_iter().find(|entry| is(entry)).map(|entry| &entry.1)
    };
    let (Value::String(kind), Value::Array(coordinates)) = (member("type")?, member("coordinates")?) else {
        return None;
    };
    if &**kind != "Point" || !(2..=3).contains(&coordinates.len()) {
        return None;
    }
    let degrees = |index: usize| match &coordinates[index] {
        Value::Integer(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Bool(_) | Value::String(_) | Value::Timestamp(_) | Value::GeoPoint(_) | Value::Array(_) => None,
    };
    GeoPoint::new(degrees(1)?, degrees(0)?).ok()
}

/// A member whose name has just been read and appended to the path.
struct Member {
    /// The path's length to go back to.
    path_before: usize,
    /// Where the name stands in the path.
    name: Range<usize>,
    /// Whether the object had a member of this name before.
    repeated: bool,
}

/// Reads a member's name straight into the path.
struct Name<'s, 'a, 'n> {
    state: &'s mut State<'a>,
    names: &'n mut Names,
}

impl<'de> DeserializeSeed<'de> for Name<'_, '_, '_> {
    type Value = Member;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_, '_> {
    type Value = Member;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Member, E> {
        if name.is_empty() {
            return Err(self.state.refuse(AttributesError::EmptyName));
        }
        let repeated = self.names.has_or_add(self.state, name);
        let path_before = self.state.enter(name);
        let end = self.state.path.len();
        Ok(Member { path_before, name: end - name.len()..end, repeated })
    }
}

/// The member names of one object, to notice repeats: while there are few, ends in a buffer that all open objects
/// share (nothing is allocated for them); beyond, a set.
struct Names {
    /// Where this object's names begin in the buffer.
    text_start: usize,
    /// Where their ends begin in the list of ends.
    first: usize,
    many: BTreeSet<String>,
    count: usize,
}

/// Up to here, comparing with each name is cheaper than a tree.
const FEW: usize = 16;

impl Names {
    fn new(state: &State<'_>) -> Self {
        Self { text_start: state.names.len(), first: state.name_ends.len(), many: BTreeSet::new(), count: 0 }
    }

    fn has_or_add(&mut self, state: &mut State<'_>, name: &str) -> bool {
        let mut start = self.text_start;
        for end in &state.name_ends[self.first..] {
            if state.names[start..*end] == *name {
                return true;
            }
            start = *end;
        }
        if self.many.contains(name) {
            return true;
        }
        self.count += 1;
        if self.count <= FEW {
            state.names.push_str(name);
            state.name_ends.push(state.names.len());
        } else {
            self.many.insert(name.to_owned());
        }
        false
    }

    /// The object is read.
    fn leave(self, state: &mut State<'_>) {
        state.names.truncate(self.text_start);
        state.name_ends.truncate(self.first);
    }
}
