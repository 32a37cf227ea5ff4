//! Sessions that end: expiry, the client's wish, beginning anew while the old one is being forgotten.

use bytes::Bytes;
use gomera_cluster::credit::Total;
use gomera_cluster::identity::{Generation, SessionKey};
use gomera_cluster::layout::{Epoch, LaneEnd};
use gomera_cluster::message::connection_point::{EndReason, Presence};
use gomera_cluster::message::exit_point::Matched;
use gomera_cluster::position::Number;
use gomera_cluster::session::SessionOptions;

use super::*;
use crate::config::ContentBuffers;

const LANE: LaneId = LANES[0];

fn forgets(rig: &Rig) -> Vec<(SessionKey, Generation)> {
    let forget = |send: &Send| match &send.message {
        Message::AccessPoint(ToAccessPoint::Forget(forget)) => {
            assert_eq!(send.to, ACCESS_POINT);
            assert_eq!(Some(forget.lane), layout(1).lane_of_session(forget.session));
            Some((forget.session, forget.generation))
        }
        _ => None,
    };
    rig.sent.iter().filter_map(forget).collect()
}

fn forgotten(rig: &mut Rig, (session, generation): (SessionKey, Generation)) {
    rig.tell(ACCESS_POINT, ToExitPoint::Forgotten(Forgotten { session, generation }));
}

#[test]
fn a_session_outlives_its_attachment_for_as_long_as_it_asked() {
    let mut rig = Rig::new(Config::default());
    let options = SessionOptions { expires_after: Duration::from_secs(10), ..SessionOptions::default() };
    let client = rig.attach_with("s", options.clone());
    rig.detach(&client);
    rig.wait(Duration::from_secs(9));
    let client = rig.attach_with("s", options);
    assert_eq!(client.attached.presence, Presence::Resumed);
    rig.wait(Duration::from_secs(100));
    rig.detach(&client);
    rig.wait(Duration::from_millis(9_999));
    assert_eq!(forgets(&rig), []);
    rig.wait(Duration::from_millis(1));
    assert_eq!(forgets(&rig), [(client.session, client.generation())]);
    assert_eq!(rig.exit.statistics().sessions_forgetting, 1);
    forgotten(&mut rig, (client.session, client.generation()));
    let statistics = rig.exit.statistics();
    assert_eq!((statistics.sessions, statistics.sessions_forgetting, rig.ended().len()), (0, 0, 0));
}

#[test]
fn a_session_that_expires_after_nothing_ends_with_its_attachment() {
    let mut rig = Rig::new(Config::default());
    let options = SessionOptions { expires_after: Duration::ZERO, ..SessionOptions::default() };
    let client = rig.attach_with("s", options);
    rig.detach(&client);
    assert_eq!(forgets(&rig).len(), 1);
    assert_eq!(rig.exit.statistics().sessions, 0);
}

#[test]
fn a_new_life_gives_no_handle_of_the_former_one() {
    let mut rig = Rig::new(Config::default());
    let options = SessionOptions { expires_after: Duration::ZERO, ..SessionOptions::default() };
    let old = rig.attach_with("s", options);
    rig.detach(&old);
    forgotten(&mut rig, (old.session, old.generation()));
    let new = rig.attach("s");
    assert_eq!(new.attached.presence, Presence::Created);
    assert!(new.attached.handle_first.0 >= old.attached.handle_first.0 + (1 << 32), "{new:?}", new = new.attached);
}

#[test]
fn ending_is_answered_when_all_matchers_have_forgotten() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach("s");
    rig.matches(whole(LANE, (0, 1), vec![matched(1, vec![target("s", client.generation(), &[1])])]));
    rig.end(&client);
    assert_eq!((forgets(&rig).len(), rig.ended().len()), (1, 0));
    assert_eq!(rig.exit.statistics().outbox_bytes, 0);
    forgotten(&mut rig, (client.session, client.generation()));
    assert_eq!(rig.ended()[0].reason, EndReason::EndedByClient);
    forgotten(&mut rig, (client.session, client.generation()));
    assert_eq!(rig.ended().len(), 1, "a repeat says nothing");
}

#[test]
fn a_session_begins_anew_when_its_earlier_life_is_forgotten() {
    let mut rig = Rig::new(Config::default());
    let old = rig.attach("s");
    rig.end(&old);
    let sent = rig.sent.len();
    let attach = rig.attach_message("s");
    rig.tell(CONNECTION_POINT, ToExitPoint::Attach(attach));
    assert_eq!(rig.sent.len(), sent, "matchers may have subscriptions of the earlier life");
    let of = |number, generation| matched(number, vec![target("s", generation, &[1])]);
    rig.matches(whole(LANE, (0, 1), vec![of(1, old.generation())]));
    forgotten(&mut rig, (old.session, old.generation()));
    assert_eq!(rig.ended()[0].generation, old.generation());
    let mut new = rig.attached_last("s");
    assert_eq!(new.attached.presence, Presence::Created);
    assert!(new.generation() > old.generation());
    rig.matches(whole(LANE, (1, 3), vec![of(2, old.generation()), of(3, new.generation())]));
    new.read(&rig);
    assert_eq!(new.numbers(LANE), [3], "matches of the earlier life may still be on their way");
}

