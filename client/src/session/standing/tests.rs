//! Claims about where a session stands.

use gomera_cluster::position::{LaneId, Number};

use super::*;

fn at(lane: u32, number: u64) -> Position {
    Position { lane: LaneId(lane), number: Number(number) }
}

fn vector(positions: &[(u32, u64)]) -> Vector {
    positions.iter().map(|&(lane, number)| at(lane, number)).collect()
}

#[test]
fn what_arrived_before_is_a_duplicate_whatever_the_application_has_done() {
    let mut standing = Standing::default();
    assert_eq!(standing.receive(at(1, 5), vec![]), Receipt::Fresh(Ordinal(1)));
    assert_eq!(standing.receive(at(1, 5), vec![]), Receipt::Duplicate);
    assert_eq!(standing.receive(at(1, 4), vec![]), Receipt::Duplicate);
    assert_eq!(standing.receive(at(2, 4), vec![]), Receipt::Fresh(Ordinal(2)));
    assert_eq!(standing.receive(at(1, 6), vec![]), Receipt::Fresh(Ordinal(3)));
}

#[test]
fn an_attach_resumes_from_what_is_processed_not_from_what_has_arrived() {
    let mut standing = Standing::default();
    standing.receive(at(1, 5), vec![at(2, 9)]);
    standing.receive(at(1, 7), vec![]);
    assert_eq!(standing.resume_from(), &vector(&[]));
    assert!(standing.processed(Ordinal(1)));
    assert_eq!(standing.resume_from(), &vector(&[(1, 5), (2, 9)]));

    // The cluster sends again what lies after it: one is known already, one is new.
    standing.resumed(&vector(&[(1, 5), (2, 9)]));
    assert_eq!(standing.receive(at(1, 7), vec![]), Receipt::Duplicate);
    assert_eq!(standing.receive(at(1, 8), vec![]), Receipt::Fresh(Ordinal(3)));
    standing.processed(Ordinal(3));
    assert_eq!(standing.resume_from(), &vector(&[(1, 8), (2, 9)]));
}

#[test]
fn an_acknowledgement_names_the_lanes_that_rose_once() {
    let mut standing = Standing::default();
    assert_eq!(standing.acknowledgement(), None);
    for number in 1..=3 {
        standing.receive(at(1, number), vec![]);
    }
    standing.receive(at(2, 1), vec![at(3, 4)]);
    assert!(standing.processed(Ordinal(2)));
    assert!(standing.processed(Ordinal(3)));
    assert_eq!(standing.acknowledgement(), Some(vector(&[(1, 3)])));
    assert_eq!(standing.acknowledgement(), None);
    assert!(standing.processed(Ordinal(4)));
    assert_eq!(standing.acknowledgement(), Some(vector(&[(2, 1), (3, 4)])));
}

#[test]
fn a_new_session_forgets_what_was_known_of_the_old_one() {
    let mut standing = Standing::default();
    standing.receive(at(1, 50), vec![]);
    standing.receive(at(1, 60), vec![]);
    standing.created(&vector(&[(1, 2)]));
    assert_eq!(standing.receive(at(1, 3), vec![]), Receipt::Fresh(Ordinal(3)), "lanes may count from 1 again");
    assert!(!standing.processed(Ordinal(2)), "what belonged to the old session is not acknowledged to the new one");
    assert!(standing.processed(Ordinal(3)));
    assert_eq!(standing.acknowledgement(), Some(vector(&[(1, 3)])));
}

#[test]
fn quiet_lanes_rise_with_what_was_merged() {
    let mut standing = Standing::default();
    standing.receive(at(1, 1), vec![at(2, 10)]);
    assert!(standing.has_received(&vector(&[(1, 1), (2, 10)])));
    assert!(!standing.has_received(&vector(&[(2, 11)])));
    assert_eq!(standing.receive(at(2, 10), vec![]), Receipt::Duplicate);
    standing.resumed(&vector(&[(2, 12)]));
    assert_eq!(standing.receive(at(2, 12), vec![]), Receipt::Duplicate);
}
