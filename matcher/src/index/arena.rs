//! Runs of elements of any length, packed into pages. A run is known by its offset, which never moves; freed runs are used
//! again for runs of the same length. Pages are never moved either, so that growing costs the same at every size.

use std::fmt;

/// Elements of a page.
const PAGE: usize = 1 << 15;

/// The longest run.
pub const RUN_MAX: usize = 8192;

/// Columns of 64 lanes are read as whole cache lines.
const ALIGNMENT: usize = 64;

/// Runs of elements.
#[derive(Debug)]
pub struct Arena<T> {
    pages: Vec<Page<T>>,
    /// Elements of the last page that are given out.
    used: usize,
    /// Freed runs by length.
    free: Vec<Vec<u32>>,
    free_bytes: usize,
}

struct Page<T> {
    elements: Box<[T]>,
    /// Where the page begins, for alignment.
    first: usize,
}

/// Not the elements: nobody wants to read a hundred thousand bytes.
impl<T> fmt::Debug for Page<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({} elements)", self.elements.len())
    }
}

impl<T: Copy + Default> Arena<T> {
    /// Holds nothing.
    pub fn new() -> Self {
        Self { pages: Vec::new(), used: PAGE, free: Vec::new(), free_bytes: 0 }
    }

    /// A run of so many elements, of any content; at least one, at most [`RUN_MAX`].
    pub fn allocate(&mut self, length: usize) -> u32 {
        assert!((1..=RUN_MAX).contains(&length), "a run of {length} elements");
        if let Some(offset) = self.free.get_mut(length).and_then(Vec::pop) {
            return offset;
        }
        if self.used + length > PAGE {
            let rest = PAGE - self.used;
            if rest > 0 && rest <= RUN_MAX {
                self.free(offset_of(self.pages.len() - 1, self.used), rest);
            }
            let elements = vec![T::default(); PAGE + ALIGNMENT / size_of::<T>()].into_boxed_slice();
            let first = elements.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT / size_of::<T>());
            self.pages.push(Page { elements, first });
            self.used = 0;
        }
        let offset = offset_of(self.pages.len() - 1, self.used);
        self.used += length;
        offset
    }

    /// Gives a run back.
    pub fn free(&mut self, offset: u32, length: usize) {
        if self.free.len() <= length {
            let before = self.free.capacity();
            self.free.resize_with(length + 1, Vec::new);
            self.free_bytes += (self.free.capacity() - before) * size_of::<Vec<u32>>();
        }
        let list = &mut self.free[length];
        let before = list.capacity();
        list.push(offset);
        self.free_bytes += (list.capacity() - before) * size_of::<u32>();
    }

    /// From an offset to the end of its page.
    #[inline]
    pub fn from(&self, offset: u32) -> &[T] {
        let (page, at) = place_of(offset);
        let page = &self.pages[page];
        &page.elements[page.first + at..]
    }

    /// A run.
    #[inline]
    pub fn get(&self, offset: u32, length: usize) -> &[T] {
        &self.from(offset)[..length]
    }

    /// A run, to be written.
    #[inline]
    pub fn get_mut(&mut self, offset: u32, length: usize) -> &mut [T] {
        let (page, at) = place_of(offset);
        let page = &mut self.pages[page];
        &mut page.elements[page.first + at..][..length]
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        let page = PAGE * size_of::<T>() + ALIGNMENT;
        self.pages.len() * page + self.pages.capacity() * size_of::<Page<T>>() + self.free_bytes
    }
}

fn offset_of(page: usize, at: usize) -> u32 {
    u32::try_from(page * PAGE + at).expect("an arena holds at most 2^32 elements")
}

#[inline]
fn place_of(offset: u32) -> (usize, usize) {
    let offset = offset as usize;
    (offset / PAGE, offset % PAGE)
}
