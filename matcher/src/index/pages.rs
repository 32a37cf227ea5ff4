//! A table of places numbered from 0, in pages that never move: growing costs the same at every size. Places are used again
//! after they are given back.

use std::fmt;

/// Elements of a page.
const PAGE: usize = 512;

/// Places by number.
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

impl<T: Default> Pages<T> {
    /// Holds nothing.
    pub fn new() -> Self {
        Self { pages: Vec::new(), length: 0, free: Vec::new() }
    }

    /// How many places there are, free ones included.
    #[inline]
    pub fn len(&self) -> usize {
        self.length
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
    pub fn insert(&mut self, element: T) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.length).expect("places are numbered in 32 bits");
            self.reach(index);
            index
        });
        self[index] = element;
        index
    }

    /// Empties a place.
    pub fn remove(&mut self, index: u32) -> T {
        self.free.push(index);
        std::mem::take(&mut self[index])
    }

    /// Heap bytes, without what elements own.
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
