//! Text to tokens, on demand.

use crate::filter::error::{Fault, ParseError, ParseErrorKind};
use crate::shown::shown;

/// A token with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'t> {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    /// As written.
    pub(super) text: &'t str,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    End,
    Keyword(Keyword),
    /// An attribute name; `bare` if it is one unquoted word and so may also be a function.
    Name {
        name: String,
        bare: bool,
    },
    /// A context attribute name, without the `$`.
    Context(String),
    /// Magnitude of a whole number.
    Integer(u64),
    Float(f64),
    Text(String),
    Symbol(Symbol),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Between,
    Escape,
    False,
    In,
    Is,
    Like,
    Not,
    Null,
    Or,
    True,
}

const KEYWORDS: [(&str, Keyword); 11] = [
    ("AND", Keyword::And),
    ("BETWEEN", Keyword::Between),
    ("ESCAPE", Keyword::Escape),
    ("FALSE", Keyword::False),
    ("IN", Keyword::In),
    ("IS", Keyword::Is),
    ("LIKE", Keyword::Like),
    ("NOT", Keyword::Not),
    ("NULL", Keyword::Null),
    ("OR", Keyword::Or),
    ("TRUE", Keyword::True),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    LeftParenthesis,
    RightParenthesis,
    Comma,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
}

/// Longest first.
const SYMBOLS: [(&str, Symbol); 15] = [
    ("<>", Symbol::NotEqual),
    ("!=", Symbol::NotEqual),
    ("<=", Symbol::LessOrEqual),
    (">=", Symbol::GreaterOrEqual),
    ("(", Symbol::LeftParenthesis),
    (")", Symbol::RightParenthesis),
    (",", Symbol::Comma),
    ("=", Symbol::Equal),
    ("<", Symbol::Less),
    (">", Symbol::Greater),
    ("+", Symbol::Plus),
    ("-", Symbol::Minus),
    ("*", Symbol::Star),
    ("/", Symbol::Slash),
    ("%", Symbol::Percent),
];

/// What people write who come from other languages or paste from a text processor, longest first, and what they should.
const FOREIGN: [(&str, &str); 17] = [
    ("==", "`=`"),
    ("&&", "`AND`"),
    ("||", "`OR`"),
    ("=>", "`>=`"),
    ("=<", "`<=`"),
    (":=", "`=`"),
    ("--", "`- -` for a double negation (there are no comments)"),
    ("!", "`NOT` or `<>`"),
    ("&", "`AND`"),
    ("|", "`OR`"),
    ("≤", "`<=`"),
    ("≥", "`>=`"),
    ("≠", "`<>`"),
    (";", "the end of the filter, which is one condition"),
    ("`", "`\"` round a name or `'` round a text"),
    ("‘", STRAIGHT),
    ("“", STRAIGHT),
];

const STRAIGHT: &str = "a straight quote: `'` round a text, `\"` round a name";

fn keyword(word: &str) -> Option<Keyword> {
    KEYWORDS.iter().find(|(text, _)| text.eq_ignore_ascii_case(word)).map(|(_, keyword)| *keyword)
}

