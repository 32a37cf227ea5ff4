//! A matcher shard that has a layout: works lanes off, entry by entry, and adds what comes of it to their outputs.

mod together;

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::layout::{Epoch, LaneEnd, Layout, MatcherSlice};
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::exit_point::{LaneCut, Mark, ToExitPoint};
use gomera_cluster::message::matcher::{Entries, Entry, MatchesCredit};
use gomera_cluster::operation::Operation;
use gomera_cluster::position::{LaneId, Number, Vector};
use gomera_cluster::time::Instant;
use gomera_model::timestamp::Timestamp;

use crate::config::Config;
use crate::lane::Lane;
use crate::ownership::{Ownership, Standing};
use crate::statistics::Statistics;
use crate::subscriptions::{Subscriptions, removable_until};
use together::Together;

/// A shard at work.
#[derive(Debug)]
pub struct Serving {
    config: Config,
    /// What the latest layout says.
    ownership: Arc<Ownership>,
    /// What layouts say whose barriers some lane has not passed, the latest included.
    coming: BTreeMap<Epoch, Arc<Ownership>>,
    /// Lanes that were opened and fenced by layouts of which only a later one came here: nothing of them is here.
    never_known: Vec<LaneId>,
    lanes: BTreeMap<LaneId, Lane>,
    /// Per lane, the last number worked off; the lane in hand may be further.
    judged: Vector,
    subscriptions: Subscriptions,
    together: Together,
}

impl Serving {
    /// Begins with the first layout.
    pub fn new(layout: Arc<Layout>, address: Address, config: &Config) -> Self {
        let mut serving = Self {
            ownership: Arc::new(Ownership::new(layout, address)),
            coming: BTreeMap::new(),
            never_known: Vec::new(),
            lanes: BTreeMap::new(),
            judged: Vector::default(),
            subscriptions: Subscriptions::new(config),
            together: Together::new(),
            config: config.clone(),
        };
        serving.open_lanes();
        serving.judge_by_lanes();
        serving
    }

    /// Takes a newer layout over. What it says of slices counts in each lane from its barrier on.
    ///
    /// # Panics
    /// If it gives sessions to others: that is not decided here yet, so no coordinator commits it.
    pub fn govern(&mut self, layout: Arc<Layout>, address: Address) {
        let epoch = layout.epoch;
        let ownership = Arc::new(Ownership::new(layout, address));
        assert!(
            ownership.same_exits_as(&self.ownership),
            "layout {} has other exit points than the one before",
            epoch.0
        );
        for (id, lane) in &mut self.lanes {
            if !ownership.layout().lanes.contains_key(id) {
                lane.end(ownership.layout());
            }
        }
        let known = self.ownership.layout().epoch;
        let ended = ownership.layout().ended.iter().filter(|&(id, _)| !self.lanes.contains_key(id));
        let fenced = ended.filter(|&(_, &(end, at))| end == LaneEnd::Fenced && at > known);
        self.never_known.extend(fenced.map(|(&id, _)| id));
        self.coming.insert(epoch, ownership.clone());
        self.ownership = ownership;
        self.open_lanes();
        self.judge_by_lanes();
    }

    /// The latest layout whose barrier every lane has passed, or with which it ended.
    pub fn acted(&self) -> Epoch {
        let latest = self.ownership.layout().epoch;
        self.lanes.values().map(Lane::passed).min().unwrap_or(latest).min(latest)
    }

    /// An exit point wants nothing more of a lane that was fenced; whether the lane is known.
    pub fn done(&mut self, from: Address, lane: LaneId) -> bool {
        let lane = self.lanes.get_mut(&lane);
        let known = lane.is_some();
        if let Some(lane) = lane {
            lane.done(from);
        }
        known
    }

    /// Says where the copies of fenced lanes end.
    fn tell_cuts(&mut self, actions: &mut Vec<Send>) {
        let Self { lanes, coming, ownership, never_known, .. } = self;
        for lane in never_known.drain(..) {
            for &to in &ownership.exit_points {
                let cut = ToExitPoint::LaneCut(LaneCut { lane, through: Number::ZERO });
                actions.push(Send { to, message: Message::ExitPoint(cut) });
            }
        }
        for lane in lanes.values_mut() {
            // What governs it later may have this shard judge what it does not judge now.
            let judges = |by: &Arc<Ownership>| !by.active.is_empty();
            let may_judge = judges(lane.governed()) || coming.values().any(judges);
            lane.tell_cut(may_judge, actions);
        }
    }

    /// Has the subscriptions know which slices lanes are judged by, and which are held at all.
    fn judge_by_lanes(&mut self) {
        let Self { ownership, coming, lanes, subscriptions, .. } = self;
        let slices = ownership.layout().settings.matcher_slices;
        let governing = || lanes.values().map(|lane| &**lane.governed());
        let is_any = |of: &dyn Fn(&Ownership) -> bool| governing().any(of) || (lanes.is_empty() && of(ownership));
        let every = || (0..slices).map(MatcherSlice);
        let judged = every().filter(|&slice| is_any(&|by| by.active.contains(slice))).collect();
        let held = |slice| is_any(&|by| by.held.contains(slice)) || coming.values().any(|by| by.held.contains(slice));
        let given_up = every().filter(|&slice| !held(slice)).collect();
        subscriptions.judge_by(judged, given_up, slices);
        let first = governing().map(|by| by.layout().epoch).min().unwrap_or(ownership.layout().epoch);
        // A lane begins with the layout that opened it, or with the barrier of a later one.
        coming.retain(|&epoch, _| epoch > first);
    }

