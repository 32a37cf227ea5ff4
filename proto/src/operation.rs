//! Operations on the shape of the cluster, between the wire and the journal.

use gomera_coordinator::operations::{
    Cancel, Operation, OperationId, Outcome, Plan, PlannedNode, Progress, Refusal, RefusalKind, Request, State,
};

use crate::topology::{layer, to_layer};
use crate::v1;

/// What `Scale` asks.
///
/// # Errors
/// If no layer is named, or more replicas than anybody could mean.
pub fn scale(layer_named: v1::Layer, replicas: u32) -> Result<Request, Refusal> {
    let invalid = |reason: String| Refusal::new(RefusalKind::Invalid, reason);
    let layer = layer(layer_named).ok_or_else(|| {
        invalid(String::from("no layer is named, must be connection-point, access-point, matcher or exit-point"))
    })?;
    let replicas = u16::try_from(replicas)
        .map_err(|_| invalid(format!("{replicas} nodes of the {layer} layer are asked for, must be at most 1024")))?;
    Ok(Request::Scale { layer, replicas })
}

/// An operation of the journal.
#[must_use]
pub fn to_operation(id: &OperationId, operation: &Operation) -> v1::Operation {
    let nothing = (Plan::default(), Progress::default());
    let (state, reason, (plan, progress)) = match &operation.state {
        State::Requested => (v1::operation::State::Requested, String::new(), nothing),
        State::Running(running) => {
            let parts = (running.plan.clone(), running.progress.clone());
            (v1::operation::State::Running, String::new(), parts)
        }
        State::Ended(ended) => {
            let (state, reason) = match &ended.outcome {
                Outcome::Succeeded => (v1::operation::State::Succeeded, String::new()),
                Outcome::Cancelled => (v1::operation::State::Cancelled, String::new()),
                Outcome::Refused(refusal) => (v1::operation::State::Refused, refusal.reason.clone()),
                Outcome::Failed { reason } => (v1::operation::State::Failed, reason.clone()),
            };
            (state, reason, (ended.plan.clone(), ended.progress.clone()))
        }
    };
    v1::Operation {
        id: id.as_str().to_owned(),
        request: operation.request.to_string(),
        requested_at_milliseconds: operation.requested_at,
        state: state.into(),
        reason,
        cancelled_too_late: operation.cancel == Cancel::TooLate,
        number: operation.number(),
        plan: Some(to_plan(&plan)),
        progress: Some(to_progress(&progress)),
    }
}

/// What a request would do.
#[must_use]
pub fn planned(request: &Request, plan: &Plan) -> v1::Operation {
    v1::Operation {
        request: request.to_string(),
        state: v1::operation::State::Planned.into(),
        plan: Some(to_plan(plan)),
        ..v1::Operation::default()
    }
}

fn to_plan(plan: &Plan) -> v1::OperationPlan {
    let names = |nodes: &[PlannedNode]| nodes.iter().map(|node| node.name.as_ref().to_owned()).collect();
    let changes = plan.changes.iter().map(|change| v1::LayerChange {
        layer: to_layer(change.layer).into(),
        from: change.from.into(),
        to: change.to.into(),
    });
    v1::OperationPlan {
        changes: changes.collect(),
        nodes_joining: names(&plan.joining),
        nodes_leaving: names(&plan.leaving),
        slices: small(plan.slices),
    }
}

fn to_progress(progress: &Progress) -> v1::OperationProgress {
    v1::OperationProgress {
        nodes_joined: small(progress.joined),
        nodes_left: small(progress.left),
        slices_moved: small(progress.slices),
        activated: progress.activated,
        awaits: progress.awaits.clone(),
        bytes_moved: progress.bytes,
    }
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use gomera_cluster::address::Layer;
    use gomera_coordinator::operations::{Change, Ended};

    use super::*;

    #[test]
    fn an_operation_that_is_over_tells_how_it_ended() {
        let request = scale(v1::Layer::Matcher, 3).expect("it makes sense");
        assert_eq!(request, Request::Scale { layer: Layer::Matcher, replicas: 3 });
        let change = Change { layer: Layer::Matcher, from: 1, to: 3, wanted: 1 };
        let plan = Plan { changes: vec![change], slices: 170, ..Plan::default() };
        let outcome = Outcome::Failed { reason: String::from("2 of 3 matchers serve") };
        let ended = Ended { number: 4, plan, progress: Progress { slices: 128, ..Progress::default() }, outcome };
        let operation = Operation { state: State::Ended(ended), ..Operation::requested(request, 17) };
        let wire = to_operation(&"it".parse().expect("a good id"), &operation);
        assert_eq!((wire.state(), wire.reason.as_str()), (v1::operation::State::Failed, "2 of 3 matchers serve"));
        assert_eq!((wire.request.as_str(), wire.number), ("scale matcher 3", 4));
        let (plan, progress) = (wire.plan.expect("there"), wire.progress.expect("there"));
        assert_eq!((plan.slices, progress.slices_moved, plan.changes[0].to), (170, 128, 3));
    }

    #[test]
    fn a_layer_that_is_not_named_and_numbers_beyond_reason_are_refused() {
        assert!(scale(v1::Layer::Unspecified, 1).expect_err("no layer").reason.contains("must be connection-point"));
        assert!(scale(v1::Layer::Matcher, 70_000).expect_err("too many").reason.contains("at most 1024"));
    }
}
