//! The index says what the plain evaluator says, for filters and publications of every kind, through insertions and removals.

use std::collections::BTreeMap;

use gomera_model::filter::{FilterLimits, Truth, evaluate};
use gomera_model::geo::GeoPoint;
use gomera_model::timestamp::Timestamp;
use gomera_model::value::Value;

use super::*;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).expect("small")).expect("small")
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

const TEXTS: [&str; 8] = ["", "x", "y", "zebra", "zeb", "größe", "2024-01-01T00:00:00Z", "a'b"];
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "2",
    "3",
    "7",
    "-4",
    "2.5",
    "-0.0",
    "1e300",
    "9007199254740993",
    "9007199254740992.0",
    "9223372036854775807",
    "9.223372036854775807e18",
    "0.1",
];
const NAMES: [&str; 12] = ["s", "t", "n", "m", "f", "b", "list", "place", "when", "größe", "o", "p"];

fn number(random: &mut Random) -> Value {
    match random.below(14) {
        0 => Value::Float(f64::NAN),
        1 => Value::Float(f64::INFINITY),
        2 => Value::Integer(9_007_199_254_740_993),
        3 => Value::Integer(i64::MAX),
        4 => Value::Integer(i64::MIN),
        5 => Value::Float(-0.0),
        6 => Value::Float(0.1),
        7 | 8 => Value::Float(f64::from(i32::try_from(random.below(80)).expect("small")) / 8.0 - 2.0),
        _ => Value::Integer(i64::try_from(random.below(10)).expect("small") - 2),
    }
}

fn text(random: &mut Random) -> Value {
    Value::from(random.pick(&TEXTS))
}

fn point(random: &mut Random) -> Value {
    let degrees = |number: usize| f64::from(u32::try_from(number).expect("small"));
    let (latitude, longitude) = match random.below(4) {
        0 => (degrees(random.below(181)) - 90.0, degrees(random.below(37)) * 10.0 - 180.0),
        _ => (40.0 + degrees(random.below(100)) / 100.0, -4.0 + degrees(random.below(100)) / 100.0),
    };
    Value::GeoPoint(GeoPoint::new(latitude, longitude).expect("a place"))
}

fn value(random: &mut Random, name: &str) -> Value {
    let name = if random.chance(93) { name } else { random.pick(&NAMES) };
    match name {
        "s" | "t" | "größe" => text(random),
        "n" | "m" | "f" | "o" | "p" => number(random),
        "b" => Value::from(random.chance(50)),
        "place" => point(random),
        "when" => Value::from(Timestamp(1_704_067_200_000_000 + i64::try_from(random.below(3)).expect("small") - 1)),
        _ => {
            let count = random.below(4);
            Value::array(
                (0..count).map(|_| if random.chance(50) { text(random) } else { number(random) }).collect::<Vec<_>>(),
            )
            .expect("scalars")
        }
    }
}

