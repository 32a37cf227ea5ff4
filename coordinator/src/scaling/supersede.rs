//! What goes in the place of a layout that was proposed and will not be committed, because a member that has not acknowledged it died.
//!
//! Whom it takes out stays out, and what it fences stays fenced: its members have acted on that. A replica that was to leave its slice has not,
//! and may be the only other one that has everything: it is taken back, and leaves with the layout after.

use gomera_cluster::layout::{Layout, Placement, Role};

use super::climb::insert;
use super::{Goal, Knowledge, Next, next};

/// The next step from `proposal`, which is not to be committed, towards the goal; `committed` is in force.
#[must_use]
pub fn supersede(committed: &Layout, proposal: &Layout, goal: &Goal, knowledge: &Knowledge) -> Next {
    let mut restored = proposal.clone();
    let names = |placement: &Placement| {
        let replicas = placement.replicas.iter();
        replicas.filter(|replica| proposal.names(replica.holder)).cloned().collect::<Vec<_>>()
    };
    let placements = restored.matcher.iter_mut().chain(&mut restored.session);
    for (placement, before) in placements.zip(committed.matcher.iter().chain(&committed.session)) {
        for replica in names(before) {
            let has_all = match replica.role {
                Role::Standby | Role::Retiring => true,
                // Another one decides by the proposal, if this one is not there.
                Role::Active | Role::Joining => false,
            };
            if has_all && placement.role(replica.holder).is_none() {
                insert(placement, replica);
            }
        }
    }
    next(&restored, goal, knowledge)
}
