//! What this shard sends of its slices to others that join: sessions, then subscriptions, in parts, as far as credit goes, no more than
//! one part of each snapshot a step, so that nothing waits for it, and no more in a second than it should: copying takes processor time
//! here and there, which is missing elsewhere on a machine that is busy.
//!
//! ```text
//!   wanted ──▶ waiting ──▶ sessions ──▶ subscriptions ──▶ (nothing)
//!              until every operation that the other one does not get itself is applied here, and the slices are whole
//! ```

use std::collections::BTreeMap;

use gomera_cluster::address::Address;
use gomera_cluster::credit::SendCredit;
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::matcher::ToMatcher;
use gomera_cluster::message::snapshot::{Extent, SnapshotCredit, SnapshotPart, SnapshotWanted};
use gomera_cluster::position::LaneId;
use gomera_cluster::position::Number;
use gomera_cluster::time::Instant;

use crate::config::Config;
use crate::index::RowId;
use crate::ownership::Ownership;
use crate::replicas::{Replicas, paced};
use crate::statistics::Statistics;
use crate::subscriptions::{Measure, Subscriptions};

#[derive(Debug)]
struct Outgoing {
    wanted: SnapshotWanted,
    credit: SendCredit,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Sessions(u32),
    Subscriptions(RowId),
}

/// All of them, one for each who joins at most.
#[derive(Debug)]
pub struct Snapshots {
    to: BTreeMap<Address, Outgoing>,
    measure: Measure,
    bytes_per_second: u64,
    /// When the next parts may go.
    free_at: Instant,
}

impl Snapshots {
    /// None yet.
    pub fn new(config: &Config) -> Self {
        /// Subscriptions in one part: copied, sent and taken in in some hundred microseconds each.
        const THINGS: usize = 64;
        Self {
            to: BTreeMap::new(),
            measure: Measure { things: THINGS, bytes: config.frame_bytes_max },
            bytes_per_second: config.snapshot_bytes_per_second,
            free_at: Instant::ZERO,
        }
    }

    /// Somebody joins.
    pub fn want(&mut self, from: Address, wanted: SnapshotWanted) {
        let mut credit = SendCredit::default();
        credit.grant(wanted.credit);
        self.to.insert(from, Outgoing { wanted, credit, stage: Stage::Waiting });
    }

    /// More may be sent.
    pub fn grant(&mut self, from: Address, credit: SnapshotCredit) {
        if let Some(outgoing) = self.to.get_mut(&from).filter(|outgoing| outgoing.wanted.transfer == credit.transfer) {
            outgoing.credit.grant(credit.total);
        }
    }

    /// A layout is in force that names only some of the matchers.
    pub fn retain(&mut self, is_named: impl Fn(Address) -> bool) {
        self.to.retain(|&to, _| is_named(to));
    }

    /// When [`Snapshots::step`] has something to do that no event will announce.
    pub fn due(&self) -> Option<Instant> {
        let is_open = |outgoing: &Outgoing| outgoing.stage != Stage::Waiting && outgoing.credit.is_open();
        self.to.values().any(is_open).then_some(self.free_at)
    }

    /// Begins those that may begin. `processed` says how far a lane is worked off, if it is there; `latest` is what the latest layout says.
    pub fn begin(&mut self, processed: impl Fn(LaneId) -> Option<Number>, replicas: &Replicas, latest: &Ownership) {
        let is_to_be_here = |slice| latest.active_of(slice) == Some(latest.address());
        self.to.retain(|_, Outgoing { wanted, stage, .. }| {
            let has_passed = |lane, number| processed(lane).is_none_or(|processed| processed >= number);
            let is_whole = replicas.are_whole(&wanted.slices);
            if *stage != Stage::Waiting {
                return is_whole;
            }
            if is_whole && wanted.after.iter().all(|after| has_passed(after.lane, after.number)) {
                *stage = Stage::Sessions(0);
            }
            // What is whole only behind a barrier is waited for; what left is asked of whoever has it now.
            is_whole || wanted.slices.iter().all(is_to_be_here)
        });
    }

