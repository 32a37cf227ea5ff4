//! A matcher shard that has a layout: works lanes off, entry by entry, and adds what comes of it to their outputs.

mod applying;
mod fencing;
mod judged;
mod tails;
mod together;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::SessionKey;
use gomera_cluster::layout::{Epoch, Layout, MatcherSlice};
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::access_point::{Expire, ToAccessPoint};
use gomera_cluster::message::exit_point::{Handles, Mark, Target};
use gomera_cluster::message::matcher::{Entries, Entry, MatchesCredit, Replay, ToMatcher};
use gomera_cluster::message::snapshot::{SnapshotCredit, SnapshotPart, SnapshotWanted, SubscriptionState};
use gomera_cluster::position::{LaneId, Number, Position};
use gomera_cluster::time::Instant;
use gomera_model::attributes::Attributes;
use gomera_model::timestamp::Timestamp;

use crate::config::Config;
use crate::lane::Lane;
use crate::listeners::Listeners;
use crate::ownership::Ownership;
use crate::replicas::Replicas;
use crate::snapshots::Snapshots;
use crate::statistics::Statistics;
use crate::subscriptions::{Expired, Hits, Subscriptions};
use crate::turns::Turns;
use applying::{Applying, apply};
use fencing::fenced_after;
use judged::Judged;
use tails::Tails;
use together::Together;

/// Filters evaluated and satisfied after which a step of a lane ends, whatever is left of it: half a millisecond.
const EFFORT_MAX: usize = 4096;

/// A shard at work.
#[derive(Debug)]
pub struct Serving {
    config: Config,
    /// What the latest layout says.
    ownership: Arc<Ownership>,
    /// What layouts say by which lanes are or will be governed, as far as it is known.
    layouts: BTreeMap<Epoch, Arc<Ownership>>,
    /// Lanes that were fenced by layouts of which only a later one came here, or by the one with which this shard begins: nothing of
    /// them is here.
    never_known: BTreeMap<LaneId, Listeners>,
    lanes: BTreeMap<LaneId, Lane>,
    judged: Judged,
    tails: Tails,
    subscriptions: Subscriptions,
    together: Together,
    replicas: Replicas,
    snapshots: Snapshots,
    turns: Turns,
    /// Slices that the subscriptions know to be judged by, and those whose rows they remove.
    judged_by: SliceSet,
    giving_up: SliceSet,
    /// Slices by which the ends of fenced lanes are judged for others that are dead: not counted yet.
    left: usize,
    hits: Hits,
    actions: Vec<Send>,
}

impl Serving {
    /// Begins with the first layout.
    pub fn new(layout: Arc<Layout>, address: Address, config: &Config) -> Self {
        let slices = layout.settings.matcher_slices;
        let ownership = Arc::new(Ownership::new(layout, address));
        let mut serving = Self {
            layouts: BTreeMap::from([(ownership.epoch(), ownership.clone())]),
            ownership,
            never_known: BTreeMap::new(),
            lanes: BTreeMap::new(),
            judged: Judged::default(),
            tails: Tails::default(),
            subscriptions: Subscriptions::new(config),
            together: Together::new(),
            replicas: Replicas::new(slices, config),
            snapshots: Snapshots::new(config),
            turns: Turns::new(),
            judged_by: SliceSet::default(),
            giving_up: SliceSet::default(),
            left: 0,
            hits: Hits::default(),
            actions: Vec::new(),
            config: config.clone(),
        };
        serving.hear_of_fenced(Epoch(0));
        serving.open_lanes();
        serving.judge_by_lanes();
        serving
    }

    /// Takes a newer layout over. What it says of slices counts in each lane from its barrier on.
    pub fn govern(&mut self, layout: Arc<Layout>, address: Address) {
        let epoch = layout.epoch;
        let ownership = Arc::new(Ownership::new(layout, address));
        let Self { lanes, tails, left, .. } = self;
        for (id, lane) in lanes {
            lane.follow(&ownership);
            if !ownership.layout().lanes.contains_key(id) {
                *left += lane.end(&ownership);
            }
        }
        let known = self.ownership.layout().epoch;
        for id in fenced_after(ownership.layout(), known) {
            tails.fence(id, ownership.layout().ended[&id].1, tails::others(ownership.layout(), address));
        }
        tails.retain(|other| ownership.layout().names(other));
        self.layouts.insert(epoch, ownership.clone());
        self.ownership = ownership;
        self.hear_of_fenced(known);
        self.open_lanes();
        self.replicas.follow(&self.ownership);
        self.snapshots.retain(|to| self.ownership.layout().names(to));
        self.judge_by_lanes();
    }

