//! `gomera.v1.Cluster`: what the cluster is made of, and what is asked of its shape. The layout is that of the node; operations are
//! read and written in the coordination service, where a coordinator does them: any connection point can be asked.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gomera_coordinator::operations::{Operation, OperationId, Outcome, Refusal, RefusalKind, Request, State, judge};
use gomera_proto::operation::{planned, scale, to_operation};
use gomera_proto::topology::to_topology;
use gomera_proto::v1::cluster_server::Cluster;
use gomera_proto::{code, v1};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request as Call, Response, Status};

use crate::coordination::{Coordination, CoordinationError, RequestError, Topic};
use crate::node::IN_PROCESS;
use crate::runtime::NodeHandle;

/// So long whoever asks waits for a coordinator to take the request up, or to end what is to be cancelled.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// News of operations that a client has not read yet; then it is waited for, and told what stands there when it reads again.
const NEWS_MAX: usize = 4;

/// See the top of this file.
#[derive(Clone, Debug)]
pub struct ShapeService {
    pub cluster: Arc<str>,
    pub node: NodeHandle,
    pub coordination: Coordination,
}

impl ShapeService {
    /// Does, or only judges, what is asked.
    async fn ask(&self, id: &str, request: Request, dry_run: bool) -> Result<Response<v1::Operation>, Status> {
        if dry_run {
            let observation = self.coordination.observe().await.map_err(away)?;
            let plan = judge(&observation, None, &request).map_err(refused)?;
            return Ok(Response::new(planned(&request, &plan)));
        }
        let id = if id.is_empty() { drawn() } else { id.parse().map_err(|error| invalid(&error))? };
        self.coordination.request(&id, &request, now_milliseconds()).await.map_err(failed)?;
        let operation = self.until(&id, |operation| !matches!(operation.state, State::Requested)).await?;
        if let State::Ended(ended) = &operation.state
            && let Outcome::Refused(refusal) = &ended.outcome
        {
            return Err(refused(refusal.clone()));
        }
        Ok(Response::new(to_operation(&id, &operation)))
    }

    /// The operation, once it is so or nobody has made it so in time.
    async fn until(&self, id: &OperationId, is_so: impl Fn(&Operation) -> bool) -> Result<Operation, Status> {
        let deadline = tokio::time::Instant::now() + ANSWER_WITHIN;
        let mut hints = self.coordination.hints(&[Topic::Operations]);
        loop {
            let operation = self.coordination.operation(id).await.map_err(away)?;
            let operation = operation.ok_or_else(|| absent(id))?;
            if is_so(&operation) || tokio::time::timeout_at(deadline, hints.next()).await.is_err() {
                return Ok(operation);
            }
        }
    }
}

/// Operations as they come further.
pub type News = Pin<Box<dyn Stream<Item = Result<v1::WatchOperationsReply, Status>> + Send>>;

#[tonic::async_trait]
impl Cluster for ShapeService {
    async fn get_topology(&self, _: Call<v1::GetTopologyRequest>) -> Result<Response<v1::Topology>, Status> {
        let layout = self.node.layout().borrow().clone();
        match layout {
            Some(layout) => {
                let mut topology = to_topology(&self.cluster, &layout);
                for node in topology.nodes.iter_mut().filter(|node| node.link_address == IN_PROCESS) {
                    node.link_address.clear();
                }
                Ok(Response::new(topology))
            }
            None => Err(Status::unavailable(
                "there is no layout yet: not every layer has a node, or the coordinator is away; try again",
            )),
        }
    }

    async fn scale(&self, call: Call<v1::ScaleRequest>) -> Result<Response<v1::Operation>, Status> {
        let call = call.into_inner();
        let request = scale(call.layer(), call.replicas).map_err(refused)?;
        self.ask(&call.request_id, request, call.dry_run).await
    }

    async fn drain(&self, call: Call<v1::DrainRequest>) -> Result<Response<v1::Operation>, Status> {
        let v1::DrainRequest { request_id, node, dry_run } = call.into_inner();
        self.ask(&request_id, Request::Drain { node: Arc::from(node) }, dry_run).await
    }

    async fn rebalance(&self, call: Call<v1::RebalanceRequest>) -> Result<Response<v1::Operation>, Status> {
        let v1::RebalanceRequest { request_id, dry_run } = call.into_inner();
        self.ask(&request_id, Request::Rebalance, dry_run).await
    }

    async fn get_operation(&self, call: Call<v1::GetOperationRequest>) -> Result<Response<v1::Operation>, Status> {
        let id = call.into_inner().id.parse().map_err(|error| invalid(&error))?;
        match self.coordination.operation(&id).await.map_err(away)? {
            Some(operation) => Ok(Response::new(to_operation(&id, &operation))),
            None => Err(absent(&id)),
        }
    }

