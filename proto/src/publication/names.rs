//! Names of attributes come again in every publication of a kind: they share one text each. A small table in which a name has
//! one place; another name of that place takes it over, so that nothing grows whatever names come.

use std::sync::Arc;

/// Places: enough for the names of a few kinds of devices.
const PLACES: usize = 64;

/// Longer names are not worth a place.
const NAME_BYTES_MAX: usize = 64;

#[derive(Clone, Debug, Default)]
pub struct Names {
    places: Vec<Option<Arc<str>>>,
}

impl Names {
    /// The shared text of a name.
    #[inline]
    pub fn share(&mut self, name: &str) -> Arc<str> {
        if name.len() > NAME_BYTES_MAX {
            return Arc::from(name);
        }
        if self.places.is_empty() {
            self.places.resize(PLACES, None);
        }
        let place = &mut self.places[place(name.as_bytes())];
        match place {
            Some(known) if **known == *name => known.clone(),
            Some(_) | None => place.insert(Arc::from(name)).clone(),
        }
    }
}

/// From the length, the first and the last bytes: names of one kind of device differ in these.
fn place(name: &[u8]) -> usize {
    let byte = |index: usize| name.get(index).copied().map_or(0, usize::from);
    let ends = byte(0) ^ (byte(1) << 2) ^ (byte(name.len().wrapping_sub(1)) << 1) ^ (byte(name.len() / 2) << 3);
    (ends ^ name.len().wrapping_mul(7)) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_again_shares_its_text_and_others_are_never_taken_for_it() {
        let mut names = Names::default();
        let first = names.share("temperature");
        assert!(Arc::ptr_eq(&first, &names.share("temperature")));
        for number in 0..1000 {
            let name = format!("n{number}");
            assert_eq!(&*names.share(&name), name);
        }
        let long = "x".repeat(1000);
        assert_eq!(&*names.share(&long), long);
        assert_eq!(&*names.share(""), "");
    }
}
