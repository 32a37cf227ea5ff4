//! Attaching, resuming, delivering, expiring.

use gomera_cluster::identity::{Generation, Handle, Term};
use gomera_cluster::message::ToConnectionPoint;
use gomera_cluster::message::connection_point::{AttachRefusal, EndReason, Presence};
use gomera_cluster::message::exit_point::Attach;
use gomera_cluster::position::Vector;
use gomera_cluster::session::{Attempt, HandleDetail, SessionOptions};
use gomera_model::timestamp::Timestamp;

use super::*;

const ONE: LaneId = LANES[0];
const TWO: LaneId = LANES[1];

/// Publications `first` to `last` of a lane for the session, by handle 1.
fn run(lane: LaneId, first: u64, last: u64, client: &Client) -> Matches {
    let matched = (first..=last).map(|number| {
        let handles = Handles::One(client.generation(), Handle(1));
        matched(number, vec![Target { session: client.session, handles }])
    });
    whole(lane, (first - 1, last), matched.collect())
}

fn refusals(rig: &Rig) -> Vec<AttachRefusal> {
    let refusal = |send: &Send| match &send.message {
        Message::ConnectionPoint(ToConnectionPoint::AttachRefused(refused)) => Some(refused.reason),
        _ => None,
    };
    rig.sent.iter().filter_map(refusal).collect()
}

#[test]
fn nothing_happens_before_the_first_layout() {
    let mut exit = ExitPoint::new(EXIT_POINT, Config::default());
    let mut rig = Rig::new(Config::default());
    let message = ToExitPoint::Attach(rig.attach_message("s"));
    exit.handle(Instant::ZERO, NodeEvent::Received(Received { from: CONNECTION_POINT, epoch: Epoch(1), message }));
    let mut sent = Vec::new();
    exit.drain_actions(&mut sent);
    assert!(sent.is_empty());
    exit.handle(Instant::ZERO, NodeEvent::Layout(layout(1)));
    exit.drain_actions(&mut sent);
    let attached = |send: &Send| matches!(&send.message, Message::ConnectionPoint(ToConnectionPoint::Attached(_)));
    assert!(attached(&sent[0]), "what waited is handled then");
    let grants = |send: &&Send| matches!(&send.message, Message::Matcher(ToMatcher::MatchesCredit(_)));
    assert_eq!(sent.iter().filter(grants).count(), 8, "two windows for each matcher on each lane, one for replays");
}

#[test]
fn a_newer_layout_with_the_same_members_changes_nothing() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    rig.matches(run(ONE, 1, 2, &client));
    rig.event(NodeEvent::Layout(layout(2)));
    rig.matches(run(ONE, 3, 4, &client));
    client.read(&rig);
    assert_eq!(client.numbers(ONE), [1, 2, 3, 4]);
}

#[test]
fn sessions_of_a_connection_point_that_is_gone_are_detached() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach("s");
    let mut without = Layout::clone(&layout(2));
    without.members.remove(&CONNECTION_POINT.node);
    rig.event(NodeEvent::Layout(Arc::new(without)));
    assert_eq!(rig.exit.statistics().sessions_attached, 0);
    rig.matches(run(ONE, 1, 1, &client));
    assert_eq!(rig.exit.statistics().outbox_notifications, 1, "kept for its return");
}

#[test]
fn what_is_merged_is_sent_in_order_and_reported() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    rig.matches(run(ONE, 1, 3, &client));
    client.read(&rig);
    assert_eq!(client.numbers(ONE), [1, 2, 3]);
    let merged = rig.sent.iter().find_map(|send| match &send.message {
        Message::AccessPoint(ToAccessPoint::Merged(merged)) => Some((send.to, merged.lane, merged.through.0)),
        _ => None,
    });
    assert_eq!(merged, Some((ACCESS_POINT, ONE, 3)));
    assert_eq!(rig.exit.statistics().positions_merged, 3);
}

#[test]
fn a_created_session_starts_at_the_merged_vector() {
    let mut rig = Rig::new(Config::default());
    rig.matches(whole(ONE, (0, 7), vec![]));
    let client = rig.attach("s");
    assert_eq!(client.attached.presence, Presence::Created);
    assert_eq!(client.attached.merged, [at(ONE, 7)].into_iter().collect());
    assert_eq!(client.attached.handle_first, Handle(1));
}

