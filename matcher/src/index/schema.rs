//! What the filters of one tenant ask of publications: attributes by name (slots), and codes of one byte made of them (features).
//!
//! A feature whose boundaries turn out bad is succeeded by another; lanes that still use the old one move over bit by bit, and
//! meanwhile publications are coded for both.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use gomera_cluster::pages::Pages;
use gomera_cluster::table::Seeded;

use super::brief::Brief;
use super::finder::Finder;
use super::labels::Labels;
use super::prefixes::Lengths;
use super::program::NO_SLOT;
use super::quantiser::{OTHER, Quantiser, Samples};
use super::reading::{Kind, Reading};
use super::symbols::text_bytes;
use crate::kernel::{Codes, Kernel, MISSING};

/// An attribute that filters of a tenant ask for.
pub type SlotId = u32;

/// Always passes: its code is 1.
pub const ALWAYS: u8 = 0;

/// What a feature codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trait {
    /// A number.
    Number,
    /// The symbol of a value.
    Symbol,
    /// Degrees north.
    Latitude,
    /// Degrees east.
    Longitude,
}

/// Codes of one byte.
#[derive(Debug)]
pub struct Feature {
    slot: SlotId,
    what: Trait,
    pub quantiser: Quantiser,
    /// Of symbols.
    labels: Labels,
    /// Lanes that use it.
    uses: u32,
}

/// An attribute.
#[derive(Debug)]
pub struct Slot {
    pub name: Arc<str>,
    /// The name again.
    brief: Brief,
    /// Tests, keys and features that ask for it.
    uses: u32,
    /// Tests and keys that ask for its symbol.
    pub symbols: u32,
    /// Keys that ask whether it is there.
    pub presences: u32,
    /// Lanes under keys of any kind but presence.
    pub keys: u32,
    /// How many keys ask for each length of prefix, and for each level of cells; none for most.
    pub lengths: Option<Box<Lengths>>,
    pub levels: Option<Box<[u32; 32]>>,
    /// Ladders over its number.
    pub ladders: Vec<u32>,
    /// Current features, by [`Trait`]; [`ALWAYS`] where there is none.
    features: [u8; 4],
    /// Current and former ones that are in use.
    coded: Vec<u8>,
    samples: [Option<Box<Samples>>; 4],
    /// Publications that had it.
    pub seen: u64,
    /// The slot whose name came after it in the last of them.
    follower: SlotId,
    /// Of the publications in hand that had it.
    pub stamp: u32,
}

impl Slot {
    fn bytes(&self) -> usize {
        let samples =
            self.samples.iter().flatten().map(|samples| samples.bytes() + size_of::<Samples>()).sum::<usize>();
        let counts = self.lengths.as_deref().map_or(0, size_of_val) + self.levels.as_deref().map_or(0, size_of_val);
        samples + counts + self.ladders.capacity() * 4 + self.coded.capacity()
    }

    /// Whether a key may ask for whole prefixes of this length.
    pub fn has_room(&self, length: u8) -> bool {
        self.lengths.as_deref().is_none_or(|lengths| lengths.has_room(length))
    }

    #[inline]
    fn is_named(&self, brief: Brief, name: &str) -> bool {
        self.brief == brief && (brief.is_whole() || *self.name == *name)
    }
}

/// All of a tenant.
#[derive(Debug)]
pub struct Schema {
    hashing: Seeded,
    names: Finder,
    slots: Pages<Option<Slot>>,
    features: Vec<Option<Feature>>,
    features_free: Vec<u8>,
    /// What the publication has whose programs run, by slot.
    pub readings: Pages<Reading>,
    pub rows: u32,
    /// Publications judged.
    pub events: u64,
    /// Features made.
    #[cfg(test)]
    pub made: u64,
    name_bytes: usize,
    /// Most slots.
    pub slots_max: usize,
    /// Features that lanes are to leave.
    pub stale: [u64; 4],
    /// Rows without anything to look them up by.
    pub scanned: u32,
    /// Whether some key proves to be frequent: rows under such a key choose again.
    pub is_suspicious: bool,
}

impl Schema {
    /// Asks for nothing.
    pub fn new(hashing: Seeded) -> Self {
        Self {
            hashing,
            names: Finder::new(),
            slots: Pages::new(),
            features: vec![None],
            features_free: Vec::new(),
            readings: Pages::new(),
            rows: 0,
            events: 0,
            #[cfg(test)]
            made: 0,
            name_bytes: 0,
            slots_max: NO_SLOT as usize,
            stale: [0; 4],
            scanned: 0,
            is_suspicious: false,
        }
    }

