//! Claims about writing upon what is known.

use std::collections::BTreeMap;

use gomera_cluster::address::{Incarnation, Layer};
use gomera_cluster::layout::{Epoch, Layout, Settings};
use gomera_cluster::position::LaneId;
use gomera_coordinator::{NodeState, Registration};

use super::super::{Candidate, InProcess};
use super::*;

fn layout(epoch: u64) -> Layout {
    let nodes = Layer::ALL.into_iter().zip(1..).map(|(layer, incarnation)| Registration {
        layer,
        name: Arc::from(layer.name()),
        incarnation: Incarnation(incarnation),
        link_address: Arc::from("in-process:1"),
        client_address: Arc::from(if layer == Layer::ConnectionPoint { "127.0.0.1:7000" } else { "" }),
        shards: 1,
        state: NodeState::Up,
    });
    let members = nodes.map(|node| (node.incarnation, node.to_member())).collect::<BTreeMap<_, _>>();
    let settings = Settings { matcher_slices: 4, session_slices: 4, replication: 1 };
    Layout::initial(settings, members, 1, Epoch(epoch), LaneId(1))
}

async fn lead(coordination: &Coordination) -> Reign {
    let candidate = Candidate { name: Arc::from("coordinator"), incarnation: Incarnation(9), address: None };
    loop {
        if let Some(reign) = coordination.stand(&candidate).await.expect("stands") {
            return reign;
        }
    }
}

/// A leader, and this layout in force after as many before it that its znodes have versions.
async fn third(cluster: &str) -> (Coordination, Reign) {
    let coordination = Coordination::in_process(&InProcess::new(), cluster).await.expect("in this process");
    let reign = lead(&coordination).await;
    for epoch in 1..=3 {
        coordination.propose(&reign, &layout(epoch)).await.expect("proposes");
        coordination.commit(&reign, &layout(epoch)).await.expect("commits");
    }
    (coordination, reign)
}

async fn exchange(coordination: &Coordination, operations: &[Operation]) {
    coordination.store.apply(operations).await.expect("written");
}

fn anew(path: &str, version: i32, epoch: u64) -> [Operation; 2] {
    let (path, bytes) = (path.to_owned(), document::encode(&layout(epoch)));
    [Operation::Delete { path: path.clone(), version }, Operation::Create { path, bytes, kind: Kind::Persistent }]
}

fn is_superseded(outcome: Result<(), CoordinationError>, by: u64) {
    let refused = outcome.expect_err("superseded");
    assert!(
        matches!(refused, CoordinationError::Superseded { standing: Epoch(epoch), .. } if epoch == by),
        "{refused}"
    );
}

#[tokio::test]
async fn what_is_known_is_written_upon_and_read_again_where_it_is_old() {
    let (coordination, reign) = third("known").await;
    let know = async || coordination.know().await.expect("reads");
    let old = know().await;
    coordination.propose_after(&reign, &layout(4), Some(old.clone())).await.expect("proposes");
    // Of before it was proposed: it stands there by now.
    coordination.propose_after(&reign, &layout(4), Some(old.clone())).await.expect("stands there");
    let proposed = know().await;
    coordination.commit_after(&reign, &layout(4), Some(proposed.clone())).await.expect("commits");
    coordination.commit_after(&reign, &layout(4), Some(proposed.clone())).await.expect("stands there");
    assert_eq!(coordination.layout().await.expect("reads"), Some(layout(4)));
    // Whoever does not know what is in force proposes upon it all the same, having read it.
    coordination.propose_after(&reign, &layout(5), Some(proposed.clone())).await.expect("proposes");
    coordination.commit_after(&reign, &layout(5), Some(know().await)).await.expect("commits");
    for known in [old, proposed, know().await] {
        is_superseded(coordination.propose_after(&reign, &layout(3), Some(known)).await, 5);
    }
}

#[tokio::test]
async fn former_commits_go_although_what_was_known_is_old() {
    let (coordination, reign) = third("former").await;
    coordination.propose(&reign, &layout(4)).await.expect("proposes");
    let known = coordination.know().await.expect("reads");
    let path = coordination.paths.proposed();
    exchange(&coordination, &[write(&path, &layout(4), known.proposed.as_ref())]).await;
    coordination.commit_after(&reign, &layout(4), Some(known)).await.expect("commits");
    assert_eq!(coordination.store.children(&coordination.paths.layout()).await.expect("reads").len(), 1);
}

#[tokio::test]
async fn nothing_is_written_upon_a_layout_that_was_exchanged_by_hand() {
    let (coordination, reign) = third("by-hand").await;
    let (in_force, path) = (coordination.paths.layout(), coordination.paths.proposed());
    let known = coordination.know().await.expect("reads");
    exchange(&coordination, &[write(&in_force, &layout(9), known.committed.as_ref())]).await;
    is_superseded(coordination.propose_after(&reign, &layout(4), Some(known)).await, 9);
    assert_eq!(coordination.proposed().await.expect("reads"), Some(layout(3)), "nothing was written");

    // Made anew, where versions begin anew as well.
    let coordination = Coordination::in_process(&InProcess::new(), "anew").await.expect("in this process");
    let reign = lead(&coordination).await;
    let nothing = coordination.know().await.expect("reads");
    coordination.propose(&reign, &layout(1)).await.expect("proposes");
    let known = coordination.know().await.expect("reads");
    exchange(&coordination, &anew(&path.replace("by-hand", "anew"), 0, 5)).await;
    is_superseded(coordination.commit_after(&reign, &layout(1), Some(known)).await, 5);
    is_superseded(coordination.propose_after(&reign, &layout(4), Some(nothing)).await, 5);
}
