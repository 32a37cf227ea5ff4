//! The same cells as in `loadtest content`: filter `k` is `a = k mod A AND b = (k / A) mod B AND lo <= c AND c < lo + 10`, one
//! filter a cell, and belongs to connection `k mod connections`. A message of 200 bytes begins with what it says of itself.

use anyhow::{Context as _, Result};
use rand::RngExt as _;

/// Values of `c` per cell of (a, b).
pub const RANGE_WIDTH: u32 = 10;

/// Bytes of a message.
pub const MESSAGE_BYTES: usize = 200;

/// The space.
#[derive(Clone, Copy, Debug)]
pub struct Cells {
    pub filters: u64,
    pub connections: u64,
    side: u64,
}

/// What a message says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When it was sent, in nanoseconds of the generator's clock.
    pub sent_ns: u64,
    pub publisher: u32,
    pub number: u64,
    pub a: u32,
    pub b: u32,
    pub c: u32,
}

impl Cells {
    /// # Errors
    /// If there is no filter or no connection.
    pub fn new(filters: u64, connections: u64) -> Result<Self> {
        anyhow::ensure!(filters >= 1, "--filters is 0, must be at least 1");
        anyhow::ensure!(connections >= 1, "--connections is 0, must be at least 1");
        anyhow::ensure!(filters < 1 << 32, "--filters is {filters}, must be below 2^32");
        let side = (1..).find(|side| side * side * side >= filters).expect("some cube is large enough");
        Ok(Self { filters, connections, side })
    }

    /// a, b and the number of the range of c.
    pub fn coordinates(&self, filter: u64) -> [u32; 3] {
        let all = [filter % self.side, filter / self.side % self.side, filter / (self.side * self.side)];
        all.map(|coordinate| u32::try_from(coordinate).expect("filters are below 2^32"))
    }

    /// The filters of a connection.
    pub fn filters_of(&self, connection: u64) -> impl Iterator<Item = u64> {
        let step = usize::try_from(self.connections).expect("connections fit a usize");
        (connection..self.filters).step_by(step)
    }

    /// Which connection's filter a publication of these coordinates satisfies.
    pub fn connection_of(&self, mark: &Mark) -> u64 {
        let range = u64::from(mark.c / RANGE_WIDTH);
        let filter = u64::from(mark.a) + self.side * (u64::from(mark.b) + self.side * range);
        filter % self.connections
    }

    /// A message of a random cell.
    pub fn message(&self, random: &mut impl rand::Rng, sent_ns: u64, publisher: u32, number: u64) -> Mark {
        let [a, b, range] = self.coordinates(random.random_range(0..self.filters));
        let c = range * RANGE_WIDTH + random.random_range(0..RANGE_WIDTH);
        Mark { sent_ns, publisher, number, a, b, c }
    }
}

impl Mark {
    /// As a message.
    pub fn write(&self) -> [u8; MESSAGE_BYTES] {
        let mut message = [b'.'; MESSAGE_BYTES];
        message[..8].copy_from_slice(&self.sent_ns.to_le_bytes());
        message[8..16].copy_from_slice(&self.number.to_le_bytes());
        for (index, part) in [self.publisher, self.a, self.b, self.c].into_iter().enumerate() {
            message[16 + 4 * index..20 + 4 * index].copy_from_slice(&part.to_le_bytes());
        }
        message
    }

    /// From a message.
    pub fn read(message: &[u8]) -> Result<Self> {
        let message = message.get(..32).context("a message that is too short to be ours")?;
        let wide = |at: usize| u64::from_le_bytes(message[at..at + 8].try_into().expect("8 bytes"));
        let narrow = |at: usize| u32::from_le_bytes(message[at..at + 4].try_into().expect("4 bytes"));
        Ok(Self {
            sent_ns: wide(0),
            number: wide(8),
            publisher: narrow(16),
            a: narrow(20),
            b: narrow(24),
            c: narrow(28),
        })
    }
}