    type WatchOperationsStream = News;

    async fn watch_operations(&self, call: Call<v1::WatchOperationsRequest>) -> Result<Response<News>, Status> {
        let id = call.into_inner().id;
        let only = if id.is_empty() { None } else { Some(id.parse::<OperationId>().map_err(|error| invalid(&error))?) };
        let (news, receiver) = mpsc::channel(NEWS_MAX);
        tokio::spawn(watch(self.coordination.clone(), only, news));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn cancel_operation(
        &self,
        call: Call<v1::CancelOperationRequest>,
    ) -> Result<Response<v1::Operation>, Status> {
        let id: OperationId = call.into_inner().id.parse().map_err(|error| invalid(&error))?;
        self.coordination.ask_to_cancel(&id).await.map_err(failed)?;
        let is_answered = |operation: &Operation| operation.past_cancelling(&id).is_some();
        let operation = self.until(&id, is_answered).await?;
        match &operation.state {
            State::Ended(ended) if ended.outcome == Outcome::Cancelled => {}
            State::Requested | State::Running(_) | State::Ended(_) => {
                if let Some(refusal) = operation.past_cancelling(&id) {
                    return Err(refused(refusal));
                }
            }
        }
        Ok(Response::new(to_operation(&id, &operation)))
    }
}

/// Tells all there is, then what changes, until nobody listens.
async fn watch(
    coordination: Coordination,
    only: Option<OperationId>,
    news: mpsc::Sender<Result<v1::WatchOperationsReply, Status>>,
) {
    let mut told: Option<BTreeMap<OperationId, Operation>> = None;
    let mut hints = coordination.hints(&[Topic::Operations]);
    loop {
        tokio::select! {
            () = hints.next() => {}
            () = news.closed() => return,
        }
        let operations = match coordination.operations().await {
            Ok(operations) => operations,
            // It was told what it knows; with the service away nothing changes.
            Err(CoordinationError::Unavailable { .. }) if told.is_some() => continue,
            Err(error) => {
                // Nobody listens any more otherwise.
                let _gone = news.send(Err(away(error))).await;
                return;
            }
        };
        let concerned = operations.into_iter().filter(|(id, _)| only.as_ref().is_none_or(|only| only == id));
        let present: BTreeMap<_, _> = concerned.map(|(id, standing)| (id, standing.operation)).collect();
        let is_news = |id: &OperationId, operation: &Operation| {
            told.as_ref().is_none_or(|told| told.get(id).is_none_or(|known| known != operation))
        };
        let mut fresh: Vec<_> = present.iter().filter(|(id, operation)| is_news(id, operation)).collect();
        fresh.sort_by_key(|(_, operation)| (operation.number() == 0, operation.number(), operation.requested_at));
        if told.is_none() || !fresh.is_empty() {
            let operations = fresh.iter().map(|(id, operation)| to_operation(id, operation)).collect();
            if news.send(Ok(v1::WatchOperationsReply { operations })).await.is_err() {
                return;
            }
        }
        told = Some(present);
    }
}

/// An id for who gave none.
fn drawn() -> OperationId {
    format!("operation-{:016x}", rand::random::<u64>()).parse().expect("it has letters, digits and a hyphen")
}

fn now_milliseconds() -> u64 {
    u64::try_from(crate::clock::wall().0 / 1000).unwrap_or_default()
}

fn refused(refusal: Refusal) -> Status {
    Status::new(code::of_refusal(refusal.kind), refusal.reason)
}

fn invalid(error: &impl ToString) -> Status {
    refused(Refusal::new(RefusalKind::Invalid, error.to_string()))
}

fn absent(id: &OperationId) -> Status {
    let reason = format!("there is no operation {id}: none was asked for under this id, or it ended long ago");
    refused(Refusal::new(RefusalKind::NotFound, reason))
}

fn failed(error: RequestError) -> Status {
    match error {
        RequestError::Refused(refusal) => refused(refusal),
        RequestError::Coordination(error) => away(error),
    }
}

fn away(error: CoordinationError) -> Status {
    match error {
        CoordinationError::Unavailable { .. } => Status::unavailable(error.to_string()),
        CoordinationError::Damaged { .. } => Status::failed_precondition(error.to_string()),
        CoordinationError::Fenced { .. }
        | CoordinationError::Superseded { .. }
        | CoordinationError::OtherSettings { .. } => Status::internal(error.to_string()),
    }
}
