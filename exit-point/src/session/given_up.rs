//! What a session's policy or limits gave up, until its client is known to have been told.
//!
//! ```text
//!  dropped, not sent on this attachment ─▶ untold ── Gap sent ──▶ told ── acknowledgement or W passes it ─▶ forgotten
//!  dropped, sent on this attachment ─────────────────────────────▶ told
//!                                            ▲                      │
//!                                            └──── next attach ─────┘
//! ```
//! What was sent and then dropped from the outbox still arrives while the attachment lives, so that nothing is told then.
//! Ranges only: a session that drops for hours keeps two numbers a lane.

use std::collections::BTreeMap;

use gomera_cluster::message::connection_point::{Gap, GapRange};
use gomera_cluster::position::{LaneId, Number, Position, Vector};

/// What was given up.
#[derive(Debug, Default)]
pub(crate) struct GivenUp {
    untold: Lost,
    told: Lost,
}

/// Whether a notification was sent on the present attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It was: it arrives if the attachment lives long enough.
    Now,
    /// It was not.
    No,
}

/// Ranges, and how many notifications in them.
#[derive(Debug, Default)]
struct Lost {
    /// First and last.
    ranges: BTreeMap<LaneId, (Number, Number)>,
    dropped: u64,
}

impl GivenUp {
    /// Notes a notification that was dropped.
    pub(crate) fn add(&mut self, position: Position, sent: Sent) {
        let lost = match sent {
            Sent::Now => &mut self.told,
            Sent::No => &mut self.untold,
        };
        lost.widen(position.lane, (position.number, position.number));
        lost.dropped += 1;
    }

    /// Whether something of a lane is to be told, now or to a later attachment.
    pub(crate) fn concerns(&self, lane: LaneId) -> bool {
        [&self.untold, &self.told].into_iter().any(|lost| lost.ranges.contains_key(&lane))
    }

    /// Whether there is something to tell.
    pub(crate) const fn is_due(&self) -> bool {
        self.untold.dropped > 0
    }

    /// What to tell now, if anything. It is kept as told.
    pub(crate) fn tell(&mut self) -> Option<Gap> {
        if !self.is_due() {
            return None;
        }
        let untold = std::mem::take(&mut self.untold);
        let ranges = untold.ranges.iter().map(|(&lane, &(first, last))| GapRange { lane, first, last }).collect();
        let gap = Gap { ranges, dropped: untold.dropped };
        self.told.absorb(untold);
        Some(gap)
    }

    /// All that the client may not have been told, for another replica.
    pub(crate) fn all(&self) -> Gap {
        let mut all = Lost::default();
        all.absorb_from(&self.untold);
        all.absorb_from(&self.told);
        let ranges = all.ranges.iter().map(|(&lane, &(first, last))| GapRange { lane, first, last }).collect();
        Gap { ranges, dropped: all.dropped }
    }

    /// As another replica has it: whether it was told is not known.
    pub(crate) fn copied(gap: &Gap) -> Self {
        let ranges = gap.ranges.iter().map(|range| (range.lane, (range.first, range.last))).collect();
        Self { untold: Lost::default(), told: Lost { ranges, dropped: gap.dropped } }
    }

    /// The present attachment has been sent everything up to `told`, by another replica: what lies beyond is to be told.
    pub(crate) fn adopt(&mut self, told: &Vector) {
        let untold = std::mem::take(&mut self.untold);
        self.told.absorb(untold);
        let mut beyond = Lost { ranges: BTreeMap::new(), dropped: self.told.dropped };
        self.told.ranges.retain(|&lane, range| {
            let through = told.get(lane);
            if range.1 > through {
                beyond.widen(lane, (range.0.max(through.next()), range.1));
                range.1 = through;
            }
            range.0 <= range.1
        });
        if beyond.ranges.is_empty() {
            return;
        }
        // How many lie beyond, and how many before, is not known: all of them, as an upper bound.
        self.untold = beyond;
        if self.told.ranges.is_empty() {
            self.told.dropped = 0;
        }
    }

    /// Forgets what was told and lies at or below `settled`.
    pub(crate) fn settle(&mut self, settled: &Vector) {
        self.told.settle(settled);
    }

    /// A new attachment begins at `settled`: everything above is to be told (again).
    pub(crate) fn attach(&mut self, settled: &Vector) {
        let told = std::mem::take(&mut self.told);
        self.untold.absorb(told);
        self.untold.settle(settled);
    }
}

impl Lost {
    fn widen(&mut self, lane: LaneId, (first, last): (Number, Number)) {
        let range = self.ranges.entry(lane).or_insert((first, last));
        *range = (range.0.min(first), range.1.max(last));
    }

    fn absorb_from(&mut self, other: &Self) {
        for (&lane, &range) in &other.ranges {
            self.widen(lane, range);
        }
        self.dropped += other.dropped;
    }

    fn absorb(&mut self, other: Self) {
        for (lane, range) in other.ranges {
            self.widen(lane, range);
        }
        self.dropped += other.dropped;
    }

    /// How many lie in a range that is cut is not known; the count stays until all are settled, as an upper bound.
    fn settle(&mut self, settled: &Vector) {
        if self.dropped == 0 {
            return;
        }
        self.ranges.retain(|&lane, range| {
            range.0 = range.0.max(settled.get(lane).next());
            range.0 <= range.1
        });
        if self.ranges.is_empty() {
            self.dropped = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: LaneId = LaneId(1);

    fn at(number: u64) -> Position {
        Position { lane: LANE, number: Number(number) }
    }

    fn through(number: u64) -> Vector {
        [at(number)].into_iter().collect()
    }

    fn gap(first: u64, last: u64, dropped: u64) -> Gap {
        Gap { ranges: vec![GapRange { lane: LANE, first: Number(first), last: Number(last) }], dropped }
    }

    #[test]
    fn a_gap_is_told_once_an_attachment() {
        let mut given_up = GivenUp::default();
        given_up.add(at(3), Sent::No);
        given_up.add(at(5), Sent::No);
        assert_eq!(given_up.tell(), Some(gap(3, 5, 2)));
        assert_eq!(given_up.tell(), None);
        given_up.attach(&through(0));
        assert_eq!(given_up.tell(), Some(gap(3, 5, 2)), "the client may never have got it");
        given_up.settle(&through(5));
        given_up.attach(&through(5));
        assert_eq!(given_up.tell(), None, "it has acknowledged what came later");
    }

    #[test]
    fn what_another_replica_sent_and_dropped_is_kept_beside_what_it_did_not_send() {
        let mut given_up = GivenUp::copied(&gap(2, 6, 3));
        given_up.adopt(&through(4));
        assert_eq!(given_up.tell(), Some(gap(5, 6, 3)), "the count is an upper bound");
        given_up.attach(&through(1));
        assert_eq!(given_up.tell().expect("none of it arrived").ranges, gap(2, 6, 0).ranges);
    }

    #[test]
    fn what_was_sent_before_it_was_dropped_is_told_only_if_it_did_not_arrive() {
        let mut given_up = GivenUp::default();
        given_up.add(at(1), Sent::Now);
        given_up.add(at(2), Sent::Now);
        assert_eq!(given_up.tell(), None, "it is on its way");
        given_up.attach(&through(1));
        assert_eq!(given_up.tell(), Some(gap(2, 2, 2)), "the count is an upper bound");
        given_up.attach(&through(2));
        assert_eq!(given_up.tell(), None);
    }
}
