//! What it takes to move slices, to correct choices and to change contexts: rows a second, and the longest step, which is how long a
//! publication may wait. Half of the rows are judged by and half are standbys; then all are judged by, and then half again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gomera_cluster::address::{Address, Incarnation, Layer, Shard};
use gomera_cluster::coverage::SliceSet;
use gomera_cluster::credit::{Class, Total};
use gomera_cluster::identity::{Generation, Handle, SessionKey, SubscriptionKey, Tenant};
use gomera_cluster::layout::{Epoch, Layout, MatcherSlice, Member, Settings};
use gomera_cluster::machine::{Machine, NodeEvent, Received};
use gomera_cluster::message::ToMatcher;
use gomera_cluster::message::matcher::{Entries, Entry, MatchesCredit};
use gomera_cluster::operation::{Change, Existing, Operation, Subscription, SubscriptionOptions, Version};
use gomera_cluster::position::{LaneId, Number};
use gomera_cluster::time as cluster;
use gomera_matcher::config::Config;
use gomera_matcher::index::{Contexts, Holdings, Index, RowId, Slices, Snapshot};
use gomera_matcher::machine::Matcher;
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, FilterLimits};
use gomera_model::value::Value;
use serde::Serialize;

use crate::workload::{Name, Workload};

/// Rows that a machine moves between two rounds of its lanes.
const STEP: usize = 256;

/// Rows that come together.
const FRAME: usize = 1024;

const SLICES: u16 = 256;

/// What a row says.
#[derive(Debug, Serialize)]
pub struct Row {
    workload: String,
    /// As many again are standbys.
    subscriptions: u32,
    /// Into an empty index, frame by frame; filters are parsed beforehand.
    loads_per_second: f64,
    longest_load_ms: f64,
    /// Rows of eight slices after the other, each with its filter, as it goes through a channel.
    snapshots_per_second: f64,
    /// What a link does to each of them: its filter as text, and read again.
    texts_written_per_second: f64,
    texts_read_per_second: f64,
    longest_snapshot_ms: f64,
    /// Standbys that come to be judged by.
    activations_per_second: f64,
    longest_activation_ms: f64,
    /// And cease to again.
    retirements_per_second: f64,
    longest_retirement_ms: f64,
    /// The slowest publication between two steps, and the slowest without any.
    publication_meanwhile_ms: f64,
    publication_alone_ms: f64,
    longest_adaptation_ms: f64,
    contexts_per_second: f64,
}

/// Contexts by row.
#[derive(Default)]
struct OfRows(BTreeMap<RowId, Attributes>);

impl Contexts for OfRows {
    fn context(&self, row: RowId) -> Option<&Attributes> {
        self.0.get(&row)
    }
}

/// Time spent, and the longest of its parts.
#[derive(Default)]
struct Clock {
    all: Duration,
    longest: Duration,
}

impl Clock {
    fn time<R>(&mut self, part: impl FnOnce() -> R) -> R {
        let begun = Instant::now();
        let result = part();
        let took = begun.elapsed();
        self.all += took;
        self.longest = self.longest.max(took);
        result
    }

    fn rate(&self, count: u32) -> f64 {
        f64::from(count) / self.all.as_secs_f64()
    }

    fn longest_ms(&self) -> f64 {
        self.longest.as_secs_f64() * 1e3
    }
}

fn judged(slices: impl Iterator<Item = u16>) -> SliceSet {
    slices.map(MatcherSlice).collect()
}

/// The slice of a row: even ones are judged by from the beginning.
fn slice_of(id: u32, subscriptions: u32) -> u16 {
    let [high, ..] = id.wrapping_mul(0x9e37_79b9).to_be_bytes();
    u16::from(high) & !1 | u16::from(id >= subscriptions)
}

