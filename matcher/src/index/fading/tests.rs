//! Numbers of publications go around without a match lost, and without a pause.

use gomera_cluster::identity::Tenant;
use gomera_cluster::layout::MatcherSlice;
use gomera_model::value::Value;

use super::*;
use crate::fixture::{attributes, filter};
use crate::index::fixture::Nothing;
use crate::index::{RowId, Slices};

/// Stamps of publications other than those of the last half.
fn stale(index: &Index) -> usize {
    let current = half(index.epoch);
    let is_stale = |stamp: u32| stamp != 0 && half(stamp) != current;
    let store = &index.store;
    let crowds = store.crowds.iter().map(|crowd| crowd.stamp);
    let clusters = store.clusters.stamps();
    let names = index.schemas.iter().flatten().flat_map(Schema::stamps);
    crowds.chain(clusters).chain(names).filter(|&stamp| is_stale(stamp)).count()
}

#[test]
fn numbers_of_publications_come_again_and_no_stamp_of_before_is_taken_for_one_of_theirs() {
    let mut index = Index::new(1);
    let tenant = Tenant::open();
    for row in 0..2_000 {
        // Crowds of ten, keys, ranges, and an expression that many have.
        let text = match row % 4 {
            0 => format!("a = {} OR b = {}", row / 40, row / 40),
            1 => format!("c >= {} AND c < {}", row / 40, row / 40 + 5),
            2 => format!("a = {} AND t LIKE '%x%'", row / 40),
            _ => format!("t LIKE 'x%' AND d IN ({}, {})", row / 40, row / 40 + 1),
        };
        index.insert(RowId(row), &tenant, MatcherSlice(0), &filter(&text));
    }
    let publish = |index: &mut Index, number: i64| {
        let integer = |number: i64| Value::Integer(number % 50);
        let of = |name| (name, integer(number));
        let attributes = attributes(&[of("a"), of("b"), of("c"), of("d"), ("t", Value::from("xyx"))]);
        let mut found = Vec::new();
        index.matches(&tenant, &[&attributes], &Nothing, Slices::All, usize::MAX, &mut found);
        found.sort_unstable();
        found
    };
    let expected = (0..50).map(|number| publish(&mut index, number)).collect::<Vec<_>>();
    assert!(expected.iter().all(|found| found.len() > 30 && found.windows(2).all(|pair| pair[0] < pair[1])));
    let mut most = 0;
    for begin in [(1 << 31) - 25, u32::MAX - 25, (1 << 31) - 25, u32::MAX - 25] {
        index.epoch = begin;
        // Many are not looked at any more behind the middle.
        for number in (0..50).chain((0..400).map(|number| number % 10)) {
            let found = publish(&mut index, number);
            assert_eq!(found, expected[usize::try_from(number % 50).expect("small")], "{}", index.epoch);
            most = most.max(stale(&index));
        }
        assert_eq!((stale(&index), index.fading), (0, None), "behind {begin}");
    }
    assert!(most > 100, "{most} were there");
}
