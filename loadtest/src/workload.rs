//! The content workload: N filters that partition a space of three attributes, so that the right answer to every publication is
//! known without evaluating anything.
//!
//! The space has `cells = filters / matches` cells. Cell `k` is `a = k mod A AND b = (k / A) mod B AND lo <= c AND c < hi`, where
//! `c` is cut into as many ranges as are needed. `matches` filters stand for each cell. Filter `i` belongs to cell
//! `i mod cells` and to connection `i mod connections`.

use bytes::{BufMut as _, Bytes, BytesMut};
use rand::RngExt as _;

/// Values of attribute `c` per cell of (a, b).
const RANGE_WIDTH: u64 = 10;

/// Bytes of the mark at the head of each payload: scheduled time, cell, and the number of the publication in its publisher.
pub const MARK_BYTES: usize = 20;

/// The shape of the workload.
#[derive(Clone, Debug)]
pub struct Content {
    /// How many filters.
    pub filters: u64,
    /// How many connections share them.
    pub connections: u64,
    /// How many filters each publication satisfies.
    pub matches: u64,
    /// Payload bytes, at least [`MARK_BYTES`].
    pub payload_bytes: usize,
    /// Values of `a`, and of `b`.
    side: u64,
}

impl Content {
    /// A workload.
    ///
    /// # Errors
    /// If the figures do not fit together; the text says which.
    pub fn new(filters: u64, connections: u64, matches: u64, payload_bytes: usize) -> anyhow::Result<Self> {
        anyhow::ensure!(connections >= 1, "--connections is 0, must be at least 1");
        anyhow::ensure!(matches >= 1, "--matches is 0, must be at least 1");
        anyhow::ensure!(
            filters >= matches && filters.is_multiple_of(matches),
            "--filters is {filters}, must be a multiple of --matches ({matches})"
        );
        anyhow::ensure!(
            payload_bytes >= MARK_BYTES,
            "--payload is {payload_bytes}, must be at least {MARK_BYTES}: the mark of the checker"
        );
        let cells = filters / matches;
        let side = (1..).find(|side| side * side * side >= cells).expect("some cube is large enough");
        Ok(Self { filters, connections, matches, payload_bytes, side })
    }

    /// How many different cells there are.
    pub fn cells(&self) -> u64 {
        self.filters / self.matches
    }

    fn coordinates(&self, cell: u64) -> (u64, u64, u64) {
        (cell % self.side, cell / self.side % self.side, cell / (self.side * self.side))
    }

    /// The text of filter `index`.
    pub fn filter(&self, index: u64) -> String {
        let (a, b, range) = self.coordinates(index % self.cells());
        let low = range * RANGE_WIDTH;
        format!("a = {a} AND b = {b} AND {low} <= c AND c < {}", low + RANGE_WIDTH)
    }

    /// How many filters of `cell` stand at `connection`: what one notification there must say.
    pub fn satisfied_at(&self, cell: u64, connection: u64) -> u64 {
        let cells = self.cells();
        let stands = |copy: &u64| (cell + copy * cells) % self.connections == connection;
        u64::try_from((0..self.matches).filter(stands).count()).unwrap_or(u64::MAX)
    }

    /// The connections at which a publication of `cell` arrives.
    pub fn connections_of(&self, cell: u64) -> u64 {
        let cells = self.cells();
        let mut at = (0..self.matches).map(|copy| (cell + copy * cells) % self.connections).collect::<Vec<_>>();
        at.sort_unstable();
        at.dedup();
        u64::try_from(at.len()).unwrap_or(u64::MAX)
    }

