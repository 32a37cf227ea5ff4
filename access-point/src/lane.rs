//! One lane: takes publications, operations and ends of sessions in, gives them numbers, sends them on, lets them go when
//! every exit point has merged past them, and answers.
//!
//! ```text
//!   Publish, Operate, Forget        Entries          Progress                  Merged by all
//!  ─────────────────────────▶ log ──────────▶ sent ───────────▶ operation ───────────────────▶ trimmed:
//!      credit, verdict                                          completed                      acknowledged, credit freed
//! ```
//! Invariants: an entry is trimmed only when every matcher that no proposal removes was sent it and every exit point has merged it; a
//! publication is acknowledged exactly when it is trimmed.

mod closing;
mod completing;
mod sending;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::credit::{Class, Total};
use gomera_cluster::identity::{Generation, Sequence, SubscriptionKey};
use gomera_cluster::layout::{Epoch, LaneState, Layout};
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::access_point::{
    Expire, Forget, OpenPublisher, Operate, Progress, Publish, Purpose, SettleSession, Submission,
};
use gomera_cluster::message::connection_point::{
    LaneCredit, PublisherOpened, PublisherSuperseded, Refusal, Refused, SessionSettled, ToConnectionPoint,
};
use gomera_cluster::message::matcher::Entry;
use gomera_cluster::operation::{Change, Operation, Outcome, Version};
use gomera_cluster::position::{LaneId, Number};
use gomera_cluster::table::Seeded;
use gomera_cluster::time::Instant;

use crate::config::Config;
use crate::log::{Log, Origin, Retained};
use crate::operations::{Asker, Charge, Completion, Operations, Round, Sequenced, Trimmed};
use crate::publishers::{Name, Publishers, Slot, Submitted, Verdict};
use crate::readers::{Gone, Readers};
use crate::replays::Replays;
use crate::routes::Routes;
use crate::settling::{Settling, Waiting};
use crate::sources::Sources;
use crate::statistics::Statistics;
use closing::Closing;
use sending::Saying;

/// What a lane asks for and counts, collected by the machine.
#[derive(Debug, Default)]
pub struct Output {
    /// In order.
    pub actions: Vec<Send>,
    /// Counted by all lanes together.
    pub statistics: Statistics,
}

impl Output {
    /// Tells a connection point.
    pub fn tell(&mut self, to: Address, message: ToConnectionPoint) {
        self.actions.push(Send { to, message: Message::ConnectionPoint(message) });
    }
}

/// What other layers have the lane end.
#[derive(Debug)]
enum Ending {
    /// A session ended at this exit point.
    Session(Address, Forget),
    /// A subscription expired.
    Subscription(Expire),
}

/// One lane.
#[derive(Debug)]
pub struct Lane {
    id: LaneId,
    config: Config,
    routes: Arc<Routes>,
    log: Log,
    publishers: Publishers,
    operations: Operations,
    settling: Settling,
    readers: Readers,
    merged: BTreeMap<Address, Number>,
    sources: Sources,
    replays: Replays,
    /// The last layout by whose barrier nothing had to be sent again any more.
    whole_at: Epoch,
    endings: VecDeque<Ending>,
    endings_under_way: u32,
    completions: Vec<Completion>,
    /// Subscriptions of which something is taken back that had no room: under which number.
    restoring: BTreeMap<SubscriptionKey, Number>,
    /// The last operation, and up to where matchers were told that all are settled.
    last_operation: Number,
    told_settled: Number,
    closing: Closing,
    saying: Saying,
}

