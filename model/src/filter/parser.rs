//! Tokens to a tree, by recursive descent. Recursion happens only at `(`, `NOT`, a sign and a function, each of which
//! counts against the depth cap before it is entered, so that no text overflows the stack.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "of tokens: what is none of those looked for is unexpected, whatever other kinds there are"
)]

mod function;
mod predicate;

use crate::filter::ast::{Arithmetic, ArithmeticOperator, Expression, Operand, Predicate};
use crate::filter::check;
use crate::filter::error::{Fault, ParseError, ParseErrorKind};
use crate::filter::lexer::{Keyword, Lexer, Symbol, Token, TokenKind, integer_out_of_range};
use crate::filter::limits::{FilterLimits, LimitExceeded};
use crate::filter::pattern::RegexCompiler;
use crate::filter::truth::Truth;
use crate::shown::shown;
use crate::value::Value;

/// Reads a whole filter.
pub(super) fn parse(text: &str, limits: &FilterLimits) -> Result<Expression, ParseError> {
    whole(text, limits).map_err(|fault| *fault)
}

fn whole(text: &str, limits: &FilterLimits) -> Result<Expression, Fault> {
    if let Err(limit) = check::check_text_bytes(text.len(), limits) {
        return Err(Box::new(ParseError::new(text, 0, ParseErrorKind::Limit(limit))));
    }
    let mut lexer = Lexer::new(text);
    let token = lexer.next()?;
    let mut parser =
        Parser { text, limits, lexer, token, text_end: usize::MAX, nesting: 0, regexes: RegexCompiler::new(limits) };
    if parser.token.kind == TokenKind::End {
        return Ok(Expression::Constant(Truth::True));
    }
    let parsed = parser.climb(Strength::Or)?;
    if parser.token.kind != TokenKind::End {
        return Err(parser.unexpected(format!("{}{}", parsed.what_may_follow(), parser.hint())));
    }
    Ok(*parser.condition(parsed)?.item)
}

/// A tree with its measures, counted as [`check::canonical`] does.
pub(super) struct Measured<Item> {
    item: Item,
    /// Where it begins in the text.
    start: usize,
    depth: usize,
    nodes: usize,
}

/// Boxed, since it passes through every frame of the recursion.
type Condition = Measured<Box<Expression>>;
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
            Self::Operand(_) => "an operator such as `=`, `<`, `IN`, `LIKE`, `AND`, or the end of the filter",
        }
    }
}

/// How tightly operators bind, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Or,
    And,
    Not,
    Predicate,
    Sum,
    Product,
    Sign,
}

/// An operator between two sides.
#[derive(Clone, Copy)]
enum Infix {
    And,
    Or,
    /// A comparison or a word such as `IN`.
    Predicate,
    Arithmetic(ArithmeticOperator),
}

impl Infix {
    fn strength(self) -> Strength {
        match self {
            Self::And => Strength::And,
            Self::Or => Strength::Or,
            Self::Predicate => Strength::Predicate,
            Self::Arithmetic(ArithmeticOperator::Add | ArithmeticOperator::Subtract) => Strength::Sum,
            Self::Arithmetic(
                ArithmeticOperator::Multiply | ArithmeticOperator::Divide | ArithmeticOperator::Remainder,
            ) => Strength::Product,
        }
    }
}

/// What the right side of a left-associative operator must at least bind as.
fn tighter_than(operator: ArithmeticOperator) -> Strength {
    match operator {
        ArithmeticOperator::Add | ArithmeticOperator::Subtract => Strength::Product,
        ArithmeticOperator::Multiply | ArithmeticOperator::Divide | ArithmeticOperator::Remainder => Strength::Sign,
    }
}

fn infix(token: &TokenKind) -> Option<Infix> {
    Some(match token {
        TokenKind::Keyword(Keyword::And) => Infix::And,
        TokenKind::Keyword(Keyword::Or) => Infix::Or,
        TokenKind::Keyword(Keyword::Between | Keyword::In | Keyword::Is | Keyword::Like | Keyword::Not) => {
            Infix::Predicate
        }
        TokenKind::Symbol(Symbol::Plus) => Infix::Arithmetic(ArithmeticOperator::Add),
        TokenKind::Symbol(Symbol::Minus) => Infix::Arithmetic(ArithmeticOperator::Subtract),
        TokenKind::Symbol(Symbol::Star) => Infix::Arithmetic(ArithmeticOperator::Multiply),
        TokenKind::Symbol(Symbol::Slash) => Infix::Arithmetic(ArithmeticOperator::Divide),
        TokenKind::Symbol(Symbol::Percent) => Infix::Arithmetic(ArithmeticOperator::Remainder),
        TokenKind::Symbol(symbol) if predicate::comparison(*symbol).is_some() => Infix::Predicate,
        _ => return None,
    })
}

