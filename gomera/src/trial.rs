//! A trial: publishes to a cluster and subscribes to it through the client crate over gRPC, as any program would, and enters
//! everything into a [`Ledger`], which says whether the promises were kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gomera_client::{Client, Deliveries, Event, OperationError, Publication, PublishError, Publisher, Session, Ticket};
use gomera_model::{Attributes, Filter, Timestamp, Value};
use hdrhistogram::Histogram;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::exit::{Failure, Outcome, Reason};
use crate::ledger::{Arrival, Ledger, Progress, PublisherIndex, SessionIndex, Standard, SubscriptionIndex};
use crate::summary::{Latency, Subscriber as SubscriberSummary, Summary};

/// Latencies up to this are told apart; longer ones count as this.
const LATENCY_MAX: Duration = Duration::from_secs(60);
/// Publications of one publisher that wait to be acknowledged; then publishing waits.
const UNACKNOWLEDGED_MAX: usize = 4_096;
/// Notifications taken at once.
const BATCH: usize = 1_024;
/// At the end, so long without any delivery means that what is still owed is lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// Repeats, if any, come within this after everything has arrived.
const AFTERMATH: Duration = Duration::from_millis(200);

/// What everybody who takes part writes to.
#[derive(Debug)]
struct Book {
    ledger: Ledger,
    publishers: HashMap<(String, u64), PublisherIndex>,
    latency: Histogram<u64>,
    /// What went wrong with a session or publisher, if something did.
    trouble: Option<String>,
}

#[derive(Debug)]
struct Shared {
    began: Instant,
    book: Mutex<Book>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nobody panics while holding it")
    }

    fn micros(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }

    fn trouble(&self, what: String) {
        self.lock().trouble.get_or_insert(what);
    }
}

/// See the top of this file.
#[derive(Debug)]
pub struct Trial {
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
    sessions: Vec<(Session, SessionIndex, Vec<String>)>,
    collectors: Vec<JoinHandle<()>>,
}

impl Trial {
    /// Begins now.
    pub fn begin() -> Self {
        let highest = u64::try_from(LATENCY_MAX.as_micros()).expect("a minute");
        let latency = Histogram::new_with_bounds(1, highest, 3).expect("bounds that make sense");
        let book = Book { ledger: Ledger::default(), publishers: HashMap::new(), latency, trouble: None };
        Self {
            shared: Arc::new(Shared { began: Instant::now(), book: Mutex::new(book) }),
            readers: Vec::new(),
            sessions: Vec::new(),
            collectors: Vec::new(),
        }
    }

    /// A subscriber with these filters, by id, all in force when this returns. To be called before anything is published.
    pub async fn subscriber(
        &mut self,
        client: &Client,
        name: &str,
        filters: &[(String, Filter)],
        context: Attributes,
    ) -> Outcome<Subscriber> {
        let (session, deliveries) = client
            .session("")
            .outbox(1_000_000, 256 << 20)
            .attach()
            .await
            .map_err(|error| context_of(error, format!("attach subscriber {name}")))?;
        let failed = |error: OperationError| context_of(error, format!("subscribe {name}"));
        if !context.is_empty() {
            session.set_context(context.clone()).await.map_err(failed)?;
        }
        for (id, filter) in filters {
            session.subscribe(id, filter).await.map_err(failed)?;
        }
        let context = Arc::new(context);
        let mut subscriptions = Vec::new();
        let index = {
            let mut book = self.shared.lock();
            let index = book.ledger.session(name);
            for (id, filter) in filters {
                let standard = Standard { filter: filter.clone(), context: context.clone() };
                let Some(subscription) = book.ledger.subscription(index, id.as_str(), standard.clone()) else {
                    let limit = crate::ledger::SUBSCRIPTIONS_MAX;
                    return Err(Failure::say(
                        Reason::Usage,
                        format!("more than {limit} filters, must be at most {limit}"),
                    ));
                };
                subscriptions.push((subscription, id.clone(), standard));
            }
            index
        };
        let shown = filters.iter().map(|(_, filter)| filter.to_string()).collect();
        self.sessions.push((session.clone(), index, shown));
        self.readers.push(tokio::spawn(read(self.shared.clone(), index, deliveries)));
        Ok(Subscriber { shared: self.shared.clone(), session, subscriptions })
    }

    /// A publisher of this name.
    pub async fn publisher(&mut self, client: &Client, name: &str) -> Outcome<TrialPublisher> {
        let publisher = client
            .publisher(name)
            .window(UNACKNOWLEDGED_MAX, 64 << 20)
            .open()
            .await
            .map_err(|error| context_of(error, format!("open publisher {name}")))?;
        let index = {
            let mut book = self.shared.lock();
            let index = book.ledger.publisher();
            book.publishers.insert((name.to_owned(), publisher.instance()), index);
            index
        };
        let (tickets, waiting) = mpsc::channel(UNACKNOWLEDGED_MAX);
        self.collectors.push(tokio::spawn(collect(self.shared.clone(), index, waiting)));
        Ok(TrialPublisher { shared: self.shared.clone(), publisher, index, tickets })
    }