#[test]
fn notifications_carry_what_else_of_the_vector_rose() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    rig.matches(run(ONE, 1, 2, &client));
    rig.matches(whole(TWO, (0, 9), vec![]));
    rig.matches(run(ONE, 3, 4, &client));
    client.read(&rig);
    let vectors = client.got.iter().map(|got| got.vector.get(&TWO).copied()).collect::<Vec<_>>();
    assert_eq!(vectors, [None, None, Some(9), Some(9)]);
}

#[test]
fn a_client_that_resumes_with_its_vector_gets_each_once() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    rig.matches(run(ONE, 1, 5, &client));
    client.read(&rig);
    rig.detach(&client);
    rig.matches(run(ONE, 6, 7, &client));
    let resume = [at(ONE, 3)].into_iter().collect::<Vector>();
    let attach = Attach { resume: Some(resume.clone()), ..rig.attach_message("s") };
    let mut again = rig.attach_as(attach);
    assert_eq!((again.attached.presence, &again.attached.merged), (Presence::Resumed, &resume));
    assert_eq!(again.attached.handle_first, Handle((1 << 32) + 1));
    again.read(&rig);
    assert_eq!(again.numbers(ONE), [4, 5, 6, 7]);
    assert!(again.got.iter().all(|got| !got.redelivered), "it said that it did not have them");
}

#[test]
fn what_one_client_lacked_another_may_have() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach("s");
    rig.matches(run(ONE, 1, 1, &client));
    // Overtaken by the attach above, say: it knows of nothing, and there is no credit to send it anything.
    let late =
        Attach { resume: Some(Vector::default()), credit: gomera_cluster::credit::Total(0), ..rig.attach_message("s") };
    assert_eq!(rig.attach_as(late).read(&rig), 0);
    let mut other = rig.attach("s");
    other.read(&rig);
    assert!(other.got[0].redelivered, "the first client may have it");
}

#[test]
fn a_try_that_comes_late_does_not_take_the_place_of_a_later_one_of_the_same_process() {
    let attempt = |process, number| Attempt { process, number };
    let mut rig = Rig::new(Config::default());
    let first = Attach { attempt: attempt(5, 1), ..rig.attach_message("s") };
    let late = Attach { attempt: attempt(5, 2), ..rig.attach_message("s") };
    let later = Attach { attempt: attempt(5, 3), ..rig.attach_message("s") };
    rig.attach_as(first);
    let client = rig.attach_as(later);
    rig.tell(CONNECTION_POINT, ToExitPoint::Attach(late.clone()));
    assert_eq!(refusals(&rig), [AttachRefusal::Overtaken]);
    assert_eq!(rig.exit.statistics().attaches_overtaken, 1);
    // Also when nobody is attached any more: its client has gone on.
    rig.detach(&client);
    rig.tell(CONNECTION_POINT, ToExitPoint::Attach(late));
    assert_eq!(refusals(&rig).len(), 2);
    // Another process takes over whatever its number, and so does who does not say.
    let other = Attach { attempt: attempt(6, 1), ..rig.attach_message("s") };
    rig.attach_as(other);
    rig.attach("s");
    assert_eq!(refusals(&rig).len(), 2);
}

#[test]
fn a_client_without_its_vector_gets_repeats_flagged() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    rig.matches(run(ONE, 1, 3, &client));
    client.read(&rig);
    rig.acknowledge(&client, &[at(ONE, 1)].into_iter().collect());
    rig.detach(&client);
    rig.matches(run(ONE, 4, 4, &client));
    let mut again = rig.attach("s");
    again.read(&rig);
    let got = again.got.iter().map(|got| (got.position.number.0, got.redelivered)).collect::<Vec<_>>();
    assert_eq!(got, [(2, true), (3, true), (4, false)]);
    assert_eq!(again.attached.merged, [at(ONE, 1)].into_iter().collect());
}

#[test]
fn a_newer_attachment_supersedes_the_older_one() {
    let mut rig = Rig::new(Config::default());
    let mut first = rig.attach("s");
    let mut second = rig.attach("s");
    let ended = rig.ended();
    assert_eq!((ended[0].reason, ended[0].generation), (EndReason::Superseded, first.generation()));
    assert!(second.generation() > first.generation());
    rig.matches(run(ONE, 1, 1, &second));
    assert_eq!((first.read(&rig), second.read(&rig)), (0, 1));
    rig.detach(&first);
    rig.matches(run(ONE, 2, 2, &second));
    assert_eq!(second.read(&rig), 1, "what the old attachment says is past");
}