#[test]
fn attaches_that_wait_for_a_session_to_be_forgotten_are_taken_in_order_and_are_bounded() {
    let mut rig = Rig::new(Config::default());
    let old = rig.attach("s");
    rig.end(&old);
    for _ in 0..20 {
        let attach = rig.attach_message("s");
        rig.tell(CONNECTION_POINT, ToExitPoint::Attach(attach));
    }
    assert_eq!(rig.exit.statistics().attaches_refused, 4, "the connection point tries these again");
    forgotten(&mut rig, (old.session, old.generation()));
    let statistics = rig.exit.statistics();
    assert_eq!((statistics.sessions, statistics.sessions_superseded), (1, 15), "the last one stays");
}

#[test]
fn nobody_is_answered_or_attached_at_a_connection_point_that_is_gone() {
    let mut rig = Rig::new(Config::default());
    let old = rig.attach("s");
    rig.end(&old);
    for from in [CONNECTION_POINT, OTHER_CONNECTION_POINT, CONNECTION_POINT] {
        let attach = rig.attach_message("s");
        rig.tell(from, ToExitPoint::Attach(attach));
    }
    assert!(rig.exit.remembers(CONNECTION_POINT));
    let mut without = Layout::clone(&layout(2));
    without.members.remove(&CONNECTION_POINT.node);
    rig.event(NodeEvent::Layout(Arc::new(without)));
    assert!(!rig.exit.remembers(CONNECTION_POINT) && rig.exit.remembers(OTHER_CONNECTION_POINT));
    let sent = rig.sent.len();
    forgotten(&mut rig, (old.session, old.generation()));
    assert!(rig.sent[sent..].iter().all(|send| send.to != CONNECTION_POINT), "{:?}", &rig.sent[sent..]);
    assert_eq!((rig.ended().len(), rig.exit.statistics().sessions_attached), (0, 1), "where its client is now");
}

#[test]
fn sessions_being_forgotten_count_against_the_limit() {
    let mut rig = Rig::new(Config { tenant_sessions_max: 1, ..Config::default() });
    let client = rig.attach("s");
    rig.end(&client);
    let attach = rig.attach_message("t");
    rig.tell(CONNECTION_POINT, ToExitPoint::Attach(attach));
    assert_eq!(rig.exit.statistics().attaches_refused, 1);
    forgotten(&mut rig, (client.session, client.generation()));
    rig.attach("t");
}

#[test]
fn a_forget_whose_lane_is_gone_takes_another() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach("s");
    rig.end(&client);
    rig.event(NodeEvent::Layout(layout(2)));
    assert_eq!(forgets(&rig).len(), 1, "its lane is still there");
    let mut without = Layout::clone(&layout(3));
    let lane = without.lane_of_session(client.session).expect("a lane is open");
    without.lanes.remove(&lane);
    without.ended.insert(lane, (LaneEnd::Fenced, Epoch(3)));
    let other = without.lane_of_session(client.session);
    rig.event(NodeEvent::Layout(Arc::new(without)));
    let lanes = rig.sent.iter().filter_map(|send| match &send.message {
        Message::AccessPoint(ToAccessPoint::Forget(forget)) => Some(forget.lane),
        _ => None,
    });
    assert_eq!(lanes.collect::<Vec<_>>().last().copied(), other);
}

#[test]
fn a_session_with_a_large_outbox_goes_in_steps_that_hold_nobody_up() {
    const NOTIFICATIONS: u64 = 50_000;
    let mut rig = Rig::new(Config { content_buffers: ContentBuffers::Own, ..Config::default() });
    let mut attach = rig.attach_message("s");
    attach.credit = Total(0);
    attach.options.outbox_notifications_max = NOTIFICATIONS;
    let client = rig.attach_as(attach);
    let targets = || vec![target("s", client.generation(), &[1])];
    // All share one buffer, which tells how many are left.
    let content: Arc<[u8]> = Arc::from(vec![0; 100]);
    for from in (0..NOTIFICATIONS).step_by(1000) {
        let matched = (from + 1..=from + 1000).map(|number| {
            let mut envelope = (*envelope(number)).clone();
            envelope.content = Bytes::from_owner(Arc::clone(&content));
            Matched { number: Number(number), envelope: Arc::new(envelope), targets: targets() }
        });
        rig.matches(whole(LANE, (from, from + 1000), matched.collect()));
    }
    let held = || Arc::strong_count(&content) - 1;
    assert!(held() >= 49_000, "{}", held());
    rig.end(&client);
    assert_eq!(rig.exit.statistics().outbox_notifications, 0, "limits count it no more");
    assert!(held() > 40_000, "what is left goes in steps: {}", held());
    let mut steps = 0;
    while rig.exit.poll_timeout() == Some(Instant::ZERO) {
        rig.exit.handle_timeout(Instant::ZERO);
        steps += 1;
    }
    assert_eq!(held(), 0);
    assert!(steps > 5, "{steps}");
}
