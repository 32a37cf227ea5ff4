//! `gomera scale`, `drain`, `rebalance` and `operations`: asking for another shape of the cluster, and watching it come.

use std::time::Duration;

use clap::Args;
use gomera_client::{Earnest, Layer, Operation, OperationState, Shape, ShapeError, ShapeRequest};
use serde::Serialize;

use crate::endpoint::Endpoints;
use crate::exit::{Failure, Outcome, Reason};
use crate::output;

/// A connection point may itself leave while somebody waits for the end of an operation: another one is asked then, so often.
const RETRIES_MAX: u32 = 20;
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// What all of them take.
#[derive(Debug, Args)]
pub struct Asking {
    #[command(flatten)]
    endpoints: Endpoints,
    /// Names the operation, so that asking again is asking once; one is made up otherwise
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Wait for the end, telling how far it has come
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// One JSON object a line: `id request state plan progress …`
    #[arg(long)]
    json: bool,
}

/// `gomera scale`
#[derive(Debug, Args)]
pub struct Scale {
    /// connection-point, access-point, matcher or exit-point
    #[arg(value_name = "LAYER", value_parser = layer)]
    layer: Layer,
    /// How many nodes it is to have
    #[arg(value_name = "NODES")]
    replicas: u32,
    #[command(flatten)]
    asking: Asking,
}

/// `gomera drain`
#[derive(Debug, Args)]
pub struct Drain {
    /// Its name as `gomera status` shows it, or its incarnation
    #[arg(value_name = "NODE")]
    node: String,
    #[command(flatten)]
    asking: Asking,
}

/// `gomera rebalance`
#[derive(Debug, Args)]
pub struct Rebalance {
    #[command(flatten)]
    asking: Asking,
}

/// `gomera operations`
#[derive(Debug, Args)]
pub struct Operations {
    #[command(flatten)]
    endpoints: Endpoints,
    /// Go on telling what changes
    #[arg(long)]
    watch: bool,
    /// Cancel this one, which must not have activated anything
    #[arg(long, value_name = "ID", conflicts_with = "watch")]
    cancel: Option<String>,
    /// One JSON object a line: `id request state plan progress …`
    #[arg(long)]
    json: bool,
}

fn layer(text: &str) -> Result<Layer, String> {
    match text.trim_end_matches('s') {
        "connection-point" => Ok(Layer::ConnectionPoint),
        "access-point" => Ok(Layer::AccessPoint),
        "matcher" => Ok(Layer::Matcher),
        "exit-point" => Ok(Layer::ExitPoint),
        _ => Err(String::from("must be connection-point, access-point, matcher or exit-point")),
    }
}

/// Runs `gomera scale`.
pub async fn scale(scale: Scale) -> Outcome {
    ask(ShapeRequest::Scale { layer: scale.layer, replicas: scale.replicas }, scale.asking).await
}

/// Runs `gomera drain`.
pub async fn drain(drain: Drain) -> Outcome {
    ask(ShapeRequest::Drain { node: drain.node }, drain.asking).await
}

/// Runs `gomera rebalance`.
pub async fn rebalance(rebalance: Rebalance) -> Outcome {
    ask(ShapeRequest::Rebalance, rebalance.asking).await
}

/// Runs `gomera operations`.
pub async fn operations(operations: Operations) -> Outcome {
    let mut shape = connect(&operations.endpoints).await?;
    if let Some(id) = &operations.cancel {
        let operation = shape.cancel(id).await.map_err(failure)?;
        return tell(&operation, operations.json);
    }
    let mut watched = shape.watch("").await.map_err(failure)?;
    let mut is_first = true;
    while let Some(changed) = watched.next().await.map_err(failure)? {
        if is_first && changed.is_empty() && !operations.json {
            output::line("there were no operations")?;
        }
        is_first = false;
        for operation in &changed {
            tell(operation, operations.json)?;
        }
        output::flush()?;
        if !operations.watch {
            return Ok(());
        }
    }
    Err(Failure::say(Reason::Unavailable, "the connection point has ended"))
}

async fn connect(endpoints: &Endpoints) -> Outcome<Shape> {
    endpoints.connect().await?.shape().await.map_err(failure)
}

async fn ask(request: ShapeRequest, asking: Asking) -> Outcome {
    let earnest = if asking.dry_run { Earnest::DryRun } else { Earnest::Done };
    let id = asking.request_id.unwrap_or_else(|| format!("cli-{:016x}", rand::random::<u64>()));
    let mut shape = connect(&asking.endpoints).await?;
    let operation = shape.ask(&id, request, earnest).await.map_err(failure)?;
    tell(&operation, asking.json)?;
    output::flush()?;
    if !asking.wait || is_over(&operation) {
        return verdict(&operation);
    }
    wait(&asking.endpoints, &id, operation, asking.json).await
}