    fn open_lanes(&mut self) {
        let Self { lanes, config, ownership, .. } = self;
        for (&id, lane) in &ownership.layout().lanes {
            lanes.entry(id).or_insert_with(|| {
                let mut begun = Lane::new(id, lane.writer, config, ownership);
                begun.pass(Epoch(lane.since.0.saturating_sub(1)));
                begun
            });
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
        let Self { config, coming, lanes, judged, subscriptions, together, .. } = self;
        let mut has_passed_barrier = false;
        'lanes: for (&id, lane) in lanes {
            let mut effort = 0;
            for more_max in (0..config.step_entries_max).rev() {
                if effort >= EFFORT_MAX && !together.has_more() {
                    break;
                }
                let Some((number, entry)) = lane.next_entry() else { break };
                match entry {
                    Entry::Publication(envelope) => {
                        if !together.has_more() {
                            let evaluated =
                                together.judge(subscriptions, lane, &envelope, index(more_max), EFFORT_MAX - effort);
                            effort += evaluated;
                            statistics.evaluations += count(evaluated);
                        }
                        let matches = together.give_next(subscriptions, lane, number, &envelope);
                        effort += matches;
                        statistics.publications += 1;
                        statistics.matches += count(matches);
                    }
                    Entry::Operation(operation) => {
                        let in_force_after = || {
                            let mut vector = judged.clone();
                            vector.raise(id, number);
                            vector
                        };
                        apply(subscriptions, lane, now, number, &operation, in_force_after);
                        statistics.operations += 1;
                    }
                    Entry::Barrier(epoch) => {
                        lane.mark(number, Mark::Barrier(epoch));
                        lane.pass(epoch);
                        if let Some(ownership) = coming.get(&epoch).filter(|by| by.is_after(lane.governed())) {
                            lane.govern(ownership.clone());
                            has_passed_barrier = true;
                            judged.raise(id, number);
                            together.end(subscriptions, EFFORT_MAX);
                            // What is judged next may be judged by other slices, which the subscriptions must know of.
                            break 'lanes;
                        }
                    }
                    Entry::Close => lane.mark(number, Mark::Close),
                }
            }
            together.end(subscriptions, EFFORT_MAX);
            judged.raise(id, lane.processed());
        }
        if has_passed_barrier {
            self.judge_by_lanes();
        }
        let Self { config, subscriptions, .. } = self;
        subscriptions.settle();
        subscriptions.forget_sessions(now);
        if let Some(wall) = wall {
            statistics.expired += subscriptions.remove_expired(removable_until(wall, config.expiry_slack));
        }
    }

    /// Whether [`Serving::work`] has something to do that no event will announce.
    pub fn is_runnable(&self) -> bool {
        self.subscriptions.is_unsettled() || self.lanes.values().any(Lane::is_runnable)
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
        self.tell_cuts(actions);
        for lane in self.lanes.values_mut() {
            statistics.frames += lane.flush(actions);
            statistics.output_bytes += lane.output_bytes();
            statistics.input_frames += count(lane.queued());
            statistics.input_bytes += lane.queued_bytes();
        }
        let lanes = self.lanes.len();
        self.lanes.retain(|_, lane| !lane.is_over());
        if self.lanes.len() < lanes {
            for id in self.judged.iter().map(|at| at.lane).collect::<Vec<_>>() {
                if !self.lanes.contains_key(&id) {
                    self.judged.remove(id);
                }
            }
            self.judge_by_lanes();
        }
        statistics.subscriptions = count(self.subscriptions.len());
        statistics.subscription_bytes = self.subscriptions.bytes();
        if let Some((index_bytes, costliest)) = self.subscriptions.survey() {
            (statistics.index_bytes, statistics.filter_cost_nanoseconds) = (count(index_bytes), costliest);
        }
        statistics.sessions = count(self.subscriptions.sessions());
        statistics.tombstones = count(self.subscriptions.tombstones());
        statistics.doomed = count(self.subscriptions.doomed());
    }
}

/// Applies one operation; says what came of it if that is ours to say.
fn apply(
    subscriptions: &mut Subscriptions,
    lane: &mut Lane,
    now: Instant,
    number: Number,
    operation: &Operation,
    in_force_after: impl FnOnce() -> Vector,
) {
    let outcome = match operation.change.subscription() {
        None => subscriptions.apply_to_all(now, operation, &lane.governed().active, in_force_after),
        Some(key) => {
            // Stamped by the layout that governs the lane here.
            let Some((slice, standing)) = lane.governed().standing(key) else { return };
            let outcome = subscriptions.apply_to_slice(operation, slice, in_force_after);
            match standing {
                Standing::Judging => outcome,
                Standing::Keeping => return,
            }
        }
    };
    lane.report(number, outcome);
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("32 bits fit a usize")
}

fn count(length: usize) -> u64 {
    u64::try_from(length).expect("a length fits 64 bits")
}