fn begins_name(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn continues_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether `name` can be written without quotes.
pub(super) fn is_plain_name(name: &str) -> bool {
    name.starts_with(begins_name)
        && name.split('.').all(|segment| !segment.is_empty() && segment.chars().all(continues_name))
        && keyword(name).is_none()
}

pub(super) struct Lexer<'t> {
    text: &'t str,
    position: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, position: 0 }
    }

    pub(super) fn next(&mut self) -> Result<Token<'t>, Fault> {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start().len();
        let start = self.position;
        let kind = match self.peek() {
            None => TokenKind::End,
            Some('\'') => TokenKind::Text(self.quoted('\'', "string")?),
            Some('$') => {
                self.position += 1;
                match self.peek() {
                    Some(character) if begins_name(character) || character == '"' || character == '[' => {
                        TokenKind::Context(self.name()?.0)
                    }
                    _ => {
                        return Err(self.unexpected(
                            start,
                            "`$`",
                            "a name of the subscriber's context after it, such as `$home`",
                        ));
                    }
                }
            }
            Some(character) if begins_name(character) || character == '"' || character == '[' => {
                let (name, bare) = self.name()?;
                match keyword(&name) {
                    Some(keyword) if bare => TokenKind::Keyword(keyword),
                    _ => TokenKind::Name { name, bare },
                }
            }
            Some(character) if character.is_ascii_digit() => self.number()?,
            Some('.') if self.rest()[1..].starts_with(|next: char| next.is_ascii_digit()) => self.number()?,
            Some(character) => self.symbol(character)?,
        };
        Ok(Token { kind, start, text: &self.text[start..self.position] })
    }

    fn rest(&self) -> &'t str {
        &self.text[self.position..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn unexpected(&self, offset: usize, found: impl Into<String>, expected: impl Into<String>) -> Fault {
        let kind = ParseErrorKind::Unexpected { found: found.into(), expected: expected.into() };
        Box::new(ParseError::new(self.text, offset, kind))
    }

    fn invalid(&self, offset: usize, reason: impl Into<String>) -> Fault {
        Box::new(ParseError::new(self.text, offset, ParseErrorKind::Invalid { reason: reason.into() }))
    }

    fn symbol(&mut self, character: char) -> Result<TokenKind, Fault> {
        let rest = self.rest();
        let symbol = SYMBOLS.iter().find(|(text, _)| rest.starts_with(text));
        let foreign = FOREIGN.iter().find(|(text, _)| rest.starts_with(text));
        match (symbol, foreign) {
            // `!=` is ours although `!` is not.
            (Some((text, symbol)), None) => {
                self.position += text.len();
                Ok(TokenKind::Symbol(*symbol))
            }
            (Some((text, symbol)), Some((other, _))) if text.len() >= other.len() => {
                self.position += text.len();
                Ok(TokenKind::Symbol(*symbol))
            }
            (_, Some((text, ours))) => Err(self.unexpected(self.position, format!("`{text}`"), *ours)),
            (None, None) => Err(self.unexpected(
                self.position,
                described(Some(character)),
                "a name, a literal or an operator (a name with other characters goes in double quotes)",
            )),
        }
    }

    /// A quoted text with the closing quote doubled inside; the opening one is next.
    fn quoted(&mut self, close: char, what: &str) -> Result<String, Fault> {
        let start = self.position;
        self.position += 1;
        let mut content = String::new();
        loop {
            let Some(end) = self.rest().find(close) else {
                return Err(self.invalid(start, format!("this {what} has no closing `{close}`")));
            };
            content.push_str(&self.rest()[..end]);
            self.position += end + close.len_utf8();
            if self.peek() != Some(close) {
                return Ok(content);
            }
            content.push(close);
            self.position += close.len_utf8();
        }
    }

    /// Segments joined by dots, each plain or quoted; whether it is one plain word.
    fn name(&mut self) -> Result<(String, bool), Fault> {
        let mut name = String::new();
        let mut bare = true;
        loop {
            let start = self.position;
            match self.peek() {
                Some(quote @ ('"' | '[')) => {
                    bare = false;
                    let close = if quote == '[' { ']' } else { quote };
                    let segment = self.quoted(close, "quoted name")?;
                    if segment.is_empty() {
                        return Err(self.invalid(start, "a quoted name is empty, must have at least one character"));
                    }
                    name.push_str(&segment);
                }
                Some(character) if continues_name(character) => {
                    let rest = self.rest();
                    let length = rest.find(|character| !continues_name(character)).unwrap_or(rest.len());
                    name.push_str(&rest[..length]);
                    self.position += length;
                }
                _ => {
                    return Err(self.unexpected(start, described(self.peek()), "the next part of the path after `.`"));
                }
            }
            if self.peek() != Some('.') {
                return Ok((name, bare));
            }
            self.position += 1;
            name.push('.');
            bare = false;
        }
    }

    /// A number in Java's syntax: decimal, octal (leading 0), hexadecimal (0x), binary (0b), `_` between digits,
    /// suffix L; or with point, exponent, suffix F or D, a float.
    fn number(&mut self) -> Result<TokenKind, Fault> {
        let start = self.position;
        let rest = self.rest();
        let radix = match rest.as_bytes() {
            [b'0', b'x' | b'X', ..] => Some(16),
            [b'0', b'b' | b'B', ..] => Some(2),
            _ => None,
        };
        let kind = match radix {
            Some(radix) => {
                self.position += 2;
                let digits = self.digits(start, radix)?;
                self.integer(start, &digits, radix)?
            }
            None => self.decimal(start)?,
        };
        match self.peek() {
            Some(character) if continues_name(character) || character == '.' => Err(self.unexpected(
                self.position,
                described(Some(character)),
                format!("the number `{}` to end", shown(&self.text[start..self.position])),
            )),
            _ => Ok(kind),
        }
    }

    fn decimal(&mut self, start: usize) -> Result<TokenKind, Fault> {
        let mut digits = String::new();
        if self.peek() != Some('.') {
            digits = self.digits(start, 10)?;
        }
        let mut is_float = false;
        if self.peek() == Some('.') {
            is_float = true;
            self.position += 1;
            digits.push('.');
            if self.peek().is_some_and(|character| character.is_ascii_digit()) {
                digits.push_str(&self.digits(start, 10)?);
            }
        }
        if let Some('e' | 'E') = self.peek() {
            is_float = true;
            self.position += 1;
            digits.push('e');
            if let Some(sign @ ('+' | '-')) = self.peek() {
                digits.push(sign);
                self.position += 1;
            }
            digits.push_str(&self.digits(start, 10)?);
        }
        if let Some('f' | 'F' | 'd' | 'D') = self.peek() {
            is_float = true;
            self.position += 1;
        }
        if !is_float {
            let radix = if digits.len() > 1 && digits.starts_with('0') { 8 } else { 10 };
            return self.integer(start, &digits, radix);
        }
        let written = shown(&self.text[start..self.position]);
        let is_zero =
            !digits.split('e').next().is_some_and(|mantissa| mantissa.contains(|digit| ('1'..='9').contains(&digit)));
        match digits.parse::<f64>() {
            Ok(number) if !number.is_finite() => {
                Err(self.invalid(start, format!("`{written}` is beyond the range of a 64-bit float")))
            }
            Ok(number) if number == 0.0 && !is_zero => {
                Err(self.invalid(start, format!("`{written}` is too small for a 64-bit float, which would be 0")))
            }
            Ok(number) => Ok(TokenKind::Float(number)),
            Err(_) => Err(self.invalid(start, format!("`{written}` is no number"))),
        }
    }

    /// One or more digits, `_` between them left out.
    fn digits(&mut self, start: usize, radix: u32) -> Result<String, Fault> {
        let rest = self.rest();
        let length = rest.find(|character: char| !character.is_digit(radix) && character != '_').unwrap_or(rest.len());
        let written = &rest[..length];
        if written.is_empty() {
            let so_far = shown(&self.text[start..self.position]);
            let expected = format!("a digit to go on with the number `{so_far}`");
            return Err(self.unexpected(self.position, described(self.peek()), expected));
        }
        if written.starts_with('_') || written.ends_with('_') {
            let so_far = shown(&self.text[start..self.position + length]);
            return Err(self.invalid(start, format!("`_` in the number `{so_far}` must stand between digits")));
        }
        self.position += length;
        Ok(written.replace('_', ""))
    }

    fn integer(&mut self, start: usize, digits: &str, radix: u32) -> Result<TokenKind, Fault> {
        let parsed = u64::from_str_radix(digits, radix);
        if let Some('l' | 'L') = self.peek() {
            self.position += 1;
        }
        let written = &self.text[start..self.position];
        if radix == 8 && digits.contains(['8', '9']) {
            return Err(self.invalid(
                start,
                format!("`{}` begins with 0 and is octal, which has no digits 8 and 9", shown(written)),
            ));
        }
        // One more than i64::MAX is let through for the sake of -9223372036854775808.
        match parsed {
            Ok(magnitude) if magnitude <= i64::MAX.unsigned_abs() + 1 => Ok(TokenKind::Integer(magnitude)),
            _ => Err(self.invalid(start, integer_out_of_range(written))),
        }
    }
}

pub(super) fn integer_out_of_range(written: &str) -> String {
    format!("`{}` is beyond the range of a 64-bit integer; write a float, such as `1e20`", shown(written))
}

/// A character as errors name it.
fn described(character: Option<char>) -> String {
    match character {
        None => "the end of the filter".to_owned(),
        Some(' ') => "a space".to_owned(),
        Some(character) => format!("`{}`", character.escape_debug()),
    }
}
