//! The workloads: subscription `id` and publication `number` of each, from nothing but their names, so that nobody has to keep
//! what an engine has not kept itself.
//!
//! A to E (`MATCHING.md`): 20 whole numbers n0…n19 uniform in [0, 10000), 10 strings s0…s9 each Zipf(1.0) over 1000 values, 2
//! booleans. F: entities as in NGSI. `hostile …`: filters built to hurt, with the publications that they hurt most on.

pub mod hostile;
mod ngsi;

use gomera_model::attributes::Attributes;
use gomera_model::value::Value;

use crate::random::{Random, Zipf};
use crate::spec::{Spec, Test};
use hostile::Hostile;

/// How many different publications a run goes through.
pub const PUBLICATIONS: usize = 1024;

const SEED: u64 = 0x676f_6d65_7261;
const NUMBERS: usize = 20;
const STRINGS: usize = 10;
const FLAGS: usize = 2;
const NUMBER_END: f64 = 10_000.0;

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// Selective: one string equality and two ranges passing 10 % each.
    A,
    /// Ranges only: two to five passing 20 % each.
    B,
    /// Everything matches, by the same predicate.
    C,
    /// Everything matches, by different predicates.
    Cd,
    /// (c1 AND c2) OR (c3 AND NOT c4).
    D,
    /// As A; publications carry 8 of the 32 attributes.
    E,
    /// NGSI-like.
    F,
    /// One tenant's worst.
    Hostile(Hostile),
}

impl Name {
    /// Those that are compared with other engines.
    pub const COMPARED: [Self; 7] = [Self::A, Self::B, Self::C, Self::Cd, Self::D, Self::E, Self::F];

    /// All.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::COMPARED.into_iter().chain(Hostile::ALL.into_iter().map(Self::Hostile))
    }

    /// As it is written in tables.
    pub fn text(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::Cd => "Cd",
            Self::D => "D",
            Self::E => "E",
            Self::F => "F",
            Self::Hostile(hostile) => hostile.text(),
        }
    }
}

/// A workload of some size.
#[derive(Debug)]
pub struct Workload {
    pub name: Name,
    pub subscriptions: u32,
    zipf: Zipf,
}

impl Workload {
    pub fn new(name: Name, subscriptions: u32) -> Self {
        Self { name, subscriptions, zipf: Zipf::new(1000) }
    }

    /// The attributes and what kind they are, for engines that want to know beforehand.
    pub fn schema(&self) -> Vec<(String, Kind)> {
        match self.name {
            Name::F => ngsi::schema(),
            Name::A | Name::B | Name::C | Name::Cd | Name::D | Name::E => {
                let numbers = (0..NUMBERS).map(|index| (number(index), Kind::Integer));
                let strings = (0..STRINGS).map(|index| (string(index), Kind::String));
                let flags = (0..FLAGS).map(|index| (flag(index), Kind::Flag));
                numbers.chain(strings).chain(flags).collect()
            }
            Name::Hostile(_) => Vec::new(),
        }
    }

    /// What subscription `id` asks for. Those from `subscriptions` on are the standbys'.
    pub fn subscription(&self, id: u32) -> Spec {
        let mut random = Random::new(SEED, u64::from(id) << 1);
        match self.name {
            Name::A | Name::E => {
                Spec::And(vec![self.equality(&mut random), range(&mut random, 0.1), range(&mut random, 0.1)])
            }
            Name::B => {
                let count = 2 + random.below(4);
                let attributes = random.distinct(count, NUMBERS);
                let ranges = attributes.into_iter().map(|index| range_of(&mut random, number(index), 0.2));
                Spec::And(ranges.collect())
            }
            Name::C => Spec::Test(Test::Range { attribute: number(0), low: 0.0, high: f64::INFINITY }),
            Name::Cd => {
                let of = u32::try_from(NUMBERS).expect("20");
                let attribute = number(usize::try_from(id % of).expect("below 20"));
                Spec::Test(Test::Range { attribute, low: -f64::from(id / of), high: f64::INFINITY })
            }
            Name::D => {
                let first = Spec::And(vec![self.in_set(&mut random), self.condition(&mut random)]);
                let excluded = match self.condition(&mut random) {
                    Spec::Test(test) => Spec::Not(test),
                    other => other,
                };
                Spec::Or(vec![first, Spec::And(vec![self.in_set(&mut random), excluded])])
            }
            // Half of them are identical to another one.
            Name::F => {
                let different = self.subscriptions.div_ceil(2).max(1);
                let copies_of = if id < self.subscriptions { id % different } else { id };
                ngsi::subscription(&mut Random::new(SEED, u64::from(copies_of) << 1))
            }
            Name::Hostile(hostile) => hostile.subscription(id, &mut random),
        }
    }

