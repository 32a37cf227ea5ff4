//! Filters as short programs over a publication that has been laid out by attribute: what the linear scan runs on everything and
//! the simple index on its candidates. A few nanoseconds a filter, so that a ratio over the scan says something.
//!
//! Strings are numbered, so that their equality is one of numbers. A step tests one attribute and says where to go on; what is
//! missing is NaN and fails every test, negated ones too.

use std::collections::HashMap;
use std::sync::Arc;

use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, FilterLimits, evaluate};
use gomera_model::geo::GeoPoint;
use gomera_model::value::Value;

use crate::spec::{Spec, Test};

/// Where to go on: a step, or an end.
type Next = u16;
const ACCEPT: Next = Next::MAX;
const REJECT: Next = Next::MAX - 1;

/// A test of one attribute.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    low: f64,
    high: f64,
    attribute: u16,
    kind: Kind,
    is_negated: bool,
    on_true: Next,
    on_false: Next,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// `low <= number < high`.
    Range,
    /// The number is `low`; strings and booleans are numbers here.
    Equal,
    /// The number is one of the four that the bits of `low` and `high` are.
    In,
    /// The text begins with text `low`.
    Prefix,
    /// The place is within circle `low`.
    Circle,
    /// The filter `low` says so.
    Filter,
}

/// The numbers that names and strings have, and what does not fit a step.
#[derive(Debug, Default)]
pub struct Symbols {
    attributes: HashMap<String, u16>,
    strings: HashMap<String, u32>,
    texts: Vec<String>,
    circles: Vec<(GeoPoint, f64)>,
    filters: Vec<Filter>,
    /// Stands for a step not yet written; each place that needs one takes the next lower.
    label: Next,
}

/// A publication laid out by attribute.
#[derive(Debug)]
pub struct Laid {
    pub numbers: Vec<f64>,
    texts: Vec<Option<Arc<str>>>,
    places: Vec<Option<GeoPoint>>,
    attributes: Attributes,
}

impl Symbols {
    pub fn attribute(&mut self, name: &str) -> u16 {
        if let Some(&known) = self.attributes.get(name) {
            return known;
        }
        let new = u16::try_from(self.attributes.len()).expect("fewer attributes than 2^16");
        self.attributes.insert(name.to_owned(), new);
        new
    }

    pub fn string(&mut self, text: &str) -> u32 {
        if let Some(&known) = self.strings.get(text) {
            return known;
        }
        let new = u32::try_from(self.strings.len()).expect("fewer strings than 2^32");
        self.strings.insert(text.to_owned(), new);
        new
    }

    /// How many attributes there are.
    pub fn attributes(&self) -> usize {
        self.attributes.len()
    }

    /// Lays a publication out; whatever will be asked for is known by now.
    pub fn lay(&self, attributes: &Attributes) -> Laid {
        // At least one place: filters that are not programs name the first.
        let count = self.attributes.len().max(1);
        let mut laid = Laid {
            numbers: vec![f64::NAN; count],
            texts: vec![None; count],
            places: vec![None; count],
            attributes: attributes.clone(),
        };
        for (name, value) in attributes.iter() {
            let Some(&index) = self.attributes.get(&**name) else { continue };
            let index = usize::from(index);
            match value {
                #[expect(clippy::cast_precision_loss, reason = "whole numbers of the workloads are small")]
                Value::Integer(integer) => laid.numbers[index] = *integer as f64,
                Value::Float(float) => laid.numbers[index] = *float,
                Value::Bool(flag) => laid.numbers[index] = f64::from(u8::from(*flag)),
                Value::String(text) => {
                    laid.numbers[index] = self.strings.get(&**text).map_or(-1.0, |&number| f64::from(number));
                    laid.texts[index] = Some(text.clone());
                }
                Value::GeoPoint(place) => {
                    laid.numbers[index] = 0.0;
                    laid.places[index] = Some(*place);
                }
                Value::Timestamp(_) | Value::Array(_) => {}
            }
        }
        laid
    }

    /// The program of a filter.
    pub fn compile(&mut self, spec: &Spec, into: &mut Vec<Step>) {
        into.clear();
        self.label = REJECT - 1;
        self.emit(spec, ACCEPT, REJECT, into);
    }

    /// Appends the steps of `spec`; what goes on behind it is not there yet and will come next, if it is not an end.
    fn emit(&mut self, spec: &Spec, on_true: Next, on_false: Next, into: &mut Vec<Step>) {
        match spec {
            Spec::Test(test) => self.emit_test(test, false, [on_true, on_false], into),
            Spec::Not(test) => self.emit_test(test, true, [on_true, on_false], into),
            Spec::And(parts) => self.emit_all(parts, Joint::And, [on_true, on_false], into),
            Spec::Or(parts) => self.emit_all(parts, Joint::Or, [on_true, on_false], into),
            Spec::Text(text) => {
                let filter = Filter::parse(text, &FilterLimits::default()).expect("a good filter");
                self.filters.push(filter);
                let number = number_of(self.filters.len() - 1);
                into.push(Step {
                    low: number,
                    high: 0.0,
                    attribute: 0,
                    kind: Kind::Filter,
                    is_negated: false,
                    on_true,
                    on_false,
                });
            }
        }
    }

