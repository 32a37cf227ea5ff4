//! Unary `Publish`: a call is over when its publication is acknowledged. Calls of one publisher name share a connection, so
//! that they need not open a publisher each, and so that calls made one after the other are delivered in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gomera_cluster::identity::Sequence;
use gomera_connection_point::client::{ClientReply, ClientRequest, PublishItem};
use gomera_proto::publication::PublicationReader;
use gomera_proto::{code, door, raw, v1};
use tokio::sync::oneshot;
use tonic::Status;

use super::connection::Connection;
use super::{Door, End, Reply};

/// What connection points take; names are kept here before one of them has seen them.
const NAME_BYTES_MAX: usize = 256;

/// The publishers of unary calls.
#[derive(Debug)]
pub struct UnaryPublishers {
    door: Arc<Door>,
    by_name: Arc<Mutex<HashMap<String, Arc<Publisher>>>>,
    bytes_held: AtomicUsize,
}

/// What one call counts beside its message.
const CALL_BYTES: usize = 512;

/// Bytes of a call under way, given back when it is over.
#[derive(Debug)]
struct Held<'a> {
    total: &'a AtomicUsize,
    bytes: usize,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

type Answer = oneshot::Sender<Result<(), Status>>;

/// A connection that publishes for unary calls under one name.
#[derive(Debug)]
struct Publisher {
    connection: Arc<Connection>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    waiting: BTreeMap<Sequence, Answer>,
    used: Instant,
    /// The door is closing: end when nobody waits any more.
    is_leaving: bool,
    /// Set when nothing can be published here any more.
    end: Option<UnaryEnd>,
}

#[derive(Clone, Debug)]
enum UnaryEnd {
    /// It was not used for long, or less than others: another one can be opened.
    Idle,
    /// The machine closed it.
    Closed(Status),
}

/// Why a publication was not sent.
#[derive(Debug)]
enum Unsent {
    /// Send it on another connection.
    Idle(PublishItem),
    /// The machine closed this one just now.
    Ended(Status),
}

fn closed() -> Status {
    Status::unavailable("the connection point closed the publisher of this call: try again")
}

impl UnaryPublishers {
    pub fn new(door: Arc<Door>) -> Self {
        Self { door, by_name: Arc::default(), bytes_held: AtomicUsize::new(0) }
    }

    fn hold(&self, bytes: usize) -> Result<Held<'_>, Status> {
        let before = self.bytes_held.fetch_add(bytes, Ordering::Relaxed);
        let held = Held { total: &self.bytes_held, bytes };
        let limit = self.door.config.unary_bytes_max;
        // The first is always taken.
        if before > 0 && before.saturating_add(bytes) > limit {
            return Err(Status::resource_exhausted(format!(
                "calls that wait for their acknowledgement hold {before} bytes, at most unary_bytes_max = {limit}: try again \
                 later, or use a publish stream"
            )));
        }
        Ok(held)
    }

    /// Publishes, and waits for the acknowledgement.
    pub async fn publish(&self, request: raw::PublishRequest) -> Result<(), Status> {
        let name_bytes = request.publisher.len();
        if name_bytes > NAME_BYTES_MAX {
            return Err(Status::invalid_argument(format!(
                "the publisher's name has {name_bytes} bytes, must have at most {NAME_BYTES_MAX}"
            )));
        }
        let _held = self.hold(request.publication.len() + CALL_BYTES)?;
        let mut reader = PublicationReader::new(self.door.config.limits().publication);
        let wire = raw::PublishItem { publication: request.publication, ..raw::PublishItem::default() };
        // The sequence is given when it is sent.
        let mut item = door::publish_item(wire, Some(Sequence(0)), &mut reader)
            .map_err(|(_, error)| Status::invalid_argument(error.to_string()))?;
        loop {
            let publisher = self.publisher(request.publisher.clone())?;
            match publisher.connection.readable().await {
                // Should it have ended, sending says so.
                Ok(()) | Err(super::Gone) => {}
            }
            match publisher.send(item) {
                Ok(answer) => return answer.await.unwrap_or_else(|_| Err(closed())),
                Err(Unsent::Idle(returned)) => item = returned,
                Err(Unsent::Ended(status)) => return Err(status),
            }
        }
    }

    fn publisher(&self, name: String) -> Result<Arc<Publisher>, Status> {
        let mut by_name = lock(&self.by_name);
        if let Some(publisher) = by_name.get(&name)
            && publisher.lock().end.is_none()
        {
            return Ok(publisher.clone());
        }
        if by_name.len() >= self.door.config.unary_publishers_max {
            make_room(&mut by_name, self.door.config.unary_publishers_max)?;
        }
        let connection = self.door.connect();
        let open = v1::OpenPublisher { publisher: name.clone(), instance: 0 };
        connection.ask(door::open_publisher(open, Door::draw_instance()), name.len());
        let state = State { next: 1, waiting: BTreeMap::new(), used: Instant::now(), is_leaving: false, end: None };
        let publisher = Arc::new(Publisher { connection, state: Mutex::new(state) });
        by_name.insert(name.clone(), publisher.clone());
        drop(by_name);
        tokio::spawn(attend(publisher.clone(), self.by_name.clone(), name));
        Ok(publisher)
    }
}

