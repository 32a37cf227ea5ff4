//! Generated filters, publications and contexts. Values come from small pools that the constants share, so that
//! every operator has something to decide; extremes, missing attributes and wrong types are mixed in.

use std::sync::Arc;

use gomera_model::filter::{
    Arithmetic, ArithmeticOperator, Comparison, Expression, LikePattern, Operand, Predicate, RegexPattern, Set, Shape,
    Side,
};
use gomera_model::{Attributes, Filter, FilterLimits, GeoPoint, Polygon, Timestamp, Truth, Value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Where operands of each kind come from.
#[derive(Clone)]
pub struct Pools {
    number: BoxedStrategy<Operand>,
    text: BoxedStrategy<Operand>,
    place: BoxedStrategy<Operand>,
    time: BoxedStrategy<Operand>,
    flag: BoxedStrategy<Operand>,
    array: BoxedStrategy<Operand>,
    constant: BoxedStrategy<Value>,
    pattern: BoxedStrategy<String>,
}

const NUMBERS: [&str; 3] = ["a", "b", "env.co2"];
const TEXTS: [&str; 2] = ["s", "t"];
const PLACES: [&str; 2] = ["p", "q"];
const ARRAYS: [&str; 2] = ["l", "m"];

fn number() -> BoxedStrategy<Value> {
    let extremes = vec![
        Value::Integer(i64::MIN),
        Value::Integer(i64::MAX),
        Value::Integer((1 << 53) + 1),
        Value::Float(9_007_199_254_740_992.0),
        Value::Float(9_223_372_036_854_775_808.0),
        Value::Float(f64::MAX),
        Value::Float(5e-324),
        Value::Float(-0.0),
    ];
    prop_oneof![
        6 => (-2_i64..=4).prop_map(Value::Integer),
        2 => select(vec![-1.0, 0.5, 1.5, 2.0, 3.0]).prop_map(Value::Float),
        1 => select(extremes),
    ]
    .boxed()
}

fn text() -> BoxedStrategy<Value> {
    let texts =
        ["", "a", "b", "ab", "ba", "aab", "10%", "x_y", "ä", "2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00"];
    select(texts.to_vec()).prop_map(Value::from).boxed()
}

fn time() -> BoxedStrategy<Value> {
    let midnight = Timestamp::parse("2024-01-01T00:00:00Z").unwrap().0;
    (-2_i64..=2).prop_map(move |hours| Value::Timestamp(Timestamp(midnight + hours * 3_600_000_000))).boxed()
}

fn geo_point() -> BoxedStrategy<GeoPoint> {
    (select(vec![-1.0, 0.0, 0.5, 1.0, 2.0]), select(vec![-180.0, -179.5, -1.0, 0.0, 0.5, 1.0, 2.0, 179.0, 180.0]))
        .prop_map(|(latitude, longitude)| GeoPoint::new(latitude, longitude).unwrap())
        .boxed()
}

fn place() -> BoxedStrategy<Value> {
    geo_point().prop_map(Value::GeoPoint).boxed()
}

fn scalar() -> BoxedStrategy<Value> {
    prop_oneof![4 => number(), 3 => text(), 1 => time(), 1 => place(), 1 => any::<bool>().prop_map(Value::Bool)].boxed()
}

fn array() -> BoxedStrategy<Value> {
    vec(prop_oneof![number(), text()], 0..8).prop_map(|elements| Value::array(elements).unwrap()).boxed()
}

/// Any value that a publication may carry, also what no constant can be.
pub fn value() -> BoxedStrategy<Value> {
    let unusual = vec![f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    prop_oneof![6 => scalar(), 2 => array(), 1 => select(unusual).prop_map(Value::Float)].boxed()
}

/// An attribute, or its absence.
type Entry = Option<(Arc<str>, Value)>;

/// Attributes under the names that [`Pools::fitting`] uses: mostly of the fitting type, some of another, some missing.
fn attributes_with_prefix(prefix: &'static str) -> BoxedStrategy<Attributes> {
    let mut all: Vec<BoxedStrategy<Entry>> = Vec::new();
    let mut add = |names: &[&str], fitting: BoxedStrategy<Value>| {
        for name in names {
            let name: Arc<str> = format!("{prefix}{name}").into();
            let given = prop_oneof![7 => fitting.clone(), 1 => value()];
            all.push(option::weighted(0.85, given.prop_map(move |value| (name.clone(), value))).boxed());
        }
    };
    add(&NUMBERS, number());
    add(&TEXTS, text());
    add(&["w"], prop_oneof![time(), text()].boxed());
    add(&["f"], any::<bool>().prop_map(Value::Bool).boxed());
    add(&PLACES, place());
    add(&ARRAYS, array());
    all.prop_map(|entries| entries.into_iter().flatten().collect()).boxed()
}

/// A publication's attributes.
pub fn attributes() -> BoxedStrategy<Attributes> {
    attributes_with_prefix("")
}

/// A subscriber's context.
pub fn context() -> BoxedStrategy<Attributes> {
    attributes_with_prefix("my.")
}

fn named(names: &'static [&'static str], constants: BoxedStrategy<Value>) -> BoxedStrategy<Operand> {
    prop_oneof![
        5 => select(names).prop_map(|name| Operand::Attribute(name.into())),
        1 => select(names).prop_map(|name| Operand::Context(format!("my.{name}").into())),
        3 => constants.prop_map(Operand::Constant),
    ]
    .boxed()
}

impl Pools {
    /// Operands that fit the attributes above.
    pub fn fitting() -> Self {
        Self {
            number: named(&NUMBERS, number()),
            text: named(&TEXTS, text()),
            place: named(&PLACES, place()),
            time: named(&["w"], prop_oneof![time(), text()].boxed()),
            flag: named(&["f"], any::<bool>().prop_map(Value::Bool).boxed()),
            array: prop_oneof![
                5 => select(&ARRAYS[..]).prop_map(|name| Operand::Attribute(name.into())),
                1 => select(&ARRAYS[..]).prop_map(|name| Operand::Context(format!("my.{name}").into())),
            ]
            .boxed(),
            constant: scalar(),
            pattern: "[ab%_]{0,4}".boxed(),
        }
    }

    /// Anything that can be written at all.
    pub fn wild() -> Self {
        let constant = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::Float),
            any::<String>().prop_map(Value::from),
            (Timestamp::MIN_PRINTABLE.0..=Timestamp::MAX_PRINTABLE.0).prop_map(|at| Value::Timestamp(Timestamp(at))),
            (-90.0..=90.0, -180.0..=180.0)
                .prop_map(|(latitude, longitude)| { Value::GeoPoint(GeoPoint::new(latitude, longitude).unwrap()) }),
        ]
        .boxed();
        let words =
            ["in", "NOT", "true", "a b", "a\"b", "a]b", "$x", "a.", ".a", "a..b", "0a", "_a.0.b", "point", "'", "\n"];
        let name = prop_oneof![
            "[a-zß-ü_][a-z0-9_]{0,3}(\\.[a-z0-9]{1,2})?",
            select(words.to_vec()).prop_map(str::to_owned),
            any::<String>().prop_filter("not empty", |name| !name.is_empty()),
        ]
        .boxed();
        let reference = prop_oneof![
            name.clone().prop_map(|name| Operand::Attribute(name.into())),
            name.prop_map(|name| Operand::Context(name.into())),
        ]
        .boxed();
        let any_operand = prop_oneof![reference.clone(), constant.clone().prop_map(Operand::Constant)].boxed();
        Self {
            number: any_operand.clone(),
            text: any_operand.clone(),
            place: any_operand.clone(),
            time: any_operand.clone(),
            flag: any_operand,
            array: reference,
            constant,
            pattern: any::<String>().boxed(),
        }
    }

    fn numeric(&self) -> BoxedStrategy<Operand> {
        let point = self.point();
        let leaf = prop_oneof![
            8 => self.number.clone(),
            1 => (point.clone(), point).prop_map(|(from, to)| Operand::Distance(Box::new([from, to]))),
        ];
        let operator = select(vec![
            ArithmeticOperator::Add,
            ArithmeticOperator::Subtract,
            ArithmeticOperator::Multiply,
            ArithmeticOperator::Divide,
            ArithmeticOperator::Remainder,
        ]);
        leaf.prop_recursive(3, 6, 2, move |inner| {
            prop_oneof![
                1 => inner.clone().prop_map(|inner| Operand::Negate(Box::new(inner))),
                5 => (inner.clone(), operator.clone(), inner).prop_map(|(left, operator, right)| {
                    Operand::Arithmetic(Box::new(Arithmetic { left, operator, right }))
                }),
            ]
        })
        .boxed()
    }

    fn point(&self) -> BoxedStrategy<Operand> {
        let constant = (-90_i64..=90, -180_i64..=180).prop_map(|(latitude, longitude)| {
            Operand::Point(Box::new([
                Operand::Constant(Value::Integer(latitude)),
                Operand::Constant(Value::Integer(longitude)),
            ]))
        });
        // Not two constants, which might be no place; a name on one side makes it a matter of evaluation.
        let computed = (self.array.clone(), self.number.clone())
            .prop_map(|(latitude, longitude)| Operand::Point(Box::new([latitude, longitude])));
        let fitting = (select(&NUMBERS[..]), select(&NUMBERS[..])).prop_map(|(latitude, longitude)| {
            Operand::Point(Box::new([Operand::Attribute(latitude.into()), Operand::Attribute(longitude.into())]))
        });
        prop_oneof![8 => self.place.clone(), 1 => constant, 1 => computed, 2 => fitting].boxed()
    }

    fn any_operand(&self) -> BoxedStrategy<Operand> {
        prop_oneof![
            3 => self.numeric(),
            2 => self.text.clone(),
            1 => self.point(),
            1 => self.time.clone(),
            1 => self.flag.clone(),
            1 => self.array.clone(),
        ]
        .boxed()
    }

    fn comparable(&self) -> BoxedStrategy<(Operand, Operand, Operand)> {
        let alike = |kind: BoxedStrategy<Operand>| (kind.clone(), kind.clone(), kind);
        prop_oneof![
            6 => alike(self.numeric()),
            3 => alike(self.text.clone()),
            2 => alike(self.time.clone()),
            1 => alike(self.flag.clone()),
            1 => alike(self.point()),
            1 => alike(self.array.clone()),
            1 => alike(self.any_operand()),
        ]
        .boxed()
    }

    fn shape(&self) -> BoxedStrategy<Shape> {
        let radius = prop_oneof![
            3 => select(vec![0_i64, 60_000, 120_000, 400_000, 30_000_000])
                .prop_map(|metres| Operand::Constant(Value::Integer(metres))),
            1 => self.array.clone(),
        ];
        let reference =
            |operand: &Operand| !matches!(operand, Operand::Constant(value) if !matches!(value, Value::GeoPoint(_)));
        let place = self.place.clone().prop_filter("a place or a name", reference).boxed();
        let corners = (geo_point(), geo_point()).prop_map(|(one, other)| {
            let (south, north) = if one.latitude() <= other.latitude() { (one, other) } else { (other, one) };
            (Operand::Constant(south.into()), Operand::Constant(north.into()))
        });
        let corner_names = (self.array.clone(), place.clone());
        let polygon = vec(geo_point(), 3..7).prop_filter_map("bounds an area", |vertices| Polygon::new(vertices).ok());
        prop_oneof![
            5 => (place, radius).prop_map(|(center, radius_metres)| Shape::Circle { center, radius_metres }),
            4 => corners.prop_map(|(south_west, north_east)| Shape::Box { south_west, north_east }),
            1 => corner_names.prop_map(|(south_west, north_east)| Shape::Box { south_west, north_east }),
            4 => polygon.prop_map(Shape::Polygon),
        ]
        .boxed()
    }

    fn membership(&self) -> BoxedStrategy<Predicate> {
        let plain = || prop_oneof![self.number.clone(), self.text.clone()];
        let constants = vec(self.constant.clone(), 2..8);
        let one_kind = |kind: &BoxedStrategy<Operand>| (kind.clone(), vec(kind.clone(), 1..4));
        let operands = prop_oneof![one_kind(&self.number), one_kind(&self.text), one_kind(&self.place)];
        prop_oneof![
            2 => (prop_oneof![3 => plain(), 2 => self.array.clone()], constants)
                .prop_map(|(operand, members)| (operand, Set::Constants(members.into_iter().collect()))),
            2 => operands.prop_map(|(operand, members)| (operand, Set::Operands(members))),
            3 => (plain(), self.array.clone()).prop_map(|(operand, array)| (operand, Set::Array(array))),
            1 => (self.any_operand(), self.array.clone()).prop_map(|(operand, array)| (operand, Set::Array(array))),
            1 => (self.any_operand(), vec(self.any_operand(), 1..4))
                .prop_map(|(operand, members)| (operand, Set::Operands(members))),
        ]
        .prop_map(|(operand, set)| Predicate::In { operand, set })
        .boxed()
    }

    pub fn predicate(&self) -> BoxedStrategy<Predicate> {
        let comparison = select(vec![
            Comparison::Equal,
            Comparison::NotEqual,
            Comparison::Less,
            Comparison::LessOrEqual,
            Comparison::Greater,
            Comparison::GreaterOrEqual,
        ]);
        let side = select(vec![Side::Inside, Side::Outside]);
        let like = (self.text.clone(), self.pattern.clone(), select(vec![None, Some('!'), Some('a'), Some('\'')]))
            .prop_filter_map("a pattern", |(operand, text, escape)| {
                LikePattern::new(text, escape).ok().map(|pattern| Predicate::Like { operand, pattern })
            });
        let regex = select(vec!["a", "^a", "b$", "^(a|b)*$", "", "[^a-z]", "'"]);
        let limits = FilterLimits::default();
        prop_oneof![
            16 => (self.comparable(), comparison)
                .prop_map(|((left, right, _), comparison)| Predicate::Compare { left, comparison, right }),
            8 => (self.comparable(), side)
                .prop_map(|((operand, low, high), side)| Predicate::Between { operand, side, low, high }),
            10 => self.membership(),
            4 => like,
            2 => (self.text.clone(), regex).prop_map(move |(operand, text)| {
                Predicate::Matches { operand, pattern: RegexPattern::new(text, &limits).unwrap() }
            }),
            2 => (self.text.clone(), self.text.clone())
                .prop_map(|(operand, prefix)| Predicate::StartsWith { operand, prefix }),
            2 => (self.text.clone(), self.text.clone())
                .prop_map(|(operand, suffix)| Predicate::EndsWith { operand, suffix }),
            3 => (prop_oneof![self.text.clone(), self.array.clone()], prop_oneof![self.text.clone(), self.number.clone()])
                .prop_map(|(operand, element)| Predicate::Contains { operand, element }),
            2 => self.any_operand().prop_map(Predicate::IsNull),
            7 => (self.point(), self.shape()).prop_map(|(point, shape)| Predicate::Within { point, shape }),
        ]
        .boxed()
    }

    pub fn expression(&self) -> BoxedStrategy<Expression> {
        let leaf = prop_oneof![
            30 => self.predicate().prop_map(Expression::Predicate),
            1 => select(vec![Truth::False, Truth::Unknown, Truth::True]).prop_map(Expression::Constant),
        ];
        leaf.prop_recursive(4, 12, 4, |inner| {
            prop_oneof![
                1 => inner.clone().prop_map(|inner| Expression::Not(Box::new(inner))),
                2 => vec(inner.clone(), 2..4).prop_map(Expression::And),
                2 => vec(inner, 2..4).prop_map(Expression::Or),
            ]
        })
        .boxed()
    }

    /// Whole filters.
    pub fn filter(&self) -> BoxedStrategy<Filter> {
        let limits = FilterLimits::trusted();
        self.expression()
            .prop_filter_map("a filter", move |expression| Filter::from_expression(expression, &limits).ok())
            .boxed()
    }
}
