//! Tokens to a tree, by recursive descent. Recursion happens only at `(`, `NOT`, a sign and a function, each of which
//! counts against the depth cap before it is entered, so that no text overflows the stack.

mod function;
mod predicate;

use crate::filter::ast::{Arithmetic, ArithmeticOperator, Expression, Operand, Predicate};
use crate::filter::check;
use crate::filter::error::{ParseError, ParseErrorKind};
use crate::filter::lexer::{Keyword, Lexer, Symbol, Token, TokenKind, integer_out_of_range};
use crate::filter::limits::{FilterLimits, LimitExceeded};
use crate::filter::truth::Truth;
use crate::value::Value;

/// Reads a whole filter.
pub(super) fn parse(text: &str, limits: &FilterLimits) -> Result<Expression, ParseError> {
    if let Err(limit) = check::check_text_bytes(text.len(), limits) {
        return Err(ParseError::new(text, 0, ParseErrorKind::Limit(limit)));
    }
    let mut lexer = Lexer::new(text);
    let token = lexer.next()?;
    let mut parser = Parser {
        text,
        limits,
        lexer,
        token,
        nesting: 0,
        regexes: 0,
    };
    if parser.token.kind == TokenKind::End {
        return Ok(Expression::Constant(Truth::True));
    }
    let parsed = parser.disjunction()?;
    if parser.token.kind != TokenKind::End {
        return Err(parser.unexpected(parsed.what_may_follow()));
    }
    Ok(parser.condition(parsed)?.item)
}

/// A tree with its measures, counted as [`check::canonical`] does.
pub(super) struct Measured<Item> {
    item: Item,
    /// Where it begins in the text.
    start: usize,
    depth: usize,
    nodes: usize,
}

type Condition = Measured<Expression>;
type Term = Measured<Operand>;

/// What stands at some place: only its use tells whether a name is a condition or an operand.
pub(super) enum Parsed {
    Condition(Condition),
    Operand(Term),
}

impl Parsed {
    fn what_may_follow(&self) -> &'static str {
        match self {
            Self::Condition(_) => "`AND`, `OR` or the end of the filter",
            Self::Operand(_) => {
                "an operator such as `=`, `<`, `IN`, `LIKE`, `AND`, or the end of the filter"
            }
        }
    }
}

pub(super) struct Parser<'t, 'l> {
    text: &'t str,
    limits: &'l FilterLimits,
    lexer: Lexer<'t>,
    /// The next token.
    token: Token<'t>,
    nesting: usize,
    regexes: usize,
}

