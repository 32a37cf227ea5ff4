//! A table of places numbered from 0, in pages that never move: growing costs the same at every size. Places are used again
//! after they are given back.

use std::fmt;

/// Elements of a page.
const PAGE: usize = 512;

/// Places by number, below 2^32.
pub struct Pages<T> {
    pages: Vec<Box<[T]>>,
    length: usize,
    free: Vec<u32>,
}

/// Only places that were ever given out.
impl<T: fmt::Debug> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = self.pages.iter().flatten().take(self.length);
        f.debug_list().entries(used).finish()?;
        write!(f, " free: {:?}", self.free)
    }
}

impl<T: Default> Default for Pages<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Default> Pages<T> {
    /// Holds nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { pages: Vec::new(), length: 0, free: Vec::new() }
    }

    /// How many places there are, free ones included.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no places.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What is at a place, if it is one.
    #[inline]
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&T> {
        ((index as usize) < self.length).then(|| &self[index])
    }

    /// Makes room so that `index` is a place.
    pub fn reach(&mut self, index: u32) {
        let index = index as usize;
        while self.pages.len() * PAGE <= index {
            self.pages.push(std::iter::repeat_with(T::default).take(PAGE).collect());
        }
        self.length = self.length.max(index + 1);
    }

    /// Puts an element into some place.
    ///
    /// # Panics
    /// If there would be more than 2^32.
    pub fn insert(&mut self, element: T) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.length).expect("places are numbered in 32 bits");
            self.reach(index);
            index
        });
        self[index] = element;
        index
    }

    /// Empties a place, which must be in use.
    ///
    /// # Panics
    /// If it is none.
    pub fn remove(&mut self, index: u32) -> T {
        self.free.push(index);
        std::mem::take(&mut self[index])
    }

    /// Heap bytes, without what elements own.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let pages = self.pages.len() * PAGE * size_of::<T>() + self.pages.capacity() * size_of::<Box<[T]>>();
        pages + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> std::ops::Index<u32> for Pages<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: u32) -> &T {
        let index = index as usize;
        &self.pages[index / PAGE][index % PAGE]
    }
}

impl<T> std::ops::IndexMut<u32> for Pages<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        let index = index as usize;
        &mut self.pages[index / PAGE][index % PAGE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_stays_where_it_is_while_the_table_grows() {
        let mut pages = Pages::new();
        let first = pages.insert(Some(7));
        let before: *const Option<u32> = &raw const pages[first];
        for number in 0..5_000 {
            pages.insert(Some(number));
        }
        assert_eq!(&raw const pages[first], before);
        assert_eq!((pages.len(), pages.get(5_000), pages.get(5_001)), (5_001, Some(&Some(4_999)), None));
        assert_eq!((pages.remove(3), pages.insert(Some(1))), (Some(2), 3), "places are used again");
    }
}
