//! The contract of coordination, on both back-ends: each claim is one body, run over the in-process service and over a real
//! ZooKeeper. What only a real service can do to us (not being there, dying, holding nonsense) is claimed in `real`.

mod claims;
mod partition;
mod real;
mod world;

/// The claims over the in-process service.
mod in_process {
    use super::claims::{handover, leadership, life, operations, standing, wishes};
    use super::world::World;

    #[tokio::test]
    async fn a_registration_is_seen_and_goes_with_its_session() {
        standing::a_registration_is_seen_and_goes_with_its_session(World::in_process()).await;
    }

    #[tokio::test]
    async fn a_registration_of_a_former_session_is_replaced() {
        standing::a_registration_of_a_former_session_is_replaced(World::in_process()).await;
    }

    #[tokio::test]
    async fn an_acknowledgement_follows_the_last_one_and_stands_whoever_interferes() {
        standing::an_acknowledgement_follows_the_last_one_and_stands_whoever_interferes(World::in_process()).await;
    }

    #[tokio::test]
    async fn a_node_that_leaves_takes_everything_with_it() {
        standing::a_node_that_leaves_takes_everything_with_it(World::in_process()).await;
    }

    #[tokio::test]
    async fn every_topic_hints_at_its_changes() {
        standing::every_topic_hints_at_its_changes(World::in_process()).await;
    }

    #[tokio::test]
    async fn other_settings_are_refused_by_an_error_that_names_both() {
        wishes::other_settings_are_refused_by_an_error_that_names_both(World::in_process()).await;
    }

    #[tokio::test]
    async fn a_first_wish_does_not_override_an_earlier_one() {
        wishes::a_first_wish_does_not_override_an_earlier_one(World::in_process()).await;
    }

    #[tokio::test]
    async fn one_candidate_leads_and_the_next_begins_a_higher_term() {
        leadership::one_candidate_leads_and_the_next_begins_a_higher_term(World::in_process()).await;
    }

    #[tokio::test]
    async fn a_newer_leader_fences_the_older_one() {
        leadership::a_newer_leader_fences_the_older_one(World::in_process()).await;
    }

    #[tokio::test]
    async fn an_epoch_has_one_content() {
        leadership::an_epoch_has_one_content(World::in_process()).await;
    }

    #[tokio::test]
    async fn a_leader_that_dies_in_any_phase_is_continued() {
        handover::a_leader_that_dies_in_any_phase_is_continued(World::in_process).await;
    }

    #[tokio::test]
    async fn a_second_coordinator_takes_over_and_changes_nothing() {
        handover::a_second_coordinator_takes_over_and_changes_nothing(World::in_process()).await;
    }

    #[tokio::test]
    async fn a_new_leader_tells_where_things_stand_however_often_they_change() {
        handover::a_new_leader_tells_where_things_stand_however_often_they_change(World::in_process()).await;
    }

    #[tokio::test]
    async fn a_leader_that_answers_no_more_is_unseated_at_once() {
        handover::a_leader_that_answers_no_more_is_unseated_at_once(World::in_process()).await;
    }

    #[tokio::test]
    async fn a_leader_that_never_answered_is_not_unseated() {
        handover::a_leader_that_never_answered_is_not_unseated(World::in_process()).await;
    }

    #[tokio::test]
    async fn a_leader_whose_session_expires_leads_again_in_a_higher_term() {
        handover::a_leader_whose_session_expires_leads_again_in_a_higher_term(World::in_process()).await;
    }

    #[tokio::test]
    async fn an_operation_is_asked_for_once_and_stands_for_one_request() {
        operations::an_operation_is_asked_for_once_and_stands_for_one_request(World::in_process()).await;
    }

    #[tokio::test]
    async fn a_leader_that_dies_while_an_operation_runs_is_continued() {
        operations::a_leader_that_dies_while_an_operation_runs_is_continued(World::in_process()).await;
    }

    #[tokio::test]
    async fn an_operation_is_cancelled_and_undone() {
        operations::an_operation_is_cancelled_and_undone(World::in_process()).await;
    }

    #[tokio::test]
    async fn a_cluster_of_many_nodes_comes_up() {
        life::a_cluster_of_many_nodes_comes_up(World::in_process()).await;
    }

    #[tokio::test]
    async fn a_node_whose_session_expires_stays_who_it_is() {
        life::a_node_whose_session_expires_stays_who_it_is(World::in_process()).await;
    }

