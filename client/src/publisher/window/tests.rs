//! Claims about a publisher's window.

use super::*;

fn window(publications_max: usize, bytes_max: usize) -> Window<u64> {
    Window::new(Limits { publications_max, bytes_max })
}

fn content(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn sent(window: &mut Window<u64>) -> Vec<(u64, bool)> {
    let mut outgoing = Vec::new();
    window.send(100, 1_000, &mut outgoing);
    outgoing.into_iter().map(|item| (item.sequence, item.resent)).collect()
}

fn acknowledge(window: &mut Window<u64>, through: u64) -> Vec<u64> {
    let mut tickets = Vec::new();
    window.acknowledged(through, &mut |ticket| tickets.push(ticket));
    tickets
}

#[test]
fn sequences_begin_at_one_and_have_no_holes() {
    let mut window = window(10, 100);
    assert_eq!(window.last(), 0);
    assert_eq!((1..=3).map(|ticket| window.push(content("x"), Some(ticket))).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(acknowledge(&mut window, 3), [1, 2, 3]);
    assert_eq!(window.last(), 3);
    assert_eq!(window.push(content("x"), None), 4);
}

#[test]
fn a_window_is_full_by_number_or_by_bytes_but_never_when_it_is_empty() {
    let mut by_number = window(2, 100);
    by_number.push(content("a"), None);
    assert!(by_number.has_room(1));
    by_number.push(content("b"), None);
    assert!(!by_number.has_room(1));
    acknowledge(&mut by_number, 1);
    assert!(by_number.has_room(1));

    let mut by_bytes = window(10, 4);
    assert!(by_bytes.has_room(50), "one publication larger than the window must still pass");
    by_bytes.push(content("abc"), None);
    assert!(by_bytes.has_room(1));
    assert!(!by_bytes.has_room(2));
}

#[test]
fn after_a_break_everything_unacknowledged_goes_again_in_order_and_only_what_was_sent_is_flagged() {
    let mut window = window(10, 100);
    for ticket in 1..=3 {
        window.push(content("x"), Some(ticket));
    }
    assert_eq!(sent(&mut window), [(1, false), (2, false), (3, false)]);
    assert!(!window.has_unsent());
    window.push(content("y"), Some(4));
    assert_eq!(acknowledge(&mut window, 1), [1]);
    window.disconnected();
    assert_eq!(sent(&mut window), [(2, true), (3, true), (4, false)]);
    window.disconnected();
    assert_eq!(acknowledge(&mut window, 3), [2, 3]);
    assert_eq!(sent(&mut window), [(4, true)]);
}

#[test]
fn a_batch_is_cut_by_number_and_by_bytes_but_holds_at_least_one() {
    let mut window = window(10, 100);
    for text in ["aaaa", "b", "c", "d"] {
        window.push(content(text), None);
    }
    let mut outgoing = Vec::new();
    window.send(2, 2, &mut outgoing);
    assert_eq!(outgoing.len(), 1, "the first alone exceeds the bytes");
    window.send(2, 100, &mut outgoing);
    assert_eq!(outgoing.iter().map(|item| item.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(window.has_unsent());
}

#[test]
fn a_refused_publication_is_not_sent_again_and_does_not_hold_up_the_others() {
    let mut window = window(10, 100);
    for ticket in 1..=3 {
        window.push(content("x"), Some(ticket));
    }
    sent(&mut window);
    assert_eq!(window.refused(2), Refused::Settled(Some(2)));
    assert_eq!(window.refused(2), Refused::Unknown);
    assert_eq!(window.refused(9), Refused::Unknown);
    window.disconnected();
    assert_eq!(sent(&mut window), [(1, true), (3, true)]);
    assert_eq!(acknowledge(&mut window, 1), [1]);
    assert_eq!(window.refused(1), Refused::Unknown);
    assert_eq!(window.refused(3), Refused::Settled(Some(3)));
    assert_eq!(window.settled_through(), 3);
    assert!(window.has_room(100));
}

#[test]
fn an_acknowledgement_beyond_what_was_published_is_cut_off() {
    let mut window = window(10, 100);
    window.push(content("x"), Some(1));
    assert_eq!(acknowledge(&mut window, 99), [1]);
    assert_eq!(window.settled_through(), 1);
    assert_eq!(window.push(content("x"), Some(2)), 2);
    assert!(acknowledge(&mut window, 1).is_empty());
}

#[test]
fn when_it_is_over_every_waiting_ticket_comes_back() {
    let mut window = window(10, 100);
    window.push(content("x"), Some(1));
    window.push(content("x"), None);
    window.push(content("x"), Some(3));
    assert_eq!(window.abandon().collect::<Vec<_>>(), [1, 3]);
    assert!(window.has_room(1));
    assert_eq!(window.settled_through(), 3);
}
