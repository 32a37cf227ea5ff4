//! Matcher shards behind one lane and in front of two exit points, told and heard as in a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::address::{Address, Incarnation, Layer, Shard};
use gomera_cluster::credit::{Class, Total};
use gomera_cluster::layout::{Epoch, Layout, Member, Settings};
use gomera_cluster::machine::{Machine, NodeEvent, Received};
use gomera_cluster::message::exit_point::ToExitPoint;
use gomera_cluster::message::matcher::{Entries, Entry, MatchesCredit};
use gomera_cluster::message::{Message, ToMatcher};
use gomera_cluster::operation::Operation;
use gomera_cluster::position::{LaneId, Number};
use gomera_cluster::publication::Envelope;
use gomera_cluster::time::Instant;
use gomera_matcher::config::Config;
use gomera_matcher::machine::Matcher;

use crate::plain::Satisfied;

const LANE: LaneId = LaneId(1);
const WRITER: Address = Address { node: Incarnation(2), shard: Shard(0) };

pub struct Cluster {
    layout: Arc<Layout>,
    matchers: Vec<(Address, Matcher, Number)>,
    last: Number,
}

impl Cluster {
    pub fn new(shards: u16) -> Self {
        let member = |layer, shards| Member {
            layer,
            name: Arc::from("node"),
            link_address: Arc::from(""),
            client_address: Arc::from(""),
            shards,
        };
        let members = BTreeMap::from([
            (Incarnation(2), member(Layer::AccessPoint, 1)),
            (Incarnation(3), member(Layer::Matcher, shards)),
            (Incarnation(4), member(Layer::ExitPoint, 2)),
        ]);
        let settings = Settings { matcher_slices: 16, session_slices: 16, replication: 1 };
        let layout = Arc::new(Layout::initial(settings, members, 1, Epoch(1), LANE));
        let matchers = layout.machines(Layer::Matcher).map(|address| {
            let mut matcher = Matcher::new(address, Config { hash_seed: 42, ..Config::default() });
            matcher.handle(Instant::ZERO, NodeEvent::Layout(layout.clone()));
            for exit in layout.machines(Layer::ExitPoint) {
                let credit = MatchesCredit { lane: LANE, class: Class::Live, total: Total(u64::MAX) };
                let message = ToMatcher::MatchesCredit(credit);
                let received = Received { from: exit, epoch: Epoch(1), message };
                matcher.handle(Instant::ZERO, NodeEvent::Received(received));
            }
            (address, matcher, Number::ZERO)
        });
        Self { matchers: matchers.collect(), layout, last: Number::ZERO }
    }

    /// Tells those who have to apply it.
    pub fn operate(&mut self, operation: Operation) {
        let operation = Arc::new(operation);
        let key = operation.change.subscription();
        let owner = key.and_then(|key| self.layout.matcher_placement(self.layout.slice_of_subscription(key)).active());
        self.last = self.last.next();
        let mut none = Satisfied::new();
        for index in 0..self.matchers.len() {
            let concerned = owner.is_none_or(|owner| owner == self.matchers[index].0);
            let entries = concerned.then(|| (self.last, Entry::Operation(operation.clone())));
            self.send(index, entries.into_iter().collect(), &mut none);
        }
        assert!(none.is_empty(), "an operation satisfies nothing");
    }

    /// What all exit points are told of a publication.
    pub fn publish(&mut self, envelope: Arc<Envelope>) -> Satisfied {
        self.last = self.last.next();
        let mut satisfied = Vec::new();
        for index in 0..self.matchers.len() {
            self.send(index, vec![(self.last, Entry::Publication(envelope.clone()))], &mut satisfied);
        }
        satisfied.sort_unstable();
        satisfied
    }

    fn send(&mut self, index: usize, entries: Vec<(Number, Entry)>, satisfied: &mut Satisfied) {
        let (_, matcher, sent) = &mut self.matchers[index];
        let run = Entries { lane: LANE, class: Class::Live, from: *sent, to: self.last, entries, merged: None };
        *sent = self.last;
        let received = Received { from: WRITER, epoch: Epoch(1), message: ToMatcher::Entries(run) };
        matcher.handle(Instant::ZERO, NodeEvent::Received(received));
        let mut actions = Vec::new();
        matcher.drain_actions(&mut actions);
        for action in actions {
            let Message::ExitPoint(ToExitPoint::Matches(matches)) = action.message else { continue };
            assert_eq!(matches.to, self.last, "every range is told");
            for matched in &matches.matched {
                assert_eq!(matched.number, self.last);
                for target in &matched.targets {
                    let slice = self.layout.slice_of_session(target.session);
                    assert_eq!(self.layout.session_placement(slice).active(), Some(action.to), "to whom it concerns");
                    let handles = target.handles.iter();
                    satisfied.extend(handles.map(|(generation, handle)| (target.session, handle, generation)));
                }
            }
        }
    }
}
