//! One row: one engine, one workload, one size, in a process of its own. Loads, checks the answers against the plain evaluator,
//! measures, takes out and puts in again, and checks once more.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use gomera_cluster::table::Seeded;
use gomera_matcher::config::Config;
use gomera_matcher::index::Charge;
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, FilterLimits, evaluate};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::ALLOCATOR;
use crate::engine::{ATreeEngine, Engine, EngineName, Gomera, Offered, Scan, Simple};
use crate::random::Random;
use crate::workload::{Name, PUBLICATIONS, Workload};

/// An engine that takes longer is `not loaded`.
const LOADING_MAX: Duration = Duration::from_secs(60);

/// Pairs of filter and publication that are checked against the plain evaluator, at most about.
const PAIRS: usize = 4_000_000;

/// Subscriptions that are taken out and put in again, at most.
const CHURNED: u32 = 20_000;

/// Each of the two directions of it, at most.
const CHURN_MAX: Duration = Duration::from_millis(1_500);

/// Windows of which the median counts.
const WINDOWS: usize = 5;

/// Events that are handed over together at most, as frames between machines carry many.
const TOGETHER: usize = 64;

/// Ids of events that are handed over together, if each has about as many: what uses them still finds them in the second-level cache.
const IDS_TOGETHER: usize = 1 << 19;

/// Events that take less are timed by the wall's clock: asking for processor time takes a tenth of a microsecond.
const SHORT: Duration = Duration::from_micros(10);

/// Processor time of this thread so far: what rates are made of, so that neighbours on the machine count less.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("time that has been used is not negative")
}

/// What a row says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub workload: String,
    pub subscriptions: u32,
    pub engine: String,
    /// `null` where nothing was measured; `note` says why.
    pub events_per_second: Option<f64>,
    /// The same for events that are handed over one at a time.
    pub alone_per_second: Option<f64>,
    /// Of single events.
    pub p99_us: Option<f64>,
    pub inserts_per_second: Option<f64>,
    pub deletes_per_second: Option<f64>,
    pub bytes_per_subscription: Option<f64>,
    pub matches_per_event: Option<f64>,
    /// Inserts a second from empty to full, as against `inserts_per_second`, which is when full.
    pub loads_per_second: Option<f64>,
    /// Bytes that the engine itself says it holds, a subscription.
    pub accounted_bytes_per_subscription: Option<f64>,
    /// What the filters are charged against the limit of their tenant, all together, if the engine is Gomera.
    pub charged_us: Option<f64>,
    /// How many such filters the default limit admits; the next one is refused.
    pub admitted: Option<f64>,
    /// Pairs of filter and publication whose answer was compared with the plain evaluator's.
    pub pairs_checked: u64,
    /// `measured`, `not loaded` (over 60 s), `wrong answers` or `failed`.
    pub note: String,
}

impl Row {
    /// A row without figures.
    pub fn without(workload: Name, subscriptions: u32, engine: EngineName, note: &str) -> Self {
        Self {
            workload: workload.text().to_owned(),
            subscriptions,
            engine: engine.text().to_owned(),
            events_per_second: None,
            alone_per_second: None,
            p99_us: None,
            inserts_per_second: None,
            deletes_per_second: None,
            bytes_per_subscription: None,
            matches_per_event: None,
            loads_per_second: None,
            accounted_bytes_per_subscription: None,
            charged_us: None,
            admitted: None,
            pairs_checked: 0,
            note: note.to_owned(),
        }
    }
}

/// Measures one row.
pub fn measure(workload: &Workload, engine: EngineName, window: Duration) -> Row {
    if let Name::Hostile(hostile) = workload.name {
        hostile.assert_refused();
    }
    match engine {
        EngineName::Gomera => {
            // As many standbys as active ones, in an index of their own that no publication probes.
            let standby = || {
                let mut standby = Gomera::new();
                let count = if matches!(workload.name, Name::Hostile(_)) { 0 } else { workload.subscriptions };
                let all = workload.subscriptions..workload.subscriptions + count;
                all.for_each(|id| standby.insert(&offered(workload, id)));
                standby
            };
            run(Gomera::new(), standby, workload, engine, window)
        }
        EngineName::Scan => run(Scan::default(), || (), workload, engine, window),
        EngineName::ATree => run(ATreeEngine::new(workload), || (), workload, engine, window),
        EngineName::Simple => run(Simple::default(), || (), workload, engine, window),
    }
}

