//! The machine: takes events in, lets the parts do their work, asks for what is to be sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::gate::{Gate, Passage};
use gomera_cluster::identity::{Generation, SessionKey};
use gomera_cluster::layout::{Epoch, LaneEnd, Layout, SessionSlice};
use gomera_cluster::machine::{Machine, NodeEvent, Received, Send};
use gomera_cluster::message::access_point::Merged;
use gomera_cluster::message::copies::Change;
use gomera_cluster::message::exit_point::{LaneBegins, Matches, Witness};
use gomera_cluster::message::matcher::{LaneDone, MatchesCredit};
use gomera_cluster::message::{Message, ToAccessPoint, ToExitPoint, ToMatcher};
use gomera_cluster::position::{LaneId, Position, Vector};
use gomera_cluster::report::Report;
use gomera_cluster::rules::{self, Rule};
use gomera_cluster::table::Seeded;
use gomera_cluster::time::{Instant, WallClock};

use crate::config::Config;
use crate::lane::{Lane, Reception};
use crate::merge::Merger;
use crate::replicas::Need;
use crate::sessions::{Sessions, Told};
use crate::statistics::Statistics;

/// What an exit-point shard is told.
pub type Event = NodeEvent<ToExitPoint>;

/// What it asks for.
pub type Action = Send;

/// One exit-point shard.
#[derive(Debug)]
pub struct ExitPoint {
    address: Address,
    config: Config,
    gate: Gate<ToExitPoint>,
    clock: Clock,
    lanes: BTreeMap<LaneId, Lane>,
    merger: Merger,
    sessions: Sessions,
    /// Fenced lanes that have ended, to be told to matchers.
    done: Vec<LaneId>,
}

/// What is known of the wall clock.
#[derive(Clone, Copy, Debug)]
enum Clock {
    /// Nothing yet: nothing expires.
    Unknown,
    /// It showed this.
    Known(WallClock),
}

impl ExitPoint {
    /// A shard that knows no layout yet: everything waits for it.
    ///
    /// # Panics
    /// If the configuration is not valid.
    #[must_use]
    pub fn new(address: Address, config: Config) -> Self {
        config.validate().expect("whoever starts a machine has validated its configuration");
        let hashing = Seeded::new(config.hash_seed);
        Self {
            address,
            sessions: Sessions::new(address, config.clone()),
            config,
            gate: Gate::default(),
            clock: Clock::Unknown,
            lanes: BTreeMap::new(),
            done: Vec::new(),
            merger: Merger::new(hashing),
        }
    }

    /// What it has counted so far; gauges as of the last drain.
    #[must_use]
    pub const fn statistics(&self) -> &Statistics {
        &self.sessions.statistics
    }

    /// Whether something is kept here for this connection point: an attachment, an attach that waits, an answer to give.
    #[must_use]
    pub fn remembers(&self, connection_point: Address) -> bool {
        self.sessions.remembers(connection_point)
    }

    /// The sessions of a slice with their latest attachments, in order, if it has all of them: what replicas agree on when nothing is
    /// under way.
    #[must_use]
    pub fn copies(&self, slice: SessionSlice) -> Option<Vec<(SessionKey, Generation, Generation)>> {
        self.sessions.copies(slice)
    }

    /// Lanes of which clients said something that wait for copies, one for each session.
    #[cfg(test)]
    pub(crate) fn lanes_acknowledged_early(&self) -> usize {
        self.sessions.lanes_acknowledged_early()
    }

    /// How far it has come with layouts.
    #[must_use]
    pub fn report(&self) -> Report {
        let epoch = self.gate.epoch();
        Report {
            proposed: self.gate.proposed(),
            epoch,
            acted: self.lanes.values().map(Lane::governed).min().unwrap_or(epoch).min(epoch),
            installed: self.sessions.installed(),
            drained: self.lanes.iter().filter(|(_, lane)| lane.is_closed()).map(|(&id, _)| id).collect(),
            ..Report::default()
        }
    }

    fn tell_time(&mut self, now: Instant) {
        match self.clock {
            Clock::Unknown => {}
            Clock::Known(clock) => self.sessions.tell_time(clock.at(now)),
        }
    }

