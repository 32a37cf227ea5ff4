//! Vectors of positions and the handles of notifications, between wire and `cluster`.

use gomera_cluster::identity::Handle;
use gomera_cluster::position::{LaneId, Number, Position, Vector};

use crate::v1;

/// From the wire.
#[must_use]
pub fn vector(wire: v1::Vector) -> Vector {
    wire.numbers.into_iter().map(|(lane, number)| Position { lane: LaneId(lane), number: Number(number) }).collect()
}

/// To the wire.
#[must_use]
pub fn to_vector(vector: &Vector) -> v1::Vector {
    to_vector_of(vector.iter())
}

/// To the wire; of two positions of one lane the later stays.
#[must_use]
pub fn to_vector_of(positions: impl IntoIterator<Item = Position>) -> v1::Vector {
    v1::Vector { numbers: positions.into_iter().map(|position| (position.lane.0, position.number.0)).collect() }
}

/// Handles in ascending order as the wire has them: the first, then the differences.
#[must_use]
pub fn to_handles(handles: &[Handle]) -> Vec<u64> {
    let mut before = 0;
    handles.iter().map(|handle| handle.0 - std::mem::replace(&mut before, handle.0)).collect()
}

/// The inverse of [`to_handles`].
#[must_use]
pub fn handles(wire: &[u64]) -> Vec<Handle> {
    let mut sum = 0_u64;
    wire.iter()
        .map(|difference| {
            sum = sum.wrapping_add(*difference);
            Handle(sum)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    //! Claims about handles on the wire.

    use super::*;

    #[test]
    fn handles_travel_as_differences() {
        let given = [Handle(5), Handle(7), Handle(1 << 33)];
        assert_eq!(to_handles(&given), [5, 2, (1 << 33) - 7]);
        assert_eq!(handles(&to_handles(&given)), given);
        assert!(to_handles(&[]).is_empty());
    }
}
