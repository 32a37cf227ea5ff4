//! What a filter is charged with against the limits of its tenant: nanoseconds that it can cost a publication, and bytes.
//!
//! A charge is a function of the filter alone. What the index has learnt, who shares a filter and in what order filters came
//! play no part, so that what a removal takes back is what the insertion took, and every replica of a slice counts the same.
//!
//! What the plain evaluator decides is charged in full, as it is on the publication that is worst for it
//! ([`gomera_model::filter::cost`]). A condition that several filters have is decided once a publication, so it is told apart: who
//! adds charges up counts it once. One that reads the subscriber's context is each filter's own. What columns decide is charged as comparing columns, and a tenth of running words: of ten lanes
//! that a publication finds, columns leave fewer than one to be looked at, unless somebody takes pains. (Charged in full, a million
//! ordinary filters would count 30 ms, while they take less than one.) What columns cannot decide is charged a third of running words, so
//! that a million filters with a prefix and ranges have room: filters made for it take up to 2.5 times what they count. Equalities that
//! share a byte, and tests of more attributes than there are features, cannot be told from what columns decide, and may take more.

use std::hash::BuildHasher;
use std::sync::Arc;

use gomera_cluster::table::Seeded;
use gomera_model::filter::{Expression, Filter, Operand, cost};

use super::access::KEYS_MAX;
use super::blocks::TESTS_MAX;
use super::names;
use super::plan::{Atom, Draft, with_drafts};

/// What a filter may cost at worst, in round figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Nanoseconds of a publication, without those of `conditions`.
    pub nanoseconds: u32,
    /// Bytes in the index, the filter itself not among them.
    pub bytes: u32,
    /// What is decided once for all filters that have it; in order of key, none twice.
    pub conditions: Box<[Condition]>,
}

/// A condition that the plain evaluator decides for all filters that have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// A hash of it.
    pub key: u64,
    /// Nanoseconds of a publication.
    pub nanoseconds: u32,
}

impl Charge {
    /// Of a filter; conditions get keys by `hashing`.
    #[must_use]
    pub fn of(filter: &Filter, hashing: Seeded) -> Self {
        with_drafts(filter, usize::MAX, |all| {
            let (mut nanoseconds, mut bytes) = (0_u64, size(names::bytes(filter.expression())));
            let mut conditions = Vec::new();
            for draft in all {
                let part = of_draft(draft, hashing, &mut conditions);
                nanoseconds += part.nanoseconds;
                bytes += part.bytes;
            }
            if all.len() > 1 {
                bytes += CROWD_BYTES;
            }
            conditions.sort_unstable();
            conditions.dedup_by_key(|condition| condition.key);
            Self { nanoseconds: narrow(nanoseconds), bytes: narrow(bytes), conditions: conditions.into() }
        })
    }

    /// Nanoseconds of a publication, if no other filter has a condition of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        let conditions = self.conditions.iter().map(|condition| u64::from(condition.nanoseconds));
        u64::from(self.nanoseconds) + conditions.sum::<u64>()
    }
}

fn narrow(figure: u64) -> u32 {
    u32::try_from(figure).unwrap_or(u32::MAX)
}

/// A lane: its columns and a tenth of what running its words takes.
const LANE: u64 = 2;
/// A further lane under a key of a list, as an array may have all of its members.
const LISTED: u64 = 1;
/// Running words, where columns cannot decide: a third of what takes longest of a million such lanes that one publication finds.
const RUN: u64 = 5;
/// Tests or keys of a lane that make a nanosecond.
const TESTS_PER_NANOSECOND: u64 = 4;
/// A lane that no key leads to, beside that: its blocks are looked for among those of all ranges, and found in vain by who takes pains.
const UNKEYED: u64 = 18;
/// Half of a great circle: bounds of areas are wide.
const CIRCLE: u64 = 55;
/// Cells of an area, at most.
const CELLS: u64 = 4;
/// Members of a list that are compared at once.
const FEW: u64 = 8;
/// Three further ones, where there is an array.
const THREE_MEMBERS: u64 = 5;
/// To come to the plain evaluator.
const EVALUATED: u64 = 25;

