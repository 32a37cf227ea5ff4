//! Replicas of a matcher slice have the same, when nothing is under way: the same subscriptions, by the same versions, with the same
//! handles and filters, and the same contexts of their sessions.

use gomera_cluster::layout::{MatcherSlice, Role, SessionSlice};

use super::{World, bounds};
use crate::node::AnyMachine;
use crate::tally::Transition;
use crate::verdict::{Promise, Violation};

impl World {
    /// Compares the replicas of each slice.
    pub(super) fn compare_replicas(&mut self) {
        let latest = self.latest().clone();
        // A standby may have been believed about what its active replica had no room for and died before it could say so; or whoever
        // has others take such a thing back died before. And slices that move bring with them what they have.
        let history = &self.stage.history;
        let is_checked = history.matcher_stopped.is_none() && history.slices_moved.is_none() && !self.stage.has_fenced;
        let mut checked = self.nodes.iter().filter(|_| is_checked);
        if let Some(violation) = checked.find_map(|node| bounds::at_rest(node, &self.plan).err()) {
            self.stage.violation.get_or_insert(violation);
            return;
        }
        let holds_limits = self.plan.configurations.holds_limits();
        for (number, placement) in (0..).zip(&latest.matcher) {
            let mut first: Option<(String, String)> = None;
            for replica in placement.replicas.iter().filter(|replica| replica.role != Role::Joining) {
                let node = &self.nodes[self.by_address[&replica.holder].0];
                let AnyMachine::Matcher(matcher) = &node.machine else { continue };
                let name = node.name.clone();
                let Some(copies) = matcher.copies(MatcherSlice(number)) else {
                    let what = format!("{name} is {:?} of slice {number} and has not all of it", replica.role);
                    self.violate_retention(what);
                    return;
                };
                let contexts = copies.iter().map(|copy| matcher.context(copy.session));
                let shown = format!("{copies:?} {:?}", contexts.collect::<Vec<_>>());
                match &first {
                    None => first = Some((name, shown)),
                    // What one had no room for another one may have taken.
                    Some(_) if holds_limits => {}
                    Some((other, known)) => {
                        self.stage.tally.add(Transition::ReplicasCompared, u64::from(!copies.is_empty()));
                        if *known != shown {
                            let what = format!("slice {number} is {known} at {other}, {shown} at {name}");
                            self.violate_retention(what);
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Compares what exit points know of sessions; what is in outboxes is acknowledged by now.
    pub(super) fn compare_sessions(&mut self) {
        let latest = self.latest().clone();
        for (number, placement) in (0..).zip(&latest.session) {
            let mut first: Option<(String, String)> = None;
            for replica in placement.replicas.iter().filter(|replica| replica.role != Role::Joining) {
                let node = &self.nodes[self.by_address[&replica.holder].0];
                let AnyMachine::ExitPoint(exit_point) = &node.machine else { continue };
                let name = node.name.clone();
                let Some(copies) = exit_point.copies(SessionSlice(number)) else {
                    let what = format!("{name} is {:?} of sessions {number} and has not all of them", replica.role);
                    return self.violate_retention(what);
                };
                let shown = format!("{copies:?}");
                match &first {
                    None => first = Some((name, shown)),
                    Some((other, known)) => {
                        self.stage.tally.add(Transition::SessionsCompared, u64::from(!copies.is_empty()));
                        if *known != shown {
                            let what = format!("sessions {number} are {known} at {other}, {shown} at {name}");
                            return self.violate_retention(what);
                        }
                    }
                }
            }
        }
    }

    fn violate_retention(&mut self, what: String) {
        self.stage.violation.get_or_insert(Violation { promise: Promise::Delivery, what, subjects: Vec::new() });
    }
}
