//! The operators between operands: comparison, `BETWEEN`, `IN`, `LIKE`, `IS NULL`.

use super::{Parsed, Parser, Term};
use crate::filter::ast::{Comparison, Operand, Predicate, Set, Side};
use crate::filter::check;
use crate::filter::error::Fault;
use crate::filter::lexer::{Keyword, Symbol, TokenKind};
use crate::filter::pattern::LikePattern;

/// Whether `NOT` stood before the word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Polarity {
    Plain,
    Negated,
}

impl Parser<'_, '_> {
    /// The rest of a predicate, from its operator on.
    pub(super) fn predicate(&mut self, left: Parsed) -> Result<Parsed, Fault> {
        let left = self.as_operand(left)?;
        if let TokenKind::Symbol(symbol) = self.token.kind
            && let Some(comparison) = comparison(symbol)
        {
            self.comparison(left, comparison)
        } else if self.takes_keyword(Keyword::Is)? {
            self.is_null(left)
        } else if self.takes_keyword(Keyword::Not)? {
            self.worded(left, Polarity::Negated)
        } else {
            self.worded(left, Polarity::Plain)
        }
    }

    fn comparison(&mut self, left: Term, comparison_operator: Comparison) -> Result<Parsed, Fault> {
        self.advance()?;
        let right = self.operand()?;
        if let TokenKind::Symbol(symbol) = self.token.kind
            && comparison(symbol).is_some()
        {
            return Err(self.unexpected("`AND`, `OR` or the end: comparisons do not chain, write `a < b AND b < c`"));
        }
        let (start, measures) = (left.start, [left.measures(), right.measures()]);
        let predicate = Predicate::Compare { left: left.item, comparison: comparison_operator, right: right.item };
        self.predicate_node(start, predicate, measures)
    }

    fn is_null(&mut self, left: Term) -> Result<Parsed, Fault> {
        let negated = self.takes_keyword(Keyword::Not)?;
        if !self.takes_keyword(Keyword::Null)? {
            let expected = if negated { "`NULL`" } else { "`NULL` or `NOT NULL`" };
            return Err(self.unexpected(expected));
        }
        let (start, measures) = (left.start, left.measures());
        let plain = self.predicate_node(start, Predicate::IsNull(left.item), [measures])?;
        if negated { self.negation(start, plain) } else { Ok(plain) }
    }

    fn worded(&mut self, left: Term, polarity: Polarity) -> Result<Parsed, Fault> {
        let start = left.start;
        let plain = if self.takes_keyword(Keyword::Between)? {
            let side = match polarity {
                Polarity::Plain => Side::Inside,
                Polarity::Negated => Side::Outside,
            };
            return self.between(left, side);
        } else if self.takes_keyword(Keyword::In)? {
            self.is_in(left)?
        } else if self.takes_keyword(Keyword::Like)? {
            self.like(left)?
        } else {
            let is_null = self.token.kind == TokenKind::Keyword(Keyword::Null);
            let hint = if is_null { " (or `IS NOT NULL`)" } else { "" };
            return Err(self.unexpected(format!("`BETWEEN`, `IN` or `LIKE`{hint}")));
        };
        match polarity {
            Polarity::Plain => Ok(plain),
            Polarity::Negated => self.negation(start, plain),
        }
    }

    fn between(&mut self, left: Term, side: Side) -> Result<Parsed, Fault> {
        let low = self.operand()?;
        if !self.takes_keyword(Keyword::And)? {
            return Err(self.unexpected("`AND` and the upper bound"));
        }
        let high = self.operand()?;
        let (start, measures) = (left.start, [left.measures(), low.measures(), high.measures()]);
        let predicate = Predicate::Between { operand: left.item, side, low: low.item, high: high.item };
        self.predicate_node(start, predicate, measures)
    }

    fn is_in(&mut self, left: Term) -> Result<Parsed, Fault> {
        let mut measures = vec![left.measures()];
        let start = left.start;
        let set = match &self.token.kind {
            TokenKind::Symbol(Symbol::LeftParenthesis) => {
                let members_start = self.token.start;
                self.advance()?;
                let mut members = Vec::new();
                let mut member_measures = Vec::new();
                loop {
                    let member = self.operand()?;
                    member_measures.push(member.measures());
                    members.push(member.item);
                    check::check_members(members.len(), self.limits)
                        .map_err(|limit| self.limit(members_start, limit))?;
                    if !self.takes_symbol(Symbol::Comma)? {
                        break;
                    }
                }
                self.expect_symbol(Symbol::RightParenthesis, "`,` or `)`")?;
                let set = check::set(members);
                if matches!(set, Set::Operands(_)) {
                    measures.extend(member_measures);
                }
                set
            }
            // A list in brackets would read as one name, and no attribute has it.
            TokenKind::Name { .. } if self.token.text.starts_with('[') => {
                return Err(self.unexpected(
                    "a list in parentheses such as `('a', 'b')`, or the name of an array attribute, here not in brackets",
                ));
            }
            TokenKind::Name { .. } | TokenKind::Context(_) => {
                let array = self.array()?;
                measures.push(array.measures());
                Set::Array(array.item)
            }
            _ => {
                return Err(self.unexpected("a list such as `('a', 'b')`, or the name of an array attribute"));
            }
        };
        self.predicate_node(start, Predicate::In { operand: left.item, set }, measures)
    }

    fn array(&mut self) -> Result<Term, Fault> {
        let token = self.advance()?;
        let operand = match token.kind {
            TokenKind::Context(name) => Operand::Context(name.into()),
            TokenKind::Name { name, .. } => Operand::Attribute(name.into()),
            TokenKind::End
            | TokenKind::Keyword(_)
            | TokenKind::Integer(_)
            | TokenKind::Float(_)
            | TokenKind::Text(_)
            | TokenKind::Symbol(_) => unreachable!("looked at before it was taken"),
        };
        self.node(token.start, operand, [])
    }

    fn like(&mut self, left: Term) -> Result<Parsed, Fault> {
        let (text, text_start) = self.expect_text("a pattern in single quotes, such as `'a%'`")?;
        let mut escape = None;
        if self.takes_keyword(Keyword::Escape)? {
            let expected = "the escape character in single quotes, such as `'\\'`";
            let (written, written_start) = self.expect_text(expected)?;
            let mut characters = written.chars();
            match (characters.next(), characters.next()) {
                (Some(character), None) => escape = Some(character),
                _ => {
                    let reason = format!("ESCAPE has {} characters, must be one", written.chars().count());
                    return Err(self.invalid(written_start, reason));
                }
            }
        }
        let pattern = LikePattern::new(text, escape).map_err(|error| self.invalid(text_start, error.to_string()))?;
        let (start, measures) = (left.start, left.measures());
        self.predicate_node(start, Predicate::Like { operand: left.item, pattern }, [measures])
    }
}

pub(super) fn comparison(symbol: Symbol) -> Option<Comparison> {
    match symbol {
        Symbol::Equal => Some(Comparison::Equal),
        Symbol::NotEqual => Some(Comparison::NotEqual),
        Symbol::Less => Some(Comparison::Less),
        Symbol::LessOrEqual => Some(Comparison::LessOrEqual),
        Symbol::Greater => Some(Comparison::Greater),
        Symbol::GreaterOrEqual => Some(Comparison::GreaterOrEqual),
        Symbol::LeftParenthesis
        | Symbol::RightParenthesis
        | Symbol::Comma
        | Symbol::Plus
        | Symbol::Minus
        | Symbol::Star
        | Symbol::Slash
        | Symbol::Percent => None,
    }
}
