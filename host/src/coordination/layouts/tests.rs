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

#[tokio::test]
async fn what_is_known_is_written_upon_and_read_again_where_it_is_old() {
    let coordination = Coordination::in_process(&InProcess::new(), "known").await.expect("in this process");
    let reign = lead(&coordination).await;
    let [first, second, third] = [1, 2, 3].map(layout);
    let know = async || coordination.know().await.expect("reads");
    let nothing = know().await;
    coordination.propose_after(&reign, &first, Some(nothing.clone())).await.expect("proposes");
    let proposed = know().await;
    // Of before it was proposed: it stands there by now.
    coordination.propose_after(&reign, &first, Some(nothing.clone())).await.expect("stands there");
    coordination.commit_after(&reign, &first, Some(proposed.clone())).await.expect("commits");
    coordination.commit_after(&reign, &first, Some(proposed.clone())).await.expect("stands there");

    // Whoever does not know that the first is in force proposes the next upon it all the same.
    coordination.propose_after(&reign, &second, Some(proposed.clone())).await.expect("proposes");
    let known = know().await;
    coordination.commit_after(&reign, &second, Some(known.clone())).await.expect("commits");
    assert_eq!(coordination.layout().await.expect("reads").as_ref(), Some(&second));

    // What is older than what stands there is refused, whatever was known.
    for known in [nothing, proposed, known] {
        let refused = coordination.propose_after(&reign, &first, Some(known)).await.expect_err("superseded");
        assert!(matches!(refused, CoordinationError::Superseded { .. }), "{refused}");
    }
    coordination.propose_after(&reign, &third, Some(know().await)).await.expect("proposes");
    assert_eq!(coordination.proposed().await.expect("reads"), Some(third));
}

#[tokio::test]
async fn nothing_is_proposed_upon_a_layout_that_was_exchanged_by_hand() {
    let coordination = Coordination::in_process(&InProcess::new(), "by-hand").await.expect("in this process");
    let reign = lead(&coordination).await;
    let [first, second, fifth] = [1, 2, 5].map(layout);
    coordination.propose(&reign, &first).await.expect("proposes");
    coordination.commit(&reign, &first).await.expect("commits");
    let known = coordination.know().await.expect("reads");
    let path = coordination.paths.layout();
    let by_hand = write(&path, &fifth, known.committed.as_ref());
    coordination.store.apply(&[by_hand]).await.expect("written");
    let refused = coordination.propose_after(&reign, &second, Some(known)).await.expect_err("superseded");
    assert!(matches!(refused, CoordinationError::Superseded { standing: Epoch(5), .. }), "{refused}");
    assert_eq!(coordination.proposed().await.expect("reads"), Some(first), "nothing was written");
}
