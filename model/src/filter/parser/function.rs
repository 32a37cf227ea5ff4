//! Functions: a bare word before `(`, and `TIMESTAMP` before a text. The words are not reserved; elsewhere they are
//! ordinary names.

use super::{Measured, Parsed, Parser, Term, quoted};
use crate::filter::ast::{Expression, Operand, Predicate, Shape};
use crate::filter::check;
use crate::filter::error::{Fault, ParseErrorKind};
use crate::filter::lexer::{Symbol, TokenKind};
use crate::filter::pattern::RegexPatternError;
use crate::geo::Polygon;
use crate::timestamp::Timestamp;
use crate::value::Value;

#[derive(Clone, Copy)]
enum Function {
    Contains,
    Distance,
    EndsWith,
    Exists,
    Matches,
    Point,
    StartsWith,
    Within,
}

const FUNCTIONS: [(&str, Function); 8] = [
    ("CONTAINS", Function::Contains),
    ("DISTANCE", Function::Distance),
    ("ENDS_WITH", Function::EndsWith),
    ("EXISTS", Function::Exists),
    ("MATCHES", Function::Matches),
    ("POINT", Function::Point),
    ("STARTS_WITH", Function::StartsWith),
    ("WITHIN", Function::Within),
];

/// The function of this name, as it is written.
pub(super) fn known(name: &str) -> Option<&'static str> {
    FUNCTIONS.iter().find(|(word, _)| word.eq_ignore_ascii_case(name)).map(|(word, _)| *word)
}

/// What is written like a function elsewhere, and what to write here.
const FOREIGN: [(&str, &str); 6] = [
    ("BOX", WITHIN_ONLY),
    ("CIRCLE", WITHIN_ONLY),
    ("LOWER", IGNORE_CASE),
    ("POLYGON", WITHIN_ONLY),
    ("TIMESTAMP", "a literal such as `TIMESTAMP '2024-05-17T08:30:00Z'`"),
    ("UPPER", IGNORE_CASE),
];

const WITHIN_ONLY: &str = "an area only as the second argument of `WITHIN`";

const IGNORE_CASE: &str = "`MATCHES(…, '(?i)…')`, which ignores case";

const SHAPES: &str = "an area: `CIRCLE(…)`, `BOX(…)` or `POLYGON(…)`";

impl Parser<'_, '_> {
    /// Reads on if `name`, which began at `start`, turns out to be a function.
    pub(super) fn function(&mut self, name: &str, start: usize) -> Result<Option<Parsed>, Fault> {
        if let TokenKind::Text(text) = &self.token.kind
            && name.eq_ignore_ascii_case("TIMESTAMP")
        {
            let Some(instant) = Timestamp::parse(text) else {
                let reason = format!(
                    "{} is not an RFC 3339 date and time such as '2024-05-17T08:30:00Z'",
                    quoted(self.token.text)
                );
                return Err(self.invalid(self.token.start, reason));
            };
            self.advance()?;
            return Ok(Some(Parsed::Operand(self.node(start, Operand::Constant(Value::Timestamp(instant)), [])?)));
        }
        if self.token.kind != TokenKind::Symbol(Symbol::LeftParenthesis) {
            return Ok(None);
        }
        let Some((_, function)) = FUNCTIONS.iter().find(|(word, _)| word.eq_ignore_ascii_case(name)) else {
            let found = format!("the unknown function {}", quoted(name));
            let expected = match FOREIGN.iter().find(|(word, _)| word.eq_ignore_ascii_case(name)) {
                Some((_, ours)) => (*ours).to_owned(),
                None => {
                    let known: Vec<&str> = FUNCTIONS.iter().map(|(word, _)| *word).collect();
                    format!("an operator, or one of {}", known.join(", "))
                }
            };
            return Err(self.error(start, ParseErrorKind::Unexpected { found, expected }));
        };
        self.advance()?;
        let parsed = self.nested(|parser| parser.arguments(*function, start))?;
        self.expect_symbol(Symbol::RightParenthesis, "`)`")?;
        Ok(Some(parsed))
    }

