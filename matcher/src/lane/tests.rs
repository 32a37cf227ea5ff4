//! Claims about a lane's input.

use gomera_cluster::credit::Total;
use gomera_cluster::identity::{Generation, Handle};
use gomera_cluster::message::exit_point::Handles;
use gomera_cluster::operation::{Description, SubscriptionOptions};

use super::*;
use crate::fixture::{MATCHER, WRITER, address, envelope, layout, session};

fn lane(config: &Config) -> Lane {
    let ownership = Arc::new(Ownership::new(layout(1, 1, 1), MATCHER));
    Lane::new(LaneId(1), WRITER, config, &ownership)
}

fn run(from: u64, to: u64, numbers: &[u64]) -> Entries {
    let entry = |&number: &u64| (Number(number), Entry::Publication(envelope(number, 0, &[])));
    let entries = numbers.iter().map(entry).collect();
    Entries { lane: LaneId(1), class: Class::Live, from: Number(from), to: Number(to), entries, merged: None }
}

fn flushed(lane: &mut Lane) -> (Vec<Progress>, Vec<EntriesCredit>) {
    let (mut actions, mut progress, mut credit) = (Vec::new(), Vec::new(), Vec::new());
    lane.flush(&mut actions);
    for send in actions {
        match send.message {
            Message::AccessPoint(ToAccessPoint::Progress(told)) => progress.push(told),
            Message::AccessPoint(ToAccessPoint::EntriesCredit(told)) if told.class == Class::Live => credit.push(told),
            Message::AccessPoint(ToAccessPoint::EntriesCredit(_)) => {}
            Message::ExitPoint(_) => {}
            other => panic!("{other:?}"),
        }
    }
    (progress, credit)
}

#[test]
fn entries_are_given_once_in_order_and_progress_covers_numbers_that_hold_nothing() {
    let mut lane = lane(&Config::default());
    let (progress, credit) = flushed(&mut lane);
    assert!(progress.is_empty() && credit.len() == 1, "the first grant comes without being asked");
    lane.receive(run(0, 4, &[2, 3]));
    lane.receive(run(4, 9, &[]));
    lane.receive(run(0, 4, &[2, 3]));
    let numbers = std::iter::from_fn(|| lane.next_entry()).map(|(number, _)| number.0).collect::<Vec<_>>();
    assert_eq!(numbers, [2, 3]);
    let (progress, _) = flushed(&mut lane);
    assert_eq!(progress.iter().map(|told| told.through.0).collect::<Vec<_>>(), [9]);
    assert!(flushed(&mut lane).0.is_empty(), "nothing new, nothing told");
}

#[test]
#[should_panic(expected = "lane 1 goes from 4 to 5")]
fn a_hole_is_a_mistake_of_the_link() {
    let mut lane = lane(&Config::default());
    lane.receive(run(0, 4, &[]));
    lane.receive(run(5, 6, &[]));
}

#[test]
fn a_full_output_stops_the_lane_and_credit_for_it_starts_it_again() {
    let mut lane = lane(&Config { output_bytes_max: 1, lane_window_bytes: 1, ..Config::default() });
    flushed(&mut lane);
    lane.receive(run(0, 2, &[1, 2]));
    let Some((number, Entry::Publication(first))) = lane.next_entry() else { panic!("there is a first entry") };
    let target = Target { session: session("s"), handles: Handles::One(Generation(1), Handle(1)) };
    lane.push(number, &first, target);
    assert!(lane.next_entry().is_none() && !lane.is_runnable());
    let (progress, credit) = flushed(&mut lane);
    assert_eq!(progress[0].through, Number(1), "what is worked off is told, also within a run");
    assert!(credit.is_empty(), "the run is not worked off");
    lane.grant(address(4, 0), MatchesCredit { lane: LaneId(1), class: Class::Live, total: Total(1) });
    flushed(&mut lane);
    assert!(lane.is_runnable());
    assert_eq!(lane.next_entry().map(|(number, _)| number), Some(Number(2)));
    assert!(lane.next_entry().is_none());
    assert_eq!(flushed(&mut lane).1.len(), 1, "the run is worked off: its credit is free");
}

#[test]
fn a_report_of_progress_holds_few_long_lists() {
    let mut lane = lane(&Config::default());
    flushed(&mut lane);
    let numbers = (1..=40).collect::<Vec<_>>();
    lane.receive(run(0, 40, &numbers));
    let text = format!("a = '{}'", "x".repeat(10_000));
    let description = Description {
        id: Arc::from("id"),
        handle: Handle(1),
        filter: crate::fixture::filter(&text),
        options: SubscriptionOptions::default(),
    };
    let mut reports = 0;
    while lane.is_runnable() {
        while let Some((number, _)) = lane.next_entry() {
            lane.report(number, Outcome::Found(vec![description.clone(); 50]));
        }
        for progress in flushed(&mut lane).0 {
            assert!(progress.bytes() < 3 << 20, "{} bytes", progress.bytes());
            reports += 1;
        }
    }
    assert_eq!(lane.processed(), Number(40));
    assert!(reports >= 5, "{reports}");
}
