//! `MATCHES`: a regular expression, compiled whole into a deterministic automaton.
//!
//! The automaton reads each byte of the text once, keeps no cache and allocates nothing; its size is known exactly and
//! capped. That is why it is built here and not left to a lazy engine: those fall back to following all states of the
//! nondeterministic automaton, which took 0.36 s for `(?:[a-z]{1,30}){1,30}x` over 16 KiB, and hold caches that nobody
//! counts. The price is that expressions whose automaton explodes (`a.{10}b`, unanchored) are refused, and that `\d \w \s
//! \b` know ASCII only, as in RE2, Go and JavaScript: the Unicode `\w` alone exceeds the cap.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::{Input, MatchKind};
use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{
    Assertion, AssertionKind, Ast, ClassAscii, ClassAsciiKind, ClassBracketed, ClassPerl, ClassPerlKind, ClassSet,
    ClassSetItem, Flag, Flags, FlagsItem, FlagsItemKind, Group, GroupKind,
};
use regex_syntax::hir::translate::Translator;

use crate::filter::check;
use crate::filter::limits::{FilterLimits, LimitExceeded};

/// A regular expression.
#[derive(Clone)]
pub struct RegexPattern {
    compiled: Arc<Compiled>,
}

struct Compiled {
    text: Box<str>,
    automaton: dense::DFA<Vec<u32>>,
}

/// Why a regular expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegexPatternError {
    /// Not a regular expression.
    #[error("not a regular expression: {0}")]
    Syntax(String),
    /// It exceeds a cap.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
}

/// Compiles the regular expressions of one filter under the caps that hold for all of them together, so that no more is
/// compiled than a filter may have.
#[derive(Debug)]
pub struct RegexCompiler<'l> {
    limits: &'l FilterLimits,
    budget: RegexBudget,
}

impl<'l> RegexCompiler<'l> {
    /// For one filter.
    #[must_use]
    pub fn new(limits: &'l FilterLimits) -> Self {
        Self { limits, budget: RegexBudget::default() }
    }

    /// The next one.
    pub fn compile(&mut self, text: &str) -> Result<RegexPattern, RegexPatternError> {
        self.budget.spend(text, self.limits)?;
        RegexPattern::compile(text, self.limits.regex_bytes_max)
    }
}

/// What the regular expressions of a filter have used up so far.
#[derive(Debug, Default)]
pub(crate) struct RegexBudget {
    count: usize,
    text_bytes: usize,
}

impl RegexBudget {
    pub(crate) fn spend(&mut self, text: &str, limits: &FilterLimits) -> Result<(), LimitExceeded> {
        self.count += 1;
        self.text_bytes += text.len();
        check::check_regexes(self.count, self.text_bytes, limits)
    }
}

impl RegexPattern {
    /// Compiles a filter's only one; of several see [`RegexCompiler`].
    pub fn new(text: &str, limits: &FilterLimits) -> Result<Self, RegexPatternError> {
        RegexCompiler::new(limits).compile(text)
    }

    fn compile(text: &str, limit: usize) -> Result<Self, RegexPatternError> {
        let too_large = || LimitExceeded {
            what: "the automaton of the regular expression is too large (begin it with `^`, or repeat less)".to_owned(),
            cap: "regex_bytes_max",
            limit,
        };
        let mut ast = ParserBuilder::new()
            .nest_limit(NEST_MAX)
            .build()
            .parse(text)
            .map_err(|error| syntax(&error.kind().to_string(), error.span(), text))?;
        only_ascii(&mut ast);
        let tree = Translator::new()
            .translate(text, &ast)
            .map_err(|error| syntax(&error.kind().to_string(), error.span(), text))?;
        let nfa = thompson::Compiler::new()
            .configure(
                thompson::Config::new().nfa_size_limit(Some(limit)).which_captures(thompson::WhichCaptures::None),
            )
            .build_from_hir(&tree)
            .map_err(|error| match error.size_limit() {
                Some(_) => RegexPatternError::Limit(too_large()),
                None => RegexPatternError::Syntax(error.to_string()),
            })?;
        let automaton = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .start_kind(StartKind::Unanchored)
                    .match_kind(MatchKind::LeftmostFirst)
                    .dfa_size_limit(Some(limit))
                    .determinize_size_limit(Some(limit)),
            )
            .build_from_nfa(&nfa)
            .map_err(|error| {
                if error.is_size_limit_exceeded() {
                    RegexPatternError::Limit(too_large())
                } else {
                    RegexPatternError::Syntax(error.to_string())
                }
            })?;
        Ok(Self { compiled: Arc::new(Compiled { text: text.into(), automaton }) })
    }

    /// As written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.compiled.text
    }

    /// Whether it matches somewhere in `text`.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        let found = self.compiled.automaton.try_search_fwd(&Input::new(text).earliest(true));
        found.expect("the automaton knows unanchored searches and gives up on no byte").is_some()
    }

    /// Heap bytes behind this expression; clones share them.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<Compiled>() + self.text().len() + self.compiled.automaton.memory_usage()
    }
}