    fn arguments(&mut self, function: Function, start: usize) -> Result<Parsed, Fault> {
        match function {
            Function::Exists => {
                let operand = self.operand()?;
                let measures = operand.measures();
                let missing = self.predicate_node(start, Predicate::IsNull(operand.item), [measures])?;
                self.negation(start, missing)
            }
            Function::Matches => self.matches(start),
            Function::Within => self.within(start),
            Function::Point => {
                let [latitude, longitude] = self.two("the longitude")?;
                let measures = [latitude.measures(), longitude.measures()];
                let point =
                    check::point(latitude.item, longitude.item).map_err(|reason| self.invalid(start, reason))?;
                let is_constant = matches!(point, Operand::Constant(_));
                let parts = measures.into_iter().filter(|_| !is_constant);
                Ok(Parsed::Operand(self.node(start, point, parts)?))
            }
            Function::Distance => {
                let [from, to] = self.two("another place")?;
                let measures = [from.measures(), to.measures()];
                let distance = Operand::Distance(Box::new([from.item, to.item]));
                Ok(Parsed::Operand(self.node(start, distance, measures)?))
            }
            Function::StartsWith => {
                self.two_operands(start, "the prefix", |operand, prefix| Predicate::StartsWith { operand, prefix })
            }
            Function::EndsWith => {
                self.two_operands(start, "the suffix", |operand, suffix| Predicate::EndsWith { operand, suffix })
            }
            Function::Contains => self.two_operands(start, "what it should contain", |operand, element| {
                Predicate::Contains { operand, element }
            }),
        }
    }

    fn comma(&mut self, then: &str) -> Result<(), Fault> {
        self.expect_symbol(Symbol::Comma, &format!("`,` and {then}"))
    }

    fn two(&mut self, second: &str) -> Result<[Term; 2], Fault> {
        let first = self.operand()?;
        self.comma(second)?;
        Ok([first, self.operand()?])
    }

    fn two_operands(
        &mut self,
        start: usize,
        second: &str,
        predicate: fn(Operand, Operand) -> Predicate,
    ) -> Result<Parsed, Fault> {
        let [first, second] = self.two(second)?;
        let measures = [first.measures(), second.measures()];
        self.predicate_node(start, predicate(first.item, second.item), measures)
    }

    fn matches(&mut self, start: usize) -> Result<Parsed, Fault> {
        let operand = self.operand()?;
        self.comma("a regular expression in single quotes")?;
        let (text, text_start) = self.expect_text("a regular expression in single quotes")?;
        let pattern = self.regexes.compile(&text).map_err(|error| match error {
            RegexPatternError::Syntax(_) => self.invalid(text_start, error.to_string()),
            RegexPatternError::Limit(limit) => self.limit(text_start, limit),
        })?;
        let measures = operand.measures();
        self.predicate_node(start, Predicate::Matches { operand: operand.item, pattern }, [measures])
    }

    fn within(&mut self, start: usize) -> Result<Parsed, Fault> {
        let point = self.operand()?;
        self.comma(SHAPES)?;
        let TokenKind::Name { name, bare: true } = &self.token.kind else {
            return Err(self.unexpected(SHAPES));
        };
        let name = name.to_ascii_uppercase();
        let shape_start = self.token.start;
        if !matches!(name.as_str(), "CIRCLE" | "BOX" | "POLYGON") {
            return Err(self.unexpected(SHAPES));
        }
        self.advance()?;
        self.expect_symbol(Symbol::LeftParenthesis, "`(`")?;
        let mut measures = vec![point.measures()];
        let shape = if name == "POLYGON" {
            self.polygon(shape_start)?
        } else {
            let second = if name == "BOX" { "the north-east corner" } else { "the radius in metres" };
            let [first, second] = self.two(second)?;
            measures.extend([first.measures(), second.measures()]);
            if name == "BOX" {
                Shape::Box { south_west: first.item, north_east: second.item }
            } else {
                Shape::Circle { center: first.item, radius_metres: second.item }
            }
        };
        check::check_shape(&shape).map_err(|reason| self.invalid(shape_start, reason))?;
        self.expect_symbol(Symbol::RightParenthesis, "`)` after the area")?;
        let predicate = Expression::Predicate(Predicate::Within { point: point.item, shape });
        Ok(Parsed::Condition(self.condition_node(start, predicate, measures)?))
    }

    fn polygon(&mut self, start: usize) -> Result<Shape, Fault> {
        let mut vertices = Vec::new();
        loop {
            let Measured { item, start: vertex_start, .. } = self.operand()?;
            let Operand::Constant(Value::GeoPoint(vertex)) = item else {
                let vertex = quoted(&item.to_string());
                let reason = format!("a vertex of POLYGON is {vertex}, must be a constant POINT(latitude, longitude)");
                return Err(self.invalid(vertex_start, reason));
            };
            vertices.push(vertex);
            check::check_vertices(vertices.len(), self.limits).map_err(|limit| self.limit(start, limit))?;
            if !self.takes_symbol(Symbol::Comma)? {
                break;
            }
        }
        Polygon::new(vertices).map(Shape::Polygon).map_err(|error| self.invalid(start, error.to_string()))
    }
}
