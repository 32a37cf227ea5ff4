//! Lengths of the prefixes that filters ask for, by attribute: a publication looks up the beginnings of its text of these lengths.
//!
//! ```text
//!   urn:ngsi-ld:Road:porto:1…     filters ask for      found by
//!   urn:ngsi-ld:Road:porto:       23 bytes             the prefix itself: who finds it has passed the test
//!   urn:ngsi-ld:Road:port         20 of 23 bytes       its first 20, where an attribute has too many lengths: its program decides
//! ```
//! Of whole prefixes there are few lengths at a time, those that came first; the others are cut. So what a publication looks up is bounded,
//! whatever lengths filters have.

/// Prefixes that are cut are looked up by their first so many bytes.
pub const CUTS: [usize; 16] = [1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128];

/// Lengths of whole prefixes at a time.
const WHOLE_MAX: usize = 16;

/// How many keys ask for prefixes of each length.
#[derive(Debug, Default)]
pub struct Lengths {
    /// By place in [`CUTS`].
    cut: [u32; CUTS.len()],
    /// Lengths in use, and how many keys ask for each; places without keys are free.
    whole: [u8; WHOLE_MAX],
    keys: [u32; WHOLE_MAX],
}

impl Lengths {
    /// Whether a key may ask for whole prefixes of this length.
    pub fn has_room(&self, length: u8) -> bool {
        self.place(length).is_some() || self.keys.contains(&0)
    }

    /// A key for whole prefixes of a length is made, or gone.
    pub fn count_whole(&mut self, length: u8, made: bool) {
        if made {
            let place = self.place(length).or_else(|| self.keys.iter().position(|&keys| keys == 0));
            let place = place.expect("there is room for what is made");
            self.whole[place] = length;
            self.keys[place] += 1;
        } else {
            let place = self.place(length).expect("what goes was made");
            self.keys[place] -= 1;
        }
    }

    /// A key for prefixes cut at a place in [`CUTS`] is made, or gone.
    pub fn count_cut(&mut self, index: usize, made: bool) {
        let keys = &mut self.cut[index];
        *keys = if made { *keys + 1 } else { *keys - 1 };
    }

    /// Lengths of whole prefixes that keys ask for.
    #[inline]
    pub fn whole(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.iter().zip(&self.keys).filter(|&(_, &keys)| keys > 0).map(|(&length, _)| length)
    }

    /// Places in [`CUTS`] that keys ask for.
    #[inline]
    pub fn cut(&self) -> impl Iterator<Item = usize> + '_ {
        self.cut.iter().enumerate().filter(|&(_, &keys)| keys > 0).map(|(index, _)| index)
    }

    fn place(&self, length: u8) -> Option<usize> {
        self.whole.iter().zip(&self.keys).position(|(&other, &keys)| other == length && keys > 0)
    }
}

/// Where a prefix of so many bytes is cut, a place in [`CUTS`]; the empty one is not looked up.
pub fn cut(length: usize) -> Option<usize> {
    CUTS.iter().rposition(|&cut| cut <= length)
}

#[cfg(test)]
mod tests;
