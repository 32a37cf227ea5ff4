//! A matcher shard that has a layout: works lanes off, entry by entry, and adds what comes of it to their outputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::layout::Layout;
use gomera_cluster::machine::Send;
use gomera_cluster::message::exit_point::{Handles, Mark, Target};
use gomera_cluster::message::matcher::{Entries, Entry, MatchesCredit};
use gomera_cluster::operation::Operation;
use gomera_cluster::position::{LaneId, Number, Vector};
use gomera_cluster::publication::{AttributeBlock, Envelope};
use gomera_cluster::time::Instant;
use gomera_model::timestamp::Timestamp;

use crate::config::Config;
use crate::lane::Lane;
use crate::ownership::{Ownership, Standing};
use crate::statistics::Statistics;
use crate::subscriptions::{Hits, OfSession, Subscriptions, removable_until};

/// A shard at work.
#[derive(Debug)]
pub struct Serving {
    config: Config,
    ownership: Ownership,
    lanes: BTreeMap<LaneId, Lane>,
    /// Per lane, the last number worked off; the lane in hand may be further.
    judged: Vector,
    subscriptions: Subscriptions,
    hits: Hits,
}

impl Serving {
    /// Begins with the first layout.
    pub fn new(layout: Arc<Layout>, address: Address, config: &Config) -> Self {
        let mut serving = Self {
            ownership: Ownership::new(layout, address),
            lanes: BTreeMap::new(),
            judged: Vector::default(),
            subscriptions: Subscriptions::new(config),
            hits: Hits::default(),
            config: config.clone(),
        };
        serving.open_lanes();
        serving
    }

    /// Takes a newer layout over.
    ///
    /// # Panics
    /// If it gives slices to others, or ends lanes: who judges what from which position on is not decided here, so no
    /// coordinator commits that.
    pub fn govern(&mut self, layout: Arc<Layout>, address: Address) {
        let epoch = layout.epoch.0;
        let ownership = Ownership::new(layout, address);
        assert!(
            ownership.same_as(&self.ownership),
            "layout {epoch} has other replicas or exit points than the one before"
        );
        for id in self.lanes.keys() {
            assert!(ownership.layout().lanes.contains_key(id), "layout {epoch} ends lane {id} without its Close");
        }
        self.ownership = ownership;
        self.open_lanes();
    }

    fn open_lanes(&mut self) {
        let Self { lanes, config, ownership, .. } = self;
        for (&id, lane) in &ownership.layout().lanes {
            lanes.entry(id).or_insert_with(|| Lane::new(id, lane.writer, config, ownership));
        }
    }

    /// Entries come in; whether they came from the lane's writer.
    pub fn receive(&mut self, from: Address, entries: Entries) -> bool {
        match self.lanes.get_mut(&entries.lane).filter(|lane| lane.writer() == from) {
            Some(lane) => {
                lane.receive(entries);
                true
            }
            None => false,
        }
    }

    /// An exit point grants credit; whether the lane is known.
    pub fn grant(&mut self, from: Address, credit: MatchesCredit) -> bool {
        let lane = self.lanes.get_mut(&credit.lane);
        let known = lane.is_some();
        if let Some(lane) = lane {
            lane.grant(from, credit);
        }
        known
    }

    /// Works off one step of each lane, and a step of what else waits.
    pub fn work(&mut self, now: Instant, wall: Option<Timestamp>, statistics: &mut Statistics) {
        /// Filters evaluated and satisfied after which a step of a lane ends, whatever is left of it: half a millisecond.
        const EFFORT_MAX: usize = 4096;
        let Self { config, ownership, lanes, judged, subscriptions, hits, .. } = self;
        for (&id, lane) in lanes {
            let mut effort = 0;
            for _ in 0..config.step_entries_max {
                if effort >= EFFORT_MAX {
                    break;
                }
                let Some((number, entry)) = lane.next_entry() else { break };
                match entry {
                    Entry::Publication(envelope) => {
                        judge(ownership, subscriptions, hits, lane, number, &envelope);
                        effort += subscriptions.evaluated() + hits.len();
                        statistics.publications += 1;
                        statistics.evaluations += count(subscriptions.evaluated());
                        statistics.matches += count(hits.len());
                    }
                    Entry::Operation(operation) => {
                        let in_force_after = || {
                            let mut vector = judged.clone();
                            vector.raise(id, number);
                            vector
                        };
                        apply(ownership, subscriptions, lane, now, number, &operation, in_force_after);
                        statistics.operations += 1;
                    }
                    Entry::Barrier(epoch) => mark(ownership, lane, number, Mark::Barrier(epoch)),
                    Entry::Close => mark(ownership, lane, number, Mark::Close),
                }
            }
            judged.raise(id, lane.processed());
        }
        subscriptions.remove_doomed();
        subscriptions.forget_sessions(now);
        if let Some(wall) = wall {
            statistics.expired += subscriptions.remove_expired(removable_until(wall, config.expiry_slack));
        }
    }