    /// Sends a part of each that has begun, if it is time.
    pub fn step(
        &mut self,
        now: Instant,
        replicas: &Replicas,
        subscriptions: &Subscriptions,
        statistics: &mut Statistics,
        actions: &mut Vec<Send>,
    ) {
        if self.to.is_empty() || now < self.free_at {
            return;
        }
        let (measure, before) = (self.measure, statistics.snapshot_bytes);
        self.to.retain(|&to, Outgoing { wanted, credit, stage }| {
            // Of who waits, slices may be whole here only when a lane comes to the barrier that says so.
            if *stage == Stage::Waiting || !credit.is_open() {
                return true;
            }
            if !replicas.are_whole(&wanted.slices) {
                return false;
            }
            let (mut sessions, mut rows, slices) = (Vec::new(), Vec::new(), &*wanted.slices);
            let next = match *stage {
                Stage::Waiting => return true,
                Stage::Sessions(from) => {
                    let next = subscriptions.list_sessions(from, slices, wanted.sessions, measure, &mut sessions);
                    Some(next.map_or(Stage::Subscriptions(RowId(0)), Stage::Sessions))
                }
                Stage::Subscriptions(from) => {
                    subscriptions.list_rows(from, slices, measure, &mut rows).map(Stage::Subscriptions)
                }
            };
            let extent = if next.is_some() { Extent::More } else { Extent::Last };
            *stage = next.unwrap_or(*stage);
            if extent == Extent::Last || !sessions.is_empty() || !rows.is_empty() {
                let part = SnapshotPart { transfer: wanted.transfer, sessions, subscriptions: rows, extent };
                credit.spend(part.cost());
                statistics.snapshot_bytes += part.cost();
                actions.push(Send { to, message: Message::Matcher(ToMatcher::SnapshotPart(part)) });
            }
            extent == Extent::More
        });
        self.free_at = now + paced(statistics.snapshot_bytes - before, self.bytes_per_second);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gomera_cluster::address::{Incarnation, Shard};
    use gomera_cluster::credit::Total;
    use gomera_cluster::layout::MatcherSlice;
    use gomera_cluster::message::snapshot::{Sessions, TransferId};
    use gomera_cluster::position::{Position, Vector};

    use super::*;
    use crate::fixture::{MATCHER, layout};

    #[test]
    fn who_asks_before_lanes_have_come_to_the_barrier_is_answered_when_they_have_whatever_is_done_meanwhile() {
        let config = Config::default();
        let (mut subscriptions, mut replicas) = (Subscriptions::new(&config), Replicas::new(8, &config));
        let (mut snapshots, mut statistics) = (Snapshots::new(&config), Statistics::default());
        let (mut sent, barrier) = (Vec::new(), Position { lane: LaneId(1), number: Number(5) });
        let to = Address { node: Incarnation(9), shard: Shard(0) };
        let wanted = SnapshotWanted {
            transfer: TransferId(1),
            slices: std::sync::Arc::new(std::iter::once(MatcherSlice(0)).collect()),
            after: std::iter::once(barrier).collect(),
            sessions: Sessions::Wanted,
            credit: Total(1 << 20),
        };
        snapshots.want(to, wanted);
        let layout = layout(1, 1, 1);
        let (before, after) = (Ownership::before(layout.clone(), MATCHER), Ownership::new(layout, MATCHER));
        // A turn that something else asks for; and who was to join the same slice before it was lost asks from an earlier position on.
        for number in [4, 5] {
            snapshots.begin(|_| Some(Number(number)), &replicas, &after);
            snapshots.step(Instant::ZERO, &replicas, &subscriptions, &mut statistics, &mut sent);
            assert!(sent.is_empty(), "it has to wait");
        }
        replicas.pass(barrier, &before, &after, &Vector::default(), &mut subscriptions);
        for _ in 0..2 {
            snapshots.begin(|_| Some(barrier.number), &replicas, &after);
            snapshots.step(Instant::ZERO, &replicas, &subscriptions, &mut statistics, &mut sent);
        }
        assert_eq!(sent.iter().map(|send| send.to).collect::<Vec<_>>(), [to]);
    }

    #[test]
    fn parts_go_no_faster_than_the_configuration_says() {
        let config = Config { snapshot_bytes_per_second: 1_000, ..Config::default() };
        let subscriptions = Subscriptions::new(&config);
        let (replicas, latest) = (Replicas::new(1, &config), Ownership::new(layout(1, 1, 1), MATCHER));
        let mut snapshots = Snapshots::new(&config);
        let mut statistics = Statistics::default();
        let to = Address { node: Incarnation(9), shard: Shard(0) };
        let wanted = || SnapshotWanted {
            transfer: TransferId(1),
            slices: std::sync::Arc::default(),
            after: Vector::default(),
            sessions: Sessions::Wanted,
            credit: Total(1 << 20),
        };
        let mut at = Instant::ZERO;
        for _ in 0..10 {
            let (mut sent, before) = (Vec::new(), statistics.snapshot_bytes);
            snapshots.want(to, wanted());
            while sent.is_empty() {
                snapshots.begin(|_| None, &replicas, &latest);
                snapshots.step(at, &replicas, &subscriptions, &mut statistics, &mut sent);
            }
            let pause = Duration::from_millis(statistics.snapshot_bytes - before);
            assert!(!pause.is_zero());
            snapshots.want(to, wanted());
            // Sessions, and then subscriptions: there are none.
            for early in [Duration::ZERO, pause / 2, pause - Duration::from_nanos(1)] {
                snapshots.begin(|_| None, &replicas, &latest);
                snapshots.step(at + early, &replicas, &subscriptions, &mut statistics, &mut sent);
            }
            assert_eq!(sent.len(), 1, "the next one is not due");
            at = at + pause;
        }
    }
}
