//! A table of places numbered from 0, in pages that never move but for the first, which doubles until it is whole: small tables are
//! small, and growing costs the same at every size. Places are used again after they are given back.

use std::fmt;

/// Elements of a page.
const PAGE: usize = 512;

/// Elements of the first page, to begin with.
const FIRST: usize = 8;

/// Places by number, below 2^32.
pub struct Pages<T> {
    pages: Vec<Box<[T]>>,
    length: usize,
    free: Vec<u32>,
}

/// Only places that were ever given out.
impl<T: fmt::Debug> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pages.iter().flatten().take(self.length)).finish()?;
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

    /// The same, to be changed.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        ((index as usize) < self.length).then(|| &mut self[index])
    }

    /// Makes room so that `index` is a place.
    pub fn reach(&mut self, index: u32) {
        let index = index as usize;
        let page = |elements| std::iter::repeat_with(T::default).take(elements);
        if self.pages.is_empty() {
            self.pages.push(page(FIRST).collect());
        }
        let first = &mut self.pages[0];
        if first.len() < PAGE && index >= first.len() {
            let grown = (index + 1).next_power_of_two().min(PAGE);
            let added = page(grown - first.len());
            *first = std::mem::take(first).into_iter().chain(added).collect();
        }
        while self.pages.len() * PAGE <= index {
            self.pages.push(page(PAGE).collect());
        }
        self.length = self.length.max(index + 1);
    }

    /// All elements, those of free places too.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten().take(self.length)
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pages.iter_mut().flatten().take(self.length)
    }

    /// How many places are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len()
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
        let first = self.pages.first().map_or(0, |page| page.len());
        let places = first + self.pages.len().saturating_sub(1) * PAGE;
        let pages = places * size_of::<T>() + self.pages.capacity() * size_of::<Box<[T]>>();
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
    fn what_is_in_stays_where_it_is_once_the_first_page_is_whole() {
        let mut pages = Pages::new();
        for number in 0..512 {
            assert_eq!(pages.insert(Some(number)), number);
        }
        let before: *const Option<u32> = &raw const pages[7];
        for number in 512..5_000 {
            pages.insert(Some(number));
        }
        assert_eq!(&raw const pages[7], before);
        assert!(pages.iter().enumerate().all(|(place, &number)| number.map(|number| number as usize) == Some(place)));
        assert_eq!((pages.len(), pages.get(4_999), pages.get(5_000)), (5_000, Some(&Some(4_999)), None));
        assert_eq!((pages.remove(3), pages.free()), (Some(3), 1));
        assert_eq!((pages.insert(Some(1)), pages.free()), (3, 0), "places are used again");
    }

    #[test]
    fn a_small_table_takes_little_and_may_be_reached_into_from_nothing() {
        let mut pages = Pages::new();
        pages.insert(1_u64);
        assert_eq!(pages.bytes(), 8 * 8 + pages.pages.capacity() * 16);
        for far in [20, 700, 90] {
            let mut pages = Pages::<u64>::new();
            pages.reach(far);
            pages[far] = 5;
            assert_eq!((pages.len(), pages[far], pages[0]), (far as usize + 1, 5, 0));
        }
    }
}
