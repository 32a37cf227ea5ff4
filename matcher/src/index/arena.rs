//! Runs of elements of any length, packed into pages. A run is known by its offset, which never moves; freed runs are used
//! again for runs of the same length, and pages of which nothing is in use any more for runs of any. Pages are never moved either, so that
//! growing costs the same at every size.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// Elements of a page.
const PAGE: usize = 1 << 15;

/// The longest run.
pub const RUN_MAX: usize = 8192;

/// Pages of which nothing is in use whose memory is kept.
const EMPTY_KEPT: usize = 16;

/// About what a page takes for each length of which it has freed runs.
const LENGTH_BYTES: usize = 48;

/// Columns of 64 lanes are read as whole cache lines.
const ALIGNMENT: usize = 64;

/// Where a run may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// Where one of its length was, if one is free.
    Any,
    /// Behind all others: those who move from many pages together leave pages empty.
    Fresh,
}

/// Runs of elements.
#[derive(Debug)]
pub struct Arena<T> {
    pages: Vec<Page<T>>,
    /// The page that is given out from, and how much of it is.
    current: usize,
    used: usize,
    /// Pages of which nothing is in use, for runs of any length: behind those whose memory is given back the ones whose memory is kept.
    empty: VecDeque<usize>,
    empty_kept: usize,
    /// By length: pages that have freed runs.
    with_free: Vec<BTreeSet<usize>>,
    /// Pages whose elements are there.
    pages_held: usize,
    free_bytes: usize,
}

struct Page<T> {
    elements: Box<[T]>,
    /// Where the page begins, for alignment.
    first: usize,
    /// Elements in use.
    live: usize,
    /// Freed runs by length: where in the page.
    free: BTreeMap<usize, Vec<u16>>,
}

/// Not the elements: nobody wants to read a hundred thousand bytes.
impl<T> fmt::Debug for Page<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({} of {} elements)", self.live, self.elements.len())
    }
}

impl<T: Copy + Default> Page<T> {
    fn new() -> Self {
        let elements = vec![T::default(); PAGE + ALIGNMENT / size_of::<T>()].into_boxed_slice();
        let first = elements.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT / size_of::<T>());
        Self { elements, first, live: 0, free: BTreeMap::new() }
    }

    /// What its freed runs take.
    fn free_bytes(&self) -> usize {
        self.free.values().map(|list| LENGTH_BYTES + size_of::<u16>() * list.capacity()).sum()
    }
}

impl<T: Copy + Default> Arena<T> {
    /// Holds nothing.
    pub fn new() -> Self {
        Self {
            pages: Vec::new(),
            current: 0,
            used: PAGE,
            empty: VecDeque::new(),
            empty_kept: 0,
            with_free: Vec::new(),
            pages_held: 0,
            free_bytes: 0,
        }
    }

    /// A run of so many elements, of any content; at least one, at most [`RUN_MAX`].
    pub fn allocate(&mut self, length: usize) -> u32 {
        self.allocate_at(Site::Any, length)
    }

    /// The same, at such a site.
    pub fn allocate_at(&mut self, site: Site, length: usize) -> u32 {
        assert!((1..=RUN_MAX).contains(&length), "a run of {length} elements");
        let reused = if site == Site::Any { self.reuse(length) } else { None };
        if let Some(offset) = reused {
            return offset;
        }
        if self.used + length > PAGE {
            let rest = PAGE - self.used;
            if (1..=RUN_MAX).contains(&rest) {
                self.note_free(self.current, self.used, rest);
            }
            self.turn_page();
        }
        let offset = offset_of(self.current, self.used);
        self.used += length;
        self.pages[self.current].live += length;
        offset
    }

    /// A freed run of this length.
    fn reuse(&mut self, length: usize) -> Option<u32> {
        let candidates = self.with_free.get_mut(length)?;
        let number = *candidates.last()?;
        let page = &mut self.pages[number];
        let list = page.free.get_mut(&length).expect("a page with freed runs");
        let at = list.pop().expect("no list is empty");
        page.live += length;
        if list.is_empty() {
            self.free_bytes -= LENGTH_BYTES + size_of::<u16>() * list.capacity();
            page.free.remove(&length);
            candidates.remove(&number);
        }
        Some(offset_of(number, usize::from(at)))
    }