    /// Lanes that the layout adds are matched from their first entry on. Those that it no longer names have ended, if by plan; if their
    /// writer is dead, they end where matchers say.
    fn install(&mut self, now: Instant, layout: &Arc<Layout>, before: Epoch) {
        if !layout.names(self.address) {
            // It has left, or was taken for dead: nothing here is anybody's business any more.
            self.lanes.clear();
            self.merger.abandon();
            self.sessions.install(now, layout);
            return;
        }
        let matchers = layout.machines(Layer::Matcher).collect::<Vec<_>>();
        for (&id, opened) in &layout.lanes {
            let lane = self.lanes.entry(id).or_insert_with(|| {
                let window = self.config.matches_window_bytes;
                let mut lane = Lane::new(layout.settings.matcher_slices, window, opened.since);
                if before == Epoch(0) && opened.since < layout.epoch {
                    lane.await_beginning();
                }
                lane
            });
            lane.hear(&matchers);
        }
        for (&id, &(end, at)) in &layout.ended {
            // Opened and fenced by layouts of which only this one came here: others merge it to its cut.
            let was_here = before > Epoch(0) || !rules::holds(Rule::EndedBeforeOneCame);
            if end == LaneEnd::Fenced && was_here && at > before {
                let window = self.config.matches_window_bytes;
                let open = || Lane::new(layout.settings.matcher_slices, window, at);
                self.lanes.entry(id).or_insert_with(open);
            }
        }
        for (&id, lane) in self.lanes.iter_mut().filter(|(id, _)| !layout.lanes.contains_key(id)) {
            match layout.ended.get(&id) {
                Some(&(LaneEnd::Fenced, at)) => {
                    lane.hear(&matchers);
                    lane.fence(at, layout.epoch, &matchers, layout.lost_since(at));
                }
                // By plan it was merged to its end here first.
                Some(&(LaneEnd::Closed, _)) | None => {
                    let is_over = lane.is_closed() || !rules::holds(Rule::EndedBeforeOneCame);
                    assert!(is_over, "layout {} ends lane {id} without its Close", layout.epoch.0);
                }
            }
        }
        self.sessions.install(now, layout);
    }

    /// Lanes that copies from another replica name and that have ended here, or were never here, stay known as long as something of theirs
    /// is in an outbox.
    fn inherit(&mut self, merged: &Vector) {
        for position in merged.iter().filter(|position| !self.lanes.contains_key(&position.lane)) {
            let step = self.merger.inherit(position.lane, position.number);
            self.sessions.end_lane(position.lane, step);
        }
    }

    /// Asks for what is to join here, and sends a part of what others asked for.
    fn exchange(&mut self, now: Instant) {
        let Self { lanes, merger, sessions, gate, .. } = self;
        let is_ready = |need: Need| match need {
            Need::Passed(epoch) => lanes.values().all(|lane| lane.fenced_at().is_none() && lane.governed() >= epoch),
            Need::Before(epoch) => {
                lanes.values().all(|lane| lane.fenced_at().is_none_or(|at| at > epoch) && lane.stands_before(epoch))
            }
        };
        let after = || lanes.iter().map(|(&lane, of)| Position { lane, number: of.merged() }).collect();
        sessions.ask_for_copies(now, is_ready, after);
        let has_merged = |after: &Vector| {
            lanes.iter().all(|(&id, lane)| {
                let is_asked = after.iter().any(|position| position.lane == id);
                let goes_on = gate.layout().is_some_and(|layout| layout.lanes.contains_key(&id));
                // What the other one does not merge itself has to be here; a lane that ends, to its end.
                lane.merged() >= after.get(id) && (is_asked || goes_on)
            })
        };
        sessions.copy(has_merged, merger.merged(), merger.settled());
    }