impl<'t> Parser<'t, '_> {
    fn advance(&mut self) -> Result<Token<'t>, ParseError> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    /// Takes the next token if it is this keyword.
    fn takes_keyword(&mut self, keyword: Keyword) -> Result<bool, ParseError> {
        let taken = self.token.kind == TokenKind::Keyword(keyword);
        if taken {
            self.advance()?;
        }
        Ok(taken)
    }

    /// Takes the next token if it is this symbol.
    fn takes_symbol(&mut self, symbol: Symbol) -> Result<bool, ParseError> {
        let taken = self.token.kind == TokenKind::Symbol(symbol);
        if taken {
            self.advance()?;
        }
        Ok(taken)
    }

    fn expect_symbol(&mut self, symbol: Symbol, expected: &str) -> Result<(), ParseError> {
        if self.takes_symbol(symbol)? {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    fn expect_text(&mut self, expected: &str) -> Result<(String, usize), ParseError> {
        if !matches!(self.token.kind, TokenKind::Text(_)) {
            return Err(self.unexpected(expected));
        }
        let token = self.advance()?;
        match token.kind {
            TokenKind::Text(text) => Ok((text, token.start)),
            _ => unreachable!("looked at before it was taken"),
        }
    }

    /// The next token is not what should stand there.
    fn unexpected(&self, expected: impl Into<String>) -> ParseError {
        let found = match &self.token.kind {
            TokenKind::End => "the end of the filter".to_owned(),
            _ => shown(self.token.text),
        };
        self.error(
            self.token.start,
            ParseErrorKind::Unexpected {
                found,
                expected: expected.into(),
            },
        )
    }

    fn invalid(&self, offset: usize, reason: impl Into<String>) -> ParseError {
        self.error(
            offset,
            ParseErrorKind::Invalid {
                reason: reason.into(),
            },
        )
    }

    fn limit(&self, offset: usize, limit: LimitExceeded) -> ParseError {
        self.error(offset, ParseErrorKind::Limit(limit))
    }

    fn error(&self, offset: usize, kind: ParseErrorKind) -> ParseError {
        ParseError::new(self.text, offset, kind)
    }

    /// Runs `inner` one level deeper.
    fn nested<Item>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<Item, ParseError>,
    ) -> Result<Item, ParseError> {
        if self.nesting >= self.limits.depth() {
            return Err(self.limit(self.token.start, check::too_deep(self.limits.depth())));
        }
        self.nesting += 1;
        let outcome = inner(self)?;
        self.nesting -= 1;
        Ok(outcome)
    }

    /// Makes a node of parts with these measures; refuses it beyond the caps.
    fn node<Item>(
        &self,
        start: usize,
        item: Item,
        parts: impl IntoIterator<Item = (usize, usize)>,
    ) -> Result<Measured<Item>, ParseError> {
        let (depth, nodes) = parts.into_iter().fold((0, 0), |(depth, nodes), part| {
            (depth.max(part.0), nodes + part.1)
        });
        let measured = Measured {
            item,
            start,
            depth: depth + 1,
            nodes: nodes + 1,
        };
        if measured.depth > self.limits.depth() {
            return Err(self.limit(start, check::too_deep(self.limits.depth())));
        }
        if measured.nodes > self.limits.nodes_max {
            return Err(self.limit(start, check::too_many_nodes(self.limits.nodes_max)));
        }
        Ok(measured)
    }

    fn predicate_node(
        &self,
        start: usize,
        predicate: Predicate,
        parts: impl IntoIterator<Item = (usize, usize)>,
    ) -> Result<Parsed, ParseError> {
        Ok(Parsed::Condition(self.node(
            start,
            Expression::Predicate(predicate),
            parts,
        )?))
    }

    fn negation(&self, start: usize, parsed: Parsed) -> Result<Parsed, ParseError> {
        let inner = self.condition(parsed)?;
        let measures = inner.measures();
        Ok(Parsed::Condition(self.node(
            start,
            Expression::Not(Box::new(inner.item)),
            [measures],
        )?))
    }

    /// As a condition: a name alone means `name = TRUE`.
    fn condition(&self, parsed: Parsed) -> Result<Condition, ParseError> {
        let operand = match parsed {
            Parsed::Condition(condition) => return Ok(condition),
            Parsed::Operand(operand) => operand,
        };
        let Measured {
            item,
            start,
            depth,
            nodes,
        } = operand;
        match item {
            Operand::Constant(Value::Bool(known)) => {
                self.node(start, Expression::Constant(Truth::from(known)), [])
            }
            Operand::Attribute(_) | Operand::Context(_) => {
                self.node(start, Expression::is_true(item), [(depth, nodes), (1, 1)])
            }
            other => {
                let found = format!("the value `{}` alone", shorten(&other.to_string()));
                let expected = "a condition, such as a comparison of it".to_owned();
                Err(self.error(start, ParseErrorKind::Unexpected { found, expected }))
            }
        }
    }

    fn as_operand(&self, parsed: Parsed) -> Result<Term, ParseError> {
        match parsed {
            Parsed::Operand(operand) => Ok(operand),
            Parsed::Condition(Measured {
                item: Expression::Constant(Truth::Unknown),
                start,
                ..
            }) => Err(self.error(
                start,
                ParseErrorKind::Unexpected {
                    found: "`NULL` as a value".to_owned(),
                    expected:
                        "a value (to ask whether an attribute is missing, write `name IS NULL`)"
                            .to_owned(),
                },
            )),
            Parsed::Condition(condition) => {
                let found = format!("the condition `{}`", shorten(&condition.item.to_string()));
                let expected = "a value: a name, a literal or an arithmetic expression".to_owned();
                Err(self.error(
                    condition.start,
                    ParseErrorKind::Unexpected { found, expected },
                ))
            }
        }
    }

    fn disjunction(&mut self) -> Result<Parsed, ParseError> {
        self.chain(Keyword::Or, Self::conjunction, Expression::Or)
    }

    fn conjunction(&mut self) -> Result<Parsed, ParseError> {
        self.chain(Keyword::And, Self::inversion, Expression::And)
    }

    fn chain(
        &mut self,
        keyword: Keyword,
        part: fn(&mut Self) -> Result<Parsed, ParseError>,
        join: fn(Vec<Expression>) -> Expression,
    ) -> Result<Parsed, ParseError> {
        let first = part(self)?;
        if self.token.kind != TokenKind::Keyword(keyword) {
            return Ok(first);
        }
        let first = self.condition(first)?;
        let start = first.start;
        let mut measures = vec![first.measures()];
        let mut parts = vec![first.item];
        while self.takes_keyword(keyword)? {
            let next = part(self)?;
            let next = self.condition(next)?;
            measures.push(next.measures());
            parts.push(next.item);
        }
        Ok(Parsed::Condition(self.node(
            start,
            join(parts),
            measures,
        )?))
    }

    fn inversion(&mut self) -> Result<Parsed, ParseError> {
        let start = self.token.start;
        if !self.takes_keyword(Keyword::Not)? {
            return self.predicate();
        }
        let inner = self.nested(Self::inversion)?;
        self.negation(start, inner)
    }

    fn operand(&mut self) -> Result<Term, ParseError> {
        let parsed = self.sum()?;
        self.as_operand(parsed)
    }

    fn sum(&mut self) -> Result<Parsed, ParseError> {
        self.arithmetic(
            |symbol| match symbol {
                Symbol::Plus => Some(ArithmeticOperator::Add),
                Symbol::Minus => Some(ArithmeticOperator::Subtract),
                _ => None,
            },
            Self::product,
        )
    }

    fn product(&mut self) -> Result<Parsed, ParseError> {
        self.arithmetic(
            |symbol| match symbol {
                Symbol::Star => Some(ArithmeticOperator::Multiply),
                Symbol::Slash => Some(ArithmeticOperator::Divide),
                Symbol::Percent => Some(ArithmeticOperator::Remainder),
                _ => None,
            },
            Self::signed,
        )
    }

    fn arithmetic(
        &mut self,
        operator: fn(Symbol) -> Option<ArithmeticOperator>,
        part: fn(&mut Self) -> Result<Parsed, ParseError>,
    ) -> Result<Parsed, ParseError> {
        let mut left = part(self)?;
        while let TokenKind::Symbol(symbol) = self.token.kind
            && let Some(operator) = operator(symbol)
        {
            self.advance()?;
            let known = self.as_operand(left)?;
            let right = part(self)?;
            let right = self.as_operand(right)?;
            let (start, measures) = (known.start, [known.measures(), right.measures()]);
            let arithmetic = Arithmetic {
                left: known.item,
                operator,
                right: right.item,
            };
            left = Parsed::Operand(self.node(
                start,
                Operand::Arithmetic(Box::new(arithmetic)),
                measures,
            )?);
        }
        Ok(left)
    }

    fn signed(&mut self) -> Result<Parsed, ParseError> {
        let start = self.token.start;
        if self.takes_symbol(Symbol::Minus)? {
            // The only way to write the smallest integer, whose magnitude is no integer itself.
            if self.token.kind == TokenKind::Integer(i64::MIN.unsigned_abs()) {
                self.advance()?;
                return Ok(Parsed::Operand(self.node(
                    start,
                    Operand::Constant(Value::Integer(i64::MIN)),
                    [],
                )?));
            }
            let inner = self.nested(Self::signed)?;
            let inner = self.as_operand(inner)?;
            let measures = inner.measures();
            let negated = check::negate(inner.item);
            let parts = if matches!(negated, Operand::Constant(_)) {
                None
            } else {
                Some(measures)
            };
            return Ok(Parsed::Operand(self.node(start, negated, parts)?));
        }
        if self.takes_symbol(Symbol::Plus)? {
            let inner = self.nested(Self::signed)?;
            return Ok(Parsed::Operand(self.as_operand(inner)?));
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<Parsed, ParseError> {
        let start = self.token.start;
        let operand = match &self.token.kind {
            TokenKind::Keyword(Keyword::True) => Operand::Constant(Value::Bool(true)),
            TokenKind::Keyword(Keyword::False) => Operand::Constant(Value::Bool(false)),
            TokenKind::Keyword(Keyword::Null) => {
                self.advance()?;
                return Ok(Parsed::Condition(self.node(
                    start,
                    Expression::Constant(Truth::Unknown),
                    [],
                )?));
            }
            TokenKind::Integer(magnitude) => match i64::try_from(*magnitude) {
                Ok(number) => Operand::Constant(Value::Integer(number)),
                Err(_) => return Err(self.invalid(start, integer_out_of_range(self.token.text))),
            },
            TokenKind::Float(number) => Operand::Constant(Value::Float(*number)),
            TokenKind::Text(text) => Operand::Constant(Value::from(text.as_str())),
            TokenKind::Context(name) => Operand::Context(name.as_str().into()),
            TokenKind::Name { name, bare } => {
                let (name, bare) = (name.clone(), *bare);
                self.advance()?;
                if bare && let Some(parsed) = self.function(&name, start)? {
                    return Ok(parsed);
                }
                return Ok(Parsed::Operand(self.node(
                    start,
                    Operand::Attribute(name.into()),
                    [],
                )?));
            }
            TokenKind::Symbol(Symbol::LeftParenthesis) => {
                self.advance()?;
                let mut inner = self.nested(Self::disjunction)?;
                self.expect_symbol(Symbol::RightParenthesis, "`)` or an operator")?;
                match &mut inner {
                    Parsed::Condition(condition) => condition.start = start,
                    Parsed::Operand(operand) => operand.start = start,
                }
                return Ok(inner);
            }
            TokenKind::End | TokenKind::Keyword(_) | TokenKind::Symbol(_) => {
                return Err(self.unexpected("a value or a condition"));
            }
        };
        self.advance()?;
        Ok(Parsed::Operand(self.node(start, operand, [])?))
    }
}

impl<Item> Measured<Item> {
    fn measures(&self) -> (usize, usize) {
        (self.depth, self.nodes)
    }
}

/// Longer quotes from the text are cut in errors.
const QUOTED_CHARACTERS_MAX: usize = 40;

fn shorten(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn shown(text: &str) -> String {
    format!("`{}`", shorten(text))
}