    /// The latest layout whose barrier every lane has passed, or with which it ended.
    pub fn acted(&self) -> Epoch {
        let latest = self.ownership.layout().epoch;
        self.lanes.values().map(Lane::passed).min().unwrap_or(latest).min(latest).min(self.tails.acted_max())
    }

    /// An exit point wants nothing more of a lane that was fenced; whether the lane is known.
    pub fn done(&mut self, from: Address, lane: LaneId) -> bool {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.done(from);
            return true;
        }
        let listeners = self.never_known.get_mut(&lane);
        let known = listeners.is_some();
        if let Some(listeners) = listeners {
            listeners.done(from);
        }
        self.never_known.retain(|_, listeners| !listeners.are_over());
        known
    }

    /// Has the subscriptions know which slices lanes are judged by, and which rows have to go.
    fn judge_by_lanes(&mut self) {
        let Self { ownership, layouts, lanes, subscriptions, replicas, judged_by, giving_up, .. } = self;
        let slices = ownership.layout().settings.matcher_slices;
        let mut judged = SliceSet::default();
        for lane in lanes.values() {
            judged.unite(&lane.governed().active);
            judged.unite(&lane.again.slices());
        }
        let unwanted = replicas.unwanted();
        // A lane that has not come so far is judged by what this shard was before.
        let is_needed = |slice| lanes.values().any(|lane| lane.governed().is_whole(slice)) || judged.contains(slice);
        let gone = unwanted.iter().filter(|&slice| !is_needed(slice)).collect::<SliceSet>();
        if judged != *judged_by || gone != *giving_up {
            (*judged_by, *giving_up) = (judged.clone(), gone.clone());
            subscriptions.judge_by(judged, gone, slices);
        }
        let first = lanes.values().map(|lane| lane.governed().epoch()).min().unwrap_or(ownership.epoch());
        layouts.retain(|&epoch, _| epoch > first || epoch == ownership.epoch());
    }

    fn open_lanes(&mut self) {
        let Self { lanes, config, ownership, replicas, judged, subscriptions, .. } = self;
        for (&id, lane) in &ownership.layout().lanes {
            if lanes.contains_key(&id) {
                continue;
            }
            let before = Arc::new(Ownership::before(ownership.layout().clone(), ownership.address()));
            let mut begun = Lane::new(id, lane.writer, config, &before);
            begun.pass(Epoch(lane.since.0.saturating_sub(1)));
            if lane.since == ownership.epoch() {
                // It begins with the barrier of this layout.
                let at = Position { lane: id, number: Number::ZERO };
                replicas.pass(at, &before, ownership, judged.through(), subscriptions);
                begun.govern(ownership.clone(), Number::ZERO);
            }
            judged.govern(id, begun.governed().epoch());
            lanes.insert(id, begun);
        }
    }

    /// Slices that join here by the latest layout and have everything. A lane that has not come to its barrier may still be judged by what
    /// was here before they left.
    pub fn installed(&self) -> BTreeSet<u16> {
        let is_late = |lane: &Lane| !lane.ends() && lane.governed().epoch() < self.ownership.epoch();
        if self.lanes.values().any(is_late) {
            return BTreeSet::new();
        }
        self.replicas.installed(&self.ownership).collect()
    }

    /// What it has of a slice, if it has everything: what replicas agree on when nothing is under way.
    pub fn copies(&self, slice: MatcherSlice) -> Option<Vec<SubscriptionState>> {
        let is_whole = self.replicas.are_whole(&std::iter::once(slice).collect());
        is_whole.then(|| self.subscriptions.copies(slice))
    }

    /// The context of a session.
    pub fn context(&self, session: SessionKey) -> Option<&Attributes> {
        self.subscriptions.context(session)
    }

    /// Entries come in once more; whether they came from the lane's writer.
    pub fn receive_again(&mut self, from: Address, replay: Replay) -> bool {
        let Some(lane) = self.lanes.get_mut(&replay.lane).filter(|lane| lane.writer() == from) else { return false };
        lane.again.receive(replay);
        self.judge_by_lanes();
        true
    }

    /// Another matcher joins slices.
    pub fn want(&mut self, from: Address, wanted: SnapshotWanted) {
        self.snapshots.want(from, wanted);
    }

    /// Another matcher takes more of a snapshot.
    pub fn grant_snapshot(&mut self, from: Address, credit: SnapshotCredit) {
        self.snapshots.grant(from, credit);
    }

    /// A part of a snapshot comes in.
    pub fn take(&mut self, now: Instant, from: Address, part: SnapshotPart) {
        self.replicas.take(now, from, part, &mut self.subscriptions);
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
        if self.work_lanes(now, statistics) {
            self.judge_by_lanes();
        }
        if self.judge_again(statistics) {
            self.judge_by_lanes();
        }
        let Self {
            ownership, lanes, judged, tails, subscriptions, replicas, snapshots, giving_up, actions, turns, ..
        } = self;
        // Lanes that end may never come to the barrier; what was answered of them is in every snapshot.
        let governed = lanes.values().filter(|lane| !lane.ends()).map(|lane| &**lane.governed()).collect::<Vec<_>>();
        for (to, wanted) in replicas.requests(ownership, &governed) {
            statistics.snapshots += 1;
            actions.push(Send { to, message: Message::Matcher(ToMatcher::SnapshotWanted(wanted)) });
        }
        for (to, credit) in replicas.credits(now) {
            actions.push(Send { to, message: Message::Matcher(ToMatcher::SnapshotCredit(credit)) });
        }
        let processed = |lane| lanes.get(&lane).map(Lane::processed);
        let mut begins_anew = false;
        // Who joins may not be told by those who have not told yet what they have of a fenced lane: they tell this one.
        let tells = tails.are_heard();
        if tells {
            snapshots.begin(processed, replicas, ownership);
        }
        let has_parts = |snapshots: &Snapshots| tells && snapshots.due().is_some_and(|due| due <= now);
        if turns.is_due(now) && (replicas.is_unsettled() || subscriptions.is_unsettled() || has_parts(snapshots)) {
            begins_anew = replicas.step(judged.through(), subscriptions);
            subscriptions.settle();
            if tells {
                snapshots.step(now, replicas, subscriptions, statistics, actions);
            }
            if replicas.is_unsettled() || subscriptions.is_unsettled() || (tells && snapshots.due().is_some()) {
                turns.took(now);
            }
        }
        if !subscriptions.is_giving_up() {
            replicas.cleared(&std::mem::take(giving_up));
        }
        subscriptions.forget_sessions(now);
        if begins_anew {
            self.judge_by_lanes();
        }
        if let Some(wall) = wall {
            self.expire(wall);
        }
    }

    /// Works off one step of each lane; whether one has passed a barrier that changes what it is judged by.
    fn work_lanes(&mut self, now: Instant, statistics: &mut Statistics) -> bool {
        let Self { config, layouts, lanes, judged, tails, subscriptions, replicas, together, ownership, .. } = self;
        let has_others = || tails::others(ownership.layout(), ownership.address()).next().is_some();
        for (&id, lane) in lanes {
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
                        let in_force_after = |saying| judged.in_force_after(id, number, saying);
                        let applying = Applying { now, number, operation: &operation };
                        let take_back = apply(subscriptions, replicas, lane, applying, in_force_after, statistics);
                        statistics.operations += 1;
                        if !lane.is_told() && has_others() {
                            tails.keep(id, number, &operation);
                            take_back.iter().for_each(|restored| tails.keep(id, number, restored));
                        }
                    }
                    Entry::Barrier(layout) => {
                        let mark = Mark::Barrier(layout.epoch);
                        // The one that a lane begins with is covered by those that judge after it: nobody did before.
                        let begins = number == Number::ZERO.next();
                        if !begins {
                            lane.mark(number, mark);
                        }
                        lane.pass(layout.epoch);
                        if layout.epoch > lane.governed().epoch() {
                            let read = || Arc::new(Ownership::new(layout.clone(), ownership.address()));
                            let after = layouts.entry(layout.epoch).or_insert_with(read).clone();
                            judged.raise(id, number);
                            together.end(subscriptions, EFFORT_MAX);
                            let at = Position { lane: id, number };
                            replicas.pass(at, lane.governed(), &after, judged.through(), subscriptions);
                            judged.govern(id, after.epoch());
                            lane.govern(after, number);
                            if begins {
                                lane.mark(number, mark);
                            }
                            // What is judged next may be judged by other slices, which the subscriptions must know of.
                            return true;
                        }
                        if begins {
                            lane.mark(number, mark);
                        }
                    }
                    Entry::Close => lane.mark(number, Mark::Close),
                }
            }
            together.end(subscriptions, EFFORT_MAX);
            judged.raise(id, lane.processed());
        }
        false
    }

    /// Judges a step of what has to be judged once more; whether all of a lane is done.
    fn judge_again(&mut self, statistics: &mut Statistics) -> bool {
        let Self { config, lanes, judged, subscriptions, hits, ownership, .. } = self;
        let mut is_done = false;
        for (&id, lane) in lanes {
            let waited = lane.again.is_waiting();
            let mut effort = 0;
            for _ in 0..config.step_entries_max {
                if effort >= EFFORT_MAX {
                    break;
                }
                let Some((number, entry, by)) = lane.again.next_entry() else { break };
                judged.raise_again(id, number);
                match entry {
                    Entry::Publication(envelope) => {
                        subscriptions.judge(std::slice::from_ref(&envelope), &by, EFFORT_MAX);
                        subscriptions.hits(0, &envelope, hits);
                        lane.tell_again(number, &envelope, &by);
                        for target in targets(hits) {
                            lane.again.push(number, &envelope, &target, ownership, &by);
                        }
                        effort += subscriptions.evaluated() + hits.len();
                        statistics.replayed += 1;
                    }
                    Entry::Barrier(layout) => lane.again.mark(number, Mark::Barrier(layout.epoch), &by),
                    Entry::Close => lane.again.mark(number, Mark::Close, &by),
                    Entry::Operation(_) => {}
                }
            }
            if effort > 0 {
                subscriptions.forget_judged();
            }
            is_done |= waited && !lane.again.is_waiting();
        }
        is_done
    }

    /// Has what expired removed, as far as this shard judges by it.
    fn expire(&mut self, wall: Timestamp) {
        let Self { ownership, subscriptions, replicas, actions, .. } = self;
        let layout = ownership.layout();
        let is_ours = |slice| ownership.active.contains(slice) && replicas.are_whole(&std::iter::once(slice).collect());
        for expired in subscriptions.expired(wall, is_ours, |session| layout.lane_of_session(session)) {
            let Expired { lane, tenant, session, subscription, version } = expired;
            let Some(to) = layout.writer(lane) else { continue };
            let expire = ToAccessPoint::Expire(Expire { lane, tenant, session, subscription, version });
            actions.push(Send { to, message: Message::AccessPoint(expire) });
        }
    }

    /// Whether [`Serving::work`] has something to do that no event will announce.
    pub fn is_runnable(&self) -> bool {
        self.lanes.values().any(|lane| lane.is_runnable() || lane.again.is_runnable())
    }

    /// When a step of what nobody waits for is due.
    pub fn next_turn(&self) -> Option<Instant> {
        let is_unsettled = self.subscriptions.is_unsettled() || self.replicas.is_unsettled();
        let part = self.snapshots.due().filter(|_| self.tails.are_heard());
        let due = is_unsettled.then_some(Instant::ZERO).into_iter().chain(part).min();
        [due.map(|due| self.turns.next(due)), self.replicas.credits_due()].into_iter().flatten().min()
    }

    /// When the first subscription is to be removed, by the wall clock.
    pub fn next_removal(&self) -> Option<Timestamp> {
        self.subscriptions.next_expiry()
    }

    /// When the trace of an ended session is to be dropped.
    pub fn next_forgetting(&self) -> Option<Instant> {
        self.subscriptions.next_forgetting()
    }

    /// Sends what can be sent now, and reads the gauges.
    pub fn flush(&mut self, statistics: &mut Statistics, actions: &mut Vec<Send>) {
        (statistics.output_bytes, statistics.input_frames, statistics.input_bytes) = (0, 0, 0);
        statistics.ends_judged += count(std::mem::take(&mut self.left));
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
            self.judged.retain(|id| self.lanes.contains_key(&id));
            self.tails.forget(|id| self.lanes.contains_key(&id));
            self.judge_by_lanes();
        }
        statistics.retained_bytes = self.lanes.values().map(Lane::retained_bytes).sum();
        actions.append(&mut self.actions);
        statistics.joining = count(self.replicas.joining());
        statistics.snapshots_overrun = self.replicas.overflows;
        statistics.subscriptions = count(self.subscriptions.len());
        statistics.subscription_bytes = self.subscriptions.bytes();
        if let Some(surveyed) = self.subscriptions.survey() {
            statistics.index_bytes = count(surveyed.index_bytes);
            statistics.filter_cost_nanoseconds = surveyed.costliest;
        }
        statistics.sessions = count(self.subscriptions.sessions());
        statistics.tombstones = count(self.subscriptions.tombstones());
        statistics.doomed = count(self.subscriptions.doomed());
    }
}

/// Whom the last publication judged is for, one a session.
fn targets(hits: &Hits) -> impl Iterator<Item = Target> {
    hits.sessions().map(|(session, handles)| {
        let handles = match handles {
            &[(generation, handle)] => Handles::One(generation, handle),
            several => Handles::Many(several.into()),
        };
        Target { session, handles }
    })
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("32 bits fit a usize")
}

fn count(length: usize) -> u64 {
    u64::try_from(length).expect("a length fits 64 bits")
}