    /// The slot of a name.
    #[inline]
    pub fn find(&self, name: &str) -> Option<SlotId> {
        self.find_brief(Brief::of(name), name)
    }

    #[inline]
    fn find_brief(&self, brief: Brief, name: &str) -> Option<SlotId> {
        self.names.find(self.hash(brief, name), |slot| self.slot(slot).is_named(brief, name))
    }

    /// The slot of a name that comes after that of another slot: mostly the same as last time.
    #[inline]
    pub fn find_after(&mut self, before: SlotId, name: &str) -> Option<SlotId> {
        let brief = Brief::of(name);
        if let Some(follower) = self.slots.get(before).and_then(Option::as_ref).map(|slot| slot.follower)
            && let Some(Some(slot)) = self.slots.get(follower)
            && slot.is_named(brief, name)
        {
            return Some(follower);
        }
        let found = self.find_brief(brief, name)?;
        if let Some(Some(slot)) = self.slots.get_mut(before) {
            slot.follower = found;
        }
        Some(found)
    }

    /// How many further names can have a slot: words have 24 bits for it, and all of them set for none. A tenant comes near that only
    /// where the limit on bytes was raised, as each name is charged its slot. The filters that it subscribes with then are evaluated
    /// plainly, and take longer than they are charged.
    pub fn room(&self) -> usize {
        (self.slots_max + self.slots.free()).saturating_sub(self.slots.len())
    }

    /// The slot of a name, from now on; one more use of it.
    ///
    /// # Panics
    /// If it is a further name, and there is no room.
    pub fn intern(&mut self, name: &Arc<str>) -> SlotId {
        if let Some(slot) = self.find(name) {
            self.slot_mut(slot).uses += 1;
            return slot;
        }
        let brief = Brief::of(name);
        let slot = Slot {
            name: name.clone(),
            brief,
            uses: 1,
            symbols: 0,
            presences: 0,
            keys: 0,
            lengths: None,
            levels: None,
            ladders: Vec::new(),
            features: [ALWAYS; 4],
            coded: Vec::new(),
            samples: [None, None, None, None],
            seen: 0,
            follower: 0,
            stamp: 0,
        };
        self.name_bytes += text_bytes(name);
        assert!(self.room() > 0, "filters without room for their names are evaluated whole");
        let id = self.slots.insert(Some(slot));
        self.readings.reach(id);
        self.names.insert(self.hash(brief, name), id);
        id
    }

    /// One more use of a slot.
    pub fn retain(&mut self, slot: SlotId) {
        self.slot_mut(slot).uses += 1;
    }

    /// One use less.
    pub fn release(&mut self, id: SlotId) {
        let slot = self.slot_mut(id);
        slot.uses -= 1;
        if slot.uses > 0 {
            return;
        }
        let slot = self.slots.remove(id).expect("a slot in use");
        assert!(slot.coded.is_empty() && slot.ladders.is_empty(), "features and ladders use their slot");
        self.names.remove(self.hash(slot.brief, &slot.name), id);
        self.name_bytes -= text_bytes(&slot.name);
    }

    /// A slot in use.
    #[inline]
    pub fn slot(&self, id: SlotId) -> &Slot {
        self.slots[id].as_ref().expect("a slot in use")
    }

    /// A slot in use.
    #[inline]
    pub fn slot_mut(&mut self, id: SlotId) -> &mut Slot {
        self.slots[id].as_mut().expect("a slot in use")
    }

    /// The current feature of a slot, made if need be; `None` if there are too many.
    pub fn feature(&mut self, slot: SlotId, what: Trait) -> Option<u8> {
        let current = self.slot(slot).features[what as usize];
        if current != ALWAYS {
            return Some(current);
        }
        let samples = self.slot(slot).samples[what as usize].as_ref();
        let quantiser = samples.map_or_else(Quantiser::default, |samples| Quantiser::learn(samples.kept()));
        self.succeed(slot, what, quantiser)
    }

    /// The current feature of a slot, if there is one.
    pub fn current(&self, slot: SlotId, what: Trait) -> Option<u8> {
        Some(self.slot(slot).features[what as usize]).filter(|&feature| feature != ALWAYS)
    }