/// Lets the one go that was idle for longest.
fn make_room(by_name: &mut HashMap<String, Arc<Publisher>>, limit: usize) -> Result<(), Status> {
    let idle = by_name.iter().filter_map(|(name, publisher)| {
        let state = publisher.lock();
        state.waiting.is_empty().then_some((state.used, name))
    });
    let Some(longest) = idle.min().map(|(_, name)| name.clone()) else {
        return Err(Status::resource_exhausted(format!(
            "unary_publishers_max = {limit} publishers have calls under way: use fewer names, or a publish stream"
        )));
    };
    if let Some(publisher) = by_name.remove(&longest) {
        publisher.end(UnaryEnd::Idle);
        publisher.connection.outbound.end(End::Done);
    }
    Ok(())
}

impl Publisher {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn send(&self, mut item: PublishItem) -> Result<oneshot::Receiver<Result<(), Status>>, Unsent> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.lock();
        match &state.end {
            Some(UnaryEnd::Idle) => return Err(Unsent::Idle(item)),
            Some(UnaryEnd::Closed(status)) => return Err(Unsent::Ended(status.clone())),
            None => {}
        }
        item.sequence = Sequence(state.next);
        state.next += 1;
        state.used = Instant::now();
        state.waiting.insert(item.sequence, answer);
        let bytes = item.content.len();
        // Everything before the next call's is settled or still waits for its own answer.
        let acknowledged_through = Sequence(state.waiting.keys().next().map_or(0, |first| first.0 - 1));
        // Under the lock: sequences reach the machine in order.
        self.connection.ask(ClientRequest::Publish { items: vec![item], acknowledged_through }, bytes);
        Ok(answered)
    }

    fn settle(&self, reply: Reply) {
        let mut state = self.lock();
        match reply {
            Reply::Said(ClientReply::Acknowledged { through }) => {
                let later = state.waiting.split_off(&Sequence(through.0 + 1));
                for (_, answer) in std::mem::replace(&mut state.waiting, later) {
                    // A caller that has gone needs no answer.
                    drop(answer.send(Ok(())));
                }
            }
            Reply::Said(ClientReply::PublicationRefused { sequence, failure }) => {
                if let Some(answer) = state.waiting.remove(&sequence) {
                    drop(answer.send(Err(code::status(failure))));
                }
            }
            Reply::Said(
                ClientReply::PublisherOpened { .. }
                | ClientReply::Attached { .. }
                | ClientReply::SubscriptionsLost { .. }
                | ClientReply::Applied { .. }
                | ClientReply::Found { .. }
                | ClientReply::Failed { .. }
                | ClientReply::Notifications(_),
            )
            | Reply::Failed { .. } => {}
            // Whoever calls next is sent elsewhere; what is under way is answered here.
            Reply::Said(ClientReply::MoveTo { .. }) | Reply::Goodbye(_) => state.is_leaving = true,
        }
    }

    fn has_left(&self) -> bool {
        let state = self.lock();
        state.is_leaving && state.waiting.is_empty()
    }

    /// Nothing is published here any more; the first end counts.
    fn end(&self, end: UnaryEnd) {
        let mut state = self.lock();
        let status = match &end {
            UnaryEnd::Idle => closed(),
            UnaryEnd::Closed(status) => status.clone(),
        };
        for (_, answer) in std::mem::take(&mut state.waiting) {
            // A caller that has gone needs no answer.
            drop(answer.send(Err(status.clone())));
        }
        state.end.get_or_insert(end);
    }

    /// Ends it if nobody used it for so long; says whether nobody did.
    fn end_if_idle(&self, idle: Duration) -> bool {
        let mut state = self.lock();
        let is_idle = state.waiting.is_empty() && state.used.elapsed() >= idle;
        if is_idle {
            state.end.get_or_insert(UnaryEnd::Idle);
        }
        is_idle
    }
}

/// Gives answers to callers until the connection ends or was idle for long enough.
async fn attend(publisher: Arc<Publisher>, by_name: Arc<Mutex<HashMap<String, Arc<Publisher>>>>, name: String) {
    let idle = publisher.connection.door.config.unary_idle;
    let mut replies = Vec::new();
    let end = loop {
        let outbound = &publisher.connection.outbound;
        let next = std::future::poll_fn(|context| outbound.poll_take(context, &mut replies));
        match tokio::time::timeout(idle, next).await {
            Ok(None) => {
                replies.drain(..).for_each(|reply| publisher.settle(reply));
                if publisher.has_left() {
                    break UnaryEnd::Closed(closed());
                }
            }
            Ok(Some(End::Failed(status))) => break UnaryEnd::Closed(status),
            Ok(Some(End::Done)) => break UnaryEnd::Closed(closed()),
            Err(_) if publisher.end_if_idle(idle) => break UnaryEnd::Idle,
            Err(_) => {}
        }
    };
    publisher.end(end);
    publisher.connection.leave();
    remove(&mut lock(&by_name), &name, &publisher);
}

fn remove(by_name: &mut HashMap<String, Arc<Publisher>>, name: &str, publisher: &Arc<Publisher>) {
    if by_name.get(name).is_some_and(|known| Arc::ptr_eq(known, publisher)) {
        by_name.remove(name);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing that holds this lock panics")
}