/// Measures one workload.
pub fn measure(name: Name, subscriptions: u32) -> Row {
    let workload = Workload::new(name, subscriptions);
    let tenant = Tenant::open();
    let filter = |id: u32| {
        let text = workload.subscription(id).gomera();
        Filter::parse(&text, &FilterLimits::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
    };
    let filters = (0..2 * subscriptions).map(filter).collect::<Vec<_>>();
    let filter_of = |row: RowId| (&tenant, &filters[row.index()]);
    let contexts = OfRows::default();
    let slice_of = |id: u32| slice_of(id, subscriptions);

    let mut holdings = Holdings::new(1);
    holdings.judge_by(judged((0..SLICES).step_by(2)), SLICES);
    let mut ids = (0..2 * subscriptions).collect::<Vec<_>>();
    ids.sort_by_key(|&id| slice_of(id));
    let mut index = Index::new(1);
    let mut loading = Clock::default();
    for of_slice in ids.chunk_by(|&left, &right| slice_of(left) == slice_of(right)) {
        let slice = MatcherSlice(slice_of(of_slice[0]));
        for frame in of_slice.chunks(FRAME) {
            // As after decoding: just made.
            let fresh = frame.iter().map(|&id| (RowId(id), filter(id))).collect::<Vec<_>>();
            let rows = || fresh.iter().map(|(row, filter)| (*row, filter));
            if slice.0.is_multiple_of(2) {
                loading.time(|| index.load(&tenant, slice, rows()));
            }
            holdings.load(&tenant, slice, rows());
        }
    }

    let mut copying = Clock::default();
    let (mut writing, mut reading) = (Clock::default(), Clock::default());
    let mut taken = Vec::new();
    let mut copied = 0;
    // A move is of many slices at once; this is of eight.
    for first in (0..SLICES).step_by(16) {
        let slices = judged((first..first + 16).step_by(2));
        let mut snapshot = Snapshot::new();
        let mut rows = Vec::new();
        let mut is_over = false;
        while !is_over {
            copying.time(|| {
                rows.clear();
                is_over = snapshot.step(&index, Slices::Only(&slices), STEP, &mut rows);
                taken.clear();
                taken.extend(rows.iter().map(|&(row, slice)| (row, slice, filters[row.index()].clone())));
            });
            let texts = writing.time(|| taken.iter().map(|(_, _, filter)| filter.to_string()).collect::<Vec<_>>());
            reading.time(|| {
                for text in &texts {
                    std::hint::black_box(Filter::parse(text, &FilterLimits::trusted()).expect("written by a filter"));
                }
            });
            copied += rows.len();
        }
    }
    assert_eq!(u32::try_from(copied), Ok(subscriptions), "every row is listed once");
    drop(index);

    let mut numbers = (0..1024).cycle();
    let mut found = Vec::new();
    let mut alone = Clock::default();
    let publications = (0..1024).map(|number| workload.publication(number)).collect::<Vec<_>>();
    let even = judged((0..SLICES).step_by(2));
    let all = judged(0..SLICES);
    let mut publish = |holdings: &mut Holdings, slices: &SliceSet, clock: &mut Clock| {
        found.clear();
        let publication = &publications[numbers.next().expect("a cycle")];
        clock.time(|| holdings.matches(&tenant, &[publication], &contexts, slices, usize::MAX, &mut found));
    };
    while holdings.is_unsettled() {
        holdings.step(STEP, filter_of);
    }
    for _ in 0..200 {
        publish(&mut holdings, &even, &mut alone);
    }
    let (mut rising, mut sinking, mut adapting) = (Clock::default(), Clock::default(), Clock::default());
    let mut meanwhile = Clock::default();
    holdings.judge_by(all.clone(), SLICES);
    while holdings.is_moving() {
        rising.time(|| holdings.step(STEP, filter_of));
        publish(&mut holdings, &all, &mut meanwhile);
    }
    holdings.judge_by(even.clone(), SLICES);
    while holdings.is_moving() {
        sinking.time(|| holdings.step(STEP, filter_of));
        publish(&mut holdings, &even, &mut meanwhile);
    }
    for _ in 0..2_000 {
        if holdings.is_unsettled() {
            adapting.time(|| holdings.step(STEP, filter_of));
        }
        publish(&mut holdings, &even, &mut Clock::default());
    }
    Row {
        workload: name.text().to_owned(),
        subscriptions,
        loads_per_second: loading.rate(subscriptions),
        longest_load_ms: loading.longest_ms(),
        snapshots_per_second: copying.rate(subscriptions),
        texts_written_per_second: writing.rate(subscriptions),
        texts_read_per_second: reading.rate(subscriptions),
        longest_snapshot_ms: copying.longest_ms(),
        activations_per_second: rising.rate(subscriptions),
        longest_activation_ms: rising.longest_ms(),
        retirements_per_second: sinking.rate(subscriptions),
        longest_retirement_ms: sinking.longest_ms(),
        publication_meanwhile_ms: meanwhile.longest_ms(),
        publication_alone_ms: alone.longest_ms(),
        longest_adaptation_ms: adapting.longest_ms(),
        contexts_per_second: context_changes(subscriptions),
    }
}

/// Changes of the context of a session that holds all subscriptions, through the machine, in frames of 64; a publication that asks
/// for the context comes after each frame.
fn context_changes(subscriptions: u32) -> f64 {
    const CHANGES: u32 = 64;
    let [writer, matcher, exit] = [2, 3, 4].map(|node| Address { node: Incarnation(node), shard: Shard(0) });
    let member = |layer| Member {
        layer,
        name: Arc::from("node"),
        link_address: Arc::from(""),
        client_address: Arc::from(""),
        shards: 1,
    };
    let layers = [(2, Layer::AccessPoint), (3, Layer::Matcher), (4, Layer::ExitPoint)];
    let members = layers.into_iter().map(|(node, layer)| (Incarnation(node), member(layer))).collect();
    let settings = Settings { matcher_slices: SLICES, session_slices: SLICES, replication: 1 };
    let layout = Layout::initial(settings, members, 1, Epoch(1), LaneId(1));
    let mut machine =
        Matcher::new(matcher, Config { subscriptions_per_session_max: subscriptions, ..Config::default() });
    machine.handle(cluster::Instant::ZERO, NodeEvent::Layout(Arc::new(layout)));
    let credit = MatchesCredit { lane: LaneId(1), class: Class::Live, total: Total(u64::MAX) };
    let received = |from, message| NodeEvent::Received(Received { from, epoch: Epoch(1), message });
    machine.handle(cluster::Instant::ZERO, received(exit, ToMatcher::MatchesCredit(credit)));
    let (tenant, mut last, mut actions) = (Tenant::open(), 0, Vec::new());
    let mut tell = |entries: Vec<Entry>| {
        let from = Number(last);
        let entries = entries.into_iter().map(|entry| {
            last += 1;
            (Number(last), entry)
        });
        let entries = entries.collect();
        let run = Entries { lane: LaneId(1), class: Class::Live, from, to: Number(last), entries, merged: None };
        machine.handle(cluster::Instant::ZERO, received(writer, ToMatcher::Entries(run)));
        while machine.poll_timeout().is_some_and(|at| at == cluster::Instant::ZERO) {
            machine.handle_timeout(cluster::Instant::ZERO);
        }
        actions.clear();
        machine.drain_actions(&mut actions);
        actions.len()
    };
    let session = SessionKey::of(&tenant, "s");
    let mut counter = 0;
    let mut operation = |change| {
        counter += 1;
        let version = Version { generation: Generation(1), counter };
        let low = Version { generation: Generation(0), counter: 0 };
        Entry::Operation(Arc::new(Operation { tenant: tenant.clone(), session, version, low, change }))
    };
    for id in 0..subscriptions {
        let text = format!("s = 'x{}' AND n > $limit", id % 1000);
        let name = format!("id{id}");
        let subscription = Subscription {
            key: SubscriptionKey::of(&tenant, "s", &name),
            id: Arc::from(name),
            handle: Handle(u64::from(id)),
            filter: Filter::parse(&text, &FilterLimits::default()).expect("a good filter"),
            options: SubscriptionOptions::default(),
        };
        tell(vec![operation(Change::Put(subscription, Existing::Any))]);
    }
    let mut clock = Clock::default();
    let frames = 500;
    for frame in 0..frames {
        let changes = (0..CHANGES).map(|change| {
            let limit = Value::from(i64::from(frame * CHANGES + change));
            operation(Change::SetContext(Arc::new([("limit", limit)].into_iter().collect())))
        });
        let changes = changes.collect();
        assert!(clock.time(|| tell(changes)) > 0, "answered");
    }
    clock.rate(frames * CHANGES)
}
