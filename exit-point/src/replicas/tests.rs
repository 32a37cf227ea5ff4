//! Claims about replicas of session slices, from each of which a message is taken as it would come.

use super::*;
use crate::testing::{EXIT_POINT, layout, machine};
use gomera_cluster::layout::Replica;

const OTHER: Address = machine(21);
const SLICE: SessionSlice = SessionSlice(0);

fn with(epoch: u64, term: u64, replicas: &[(Address, Role)]) -> Layout {
    let mut layout = (*layout(epoch)).clone();
    let member = layout.members[&EXIT_POINT.node].clone();
    layout.members.insert(OTHER.node, member);
    let replicas = replicas.iter().map(|&(holder, role)| Replica { holder, role }).collect();
    layout.session[0] = Placement { term: Term(term), lost: Epoch(0), replicas };
    layout
}

fn follow(replicas: &mut Replicas, layout: &Layout, first: bool) -> Vec<Turn> {
    let mut turns = Vec::new();
    replicas.follow(layout, EXIT_POINT, first, &mut turns);
    turns.into_iter().filter(|&(slice, _)| slice == SLICE).map(|(_, turn)| turn).collect()
}

#[test]
fn in_the_first_layout_of_all_everybody_has_what_there_is() {
    let mut replicas = Replicas::default();
    assert!(follow(&mut replicas, &with(1, 1, &[(EXIT_POINT, Role::Active)]), true).is_empty());
    assert!(replicas.reign(SLICE).is_some_and(|reign| reign.inheritance == Inheritance::Whole));
    let mut replicas = Replicas::default();
    assert!(follow(&mut replicas, &with(1, 1, &[(EXIT_POINT, Role::Standby), (OTHER, Role::Active)]), true).is_empty());
    assert_eq!(*replicas.stance(SLICE), Stance::Following(OTHER));
}

#[test]
fn who_has_not_everything_begins_anew_and_who_has_asks_the_others_first() {
    let mut replicas = Replicas::default();
    follow(&mut replicas, &with(2, 1, &[(EXIT_POINT, Role::Joining), (OTHER, Role::Active)]), true);
    assert_eq!(*replicas.stance(SLICE), Stance::Waiting { epoch: Epoch(2), whole_by: BTreeSet::new() });
    let turns = follow(&mut replicas, &with(3, 2, &[(EXIT_POINT, Role::Active)]), false);
    assert_eq!(turns, [Turn::BeginAnew(Term(2))]);
    replicas.set(SLICE, Stance::Following(OTHER));
    let turns = follow(&mut replicas, &with(4, 3, &[(EXIT_POINT, Role::Active), (OTHER, Role::Retiring)]), false);
    assert_eq!(turns, [Turn::Claim]);
    assert_eq!(*replicas.stance(SLICE), Stance::Heir { term: Term(3), awaited: [OTHER].into() });
    // Another layout before that has changed nothing: whoever handed over and follows stays known.
    let turns = follow(&mut replicas, &with(5, 3, &[(EXIT_POINT, Role::Active), (OTHER, Role::Standby)]), false);
    assert_eq!(turns, [Turn::ClaimOn]);
}

#[test]
fn another_source_means_to_begin_again_but_not_for_who_led() {
    let third = machine(22);
    let mut replicas = Replicas::default();
    replicas.set(SLICE, Stance::Following(OTHER));
    let mut layout = with(3, 2, &[(EXIT_POINT, Role::Standby), (third, Role::Active)]);
    let member = layout.members[&EXIT_POINT.node].clone();
    layout.members.insert(third.node, member);
    assert!(follow(&mut replicas, &layout, false).is_empty());
    let whole_by = BTreeSet::from([OTHER, third]);
    assert_eq!(*replicas.stance(SLICE), Stance::Waiting { epoch: Epoch(3), whole_by });
    assert!(replicas.hears(SLICE, OTHER) && replicas.hears(SLICE, third));
    // It has everything all the same.
    let mut begun = Replicas::default();
    begun.set(SLICE, replicas.stance(SLICE).clone());
    let turns = follow(&mut begun, &with(4, 3, &[(EXIT_POINT, Role::Active), (OTHER, Role::Retiring)]), false);
    assert_eq!(turns, [Turn::Claim]);
    replicas.set(SLICE, leading(Term(1), BTreeSet::new(), Inheritance::Whole));
    let turns = follow(&mut replicas, &layout, false);
    assert_eq!(turns, [Turn::StepDown(third, Term(2))]);
    assert_eq!(*replicas.stance(SLICE), Stance::Following(third));
}

#[test]
fn whoever_takes_over_asks_those_too_who_join_since_they_may_have_everything_by_who_died() {
    let dead = machine(22);
    let mut heir = Replicas::default();
    heir.set(SLICE, Stance::Following(dead));
    let turns = follow(&mut heir, &with(4, 4, &[(EXIT_POINT, Role::Active), (OTHER, Role::Joining)]), false);
    assert_eq!(
        (turns, heir.stance(SLICE)),
        (vec![Turn::Claim], &Stance::Heir { term: Term(4), awaited: [OTHER].into() })
    );
    // Who joins reports that it has everything, and goes on by what the heir decides.
    let mut joins = Replicas::default();
    joins.set(SLICE, Stance::Following(dead));
    follow(&mut joins, &with(4, 4, &[(EXIT_POINT, Role::Joining), (OTHER, Role::Active)]), false);
    assert!(joins.is_whole(SLICE) && joins.hears(SLICE, OTHER));
}
