//! Rows of one filter, or one row with several lanes: its lanes lead to the crowd, and the crowd to all its rows. Most crowds are
//! of the second kind, so the common case takes one allocation.

use std::ops::Deref;

use super::RowId;
use super::blocks::{Place, Target};
use super::clusters::TenantId;

/// The rows of a crowd.
#[expect(clippy::box_collection, reason = "most crowds have one row, and a vector would take three words of each")]
#[derive(Debug, Default)]
pub enum Rows {
    /// Not any more, or not yet.
    #[default]
    None,
    /// One.
    One(RowId),
    /// Several, or one that is left of them.
    Many(Box<Vec<RowId>>),
}

impl Rows {
    /// All of them.
    #[inline]
    pub fn as_slice(&self) -> &[RowId] {
        match self {
            Self::None => &[],
            Self::One(row) => std::slice::from_ref(row),
            Self::Many(rows) => rows,
        }
    }

    /// Adds one.
    pub fn push(&mut self, row: RowId) {
        match self {
            Self::None => *self = Self::One(row),
            &mut Self::One(first) => {
                let mut rows = Vec::with_capacity(2);
                rows.extend([first, row]);
                *self = Self::Many(Box::new(rows));
            }
            Self::Many(rows) => rows.push(row),
        }
    }

    /// Takes the one at a position out; the last one comes there.
    pub fn swap_remove(&mut self, at: usize) {
        match self {
            Self::None | Self::One(_) => *self = Self::None,
            Self::Many(rows) => {
                rows.swap_remove(at);
                match rows.as_slice() {
                    [] => *self = Self::None,
                    &[row] => *self = Self::One(row),
                    left if 4 * left.len() + 8 < rows.capacity() => rows.shrink_to(2 * rows.len()),
                    _ => {}
                }
            }
        }
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::None | Self::One(_) => 0,
            Self::Many(rows) => size_of::<Vec<RowId>>() + rows.capacity() * size_of::<RowId>(),
        }
    }
}

impl Deref for Rows {
    type Target = [RowId];

    #[inline]
    fn deref(&self) -> &[RowId] {
        self.as_slice()
    }
}

/// A crowd.
#[derive(Debug, Default)]
pub struct Crowd {
    /// Its rows.
    pub rows: Rows,
    /// Where its programs begin, in order of their words; then two words a lane, block and lane.
    body: Box<[u32]>,
    programs: u32,
    /// The publication that satisfied it last.
    pub stamp: u32,
    /// Whose.
    pub tenant: TenantId,
}

impl Crowd {
    /// Without rows, and with room for so many lanes.
    pub fn new(tenant: TenantId, programs: impl ExactSizeIterator<Item = u32>, lanes: usize) -> Self {
        let count = programs.len();
        let mut body = Vec::with_capacity(count + 2 * lanes);
        body.extend(programs);
        body.resize(count + 2 * lanes, Place::NOWHERE.block);
        Self {
            rows: Rows::None,
            body: body.into(),
            programs: u32::try_from(count).expect("few programs"),
            stamp: 0,
            tenant,
        }
    }

    /// Makes room for so many lanes, and forgets those that it had.
    pub fn reserve(&mut self, lanes: usize) {
        let programs = self.programs as usize;
        if self.body.len() == programs + 2 * lanes {
            self.body[programs..].fill(Place::NOWHERE.block);
        } else {
            let rows = std::mem::take(&mut self.rows);
            let stamp = self.stamp;
            *self = Self::new(self.tenant, self.body[..programs].iter().copied(), lanes);
            (self.rows, self.stamp) = (rows, stamp);
        }
    }

    /// Where its programs begin.
    #[inline]
    pub fn programs(&self) -> &[u32] {
        &self.body[..self.programs as usize]
    }

    /// How many lanes it has room for: all that it has, but while they are put or taken.
    #[inline]
    pub fn lanes(&self) -> usize {
        (self.body.len() - self.programs as usize) / 2
    }

    /// One of its lanes.
    #[inline]
    pub fn place(&self, index: usize) -> Place {
        let at = self.programs as usize + 2 * index;
        Place { block: self.body[at], lane: self.body[at + 1] }
    }

    /// A lane has been put, or has moved.
    #[inline]
    pub fn set_place(&mut self, index: usize, place: Place) {
        let at = self.programs as usize + 2 * index;
        (self.body[at], self.body[at + 1]) = (place.block, place.lane);
    }

    /// A lane has moved.
    pub fn relocate(&mut self, from: Place, to: Place) {
        let index = (0..self.lanes()).find(|&index| self.place(index) == from).expect("a crowd knows its lanes");
        self.set_place(index, to);
    }

    /// What its lanes lead to: the crowd, or the row if it is the only one.
    pub fn target(&self, number: u32) -> Target {
        match self.rows.as_slice() {
            &[row] => Target::several(row),
            _ => Target::crowd(number),
        }
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.rows.bytes() + self.body.len() * size_of::<u32>()
    }

    /// The memory that its lanes stand in begins here.
    #[inline]
    pub fn body(&self) -> Option<&u32> {
        self.body.first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_and_go_and_take_no_more_room_than_they_need() {
        let mut rows = Rows::default();
        for row in 0..100 {
            rows.push(RowId(row));
        }
        assert_eq!(rows.len(), 100);
        while rows.len() > 1 {
            rows.swap_remove(0);
        }
        assert_eq!((rows.as_slice(), rows.bytes()), (&[RowId(1)][..], 0));
        rows.swap_remove(0);
        assert!(rows.is_empty());
    }

    #[test]
    fn a_crowd_keeps_its_programs_and_rows_when_its_lanes_change() {
        let mut crowd = Crowd::new(3, [7, 8].into_iter(), 2);
        crowd.rows.push(RowId(5));
        let place = |block| Place { block, lane: 1 };
        crowd.set_place(0, place(1));
        crowd.set_place(1, place(2));
        crowd.relocate(place(2), place(9));
        assert_eq!((crowd.place(0), crowd.place(1)), (place(1), place(9)));
        crowd.reserve(5);
        assert_eq!((crowd.programs(), crowd.lanes(), crowd.rows.len()), (&[7, 8][..], 5, 1));
        assert_eq!(crowd.bytes(), 12 * 4);
    }
}
