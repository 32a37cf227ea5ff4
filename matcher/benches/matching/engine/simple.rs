//! What anybody writes first: filters under a string equality that they require go into a hash table by it (each branch of an
//! `OR`, each member of an `IN`); all others have a bit in bitmaps, one bitmap for each attribute and hundredth of its values,
//! which says whether the filter may still match, and which are intersected. What is left is run as a program.

use gomera_cluster::table::Table;
use gomera_model::attributes::Attributes;

use super::{Engine, Offered};
use crate::program::{Laid, Step, Symbols};
use crate::spec::{Spec, Test};

/// The last bucket is for what is missing.
const BUCKETS: usize = 101;
/// The values are known to lie below.
const VALUES_END: f64 = 10_000.0;

type Key = (u16, u32);

#[derive(Debug)]
struct Row {
    program: Box<[Step]>,
    /// Where it is found; nowhere in the hash table if it has bits.
    keys: Box<[Key]>,
    bit: u32,
    id: u32,
}

#[derive(Debug, Default)]
pub struct Simple {
    symbols: Symbols,
    rows: Vec<Option<Row>>,
    table: Table<Key, Vec<u32>>,
    /// Attributes that a row stands under; others are not looked up.
    keyed: Vec<bool>,
    /// By attribute and bucket: a bit for each row of `by_bit`.
    bitmaps: Vec<Vec<Vec<u64>>>,
    by_bit: Vec<u32>,
    bits_free: Vec<u32>,
    remaining: Vec<u64>,
    /// By id: the publication that it was last looked at for.
    seen: Vec<u64>,
    publication: u64,
    program: Vec<Step>,
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("32 bits")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped, and rounding down is meant")]
fn bucket(number: f64) -> usize {
    if number.is_nan() {
        return BUCKETS - 1;
    }
    let hundredth = (number / VALUES_END * 100.0).clamp(0.0, 99.0);
    hundredth as usize
}

impl Simple {
    fn key(&mut self, attribute: &str, text: &str) -> Key {
        let string = self.symbols.string(text);
        (self.symbols.attribute(attribute), string)
    }

    /// Equalities of which a matching publication satisfies one; of several sets the one shared by fewest.
    fn access(&mut self, spec: &Spec) -> Option<Vec<Key>> {
        match spec {
            Spec::Test(Test::Equal { attribute, text }) => Some(vec![self.key(attribute, text)]),
            Spec::Test(Test::In { attribute, texts }) => {
                Some(texts.iter().map(|text| self.key(attribute, text)).collect())
            }
            Spec::Test(Test::Range { .. } | Test::Flag { .. } | Test::Prefix { .. } | Test::Circle { .. })
            | Spec::Not(_)
            | Spec::Text(_) => None,
            Spec::And(parts) => {
                let all = parts.iter().filter_map(|part| self.access(part)).collect::<Vec<_>>();
                let sharing = |keys: &Vec<Key>| -> usize {
                    keys.iter().map(|key| 1 + self.table.get(key).map_or(0, Vec::len)).sum()
                };
                all.into_iter().min_by_key(sharing)
            }
            Spec::Or(parts) => {
                let all = parts.iter().map(|part| self.access(part)).collect::<Option<Vec<_>>>()?;
                let mut keys = all.concat();
                keys.sort_unstable();
                keys.dedup();
                Some(keys)
            }
        }
    }

    /// Sets the bits of a row where it may match.
    fn set_bits(&mut self, spec: &Spec, bit: u32) {
        let required = match spec {
            Spec::And(parts) => parts.as_slice(),
            Spec::Test(_) | Spec::Not(_) | Spec::Or(_) | Spec::Text(_) => std::slice::from_ref(spec),
        };
        let mut bounds = vec![(f64::NEG_INFINITY, f64::INFINITY, false); self.symbols.attributes()];
        for part in required {
            if let Spec::Test(Test::Range { attribute, low, high }) = part {
                let bound = &mut bounds[usize::from(self.symbols.attribute(attribute))];
                *bound = (bound.0.max(*low), bound.1.min(*high), true);
            }
        }
        let words = self.by_bit.len().div_ceil(64);
        self.bitmaps.resize_with(bounds.len().max(self.bitmaps.len()), Vec::new);
        let (word, mask) = (index(bit) / 64, 1_u64 << (bit % 64));
        for (attribute, bitmaps) in self.bitmaps.iter_mut().enumerate() {
            let (low, high, is_bound) = bounds.get(attribute).copied().unwrap_or((0.0, 0.0, false));
            if bitmaps.is_empty() {
                // Only attributes with bounds have bitmaps; whoever came before does not ask for this one.
                if !is_bound {
                    continue;
                }
                *bitmaps = vec![vec![u64::MAX; words]; BUCKETS];
            }
            for (at, bitmap) in bitmaps.iter_mut().enumerate() {
                bitmap.resize(words, u64::MAX);
                let may = !is_bound || (at < BUCKETS - 1 && bucket(low) <= at && at <= bucket(high));
                if may { bitmap[word] |= mask } else { bitmap[word] &= !mask }
            }
        }
    }
}

impl Engine for Simple {
    type Event = Laid;