    /// Encodes a publication of a random cell as `gomera.v1.Publication`. Returns its cell too.
    pub fn publication(&self, random: &mut impl rand::Rng, scheduled_ns: u64, number: u64) -> (Bytes, u64) {
        let cell = random.random_range(0..self.cells());
        let (a, b, range) = self.coordinates(cell);
        let c = range * RANGE_WIDTH + random.random_range(0..RANGE_WIDTH);
        let mut buffer = BytesMut::with_capacity(self.payload_bytes + 64);
        for (name, value) in [(b'a', a), (b'b', b), (b'c', c)] {
            put_integer_attribute(&mut buffer, name, value);
        }
        buffer.put_u8(3 << 3 | 2); // payload
        put_varint(&mut buffer, self.payload_bytes as u64);
        buffer.put_u64_le(scheduled_ns);
        buffer.put_u32_le(u32::try_from(cell).expect("--filters is below 2^32"));
        buffer.put_u64_le(number);
        buffer.put_bytes(b'.', self.payload_bytes - MARK_BYTES);
        buffer.put_u8(4 << 3 | 2); // content type: opaque, attributes are given
        put_varint(&mut buffer, 24);
        buffer.put_slice(b"application/octet-stream");
        (buffer.freeze(), cell)
    }
}

/// What the checker finds at the head of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When it should have been sent, in nanoseconds of the generator's clock.
    pub scheduled_ns: u64,
    /// Its cell.
    pub cell: u64,
    /// Its number in its publisher, from 1.
    pub number: u64,
}

impl Mark {
    /// Finds the payload in an encoded publication and reads its mark.
    pub fn find(publication: &[u8]) -> Option<Self> {
        let mut rest = publication;
        while let Some((&tag, after)) = rest.split_first() {
            let (length, after) = take_varint(after)?;
            let length = usize::try_from(length).ok()?;
            if tag == 3 << 3 | 2 {
                let mark = after.get(..MARK_BYTES)?;
                return Some(Self {
                    scheduled_ns: u64::from_le_bytes(mark[..8].try_into().ok()?),
                    cell: u64::from(u32::from_le_bytes(mark[8..12].try_into().ok()?)),
                    number: u64::from_le_bytes(mark[12..20].try_into().ok()?),
                });
            }
            rest = after.get(length..)?;
        }
        None
    }
}

/// One entry of the attributes map: a name of one letter and an integer.
fn put_integer_attribute(buffer: &mut BytesMut, name: u8, value: u64) {
    let value_bytes = 1 + varint_bytes(value);
    buffer.put_u8(2 << 3 | 2);
    put_varint(buffer, 3 + 2 + value_bytes);
    buffer.put_slice(&[1 << 3 | 2, 1, name]);
    buffer.put_u8(2 << 3 | 2);
    put_varint(buffer, value_bytes);
    buffer.put_u8(2 << 3);
    put_varint(buffer, value);
}

fn varint_bytes(value: u64) -> u64 {
    u64::from((64 - (value | 1).leading_zeros()).div_ceil(7))
}

fn put_varint(buffer: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        buffer.put_u8(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    buffer.put_u8(u8::try_from(value).expect("seven bits"));
}

fn take_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::SmallRng;

    use super::*;

    #[test]
    fn the_mark_is_found_again() {
        let content = Content::new(1_000, 10, 1, 200).expect("fits");
        let mut random = SmallRng::seed_from_u64(1);
        let (publication, cell) = content.publication(&mut random, 77, 5);
        assert_eq!(Mark::find(&publication), Some(Mark { scheduled_ns: 77, cell, number: 5 }));
    }

    #[test]
    fn every_filter_stands_at_one_connection_and_every_cell_has_its_matches() {
        let content = Content::new(60, 7, 3, 64).expect("fits");
        for cell in 0..content.cells() {
            let total = (0..7).map(|connection| content.satisfied_at(cell, connection)).sum::<u64>();
            assert_eq!(total, 3, "cell {cell}");
        }
    }

    #[test]
    fn cells_have_different_filters() {
        let content = Content::new(1_000, 10, 1, 64).expect("fits");
        let mut filters = (0..1_000).map(|index| content.filter(index)).collect::<Vec<_>>();
        filters.sort();
        filters.dedup();
        assert_eq!(filters.len(), 1_000);
    }

    #[test]
    fn figures_that_do_not_fit_are_named() {
        let error = Content::new(10, 1, 3, 64).expect_err("10 is no multiple of 3");
        assert_eq!(error.to_string(), "--filters is 10, must be a multiple of --matches (3)");
    }
}