    /// Merges what is complete; lanes that end let others go on.
    fn merge(&mut self, now: Instant) {
        loop {
            self.merger.merge(now, &mut self.lanes, &mut self.sessions);
            let layout = self.gate.layout();
            let is_over = |id: LaneId, lane: &Lane| {
                lane.has_ended() || (lane.is_closed() && layout.is_some_and(|layout| !layout.lanes.contains_key(&id)))
            };
            let over: Vec<_> = self.lanes.iter().filter(|&(&id, lane)| is_over(id, lane)).map(|(&id, _)| id).collect();
            let mut cut = false;
            for id in over {
                let lane = self.lanes.remove(&id).expect("it was just there");
                let step = self.merger.end(id);
                self.sessions.end_lane(id, step);
                if lane.fenced_at().is_some() {
                    cut = true;
                    self.done.push(id);
                    self.sessions.statistics.lanes_cut += 1;
                }
            }
            if !cut {
                return;
            }
        }
    }

    /// Lanes that have ended leave `W` when nothing of theirs is in an outbox any more.
    fn depart(&mut self) {
        let mut gone = Vec::new();
        self.sessions.depart(&mut gone);
        for lane in gone {
            self.merger.forget(lane);
        }
    }

    fn receive(&mut self, now: Instant, received: Received<ToExitPoint>) {
        let from = received.from;
        match received.message {
            ToExitPoint::Matches(frame) => self.receive_matches(from, frame),
            ToExitPoint::LaneCut(cut) => {
                match self.lanes.get_mut(&cut.lane) {
                    Some(lane) => lane.hear_cut(from, received.epoch, cut.reach),
                    // It ended before this shard came: nobody has to keep anything of it for this one.
                    None => self.done.push(cut.lane),
                }
            }
            ToExitPoint::Attach(attach) => self.sessions.attach(now, from, attach, self.merger.merged()),
            ToExitPoint::Detach(detach) => self.sessions.detach(now, detach),
            ToExitPoint::Acknowledge(acknowledge) => {
                let told = if self.is_of(from, Layer::ExitPoint) {
                    Told::ByAReplica
                } else if received.epoch < self.gate.epoch() {
                    Told::ByAnEarlierLayout
                } else {
                    Told::All
                };
                self.sessions.acknowledge(&acknowledge, self.merger.merged(), told);
            }
            ToExitPoint::SessionCredit(credit) => self.sessions.grant(credit),
            ToExitPoint::EndSession(end) => self.sessions.end(end),
            ToExitPoint::Forgotten(forgotten) => self.sessions.forgotten(now, forgotten, self.merger.merged()),
            ToExitPoint::LaneBegins(begins) => self.begin(begins),
            ToExitPoint::CopiesWanted(wanted) => self.sessions.want_copies(from, wanted),
            ToExitPoint::CopiesCredit(credit) => self.sessions.grant_copies(from, credit),
            ToExitPoint::CopiesPart(part) => {
                for head in part.sessions.iter().filter_map(|copy| copy.head.as_ref()) {
                    self.inherit(&head.record.merged);
                }
                self.sessions.take_copies(from, part, self.merger.merged());
            }
            ToExitPoint::Changes(changes) => {
                for change in &changes.changes {
                    match change {
                        Change::Attached(record) => self.inherit(&record.merged),
                        Change::Dropped { .. } | Change::Ended(_) | Change::Forgotten(_) => {}
                    }
                }
                self.sessions.change(from, changes, self.merger.merged());
            }
            ToExitPoint::ChangesTaken(taken) => self.sessions.changes_taken(now, from, taken),
            ToExitPoint::HandoverWanted(asked) => self.sessions.asked_to_hand_over(from, asked),
            ToExitPoint::HandedOver(handed) => self.sessions.handed_over(now, from, handed),
            ToExitPoint::TermAttached(attached) => {
                self.sessions.adopt(now, from, attached, self.merger.merged());
            }
        }
    }

    /// A lane that was there before this shard begins for it.
    fn begin(&mut self, begins: LaneBegins) {
        if let Some(lane) = self.lanes.get_mut(&begins.lane) {
            let before = lane.merged();
            let is_news = match begins.by {
                Witness::Before => true,
                Witness::Newcomer => lane.awaits_beginning(),
            };
            if is_news && lane.begin(begins.after, begins.governed) {
                self.merger.begin(begins.lane, begins.after);
                self.sessions.statistics.positions_merged += begins.after.0 - before.0;
            }
        }
    }