    fn insert(&mut self, offered: &Offered) {
        let mut program = std::mem::take(&mut self.program);
        self.symbols.compile(&offered.spec, &mut program);
        let keys = self.access(&offered.spec);
        let bit = if keys.is_some() {
            u32::MAX
        } else {
            let bit = self.bits_free.pop().unwrap_or_else(|| {
                self.by_bit.push(u32::MAX);
                u32::try_from(self.by_bit.len() - 1).expect("32 bits")
            });
            self.by_bit[index(bit)] = offered.id;
            self.set_bits(&offered.spec, bit);
            bit
        };
        let keys = keys.unwrap_or_default().into_boxed_slice();
        for key in &keys {
            self.table.entry(*key).or_default().push(offered.id);
            let attribute = usize::from(key.0);
            self.keyed.resize(self.keyed.len().max(attribute + 1), false);
            self.keyed[attribute] = true;
        }
        if self.rows.len() <= index(offered.id) {
            self.rows.resize_with(index(offered.id) + 1, || None);
            self.seen.resize(index(offered.id) + 1, 0);
        }
        let row = Row { program: program.as_slice().into(), keys, bit, id: offered.id };
        self.rows[index(offered.id)] = Some(row);
        self.program = program;
    }

    fn remove(&mut self, id: u32) {
        let row = self.rows[index(id)].take().expect("what is removed is in");
        for key in &row.keys {
            let list = self.table.get_mut(key).expect("under its keys");
            let at = list.iter().position(|&other| other == id).expect("under its keys");
            list.swap_remove(at);
        }
        if row.bit != u32::MAX {
            self.by_bit[index(row.bit)] = u32::MAX;
            self.bits_free.push(row.bit);
        }
    }

    fn prepare(&mut self, attributes: &Attributes) -> Laid {
        self.symbols.lay(attributes)
    }

    fn matches(&mut self, event: &Laid, into: &mut Vec<u32>) {
        self.publication += 1;
        for (attribute, &number) in (0_u16..).zip(&event.numbers) {
            if self.keyed.get(usize::from(attribute)) != Some(&true) {
                continue;
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of strings are whole")]
            let Some(list) = self.table.get(&(attribute, number as u32)) else { continue };
            for &id in list {
                let row = self.rows[index(id)].as_ref().expect("what the table holds is in");
                // Under several keys: once.
                if row.keys.len() > 1
                    && std::mem::replace(&mut self.seen[index(id)], self.publication) == self.publication
                {
                    continue;
                }
                if self.symbols.is_match(&row.program, event) {
                    into.push(id);
                }
            }
        }
        let words = self.by_bit.len().div_ceil(64);
        self.remaining.clear();
        self.remaining.resize(words, u64::MAX);
        // Tiles that stay in the first-level cache over all attributes.
        for tile in (0..words).step_by(1024) {
            let end = words.min(tile + 1024);
            for (bitmaps, &number) in self.bitmaps.iter().zip(&event.numbers).filter(|(maps, _)| !maps.is_empty()) {
                let bitmap = &bitmaps[bucket(number)];
                let end = end.min(bitmap.len());
                if tile < end {
                    for (left, right) in self.remaining[tile..end].iter_mut().zip(&bitmap[tile..end]) {
                        *left &= right;
                    }
                }
            }
        }
        for (word, &remaining) in self.remaining.iter().enumerate() {
            let mut remaining = remaining;
            while remaining != 0 {
                let bit = word * 64 + usize::try_from(remaining.trailing_zeros()).expect("below 64");
                remaining &= remaining - 1;
                let Some(&id) = self.by_bit.get(bit) else { break };
                if id != u32::MAX {
                    let row = self.rows[index(id)].as_ref().expect("what has a bit is in");
                    if self.symbols.is_match(&row.program, event) {
                        into.push(row.id);
                    }
                }
            }
        }
    }
}
