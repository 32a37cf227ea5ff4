//! Names in two words: those of attributes are short, and are compared without looking at where they lie.

use gomera_cluster::table::last_word;

/// A text of up to 16 bytes whole, of a longer one both ends and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brief {
    head: u64,
    tail: u64,
    length: usize,
}

/// Texts that are said whole.
const WHOLE: usize = 16;

impl Brief {
    /// Of a text.
    #[inline]
    pub fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let tail = last_word(bytes);
        let head = bytes.first_chunk().map_or(tail, |head| u64::from_le_bytes(*head));
        Self { head, tail, length: bytes.len() }
    }

    /// Whether it says all of the text: then texts are equal if these are.
    #[inline]
    pub fn is_whole(self) -> bool {
        self.length <= WHOLE
    }

    /// The words, and what tells texts of other lengths apart in the second.
    #[inline]
    pub fn words(self) -> [u64; 2] {
        [self.head, self.tail ^ u64::try_from(self.length).unwrap_or(u64::MAX).rotate_right(8)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_are_told_apart_whole_and_long_ones_by_their_ends() {
        let mut text = String::new();
        let mut all = vec![Brief::of(&text)];
        for length in 1..=WHOLE {
            text.push('x');
            all.push(Brief::of(&text));
            for at in 0..length {
                let mut other = text.clone();
                other.replace_range(at..=at, "y");
                all.push(Brief::of(&other));
            }
        }
        assert!(all.iter().all(|brief| brief.is_whole()));
        for (index, brief) in all.iter().enumerate() {
            assert!(!all[..index].contains(brief), "{brief:?}");
        }
        let (one, other) = (Brief::of("temperature-of-water"), Brief::of("temperatu?e-of-water"));
        assert!(one == other && !one.is_whole(), "what is between the ends is not said");
        assert_ne!(Brief::of("a"), Brief::of("a\0"));
    }
}
