//! The features of a lane, without the heap.

use super::blocks::TESTS_MAX;
use super::schema::Schema;

/// A few features.
#[derive(Debug, Default)]
pub struct Features {
    features: [u8; TESTS_MAX],
    count: usize,
}

impl FromIterator<u8> for Features {
    fn from_iter<I: IntoIterator<Item = u8>>(features: I) -> Self {
        let mut all = Self::default();
        for feature in features {
            all.features[all.count] = feature;
            all.count += 1;
        }
        all
    }
}

impl Features {
    /// One use less of each.
    pub fn release(&self, schema: &mut Schema) {
        for &feature in &self.features[..self.count] {
            schema.release_feature(feature);
        }
    }
}
