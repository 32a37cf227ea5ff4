//! Claims about lanes of a key that many have: nothing is lost while they come to stand in order, and few blocks are reached then.

use super::super::clusters::{Atom, Key, Stand};
use super::super::fixture::{Nothing, parsed, random};
use super::super::{Index, RowId, Slices};
use gomera_cluster::identity::Tenant;
use gomera_cluster::layout::MatcherSlice;
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, evaluate};
use gomera_model::value::{Array, Value};

/// Most ask for a value and a range besides the key, some for something that has no order, some for several keys.
fn filter(state: &mut u64) -> Filter {
    let (device, low) = (random(state) % 60, random(state) % 9_000);
    let range = format!("size BETWEEN {low} AND {}", low + 300);
    parsed(&match random(state) % 16 {
        0 => format!("kind = 'k' AND NOT ({range})"),
        1 => format!("kind = 'k' AND device <> 'd{device}'"),
        2 => format!("kind IN ('k', 'l') AND {range}"),
        3 => format!("kind = 'k' AND ({range} OR depth > {low} OR device = 'd{device}')"),
        4 => "kind = 'k'".to_owned(),
        5 => format!("kind = 'k' AND depth > {low} AND {range}"),
        _ => format!("kind = 'k' AND device = 'd{device}' AND {range}"),
    })
}

/// Some have the key, as a value or in an array: rarely enough for it to stay the best choice.
fn publication(state: &mut u64) -> Attributes {
    let kind = match random(state) % 8 {
        0 => Value::from("k"),
        1 => Value::Array(Array::new(vec![Value::from("x"), Value::from("k")]).expect("flat")),
        2 => Value::Array(Array::new(vec![Value::from("k"), Value::from("l")]).expect("flat")),
        _ => Value::from("l"),
    };
    let device = format!("d{}", random(state) % 61);
    let mut all = vec![("kind", kind), ("device", Value::from(device.as_str()))];
    let mut number = |name, percent| {
        let value = Value::Integer(i64::from(random(state) % 10_000));
        if random(state) % 100 < percent {
            all.push((name, value));
        }
    };
    number("size", 90);
    number("depth", 50);
    all.into_iter().collect()
}

/// The blocks of the key's shelf, and how many of them ask for more than a few values of one attribute.
fn shelf(index: &Index) -> Option<(usize, usize)> {
    let schema = index.schemas[0].as_ref().expect("one tenant");
    let atom = Atom::symbol(index.store.symbols.find(&Value::from("k")));
    let key = Key { tenant: 0, slot: schema.find("kind").expect("asked for"), atom };
    let cluster = index.store.clusters.get(index.store.clusters.find(key).expect("many ask for it"));
    match cluster.stand() {
        Stand::Chain(_) => None,
        Stand::Shelf(id) => {
            let steps = &index.store.clusters.shelves.get(id).steps;
            Some((steps.blocks.len(), steps.spans().filter(|span| span.is_none_or(|codes| codes > 40)).count()))
        }
    }
}

#[test]
fn lanes_of_a_key_come_to_stand_in_order_and_nothing_is_lost() {
    const ROWS: u32 = 6_000;
    let (mut index, mut state) = (Index::new(7), 5);
    let tenant = Tenant(std::sync::Arc::from("one"));
    // Everybody has every device: what leads to filters is the kind.
    let names = (0..60).map(|device| format!("d{device}")).collect::<Vec<_>>();
    for (row, name) in (ROWS..).zip(&names) {
        index.insert(RowId(row), &tenant, MatcherSlice(0), &parsed(&format!("device = '{name}' AND kind = 'none'")));
    }
    index.insert(RowId(2 * ROWS), &tenant, MatcherSlice(0), &parsed("kind = 'k' AND size < -1 AND depth < -1"));
    let devices = Array::new(names.iter().map(|name| Value::from(name.as_str())).collect::<Vec<_>>()).expect("flat");
    let has_all: Attributes =
        [("device", Value::Array(devices)), ("size", Value::Integer(0)), ("depth", Value::Integer(0))]
            .into_iter()
            .collect();
    for _ in 0..1_000 {
        index.matches(&tenant, &[&has_all], &Nothing, Slices::All, usize::MAX, &mut Vec::new());
    }
    let mut filters = Vec::new();
    let check = |index: &mut Index, filters: &[Option<Filter>], together: &[Attributes]| {
        let mut rows = vec![Vec::new(); together.len()];
        let publications = together.iter().collect::<Vec<_>>();
        index.matches(&tenant, &publications, &Nothing, Slices::All, usize::MAX, rows.as_mut_slice());
        for (rows, publication) in rows.iter_mut().zip(together) {
            rows.sort_unstable();
            let satisfied = |filter: &Filter| evaluate(filter, publication, &Attributes::default()).is_match();
            let expected = (0..).zip(filters).filter(|(_, filter)| filter.as_ref().is_some_and(satisfied));
            assert_eq!(*rows, expected.map(|(row, _)| RowId(row)).collect::<Vec<_>>(), "{publication:?}");
        }
        rows.iter().map(Vec::len).sum::<usize>()
    };
    let mut matched = 0;
    for row in 0..ROWS {
        let filter = filter(&mut state);
        index.insert(RowId(row), &tenant, MatcherSlice(0), &filter);
        filters.push(Some(filter));
        // Also while lanes are on their way from a chain.
        if row.is_multiple_of(16) {
            let together = [publication(&mut state), publication(&mut state), publication(&mut state)];
            matched += check(&mut index, &filters, &together);
        }
    }
    let (blocks, wide) = shelf(&index).expect("a shelf");
    assert!(blocks > 60 && 4 * wide < blocks, "{blocks} blocks, of which {wide} reach far");
    for number in 0..400_u32 {
        let together = (0..1 + number % 5).map(|_| publication(&mut state)).collect::<Vec<_>>();
        matched += check(&mut index, &filters, &together);
        // Some go, some come again; towards the end nearly all are gone.
        for _ in 0..40 {
            let row = random(&mut state) % ROWS;
            match filters[row as usize].take() {
                Some(_) => index.remove(RowId(row), &tenant),
                None if number < 200 => {
                    let filter = filter(&mut state);
                    index.insert(RowId(row), &tenant, MatcherSlice(0), &filter);
                    filters[row as usize] = Some(filter);
                }
                None => {}
            }
        }
    }
    assert!(matched > 10_000, "{matched} matched");
    for (row, _) in (0..).zip(&filters).filter(|(_, filter)| filter.is_some()) {
        index.remove(RowId(row), &tenant);
    }
    assert_eq!(index.len(), names.len() + 1);
}

