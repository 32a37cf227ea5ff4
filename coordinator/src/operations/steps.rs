//! What a leader does next about the journal. Level-triggered, as all planning: what it finds there, the layout in force, and
//! the next layout that would be proposed say it all, so that whoever leads next goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use gomera_cluster::address::{Incarnation, Layer};
use gomera_cluster::layout::{Layout, Role};
use gomera_cluster::time::Instant;

use super::judge::unborn;
use super::waits::{Waits, missing, silent};
use super::{
    Cancel, Change, ENDED_MAX, Ended, Entry, Operation, OperationId, Outcome, Plan, Progress, Request, Running,
    Standing, State, judge,
};
use crate::plan::Observation;
use crate::scaling::{self, Awaited, Next};
use crate::status::plural;

/// What is done about the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something is written.
    Write(Box<Entry>),
    /// An old one goes: its id and version.
    Forget(OperationId, i32),
    /// Nothing.
    Rest,
}

/// What it is decided by.
pub(crate) struct Stepping<'a> {
    pub(crate) observation: &'a Observation,
    /// The layout in force.
    pub(crate) layout: &'a Layout,
    /// What comes after it.
    pub(crate) next: &'a Next,
    /// Since when the running operation waits for nodes.
    pub(crate) waits: &'a Waits,
    /// How long one may wait for nodes.
    pub(crate) node_wait: Duration,
    pub(crate) now: Instant,
}