    /// Whether [`Serving::work`] has something to do that no event will announce.
    pub fn is_runnable(&self) -> bool {
        self.subscriptions.has_doomed() || self.lanes.values().any(Lane::is_runnable)
    }

    /// When the first subscription is to be removed, by the wall clock.
    pub fn next_removal(&self) -> Option<Timestamp> {
        let slack = i64::try_from(self.config.expiry_slack.as_micros()).unwrap_or(i64::MAX);
        self.subscriptions.next_expiry().map(|at| Timestamp(at.0.saturating_add(slack)))
    }

    /// When the trace of an ended session is to be dropped.
    pub fn next_forgetting(&self) -> Option<Instant> {
        self.subscriptions.next_forgetting()
    }

    /// Sends what can be sent now, and reads the gauges.
    pub fn flush(&mut self, statistics: &mut Statistics, actions: &mut Vec<Send>) {
        (statistics.output_bytes, statistics.input_frames, statistics.input_bytes) = (0, 0, 0);
        for lane in self.lanes.values_mut() {
            statistics.frames += lane.flush(&self.ownership.active, actions);
            statistics.output_bytes += lane.output_bytes();
            statistics.input_frames += count(lane.queued());
            statistics.input_bytes += lane.queued_bytes();
        }
        statistics.subscriptions = count(self.subscriptions.len());
        statistics.subscription_bytes = self.subscriptions.total().bytes;
        if let Some((index_bytes, costliest)) = self.subscriptions.survey() {
            (statistics.index_bytes, statistics.filter_cost_nanoseconds) = (count(index_bytes), costliest);
        }
        statistics.sessions = count(self.subscriptions.sessions());
        statistics.tombstones = count(self.subscriptions.tombstones());
        statistics.doomed = count(self.subscriptions.doomed());
    }
}

/// Judges one publication and adds its targets, one a session, to the outputs of the session's exit points.
fn judge(
    ownership: &Ownership,
    subscriptions: &mut Subscriptions,
    hits: &mut Hits,
    lane: &mut Lane,
    number: Number,
    envelope: &Arc<Envelope>,
) {
    let attributes = match &envelope.attributes {
        AttributeBlock::Decoded(attributes) => attributes,
        AttributeBlock::Encoded => panic!("the driver of a matcher decodes attributes before its machine sees them"),
    };
    subscriptions.judge(envelope, attributes, hits);
    for OfSession { session, handles } in hits.sessions() {
        let session = *session;
        let handles = match handles.as_slice() {
            &[(generation, handle)] => Handles::One(generation, handle),
            several => Handles::Many(several.into()),
        };
        lane.push(number, envelope, ownership.exits(session), Target { session, handles }, &ownership.active);
    }
}

/// Applies one operation; says what came of it if that is ours to say.
fn apply(
    ownership: &Ownership,
    subscriptions: &mut Subscriptions,
    lane: &mut Lane,
    now: Instant,
    number: Number,
    operation: &Operation,
    in_force_after: impl FnOnce() -> Vector,
) {
    let outcome = match operation.change.subscription() {
        None => subscriptions.apply_to_all(now, operation, in_force_after),
        Some(key) => {
            // Stamped by a layout that named us for its slice, which no later one has changed.
            let Some((slice, standing)) = ownership.standing(key) else { return };
            let outcome = subscriptions.apply_to_slice(operation, slice, standing, in_force_after);
            match standing {
                Standing::Judging => outcome,
                Standing::Keeping => return,
            }
        }
    };
    lane.report(number, outcome);
}

fn mark(ownership: &Ownership, lane: &mut Lane, number: Number, mark: Mark) {
    if ownership.active.is_empty() {
        return;
    }
    for output in lane.outputs_mut() {
        output.mark(number, mark, &ownership.active);
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).expect("a length fits 64 bits")
}