#[test]
fn lanes_without_an_order_stay_in_a_chain() {
    let mut index = Index::new(7);
    let tenant = Tenant(std::sync::Arc::from("one"));
    for row in 0..3_000 {
        index.insert(RowId(row), &tenant, MatcherSlice(0), &parsed(&format!("kind = 'k' AND device <> 'd{row}'")));
    }
    assert_eq!(shelf(&index), None);
}

#[test]
fn lanes_of_boundaries_that_were_learnt_anew_get_their_fine_codes_on_the_way() {
    let (mut index, mut largest) = (Index::new(7), 0);
    let tenant = Tenant(std::sync::Arc::from("one"));
    for row in 0..40 {
        // The boundaries of the first do not fit what comes then.
        let low = if row < 16 { row } else { 1_000 * row };
        let depth = 100 * (37 * row % 64);
        let text = format!("kind = 'k' AND size BETWEEN {low} AND 999999 AND depth BETWEEN {depth} AND {depth}.5");
        index.insert(RowId(row), &tenant, MatcherSlice(0), &parsed(&text));
        // Nobody has the kind.
        let schema = index.schemas[0].as_mut().expect("one tenant");
        schema.events += 1_000_000;
        let has_stale = schema.has_stale();
        for shelf in index.store.clusters.shelves.shelves.iter().flatten() {
            let blocks = shelf.steps.blocks.iter().map(|&block| index.store.blocks.get(block));
            assert!(blocks.clone().all(|block| !block.has_unsure()), "row {row} and those that came with it");
            let lanes = blocks.map(super::super::blocks::Block::len).sum::<usize>();
            largest = largest.max(if has_stale { lanes } else { 0 });
        }
    }
    assert!(largest > 8, "{largest} lanes moved while some were of former boundaries");
}

#[test]
fn a_filter_of_many_keys_does_not_bring_all_of_their_lanes_in_order_at_once() {
    const KEYS: usize = 200;
    let mut index = Index::new(7);
    let (tenant, mut state) = (Tenant(std::sync::Arc::from("one")), 5);
    let keys = (0..KEYS).map(|key| format!("'k{key}'")).collect::<Vec<_>>().join(", ");
    let (mut shelves, mut ordered) = (0, 0);
    for row in 0..120 {
        let low = random(&mut state) % 9_000;
        let text = format!("kind IN ({keys}) AND size BETWEEN {low} AND {}", low + 300);
        index.insert(RowId(row), &tenant, MatcherSlice(0), &parsed(&text));
        // Nobody has any of the kinds.
        index.schemas[0].as_mut().expect("one tenant").events += 1_000_000;
        let all = || index.store.clusters.shelves.shelves.iter().flatten();
        let blocks = all().flat_map(|shelf| &shelf.steps.blocks);
        let lanes = blocks.map(|&block| index.store.blocks.get(block).len()).sum::<usize>();
        assert!(all().count() <= shelves + KEYS / 2, "shelves were made at once with row {row}");
        // Beside the filter some others settle again.
        let settled = 1 + super::super::settling::SWEPT_PER_INSERTION;
        assert!(lanes <= ordered + 2 * KEYS * settled, "{ordered} lanes in order were {lanes} after row {row}");
        (shelves, ordered) = (all().count(), lanes);
    }
    assert!(shelves == KEYS && ordered >= 100 * KEYS, "{shelves} shelves, {ordered} lanes");
}