/// Nesting within a regular expression; bounds the stack of its parser.
const NEST_MAX: u32 = 50;

fn syntax(reason: &str, span: &regex_syntax::ast::Span, text: &str) -> RegexPatternError {
    let before = text.get(..span.start.offset).unwrap_or(text);
    RegexPatternError::Syntax(format!("{reason} (at its character {})", before.chars().count() + 1))
}

/// Makes `\d \w \s` and their negations the ASCII classes, and word boundaries those between ASCII words.
fn only_ascii(ast: &mut Ast) {
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Literal(_) | Ast::Dot(_) | Ast::ClassUnicode(_) => {}
        Ast::Assertion(assertion) => {
            if is_word_boundary(&assertion.kind) {
                *ast = without_unicode((**assertion).clone());
            }
        }
        Ast::ClassPerl(class) => {
            let kind = ClassSet::Item(ClassSetItem::Ascii(ascii(class)));
            *ast = Ast::class_bracketed(ClassBracketed { span: class.span, negated: false, kind });
        }
        Ast::ClassBracketed(class) => only_ascii_set(&mut class.kind),
        Ast::Repetition(repetition) => only_ascii(&mut repetition.ast),
        Ast::Group(group) => only_ascii(&mut group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter_mut().for_each(only_ascii),
        Ast::Concat(concat) => concat.asts.iter_mut().for_each(only_ascii),
    }
}

fn only_ascii_set(set: &mut ClassSet) {
    match set {
        ClassSet::Item(item) => only_ascii_item(item),
        ClassSet::BinaryOp(operation) => {
            only_ascii_set(&mut operation.lhs);
            only_ascii_set(&mut operation.rhs);
        }
    }
}

fn only_ascii_item(item: &mut ClassSetItem) {
    match item {
        ClassSetItem::Empty(_)
        | ClassSetItem::Literal(_)
        | ClassSetItem::Range(_)
        | ClassSetItem::Ascii(_)
        | ClassSetItem::Unicode(_) => {}
        ClassSetItem::Perl(class) => *item = ClassSetItem::Ascii(ascii(class)),
        ClassSetItem::Bracketed(class) => only_ascii_set(&mut class.kind),
        ClassSetItem::Union(union) => union.items.iter_mut().for_each(only_ascii_item),
    }
}

fn ascii(class: &ClassPerl) -> ClassAscii {
    let kind = match class.kind {
        ClassPerlKind::Digit => ClassAsciiKind::Digit,
        ClassPerlKind::Space => ClassAsciiKind::Space,
        ClassPerlKind::Word => ClassAsciiKind::Word,
    };
    ClassAscii { span: class.span, kind, negated: class.negated }
}

fn is_word_boundary(kind: &AssertionKind) -> bool {
    match kind {
        AssertionKind::StartLine | AssertionKind::EndLine | AssertionKind::StartText | AssertionKind::EndText => false,
        AssertionKind::WordBoundary
        | AssertionKind::NotWordBoundary
        | AssertionKind::WordBoundaryStart
        | AssertionKind::WordBoundaryEnd
        | AssertionKind::WordBoundaryStartAngle
        | AssertionKind::WordBoundaryEndAngle
        | AssertionKind::WordBoundaryStartHalf
        | AssertionKind::WordBoundaryEndHalf => true,
    }
}

/// `(?-u:assertion)`
fn without_unicode(assertion: Assertion) -> Ast {
    let span = assertion.span;
    let items = [FlagsItemKind::Negation, FlagsItemKind::Flag(Flag::Unicode)];
    let flags = Flags { span, items: items.map(|kind| FlagsItem { span, kind }).into() };
    let ast = Box::new(Ast::assertion(assertion));
    Ast::group(Group { span, kind: GroupKind::NonCapturing(flags), ast })
}

impl fmt::Debug for RegexPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("RegexPattern").field(&self.text()).finish()
    }
}

impl PartialEq for RegexPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for RegexPattern {}

impl PartialOrd for RegexPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RegexPattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text().cmp(other.text())
    }
}

impl Hash for RegexPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}
