//! The machine of one access-point shard: lets messages through the gate and hands them to the lanes it writes.
//!
//! ```text
//!   no layout ──Layout──▶ writing ──newer Layout──▶ writing, each lane with a barrier; without lanes if it is not named
//!   (all held)
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::gate::{Gate, Passage};
use gomera_cluster::identity::{Generation, Sequence};
use gomera_cluster::layout::{Epoch, Layout};
use gomera_cluster::machine::{Machine, NodeEvent, Received, Send};
use gomera_cluster::message::ToAccessPoint;
use gomera_cluster::message::access_point::{EntriesCredit, Merged, OpenPublisher, Publish, Purpose, SettleSession};
use gomera_cluster::message::connection_point::{Refusal, Refused, SessionSettled, ToConnectionPoint};
use gomera_cluster::position::LaneId;
use gomera_cluster::report::Report;
use gomera_cluster::time::Instant;

use crate::config::Config;
use crate::lane::{Lane, Output};
use crate::routes::Routes;
use crate::statistics::Statistics;

/// What an access-point shard can be told.
pub type Event = NodeEvent<ToAccessPoint>;

/// What it can ask for.
pub type Action = Send;

/// One access-point shard.
#[derive(Debug)]
pub struct AccessPoint {
    address: Address,
    config: Config,
    gate: Gate<ToAccessPoint>,
    lanes: BTreeMap<LaneId, Lane>,
    generation: Generation,
    output: Output,
}

impl AccessPoint {
    /// The shard at `address`; it waits for a layout.
    ///
    /// # Panics
    /// If the configuration is not valid.
    #[must_use]
    pub fn new(address: Address, config: Config) -> Self {
        config.validate().expect("a configuration is validated before a machine is made");
        Self {
            address,
            config,
            gate: Gate::default(),
            lanes: BTreeMap::new(),
            generation: Generation(0),
            output: Output::default(),
        }
    }

    /// What it counts about itself; gauges as of the last drain.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.output.statistics
    }

    /// The layout it acts on, 0 before the first.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.gate.epoch()
    }

    /// How far it has come with layouts: a layout is acted on when it comes into force, by a barrier in each lane.
    #[must_use]
    pub fn report(&self) -> Report {
        let epoch = self.gate.epoch();
        Report {
            proposed: self.gate.proposed(),
            epoch,
            acted: epoch,
            barriers: self.lanes.iter().map(|(&id, lane)| (id, lane.whole_at())).collect(),
            ..Report::default()
        }
    }

    /// Whether something is kept here for this connection point: credit, or an answer it waits for.
    #[must_use]
    pub fn remembers(&self, connection_point: Address) -> bool {
        self.lanes.values().any(|lane| lane.remembers(connection_point))
    }

    fn install(&mut self, now: Instant, layout: Arc<Layout>) {
        if !self.gate.install(layout.clone()) {
            return;
        }
        // A layout that does not name this shard has fenced its lanes: whoever is taken for dead has nothing to write.
        let lives = layout.names(self.address);
        self.lanes.retain(|id, lane| {
            let stays = layout.lanes.contains_key(id);
            assert!(stays || !lives || lane.is_closed(), "layout {} ends lane {id} without its Close", layout.epoch.0);
            stays
        });
        let routes = Arc::new(Routes::new(layout.clone()));
        for lane in self.lanes.values_mut() {
            lane.govern(&routes, &mut self.output);
        }
        for (&id, lane) in &layout.lanes {
            if lane.writer == self.address {
                self.lanes.entry(id).or_insert_with(|| Lane::open(id, &self.config, &routes));
            }
        }
        // One that is proposed already may remove whom this one names.
        self.part();
        for received in self.gate.release() {
            self.receive(now, received);
        }
    }

    /// Whom the latest proposal removes is sent nothing more.
    fn part(&mut self) {
        if let Some(proposal) = self.gate.proposal() {
            self.lanes.values_mut().for_each(|lane| lane.part(proposal));
        }
    }

    fn receive(&mut self, now: Instant, received: Received<ToAccessPoint>) {
        let Self { lanes, output, generation, .. } = self;
        let Received { from, epoch: _, message } = received;
        let lane = match &message {
            ToAccessPoint::OpenPublisher(OpenPublisher { lane, .. })
            | ToAccessPoint::Publish(Publish { lane, .. })
            | ToAccessPoint::EntriesCredit(EntriesCredit { lane, .. })
            | ToAccessPoint::Merged(Merged { lane, .. }) => *lane,
            ToAccessPoint::Operate(operate) => operate.lane,
            ToAccessPoint::Progress(progress) => progress.lane,
            ToAccessPoint::LeaveLane(leave) => leave.lane,
            ToAccessPoint::SettleSession(settle) => settle.lane,
            ToAccessPoint::Forget(forget) => forget.lane,
            ToAccessPoint::Expire(expire) => expire.lane,
        };
        let Some(lane) = lanes.get_mut(&lane).filter(|lane| !lane.is_closed() || !brings(&message)) else {
            self.turn_away(from, message);
            return;
        };
        match message {
            ToAccessPoint::OpenPublisher(open) => {
                generation.0 += 1;
                lane.open_publisher(now, from, open, *generation, output);
            }
            ToAccessPoint::Publish(publish) => lane.publish(now, from, publish, output),
            ToAccessPoint::Operate(operate) => lane.operate(from, operate, output),
            ToAccessPoint::Progress(progress) => lane.progress(from, progress, output),
            ToAccessPoint::EntriesCredit(credit) => lane.entries_credit(from, credit.class, credit.total),
            ToAccessPoint::Merged(merged) => lane.merged(now, from, merged.through),
            ToAccessPoint::LeaveLane(_) => lane.left(from),
            ToAccessPoint::SettleSession(settle) => lane.settle_session(now, from, settle),
            ToAccessPoint::Forget(forget) => lane.forget(from, forget),
            ToAccessPoint::Expire(expire) => lane.expire(expire),
        }
    }

    /// For a lane that is not written here: publishers are told, so that they find the right one; the rest needs no answer,
    /// since whoever sent it acts on the layout that moved the lane.
    fn turn_away(&mut self, from: Address, message: ToAccessPoint) {
        self.output.statistics.misdirected += 1;
        let reason = Refusal::Lane;
        match message {
            ToAccessPoint::OpenPublisher(OpenPublisher { lane, publisher, instance, .. }) => {
                let (generation, sequence) = (Generation(0), Sequence(0));
                let refused = Refused { lane, publisher, instance, generation, sequence, reason };
                self.output.tell(from, ToConnectionPoint::Refused(refused));
            }
            ToAccessPoint::Publish(Publish { lane, submissions, acknowledged_through: _ }) => {
                for submission in submissions {
                    let (key, generation) = (submission.envelope.key, submission.generation);
                    let (publisher, instance, sequence) = (key.publisher, key.instance, key.sequence);
                    self.output.statistics.refused += 1;
                    let refused = Refused { lane, publisher, instance, generation, sequence, reason };
                    self.output.tell(from, ToConnectionPoint::Refused(refused));
                }
            }
            ToAccessPoint::SettleSession(SettleSession { lane, session, generation }) => {
                let settled = SessionSettled { lane, session, generation };
                self.output.tell(from, ToConnectionPoint::SessionSettled(settled));
            }
            ToAccessPoint::Operate(_)
            | ToAccessPoint::Progress(_)
            | ToAccessPoint::EntriesCredit(_)
            | ToAccessPoint::Merged(_)
            | ToAccessPoint::LeaveLane(_)
            | ToAccessPoint::Forget(_)
            | ToAccessPoint::Expire(_) => {}
        }
    }
}

