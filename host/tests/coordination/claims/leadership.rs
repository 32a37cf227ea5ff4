//! Who leads, and that nobody else writes.

use gomera_cluster::identity::Term;
use gomera_cluster::layout::Epoch;
use gomera_host::coordination::{Acknowledging, Coordination, CoordinationError, Membership, Reign, Topic};

use crate::world::{World, candidate, layout_of, one_per_layer, soon, until, until_epoch};

/// Stands until it leads.
pub async fn lead(coordination: &Coordination, incarnation: u64) -> Reign {
    let mut hints = coordination.hints(&[Topic::Leadership]);
    soon("leads", async {
        loop {
            match coordination.stand(&candidate(incarnation)).await {
                Ok(Some(reign)) => return reign,
                // Behind another one, or between two sessions.
                Ok(None) | Err(CoordinationError::Unavailable { .. }) => hints.next().await,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

pub async fn one_candidate_leads_and_the_next_begins_a_higher_term(world: World) {
    let (first, second) = (world.connect().await, world.connect().await);
    assert_eq!(first.leader().await.expect("reads"), None);
    let reign = lead(&first, 1).await;
    assert_eq!(reign.term, Term(1));
    assert_eq!(second.stand(&candidate(2)).await.expect("stands"), None);
    // Standing again gives the same reign.
    assert_eq!(first.stand(&candidate(1)).await.expect("stands"), Some(reign.clone()));
    assert!(first.reigns(&reign).await.expect("reads"));
    let leader = second.leader().await.expect("reads").expect("there is one");
    assert_eq!((leader.name.as_str(), leader.term), ("coordinator", Term(1)));

    first.resign(&candidate(1)).await.expect("resigns");
    let next = lead(&second, 2).await;
    assert_eq!(next.term, Term(2));
    assert!(!first.reigns(&reign).await.expect("reads"));
    assert!(second.reigns(&next).await.expect("reads"));
}

pub async fn a_newer_leader_fences_the_older_one(world: World) {
    let (older, newer) = (world.connect().await, world.connect().await);
    let layout = layout_of(&one_per_layer(1), 1);
    let reign = lead(&older, 1).await;
    older.propose(&reign, &layout).await.expect("proposes");
    // The older leader does not notice that it has been replaced: it goes on with the reign it had.
    older.resign(&candidate(1)).await.expect("resigns");
    let next = lead(&newer, 2).await;

    let another = layout_of(&one_per_layer(11), 2);
    let refused = older.propose(&reign, &another).await.expect_err("fenced");
    assert!(matches!(refused, CoordinationError::Fenced { term: 1 }), "{refused}");
    let refused = older.commit(&reign, &layout).await.expect_err("fenced");
    assert!(matches!(refused, CoordinationError::Fenced { term: 1 }), "{refused}");
    assert_eq!(newer.layout().await.expect("reads"), None);
    assert_eq!(newer.proposed().await.expect("reads"), Some(layout.clone()));

    newer.commit(&next, &layout).await.expect("commits");
    assert_eq!(older.layout().await.expect("reads"), Some(layout));
}

pub async fn an_epoch_has_one_content(world: World) {
    let coordination = world.connect().await;
    let reign = lead(&coordination, 1).await;
    let (layout, other) = (layout_of(&one_per_layer(1), 1), layout_of(&one_per_layer(11), 1));
    let superseded = |outcome: Result<(), CoordinationError>, standing: u64| {
        let error = outcome.expect_err("superseded");
        assert!(
            matches!(error, CoordinationError::Superseded { standing: Epoch(epoch), .. } if epoch == standing),
            "{error}"
        );
    };
    superseded(coordination.commit(&reign, &layout).await, 0);
    coordination.propose(&reign, &layout).await.expect("proposes");
    coordination.propose(&reign, &layout).await.expect("stands there");
    superseded(coordination.propose(&reign, &other).await, 1);
    superseded(coordination.commit(&reign, &other).await, 1);
    coordination.commit(&reign, &layout).await.expect("commits");
    coordination.commit(&reign, &layout).await.expect("is in force");
    superseded(coordination.propose(&reign, &other).await, 1);
    assert_eq!(coordination.layout().await.expect("reads"), Some(layout));
    let next = layout_of(&one_per_layer(11), 2);
    coordination.propose(&reign, &next).await.expect("proposes");
    coordination.commit(&reign, &next).await.expect("commits");
    assert_eq!(coordination.layout().await.expect("reads"), Some(next));
}

pub async fn who_has_read_a_proposal_needs_no_answer_to_put_it_into_force(mut world: World) {
    let coordination = world.connect().await;
    let reign = lead(&coordination, 1).await;
    let mut members = one_per_layer(1);
    for epoch in 1..=2 {
        let layout = layout_of(&members, epoch);
        let node = members.pop().expect("a node");
        let membership = Membership::start(world.connect().await, node, Acknowledging::AtOnce).expect("valid");
        coordination.propose(&reign, &layout).await.expect("proposes");
        until("a proposal", &mut membership.proposed(), |read| read.as_deref() == Some(&layout)).await;
        soon("acknowledges", async {
            while coordination.acknowledgements().await.expect("reads").is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        coordination.commit(&reign, &layout).await.expect("commits");
        // Whatever is asked now is not answered: the event was on its way.
        world.break_service();
        assert_eq!(*until_epoch(&membership, epoch).await, layout);
        world.repair_service();
        members = one_per_layer(1);
    }
}