impl Lane {
    /// A lane that the layout of `routes` opens: it begins with its barrier.
    pub fn open(id: LaneId, config: &Config, routes: &Arc<Routes>) -> Self {
        let mut lane = Self {
            id,
            config: config.clone(),
            routes: routes.clone(),
            log: Log::default(),
            publishers: Publishers::new(config),
            operations: Operations::default(),
            settling: Settling::new(Seeded::new(config.hash_seed)),
            readers: Readers::default(),
            merged: routes.exit_points.iter().map(|&address| (address, Number::ZERO)).collect(),
            sources: Sources::default(),
            replays: Replays::default(),
            whole_at: Epoch(0),
            endings: VecDeque::new(),
            endings_under_way: 0,
            completions: Vec::new(),
            restoring: BTreeMap::new(),
            last_operation: Number::ZERO,
            told_settled: Number::ZERO,
            closing: Closing::Open,
            saying: Saying::WithEntries(Instant::ZERO),
        };
        // Nobody is gone, so nothing completes.
        lane.govern(routes, &mut Output::default());
        lane
    }

    /// From here on this layout governs the lane. Matchers that it names newly read from its barrier on, exit points merge from there
    /// on; those that it does not name any more are not waited for, and what matchers may have left unsaid is sent again to whoever
    /// owns their slices now.
    pub fn govern(&mut self, routes: &Arc<Routes>, output: &mut Output) {
        let last = self.log.last();
        self.merged.retain(|exit_point, _| routes.exit_points.binary_search(exit_point).is_ok());
        for &exit_point in &routes.exit_points {
            let before = self.merged.len();
            self.merged.entry(exit_point).or_insert(last);
            if self.merged.len() > before {
                self.tell_if_closed(exit_point, output);
            }
        }
        let Config { retained_bytes_max, operation_bytes_max, .. } = self.config;
        self.sources.serve(&routes.connection_points, retained_bytes_max, operation_bytes_max);
        self.whole_at = self.whole_at();
        self.routes = routes.clone();
        let gone = self.readers.serve(&routes.matchers, self.log.last());
        let drains = routes.layout.lanes.get(&self.id).is_some_and(|lane| lane.state == LaneState::Draining);
        if drains && self.closing == Closing::Open {
            self.closing = Closing::Draining(BTreeSet::new());
        }
        self.write(Entry::Barrier(routes.layout.clone()));
        self.readers.turn(self.log.last(), &routes.publications);
        // Of a lane that is closed everything was judged by those before.
        self.replays.govern(self.log.last(), self.log.trimmed(), routes, &gone);
        let mut completions = Vec::new();
        for Gone { matcher, sent: _, progressed } in gone {
            self.operations.release(matcher, progressed, &mut completions);
        }
        for completion in completions {
            self.complete(completion, output);
        }
    }

    /// Nothing more is sent to matchers that a proposal removes: when it is committed, they have judged no more than they were sent before.
    pub fn part(&mut self, proposal: &Layout) {
        self.readers.part(proposal);
        self.replays.part(proposal);
    }

    /// The last barrier written, once everything that dead matchers owned before it is merged: replicas that may have to judge it
    /// once more must not leave before.
    pub fn whole_at(&self) -> Epoch {
        if self.replays.is_under_way() { self.whole_at } else { self.routes.epoch() }
    }

    /// A publisher instance begins or resumes.
    pub fn open_publisher(
        &mut self,
        now: Instant,
        from: Address,
        open: OpenPublisher,
        generation: Generation,
        output: &mut Output,
    ) {
        let OpenPublisher { lane, publisher, instance, connection, purpose } = open;
        let answer = |generation, sequenced, acknowledged| {
            let opened = PublisherOpened { lane, publisher, instance, connection, generation, sequenced, acknowledged };
            ToConnectionPoint::PublisherOpened(opened)
        };
        if purpose == Purpose::Settle && !self.publishers.knows(&(publisher, instance)) {
            output.tell(from, answer(Generation(0), Sequence(0), Sequence(0)));
            return;
        }
        let Some(opened) = self.publishers.open(now, (publisher, instance), from, generation) else {
            output.statistics.refused += 1;
            let reason = self.full();
            let (generation, sequence) = (Generation(0), Sequence(0));
            let refused = Refused { lane, publisher, instance, generation, sequence, reason };
            output.tell(from, ToConnectionPoint::Refused(refused));
            return;
        };
        if let Some((previous, generation)) = opened.superseded
            && self.sources.serves(previous)
        {
            let superseded = PublisherSuperseded { lane, publisher, instance, generation };
            output.tell(previous, ToConnectionPoint::PublisherSuperseded(superseded));
        }
        let sequenced = match purpose {
            // An instance that was forgotten once is not told what is acknowledged before it hands it in.
            Purpose::Settle if !opened.has_outstanding => opened.acknowledged,
            Purpose::Settle | Purpose::Publish => opened.sequenced,
        };
        output.tell(from, answer(generation, sequenced, opened.acknowledged));
    }