    /// A new current feature.
    fn succeed(&mut self, slot: SlotId, what: Trait, quantiser: Quantiser) -> Option<u8> {
        let feature = Feature { slot, what, quantiser, labels: Labels::default(), uses: 0 };
        // Low numbers first: looking features up costs the more, the higher the highest.
        let lowest = (0..self.features_free.len()).min_by_key(|&at| self.features_free[at]);
        let id = match lowest {
            Some(at) => self.features_free.swap_remove(at),
            None => {
                let id = u8::try_from(self.features.len()).ok()?;
                self.features.push(None);
                id
            }
        };
        self.features[usize::from(id)] = Some(feature);
        #[cfg(test)]
        {
            self.made += 1;
        }
        let entry = self.slot_mut(slot);
        entry.features[what as usize] = id;
        entry.coded.push(id);
        entry.uses += 1;
        Some(id)
    }

    /// Features in use are below this.
    pub fn features_end(&self) -> usize {
        self.features.len()
    }

    /// Has the stamp of a place looked at; whether there is such a place.
    pub fn fade(&mut self, at: SlotId, fade: impl FnOnce(&mut u32)) -> bool {
        let Some(place) = self.slots.get_mut(at) else { return false };
        if let Some(slot) = place {
            fade(&mut slot.stamp);
        }
        true
    }

    /// Stamps of all names.
    #[cfg(test)]
    pub fn stamps(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().flatten().map(|slot| slot.stamp)
    }

    /// A feature in use.
    pub fn quantiser(&self, feature: u8) -> &Quantiser {
        &self.features[usize::from(feature)].as_ref().expect("a feature in use").quantiser
    }

    /// The labels of a feature in use.
    pub fn labels(&mut self, feature: u8) -> &mut Labels {
        &mut self.features[usize::from(feature)].as_mut().expect("a feature in use").labels
    }

    /// The attribute of a feature in use, if it codes numbers.
    pub fn slot_of_number(&self, feature: u8) -> Option<SlotId> {
        let feature = self.features[usize::from(feature)].as_ref().expect("a feature in use");
        (feature.what == Trait::Number).then_some(feature.slot)
    }

    /// A lane uses a feature.
    pub fn retain_feature(&mut self, feature: u8) {
        if feature != ALWAYS {
            self.features[usize::from(feature)].as_mut().expect("a feature in use").uses += 1;
        }
    }

    /// A lane uses it no more.
    pub fn release_feature(&mut self, id: u8) {
        if id == ALWAYS {
            return;
        }
        let feature = self.features[usize::from(id)].as_mut().expect("a feature in use");
        feature.uses -= 1;
        if feature.uses == 0 {
            self.drop_feature(id);
        }
    }

    /// Drops a feature that no lane uses.
    pub fn drop_unused(&mut self, id: u8) {
        if self.features[usize::from(id)].as_ref().is_some_and(|feature| feature.uses == 0) {
            self.drop_feature(id);
        }
    }

    fn drop_feature(&mut self, id: u8) {
        let feature = self.features[usize::from(id)].take().expect("a feature in use");
        self.features_free.push(id);
        while let Some(None) = self.features.last()
            && self.features.len() > 1
        {
            self.features.pop();
            let length = self.features.len();
            self.features_free.retain(|&free| usize::from(free) < length);
        }
        self.stale[usize::from(id / 64)] &= !(1 << (id % 64));
        let slot = self.slot_mut(feature.slot);
        slot.coded.retain(|&other| other != id);
        if slot.features[feature.what as usize] == id {
            slot.features[feature.what as usize] = ALWAYS;
        }
        self.release(feature.slot);
    }

    /// Whether lanes are to leave a feature.
    #[inline]
    pub fn is_stale(&self, id: u8) -> bool {
        self.stale[usize::from(id / 64)] & (1 << (id % 64)) != 0
    }

    /// Whether lanes are to leave any.
    pub fn has_stale(&self) -> bool {
        self.stale.iter().any(|&word| word != 0)
    }