/// Tells each step until the end, also when the connection point that is asked goes.
async fn wait(endpoints: &Endpoints, id: &str, mut known: Operation, json: bool) -> Outcome {
    let mut retries = 0;
    let mut endpoints = endpoints.clone();
    loop {
        endpoints = endpoints.with_others().await;
        let outcome = follow(&endpoints, id, &mut known, json).await;
        match outcome {
            Ok(true) => return verdict(&known),
            Ok(false) | Err(ShapeError::Unavailable(_)) if retries < RETRIES_MAX => {
                retries += 1;
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Ok(false) => return Err(Failure::say(Reason::Unavailable, "the connection point has ended")),
            Err(error) => return Err(failure(error)),
        }
    }
}

/// Whether it came to its end.
async fn follow(endpoints: &Endpoints, id: &str, known: &mut Operation, json: bool) -> Result<bool, ShapeError> {
    let unavailable = |failure: Failure| ShapeError::Unavailable(failure.words());
    let client = endpoints.connect().await.map_err(unavailable)?;
    let mut watched = client.shape().await?.watch(id).await?;
    while let Some(changed) = watched.next().await? {
        for operation in changed {
            if operation != *known {
                // A reader that is gone does not keep the operation from its end.
                let _gone = tell(&operation, json).and_then(|()| output::flush());
                *known = operation;
            }
        }
        if is_over(known) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_over(operation: &Operation) -> bool {
    match operation.state() {
        OperationState::Unspecified | OperationState::Requested | OperationState::Running => false,
        OperationState::Succeeded
        | OperationState::Cancelled
        | OperationState::Refused
        | OperationState::Failed
        | OperationState::Planned => true,
    }
}

/// How the command ends for it.
fn verdict(operation: &Operation) -> Outcome {
    match operation.state() {
        OperationState::Cancelled => Err(Failure::say(Reason::NotNow, "the operation was cancelled")),
        OperationState::Refused | OperationState::Failed => Err(Failure::say(Reason::NotNow, operation.reason.clone())),
        OperationState::Unspecified
        | OperationState::Requested
        | OperationState::Running
        | OperationState::Succeeded
        | OperationState::Planned => Ok(()),
    }
}

fn failure(error: ShapeError) -> Failure {
    use tonic::Code;
    let reason = match &error {
        ShapeError::Unavailable(_) => Reason::Unavailable,
        ShapeError::Refused { code, .. } => match code {
            Code::InvalidArgument | Code::NotFound | Code::AlreadyExists => Reason::Usage,
            Code::FailedPrecondition | Code::ResourceExhausted | Code::Aborted => Reason::NotNow,
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::PermissionDenied
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
            | Code::Unauthenticated => Reason::Unavailable,
        },
    };
    Failure::new(reason, error)
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    id: &'a str,
    request: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    layers: Vec<LayerLine>,
    joining: &'a [String],
    leaving: &'a [String],
    slices: u32,
    nodes_joined: u32,
    nodes_left: u32,
    slices_moved: u32,
    bytes_moved: u64,
    activated: bool,
    awaits: &'a [String],
}

#[derive(Debug, Serialize)]
struct LayerLine {
    layer: &'static str,
    from: u32,
    to: u32,
}

const fn state(operation: OperationState) -> &'static str {
    match operation {
        OperationState::Unspecified => "unknown",
        OperationState::Requested => "requested",
        OperationState::Running => "running",
        OperationState::Succeeded => "succeeded",
        OperationState::Cancelled => "cancelled",
        OperationState::Refused => "refused",
        OperationState::Failed => "failed",
        OperationState::Planned => "planned",
    }
}

const fn layer_name(layer: Layer) -> &'static str {
    match layer {
        Layer::Unspecified => "unknown",
        Layer::ConnectionPoint => "connection-point",
        Layer::AccessPoint => "access-point",
        Layer::Matcher => "matcher",
        Layer::ExitPoint => "exit-point",
    }
}

/// One operation, on one line.
fn tell(operation: &Operation, json: bool) -> Outcome {
    let plan = operation.plan.clone().unwrap_or_default();
    let progress = operation.progress.clone().unwrap_or_default();
    let layers = plan.changes.iter().map(|change| LayerLine {
        layer: layer_name(change.layer()),
        from: change.from,
        to: change.to,
    });
    if json {
        return output::json(&Line {
            id: &operation.id,
            request: &operation.request,
            state: state(operation.state()),
            reason: &operation.reason,
            layers: layers.collect(),
            joining: &plan.nodes_joining,
            leaving: &plan.nodes_leaving,
            slices: plan.slices,
            nodes_joined: progress.nodes_joined,
            nodes_left: progress.nodes_left,
            slices_moved: progress.slices_moved,
            bytes_moved: progress.bytes_moved,
            activated: progress.activated,
            awaits: &progress.awaits,
        });
    }
    let mut line = String::new();
    if !operation.id.is_empty() {
        line.push_str(&format!("{}  ", operation.id));
    }
    line.push_str(&format!("{}: {}", operation.request, state(operation.state())));
    for layer in layers {
        line.push_str(&format!(", {} from {} to {}", layer.layer, layer.from, layer.to));
    }
    for (what, nodes) in [("comes in", &plan.nodes_joining), ("leaves", &plan.nodes_leaving)] {
        if !nodes.is_empty() {
            line.push_str(&format!(", {what}: {}", nodes.join(" ")));
        }
    }
    if plan.slices > 0 {
        let slices = output::count(plan.slices, "slice");
        line.push_str(&format!(", {} of {slices} moved ({} bytes)", progress.slices_moved, progress.bytes_moved));
    }
    if !progress.awaits.is_empty() {
        line.push_str(&format!(", waits for {}", progress.awaits.join("; ")));
    }
    if !operation.reason.is_empty() {
        line.push_str(&format!(": {}", operation.reason));
    }
    output::line(line)
}
