//! One claim: with filters `a = A AND b = B AND lo <= c AND c < hi` that partition the space, judging a publication costs a
//! few microseconds, whatever the number of filters. Prints nanoseconds and the ratio to the plain evaluator on a sample.
//!
//! `cargo bench -p gomera-matcher`

use std::hint::black_box;
use std::time::Instant;

use gomera_cluster::identity::Tenant;
use gomera_cluster::layout::MatcherSlice;
use gomera_matcher::index::{Contexts, Index, RowId, Slices};
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, FilterLimits, evaluate};
use gomera_model::value::Value;

struct None;

impl Contexts for None {
    fn context(&self, _row: RowId) -> Option<&Attributes> {
        Option::None
    }
}

/// Filters over `keys` values of `a`, as many of `b`, and the rest over `c` in [0, 1000).
fn filters(keys: u32, ranges: u32) -> Vec<Filter> {
    let width = 1000.0 / f64::from(ranges);
    let mut filters = Vec::new();
    for a in 0..keys {
        for b in 0..keys {
            for c in 0..ranges {
                let (low, high) = (f64::from(c) * width, f64::from(c + 1) * width);
                let text = format!("a = 'key {a}' AND b = {b} AND {low:?} <= c AND c < {high:?}");
                filters.push(Filter::parse(&text, &FilterLimits::default()).expect("a good filter"));
            }
        }
    }
    filters
}

/// Attributes as a device would send them: the three that decide among others.
fn publications(keys: u32) -> Vec<Attributes> {
    (0..1000_u32)
        .map(|index| {
            let mixed = index.wrapping_mul(2_654_435_761);
            [
                ("a", Value::from(format!("key {}", mixed % keys))),
                ("b", Value::from(i64::from(mixed / 7 % keys))),
                ("c", Value::from(f64::from(mixed % 99_991) / 100.0)),
                ("gomera.time", Value::from(i64::from(index))),
                ("gomera.publisher", Value::from("device")),
                ("unit", Value::from("mg")),
            ]
            .into_iter()
            .collect()
        })
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock; machines do not")]
fn main() {
    let tenant = Tenant::open();
    println!("{:>9} {:>6} {:>7} {:>12} {:>11} {:>8}", "filters", "keys", "ranges", "ns/judged", "evaluated", "ratio");
    for (keys, ranges) in [(10, 1), (10, 100), (1, 10_000), (32, 10), (100, 10), (10, 1000)] {
        let filters = filters(keys, ranges);
        let publications = publications(keys);
        let mut index = Index::new(1);
        for (row, filter) in (0..).zip(&filters) {
            index.insert(RowId(row), &tenant, MatcherSlice(0), filter);
        }
        let (mut hits, mut matched, mut evaluated) = (Vec::new(), 0, 0);
        let rounds = 200;
        let start = Instant::now();
        for _ in 0..rounds {
            for publication in &publications {
                hits.clear();
                index.matches(&tenant, &[publication], &None, Slices::All, usize::MAX, &mut hits);
                matched += black_box(&hits).len();
                evaluated += index.evaluated();
            }
        }
        let judged = rounds * publications.len();
        assert_eq!(matched, judged, "the filters partition the space");
        let nanoseconds = start.elapsed().as_nanos() as f64 / judged as f64;
        let start = Instant::now();
        let plain = publications.iter().take(20).flat_map(|publication| {
            filters.iter().map(move |filter| evaluate(filter, publication, &Attributes::default()).is_match())
        });
        assert_eq!(plain.filter(|&hit| hit).count(), 20);
        let plain = start.elapsed().as_nanos() as f64 / 20.0;
        let evaluated = evaluated as f64 / judged as f64;
        let count = filters.len();
        println!("{count:>9} {keys:>6} {ranges:>7} {nanoseconds:>12.0} {evaluated:>11.2} {:>8.0}", plain / nanoseconds);
    }
}