    /// Publications come in.
    pub fn publish(&mut self, now: Instant, from: Address, publish: Publish, output: &mut Output) {
        let mut freed = 0;
        let mut latest: Option<(Name, Slot)> = None;
        let mut over: Option<(Name, Generation)> = None;
        for submission in publish.submissions {
            let Submission { envelope, generation, resent } = submission;
            let name = (envelope.key.publisher, envelope.key.instance);
            let submitted = Submitted { name, generation, sequence: envelope.key.sequence, resent, from };
            let slot = match latest {
                Some((known, slot)) if known == name => Some(slot),
                Some(_) | None => self.publishers.find(now, &submitted),
            };
            latest = slot.map(|slot| (name, slot));
            let verdict = match slot {
                None => Verdict::Refuse(self.full()),
                Some(slot) => self.publishers.judge(slot, &submitted),
            };
            let refusal = match verdict {
                Verdict::Take(slot) => {
                    let cost = envelope.cost();
                    output.statistics.publications += 1;
                    output.statistics.publication_bytes += cost;
                    let origin = Origin::Publisher { slot, from };
                    let number = self.log.append(Retained { entry: Entry::Publication(envelope), cost, origin });
                    self.publishers.taken(slot, submitted.sequence, number);
                    continue;
                }
                Verdict::Outstanding(number) => match self.log.get(number).map(|retained| &retained.entry) {
                    Some(Entry::Publication(first)) if first.content != envelope.content => Some(Refusal::Reused),
                    Some(Entry::Publication(_) | Entry::Operation(_) | Entry::Barrier(_) | Entry::Close) | None => {
                        output.statistics.repeats += 1;
                        None
                    }
                },
                Verdict::Acknowledged => {
                    output.statistics.repeats += 1;
                    None
                }
                Verdict::Superseded => {
                    output.statistics.superseded += 1;
                    // Said again: whoever forgot the record in between could not say it when the newer attachment came.
                    if over.replace((name, generation)) != Some((name, generation)) {
                        let (publisher, instance) = name;
                        let superseded = PublisherSuperseded { lane: self.id, publisher, instance, generation };
                        output.tell(from, ToConnectionPoint::PublisherSuperseded(superseded));
                    }
                    None
                }
                Verdict::Refuse(reason) => Some(reason),
            };
            freed += envelope.cost();
            if let Some(reason) = refusal {
                output.statistics.refused += 1;
                let (publisher, instance) = name;
                let sequence = submitted.sequence;
                let refused = Refused { lane: self.id, publisher, instance, generation, sequence, reason };
                output.tell(from, ToConnectionPoint::Refused(refused));
            }
        }
        for (publisher, instance, through) in publish.acknowledged_through {
            self.publishers.confirmed((publisher, instance), through);
        }
        if freed > 0 {
            self.sources.free_publications(from, freed);
        }
    }

    /// Operations of sessions come in.
    pub fn operate(&mut self, from: Address, operate: Operate, output: &mut Output) {
        for operation in operate.operations {
            if self.settling.is_over(operation.session, operation.version.generation) {
                output.statistics.operations_superseded += 1;
                self.sources.free_operations(from, operation.cost());
                continue;
            }
            self.sequence(operation, Asker::ConnectionPoint(from), Charge::Asker, Round::First, None, output);
        }
    }