    /// Goes on with a page of which nothing is in use.
    fn turn_page(&mut self) {
        self.used = 0;
        if let Some(number) = self.empty.pop_back() {
            self.current = number;
            if self.pages[number].elements.is_empty() {
                self.pages[number] = Page::new();
                self.pages_held += 1;
            } else {
                self.empty_kept -= 1;
            }
            return;
        }
        self.current = self.pages.len();
        self.pages.push(Page::new());
        self.pages_held += 1;
    }

    /// Gives a run back.
    pub fn free(&mut self, offset: u32, length: usize) {
        let (number, at) = place_of(offset);
        self.pages[number].live -= length;
        if self.pages[number].live > 0 {
            self.note_free(number, at, length);
            return;
        }
        // Whatever lengths its runs had, others may come now.
        self.free_bytes -= self.pages[number].free_bytes();
        for length in std::mem::take(&mut self.pages[number].free).into_keys() {
            self.with_free[length].remove(&number);
        }
        if number == self.current {
            self.used = 0;
        } else if self.empty_kept < EMPTY_KEPT {
            self.empty_kept += 1;
            self.empty.push_back(number);
        } else {
            self.pages[number].elements = Box::default();
            self.pages_held -= 1;
            self.empty.push_front(number);
        }
    }

    fn note_free(&mut self, number: usize, at: usize, length: usize) {
        let list = self.pages[number].free.entry(length).or_default();
        let before = list.capacity();
        let is_first = list.is_empty();
        list.push(u16::try_from(at).expect("a page is at most 2^16 elements"));
        self.free_bytes += (list.capacity() - before) * size_of::<u16>();
        if is_first {
            self.free_bytes += LENGTH_BYTES;
            if self.with_free.len() <= length {
                self.with_free.resize_with(length + 1, BTreeSet::new);
            }
            self.with_free[length].insert(number);
        }
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
        let lists =
            self.with_free.capacity() * size_of::<BTreeSet<usize>>() + self.empty.capacity() * size_of::<usize>();
        self.pages_held * page + self.pages.capacity() * size_of::<Page<T>>() + lists + self.free_bytes
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_ever_other_lengths_take_no_more_than_the_most_that_was_in_use() {
        let mut arena = Arena::<u32>::new();
        let mut bytes = Vec::new();
        for round in 0..40 {
            let lengths = || (0..20_000).map(|number| 5 + round + number % 3);
            let runs = lengths().map(|length| (arena.allocate(length), length)).collect::<Vec<_>>();
            for (number, &(offset, length)) in (0..).zip(&runs) {
                arena.get_mut(offset, length).fill(number);
            }
            let is_whole = |(number, &(offset, length)): (u32, &(u32, usize))| {
                arena.get(offset, length).iter().all(|&element| element == number)
            };
            assert!((0..).zip(&runs).all(is_whole), "no run lies in another");
            runs.into_iter().for_each(|(offset, length)| arena.free(offset, length));
            assert!(arena.with_free.iter().all(BTreeSet::is_empty), "nothing stale is kept of pages that are empty");
            bytes.push(arena.bytes());
        }
        assert!(bytes.iter().all(|&bytes| bytes < 3 << 20), "{bytes:?}");
    }

    #[test]
    fn a_freed_run_is_used_again_while_its_page_is_in_use() {
        let mut arena = Arena::<u8>::new();
        let first = arena.allocate(8);
        let all = (0..20_000).map(|_| arena.allocate(7)).collect::<Vec<_>>();
        let pages = arena.pages.len();
        all.iter().skip(1).step_by(2).for_each(|&offset| arena.free(offset, 7));
        let mut again = (0..10_000).map(|_| arena.allocate(7)).collect::<Vec<_>>();
        again.sort_unstable();
        let mut freed = all.iter().copied().skip(1).step_by(2).collect::<Vec<_>>();
        freed.sort_unstable();
        assert_eq!((again, arena.pages.len()), (freed, pages));
        arena.free(first, 8);
        assert_eq!(arena.allocate(8), first);
    }
}