pub(super) struct Parser<'t, 'l> {
    text: &'t str,
    limits: &'l FilterLimits,
    lexer: Lexer<'t>,
    /// The next token.
    token: Token<'t>,
    /// Where the last text before it ended.
    text_end: usize,
    nesting: usize,
    regexes: RegexCompiler<'l>,
}

impl<'t> Parser<'t, '_> {
    fn advance(&mut self) -> Result<Token<'t>, Fault> {
        if matches!(self.token.kind, TokenKind::Text(_)) {
            self.text_end = self.token.start + self.token.text.len();
        }
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    /// Takes the next token if it is this keyword.
    fn takes_keyword(&mut self, keyword: Keyword) -> Result<bool, Fault> {
        let taken = self.token.kind == TokenKind::Keyword(keyword);
        if taken {
            self.advance()?;
        }
        Ok(taken)
    }

    /// Takes the next token if it is this symbol.
    fn takes_symbol(&mut self, symbol: Symbol) -> Result<bool, Fault> {
        let taken = self.token.kind == TokenKind::Symbol(symbol);
        if taken {
            self.advance()?;
        }
        Ok(taken)
    }

    fn expect_symbol(&mut self, symbol: Symbol, expected: &str) -> Result<(), Fault> {
        if self.takes_symbol(symbol)? { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn expect_text(&mut self, expected: &str) -> Result<(String, usize), Fault> {
        let start = self.token.start;
        if !matches!(self.token.kind, TokenKind::Text(_)) {
            return Err(self.unexpected(expected));
        }
        let TokenKind::Text(text) = self.advance()?.kind else { unreachable!("looked at before it was taken") };
        Ok((text, start))
    }

    /// The next token is not what should stand there.
    fn unexpected(&self, expected: impl Into<String>) -> Fault {
        let at_end = self.token.kind == TokenKind::End;
        let found = if at_end { "the end of the filter".to_owned() } else { quoted(self.token.text) };
        let mut expected = expected.into();
        if !at_end && self.text_end == self.token.start {
            expected += " (a quote within a text is doubled: `'it''s'`)";
        }
        self.error(self.token.start, ParseErrorKind::Unexpected { found, expected })
    }

    /// What those mean who write something else than an operator after an operand.
    fn hint(&self) -> String {
        match &self.token.kind {
            TokenKind::Name { .. } if self.token.text.starts_with('[') => {
                " (an element's member is written `stops.0.name`)".to_owned()
            }
            TokenKind::Name { name, bare: true } => function::known(name)
                .map_or_else(String::new, |function| format!(" (functions are written `{function}(…)`)")),
            _ => String::new(),
        }
    }

    fn invalid(&self, offset: usize, reason: impl Into<String>) -> Fault {
        self.error(offset, ParseErrorKind::Invalid { reason: reason.into() })
    }

    fn limit(&self, offset: usize, limit: LimitExceeded) -> Fault {
        self.error(offset, ParseErrorKind::Limit(limit))
    }

    fn error(&self, offset: usize, kind: ParseErrorKind) -> Fault {
        Box::new(ParseError::new(self.text, offset, kind))
    }

    /// Runs `inner` one level deeper.
    fn nested<Item>(&mut self, inner: impl FnOnce(&mut Self) -> Result<Item, Fault>) -> Result<Item, Fault> {
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
    ) -> Result<Measured<Item>, Fault> {
        let (depth, nodes) = parts.into_iter().fold((0, 0), |(depth, nodes), part| (depth.max(part.0), nodes + part.1));
        let measured = Measured { item, start, depth: depth + 1, nodes: nodes + 1 };
        if measured.depth > self.limits.depth() {
            return Err(self.limit(start, check::too_deep(self.limits.depth())));
        }
        if measured.nodes > self.limits.nodes_max {
            return Err(self.limit(start, check::too_many_nodes(self.limits.nodes_max)));
        }
        Ok(measured)
    }

    fn condition_node(
        &self,
        start: usize,
        expression: Expression,
        parts: impl IntoIterator<Item = (usize, usize)>,
    ) -> Result<Condition, Fault> {
        self.node(start, Box::new(expression), parts)
    }

    fn predicate_node(
        &self,
        start: usize,
        predicate: Predicate,
        parts: impl IntoIterator<Item = (usize, usize)>,
    ) -> Result<Parsed, Fault> {
        Ok(Parsed::Condition(self.condition_node(start, Expression::Predicate(predicate), parts)?))
    }

    fn negation(&self, start: usize, parsed: Parsed) -> Result<Parsed, Fault> {
        let inner = self.condition(parsed)?;
        let measures = inner.measures();
        Ok(Parsed::Condition(self.condition_node(start, Expression::Not(inner.item), [measures])?))
    }

    /// As a condition: a name alone means `name = TRUE`.
    fn condition(&self, parsed: Parsed) -> Result<Condition, Fault> {
        let operand = match parsed {
            Parsed::Condition(condition) => return Ok(condition),
            Parsed::Operand(operand) => operand,
        };
        let Measured { item, start, depth, nodes } = operand;
        match item {
            Operand::Constant(Value::Bool(known)) => {
                self.condition_node(start, Expression::Constant(Truth::from(known)), [])
            }
            Operand::Attribute(_) | Operand::Context(_) => {
                self.condition_node(start, Expression::is_true(item), [(depth, nodes), (1, 1)])
            }
            other @ (Operand::Constant(_)
            | Operand::Negate(_)
            | Operand::Arithmetic(_)
            | Operand::Point(_)
            | Operand::Distance(_)) => {
                let found = format!("the value `{}` alone", shown(&other.to_string()));
                let expected = "a condition, such as a comparison of it".to_owned();
                Err(self.error(start, ParseErrorKind::Unexpected { found, expected }))
            }
        }
    }

    fn as_operand(&self, parsed: Parsed) -> Result<Term, Fault> {
        match parsed {
            Parsed::Operand(operand) => Ok(operand),
            Parsed::Condition(condition) if *condition.item == Expression::Constant(Truth::Unknown) => Err(self.error(
                condition.start,
                ParseErrorKind::Unexpected {
                    found: "`NULL` as a value".to_owned(),
                    expected: "a value (to ask whether an attribute is missing, write `name IS NULL`)".to_owned(),
                },
            )),
            Parsed::Condition(condition) => {
                let found = format!("the condition `{}`", shown(&condition.item.to_string()));
                let expected = "a value: a name, a literal or an arithmetic expression".to_owned();
                Err(self.error(condition.start, ParseErrorKind::Unexpected { found, expected }))
            }
        }
    }

    /// Reads what binds at least as tightly as `weakest`, by precedence climbing: few stack frames per nesting.
    fn climb(&mut self, weakest: Strength) -> Result<Parsed, Fault> {
        let mut left = self.prefixed(weakest)?;
        while let Some(infix) = infix(&self.token.kind)
            && infix.strength() >= weakest
        {
            left = match infix {
                Infix::And => self.junction(left, Keyword::And, Strength::Not, Expression::And)?,
                Infix::Or => self.junction(left, Keyword::Or, Strength::And, Expression::Or)?,
                Infix::Predicate => self.predicate(left)?,
                Infix::Arithmetic(operator) => self.arithmetic(left, operator)?,
            };
        }
        Ok(left)
    }

    fn prefixed(&mut self, weakest: Strength) -> Result<Parsed, Fault> {
        match self.token.kind {
            TokenKind::Keyword(Keyword::Not) if weakest <= Strength::Not => {
                let start = self.advance()?.start;
                let inner = self.nested(|parser| parser.climb(Strength::Not))?;
                self.negation(start, inner)
            }
            TokenKind::Symbol(Symbol::Minus | Symbol::Plus) => self.signed(),
            _ => self.primary(),
        }
    }

    /// The rest of a chain of `AND` or `OR`.
    fn junction(
        &mut self,
        first: Parsed,
        keyword: Keyword,
        tighter: Strength,
        join: fn(Vec<Expression>) -> Expression,
    ) -> Result<Parsed, Fault> {
        let first = self.condition(first)?;
        let start = first.start;
        let mut measures = vec![first.measures()];
        let mut parts = vec![*first.item];
        while self.takes_keyword(keyword)? {
            let next = self.climb(tighter)?;
            let next = self.condition(next)?;
            measures.push(next.measures());
            parts.push(*next.item);
        }
        parts.shrink_to_fit();
        Ok(Parsed::Condition(self.condition_node(start, join(parts), measures)?))
    }

    fn operand(&mut self) -> Result<Term, Fault> {
        let parsed = self.climb(Strength::Sum)?;
        self.as_operand(parsed)
    }

    /// The rest of a sum or product, from its operator on.
    fn arithmetic(&mut self, left: Parsed, operator: ArithmeticOperator) -> Result<Parsed, Fault> {
        self.advance()?;
        let left = self.as_operand(left)?;
        let right = self.climb(tighter_than(operator))?;
        let right = self.as_operand(right)?;
        let (start, measures) = (left.start, [left.measures(), right.measures()]);
        let arithmetic = Arithmetic { left: left.item, operator, right: right.item };
        Ok(Parsed::Operand(self.node(start, Operand::Arithmetic(Box::new(arithmetic)), measures)?))
    }

    fn signed(&mut self) -> Result<Parsed, Fault> {
        let start = self.token.start;
        if self.takes_symbol(Symbol::Minus)? {
            // The only way to write the smallest integer, whose magnitude is no integer itself.
            if self.token.kind == TokenKind::Integer(i64::MIN.unsigned_abs()) {
                self.advance()?;
                return Ok(Parsed::Operand(self.node(start, Operand::Constant(Value::Integer(i64::MIN)), [])?));
            }
            let inner = self.nested(Self::signed)?;
            let inner = self.as_operand(inner)?;
            let measures = inner.measures();
            let negated = check::negate(inner.item);
            let parts = if matches!(negated, Operand::Constant(_)) { None } else { Some(measures) };
            return Ok(Parsed::Operand(self.node(start, negated, parts)?));
        }
        if self.takes_symbol(Symbol::Plus)? {
            let inner = self.nested(Self::signed)?;
            let inner = self.as_operand(inner)?;
            return Ok(Parsed::Operand(self.plus(start, inner)?));
        }
        self.primary()
    }

    /// `+operand`: what is a number or nothing stays itself; what may be something else becomes `1 * operand`, which has no
    /// value if it is no number.
    fn plus(&self, start: usize, inner: Term) -> Result<Term, Fault> {
        match &inner.item {
            Operand::Constant(Value::Integer(_) | Value::Float(_))
            | Operand::Negate(_)
            | Operand::Arithmetic(_)
            | Operand::Distance(_) => Ok(inner),
            Operand::Constant(_) | Operand::Attribute(_) | Operand::Context(_) | Operand::Point(_) => {
                let measures = [(1, 1), inner.measures()];
                let left = Operand::Constant(Value::Integer(1));
                let product = Arithmetic { left, operator: ArithmeticOperator::Multiply, right: inner.item };
                self.node(start, Operand::Arithmetic(Box::new(product)), measures)
            }
        }
    }

    fn named(&mut self) -> Result<Parsed, Fault> {
        let token = self.advance()?;
        let TokenKind::Name { name, bare } = token.kind else { unreachable!("looked at before it was taken") };
        if bare && let Some(parsed) = self.function(&name, token.start)? {
            return Ok(parsed);
        }
        Ok(Parsed::Operand(self.node(token.start, Operand::Attribute(name.into()), [])?))
    }

    fn parenthesised(&mut self) -> Result<Parsed, Fault> {
        let start = self.advance()?.start;
        let mut inner = self.nested(|parser| parser.climb(Strength::Or))?;
        if !self.takes_symbol(Symbol::RightParenthesis)? {
            return Err(self.unexpected(format!("`)` or an operator{}", self.hint())));
        }
        match &mut inner {
            Parsed::Condition(condition) => condition.start = start,
            Parsed::Operand(operand) => operand.start = start,
        }
        Ok(inner)
    }

    fn primary(&mut self) -> Result<Parsed, Fault> {
        let start = self.token.start;
        let operand = match &self.token.kind {
            TokenKind::Keyword(Keyword::True) => Operand::Constant(Value::Bool(true)),
            TokenKind::Keyword(Keyword::False) => Operand::Constant(Value::Bool(false)),
            TokenKind::Keyword(Keyword::Null) => {
                self.advance()?;
                return Ok(Parsed::Condition(self.condition_node(start, Expression::Constant(Truth::Unknown), [])?));
            }
            TokenKind::Integer(magnitude) => match i64::try_from(*magnitude) {
                Ok(number) => Operand::Constant(Value::Integer(number)),
                Err(_) => return Err(self.invalid(start, integer_out_of_range(self.token.text))),
            },
            TokenKind::Float(number) => Operand::Constant(Value::Float(*number)),
            TokenKind::Text(text) => Operand::Constant(Value::from(text.as_str())),
            TokenKind::Context(name) => Operand::Context(name.as_str().into()),
            TokenKind::Name { .. } => return self.named(),
            TokenKind::Symbol(Symbol::LeftParenthesis) => return self.parenthesised(),
            TokenKind::Keyword(_) => {
                let name = shown(self.token.text);
                return Err(
                    self.unexpected(format!("a value or a condition (an attribute of this name is `\"{name}\"`)"))
                );
            }
            TokenKind::End | TokenKind::Symbol(_) => {
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

fn quoted(text: &str) -> String {
    format!("`{}`", shown(text))
}
