//! What an operation does where it stands in a lane.

use std::sync::Arc;

use gomera_cluster::operation::{Change, Existing, Operation, Outcome};
use gomera_cluster::position::{Number, Vector};
use gomera_cluster::time::Instant;

use super::judged::Saying;
use crate::lane::Lane;
use crate::ownership::Standing;
use crate::replicas::{Admission, Replicas};
use crate::statistics::Statistics;
use crate::subscriptions::{Limits, Subscriptions};

/// An operation at its place in a lane.
#[derive(Clone, Copy, Debug)]
pub struct Applying<'a> {
    /// Now.
    pub now: Instant,
    /// Where it stands.
    pub number: Number,
    /// What it is.
    pub operation: &'a Arc<Operation>,
}

/// Applies one operation, or keeps it until its slice is here; says what came of it. Of several replicas that say so, the writer of
/// the lane hears the active one, unless that dies before it has said it.
pub fn apply(
    subscriptions: &mut Subscriptions,
    replicas: &mut Replicas,
    lane: &mut Lane,
    applying: Applying<'_>,
    in_force_after: impl FnOnce(Saying) -> Vector,
    statistics: &mut Statistics,
) {
    let Applying { now, number, operation } = applying;
    let outcome = match operation.change.subscription() {
        // Whoever has a slice lists it, so that no list lacks what a dead one had.
        None => subscriptions.apply_to_all(now, operation, &replicas.whole(), || in_force_after(Saying::Answer)),
        Some(key) => {
            // Stamped by the layout that governs the lane here.
            let Some((slice, standing)) = lane.governed().standing(key) else { return };
            match replicas.admit(slice, operation) {
                Admission::Apply => {}
                Admission::Kept => return,
            }
            let (limits, saying) = match standing {
                Standing::Judging => (Limits::Held, Saying::Answer),
                Standing::Keeping => (Limits::Waived, Saying::Opinion),
            };
            let outcome = subscriptions.apply_to_slice(operation, slice, limits, || in_force_after(saying));
            if let (Change::Put(subscription, _), Outcome::LimitExceeded(_)) = (&operation.change, &outcome) {
                lane.refuse(number, subscriptions.state(subscription.key));
            }
            // What was not there because a put before it had no room is there at replicas that put it.
            let wants_existing = matches!(operation.change, Change::Put(_, Existing::Required) | Change::SetPaused(..));
            if wants_existing && matches!(outcome, Outcome::NotFound) && standing == Standing::Judging {
                lane.refuse(number, None);
            }
            let is_expiry = matches!((&operation.change, &outcome), (Change::Expire(_), Outcome::Applied { .. }));
            statistics.expired += u64::from(is_expiry && standing == Standing::Judging);
            outcome
        }
    };
    lane.report(number, outcome);
}