/// A lane under a key, with room to grow, or a part of it.
const LANE_BYTES: u64 = 64;
/// A key that no other lane has: cluster, block, and where they are found.
const KEY_BYTES: u64 = 96;
/// A row with several lanes.
const CROWD_BYTES: u64 = 96;
/// A test in words, its constant with where it is found.
const TEST_BYTES: u64 = 40;
/// A member of a list.
const MEMBER_BYTES: u64 = 136;
/// An expression kept for the plain evaluator, without itself.
const RESIDUAL_BYTES: u64 = 224;

struct Part {
    nanoseconds: u64,
    bytes: u64,
}

fn of_draft(draft: &Draft<'_>, hashing: Seeded, conditions: &mut Vec<Condition>) -> Part {
    let mut part = Part { nanoseconds: LANE, bytes: LANE_BYTES + KEY_BYTES };
    let mut tests = 0;
    let mut keys = 1;
    let mut listed = 0;
    let mut has_key = false;
    for literal in &draft.literals {
        part.bytes += TEST_BYTES;
        match &literal.atom {
            Atom::Equal(..) | Atom::Holds(..) | Atom::Prefix(..) => {
                tests += 1;
                has_key |= !literal.negated;
            }
            Atom::Range(..) | Atom::Differs(..) | Atom::Present(_) | Atom::Absent(_) => tests += 1,
            Atom::Box(..) => {
                tests += 1;
                keys = keys.max(CELLS);
                part.bytes += (CELLS - 1) * KEY_BYTES;
                has_key |= !literal.negated;
            }
            Atom::Circle(..) => {
                part.nanoseconds += CIRCLE;
                keys = keys.max(CELLS);
                part.bytes += (CELLS - 1) * KEY_BYTES;
                has_key |= !literal.negated;
            }
            Atom::Among(_, members) => {
                let members = size(members.len());
                tests += members.min(FEW);
                part.nanoseconds += members.saturating_sub(FEW) * THREE_MEMBERS / 3;
                part.bytes += members * MEMBER_BYTES;
                if members <= size(KEYS_MAX) {
                    keys = keys.max(members);
                    if !literal.negated {
                        listed = listed.max(members.saturating_sub(1));
                        has_key = true;
                    }
                }
            }
            Atom::Residual(expression) => {
                let worst = cost::worst_nanoseconds(expression);
                part.nanoseconds += EVALUATED;
                if reads_context(expression) {
                    part.nanoseconds += worst;
                } else {
                    conditions.push(Condition { key: hashing.hash_one(expression), nanoseconds: narrow(worst) });
                }
                part.bytes += RESIDUAL_BYTES + size(expression.heap_bytes()) + lists_bytes(expression);
            }
        }
    }
    part.nanoseconds += tests.div_ceil(TESTS_PER_NANOSECOND);
    let runs = match decided_by(draft) {
        Decider::Columns => 0,
        Decider::Words => {
            part.nanoseconds += RUN;
            1
        }
        Decider::Evaluator => 1,
    };
    part.nanoseconds += listed * LISTED * (1 + runs);
    if !has_key {
        part.nanoseconds += UNKEYED;
    }
    part.bytes += (keys - 1) * LANE_BYTES;
    part
}

/// What decides a lane in the end.
enum Decider {
    Columns,
    Words,
    /// Or the circle: their charge has the words in it.
    Evaluator,
}

/// Columns decide ranges and equalities, as many as there are columns for. Who comes through the only list has passed it, and comes
/// through it where nothing but ranges is beside it.
fn decided_by(draft: &Draft<'_>) -> Decider {
    let (mut columns, mut keys, mut lists, mut others) = (0, 0, 0, 0);
    for literal in &draft.literals {
        match &literal.atom {
            Atom::Range(..) => columns += 1,
            Atom::Equal(..) => {
                columns += 1;
                keys += u32::from(!literal.negated);
            }
            Atom::Among(_, members) if !literal.negated && members.len() <= KEYS_MAX => lists += 1,
            Atom::Present(_)
            | Atom::Absent(_)
            | Atom::Differs(..)
            | Atom::Among(..)
            | Atom::Holds(..)
            | Atom::Prefix(..)
            | Atom::Box(..) => others += 1,
            Atom::Circle(..) | Atom::Residual(_) => return Decider::Evaluator,
        }
    }
    let only_present = draft.literals.len() == 1 && matches!(draft.literals[0].atom, Atom::Present(_));
    if (others == 0 || only_present) && (lists == 0 || lists + keys == 1) && columns <= TESTS_MAX {
        Decider::Columns
    } else {
        Decider::Words
    }
}