fn publication(random: &mut Random, names: &[&str]) -> Attributes {
    let missing = random.below(30);
    let present = names.iter().filter(|_| !random.chance(missing)).copied().collect::<Vec<_>>();
    present.into_iter().map(|name| (name, value(random, name))).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn condition(random: &mut Random, depth: usize) -> String {
    let (n, s) = (random.pick(&["n", "m", "f", "o", "p"]), random.pick(&["s", "t", "größe"]));
    let (a, b) = (random.pick(&NUMBERS), random.pick(&NUMBERS));
    let (x, y) = (quoted(random.pick(&TEXTS)), quoted(random.pick(&TEXTS)));
    let any = random.pick(&NAMES);
    match random.below(if depth == 0 { 31 } else { 36 }) {
        0..=3 => format!("{s} = {x}"),
        4 => format!("{n} = {a}"),
        5..=8 => format!("{n} {} {a}", random.pick(&["<", "<=", ">", ">="])),
        9 | 10 => format!("{n} BETWEEN {a} AND {b}"),
        11 => format!("{n} NOT BETWEEN {a} AND {b}"),
        12 if random.chance(30) => format!("{s} IN ({x}, 'y') AND {s} IN ('y', {y})"),
        12 => format!("{s} IN ({x}, {y}, 'zebra', 5)"),
        13 => format!("{s} NOT IN ({x}, {y})"),
        14 => format!("{any} IS NULL"),
        15 => format!("{any} IS NOT NULL"),
        16 => format!("STARTS_WITH({s}, {x})"),
        17 => format!("{s} LIKE 'ze%'"),
        18 => format!("{s} LIKE '%b%'"),
        19 => format!("list IN ({a}, {x})"),
        20 => format!("{} IN list", if random.chance(50) { &x } else { a }),
        21 => format!("CONTAINS(list, {x})"),
        22 => format!(
            "WITHIN(place, CIRCLE(POINT(40.{}, -3.{}), {}))",
            random.below(9),
            random.below(9),
            random.below(90_000)
        ),
        23 => "WITHIN(place, BOX(POINT(-10, 170), POINT(50, -170)))".to_owned(),
        24 => {
            format!("WITHIN(place, BOX(POINT(40.2, -3.9), POINT(40.{}, -3.{})))", 3 + random.below(6), random.below(9))
        }
        25 => format!("{n} <> {a}"),
        26 => format!("{s} <> {x}"),
        27 => format!("{n} = $n"),
        28 => format!("{any} = {x}"),
        29 => "b".to_owned(),
        30 => format!("when >= {} AND {n} + 1 > {a}", quoted("2024-01-01T00:00:00Z")),
        31 | 32 => format!("NOT ({})", condition(random, depth - 1)),
        33 => format!("({} OR {})", condition(random, depth - 1), condition(random, depth - 1)),
        34 => format!("({} AND {})", condition(random, depth - 1), condition(random, depth - 1)),
        _ => format!("NOT {}", condition(random, 0)),
    }
}

fn filter(random: &mut Random) -> Filter {
    let joint = if random.chance(65) { " AND " } else { " OR " };
    let count = 1 + random.below(3);
    let text = (0..count).map(|_| condition(random, 2)).collect::<Vec<_>>().join(joint);
    Filter::parse(&text, &FilterLimits::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

struct Context(Attributes);

impl Contexts for Context {
    fn context(&self, row: RowId) -> Option<&Attributes> {
        (!row.0.is_multiple_of(3)).then_some(&self.0)
    }
}

fn run(seed: u64, steps: usize, force: &mut [u64; 3]) {
    let mut random = Random(seed);
    let mut index = Index::new(seed);
    let mut rows: BTreeMap<u32, (Tenant, MatcherSlice, Filter)> = BTreeMap::new();
    let context = Context([("n", Value::Integer(2))].into_iter().collect());
    let tenants = ["one", "two"].map(|name| Tenant(std::sync::Arc::from(name)));
    let names = &NAMES[..if random.chance(50) { 12 } else { 6 }];
    let rows_max = u32::try_from(20 + random.below(400)).expect("small");
    for step in 0..steps {
        if random.chance(50) {
            let row = u32::try_from(random.below(rows_max as usize)).expect("small");
            if let Some((tenant, _, _)) = rows.remove(&row) {
                index.remove(RowId(row), &tenant);
            }
            if random.chance(80) {
                let tenant = tenants[usize::from(random.chance(15))].clone();
                let filter = match rows.values().next() {
                    Some((_, _, other)) if random.chance(20) => other.clone(),
                    _ => filter(&mut random),
                };
                let slice = MatcherSlice(u16::try_from(random.below(256)).expect("small"));
                index.insert(RowId(row), &tenant, slice, &filter);
                rows.insert(row, (tenant, slice, filter));
            }
            assert_eq!(index.len(), rows.len());
            continue;
        }
        let attributes = publication(&mut random, names);
        let only: SliceSet = (0..128).map(MatcherSlice).collect();
        let slices = if random.chance(20) { Slices::Only(&only) } else { Slices::All };
        for tenant in &tenants {
            let mut expected = Vec::new();
            for (&row, (owner, slice, filter)) in &rows {
                let nothing = Attributes::default();
                let truth = evaluate(filter, &attributes, context.context(RowId(row)).unwrap_or(&nothing));
                if owner == tenant {
                    force[truth as usize] += 1;
                    if truth == Truth::True && slices.contains(*slice) {
                        expected.push(RowId(row));
                    }
                }
            }
            let mut got = Vec::new();
            index.matches(tenant, &[&attributes], &context, slices, usize::MAX, &mut got);
            got.sort_unstable();
            let differ = |row: &RowId| got.contains(row) != expected.contains(row);
            let wrong = (0..rows_max).map(RowId).find(differ).map(|row| (row, rows.get(&row.0)));
            assert_eq!(got, expected, "seed {seed}, step {step}: {attributes:?}: {wrong:?}");
        }
    }
    for (row, (tenant, _, _)) in rows {
        index.remove(RowId(row), &tenant);
    }
    assert!(index.is_empty() && index.tenants.is_empty());
    assert_eq!(index.store.crowd_bytes, 0, "crowds are gone");
}

#[test]
fn a_negated_range_within_one_code_leaves_the_feature_of_a_test_before_it_alone() {
    let mut index = Index::new(7);
    let tenant = Tenant(std::sync::Arc::from("one"));
    for text in
        ["s = 'a' AND n BETWEEN 1 AND 9 AND NOT (n BETWEEN 5 AND 5)", "n BETWEEN 1 AND 9 AND NOT (n BETWEEN 5 AND 5)"]
    {
        let filter = Filter::parse(text, &FilterLimits::default()).expect("a good filter");
        index.insert(RowId(0), &tenant, MatcherSlice(0), &filter);
        index.remove(RowId(0), &tenant);
    }
}

#[test]
fn a_filter_with_hundreds_of_ranges_has_features_learnt_for_a_few() {
    let (mut index, tenant) = (Index::new(7), Tenant(std::sync::Arc::from("one")));
    let ranges = (0..200).map(|number| format!("n{number} BETWEEN 0 AND {number}")).collect::<Vec<_>>();
    let filter = Filter::parse(&ranges.join(" AND "), &FilterLimits::default()).expect("a good filter");
    for row in 0..10 {
        index.insert(RowId(row), &tenant, MatcherSlice(0), &filter);
        index.remove(RowId(row), &tenant);
    }
    index.insert(RowId(0), &tenant, MatcherSlice(0), &filter);
    let id = index.tenant(&tenant);
    assert!(index.schema(id).made <= 14, "{} for one insertion", index.schema(id).made);
}

#[test]
fn rows_of_long_lists_settle_again_a_few_at_a_time() {
    let (mut index, tenant) = (Index::new(7), Tenant(std::sync::Arc::from("one")));
    let mut random = Random(1);
    for row in 0..400 {
        let keys = (0..200).map(|_| format!("'v{}'", random.below(10_000))).collect::<Vec<_>>().join(", ");
        let text = format!("k IN ({keys}) AND n BETWEEN {row} AND {}", row + 500);
        let filter = Filter::parse(&text, &FilterLimits::default()).expect("a good filter");
        index.insert(RowId(row), &tenant, MatcherSlice(0), &filter);
        if row >= 200 && index.is_adapting() {
            break;
        }
    }
    assert!(index.adapt(100_000), "hundreds of rows of 200 lanes each would have moved at once");
    let calls = (1..1_000).find(|_| !index.adapt(100_000));
    assert!(calls.is_some_and(|calls| calls >= 20), "{calls:?}");
}

#[test]
fn the_index_says_what_the_plain_evaluator_says() {
    let mut force = [0; 3];
    for seed in 0..150 {
        run(seed, 300, &mut force);
    }
    let all: u64 = force.iter().sum();
    let percent = force.map(|part| part * 100 / all);
    assert!(
        all > 500_000 && percent[2] >= 20 && percent[0] >= 20 && percent[1] >= 10,
        "false, unknown, true in percent: {percent:?}"
    );
}

#[test]
fn rows_leave_a_key_that_proves_to_be_frequent() {
    let mut index = Index::new(3);
    let tenant = Tenant(std::sync::Arc::from("one"));
    let context = Context(Attributes::default());
    let parsed = |text: String| Filter::parse(&text, &FilterLimits::default()).expect("a good filter");
    // Before publications come, no value looks more frequent than another.
    for row in 0..10_000 {
        let filter = parsed(format!("state = 'v{}' AND device = 'd{}' AND size <> -{row}", row % 40, row % 11));
        index.insert(RowId(row), &tenant, MatcherSlice(0), &filter);
    }
    let publication = |number: u32| -> Attributes {
        let device = if number.is_multiple_of(500) { "d3" } else { "none" };
        [("state", Value::from("v3")), ("device", Value::from(device)), ("size", Value::Integer(5))]
            .into_iter()
            .collect()
    };
    let looked_up = |index: &mut Index| index.explain(&tenant, &parsed("state = 'v3' AND device = 'd3'".to_owned()));
    let under = |index: &Index| {
        let schema = index.schemas[0].as_ref().expect("one tenant");
        let symbol = index.store.symbols.find(&Value::from("v3"));
        let slot = schema.find("state").expect("asked for");
        let key = clusters::Key { tenant: 0, slot, atom: clusters::Atom::symbol(symbol) };
        index.store.clusters.find(key).map_or(0, |id| index.store.clusters.get(id).rows)
    };
    assert!(under(&index) > 64, "{} rows chose the key that will be frequent", under(&index));
    for number in 0..5_000 {
        let mut rows = Vec::new();
        index.matches(&tenant, &[&publication(number)], &context, Slices::All, usize::MAX, &mut rows);
        let expected = if number.is_multiple_of(500) { (0..10_000).filter(|row| row % 440 == 3).count() } else { 0 };
        assert_eq!(rows.len(), expected, "publication {number}");
    }
    while index.adapt(100) {}
    assert_eq!(looked_up(&mut index).branches[0].access.as_deref(), Some("device = 'd3'"));
    assert!(under(&index) <= 64, "{} rows are still under the frequent key", under(&index));
}

#[test]
fn publications_that_would_collect_too_much_together_are_judged_one_by_one() {
    const ROWS: u32 = 35_000;
    let mut index = Index::new(5);
    let tenant = Tenant(std::sync::Arc::from("one"));
    let context = Context(Attributes::default());
    for row in 0..ROWS {
        let text = format!("a = 1 AND s <> 'v{row}'");
        let filter = Filter::parse(&text, &FilterLimits::default()).expect("a good filter");
        index.insert(RowId(row), &tenant, MatcherSlice(0), &filter);
    }
    let heavy: Attributes = [("a", Value::Integer(1)), ("s", Value::from("v3"))].into_iter().collect();
    let light: Attributes = [("a", Value::Integer(2)), ("s", Value::from("v3"))].into_iter().collect();
    let mut judged = |publications: &[&Attributes]| {
        let mut rows = vec![Vec::new(); publications.len()];
        let output = rows.as_mut_slice();
        let judged = index.matches(&tenant, publications, &context, Slices::All, usize::MAX, output);
        (judged, rows.iter().map(Vec::len).collect::<Vec<_>>())
    };
    let all_but_one = usize::try_from(ROWS - 1).expect("32 bits");
    let (count, rows) = judged(&[&heavy; TOGETHER]);
    assert_eq!((count, rows[0]), (1, all_but_one));
    assert_eq!(judged(&[&heavy, &light, &heavy]), (3, vec![all_but_one, 0, all_but_one]));
}

#[test]
fn what_a_list_and_its_array_lead_to_many_times_is_run_once() {
    /// Counts who asks.
    struct Asked(std::cell::Cell<u32>, Attributes);
    impl Contexts for Asked {
        fn context(&self, _row: RowId) -> Option<&Attributes> {
            self.0.set(self.0.get() + 1);
            Some(&self.1)
        }
    }
    let tenant = Tenant(std::sync::Arc::from("t"));
    let mut index = Index::new(3);
    let text = "tags IN ('a', 'b', 'c', 'd') AND CONTAINS(note, $word)";
    let filter = Filter::parse(text, &FilterLimits::default()).expect("a good filter");
    index.insert(RowId(0), &tenant, MatcherSlice(0), &filter);
    let tags = Value::array(["a", "b", "c", "d"].map(Value::from)).expect("a good array");
    for (note, asked, found) in [("dry", 1, 0), ("wet", 1, 1), ("dry", 1, 0)] {
        let publication: Attributes = [("tags", tags.clone()), ("note", Value::from(note))].into_iter().collect();
        let contexts = Asked(std::cell::Cell::new(0), [("word", Value::from("wet"))].into_iter().collect());
        let mut rows = Vec::new();
        index.matches(&tenant, &[&publication], &contexts, Slices::All, usize::MAX, &mut rows);
        assert_eq!((index.evaluated(), contexts.0.get(), rows.len()), (4, asked, found), "{note}");
    }
}

#[test]
fn a_filter_of_many_lists_takes_no_more_lanes_than_can_be_taken_out_at_once() {
    let mut index = Index::new(5);
    let tenant = Tenant(std::sync::Arc::from("one"));
    let list = |branch: u32| {
        let members = (0..250).map(|member| format!("'{branch} {member}'")).collect::<Vec<_>>();
        format!("(a IN ({}) AND m <> {branch})", members.join(", "))
    };
    let text = (0..16).map(list).collect::<Vec<_>>().join(" OR ");
    let limits = FilterLimits { text_bytes_max: 1 << 20, ..FilterLimits::default() };
    let filter = Filter::parse(&text, &limits).expect("a good filter");
    index.insert(RowId(0), &tenant, MatcherSlice(0), &filter);
    let lanes = index.store.crowds[0].lanes();
    assert!((16..=2048).contains(&lanes), "{lanes} lanes");
    let context = Context(Attributes::default());
    for (value, rows) in [("3 17", vec![RowId(0)]), ("3 999", Vec::new())] {
        let publication: Attributes = [("a", Value::from(value)), ("m", Value::Integer(99))].into_iter().collect();
        let mut found = Vec::new();
        index.matches(&tenant, &[&publication], &context, Slices::All, usize::MAX, &mut found);
        assert_eq!(found, rows, "{value}");
    }
}

#[test]
fn a_conjunction_of_more_words_than_a_run_holds_is_evaluated_whole() {
    let limits = FilterLimits { text_bytes_max: 64 << 10, ..FilterLimits::default() };
    let list = (0..1_000).map(|member| member.to_string()).collect::<Vec<_>>().join(",");
    let all = |count: usize| (0..count).map(|name| format!("a{name} IN ({list})")).collect::<Vec<_>>().join(" AND ");
    let (mut index, tenant) = (Index::new(3), Tenant::open());
    for (row, (count, is_whole)) in [(8, false), (9, true)].into_iter().enumerate() {
        let filter = Filter::parse(&all(count), &limits).expect("a good filter");
        let explanation = index.explain(&tenant, &filter);
        assert_eq!(explanation.branches[0].residual.is_some(), is_whole);
        assert_eq!(explanation.charge.conditions.len(), usize::from(is_whole), "what is evaluated is charged so");
        index.insert(RowId(u32::try_from(row).expect("two")), &tenant, MatcherSlice(0), &filter);
    }
    let publication = |last: i64| -> Attributes {
        (0..9).map(|name| (format!("a{name}"), Value::Integer(if name == 8 { last } else { 7 }))).collect()
    };
    for (last, expected) in [(999, vec![RowId(0), RowId(1)]), (1_000, vec![RowId(0)])] {
        let mut found = Vec::new();
        index.matches(
            &tenant,
            &[&publication(last)],
            &Context(Attributes::default()),
            Slices::All,
            usize::MAX,
            &mut found,
        );
        found.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_filter_for_whose_names_there_are_no_slots_is_evaluated_whole() {
    let (mut index, tenant, nobody) = (Index::new(3), Tenant::open(), Context(Attributes::default()));
    let texts = ["a = 1", "b = 1 AND c > 2", "d = 1", "NOT d < 5", "a = 1 AND d = 1", "e = 1 OR f LIKE '%x%'"];
    let filters = texts.map(|text| Filter::parse(text, &FilterLimits::default()).expect("a good filter"));
    let mut publications: Vec<Attributes> = Vec::new();
    for value in [1, 3, 7] {
        publications.push(["a", "b", "c", "d"].map(|name| (name, Value::Integer(value))).into_iter().collect());
        publications.push(["e", "f"].map(|name| (name, Value::Integer(value))).into_iter().collect());
    }
    let mut matched = 0;
    let mut agree = |index: &mut Index, rows: &[usize]| {
        for publication in &publications {
            let holds = |row: &&usize| evaluate(&filters[**row], publication, &nobody.0).is_match();
            let expected = rows.iter().filter(holds).map(|&row| RowId(u32::try_from(row).expect("few")));
            let mut found = Vec::new();
            index.matches(&tenant, &[publication], &nobody, Slices::All, usize::MAX, &mut found);
            found.sort();
            assert_eq!(found, expected.collect::<Vec<_>>());
            matched += found.len();
        }
    };
    index.insert(RowId(0), &tenant, MatcherSlice(0), &filters[0]);
    let id = index.tenant(&tenant);
    index.schema(id).slots_max = 3;
    for (row, filter) in (0..).zip(&filters).skip(1) {
        let explanation = index.explain(&tenant, filter);
        let is_whole = explanation.branches.iter().all(|branch| branch.residual.is_some());
        index.insert(RowId(row), &tenant, MatcherSlice(0), filter);
        assert_eq!((is_whole, index.schema(id).room()), (row > 1, 0), "{filter}");
    }
    agree(&mut index, &[0, 1, 2, 3, 4, 5]);
    // With the names of the second, slots become free for others.
    index.remove(RowId(1), &tenant);
    index.remove(RowId(2), &tenant);
    index.insert(RowId(2), &tenant, MatcherSlice(0), &filters[2]);
    assert_eq!(index.schema(id).room(), 1);
    agree(&mut index, &[0, 2, 3, 4, 5]);
    for row in 0..6 {
        index.remove(RowId(row), &tenant);
    }
    assert!(index.is_empty() && matched >= 10, "{matched}");
}