    /// A session is attached anew, here or on another lane.
    pub fn settle_session(&mut self, now: Instant, from: Address, settle: SettleSession) {
        let SettleSession { lane: _, session, generation } = settle;
        self.settling.wait(now, Waiting { to: from, session, generation });
    }

    /// A session ended at `from`.
    pub fn forget(&mut self, from: Address, forget: Forget) {
        // Of a lane that is closed, it is handed in again when the layout drops the lane.
        if !self.is_closed() {
            self.endings.push_back(Ending::Session(from, forget));
        }
    }

    /// A subscription expired.
    pub fn expire(&mut self, expire: Expire) {
        if !self.is_closed() {
            self.endings.push_back(Ending::Subscription(expire));
        }
    }

    /// A matcher has worked entries off.
    pub fn progress(&mut self, from: Address, progress: Progress, output: &mut Output) {
        let Some(before) = self.readers.progress(from, progress.through) else { return };
        let mut completions = std::mem::take(&mut self.completions);
        self.operations.progress(from, before, progress.through, progress.outcomes, progress.refused, &mut completions);
        for completion in completions.drain(..) {
            self.complete(completion, output);
        }
        self.completions = completions;
    }

    /// A matcher grants credit.
    pub fn entries_credit(&mut self, from: Address, class: Class, total: Total) {
        match class {
            Class::Live => self.readers.grant(from, total),
            Class::Replay if self.readers.serves(from) => self.replays.grant(from, total),
            // Operations travel with publications, in order.
            Class::Replay | Class::Operation | Class::Control => {}
        }
    }

    /// An exit point has merged.
    ///
    /// # Panics
    /// If it has merged what was never written.
    pub fn merged(&mut self, now: Instant, from: Address, through: Number) {
        self.say_merged(now);
        let last = self.log.last();
        assert!(through <= last, "{from} has merged {} of lane {}, which ends at {}", through.0, self.id, last.0);
        if let Some(merged) = self.merged.get_mut(&from) {
            *merged = (*merged).max(through);
        }
    }

    /// Sends what can be sent now: entries, acknowledgements, credit.
    pub fn flush(&mut self, output: &mut Output) {
        while self.endings_under_way < self.config.forgets_max
            && let Some(ending) = self.endings.pop_front()
        {
            self.append_ending(ending, output);
        }
        self.close_if_due();
        self.send_entries(output);
        // After sending: exit points may have merged what a matcher without slices is sent only now.
        self.trim();
        self.send_acknowledgements(output);
        for Waiting { to, session, generation } in self.settling.settled() {
            let settled = SessionSettled { lane: self.id, session, generation };
            if self.sources.serves(to) {
                output.tell(to, ToConnectionPoint::SessionSettled(settled));
            }
        }
        self.tell_settled(output);
        for grant in self.sources.grants() {
            let credit = LaneCredit { lane: self.id, class: grant.class, total: grant.total };
            output.tell(grant.to, ToConnectionPoint::LaneCredit(credit));
        }
    }

    /// Whether something is kept here for this connection point.
    pub fn remembers(&self, connection_point: Address) -> bool {
        self.sources.serves(connection_point) || self.operations.awaits(connection_point)
    }

    /// When [`Lane::sweep`] has something to do.
    pub fn next_sweep(&self) -> Option<Instant> {
        [self.publishers.next_sweep(), self.settling.next_sweep(), self.next_saying()].into_iter().flatten().min()
    }

    /// Forgets idle publishers, and older attachments of sessions; says how far the lane is merged, if nothing else does.
    pub fn sweep(&mut self, now: Instant) {
        if self.next_saying().is_some_and(|at| at <= now) {
            self.saying = Saying::Alone(now);
        }
        self.publishers.sweep(now);
        self.settling.sweep(now);
    }