fn reads_context(expression: &Expression) -> bool {
    let mut reads = false;
    expression.walk_operands(&mut |operand| reads |= matches!(operand, Operand::Context(_)));
    reads
}

/// The lists of names that a filter of its own has.
fn lists_bytes(expression: &Expression) -> u64 {
    let mut names = 0;
    expression.walk_operands(&mut |_| names += 1);
    names * size(size_of::<Arc<str>>())
}

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use gomera_cluster::identity::Tenant;
    use gomera_cluster::layout::MatcherSlice;

    use super::*;
    use crate::fixture::filter;
    use crate::index::{Index, RowId};

    fn nanoseconds(text: &str) -> u64 {
        Charge::of(&filter(text), Seeded::new(1)).total()
    }

    #[test]
    fn ordinary_filters_are_charged_a_few_nanoseconds_and_those_that_are_evaluated_what_that_takes() {
        assert_eq!(nanoseconds("a = 'x' AND n >= 1 AND n < 5 AND m > 3"), 3);
        assert_eq!(nanoseconds("(s IN ('a', 'b', 'c', 'd', 'e') AND n > 3) OR (s = 'f' AND NOT b)"), 4 + 4 + 3);
        assert_eq!(nanoseconds("n >= 1 AND n < 5 AND m > 3"), 3 + UNKEYED);
        assert_eq!(nanoseconds("1 = 2"), 0);
        assert!(nanoseconds("MATCHES(note, 'x')") > 30_000);
        let many = (0..150).map(|index| format!("n * {index} > 3")).collect::<Vec<_>>().join(" OR ");
        assert!(nanoseconds(&many) > 100 * nanoseconds("n * 2 > 3"));
        let nested = (0..20).fold("n > 1".to_owned(), |text, level| format!("NOT ({text} AND m <> {level})"));
        assert!((500..5_000).contains(&nanoseconds(&nested)), "{}", nanoseconds(&nested));
        // A condition of several branches, or of several filters, is one; one that reads the context is not.
        let twice = Charge::of(&filter("(a = 1 OR b = 2) AND MATCHES(note, 'x')"), Seeded::new(1));
        let once = Charge::of(&filter("c = 5 AND MATCHES(note, 'x')"), Seeded::new(1));
        assert_eq!((twice.conditions.len(), &twice.conditions), (1, &once.conditions));
        assert!(Charge::of(&filter("CONTAINS(note, $word)"), Seeded::new(1)).conditions.is_empty());
    }

    #[test]
    fn lanes_that_words_decide_and_those_under_keys_of_a_list_are_charged_a_third_of_what_they_take_at_most() {
        // A million of these took 13 to 20 ms a publication, 5,000 of the second 7 to 13 ms.
        let prefixed = nanoseconds("a = 'x' AND NOT STARTS_WITH(b, 'q') AND m <> 3");
        assert!(3 * prefixed >= 20, "{prefixed}");
        let list = (0..250).map(|member| format!("'{member:x}'")).collect::<Vec<_>>().join(",");
        let listed = nanoseconds(&format!("tags IN ({list}) AND NOT STARTS_WITH(b, 'q') AND m <> 3"));
        assert!(3 * listed * 5_000 >= 12_600_000, "{listed}");
        // Through the list, or by columns, nothing is left for words; with a circle they are in its charge.
        assert_eq!(nanoseconds("s IN ('a', 'b') AND n > 3"), 2 + 1 + LISTED);
        assert_eq!(nanoseconds("s IN ('a', 'b') AND k = 1"), 2 + 1 + RUN + 2 * LISTED);
        assert_eq!(nanoseconds("NOT s IN ('a', 'b') AND n = 3"), 2 + 1 + RUN);
        assert_eq!(nanoseconds("a IS NOT NULL"), 2 + 1 + UNKEYED);
        assert_eq!(nanoseconds("s = 'a' AND WITHIN(p, CIRCLE(POINT(1, 1), 5))"), 2 + 1 + CIRCLE);
    }

    #[test]
    fn the_index_takes_no_more_bytes_than_are_charged() {
        /// What it may take beside, as pages and tables grow in steps.
        const STEPS: usize = 400_000;
        let text = |index: u32| -> Vec<String> {
            vec![
                format!("a = 'x{}' AND n >= {index} AND n < {}", index % 50, index + 10),
                format!("a = 'unique{index}'"),
                format!("n{} > {index} OR s = 'v{index}' OR note LIKE '%{index}%b'", index % 7),
                format!("s IN ('a{index}', 'b{index}', 'c{index}', 'd{index}')"),
                format!("STARTS_WITH(id, 'lamp-{index}') AND x BETWEEN {index} AND 7000"),
                format!("WITHIN(p, CIRCLE(POINT({}, 3), {index}))", index % 80),
                format!("MATCHES(note, 'a+{index}') AND kind <> 'b{index}'"),
            ]
        };
        for kind in 0..text(0).len() {
            let mut index = Index::new(7);
            let tenant = Tenant(Arc::from("t"));
            let mut charged = index.bytes() + STEPS;
            for row in 0..4_000 {
                let filter = filter(&text(row)[kind]);
                charged += usize::try_from(Charge::of(&filter, Seeded::new(1)).bytes).expect("32 bits");
                // What a residual shares with the filter itself is counted with that.
                index.insert(RowId(row), &tenant, MatcherSlice(0), &filter);
            }
            assert!(index.bytes() <= charged, "{}: {} of {charged}", text(0)[kind], index.bytes());
            // Names that many filters have take their slots once, and are charged with each: six times in filters of short values.
            assert!(7 * index.bytes() > charged - STEPS, "{}: {} of {charged}", text(0)[kind], index.bytes());
        }
    }

    #[test]
    fn the_index_takes_no_more_bytes_for_names_that_no_other_filter_has_than_are_charged() {
        /// Names in each index: nearly as many as its tables have room for when they have grown in steps.
        const NAMES: u32 = 16_000;
        const STEPS: usize = 400_000;
        let conditions: [fn(u32) -> String; 9] = [
            |name| format!("n{name} = {name}"),
            |name| format!("n{name} > {name}"),
            |name| format!("n{name} BETWEEN {name} AND 1e9"),
            |name| format!("n{name} <> 'v{name}'"),
            |name| format!("n{name} IS NULL"),
            |name| format!("STARTS_WITH(n{name}, 'abc{name}')"),
            |name| format!("WITHIN(n{name}, BOX(POINT(1, 1), POINT(1.1, 1.1)))"),
            |name| format!("WITHIN(n{name}, CIRCLE(POINT(1, 1), {name}))"),
            |name| format!("n{name} IN (1, 'b', {name})"),
        ];
        for condition in conditions {
            for (names, joint) in [(1, ""), (200, " AND "), (200, " OR ")] {
                let mut index = Index::new(7);
                let mut charged = index.bytes() + STEPS;
                for row in 0..NAMES / names {
                    let conditions = (0..names).map(|name| condition(row * names + name));
                    let filter = filter(&conditions.collect::<Vec<_>>().join(joint));
                    charged += usize::try_from(Charge::of(&filter, Seeded::new(1)).bytes).expect("32 bits");
                    index.insert(RowId(row), &Tenant::open(), MatcherSlice(0), &filter);
                }
                let case = format!("{}, {names} together{joint}: {} of {charged}", condition(7), index.bytes());
                assert!(index.bytes() <= charged, "{case}");
                assert!(3 * index.bytes() > charged - STEPS, "{case}");
            }
        }
    }
}
