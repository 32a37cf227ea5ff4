//! Filters that one tenant could write to hurt the others, all within the caps, and the publications that they hurt most on.
//! What the caps refuse is asserted to be refused.

use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, FilterLimits};
use gomera_model::geo::GeoPoint;
use gomera_model::value::Value;

use crate::random::Random;
use crate::spec::Spec;

/// How it hurts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hostile {
    /// Hundreds of branches of `OR`, each of another kind.
    Or,
    /// As many branches as the cap allows.
    LongOr,
    /// `NOT` as deep as the cap allows.
    Not,
    /// `LIKE '%a%b%a%b…'` on a text as long as the cap allows.
    Like,
    /// A part that a text has nearly, over and over, in rare letters.
    LikePart,
    /// `LIKE '%a_b%'`, which substring search does not help with.
    LikeAny,
    /// Regular expressions that explode in other engines.
    Regex,
    /// The same costly condition in all of them, beside one of their own.
    Shared,
    /// As many vertices as the cap allows.
    Polygon,
    /// Circles within whose bounds, and beyond whose rims, all publications lie.
    Circle,
    /// As many members of `IN` as the cap allows, and arrays of as many elements.
    In,
    /// Members that are keys, and arrays that have all of them.
    Arrays,
    /// Arrays within arrays.
    Lists,
    /// All filters on one value, and all publications have it.
    OneValue,
    /// Ranges of more attributes than columns can tell apart, all of them missed by publications.
    Codes,
    /// A different attribute name in each filter, and publications with as many of them as the cap allows.
    Names,
}

/// A publication's text of the longest allowed.
const TEXT_BYTES: usize = 16 * 1024;

/// Elements of an array, as many as are allowed.
const ELEMENTS: usize = 1_024;

/// Attributes of [`Hostile::Codes`].
const CODED: usize = 1_000;

impl Hostile {
    pub const ALL: [Self; 16] = [
        Self::Or,
        Self::LongOr,
        Self::Not,
        Self::Like,
        Self::LikePart,
        Self::LikeAny,
        Self::Regex,
        Self::Shared,
        Self::Polygon,
        Self::Circle,
        Self::In,
        Self::Arrays,
        Self::Lists,
        Self::OneValue,
        Self::Codes,
        Self::Names,
    ];

