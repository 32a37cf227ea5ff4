//! What a session has declared, as far as the cluster has confirmed it: to name the subscriptions of a notification, and to
//! declare everything again if the cluster lost the session. Pure.
//!
//! The handle of a subscription that was removed is still explained for what was matched before the removal: until the session
//! has received everything up to the position from which on the removal surely holds.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::position::Vector;
use gomera_model::Attributes;

use super::operation::{Declaration, Operation};

/// Removed handles remembered at most; the oldest go (their late notifications then do not name them).
const RETIRED_MAX: usize = 16_384;

#[derive(Debug)]
struct Known {
    declaration: Declaration,
    /// On the session's clock.
    expires_at: Option<Duration>,
}

/// See the top of this file.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    by_id: BTreeMap<Arc<str>, Known>,
    by_handle: HashMap<u64, Arc<str>>,
    retired: VecDeque<(Vector, u64)>,
    context: Option<Arc<Attributes>>,
}

impl Subscriptions {
    /// The id that a handle stands for.
    pub(crate) fn id(&self, handle: u64) -> Option<&Arc<str>> {
        self.by_handle.get(&handle)
    }

    /// A subscription is in force since `now`, or is changed.
    pub(crate) fn put(&mut self, declaration: Declaration, handle: Option<u64>, now: Duration) {
        if let Some(handle) = handle {
            self.by_handle.insert(handle, declaration.id.clone());
        }
        let expires_at = declaration.expires_after.map(|after| now.saturating_add(after));
        self.by_id.insert(declaration.id.clone(), Known { declaration, expires_at });
    }

    /// A subscription is no more.
    pub(crate) fn remove(&mut self, id: &str, handle: Option<u64>, in_force_after: Vector) {
        self.by_id.remove(id);
        if let Some(handle) = handle {
            self.retired.push_back((in_force_after, handle));
            if self.retired.len() > RETIRED_MAX {
                self.forget_oldest();
            }
        }
    }

    pub(crate) fn set_paused(&mut self, id: &str, paused: bool) {
        if let Some(known) = self.by_id.get_mut(id) {
            known.declaration.paused = paused;
        }
    }

    pub(crate) fn set_context(&mut self, context: Arc<Attributes>) {
        self.context = Some(context);
    }

    /// Forgets handles that nothing can carry any more.
    pub(crate) fn tidy(&mut self, mut received: impl FnMut(&Vector) -> bool) {
        while self.retired.front().is_some_and(|(vector, _)| received(vector)) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, handle)) = self.retired.pop_front() {
            self.by_handle.remove(&handle);
        }
    }

    /// Some of them may be lost: what it takes to have all of them, the context first. Those about which something is under way are left
    /// to that.
    pub(crate) fn declare_again(&mut self, now: Duration, is_under_way: impl Fn(&str) -> bool) -> Vec<Operation> {
        self.by_id.retain(|_, known| known.expires_at.is_none_or(|at| at > now));
        let context = self.context.iter().map(|context| Operation::SetContext(context.clone()));
        let known = self.by_id.values().filter(|known| !is_under_way(&known.declaration.id));
        context.chain(known.map(|known| again(known, now))).collect()
    }

    /// What it takes to have one again.
    pub(crate) fn declare_one_again(&self, id: &str, now: Duration) -> Option<Operation> {
        self.by_id.get(id).map(|known| again(known, now))
    }

    /// The session is a new one: handles mean nothing any more. What it takes to make it what it was: the context first, so
    /// that no filter is ever judged without it, then the subscriptions.
    pub(crate) fn redeclare(&mut self, now: Duration) -> Vec<Operation> {
        self.by_handle.clear();
        self.retired.clear();
        self.by_id.retain(|_, known| known.expires_at.is_none_or(|at| at > now));
        let context = self.context.iter().map(|context| Operation::SetContext(context.clone()));
        let subscriptions = self.by_id.values().map(|known| again(known, now));
        context.chain(subscriptions).collect()
    }
}

fn again(known: &Known, now: Duration) -> Operation {
    let expires_after = known.expires_at.map(|at| at.saturating_sub(now));
    Operation::Subscribe(Declaration { expires_after, ..known.declaration.clone() })
}

#[cfg(test)]
mod tests {
    //! Claims about what a session has declared.

    use gomera_cluster::position::{LaneId, Number, Position};

    use super::*;

    fn declaration(id: &str) -> Declaration {
        Declaration { id: id.into(), filter: "a = 1".into(), paused: false, expires_after: None }
    }

    fn vector(number: u64) -> Vector {
        [Position { lane: LaneId(0), number: Number(number) }].into_iter().collect()
    }

    #[test]
    fn a_removed_subscription_is_named_until_nothing_can_carry_its_handle() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.put(declaration("a"), Some(1), Duration::ZERO);
        subscriptions.remove("a", Some(1), vector(7));
        subscriptions.tidy(|vector| vector == &self::vector(6));
        assert_eq!(subscriptions.id(1).map(|id| &**id), Some("a"));
        subscriptions.tidy(|vector| vector == &self::vector(7));
        assert_eq!(subscriptions.id(1), None);
        assert_eq!(subscriptions.redeclare(Duration::ZERO), []);
    }

    #[test]
    fn a_lost_session_is_declared_again_context_first_with_the_time_that_is_left() {
        let mut subscriptions = Subscriptions::default();
        let lasting = Declaration { expires_after: Some(Duration::from_secs(10)), ..declaration("lasting") };
        let short = Declaration { expires_after: Some(Duration::from_secs(2)), ..declaration("short") };
        subscriptions.put(declaration("for-ever"), Some(1), Duration::ZERO);
        subscriptions.put(lasting.clone(), Some(2), Duration::ZERO);
        subscriptions.put(short, Some(3), Duration::ZERO);
        subscriptions.set_paused("for-ever", true);
        subscriptions.set_context(Arc::new(Attributes::default()));
        let again = subscriptions.redeclare(Duration::from_secs(4));
        assert_eq!(
            again,
            [
                Operation::SetContext(Arc::new(Attributes::default())),
                Operation::Subscribe(Declaration { paused: true, ..declaration("for-ever") }),
                Operation::Subscribe(Declaration { expires_after: Some(Duration::from_secs(6)), ..lasting }),
            ]
        );
        assert_eq!(subscriptions.id(1), None);
    }
}
