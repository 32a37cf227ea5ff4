//! Claims about prefixes of many lengths.

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::identity::Tenant;
use gomera_cluster::layout::MatcherSlice;
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, Truth, evaluate};
use gomera_model::value::Value;

use super::super::fixture::{Nothing, parsed, random};
use super::super::{Index, RowId, Slices};
use super::*;

#[test]
fn whole_prefixes_have_few_lengths_at_a_time_and_a_place_is_free_when_its_last_key_is_gone() {
    let mut lengths = Lengths::default();
    for length in 1..=16 {
        assert!(lengths.has_room(length));
        lengths.count_whole(length, true);
    }
    lengths.count_whole(3, true);
    assert!(lengths.has_room(3) && !lengths.has_room(17));
    lengths.count_whole(3, false);
    assert!(!lengths.has_room(17), "one key is left");
    lengths.count_whole(3, false);
    lengths.count_whole(17, true);
    let mut all = lengths.whole().collect::<Vec<_>>();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]);
}

#[test]
fn prefixes_are_cut_at_the_last_length_that_fits() {
    assert_eq!([cut(0), cut(1), cut(5), cut(500)], [None, Some(0), Some(3), Some(15)]);
}

/// Letters of one to four bytes, so that lengths of texts that begin alike fall between letters of others.
const LETTERS: [char; 5] = ['a', 'b', 'ñ', '€', '🚋'];

fn text(state: &mut u64, letters: u32) -> String {
    (0..letters)
        .map(|_| LETTERS[if random(state).is_multiple_of(4) { random(state) as usize % 5 } else { 0 }])
        .collect()
}

fn below(state: &mut u64, bound: u32) -> u32 {
    random(state) % bound
}

fn filter(state: &mut u64) -> Filter {
    let one = |state: &mut u64| {
        let letters = 1 + below(state, 40);
        let prefix = text(state, letters);
        let not = if below(state, 8) == 0 { "NOT " } else { "" };
        match below(state, 3) {
            0 => format!("{not}STARTS_WITH(id, '{prefix}')"),
            1 => format!("{not}STARTS_WITH(id, '{prefix}') AND n > {}", below(state, 8)),
            _ => format!("id LIKE '{prefix}%' AND n BETWEEN {} AND 9", below(state, 8)),
        }
    };
    // Accesses of all branches are chosen before any of them has a place.
    let branches = if below(state, 6) == 0 { 40 } else { 1 };
    let all = (0..branches).map(|_| format!("({})", one(state))).collect::<Vec<_>>();
    parsed(&all.join(" OR "))
}

#[test]
fn prefixes_of_more_lengths_than_have_places_are_found_through_ever_other_ones() {
    let (mut index, tenant) = (Index::new(11), Tenant(Arc::from("one")));
    let mut rows = BTreeMap::<u32, Filter>::new();
    let (mut state, mut cut, mut whole) = (3, 0, 0);
    for step in 0..6_000 {
        // All of them go from time to time, so that other lengths get the places.
        if step % 1_500 == 1_499 {
            for row in std::mem::take(&mut rows).into_keys() {
                index.remove(RowId(row), &tenant);
            }
        }
        let row = below(&mut state, 150);
        if rows.remove(&row).is_some() {
            index.remove(RowId(row), &tenant);
        } else {
            let filter = filter(&mut state);
            index.insert(RowId(row), &tenant, MatcherSlice(0), &filter);
            rows.insert(row, filter);
        }
        if let Some(schema) = index.schemas.first().and_then(Option::as_ref)
            && let Some(lengths) = schema.find("id").and_then(|id| schema.slot(id).lengths.as_deref())
        {
            (cut, whole) = (cut.max(lengths.cut().count()), whole.max(lengths.whole().count()));
        }
        if step % 3 != 0 {
            continue;
        }
        let letters = below(&mut state, 60);
        let id = Value::from(text(&mut state, letters));
        let n = Value::Integer(i64::from(below(&mut state, 10)));
        let publication = [("id", id), ("n", n)].into_iter().collect::<Attributes>();
        let satisfied = |filter: &Filter| evaluate(filter, &publication, &Attributes::default()) == Truth::True;
        let expected =
            rows.iter().filter(|(_, filter)| satisfied(filter)).map(|(&row, _)| RowId(row)).collect::<Vec<_>>();
        let mut got = Vec::new();
        index.matches(&tenant, &[&publication], &Nothing, Slices::All, usize::MAX, &mut got);
        got.sort_unstable();
        assert_eq!(got, expected, "step {step}: {publication:?}");
    }
    assert_eq!((whole, cut > 8), (WHOLE_MAX, true), "{whole} lengths of whole prefixes, {cut} of cut ones");
    for row in rows.into_keys() {
        index.remove(RowId(row), &tenant);
    }
    assert!(index.is_empty());
}

#[test]
fn a_prefix_is_decided_where_it_is_found_whole() {
    let (mut index, tenant) = (Index::new(5), Tenant(Arc::from("one")));
    for row in 0..2_000 {
        let filter = parsed(&format!("STARTS_WITH(id, 'urn:ngsi-ld:Road:{row}:')"));
        index.insert(RowId(row), &tenant, MatcherSlice(0), &filter);
    }
    let publication = [("id", Value::from("urn:ngsi-ld:Road:7:12"))].into_iter().collect();
    let mut got = Vec::new();
    index.matches(&tenant, &[&publication], &Nothing, Slices::All, usize::MAX, &mut got);
    assert_eq!((got.as_slice(), index.evaluated()), ([RowId(7)].as_slice(), 0), "programs ran");
}