#[test]
fn generations_grow_with_terms_and_attachments() {
    let mut rig = Rig::new(Config::default());
    let generations = ["a", "b", "a"].map(|name| rig.attach(name).generation().0);
    assert!(generations.is_sorted());
    assert_eq!(generations[0] >> 40, 1, "the term");
}

#[test]
fn only_the_active_machine_in_exactly_this_term_accepts() {
    let mut rig = Rig::new(Config::default());
    let attach = Attach { term: Term(2), ..rig.attach_message("s") };
    rig.tell(CONNECTION_POINT, ToExitPoint::Attach(attach));
    let mut attach = rig.attach_message("s");
    attach.slice.0 = 4000;
    rig.tell(CONNECTION_POINT, ToExitPoint::Attach(attach));
    assert_eq!(refusals(&rig), [AttachRefusal::NotActive; 2]);
}

#[test]
fn sessions_are_limited_per_tenant() {
    let mut rig = Rig::new(Config { tenant_sessions_max: 1, ..Config::default() });
    rig.attach("a");
    rig.attach("a");
    let attach = rig.attach_message("b");
    rig.tell(CONNECTION_POINT, ToExitPoint::Attach(attach));
    assert_eq!(refusals(&rig), [AttachRefusal::Sessions(1)]);
}

#[test]
fn nothing_is_sent_beyond_the_credit() {
    let mut rig = Rig::new(Config::default());
    let attach = Attach { credit: gomera_cluster::credit::Total(0), ..rig.attach_message("s") };
    let mut client = rig.attach_as(attach);
    rig.matches(run(ONE, 1, 5, &client));
    assert_eq!(client.read(&rig), 0);
    rig.grant(&client, 1);
    assert_eq!(client.read(&rig), 1, "a window of 1 passes one");
    rig.grant(&client, 3 * cost());
    assert_eq!(client.read(&rig), 2);
}

#[test]
fn matches_of_an_earlier_life_and_of_strangers_are_dropped() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    let old = Generation(client.generation().0 - 1);
    let mixed = Target {
        session: client.session,
        handles: Handles::Many([(old, Handle(1)), (client.generation(), Handle(2))].into()),
    };
    rig.matches(whole(
        ONE,
        (0, 3),
        vec![
            matched(1, vec![target("s", old, &[1])]),
            matched(2, vec![mixed]),
            matched(3, vec![target("nobody", old, &[1])]),
        ],
    ));
    client.read(&rig);
    assert_eq!(
        client.got.iter().map(|got| (got.position.number.0, got.handles.clone())).collect::<Vec<_>>(),
        [(2, vec![2])]
    );
    let statistics = rig.exit.statistics();
    assert_eq!((statistics.targets_outlived, statistics.targets_unknown), (1, 1));
}

#[test]
fn a_session_that_wants_counts_gets_counts() {
    let mut rig = Rig::new(Config::default());
    let options = SessionOptions { detail: HandleDetail::Count, ..SessionOptions::default() };
    let mut client = rig.attach_with("s", options);
    rig.matches(whole(ONE, (0, 1), vec![matched(1, vec![target("s", client.generation(), &[1, 2, 3])])]));
    client.read(&rig);
    assert_eq!(client.got[0].handles.len(), 3);
}

#[test]
fn expired_notifications_are_dropped_without_a_gap() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach("s");
    rig.detach(&client);
    let mut matches = run(ONE, 1, 3, &client);
    matches.matched[1].envelope = expiring(2, Some(Timestamp(5_000_000)));
    rig.matches(matches);
    assert_eq!(rig.exit.statistics().outbox_notifications, 3);
    rig.wait(Duration::from_secs(6));
    assert_eq!(rig.exit.statistics().outbox_notifications, 2, "swept while nobody is attached");
    let mut matches = run(ONE, 4, 4, &client);
    matches.matched[0].envelope = expiring(4, Some(Timestamp(1)));
    rig.matches(matches);
    let mut again = rig.attach("s");
    again.read(&rig);
    assert_eq!((again.numbers(ONE), again.gaps.len()), (vec![1, 3], 0));
    assert_eq!(rig.exit.statistics().notifications_expired, 2);
}