    fn is_of(&self, machine: Address, layer: Layer) -> bool {
        let member = self.gate.layout().and_then(|layout| layout.members.get(&machine.node));
        member.is_some_and(|member| member.layer == layer)
    }

    fn receive_matches(&mut self, from: Address, frame: Matches) {
        let is_matcher = self.is_of(from, Layer::Matcher);
        let reception = match self.lanes.get_mut(&frame.lane) {
            Some(lane) if is_matcher => lane.receive(from, frame),
            Some(_) | None => Reception::Refused,
        };
        let statistics = &mut self.sessions.statistics;
        match reception {
            Reception::Taken | Reception::Held => statistics.frames += 1,
            Reception::Covered => statistics.frames_covered += 1,
            Reception::Refused => statistics.frames_refused += 1,
        }
    }
}

impl Machine for ExitPoint {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, now: Instant, event: Event) {
        self.tell_time(now);
        match event {
            NodeEvent::Received(received) => match self.gate.admit(received) {
                Passage::Pass(received) => self.receive(now, received),
                // The driver exchanges layouts: what is held comes back with the next one.
                Passage::Held { .. } | Passage::Refused => {}
            },
            NodeEvent::Proposed(proposal) => {
                self.gate.propose(proposal);
            }
            NodeEvent::Layout(layout) => {
                // What came before it was a member is none of its business.
                let member = self.gate.layout().filter(|before| before.names(self.address));
                let before = member.map_or(Epoch(0), |before| before.epoch);
                if self.gate.install(Arc::clone(&layout)) {
                    self.install(now, &layout, before);
                    for received in self.gate.release() {
                        self.receive(now, received);
                    }
                }
            }
            NodeEvent::Clock(clock) => {
                self.clock = Clock::Known(clock);
                self.tell_time(now);
                self.sessions.forget_inherited(now);
                self.depart();
            }
        }
        self.merge(now);
        self.exchange(now);
        self.sessions.discard();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.tell_time(now);
        self.sessions.pass(now);
        self.merge(now);
        self.exchange(now);
        self.sessions.discard();
    }

    fn drain_actions(&mut self, into: &mut Vec<Action>) {
        self.sessions.drain(into);
        for lane in self.done.drain(..) {
            let matchers = self.gate.layout().into_iter().flat_map(|layout| layout.machines(Layer::Matcher));
            for to in matchers {
                into.push(Send { to, message: Message::Matcher(ToMatcher::LaneDone(LaneDone { lane })) });
            }
        }
        let writer = |lane: LaneId| self.gate.layout().and_then(|layout| layout.writer(lane));
        for (&id, lane) in &mut self.lanes {
            if let Some(to) = writer(id)
                && let Some(through) = lane.report()
            {
                let merged = ToAccessPoint::Merged(Merged { lane: id, through });
                into.push(Send { to, message: Message::AccessPoint(merged) });
            }
            lane.grant(|to, class, total| {
                let credit = ToMatcher::MatchesCredit(MatchesCredit { lane: id, class, total });
                into.push(Send { to, message: Message::Matcher(credit) });
            });
        }
        self.sessions.gauge();
        let statistics = &mut self.sessions.statistics;
        statistics.frames_held =
            self.lanes.values().map(|lane| u64::try_from(lane.held()).expect("a length fits 64 bits")).sum();
        statistics.unmerged_bytes = self.lanes.values().map(Lane::unmerged_bytes).sum();
        statistics.coverage_lag = self.lanes.values().map(Lane::lag).max().unwrap_or(0);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let sweep = match (self.clock, self.sessions.next_sweep()) {
            (Clock::Known(clock), Some(due)) => {
                let wait = u64::try_from(due.0.saturating_sub(clock.showed.0)).unwrap_or(0);
                Some(clock.at + Duration::from_micros(wait))
            }
            (Clock::Unknown, _) | (Clock::Known(_), None) => None,
        };
        let backlog = self.sessions.has_backlog().then_some(Instant::ZERO);
        [self.sessions.next_expiry(), self.merger.until(), sweep, backlog].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
