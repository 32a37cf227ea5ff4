//! Claims about the retained log.

use super::*;
use crate::fixture::{CONNECTION_POINT, address, get};

const A: Address = address(3, 0);
const B: Address = address(3, 1);

/// Entries as letters: `b` for both readers, `A` and `B` for one of them.
fn log(letters: &str) -> Log {
    let mut log = Log::default();
    for letter in letters.chars() {
        let to = |readers: &[Address]| Origin::Session { from: CONNECTION_POINT, stamp: stamp(readers.to_vec()) };
        let (entry, origin) = match letter {
            'A' => (Entry::Operation(get("s", "x", 1)), to(&[A])),
            'B' => (Entry::Operation(get("s", "x", 1)), to(&[B])),
            _ => (Entry::Barrier(crate::fixture::layout(1)), Origin::Lane),
        };
        log.append(Retained { entry, cost: 10, origin });
    }
    log
}

fn runs(log: &Log, reader: Address, limit: RunLimit) -> Vec<(u64, Vec<u64>)> {
    let (mut after, mut runs) = (Number::ZERO, Vec::new());
    while after < log.last() {
        let run = log.run(after, reader, limit, |_| true);
        assert!(run.to > after, "every run makes progress");
        after = run.to;
        runs.push((run.to.0, run.entries.iter().map(|(number, _)| number.0).collect()));
    }
    runs
}

#[test]
fn every_reader_sees_its_entries_once_in_order_whatever_the_limit() {
    // All logs of up to six entries, all small limits.
    for length in 1..=6_u32 {
        for code in 0..3_usize.pow(length) {
            let letters = (0..length).map(|place| ['b', 'A', 'B'][code / 3_usize.pow(place) % 3]).collect::<String>();
            let log = log(&letters);
            for (reader, other) in [(A, 'B'), (B, 'A')] {
                let expected =
                    (1..).zip(letters.chars()).filter(|&(_, letter)| letter != other).map(|(number, _)| number);
                let expected = expected.collect::<Vec<u64>>();
                for (entries, bytes) in [(1, 1), (1, 1000), (2, 1000), (10, 1), (10, 20), (10, 1000)] {
                    let runs = runs(&log, reader, RunLimit { entries, bytes });
                    let seen = runs.iter().flat_map(|(_, numbers)| numbers.clone()).collect::<Vec<_>>();
                    assert_eq!(seen, expected, "{letters} in runs of {entries} entries, {bytes} bytes");
                    assert_eq!(runs.last().map(|(to, _)| *to), Some(u64::from(length)));
                    assert!(runs.iter().all(|(_, numbers)| numbers.len() <= entries.min((bytes / 10).max(1) as usize)));
                }
            }
        }
    }
}

#[test]
fn what_is_trimmed_is_gone_and_numbers_go_on() {
    let mut log = log("bbAb");
    assert_eq!((log.len(), log.bytes(), log.last()), (4, 40, Number(4)));
    let mut trimmed = Vec::new();
    while let Some((number, _)) = log.trim_one(Number(3)) {
        trimmed.push(number.0);
    }
    assert_eq!(trimmed, [1, 2, 3]);
    assert_eq!((log.len(), log.bytes(), log.last()), (1, 10, Number(4)));
    assert!(log.get(Number(3)).is_none() && log.get(Number(4)).is_some() && log.get(Number(5)).is_none());
    let run = log.run(Number(3), A, RunLimit { entries: 10, bytes: 1000 }, |_| true);
    assert_eq!((run.to, run.entries.len()), (Number(4), 1));
}

#[test]
#[should_panic(expected = "a cursor is never behind")]
fn reading_what_is_gone_is_a_mistake() {
    let mut log = log("bb");
    log.trim_one(Number(1));
    log.run(Number(0), A, RunLimit { entries: 10, bytes: 1000 }, |_| true);
}
