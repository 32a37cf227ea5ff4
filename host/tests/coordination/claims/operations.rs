//! The journal of operations.

use std::collections::BTreeSet;

use gomera_cluster::address::Layer;
use gomera_cluster::layout::Epoch;
use gomera_cluster::report::{Clients, Report};
use gomera_coordinator::Registration;
use gomera_coordinator::operations::{OperationId, Outcome, RefusalKind, Request, State};
use gomera_host::coordination::{Acknowledging, Coordination, Membership, RequestError, Topic};
use tokio::sync::watch;

use crate::world::{World, coordinate, node, one_per_layer, soon, until_epoch, until_report};

fn id(text: &str) -> OperationId {
    text.parse().expect("a good id")
}

fn scale(replicas: u16) -> Request {
    Request::Scale { layer: Layer::ConnectionPoint, replicas }
}

/// Waits until an operation has come so far, and tells how far that is.
async fn until_state(coordination: &Coordination, id: &OperationId, right: impl Fn(&State) -> bool) -> State {
    let mut hints = coordination.hints(&[Topic::Operations]);
    let state = async {
        loop {
            hints.next().await;
            let operation = coordination.operation(id).await.expect("reads").expect("it stands there");
            if right(&operation.state) {
                return operation.state;
            }
        }
    };
    soon("an operation", state).await
}

async fn until_outcome(coordination: &Coordination, id: &OperationId) -> Outcome {
    match until_state(coordination, id, |state| matches!(state, State::Ended(_))).await {
        State::Ended(ended) => ended.outcome,
        State::Requested | State::Running(_) => panic!("waited for"),
    }
}

fn refusal(error: RequestError) -> RefusalKind {
    match error {
        RequestError::Refused(refusal) => refusal.kind,
        RequestError::Coordination(error) => panic!("{error}"),
    }
}

/// A node whose machine says what a test tells it to.
struct Node {
    membership: Membership,
    machine: watch::Sender<Vec<Report>>,
}

impl Node {
    /// Its machine has every layout.
    fn start(session: &Coordination, node: Registration) -> Self {
        let report = Report { proposed: Epoch(u64::MAX), epoch: Epoch(u64::MAX), ..Report::default() };
        let (machine, reports) = watch::channel(vec![report]);
        let acknowledging = Acknowledging::by_machines(reports, watch::channel(BTreeSet::new()).1);
        let membership = Membership::start(session.clone(), node, acknowledging).expect("valid");
        Self { membership, machine }
    }

    fn say(&self, clients: Clients) {
        self.machine.send_modify(|reports| reports[0].clients = clients);
    }
}

/// A cluster of one node a layer, and a second connection point that waits.
async fn cluster(session: &Coordination) -> Vec<Node> {
    let mut nodes = one_per_layer(1);
    nodes.push(node(Layer::ConnectionPoint, 9));
    nodes.into_iter().map(|node| Node::start(session, node)).collect()
}

pub async fn an_operation_is_asked_for_once_and_stands_for_one_request(world: World) {
    let session = world.connect().await;
    let error = session.request(&id("early"), &scale(2), 1).await.expect_err("there is no layout");
    assert_eq!(refusal(error), RefusalKind::Unavailable);
    let coordinating = coordinate(&world, 1, "1-1-1-1").await;
    let members = cluster(&session).await;
    until_report(&coordinating, "layout 1 is in force").await;
    // Nobody takes it up: both times it is the same operation.
    coordinating.resign().await;
    let again = world.connect().await;
    session.request(&id("out"), &scale(2), 1).await.expect("written");
    again.request(&id("out"), &scale(2), 7).await.expect("it stands there");
    let operation = session.operation(&id("out")).await.expect("reads").expect("it stands there");
    assert_eq!((operation.requested_at, operation.request), (1, scale(2)));
    let error = again.request(&id("out"), &scale(1), 7).await.expect_err("another request");
    assert_eq!(refusal(error), RefusalKind::AlreadyExists);
    let error = session.ask_to_cancel(&id("nothing")).await.expect_err("there is none");
    assert_eq!(refusal(error), RefusalKind::NotFound);

    let second = coordinate(&world, 2, "1-1-1-1").await;
    assert_eq!(until_outcome(&session, &id("out")).await, Outcome::Succeeded);
    let layout = until_epoch(&members[0].membership, 2).await;
    assert_eq!(layout.machines(Layer::ConnectionPoint).count(), 2);
    assert_eq!(session.desired().await.expect("reads").connection_points, 2);
    // It is over: asked again, it is told and not done.
    session.request(&id("out"), &scale(2), 9).await.expect("it stands there");
    let error = session.ask_to_cancel(&id("out")).await.expect_err("it has ended");
    assert_eq!(refusal(error), RefusalKind::Precondition);
    second.resign().await;
}

pub async fn a_leader_that_dies_while_an_operation_runs_is_continued(world: World) {
    let session = world.connect().await;
    let first = coordinate(&world, 1, "2-1-1-1").await;
    let members = cluster(&session).await;
    until_report(&first, "layout 1 is in force").await;
    session.request(&id("in"), &scale(1), 1).await.expect("written");
    // One is told to leave and has clients.
    until_epoch(&members[0].membership, 2).await;
    let waits = |state: &State| matches!(state, State::Running(running) if !running.progress.awaits.is_empty());
    until_state(&session, &id("in"), waits).await;
    drop(first);
    let second = coordinate(&world, 2, "2-1-1-1").await;
    until_report(&second, "leading in term 2").await;
    until_state(&session, &id("in"), waits).await;
    for member in &members {
        member.say(Clients::None);
    }
    assert_eq!(until_outcome(&session, &id("in")).await, Outcome::Succeeded);
    let layout = until_epoch(&members[0].membership, 3).await;
    assert_eq!(layout.machines(Layer::ConnectionPoint).count(), 1);
}

pub async fn an_operation_is_cancelled_and_undone(world: World) {
    let session = world.connect().await;
    let coordinating = coordinate(&world, 1, "2-1-1-1").await;
    let members = cluster(&session).await;
    until_report(&coordinating, "layout 1 is in force").await;
    session.request(&id("in"), &scale(1), 1).await.expect("written");
    assert_eq!(until_epoch(&members[0].membership, 2).await.leaving.len(), 1);
    session.ask_to_cancel(&id("in")).await.expect("nothing was activated");
    assert_eq!(until_outcome(&session, &id("in")).await, Outcome::Cancelled);
    let layout = until_epoch(&members[0].membership, 3).await;
    assert!(layout.leaving.is_empty() && layout.machines(Layer::ConnectionPoint).count() == 2);
    assert_eq!(session.desired().await.expect("reads").connection_points, 2);
}