#[test]
fn each_expiry_is_swept_in_its_time() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach("s");
    rig.detach(&client);
    let mut matches = run(ONE, 1, 3, &client);
    for (index, seconds) in [(0, 7), (1, 3), (2, 5)] {
        let number = matches.matched[index].number.0;
        matches.matched[index].envelope = expiring(number, Some(Timestamp(seconds * 1_000_000 - 1)));
    }
    rig.matches(matches);
    let left = [4, 2, 2].map(|seconds| {
        rig.wait(Duration::from_secs(seconds));
        rig.exit.statistics().outbox_notifications
    });
    assert_eq!(left, [2, 1, 0]);
}

#[test]
fn what_expires_between_merging_and_sending_is_not_sent() {
    let mut rig = Rig::new(Config::default());
    let attach = Attach { credit: gomera_cluster::credit::Total(0), ..rig.attach_message("s") };
    let mut client = rig.attach_as(attach);
    let mut matches = run(ONE, 1, 2, &client);
    matches.matched[0].envelope = expiring(1, Some(Timestamp(400)));
    rig.matches(matches);
    rig.now = rig.now + Duration::from_millis(1);
    rig.grant(&client, 1 << 20);
    client.read(&rig);
    assert_eq!(client.numbers(ONE), [2]);
}

#[test]
fn acknowledging_more_than_was_sent_or_lanes_that_do_not_exist_settles_only_what_is_merged() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    rig.matches(run(ONE, 1, 2, &client));
    rig.acknowledge(&client, &[at(ONE, u64::MAX), at(LaneId(77), 5)].into_iter().collect());
    rig.matches(run(ONE, 3, 3, &client));
    client.read(&rig);
    assert_eq!(client.numbers(ONE), [1, 2, 3]);
    rig.detach(&client);
    let again = rig.attach("s");
    assert_eq!(again.attached.merged, [at(ONE, 2)].into_iter().collect());
}

#[test]
fn a_publication_for_several_sessions_travels_once_and_handles_are_coalesced_per_drain() {
    let mut rig = Rig::new(Config::default());
    let (mut a, mut b) = (rig.attach("a"), rig.attach("b"));
    let mut targets = vec![target("a", a.generation(), &[1]), target("b", b.generation(), &[1])];
    targets.sort_by_key(|target| target.session);
    for number in 1..=2 {
        let matches = whole(ONE, (number - 1, number), vec![matched(number, targets.clone())]);
        rig.whisper(MATCHERS[0], ToExitPoint::Matches(matches));
    }
    rig.exit.drain_actions(&mut rig.sent);
    assert_eq!((a.read(&rig), b.read(&rig)), (2, 2));
    let frames = rig.frames();
    assert_eq!((frames.len(), frames[0].publications.len(), frames[0].batches.len()), (1, 2, 2));
}

#[test]
fn frames_of_strangers_are_refused() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach("s");
    rig.tell(CONNECTION_POINT, ToExitPoint::Matches(run(ONE, 1, 1, &client)));
    rig.tell(machine(99), ToExitPoint::Matches(run(ONE, 1, 1, &client)));
    rig.matches(run(LaneId(9), 1, 1, &client));
    let statistics = rig.exit.statistics();
    assert_eq!((statistics.frames_refused, statistics.positions_merged), (2, 0));
}

#[test]
fn what_one_publication_means_to_very_many_goes_out_in_steps() {
    const SESSIONS: u64 = 9000;
    let mut rig = Rig::new(Config::default());
    let clients = (0..SESSIONS).map(|number| rig.attach(&format!("s{number}"))).collect::<Vec<_>>();
    rig.sent.clear();
    let mut targets = (0..SESSIONS)
        .zip(&clients)
        .map(|(number, client)| target(&format!("s{number}"), client.generation(), &[1]))
        .collect::<Vec<_>>();
    targets.sort_by_key(|target| target.session);
    rig.matches(whole(ONE, (0, 1), vec![matched(1, targets)]));
    let told = |rig: &Rig| rig.frames().iter().map(|frame| frame.batches.len()).sum::<usize>();
    assert!((1..9000).contains(&told(&rig)), "{}", told(&rig));
    assert_eq!(rig.exit.poll_timeout(), Some(Instant::ZERO), "the rest is due at once");
    rig.wait(Duration::ZERO);
    assert_eq!(told(&rig), 9000);
    assert_ne!(rig.exit.poll_timeout(), Some(Instant::ZERO));
}
