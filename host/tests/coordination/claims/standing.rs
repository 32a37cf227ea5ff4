//! Who is there, and who hears of it.

use gomera_cluster::address::{Incarnation, Layer};
use gomera_cluster::layout::Epoch;
use gomera_coordinator::Desired;
use gomera_host::coordination::{Acknowledging, Coordination, Hints, Membership, Topic};

use crate::world::{World, acknowledgement, candidate, layout_of, node, one_per_layer, soon, until};

pub async fn a_registration_is_seen_and_goes_with_its_session(world: World) {
    let (mine, other) = (world.connect().await, world.connect().await);
    let matcher = node(Layer::Matcher, 7);
    mine.register(&matcher).await.expect("registers");
    mine.acknowledge(&matcher, &acknowledgement(Epoch(3)), None).await.expect("acknowledges");
    assert_eq!(other.members().await.expect("reads").get(&Incarnation(7)), Some(&matcher));
    assert_eq!(other.acknowledgements().await.expect("reads").get(&Incarnation(7)), Some(&acknowledgement(Epoch(3))));

    let mut hints = other.hints(&[Topic::Members, Topic::Acknowledgements]);
    mine.expire_session().await.expect("expires");
    soon("the registration goes", async {
        while !other.members().await.expect("reads").is_empty()
            || !other.acknowledgements().await.expect("reads").is_empty()
        {
            hints.next().await;
        }
    })
    .await;

    let mut session = mine.session();
    until("another session", &mut session, |session| {
        session.number == 2 && session.link == gomera_host::coordination::Link::Connected
    })
    .await;
    mine.register(&matcher).await.expect("registers again");
    assert_eq!(other.members().await.expect("reads").get(&Incarnation(7)), Some(&matcher));
}

pub async fn a_registration_of_a_former_session_is_replaced(world: World) {
    let (former, present, other) = (world.connect().await, world.connect().await, world.connect().await);
    let matcher = node(Layer::Matcher, 7);
    former.register(&matcher).await.expect("registers");
    // The same process in its next session, before the former one has expired.
    present.register(&matcher).await.expect("registers");
    let mut session = former.session();
    former.expire_session().await.expect("expires");
    until("another session", &mut session, |session| session.number == 2).await;
    assert_eq!(other.members().await.expect("reads").len(), 1);
}

pub async fn an_acknowledgement_follows_the_last_one_and_stands_whoever_interferes(world: World) {
    let (mine, other) = (world.connect().await, world.connect().await);
    let matcher = node(Layer::Matcher, 7);
    let mut last = None;
    let mut says = async |mine: &Coordination, epoch| {
        let said = acknowledgement(Epoch(epoch));
        last = Some(mine.acknowledge(&matcher, &said, last).await.expect("acknowledges"));
        assert_eq!(other.acknowledgements().await.expect("reads").get(&Incarnation(7)), Some(&said));
    };
    for epoch in 1..4 {
        says(&mine, epoch).await;
    }
    // Somebody writes it, or takes it away.
    mine.acknowledge(&matcher, &acknowledgement(Epoch(100)), None).await.expect("acknowledges");
    says(&mine, 4).await;
    mine.withdraw(&matcher).await.expect("withdraws");
    says(&mine, 5).await;
    // Another session knows nothing of the former one's versions.
    mine.expire_session().await.expect("expires");
    until("another session", &mut mine.session(), |session| session.number == 2).await;
    says(&mine, 6).await;
    says(&mine, 7).await;
}

pub async fn a_node_that_leaves_takes_everything_with_it(world: World) {
    let (mine, other) = (world.connect().await, world.connect().await);
    let membership = Membership::start(mine.clone(), node(Layer::ExitPoint, 5), Acknowledging::AtOnce).expect("valid");
    until("registered", &mut membership.status(), |status| status.registered_in == 1).await;
    assert_eq!(other.members().await.expect("reads").len(), 1);
    membership.leave().await;
    assert!(other.members().await.expect("reads").is_empty());
}

pub async fn every_topic_hints_at_its_changes(world: World) {
    let (mine, other) = (world.connect().await, world.connect().await);
    let nodes = one_per_layer(1);
    let layout = layout_of(&nodes, 1);
    let standing = candidate(9);

    let mut heard = Heard::new(&other, Topic::Members).await;
    mine.register(&nodes[0]).await.expect("registers");
    heard.hears("a member").await;

    let mut heard = Heard::new(&other, Topic::Acknowledgements).await;
    mine.acknowledge(&nodes[0], &acknowledgement(Epoch(1)), None).await.expect("acknowledges");
    heard.hears("an acknowledgement").await;
    mine.acknowledge(&nodes[0], &acknowledgement(Epoch(2)), None).await.expect("acknowledges");
    heard.hears("a further acknowledgement").await;

    let mut heard = Heard::new(&other, Topic::Leadership).await;
    let reign = mine.stand(&standing).await.expect("stands").expect("leads");
    heard.hears("a leader").await;

    let mut heard = Heard::new(&other, Topic::Proposed).await;
    mine.propose(&reign, &layout).await.expect("proposes");
    heard.hears("a proposal").await;

    let mut heard = Heard::new(&other, Topic::Layout).await;
    mine.commit(&reign, &layout).await.expect("commits");
    heard.hears("a layout").await;

    let mut heard = Heard::new(&other, Topic::Desired).await;
    mine.want(&Desired::default()).await.expect("wants");
    heard.hears("a wish").await;
}

/// Hints of one topic, told apart from the interval at which one reads anyway: what comes at once was a change.
struct Heard(Hints);

impl Heard {
    async fn new(coordination: &Coordination, topic: Topic) -> Self {
        let mut heard = Self(coordination.hints(&[topic]));
        heard.quieten().await;
        heard
    }

    /// Until half an interval passes without a hint.
    async fn quieten(&mut self) {
        let quiet = std::time::Duration::from_millis(300);
        while tokio::time::timeout(quiet, self.0.next()).await.is_ok() {}
    }

    async fn hears(&mut self, what: &str) {
        let at_once = std::time::Duration::from_secs(2);
        assert!(tokio::time::timeout(at_once, self.0.next()).await.is_ok(), "no hint at {what}");
        self.quieten().await;
    }
}
