//! Through what a conjunction is found: of the tests that a publication must pass, the one that fewest are expected to pass.
//!
//! Expected is what publications have shown since the key came into use, and before that what filters ask for: subscribers ask
//! for frequent values more often. Of a range, how many of the constants that filters compare with lie in it.

use std::ops::Deref;

use gomera_cluster::table::Seeded;

use super::cells::Bounds;
use super::clusters::{Atom, AtomKind, Clusters, Key, TenantId};
use super::prefixes;
use super::program::{Test, What, tests};
use super::schema::{Schema, SlotId, Trait};
use super::symbols::Symbols;

/// Most keys of one access.
pub const KEYS_MAX: usize = 256;

/// Keys that a program may be found by, of a filter with so many: taking a lane out looks through those of its filter, and all of them are
/// taken out at once.
pub fn keys_max(programs: usize) -> usize {
    /// Lanes of a filter, at most about.
    const LANES_MAX: usize = 2048;
    (LANES_MAX / programs.max(1)).clamp(1, KEYS_MAX)
}

/// Keys of one access: most are one, or the few members of a list, and need no heap.
#[derive(Clone, Debug)]
pub enum Atoms {
    /// So many of these, and their clusters where they were found.
    Few(usize, [Atom; FEW], [u32; FEW]),
    /// More.
    Many(Vec<Atom>),
}

/// Keys without the heap.
const FEW: usize = 8;

/// No cluster.
const UNKNOWN: u32 = u32::MAX;

impl Atoms {
    /// One key.
    #[inline]
    pub fn one(atom: Atom) -> Self {
        let mut few = [Atom::default(); FEW];
        few[0] = atom;
        Self::Few(1, few, [UNKNOWN; FEW])
    }

    /// All of them.
    #[inline]
    pub fn as_slice(&self) -> &[Atom] {
        match self {
            Self::Few(count, atoms, _) => &atoms[..*count],
            Self::Many(atoms) => atoms,
        }
    }

    /// The cluster of one of them, if it was found and is still there.
    #[inline]
    pub fn cluster(&self, index: usize) -> Option<u32> {
        match self {
            Self::Few(_, _, clusters) => Some(clusters[index]).filter(|&cluster| cluster != UNKNOWN),
            Self::Many(_) => None,
        }
    }

    fn found(&mut self, index: usize, cluster: Option<u32>) {
        if let Self::Few(_, _, clusters) = self {
            clusters[index] = cluster.unwrap_or(UNKNOWN);
        }
    }
}

impl FromIterator<Atom> for Atoms {
    fn from_iter<I: IntoIterator<Item = Atom>>(atoms: I) -> Self {
        let (mut count, mut few) = (0, [Atom::default(); FEW]);
        let mut atoms = atoms.into_iter();
        while let Some(atom) = atoms.next() {
            if count == FEW {
                return Self::Many(few.into_iter().chain([atom]).chain(atoms).collect());
            }
            few[count] = atom;
            count += 1;
        }
        Self::Few(count, few, [UNKNOWN; FEW])
    }
}

impl Deref for Atoms {
    type Target = [Atom];

    #[inline]
    fn deref(&self) -> &[Atom] {
        self.as_slice()
    }
}

impl Access {
    /// How many lanes it takes.
    pub fn lanes(&self) -> usize {
        match self {
            Self::Keys(_, atoms) => atoms.len(),
            Self::Range(..) | Self::Scan => 1,
        }
    }
}

/// A way to find a conjunction.
#[derive(Clone, Debug)]
pub enum Access {
    /// Under each of these keys.
    Keys(SlotId, Atoms),
    /// By a range of a number.
    Range(SlotId, f64, f64),
    /// Not at all: every publication looks.
    Scan,
}

/// An access, and the share of publications that are expected to find it.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The access.
    pub access: Access,
    /// From 0 to 1.
    pub share: f64,
}