    /// A filter compares with a constant. When there is enough to learn from, and boundaries do not fit it, the feature is
    /// succeeded; says so.
    pub fn note_constant(&mut self, slot: SlotId, what: Trait, constant: f64) -> bool {
        /// The first constants to learn from. Later ones are looked at whenever their number has doubled.
        const FIRST: u64 = 16;
        /// Share of one code beyond which boundaries do not fit: twelve times the mean. Codes learnt from a few hundred samples
        /// are up to five times as wide as the mean, and as many other samples fall there by chance; a lower limit would have rows
        /// settle again for nothing.
        const CROWDING_MAX: f64 = 0.05;
        /// So many samples fill all codes, whatever fitted before: once, while moving rows is cheap.
        const FULL: u64 = 1024;
        let current = self.slot(slot).features[what as usize];
        let samples = self.slot_mut(slot).samples[what as usize].get_or_insert_default();
        samples.note(constant);
        if !(samples.seen() >= FIRST && samples.seen().is_power_of_two()) {
            return false;
        }
        let samples = samples.clone();
        let fits = current != ALWAYS && samples.seen() != FULL && {
            let share = self.quantiser(current).crowding(&samples);
            let count = f64::from(u32::try_from(samples.kept().len()).expect("few samples"));
            share <= CROWDING_MAX.max(1.5 / count)
        };
        if fits || (current != ALWAYS && self.is_stale(current)) {
            return false;
        }
        let learnt = self.succeed(slot, what, Quantiser::learn(samples.kept())).is_some();
        if learnt && current != ALWAYS {
            self.stale[usize::from(current / 64)] |= 1 << (current % 64);
            self.drop_unused(current);
        }
        learnt
    }

    /// The codes of the publication in hand for the features of a slot that it has.
    #[inline]
    pub fn code(&self, kernel: Kernel, slot: &Slot, reading: &Reading, codes: &mut Codes) {
        for &id in &slot.coded {
            let feature = self.features[usize::from(id)].as_ref().expect("a feature in use");
            codes[usize::from(id)] = match (feature.what, reading.kind) {
                (Trait::Number, Kind::Number) | (Trait::Latitude, Kind::Point) => {
                    feature.quantiser.code(kernel, reading.down)
                }
                (Trait::Longitude, Kind::Point) => feature.quantiser.code(kernel, reading.up),
                (Trait::Symbol, Kind::Number | Kind::Text | Kind::Bool) if reading.symbol != 0 => {
                    feature.labels.code(reading.symbol)
                }
                (Trait::Number | Trait::Symbol | Trait::Latitude | Trait::Longitude, _) => OTHER,
            };
        }
    }

    /// Beside codes, where in their intervals the numbers of the publication in hand lie.
    #[inline]
    pub fn code_finely(&self, slot: &Slot, reading: &Reading, codes: &Codes, fine: &mut Codes) {
        for &id in &slot.coded {
            let feature = self.features[usize::from(id)].as_ref().expect("a feature in use");
            fine[usize::from(id)] = match feature.what {
                Trait::Number => feature.quantiser.fine(reading.down, codes[usize::from(id)]),
                // Their tests are told apart by codes alone.
                Trait::Symbol | Trait::Latitude | Trait::Longitude => 0,
            };
        }
    }

    /// Takes the codes of a slot back.
    #[inline]
    pub fn uncode(slot: &Slot, codes: &mut Codes) {
        for &id in &slot.coded {
            codes[usize::from(id)] = MISSING;
        }
    }

    /// Heap bytes, without what each attribute takes beside its place.
    pub fn own_bytes(&self) -> usize {
        let features = self.features.capacity() * size_of::<Option<Feature>>();
        let learnt: usize =
            self.features.iter().flatten().map(|feature| feature.quantiser.bytes() + feature.labels.bytes()).sum();
        self.names.bytes() + self.slots.bytes() + self.readings.bytes() + features + learnt + self.name_bytes
    }

    /// Heap bytes of up to so many attributes from a place on; and the place to go on from, unless that was the end.
    pub fn slot_bytes(&self, from: usize, slots_max: usize) -> (usize, Option<usize>) {
        let end = self.slots.len().min(from.saturating_add(slots_max));
        let place = |place| u32::try_from(place).expect("numbered in 24 bits");
        let bytes = (from..end).filter_map(|at| self.slots[place(at)].as_ref()).map(Slot::bytes).sum();
        (bytes, (end < self.slots.len()).then_some(end))
    }

    #[inline]
    fn hash(&self, brief: Brief, name: &str) -> u64 {
        let mut hasher = self.hashing.build_hasher();
        for word in brief.words() {
            hasher.write_u64(word);
        }
        if !brief.is_whole() {
            hasher.write(name.as_bytes());
        }
        hasher.finish()
    }
}