impl Stepping<'_> {
    pub(crate) fn step(&self) -> Step {
        let operations = &self.observation.operations;
        let running = operations.iter().find(|(_, standing)| matches!(standing.operation.state, State::Running(_)));
        if let Some((id, standing)) = running
            && let Some(entry) = self.go_on(id, standing)
        {
            return Step::Write(Box::new(entry));
        }
        let requested = operations.iter().filter(|(_, standing)| matches!(standing.operation.state, State::Requested));
        if let Some((id, standing)) = requested.min_by_key(|(id, standing)| (standing.operation.requested_at, *id)) {
            return Step::Write(Box::new(self.take_up(id, standing)));
        }
        let ended = || operations.iter().filter(|(_, standing)| standing.operation.has_ended());
        if ended().count() > ENDED_MAX
            && let Some((id, standing)) = ended().min_by_key(|(_, standing)| standing.operation.number())
        {
            return Step::Forget(id.clone(), standing.version);
        }
        Step::Rest
    }

    /// A request is judged, and begun or refused.
    fn take_up(&self, id: &OperationId, standing: &Standing) -> Entry {
        let last = self.observation.operations.values().map(|standing| standing.operation.number()).max();
        let number = last.unwrap_or(0) + 1;
        let end =
            |outcome| State::Ended(Ended { number, plan: Plan::default(), progress: Progress::default(), outcome });
        let request = &standing.operation.request;
        let (state, wish) = match (standing.operation.cancel, judge(self.observation, Some(id), request)) {
            (Cancel::Asked | Cancel::TooLate, _) => (end(Outcome::Cancelled), None),
            (Cancel::No, Err(refusal)) => (end(Outcome::Refused(refusal)), None),
            (Cancel::No, Ok(plan)) => {
                let wish = match request {
                    Request::Scale { layer, replicas } => Some((*layer, *replicas)),
                    Request::Drain { .. } | Request::Rebalance => None,
                };
                (State::Running(Running { number, plan, progress: Progress::default() }), wish)
            }
        };
        Self::entry(id, standing, Operation { state, ..standing.operation.clone() }, wish)
    }

    /// What has become of the operation that runs, if anything has.
    fn go_on(&self, id: &OperationId, standing: &Standing) -> Option<Entry> {
        let State::Running(running) = &standing.operation.state else { return None };
        let progress = self.progress(running);
        let end = |outcome| {
            let (number, plan, progress) = (running.number, running.plan.clone(), progress.clone());
            State::Ended(Ended { number, plan, progress, outcome })
        };
        let before = &standing.operation;
        let missing = self.missing(&running.plan);
        let is_over = *self.next == Next::Done;
        // Who says nothing for that long is not waited for: everything that was asked has been done.
        let is_told = self.waits.are_told(self.node_wait, self.now);
        if is_over && missing.is_empty() && progress.left == running.plan.leaving.len() && is_told {
            let operation = Operation { state: end(Outcome::Succeeded), ..before.clone() };
            return Some(Self::entry(id, standing, operation, None));
        }
        if before.cancel == Cancel::Asked && !progress.activated {
            // What was wanted before is wanted again; who was to leave is called back by the layout that follows.
            let wish = match (&before.request, running.plan.changes.first()) {
                (Request::Scale { .. }, Some(change)) => Some((change.layer, change.wanted)),
                (Request::Scale { .. } | Request::Drain { .. } | Request::Rebalance, _) => None,
            };
            let operation = Operation { state: end(Outcome::Cancelled), ..before.clone() };
            return Some(Self::entry(id, standing, operation, wish));
        }
        if is_over && !missing.is_empty() && self.waits.are_missed(self.node_wait, self.now) {
            let beside =
                if progress.left == running.plan.leaving.len() { "" } else { " beside those that were to leave" };
            let reason = missing.iter().map(|&(Change { layer, to, .. }, serving)| {
                let why = self.observation.shortages.get(&layer).map(|why| format!(": {why}")).unwrap_or_default();
                let (nodes, wait) = (plural(layer, to.into()), self.node_wait);
                format!("{serving} of {to} {nodes} serve{beside}, and no other came within {wait:?}{why}")
            });
            let outcome = Outcome::Failed { reason: reason.collect::<Vec<_>>().join("; ") };
            let operation = Operation { state: end(outcome), ..before.clone() };
            // Nobody is to be surprised by a node that comes in days later. What was wanted before is still wanted, as after any death.
            let raised = missing.iter().find(|(change, _)| change.to > change.wanted);
            let wish = raised.map(|&(Change { layer, wanted, .. }, serving)| (layer, serving.max(wanted)));
            return Some(Self::entry(id, standing, operation, wish));
        }
        let cancel = if before.cancel == Cancel::Asked { Cancel::TooLate } else { before.cancel };
        // Bytes alone are no reason to write: they change all the time.
        let bytes = running.progress.bytes;
        let progress = if (Progress { bytes, ..progress.clone() }) == running.progress {
            running.progress.clone()
        } else {
            progress
        };
        let state = State::Running(Running { progress, ..running.clone() });
        let operation = Operation { cancel, state, ..before.clone() };
        (operation != *before).then(|| Self::entry(id, standing, operation, None))
    }

    fn progress(&self, running: &Running) -> Progress {
        let plan = &running.plan;
        let members = &self.layout.members;
        let is_known = |node| plan.members.iter().any(|planned| planned.incarnation == node);
        let concerns = |layer| plan.changes.iter().any(|change| change.layer == layer);
        // Who was leaving already when the plan was made is not in it, and has not come in either.
        let newcomers = members.iter().filter(|&(&node, member)| concerns(member.layer) && !is_known(node));
        let newcomers: Vec<_> =
            newcomers.map(|(&node, _)| node).filter(|node| !self.layout.leaving.contains(node)).collect();
        let joined = newcomers.len();
        let left = plan.leaving.iter().filter(|node| !members.contains_key(&node.incarnation)).count();
        let remaining = self.slices_to_move(plan);
        let slices = plan.slices.saturating_sub(remaining).max(running.progress.slices);
        // Connection points and access points hold no slices: they count from the layout that names them.
        let holds_no_slices = plan.changes.iter().any(|change| match change.layer {
            Layer::ConnectionPoint | Layer::AccessPoint => true,
            Layer::Matcher | Layer::ExitPoint => false,
        });
        let has_moved = slices > 0 || self.has_moved(plan, &newcomers);
        let activated = running.progress.activated || left > 0 || has_moved || (holds_no_slices && joined > 0);
        let sent = self.observation.snapshot_bytes().saturating_sub(plan.snapshot_bytes);
        let bytes = sent.max(running.progress.bytes);
        Progress { activated, joined, left, slices, bytes, awaits: self.awaits(plan) }
    }

    /// Whether, since this plan was made, a node that is to leave has given a slice away, or one that came in has got one. Deaths
    /// meanwhile, and others who leave, make more slices move, so that how many remain does not tell.
    fn has_moved(&self, plan: &Plan, newcomers: &[Incarnation]) -> bool {
        let leaves = |node| plan.leaving.iter().any(|leaving| leaving.incarnation == node);
        let placements = self.layout.matcher.iter().chain(&self.layout.session);
        let since = placements.filter(|placement| placement.term.0 > plan.epoch.0);
        since.flat_map(|placement| &placement.replicas).any(|replica| match replica.role {
            Role::Retiring => leaves(replica.holder.node),
            Role::Active => newcomers.contains(&replica.holder.node),
            Role::Standby | Role::Joining => false,
        })
    }

    fn slices_to_move(&self, plan: &Plan) -> usize {
        let to_move = |layer, to: usize| {
            let members = self.layout.members.iter().filter(|(_, member)| member.layer == layer);
            let staying = members.map(|(&node, _)| node);
            let staying = staying.filter(|node| plan.leaving.iter().all(|leaving| leaving.incarnation != *node));
            let staying: BTreeSet<_> = staying.collect();
            let joining = plan.joining.iter().filter(|node| !self.layout.members.contains_key(&node.incarnation));
            let joining = joining.filter_map(|node| self.observation.members.get(&node.incarnation));
            let joining = joining.filter(|node| node.layer == layer).map(|node| (node.incarnation, node.shards));
            let mut joining: Vec<_> = joining.collect();
            joining.extend(unborn(to.saturating_sub(staying.len() + joining.len())));
            scaling::moves(self.layout, layer, &staying, &joining)
        };
        if plan.changes.is_empty() {
            return Layer::ALL.into_iter().map(|layer| to_move(layer, 0)).sum();
        }
        plan.changes.iter().map(|change| to_move(change.layer, change.to.into())).sum()
    }

    fn missing(&self, plan: &Plan) -> Vec<(Change, u16)> {
        missing(plan, self.layout, self.observation)
    }

    fn awaits(&self, plan: &Plan) -> Vec<String> {
        let name =
            |node| self.layout.members.get(&node).map_or_else(|| node.to_string(), |member| member.name.to_string());
        let mut awaits = match self.next {
            Next::Propose(_) => vec![String::from("the next layout")],
            Next::Done => Vec::new(),
            Next::Wait(awaited) => awaited
                .iter()
                .map(|awaited| match awaited {
                    Awaited::Snapshots(layer, count) => format!("{count} snapshots of slices of the {layer} layer"),
                    Awaited::Barriers => String::from("the barrier in every lane"),
                    Awaited::Drained(lane) => format!("the end of lane {lane}"),
                    Awaited::Acted => String::from("every node to act on the layout"),
                    Awaited::Clients(node) => format!("clients to leave {}", name(*node)),
                    Awaited::Node(layer) => format!("a node of the {layer} layer"),
                })
                .collect(),
        };
        awaits.extend(
            silent(plan, self.layout, self.observation).map(|node| format!("{} to say that it has left", node.name)),
        );
        awaits.extend(self.missing(plan).into_iter().map(|(Change { layer, to, .. }, serving)| {
            let why = self.observation.shortages.get(&layer).map(|why| format!(" ({why})")).unwrap_or_default();
            format!("{} more {}{why}", to - serving, plural(layer, usize::from(to - serving)))
        }));
        awaits
    }

    fn entry(id: &OperationId, standing: &Standing, operation: Operation, wish: Option<(Layer, u16)>) -> Entry {
        Entry { id: id.clone(), operation, version: standing.version, wish }
    }
}