/// What choosing looks at.
pub struct Chooser<'a> {
    /// Whose filters.
    pub tenant: TenantId,
    /// What they ask for.
    pub schema: &'a Schema,
    /// Keys in use.
    pub clusters: &'a Clusters,
    /// Texts.
    pub symbols: &'a Symbols,
    /// Of prefixes.
    pub hashing: Seeded,
}

impl Chooser<'_> {
    /// The best access of a program that has no more than so many keys.
    pub fn choose(&self, words: &[u32], keys_max: usize) -> Choice {
        self.choose_with(words, keys_max, &mut std::iter::empty())
    }

    /// The same, with what [`Chooser::foresee`] said of the program.
    pub fn choose_with(&self, words: &[u32], keys_max: usize, guesses: &mut impl Iterator<Item = u32>) -> Choice {
        let mut best = Choice { access: Access::Scan, share: 2.0 };
        let mut consider = |share: f64, access: &mut dyn FnMut() -> Access| {
            if share < best.share {
                best = Choice { access: access(), share };
            }
        };
        for test in tests(words).filter(|test| !test.negated) {
            match test.what {
                What::Equal | What::Holds => {
                    let mut atoms = Atoms::one(Atom::symbol(test.operands[0]));
                    let share = self.share(test.slot, &mut atoms, 0, guesses.next());
                    consider(share, &mut || Access::Keys(test.slot, atoms.clone()));
                }
                What::Among | What::Prefix | What::Circle | What::Box => {
                    let mut atoms = self.atoms(&test);
                    let is_list = test.what == What::Among;
                    let mut share = 0.0;
                    for index in 0..atoms.len() {
                        let guess = if is_list { guesses.next() } else { None };
                        share += self.share(test.slot, &mut atoms, index, guess);
                    }
                    if (1..=keys_max).contains(&atoms.len()) {
                        consider(share.min(1.0), &mut || Access::Keys(test.slot, atoms.clone()));
                    }
                }
                What::Range64 | What::Low64 | What::High64 | What::Range32 | What::Low32 | What::High32 => {
                    let (low, high) = test.bounds().expect("a range");
                    let share = self.range_share(test.slot, low, high);
                    consider(share, &mut || Access::Range(test.slot, low, high));
                }
                What::Differs | What::Present | What::Absent | What::Residual | What::Always => {}
            }
        }
        // Merely being there is asked for by every test but one, also by negated ones.
        for test in tests(words) {
            match test.what {
                What::Absent | What::Residual | What::Always => {}
                What::Range64
                | What::Low64
                | What::High64
                | What::Range32
                | What::Low32
                | What::High32
                | What::Equal
                | What::Differs
                | What::Among
                | What::Holds
                | What::Prefix
                | What::Circle
                | What::Box
                | What::Present => {
                    let share = self.presence(test.slot) + f64::EPSILON;
                    consider(share, &mut || Access::Keys(test.slot, Atoms::one(Atom::PRESENT)));
                }
            }
        }
        best.share = best.share.min(1.0);
        best
    }

    /// The keys of a test with several, or none; no key twice.
    fn atoms(&self, test: &Test<'_>) -> Atoms {
        match test.what {
            What::Among if test.operands.len() <= KEYS_MAX => {
                test.operands[1..].iter().map(|&symbol| Atom::symbol(symbol)).collect()
            }
            What::Prefix => {
                let text = self.symbols.text(test.operands[0]).as_bytes();
                let whole = u8::try_from(text.len()).ok().filter(|&length| length > 0);
                let whole = whole.filter(|&length| self.schema.slot(test.slot).has_room(length));
                let whole = whole.map(|length| Atom::prefix(length, test.operands[0]));
                whole.or_else(|| cut_atom(self.hashing, text)).into_iter().collect()
            }
            What::Circle | What::Box => {
                let bounds = Bounds::of(test).expect("an area");
                bounds.cells().map(Atom::cell).collect()
            }
            _ => std::iter::empty().collect(),
        }
    }

    /// Asks for the memory in which the values that a program asks for are looked up; gives their hashes.
    pub fn prepare(&self, words: &[u32], hashes: &mut Vec<u64>) {
        let mut ask = |slot, symbol| {
            hashes.push(self.clusters.prefetch(Key { tenant: self.tenant, slot, atom: Atom::symbol(symbol) }));
        };
        for test in tests(words).filter(|test| !test.negated) {
            match test.what {
                What::Equal | What::Holds => ask(test.slot, test.operands[0]),
                What::Among if test.operands.len() <= KEYS_MAX => {
                    test.operands[1..].iter().for_each(|&symbol| ask(test.slot, symbol));
                }
                _ => {}
            }
        }
    }

    /// What is probably the cluster of the key of a hash, whose memory is asked for.
    #[inline]
    pub fn foresee(&self, hash: u64) -> u32 {
        self.clusters.guess(hash).unwrap_or(UNKNOWN)
    }

    /// The block that a lane comes into through what was foreseen, if that is known.
    #[inline]
    pub fn head(&self, guess: u32) -> Option<u32> {
        (guess != UNKNOWN).then(|| self.clusters.get(guess).open_block()).flatten()
    }

    /// The share of publications that find a key.
    fn share(&self, slot: SlotId, atoms: &mut Atoms, index: usize, guess: Option<u32>) -> f64 {
        /// Publications that what filters ask for counts as.
        const PRIOR: f64 = 8.0;
        /// Lanes that a slot is thought to have before it has any: the first keys are no more frequent than later ones.
        const LANES_PRIOR: f64 = 200.0;
        let key = Key { tenant: self.tenant, slot, atom: atoms[index] };
        let lanes = f64::from(self.schema.slot(slot).keys) + LANES_PRIOR;
        let found = match guess {
            Some(UNKNOWN) => None,
            Some(guess) => self.clusters.confirm(key, guess),
            None => self.clusters.find(key),
        };
        atoms.found(index, found);
        match found.map(|id| self.clusters.get(id)) {
            None => 1.0 / lanes,
            Some(cluster) => {
                let asked = (f64::from(cluster.rows) + 1.0) / lanes;
                let judged = count(self.schema.events.saturating_sub(cluster.born));
                ((f64::from(cluster.hits) + PRIOR * asked) / (judged + PRIOR)).min(1.0)
            }
        }
    }

    fn range_share(&self, slot: SlotId, low: f64, high: f64) -> f64 {
        let share = self
            .schema
            .current(slot, Trait::Number)
            .map_or(1.0, |feature| self.schema.quantiser(feature).share(low, high));
        // Ranges that hold a number lie further apart than rows of one key, and blocks at their ends are looked at in vain.
        const TOLL: f64 = 3.0;
        // Every publication with the attribute visits its ladders, however few lanes stand there: a key that is found by one
        // publication in eight is still cheaper.
        const VISIT: f64 = 0.1;
        (share * TOLL + VISIT).min(1.0) * self.presence(slot)
    }

    /// The share of publications that have an attribute.
    fn presence(&self, slot: SlotId) -> f64 {
        const PRIOR: f64 = 64.0;
        (count(self.schema.slot(slot).seen) + PRIOR) / (count(self.schema.events) + PRIOR)
    }
}

/// The key of a prefix that is cut, or of a shorter one.
fn cut_atom(hashing: Seeded, text: &[u8]) -> Option<Atom> {
    prefixes::cut(text.len()).map(|index| Atom::cut(hashing, index, text))
}

/// The access of a prefix whose length has no place any more, since accesses were chosen: the prefix is cut.
pub fn within_lengths(access: &Access, schema: &Schema, symbols: &Symbols, hashing: Seeded) -> Option<Access> {
    let Access::Keys(slot, atoms) = access else { return None };
    let [atom] = atoms.as_slice() else { return None };
    let AtomKind::Prefix(length) = atom.kind() else { return None };
    if schema.slot(*slot).has_room(length) {
        return None;
    }
    let cut = cut_atom(hashing, symbols.text(atom.as_prefix()?).as_bytes())?;
    Some(Access::Keys(*slot, Atoms::one(cut)))
}

#[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
fn count(number: u64) -> f64 {
    number as f64
}