fn offered(workload: &Workload, id: u32) -> Offered {
    let spec = workload.subscription(id);
    let text = spec.gomera();
    let filter = Filter::parse(&text, &FilterLimits::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
    Offered { id, spec, filter }
}

/// Bytes on the heap.
fn heap() -> i128 {
    let stats = ALLOCATOR.stats();
    let of = |bytes: usize| i128::try_from(bytes).expect("a usize fits 128 bits");
    of(stats.bytes_allocated) - of(stats.bytes_deallocated)
}

/// What the plain evaluator says.
struct Expected {
    publications: Vec<Attributes>,
    ids: Vec<Vec<u32>>,
}

impl Expected {
    fn new(workload: &Workload) -> Self {
        let subscriptions = usize::try_from(workload.subscriptions).expect("32 bits");
        // Hostile filters are slow to evaluate plainly: that is their point.
        let pairs = if matches!(workload.name, Name::Hostile(_)) { PAIRS / 400 } else { PAIRS };
        let count = (pairs / subscriptions).clamp(2, 200);
        let publications = (0..count).map(|number| workload.publication(number)).collect();
        Self { publications, ids: vec![Vec::new(); count] }
    }

    fn note(&mut self, offered: &Offered) {
        let nothing = Attributes::default();
        for (publication, ids) in self.publications.iter().zip(&mut self.ids) {
            if evaluate(&offered.filter, publication, &nothing).is_match() {
                ids.push(offered.id);
            }
        }
    }

    fn heap(&self) -> i128 {
        let bytes: usize = self.ids.iter().map(|ids| ids.capacity() * size_of::<u32>()).sum();
        i128::try_from(bytes).expect("a usize fits 128 bits")
    }

    /// Whether the engine says so too, without the ids that `is_out` names.
    fn agrees<E: Engine>(&self, engine: &mut E, events: &[E::Event], is_out: impl Fn(u32) -> bool) -> bool {
        let mut found = Vec::new();
        events.iter().zip(&self.ids).all(|(event, ids)| {
            found.clear();
            engine.matches(event, &mut found);
            found.sort_unstable();
            found.iter().copied().eq(ids.iter().copied().filter(|&id| !is_out(id)))
        })
    }

    /// Whether it says so of several events at once as well, whatever that collects.
    fn agrees_together<E: Engine>(&self, engine: &mut E, events: &[E::Event]) -> bool {
        let mut found = vec![Vec::new(); TOGETHER];
        events.chunks(TOGETHER).zip(self.ids.chunks(TOGETHER)).all(|(events, ids)| {
            found.iter_mut().for_each(Vec::clear);
            engine.match_together(events, &mut found[..events.len()]);
            found.iter_mut().for_each(|found| found.sort_unstable());
            found.iter().zip(ids).all(|(found, ids)| found == ids)
        })
    }
}

fn run<E: Engine, S>(
    mut engine: E,
    standby: impl Fn() -> S,
    workload: &Workload,
    name: EngineName,
    window: Duration,
) -> Row {
    let mut row = Row::without(workload.name, workload.subscriptions, name, "measured");
    let mut expected = Expected::new(workload);
    let heap_before = heap();
    let mut loading = Duration::ZERO;
    let (mut charged, mut conditions) = (0_u64, BTreeMap::new());
    let mut chunk = Vec::with_capacity(256);
    for first in (0..workload.subscriptions).step_by(256) {
        chunk.extend((first..workload.subscriptions.min(first + 256)).map(|id| offered(workload, id)));
        chunk.iter().for_each(|offered| expected.note(offered));
        for offered in &chunk {
            let charge = Charge::of(&offered.filter, Seeded::new(1));
            charged += u64::from(charge.nanoseconds);
            conditions.extend(charge.conditions.iter().map(|condition| (condition.key, condition.nanoseconds)));
        }
        let begun = processor_time();
        chunk.iter().for_each(|offered| engine.insert(offered));
        loading += processor_time() - begun;
        chunk.clear();
        if loading > LOADING_MAX {
            row.note = "not loaded".to_owned();
            return row;
        }
    }
    let begun = processor_time();
    engine.settle();
    loading += processor_time() - begun;
    let subscriptions = f64::from(workload.subscriptions);
    if name == EngineName::Gomera {
        let (own, common) = (float(charged.into()), conditions.values().copied().map(f64::from).sum::<f64>());
        row.charged_us = Some((own + common) / 1e3);
        let limits = Config::default();
        let limit = limits.filter_cost_per_tenant_max.as_secs_f64() * 1e9;
        // Conditions that many filters have come once, others with each filter.
        let is_common = 2 * conditions.len() < usize::try_from(workload.subscriptions).expect("32 bits");
        let (once, each) = if is_common { (common, own) } else { (0.0, own + common) };
        let by_cost = (limit - once) / (each / subscriptions).max(1.0);
        row.admitted = Some(by_cost.min(f64::from(limits.subscriptions_per_tenant_max)).floor());
    }
    row.loads_per_second = Some(subscriptions / loading.as_secs_f64());
    row.bytes_per_subscription = Some(float(heap() - heap_before - expected.heap()) / subscriptions);
    row.accounted_bytes_per_subscription =
        engine.accounted_bytes().map(|bytes| float(i128::try_from(bytes).expect("fits")) / subscriptions);
    let standby = standby();

    let check = expected.publications.iter().map(|publication| engine.prepare(publication)).collect::<Vec<_>>();
    row.pairs_checked = u64::from(workload.subscriptions) * u64::try_from(expected.publications.len()).expect("few");
    if !expected.agrees(&mut engine, &check, |_| false) || !expected.agrees_together(&mut engine, &check) {
        row.note = "wrong answers".to_owned();
        return row;
    }
    let events = (0..PUBLICATIONS).map(|number| engine.prepare(&workload.publication(number))).collect::<Vec<_>>();
    throughput(&mut engine, &events, window, &mut row);
    // Crate a-tree panics when it searches after some deletes; what was measured before stands.
    match catch_unwind(AssertUnwindSafe(|| churn(&mut engine, workload, &expected, &check, &mut row))) {
        Ok(true) => {}
        Ok(false) => row.note = "wrong answers after deletes and inserts".to_owned(),
        Err(_) => row.note = "panicked after deletes".to_owned(),
    }
    drop(standby);
    row
}

/// Events a second: the median of windows, of events that are handed over some together and of single ones in turn; then the time of
/// single events.
fn throughput<E: Engine>(engine: &mut E, events: &[E::Event], window: Duration, row: &mut Row) {
    let mut ids = vec![Vec::new(); TOGETHER];
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    let mut stride = 1;
    let mut next = (0..events.len()).cycle();
    let (mut together_next, mut group) = (0, TOGETHER);
    // The first two windows warm up; the first of them says how many events lie between two looks at the clock.
    for round in 0..2 * WINDOWS + 2 {
        let is_together = round % 2 == 1;
        let (begun, wall) = (processor_time(), Instant::now());
        let (mut judged, mut matched) = (0_u32, 0_usize);
        while wall.elapsed() < window {
            if is_together {
                if together_next + group > events.len() {
                    together_next = 0;
                }
                ids.iter_mut().for_each(Vec::clear);
                engine.match_together(&events[together_next..][..group], &mut ids[..group]);
                matched += std::hint::black_box(&ids).iter().map(Vec::len).sum::<usize>();
                judged += u32::try_from(group).expect("few");
                together_next += group;
                continue;
            }
            for _ in 0..stride {
                ids[0].clear();
                engine.matches(&events[next.next().expect("a cycle")], &mut ids[0]);
                matched += std::hint::black_box(&ids[0]).len();
                judged += 1;
            }
        }
        let rate = f64::from(judged) / (processor_time() - begun).as_secs_f64();
        if round < 2 {
            if round == 0 {
                stride = (1..=256).rev().find(|&count| f64::from(count) / rate < 2e-4).unwrap_or(1);
                let each = matched / usize::try_from(judged).expect("32 bits fit a usize");
                group = (IDS_TOGETHER / each.max(1)).clamp(1, TOGETHER);
            }
            // What it has learnt from these events it may put to use.
            engine.settle();
            continue;
        }
        let matched = i128::try_from(matched).expect("fits");
        row.matches_per_event = Some(float(matched) / f64::from(judged));
        if is_together { together.push(rate) } else { alone.push(rate) }
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_unstable_by(f64::total_cmp);
        rates[WINDOWS / 2]
    };
    row.events_per_second = Some(median(&mut together));
    let rate = median(&mut alone);
    row.alone_per_second = Some(rate);
    let mut ids = Vec::new();
    let is_short = rate * SHORT.as_secs_f64() > 1.0;

    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < 10 * PUBLICATIONS && (begun.elapsed() < 2 * window || times.len() < 100) {
        // A hundred events of a slow engine may take a minute.
        if begun.elapsed() > 10 * window {
            break;
        }
        ids.clear();
        let event = &events[next.next().expect("a cycle")];
        times.push(if is_short {
            let begun = Instant::now();
            engine.matches(event, &mut ids);
            begun.elapsed()
        } else {
            let begun = processor_time();
            engine.matches(event, &mut ids);
            processor_time() - begun
        });
        std::hint::black_box(&ids);
    }
    times.sort_unstable();
    let at = times.len() * 99 / 100;
    row.p99_us = times.get(at).map(|time| time.as_secs_f64() * 1e6);
}

/// Deletes and inserts a second, of an index that is full. Says whether the answers were right in between and afterwards.
fn churn<E: Engine>(
    engine: &mut E,
    workload: &Workload,
    expected: &Expected,
    check: &[E::Event],
    row: &mut Row,
) -> bool {
    // Hostile filters take long to be read.
    let churned = if matches!(workload.name, Name::Hostile(_)) { CHURNED / 100 } else { CHURNED };
    let count = workload.subscriptions.min(churned);
    let all = usize::try_from(workload.subscriptions).expect("32 bits");
    let mut random = Random::new(7, 7);
    // Different ones, all over the range: a random offset in each stretch.
    let stretch = all / usize::try_from(count).expect("32 bits");
    let mut ids = (0..usize::try_from(count).expect("32 bits"))
        .map(|index| u32::try_from(index * stretch + random.below(stretch)).expect("below the subscriptions"))
        .collect::<Vec<_>>();
    for index in (1..ids.len()).rev() {
        ids.swap(index, random.below(index + 1));
    }
    let (mut deleting, mut inserting, mut done) = (Duration::ZERO, Duration::ZERO, 0_u32);
    let mut is_right = true;
    // Small sizes go through it several times.
    while done < churned && deleting.max(inserting) < CHURN_MAX {
        let mut out = Vec::with_capacity(ids.len());
        for part in ids.chunks(64) {
            if deleting > CHURN_MAX {
                break;
            }
            let begun = processor_time();
            part.iter().for_each(|&id| engine.remove(id));
            deleting += processor_time() - begun;
            out.extend_from_slice(part);
        }
        out.sort_unstable();
        row.deletes_per_second =
            Some(f64::from(done + u32::try_from(out.len()).expect("32 bits")) / deleting.as_secs_f64());
        if done == 0 {
            let some = check.len().min(3);
            is_right = expected.agrees(engine, &check[..some], |id| out.binary_search(&id).is_ok());
        }
        for part in out.chunks(64) {
            let back = part.iter().map(|&id| offered(workload, id)).collect::<Vec<_>>();
            let begun = processor_time();
            back.iter().for_each(|offered| engine.insert(offered));
            inserting += processor_time() - begun;
        }
        done += u32::try_from(out.len()).expect("32 bits");
    }
    row.inserts_per_second = Some(f64::from(done) / inserting.as_secs_f64());
    engine.settle();
    is_right && expected.agrees(engine, check, |_| false)
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes below 2^53")]
fn float(count: i128) -> f64 {
    count as f64
}
