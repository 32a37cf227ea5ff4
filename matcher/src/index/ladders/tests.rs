//! Claims about ladders: nothing is lost while lanes move to where pairs stand together, and few blocks are reached then.

use super::super::fixture::{Nothing, parsed, random};
use super::super::steps::along_curve;
use super::super::{Index, RowId, Slices};
use gomera_cluster::identity::Tenant;
use gomera_cluster::layout::MatcherSlice;
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, evaluate};
use gomera_model::value::Value;

#[test]
fn hilberts_curve_goes_through_every_place_by_single_steps() {
    let mut places = vec![None; 1 << 16];
    for (across, up) in (0..=u8::MAX).flat_map(|across| (0..=u8::MAX).map(move |up| (across, up))) {
        let along = along_curve(across, up) as usize;
        assert!(places[along].replace((across, up)).is_none(), "two at {along}");
    }
    for two in places.windows(2) {
        let (Some(left), Some(right)) = (two[0], two[1]) else { panic!("every place") };
        assert_eq!(left.0.abs_diff(right.0) + left.1.abs_diff(right.1), 1);
    }
}

#[test]
fn pairs_of_ranges_come_to_stand_together_and_nothing_is_lost() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let mut state = 5;
    let (mut index, tenant) = (Index::new(7), Tenant(std::sync::Arc::from("one")));
    let filter = |state: &mut u64| {
        let count = 2 + random(state) % 3;
        let first = random(state);
        let parts = (0..count).map(|part| {
            let low = random(state) % 8_000;
            let range = format!("{} BETWEEN {low} AND {}", NAMES[((first + part) % 4) as usize], low + 2_000);
            if part == 2 { format!("NOT ({range})") } else { range }
        });
        let text = parts.collect::<Vec<_>>().join(" AND ");
        parsed(&text)
    };
    let mut filters = Vec::new();
    for row in 0..6_000 {
        let filter = filter(&mut state);
        index.insert(RowId(row), &tenant, MatcherSlice(0), &filter);
        filters.push(Some(filter));
    }
    let paired = |index: &Index| {
        let all = index.store.ladders.ladders.iter().flatten();
        all.filter_map(|ladder| ladder.paired.as_ref()).map(|steps| steps.blocks.len()).sum::<usize>()
    };
    assert!(paired(&index) > 60, "{} blocks of pairs", paired(&index));
    let (mut matched, mut looked_at) = (0, 0);
    for number in 0..400_u32 {
        let publication: Attributes = NAMES
            .iter()
            .filter_map(|&name| {
                let (is_there, number) = (!random(&mut state).is_multiple_of(8), random(&mut state) % 10_000);
                is_there.then(|| (name, Value::Integer(i64::from(number))))
            })
            .collect();
        let mut rows = Vec::new();
        index.matches(&tenant, &[&publication], &Nothing, Slices::All, usize::MAX, &mut rows);
        looked_at += index.evaluated();
        rows.sort_unstable();
        let satisfied = |filter: &Filter| evaluate(filter, &publication, &Attributes::default()).is_match();
        let expected = (0..).zip(&filters).filter(|(_, filter)| filter.as_ref().is_some_and(satisfied));
        assert_eq!(rows, expected.map(|(row, _)| RowId(row)).collect::<Vec<_>>(), "publication {number}");
        matched += rows.len();
        // Some go, some come again.
        for _ in 0..20 {
            let row = random(&mut state) % 6_000;
            match filters[row as usize].take() {
                Some(_) => index.remove(RowId(row), &tenant),
                None => {
                    let filter = filter(&mut state);
                    index.insert(RowId(row), &tenant, MatcherSlice(0), &filter);
                    filters[row as usize] = Some(filter);
                }
            }
        }
    }
    assert!(matched > 20_000, "{matched} matched");
    assert!(looked_at * 50 < matched, "{looked_at} programs ran, {matched} matched: fine codes decide nearly all");
}