    /// Looks at how it goes without taking part.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let sessions = self.sessions.iter().map(|(_, index, _)| *index).collect();
        Watch { shared: self.shared.clone(), sessions }
    }

    /// Waits until everything published is acknowledged and has arrived; all publishers must have been dropped. Tells what
    /// came of it.
    pub async fn finish(self) -> Outcome<Summary> {
        let published_for = self.shared.began.elapsed();
        for collector in self.collectors {
            // A panic there is our mistake and has been printed.
            collector.await.map_err(|error| Failure::new(Reason::Internal, error))?;
        }
        let mut last = self.shared.lock().ledger.progress();
        let mut since = Instant::now();
        while last.owed > 0 && since.elapsed() < PATIENCE && self.shared.lock().trouble.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let now = self.shared.lock().ledger.progress();
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        tokio::time::sleep(AFTERMATH).await;
        for (session, _, _) in &self.sessions {
            // It is over either way; what is left of it expires.
            let _unwanted = tokio::time::timeout(PATIENCE, session.end()).await;
        }
        for mut reader in self.readers {
            match tokio::time::timeout(PATIENCE, &mut reader).await {
                Ok(ended) => ended.map_err(|error| Failure::new(Reason::Internal, error))?,
                // The cluster went away and did not answer: what has arrived is counted.
                Err(_) => reader.abort(),
            }
        }
        let book = self.shared.lock();
        if let Some(trouble) = &book.trouble {
            return Err(Failure::say(Reason::Unavailable, trouble.clone()));
        }
        let filters = self.sessions.iter().map(|(_, _, filters)| filters);
        let subscribers = book.ledger.settle().into_iter().zip(filters);
        let subscribers = subscribers.map(|((name, tally), filters)| SubscriberSummary::new(&name, filters, tally));
        let latency = Latency {
            p50: book.latency.value_at_quantile(0.50),
            p90: book.latency.value_at_quantile(0.90),
            p99: book.latency.value_at_quantile(0.99),
            max: book.latency.max(),
        };
        Ok(Summary::new(book.ledger.progress(), latency, published_for, subscribers.collect()))
    }
}

/// Reads what a subscriber is told until its session ends.
async fn read(shared: Arc<Shared>, session: SessionIndex, mut deliveries: Deliveries) {
    let mut events = Vec::with_capacity(BATCH);
    loop {
        match deliveries.next_batch(BATCH, &mut events).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return shared.trouble(format!("a subscriber's session ended: {error}")),
        }
        let arrived = shared.micros(Instant::now());
        let mut book = shared.lock();
        let book = &mut *book;
        for event in events.drain(..) {
            match event {
                Event::Notification(notification) => {
                    let key = (notification.publisher, notification.instance);
                    // Of another program's publications on the same cluster nothing is known.
                    let Some(publisher) = book.publishers.get(&key) else { continue };
                    let ids = notification.subscriptions.iter().map(|id| &**id);
                    let arrival = book.ledger.delivered(session, *publisher, notification.sequence, ids);
                    if let Arrival::First { scheduled_micros } = arrival {
                        book.latency.saturating_record(arrived.saturating_sub(scheduled_micros).max(1));
                    }
                }
                Event::Gap(gap) => book.ledger.dropped(session, gap.dropped),
                Event::Resumed => {}
                Event::Recreated => {
                    book.trouble.get_or_insert_with(|| "the cluster lost a subscriber's session".into());
                }
                Event::SubscriptionsLost => {
                    book.trouble.get_or_insert_with(|| "the cluster lost subscriptions".into());
                }
                Event::RedeclarationFailed { error, .. } => {
                    book.trouble.get_or_insert_with(|| format!("a subscription was lost: {error}"));
                }
            }
        }
    }
}

/// Enters the acknowledgements of one publisher, in order.
async fn collect(shared: Arc<Shared>, publisher: PublisherIndex, mut tickets: mpsc::Receiver<Ticket>) {
    while let Some(ticket) = tickets.recv().await {
        let sequence = ticket.sequence();
        let outcome = ticket.await;
        let mut book = shared.lock();
        match outcome {
            Ok(()) => book.ledger.acknowledged(publisher, sequence),
            Err(error) => {
                book.ledger.refused(publisher, sequence);
                book.trouble.get_or_insert_with(|| format!("a publication was not taken: {error}"));
            }
        }
    }
}

