//! What a subscription asks for, as a structure that every engine can take in its own words: Gomera and the plain evaluator as
//! text of the filter language, a-tree as text of its own, the linear scan and the simple index as a program.

use std::fmt::Write as _;

/// A test of one attribute.
#[derive(Clone, Debug)]
pub enum Test {
    /// `low <= number < high`; an infinite bound is not written.
    Range { attribute: String, low: f64, high: f64 },
    /// `string = text`.
    Equal { attribute: String, text: String },
    /// `string IN (texts)`.
    In { attribute: String, texts: Vec<String> },
    /// A boolean that is true.
    Flag { attribute: String },
    /// `STARTS_WITH(string, prefix)`.
    Prefix { attribute: String, prefix: String },
    /// `WITHIN(point, CIRCLE(POINT(latitude, longitude), metres))`.
    Circle { attribute: String, latitude: f64, longitude: f64, metres: f64 },
}

/// A filter.
#[derive(Clone, Debug)]
pub enum Spec {
    /// An atom.
    Test(Test),
    /// Of an atom.
    Not(Test),
    /// All.
    And(Vec<Spec>),
    /// One.
    Or(Vec<Spec>),
    /// Written in the filter language, for what has no test above.
    Text(String),
}

/// How the languages differ.
#[derive(Clone, Copy)]
enum Dialect {
    Gomera,
    ATree,
}

impl Spec {
    /// In the filter language.
    pub fn gomera(&self) -> String {
        let mut text = String::with_capacity(96);
        self.write(&mut text, Dialect::Gomera);
        text
    }

    /// In a-tree's language, which has no prefixes and no geography: a conjunct of that kind is left out. Says whether one was.
    pub fn a_tree(&self) -> Option<(String, bool)> {
        let mut weaker = false;
        let spec = self.without_unknown_to_a_tree(&mut weaker)?;
        let mut text = String::with_capacity(96);
        spec.write(&mut text, Dialect::ATree);
        Some((text, weaker))
    }

    fn without_unknown_to_a_tree(&self, weaker: &mut bool) -> Option<Self> {
        match self {
            Self::Test(Test::Prefix { .. } | Test::Circle { .. }) => {
                *weaker = true;
                None
            }
            Self::Test(_) | Self::Not(_) => Some(self.clone()),
            Self::And(parts) => {
                let parts = parts.iter().filter_map(|part| part.without_unknown_to_a_tree(weaker)).collect::<Vec<_>>();
                (!parts.is_empty()).then_some(Self::And(parts))
            }
            Self::Or(parts) => {
                let parts = parts.iter().map(|part| part.without_unknown_to_a_tree(weaker)).collect::<Option<Vec<_>>>();
                parts.map(Self::Or)
            }
            Self::Text(_) => None,
        }
    }

    fn write(&self, text: &mut String, dialect: Dialect) {
        match self {
            Self::Test(test) => test.write(text, dialect),
            Self::Not(test) => {
                text.push_str(match dialect {
                    Dialect::Gomera => "NOT (",
                    Dialect::ATree => "not (",
                });
                test.write(text, dialect);
                text.push(')');
            }
            Self::And(parts) => Self::join(parts, text, dialect, dialect.and()),
            Self::Or(parts) => Self::join(parts, text, dialect, dialect.or()),
            Self::Text(own) => text.push_str(own),
        }
    }

    fn join(parts: &[Self], text: &mut String, dialect: Dialect, word: &str) {
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                text.push_str(word);
            }
            match part {
                Self::And(_) | Self::Or(_) => {
                    text.push('(');
                    part.write(text, dialect);
                    text.push(')');
                }
                Self::Test(_) | Self::Not(_) | Self::Text(_) => part.write(text, dialect),
            }
        }
    }
}

impl Dialect {
    fn and(self) -> &'static str {
        match self {
            Self::Gomera => " AND ",
            Self::ATree => " and ",
        }
    }

    fn or(self) -> &'static str {
        match self {
            Self::Gomera => " OR ",
            Self::ATree => " or ",
        }
    }
}

impl Test {
    fn write(&self, text: &mut String, dialect: Dialect) {
        let written = match self {
            Self::Range { attribute, low, high } => match (low.is_finite(), high.is_finite()) {
                (true, true) => write!(text, "{attribute} >= {low}{}{attribute} < {high}", dialect.and()),
                (true, false) => write!(text, "{attribute} >= {low}"),
                (false, _) => write!(text, "{attribute} < {high}"),
            },
            Self::Equal { attribute, text: value } => write!(text, "{attribute} = '{value}'"),
            Self::In { attribute, texts } => {
                let word = match dialect {
                    Dialect::Gomera => "IN",
                    Dialect::ATree => "in",
                };
                write!(text, "{attribute} {word} ('{}')", texts.join("', '"))
            }
            Self::Flag { attribute } => write!(text, "{attribute}"),
            Self::Prefix { attribute, prefix } => write!(text, "STARTS_WITH({attribute}, '{prefix}')"),
            Self::Circle { attribute, latitude, longitude, metres } => {
                write!(text, "WITHIN({attribute}, CIRCLE(POINT({latitude:?}, {longitude:?}), {metres:?}))")
            }
        };
        written.expect("a string takes everything");
    }
}