    pub fn text(self) -> &'static str {
        match self {
            Self::Or => "hostile or",
            Self::LongOr => "hostile long or",
            Self::Not => "hostile not",
            Self::Like => "hostile like",
            Self::LikePart => "hostile like part",
            Self::LikeAny => "hostile like any",
            Self::Regex => "hostile regex",
            Self::Shared => "hostile shared",
            Self::Polygon => "hostile polygon",
            Self::Circle => "hostile circle",
            Self::In => "hostile in",
            Self::Arrays => "hostile arrays",
            Self::Lists => "hostile lists",
            Self::OneValue => "hostile one value",
            Self::Codes => "hostile codes",
            Self::Names => "hostile names",
        }
    }

    /// The most subscriptions that this is tried with: beyond, the cost is a multiple and the row takes minutes.
    pub fn subscriptions_max(self) -> u32 {
        match self {
            Self::OneValue | Self::Names | Self::Circle | Self::Codes | Self::Shared => 1_000_000,
            Self::Or
            | Self::LongOr
            | Self::Not
            | Self::Like
            | Self::LikePart
            | Self::LikeAny
            | Self::Regex
            | Self::Polygon
            | Self::In
            | Self::Arrays
            | Self::Lists => 1_000,
        }
    }

    /// Every one different, so that sharing identical filters does not help.
    pub fn subscription(self, id: u32, random: &mut Random) -> Spec {
        Spec::Text(match self {
            Self::Or => {
                let branches = (0..150).map(|index| match random.below(4) {
                    0 => format!("s = 'x{id}.{index}'"),
                    1 => format!("n * {index} > {}", u64::from(id) + 1_000_000),
                    2 => format!("t LIKE '%{id}%{index}%'"),
                    _ => format!("n{} BETWEEN {} AND {}", index % 7, id + index, id + index + 1),
                });
                branches.collect::<Vec<_>>().join(" OR ")
            }
            Self::LongOr => {
                let branches = (0..200).map(|index| format!("n{} * {index} > {}", index % 7, 10_000_000 + id));
                branches.collect::<Vec<_>>().join(" OR ")
            }
            Self::Not => {
                let mut text = format!("n > {id}");
                for level in 0..25 {
                    text = format!("NOT ({text} AND m{} <> {id})", level % 3);
                }
                text
            }
            Self::Like => format!("t LIKE '%{}%z{id}'", "a%b%".repeat(60)),
            Self::LikePart => format!("t LIKE '%{}\u{1}{id}%'", "ZQ".repeat(4)),
            Self::LikeAny => format!("t LIKE '%a_c{id}%'"),
            Self::Regex => {
                let patterns = ["(a|aa)+$", "(a*)*b$", "(.*a){20}z$", "^(([a-z])+.)+[A-Z]([a-z])+$"];
                let parts = patterns.iter().map(|pattern| format!("MATCHES(t, '{pattern}{id}')"));
                parts.collect::<Vec<_>>().join(" OR ")
            }
            Self::Shared => format!("MATCHES(t, '(a|b)+c$') AND t <> '{id}'"),
            Self::Polygon => polygon(500, id),
            // The corner of the bounds is further away than the rim of the largest.
            Self::Circle => format!("WITHIN(p, CIRCLE(POINT(0, 0), {:.2}))", 1e6 + 0.35 * f64::from(id)),
            Self::In => {
                let members = (0..1_000).map(|index| format!("'{}'", member(id, index)));
                format!("g IN ({})", members.collect::<Vec<_>>().join(", "))
            }
            Self::Arrays => {
                let members =
                    (0..250).map(|index| format!("'{}'", member(0, random.below(ELEMENTS) / 4 * 4 + index % 4)));
                format!("g IN ({}) AND h > {id} AND n * 1 = 3", members.collect::<Vec<_>>().join(", "))
            }
            Self::Lists => format!("g IN h AND n > -{id}"),
            Self::OneValue => {
                let low = random.below(10_000);
                format!("s = 'same' AND n >= {low} AND n < {} AND m <> {id}", low + 100)
            }
            Self::Codes => {
                let attribute = usize::try_from(id).expect("32 bits") % CODED;
                format!("c{attribute} >= {id} AND c{attribute} < {id}.5")
            }
            Self::Names => format!("x{id} = 1"),
        })
    }

    pub fn publication(self, number: usize, subscriptions: u32, random: &mut Random) -> Attributes {
        let whole = |bound: usize, random: &mut Random| Value::from(i64::try_from(random.below(bound)).expect("small"));
        let texts = |id: u32, count: usize| {
            let texts = (0..count).map(|index| Value::from(member(id, index)));
            Value::Array(texts.collect::<Vec<_>>().try_into().expect("an array of scalars"))
        };
        match self {
            Self::Like | Self::LikeAny | Self::Regex | Self::Shared => {
                // Nearly what is asked for, so that each attempt goes to the end.
                let text = if number.is_multiple_of(2) { "ab".repeat(TEXT_BYTES / 2) } else { "a".repeat(TEXT_BYTES) };
                [("t", Value::from(text))].into_iter().collect()
            }
            Self::LikePart => {
                let part = format!("{}\u{1}/", "ZQ".repeat(4));
                [("t", Value::from(part.repeat(TEXT_BYTES / part.len())))].into_iter().collect()
            }
            Self::Polygon => {
                let point = GeoPoint::new(random.unit() - 0.5, random.unit() - 0.5).expect("near the equator");
                [("p", Value::from(point))].into_iter().collect()
            }
            Self::Circle => {
                // Of the smallest circle the bounds reach nine degrees.
                let point = GeoPoint::new(8.9 - random.unit() / 10.0, 8.9).expect("near the equator");
                [("p", Value::from(point))].into_iter().collect()
            }
            Self::In => {
                let id =
                    u32::try_from(random.below(usize::try_from(subscriptions).expect("32 bits"))).expect("32 bits");
                [("g", texts(id, 1_000))].into_iter().collect()
            }
            Self::Arrays => {
                [("g", texts(0, ELEMENTS)), ("h", Value::from(i64::MAX)), ("n", whole(2, random))].into_iter().collect()
            }
            Self::Lists => {
                let h = (0..ELEMENTS).map(|index| Value::from(member(1, index))).collect::<Vec<_>>();
                let h = Value::Array(h.try_into().expect("an array of scalars"));
                [("g", texts(0, ELEMENTS)), ("h", h), ("n", Value::from(1_i64))].into_iter().collect()
            }
            Self::Or | Self::LongOr | Self::Not | Self::OneValue => {
                let mut entries = vec![
                    ("s".to_owned(), Value::from("same")),
                    ("t".to_owned(), Value::from("0123456789".repeat(100))),
                    ("n".to_owned(), whole(10_000, random)),
                    ("m".to_owned(), Value::from(-1_i64)),
                ];
                entries.extend((0..7).map(|index| (format!("n{index}"), whole(10_000, random))));
                entries.extend((0..3).map(|index| (format!("m{index}"), Value::from(-1_i64))));
                entries.into_iter().collect()
            }
            Self::Codes => {
                let value = |random: &mut Random| {
                    let of = i64::try_from(random.below(usize::try_from(subscriptions).expect("32 bits")));
                    of.map_or(0.0, |of| f64::from(i32::try_from(of).expect("below 2^31")) + 0.75)
                };
                (0..CODED).map(|index| (format!("c{index}"), Value::from(value(random)))).collect()
            }
            Self::Names => (0..1_000)
                .map(|_| {
                    let index = random.below(usize::try_from(subscriptions).expect("32 bits"));
                    (format!("x{index}"), Value::from(1_i64))
                })
                .collect(),
        }
    }

    /// What goes beyond the caps does not become a filter.
    pub fn assert_refused(self) {
        let text = match self {
            Self::Or | Self::LongOr => {
                (0..5_000).map(|index| format!("s = 'x{index}'")).collect::<Vec<_>>().join(" OR ")
            }
            Self::Not => format!("{}a{}", "NOT (".repeat(1_000), ")".repeat(1_000)),
            Self::Like => format!("t LIKE '{}'", "%a".repeat(100_000)),
            Self::LikeAny => format!("t LIKE '%{}b%'", "a_".repeat(40)),
            Self::Regex => "MATCHES(t, '((((((a{90}){90}){90}){90}){90}){90})')".to_owned(),
            Self::Polygon => polygon(100_000, 0),
            Self::In => format!("g IN ({})", (0..1_100).map(|index| index.to_string()).collect::<Vec<_>>().join(", ")),
            Self::LikePart
            | Self::Shared
            | Self::Circle
            | Self::Arrays
            | Self::Lists
            | Self::OneValue
            | Self::Codes
            | Self::Names => {
                return;
            }
        };
        assert!(Filter::parse(&text, &FilterLimits::default()).is_err(), "{} beyond the caps is taken", self.text());
    }
}

/// A text that filter `id` asks for.
fn member(id: u32, index: usize) -> String {
    format!("m{id}.{index}")
}

/// A star around the origin.
fn polygon(vertices: u32, id: u32) -> String {
    let corners = (0..vertices).map(|index| {
        let angle = f64::from(index) / f64::from(vertices) * std::f64::consts::TAU;
        let radius = if index % 2 == 0 { 1.0 } else { 0.2 + f64::from(id % 1000) / 2_000.0 };
        // Short numbers: the cap on the text is the first that a polygon meets.
        format!("POINT({:.3}, {:.3})", radius * angle.sin(), radius * angle.cos() + f64::from(id / 1000) / 1_000.0)
    });
    format!("WITHIN(p, POLYGON({}))", corners.collect::<Vec<_>>().join(", "))
}