/// A publisher that takes part in a trial.
#[derive(Debug)]
pub struct TrialPublisher {
    shared: Arc<Shared>,
    publisher: Publisher,
    index: PublisherIndex,
    tickets: mpsc::Sender<Ticket>,
}

impl TrialPublisher {
    /// Publishes what was due at `scheduled`.
    pub async fn publish(&self, attributes: Attributes, scheduled: Instant) -> Outcome {
        let time = now();
        let publication = Publication { time: Some(time), attributes, ..Publication::default() };
        let seen = self.as_seen(&publication.attributes, time);
        let scheduled = self.shared.micros(scheduled);
        let sequence = self.shared.lock().ledger.publishing(self.index, Arc::new(seen), scheduled);
        let failed = |error| context_of(error, format!("publish as {}", self.publisher.name()));
        let ticket = self.publisher.publish(&publication).await.map_err(failed)?;
        debug_assert_eq!(ticket.sequence(), sequence, "one program publishes as this publisher");
        // The collector goes only when this sender does.
        let _alive = self.tickets.send(ticket).await;
        Ok(())
    }

    /// The attributes as filters see them: with those that the system adds.
    fn as_seen(&self, attributes: &Attributes, time: Timestamp) -> Attributes {
        let system = [
            ("gomera.publisher".into(), Value::string(self.publisher.name())),
            ("gomera.time".into(), Value::Timestamp(time)),
        ];
        attributes.iter().map(|(name, value)| (name.clone(), value.clone())).chain(system).collect()
    }
}

/// A subscriber that takes part in a trial and may change what it asks for.
#[derive(Debug)]
pub struct Subscriber {
    shared: Arc<Shared>,
    session: Session,
    subscriptions: Vec<(SubscriptionIndex, String, Standard)>,
}

impl Subscriber {
    /// Replaces the filter of the first subscription.
    pub async fn update(&mut self, filter: Filter) -> Outcome {
        let Some((index, id, standard)) = self.subscriptions.first_mut() else { return Ok(()) };
        standard.filter = filter;
        let change = self.shared.lock().ledger.requesting([(*index, standard.clone())]);
        let updated = self.session.update(id, &standard.filter).await;
        updated.map_err(|error| context_of(error, format!("update subscription {id}")))?;
        self.shared.lock().ledger.granted(change);
        Ok(())
    }

    /// Replaces the context.
    pub async fn set_context(&mut self, context: Attributes) -> Outcome {
        let shared_context = Arc::new(context.clone());
        for (_, _, standard) in &mut self.subscriptions {
            standard.context = shared_context.clone();
        }
        let standards = self.subscriptions.iter().map(|(index, _, standard)| (*index, standard.clone()));
        let change = self.shared.lock().ledger.requesting(standards);
        let set = self.session.set_context(context).await;
        set.map_err(|error| context_of(error, "change a context".into()))?;
        self.shared.lock().ledger.granted(change);
        Ok(())
    }
}

/// How a trial goes, for a view.
#[derive(Clone, Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    sessions: Vec<SessionIndex>,
}

/// How a trial stands at one moment.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Since it began.
    pub elapsed: Duration,
    /// Counts.
    pub progress: Progress,
    /// Microseconds from schedule to delivery, half of the notifications.
    pub p50: u64,
    /// The same, all but one in a hundred.
    pub p99: u64,
    /// Delivered by subscriber, and the filters that each has now.
    pub subscribers: Vec<(u64, Vec<String>)>,
}

impl Watch {
    /// How it stands now.
    #[must_use]
    pub fn look(&self) -> Standing {
        let book = self.shared.lock();
        let subscribers = self.sessions.iter();
        let subscribers = subscribers.map(|&index| (book.ledger.tally(index).delivered, book.ledger.describe(index)));
        Standing {
            elapsed: self.shared.began.elapsed(),
            progress: book.ledger.progress(),
            p50: book.latency.value_at_quantile(0.50),
            p99: book.latency.value_at_quantile(0.99),
            subscribers: subscribers.collect(),
        }
    }

    /// Whether something went wrong that makes going on pointless.
    #[must_use]
    pub fn is_troubled(&self) -> bool {
        self.shared.lock().trouble.is_some()
    }
}

/// Wall-clock time.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn context_of(error: impl Into<anyhow::Error>, doing: String) -> Failure {
    let error: anyhow::Error = error.into();
    let reason = match (error.downcast_ref::<OperationError>(), error.downcast_ref::<PublishError>()) {
        (Some(OperationError::Filter { .. }), _)
        | (_, Some(PublishError::Invalid(_) | PublishError::Refused { .. })) => Reason::Data,
        _ => Reason::Unavailable,
    };
    Failure::new(reason, error.context(doing))
}
