//! How far each lane is judged here, and by the layout of which barrier: what an answer says to have been judged before it.
//!
//! An answer names, for each lane, the number after which its operation surely decides. Whoever answers by a layout knows that where it
//! has passed that layout's barrier: what follows is judged by those who had the operation before they answered, or before they came to
//! judge. What stands before that barrier may be judged by somebody who is told of no operation any more, so nothing is said of such a
//! lane: [`UNSAID`]. Replicas that do not decide only say how far they are themselves.

use std::collections::BTreeMap;

use gomera_cluster::layout::Epoch;
use gomera_cluster::operation::UNSAID;
use gomera_cluster::position::{LaneId, Number, Vector};

/// Whether what a shard says is the answer, or one that others may have to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saying {
    /// It decides, alone or with all others.
    Answer,
    /// Somebody else does.
    Opinion,
}

/// All lanes.
#[derive(Debug, Default)]
pub struct Judged {
    /// Per lane, the last number worked off; the lane in hand may be further.
    through: Vector,
    /// Per lane, the last number judged once more for a matcher that died.
    again: Vector,
    /// By which layout each lane is governed; 0 before its first barrier.
    by: BTreeMap<LaneId, Epoch>,
}

impl Judged {
    /// Per lane, the last number worked off.
    pub fn through(&self) -> &Vector {
        &self.through
    }

    /// A lane is worked off so far.
    pub fn raise(&mut self, lane: LaneId, number: Number) {
        self.through.raise(lane, number);
    }

    /// A lane is judged so far once more.
    pub fn raise_again(&mut self, lane: LaneId, number: Number) {
        self.again.raise(lane, number);
    }

    /// A lane is governed by this layout from here on.
    pub fn govern(&mut self, lane: LaneId, by: Epoch) {
        self.by.insert(lane, by);
    }

    /// Only these lanes are left.
    pub fn retain(&mut self, is_left: impl Fn(LaneId) -> bool) {
        let gone = self.by.extract_if(.., |&lane, _| !is_left(lane)).map(|(lane, _)| lane);
        for lane in gone {
            self.through.remove(lane);
            self.again.remove(lane);
        }
    }

    /// After which numbers the operation at `number` of a lane surely decides.
    pub fn in_force_after(&self, lane: LaneId, number: Number, saying: Saying) -> Vector {
        let mut vector = self.through.clone();
        vector.raise_all(&self.again);
        vector.raise(lane, number);
        if saying == Saying::Answer {
            let governed = self.by.get(&lane).copied().unwrap_or_default();
            for (&lane, _) in self.by.iter().filter(|&(_, &by)| by < governed) {
                vector.raise(lane, UNSAID);
            }
        }
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: LaneId = LaneId(1);
    const OTHER: LaneId = LaneId(2);

    #[test]
    fn an_answer_says_nothing_of_a_lane_that_has_not_come_to_the_layout_it_is_given_by() {
        let mut judged = Judged::default();
        for lane in [OURS, OTHER] {
            judged.govern(lane, Epoch(1));
        }
        judged.raise(OURS, Number(4));
        judged.raise(OTHER, Number(7));
        let after = |judged: &Judged, saying| {
            let vector = judged.in_force_after(OURS, Number(5), saying);
            [vector.get(OURS), vector.get(OTHER)]
        };
        assert_eq!(after(&judged, Saying::Answer), [Number(5), Number(7)]);
        judged.govern(OURS, Epoch(2));
        assert_eq!(after(&judged, Saying::Answer), [Number(5), UNSAID]);
        assert_eq!(after(&judged, Saying::Opinion), [Number(5), Number(7)]);
        judged.govern(OTHER, Epoch(3));
        assert_eq!(after(&judged, Saying::Answer), [Number(5), Number(7)], "it has gone further");
    }

    #[test]
    fn what_was_judged_once_more_counts_as_judged() {
        let mut judged = Judged::default();
        judged.govern(OURS, Epoch(1));
        judged.raise(OURS, Number(4));
        judged.raise_again(OURS, Number(9));
        assert_eq!(judged.in_force_after(OURS, Number(5), Saying::Answer).get(OURS), Number(9));
        judged.retain(|_| false);
        assert!(judged.through().is_empty());
    }
}