    /// Publication `number`.
    pub fn publication(&self, number: usize) -> Attributes {
        let mut random = Random::new(SEED, (u64::try_from(number).expect("small") << 1) | 1);
        match self.name {
            Name::A | Name::B | Name::C | Name::Cd | Name::D => self.attributes(&mut random, None),
            Name::E => {
                let carried = random.distinct(8, NUMBERS + STRINGS + FLAGS);
                self.attributes(&mut random, Some(&carried))
            }
            Name::F => ngsi::publication(&mut random),
            Name::Hostile(hostile) => hostile.publication(number, self.subscriptions, &mut random),
        }
    }

    fn attributes(&self, random: &mut Random, carried: Option<&[usize]>) -> Attributes {
        let all = NUMBERS + STRINGS + FLAGS;
        let entry = |index: usize| {
            if index < NUMBERS {
                let value = i64::try_from(random.below(10_000)).expect("small");
                (number(index), Value::from(value))
            } else if index < NUMBERS + STRINGS {
                (string(index - NUMBERS), Value::from(word(self.zipf.draw(random))))
            } else {
                (flag(index - NUMBERS - STRINGS), Value::from(random.percent(50)))
            }
        };
        let carries = |index: &usize| carried.is_none_or(|carried| carried.contains(index));
        (0..all).filter(carries).map(entry).collect()
    }

    fn equality(&self, random: &mut Random) -> Spec {
        let attribute = string(random.below(STRINGS));
        Spec::Test(Test::Equal { attribute, text: word(self.zipf.draw(random)) })
    }

    /// Five strings, whatever their frequency: a publication has one of them in one case of 200.
    fn in_set(&self, random: &mut Random) -> Spec {
        let attribute = string(random.below(STRINGS));
        let texts = random.distinct(5, 1000).into_iter().map(word).collect();
        Spec::Test(Test::In { attribute, texts })
    }

    /// The other condition of a conjunction of workload D: a range, an equality, a boolean.
    fn condition(&self, random: &mut Random) -> Spec {
        match random.below(4) {
            0 | 1 => {
                let share = [0.1, 0.3, 0.5][random.below(3)];
                range(random, share)
            }
            2 => self.equality(random),
            _ => Spec::Test(Test::Flag { attribute: flag(random.below(FLAGS)) }),
        }
    }
}

/// What kind of values an attribute has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Float,
    String,
    Flag,
    Place,
}

fn number(index: usize) -> String {
    format!("n{index}")
}

fn string(index: usize) -> String {
    format!("s{index}")
}

fn flag(index: usize) -> String {
    format!("b{index}")
}

fn word(rank: usize) -> String {
    format!("v{rank}")
}

fn range(random: &mut Random, share: f64) -> Spec {
    let attribute = number(random.below(NUMBERS));
    range_of(random, attribute, share)
}

fn range_of(random: &mut Random, attribute: String, share: f64) -> Spec {
    let width = NUMBER_END * share;
    let low = (random.unit() * (NUMBER_END - width)).floor();
    Spec::Test(Test::Range { attribute, low, high: low + width })
}
