//! Columns: what many messages of a kind have, side by side. A column of places names the few that are out of the ordinary.

use super::LinkError;
use super::tables::count;

/// The places of those that `is` says, counted from 0.
pub fn places<T>(all: &[T], is: impl Fn(&T) -> bool) -> Vec<u32> {
    all.iter().enumerate().filter(|(_, one)| is(one)).map(|(place, _)| count(place)).collect()
}

/// Goes through what a column of places speaks of, in order.
#[derive(Debug)]
pub struct Places<'a> {
    /// Those not reached yet, rising; what does not rise is never reached, and [`Places::end`] says so.
    rest: &'a [u32],
    next: u32,
}

impl<'a> Places<'a> {
    pub fn new(places: &'a [u32]) -> Self {
        Self { rest: places, next: 0 }
    }

    /// Whether the next place is in the column.
    pub fn has_next(&mut self) -> bool {
        let next = self.next;
        self.next = next.wrapping_add(1);
        match self.rest {
            [first, rest @ ..] if *first == next => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// After the last place: what was not reached names nothing that is there, and a flag would be lost.
    pub fn end(self) -> Result<(), LinkError> {
        end(self.rest.is_empty())
    }
}

/// At the end of columns that are read side by side: nothing may be left over.
pub fn end(is_used_up: bool) -> Result<(), LinkError> {
    if is_used_up { Ok(()) } else { Err(LinkError::new("columns", "hold more than is said of them")) }
}

/// Numbers as distances from the one before.
#[derive(Debug)]
pub struct Steps {
    last: u64,
}

impl Steps {
    pub fn from(start: u64) -> Self {
        Self { last: start }
    }

    /// How far this number is above the one before.
    pub fn to(&mut self, number: u64) -> u64 {
        let step = number.wrapping_sub(self.last);
        self.last = number;
        step
    }

    /// The number that is this far above the one before.
    pub fn by(&mut self, step: u64) -> u64 {
        self.last = self.last.wrapping_add(step);
        self.last
    }
}

/// Takes the next `length` off the front of a column.
pub fn take<'a, T>(column: &mut &'a [T], length: u32) -> Option<&'a [T]> {
    let (front, rest) = column.split_at_checked(usize::try_from(length).ok()?)?;
    *column = rest;
    Some(front)
}