/// Whether a message asks for something that a lane which is closed cannot do.
fn brings(message: &ToAccessPoint) -> bool {
    match message {
        ToAccessPoint::Publish(_) | ToAccessPoint::Operate(_) => true,
        ToAccessPoint::OpenPublisher(open) => match open.purpose {
            Purpose::Publish => true,
            Purpose::Settle => false,
        },
        ToAccessPoint::Progress(_)
        | ToAccessPoint::EntriesCredit(_)
        | ToAccessPoint::Merged(_)
        | ToAccessPoint::LeaveLane(_)
        | ToAccessPoint::SettleSession(_)
        | ToAccessPoint::Forget(_)
        | ToAccessPoint::Expire(_) => false,
    }
}

impl Machine for AccessPoint {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, now: Instant, event: Event) {
        match event {
            NodeEvent::Received(received) => match self.gate.admit(received) {
                Passage::Pass(received) => self.receive(now, received),
                Passage::Held { .. } => self.output.statistics.held += 1,
                Passage::Refused => self.output.statistics.misdirected += 1,
            },
            NodeEvent::Layout(layout) => self.install(now, layout),
            NodeEvent::Proposed(proposal) => {
                if self.gate.propose(proposal) {
                    self.part();
                }
            }
            // Publications carry their own time.
            NodeEvent::Clock(_) => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        for lane in self.lanes.values_mut() {
            lane.sweep(now);
        }
    }

    fn drain_actions(&mut self, into: &mut Vec<Action>) {
        let mut gauges = Statistics::default();
        for lane in self.lanes.values_mut() {
            lane.flush(&mut self.output);
            lane.gauge(&mut gauges);
        }
        let counted = self.output.statistics;
        self.output.statistics = Statistics {
            publishers_forgotten: gauges.publishers_forgotten,
            lanes: gauges.lanes,
            retained_entries: gauges.retained_entries,
            retained_bytes: gauges.retained_bytes,
            operations_pending: gauges.operations_pending,
            forgets_waiting: gauges.forgets_waiting,
            publishers: gauges.publishers,
            ..counted
        };
        into.append(&mut self.output.actions);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.lanes.values().filter_map(Lane::next_sweep).min()
    }
}

#[cfg(test)]
mod tests;
