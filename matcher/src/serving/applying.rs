//! What an operation does where it stands in a lane.

use std::sync::Arc;

use gomera_cluster::identity::SubscriptionKey;
use gomera_cluster::message::snapshot::SubscriptionState;
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
/// the lane hears the active one, unless that dies before it has said it. Gives what others have to be told with the tail of the lane,
/// should it be fenced.
pub fn apply(
    subscriptions: &mut Subscriptions,
    replicas: &mut Replicas,
    lane: &mut Lane,
    applying: Applying<'_>,
    in_force_after: impl FnOnce(Saying) -> Vector,
    statistics: &mut Statistics,
) -> Option<Arc<Operation>> {
    let Applying { now, number, operation } = applying;
    let mut take_back = None;
    let outcome = match operation.change.subscription() {
        // Who judges by a slice lists it: standbys may have what had no room where it counts. If one dies that was asked, it is asked again.
        None => {
            replicas.hear(operation);
            let judged = &lane.governed().active;
            subscriptions.apply_to_all(now, operation, judged, || in_force_after(Saying::Answer))
        }
        Some(key) => {
            // Stamped by the layout that governs the lane here.
            let (slice, standing) = lane.governed().standing(key)?;
            match (replicas.admit(slice, operation, subscriptions), standing) {
                (Admission::Apply, Standing::Judging | Standing::Keeping) => {}
                (Admission::Kept, Standing::Keeping) => return None,
                // On other lanes this shard has left the slice since, and joins it anew. What it had stays until no lane is judged by it:
                // it alone can say what comes of an operation on a lane that is late, and publications behind that are judged by it.
                (Admission::Kept, Standing::Judging) => {}
            }
            let (limits, saying) = match standing {
                Standing::Judging => (Limits::Held, Saying::Answer),
                Standing::Keeping => (Limits::Waived, Saying::Opinion),
            };
            let outcome = subscriptions.apply_to_slice(operation, slice, limits, || in_force_after(saying));
            if standing == Standing::Judging
                && let Some(before) = refused(operation, key, &outcome, subscriptions)
            {
                if !matches!(outcome, Outcome::LimitExceeded(_)) {
                    let change = Change::Restore(key, before.clone().map(Box::new));
                    take_back = Some(Arc::new(Operation { change, ..(**operation).clone() }));
                }
                lane.refuse(number, before);
            }
            let is_expiry = matches!((&operation.change, &outcome), (Change::Expire(_), Outcome::Applied { .. }));
            statistics.expired += u64::from(is_expiry && standing == Standing::Judging);
            outcome
        }
    };
    lane.report(number, outcome);
    take_back
}

/// What other replicas have to have instead, which may have applied what this one did not: they had room; or they have, or had when they
/// came to it, what came on another lane that is not as far here.
fn refused(
    operation: &Operation,
    key: SubscriptionKey,
    outcome: &Outcome,
    subscriptions: &mut Subscriptions,
) -> Option<Option<SubscriptionState>> {
    match (&operation.change, outcome) {
        (Change::Put(..), Outcome::LimitExceeded(_) | Outcome::Superseded) => Some(subscriptions.state(key)),
        (Change::Put(_, Existing::Required) | Change::SetPaused(..), Outcome::NotFound) => Some(None),
        _ => None,
    }
}