    fn emit_all(&mut self, parts: &[Spec], joint: Joint, [on_true, on_false]: [Next; 2], into: &mut Vec<Step>) {
        let Some((last, before)) = parts.split_last() else { unreachable!("a joint has parts") };
        for part in before {
            // Where the next part begins is known once this one is written: mark it, then put it in.
            let (begin, label) = (into.len(), self.label);
            self.label -= 1;
            match joint {
                Joint::And => self.emit(part, label, on_false, into),
                Joint::Or => self.emit(part, on_true, label, into),
            }
            let next = Next::try_from(into.len()).expect("filters are short");
            for step in &mut into[begin..] {
                for target in [&mut step.on_true, &mut step.on_false] {
                    if *target == label {
                        *target = next;
                    }
                }
            }
        }
        self.emit(last, on_true, on_false, into);
    }

    fn emit_test(&mut self, test: &Test, is_negated: bool, [on_true, on_false]: [Next; 2], into: &mut Vec<Step>) {
        let (name, kind, low, high) = match test {
            Test::Range { attribute, low, high } => (attribute, Kind::Range, *low, *high),
            Test::Equal { attribute, text } => (attribute, Kind::Equal, f64::from(self.string(text)), 0.0),
            Test::In { attribute, texts } => {
                self.emit_in(attribute, texts, is_negated, [on_true, on_false], into);
                return;
            }
            Test::Flag { attribute } => (attribute, Kind::Equal, 1.0, 0.0),
            Test::Prefix { attribute, prefix } => {
                self.texts.push(prefix.clone());
                (attribute, Kind::Prefix, number_of(self.texts.len() - 1), 0.0)
            }
            Test::Circle { attribute, latitude, longitude, metres } => {
                let center = GeoPoint::new(*latitude, *longitude).expect("a place");
                self.circles.push((center, *metres));
                (attribute, Kind::Circle, number_of(self.circles.len() - 1), 0.0)
            }
        };
        let attribute = self.attribute(name);
        into.push(Step { low, high, attribute, kind, is_negated, on_true, on_false });
    }

    /// Four members a step: as numbers they fit its bounds.
    fn emit_in(&mut self, name: &str, texts: &[String], is_negated: bool, ends: [Next; 2], into: &mut Vec<Step>) {
        assert!(!is_negated, "no workload excludes a set");
        let [on_true, on_false] = ends;
        let attribute = self.attribute(name);
        let steps = texts.len().div_ceil(4);
        for (index, four) in (1..).zip(texts.chunks(4)) {
            // What is missing is what was there last.
            let mut member = |at: usize| self.string(&four[at.min(four.len() - 1)]);
            let [low, high] = [[0, 1], [2, 3]]
                .map(|[left, right]| f64::from_bits(u64::from(member(left)) | u64::from(member(right)) << 32));
            let next = Next::try_from(into.len() + 1).expect("filters are short");
            let on_false = if index == steps { on_false } else { next };
            into.push(Step { low, high, attribute, kind: Kind::In, is_negated, on_true, on_false });
        }
    }

    /// Whether a publication satisfies a program.
    #[inline]
    pub fn is_match(&self, program: &[Step], laid: &Laid) -> bool {
        let mut at = 0;
        loop {
            let step = &program[usize::from(at)];
            let number = laid.numbers[usize::from(step.attribute)];
            let holds = match step.kind {
                // Both at once: which of them fails cannot be foreseen, whether one does mostly can.
                Kind::Range => (number >= step.low) & (number < step.high),
                #[expect(clippy::float_cmp, reason = "numbers that stand for strings")]
                Kind::Equal => number == step.low,
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "halves, and a NaN is nobody's 0"
                )]
                Kind::In => {
                    let string = if number >= 0.0 { number as u32 } else { u32::MAX };
                    [step.low, step.high].iter().any(|two| {
                        let two = two.to_bits();
                        (two as u32 == string) | ((two >> 32) as u32 == string)
                    })
                }
                Kind::Prefix | Kind::Circle | Kind::Filter => self.holds(step, laid),
            };
            let holds = if step.is_negated { !holds && !number.is_nan() } else { holds };
            at = if holds { step.on_true } else { step.on_false };
            if at >= REJECT {
                return at == ACCEPT;
            }
        }
    }

    #[inline(never)]
    fn holds(&self, step: &Step, laid: &Laid) -> bool {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "made from a position")]
        let place = step.low as usize;
        let attribute = usize::from(step.attribute);
        match step.kind {
            Kind::Prefix => laid.texts[attribute].as_ref().is_some_and(|text| text.starts_with(&self.texts[place])),
            Kind::Circle => {
                let (center, metres) = self.circles[place];
                laid.places[attribute].is_some_and(|point| point.distance_metres(center) <= metres)
            }
            Kind::Filter => evaluate(&self.filters[place], &laid.attributes, &Attributes::default()).is_match(),
            Kind::Range | Kind::Equal | Kind::In => unreachable!("tested in line"),
        }
    }
}

#[derive(Clone, Copy)]
enum Joint {
    And,
    Or,
}

fn number_of(position: usize) -> f64 {
    f64::from(u32::try_from(position).expect("fewer than 2^32"))
}