    #[tokio::test]
    async fn a_cluster_that_starts_again_gets_a_layout_that_continues_the_former_one() {
        life::a_cluster_that_starts_again_gets_a_layout_that_continues_the_former_one(World::in_process()).await;
    }

    #[tokio::test]
    async fn while_the_service_is_away_everybody_goes_on() {
        life::while_the_service_is_away_everybody_goes_on(World::in_process()).await;
    }

    /// A real one cannot be broken between an event and what it makes somebody ask.
    #[tokio::test]
    async fn who_has_read_a_proposal_needs_no_answer_to_put_it_into_force() {
        leadership::who_has_read_a_proposal_needs_no_answer_to_put_it_into_force(World::in_process()).await;
    }
}

/// The claims over a real ZooKeeper.
mod zookeeper {
    use super::claims::{handover, leadership, life, operations, standing, wishes};
    use super::world::World;

    #[tokio::test]
    async fn a_registration_is_seen_and_goes_with_its_session() {
        standing::a_registration_is_seen_and_goes_with_its_session(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn a_registration_of_a_former_session_is_replaced() {
        standing::a_registration_of_a_former_session_is_replaced(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn an_acknowledgement_follows_the_last_one_and_stands_whoever_interferes() {
        standing::an_acknowledgement_follows_the_last_one_and_stands_whoever_interferes(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn a_node_that_leaves_takes_everything_with_it() {
        standing::a_node_that_leaves_takes_everything_with_it(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn every_topic_hints_at_its_changes() {
        standing::every_topic_hints_at_its_changes(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn other_settings_are_refused_by_an_error_that_names_both() {
        wishes::other_settings_are_refused_by_an_error_that_names_both(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn a_first_wish_does_not_override_an_earlier_one() {
        wishes::a_first_wish_does_not_override_an_earlier_one(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn one_candidate_leads_and_the_next_begins_a_higher_term() {
        leadership::one_candidate_leads_and_the_next_begins_a_higher_term(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn a_newer_leader_fences_the_older_one() {
        leadership::a_newer_leader_fences_the_older_one(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn an_epoch_has_one_content() {
        leadership::an_epoch_has_one_content(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn a_leader_that_dies_in_any_phase_is_continued() {
        handover::a_leader_that_dies_in_any_phase_is_continued(World::zookeeper).await;
    }

    #[tokio::test]
    async fn a_second_coordinator_takes_over_and_changes_nothing() {
        handover::a_second_coordinator_takes_over_and_changes_nothing(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn a_new_leader_tells_where_things_stand_however_often_they_change() {
        handover::a_new_leader_tells_where_things_stand_however_often_they_change(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn a_leader_that_answers_no_more_is_unseated_at_once() {
        handover::a_leader_that_answers_no_more_is_unseated_at_once(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn a_leader_that_never_answered_is_not_unseated() {
        handover::a_leader_that_never_answered_is_not_unseated(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn a_leader_whose_session_expires_leads_again_in_a_higher_term() {
        handover::a_leader_whose_session_expires_leads_again_in_a_higher_term(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn an_operation_is_asked_for_once_and_stands_for_one_request() {
        operations::an_operation_is_asked_for_once_and_stands_for_one_request(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn a_leader_that_dies_while_an_operation_runs_is_continued() {
        operations::a_leader_that_dies_while_an_operation_runs_is_continued(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn an_operation_is_cancelled_and_undone() {
        operations::an_operation_is_cancelled_and_undone(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn a_cluster_of_many_nodes_comes_up() {
        life::a_cluster_of_many_nodes_comes_up(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn a_node_whose_session_expires_stays_who_it_is() {
        life::a_node_whose_session_expires_stays_who_it_is(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn a_cluster_that_starts_again_gets_a_layout_that_continues_the_former_one() {
        life::a_cluster_that_starts_again_gets_a_layout_that_continues_the_former_one(World::zookeeper()).await;
    }

    #[tokio::test]
    async fn while_the_service_is_away_everybody_goes_on() {
        life::while_the_service_is_away_everybody_goes_on(World::zookeeper_of_its_own(1)).await;
    }

    #[tokio::test]
    async fn an_ensemble_that_loses_a_server_serves_on() {
        life::while_the_service_is_away_everybody_goes_on(World::zookeeper_of_its_own(3)).await;
    }
}
