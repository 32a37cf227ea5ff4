//! Through what a conjunction is found: of the tests that a publication must pass, the one that fewest are expected to pass.
//!
//! Expected is what publications have shown since the key came into use, and before that what filters ask for: subscribers ask
//! for frequent values more often. Of a range, how many of the constants that filters compare with lie in it.

use gomera_cluster::table::Seeded;

use super::cells::Bounds;
use super::clusters::{Atom, Clusters, Key, PREFIX_LENGTHS, TenantId};
use super::program::{Test, What, tests};
use super::schema::{Schema, SlotId, Trait};
use super::symbols::Symbols;

/// Most keys of one access.
pub const KEYS_MAX: usize = 256;

/// A way to find a conjunction.
#[derive(Clone, Debug)]
pub enum Access {
    /// Under each of these keys.
    Keys(SlotId, Vec<Atom>),
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
        let mut best = Choice { access: Access::Scan, share: 2.0 };
        let mut consider = |share: f64, access: &mut dyn FnMut() -> Access| {
            if share < best.share {
                best = Choice { access: access(), share };
            }
        };
        for test in tests(words).filter(|test| !test.negated) {
            match test.what {
                What::Equal | What::Holds => {
                    let atom = Atom::symbol(test.operands[0]);
                    consider(self.share(test.slot, atom), &mut || Access::Keys(test.slot, vec![atom]));
                }
                What::Among | What::Prefix | What::Circle | What::Box => {
                    let atoms = self.atoms(&test);
                    if (1..=keys_max).contains(&atoms.len()) {
                        let share: f64 = atoms.iter().map(|&atom| self.share(test.slot, atom)).sum();
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
                    consider(share, &mut || Access::Keys(test.slot, vec![Atom::PRESENT]));
                }
            }
        }
        best.share = best.share.min(1.0);
        best
    }

    /// The keys of a test with several, or none; no key twice.
    fn atoms(&self, test: &Test<'_>) -> Vec<Atom> {
        match test.what {
            What::Among if test.operands.len() <= KEYS_MAX => {
                test.operands[1..].iter().map(|&symbol| Atom::symbol(symbol)).collect()
            }
            What::Prefix => {
                let text = self.symbols.text(test.operands[0]).as_bytes();
                let index = PREFIX_LENGTHS.iter().rposition(|&length| length <= text.len());
                index.map(|index| Atom::prefix(self.hashing, index, text)).into_iter().collect()
            }
            What::Circle | What::Box => {
                let bounds = Bounds::of(test).expect("an area");
                bounds.cells().map(Atom::cell).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The share of publications that find a key.
    fn share(&self, slot: SlotId, atom: Atom) -> f64 {
        /// Publications that what filters ask for counts as.
        const PRIOR: f64 = 8.0;
        /// Lanes that a slot is thought to have before it has any: the first keys are no more frequent than later ones.
        const LANES_PRIOR: f64 = 200.0;
        let key = Key { tenant: self.tenant, slot, atom };
        let lanes = f64::from(self.schema.slot(slot).keys) + LANES_PRIOR;
        match self.clusters.find(key).map(|id| self.clusters.get(id)) {
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
        (share * TOLL + 0.005).min(1.0) * self.presence(slot)
    }

    /// The share of publications that have an attribute.
    fn presence(&self, slot: SlotId) -> f64 {
        const PRIOR: f64 = 64.0;
        (count(self.schema.slot(slot).seen) + PRIOR) / (count(self.schema.events) + PRIOR)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
fn count(number: u64) -> f64 {
    number as f64
}