    /// Adds this lane's share to the gauges.
    pub fn gauge(&self, statistics: &mut Statistics) {
        let count = |length: usize| u64::try_from(length).expect("a length fits 64 bits");
        statistics.lanes += 1;
        statistics.retained_entries += self.log.len();
        statistics.retained_bytes += self.log.bytes();
        statistics.operations_pending += count(self.operations.len());
        statistics.forgets_waiting += count(self.endings.len());
        statistics.publishers += count(self.publishers.len());
        statistics.publishers_forgotten += self.publishers.evicted();
    }

    fn full(&self) -> Refusal {
        Refusal::Publishers(u64::from(self.config.publishers_max))
    }

    /// Gives an operation its number, and has it awaited.
    fn sequence(
        &mut self,
        operation: Arc<Operation>,
        asker: Asker,
        charge: Charge,
        round: Round,
        answer: Option<Outcome>,
        output: &mut Output,
    ) {
        output.statistics.operations += 1;
        let (stamp, decider) = self.routes.stamp(&operation);
        let entry = Entry::Operation(operation.clone());
        let origin = match (charge, asker) {
            (Charge::Asker, Asker::ConnectionPoint(from)) => Origin::Session { from, stamp: stamp.clone() },
            (Charge::Asker | Charge::Nobody, _) => Origin::Cluster { stamp: stamp.clone() },
        };
        let number = self.log.append(Retained { cost: entry.cost(), entry, origin });
        self.last_operation = number;
        if let Change::Restore(key, _) = &operation.change {
            self.restoring.insert(*key, number);
        }
        self.settling.begin(operation.session);
        self.operations.begin(Sequenced { number, operation, asker, stamp, decider, charge, round, answer });
    }

    fn append_ending(&mut self, ending: Ending, output: &mut Output) {
        let low = Version { generation: Generation(0), counter: 0 };
        let (operation, asker) = match ending {
            Ending::Session(from, Forget { lane: _, tenant, session, generation }) => {
                let version = Version { generation, counter: u64::MAX };
                (Operation { tenant, session, version, low, change: Change::Forget }, Asker::ExitPoint(from))
            }
            Ending::Subscription(Expire { lane: _, tenant, session, subscription, version }) => {
                let change = Change::Expire(subscription);
                (Operation { tenant, session, version, low, change }, Asker::Nobody)
            }
        };
        self.endings_under_way += 1;
        self.sequence(Arc::new(operation), asker, Charge::Nobody, Round::First, None, output);
    }

    fn trim(&mut self) {
        let Some(merged) = self.merged.values().copied().min() else { return };
        let through = merged.min(self.readers.sent_to_all());
        // Runs of one connection point are freed at once: a look-up each, not one an entry.
        let mut run: Option<(Address, u64)> = None;
        while let Some((number, retained)) = self.log.trim_one(through) {
            match (retained.entry, retained.origin) {
                (Entry::Publication(envelope), Origin::Publisher { slot, from }) => {
                    self.publishers.merged(slot, envelope.key.sequence);
                    match &mut run {
                        Some((address, cost)) if *address == from => *cost += retained.cost,
                        Some(_) | None => {
                            if let Some((address, cost)) = run.replace((from, retained.cost)) {
                                self.sources.free_publications(address, cost);
                            }
                        }
                    }
                }
                (Entry::Operation(_), Origin::Session { from, .. }) => match self.operations.trimmed(number) {
                    Trimmed::Free => self.sources.free_operations(from, retained.cost),
                    Trimmed::Awaited => {}
                },
                (Entry::Operation(_) | Entry::Barrier(_) | Entry::Close | Entry::Publication(_), _) => {}
            }
        }
        if let Some((address, cost)) = run {
            self.sources.free_publications(address, cost);
        }
        self.replays.let_go(self.log.trimmed());
    }
}

#[cfg(test)]
mod tests;
