//! Claims about the index of a tenant.

use gomera_model::filter::normalise;

use super::*;
use crate::fixture::{attributes, filter};
use gomera_model::value::Value;

fn insert(index: &mut TenantIndex, row: u32, text: &str) -> Home {
    index.insert(RowId(row), &normalise(&filter(text)))
}

fn candidates(index: &mut TenantIndex, entries: &[(&str, Value)]) -> Vec<u32> {
    let mut rows = Vec::new();
    index.candidates(&attributes(entries), &mut rows);
    rows.sort_unstable();
    rows.into_iter().map(|row| row.0).collect()
}

fn new() -> TenantIndex {
    TenantIndex::new(Seeded::new(3))
}

#[test]
fn all_required_equalities_and_a_guard_narrow_the_candidates() {
    let mut index = new();
    for (row, text) in [
        "a = 'x' AND b = 1 AND 0 <= c AND c < 10",
        "a = 'x' AND b = 1 AND 10 <= c AND c < 20",
        "a = 'x' AND b = 2 AND 0 <= c AND c < 10",
        "a = 'y'",
        "c > 5",
    ]
    .iter()
    .enumerate()
    {
        insert(&mut index, u32::try_from(row).expect("few"), text);
    }
    let with = |c: f64| [("a", Value::from("x")), ("b", Value::from(1.0)), ("c", Value::from(c))];
    assert_eq!(candidates(&mut index, &with(3.0)), [0]);
    assert_eq!(candidates(&mut index, &with(15.5)), [1, 4]);
    assert_eq!(candidates(&mut index, &[("a", Value::from("y"))]), [3], "a missing attribute passes no guard");
    assert_eq!(candidates(&mut index, &[("c", Value::from("text"))]), [0_u32; 0], "nor does one that is no number");
}

#[test]
fn nothing_of_one_publication_is_left_for_the_next() {
    let mut index = new();
    insert(&mut index, 0, "a = 'x' AND c > 1");
    assert_eq!(candidates(&mut index, &[("a", Value::from("x")), ("c", Value::from(2_i64))]), [0]);
    assert_eq!(candidates(&mut index, &[("a", Value::from("x"))]), [0_u32; 0]);
    assert_eq!(candidates(&mut index, &[("c", Value::from(2_i64))]), [0_u32; 0]);
}

#[test]
fn with_too_many_shapes_a_filter_goes_under_its_rarest_equality() {
    let mut index = new();
    let count = u32::try_from(COMPOUND_SHAPES_MAX).expect("few");
    for row in 0..count {
        insert(&mut index, row, &format!("common = 1 AND a{row} = 1"));
    }
    for row in count..count + 10 {
        insert(&mut index, row, "common = 1");
    }
    insert(&mut index, 1000, "common = 1 AND rare = 1");
    assert_eq!(index.compound, COMPOUND_SHAPES_MAX);
    let found = candidates(&mut index, &[("rare", Value::from(1_i64))]);
    assert_eq!(found, [1000], "found by the rare one alone");
}

#[test]
fn an_emptied_index_keeps_no_attribute_and_no_shape() {
    let mut index = new();
    let texts = ["a = 1 AND b = 2 AND c < 3", "a = 1", "c > 1 AND c < 5", "TRUE", "a = 1 AND b = 2", "a = 1 AND b = 2"];
    let mut homes = Vec::new();
    for (row, text) in (0..).zip(texts) {
        homes.push((RowId(row), insert(&mut index, row, text)));
    }
    while let Some((_, home)) = homes.pop() {
        if let Some((moved, at)) = index.remove(&home) {
            homes.iter_mut().find(|(row, _)| *row == moved).expect("a moved row is in").1.at = at;
        }
    }
    assert!(index.is_empty() && index.names.is_empty() && index.shape_ids.is_empty());
    assert_eq!(index.compound, 0);
    assert_eq!(index.attributes_free.len() + 1, index.attributes.len(), "places are reused");
    insert(&mut index, 0, "z = 1");
    assert_eq!(candidates(&mut index, &[("a", Value::from(1_i64))]), [0_u32; 0], "a reused place has its own name");
    assert_eq!(candidates(&mut index, &[("z", Value::from(1_i64))]), [0]);
}
