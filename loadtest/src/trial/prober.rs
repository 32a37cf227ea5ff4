//! Probers change what they ask for and then publish to see whether the change holds: a publication sent after a subscription, update,
//! unsubscription or change of context was acknowledged must be judged by the new state. One of them comes and goes with every round:
//! new connection, new session, new publisher. One is updated without pause between two filters that both match all that is published
//! to it, and must get each exactly once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gomera_client::{Applied, Attributes, Deliveries, Event, OperationError, Publication, Publisher, Session, Value};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::shared::Shared;

/// Probers whose sessions stay.
const STAYING: u64 = 2;
/// A probe that has not come by then is lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two rounds of a prober.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts all of them; those that stay are spread over `doors`, and may go to `others`.
pub(super) async fn start(
    shared: &Arc<Shared>,
    doors: &[String],
    others: &[String],
    stopped: &watch::Receiver<bool>,
) -> Result<Vec<JoinHandle<Result<()>>>> {
    let mut tasks = Vec::new();
    for (ordinal, door) in (0..STAYING).zip(doors.iter().cycle()) {
        let mut prober = Prober::attach(shared.clone(), ordinal, [std::slice::from_ref(door), others].concat()).await?;
        let stopped = stopped.clone();
        tasks.push(tokio::spawn(async move {
            let mut round = 0;
            while !*stopped.borrow() {
                round += 1;
                prober.round(round).await?;
                tokio::time::sleep(PAUSE).await;
            }
            Ok(())
        }));
    }
    tasks.push(tokio::spawn(come_and_go(shared.clone(), stopped.clone())));
    let door = doors.first().context("no connection point")?.clone();
    let prober = Prober::attach(shared.clone(), STAYING + 1, [std::slice::from_ref(&door), others].concat()).await?;
    tasks.push(tokio::spawn(alternate(prober, stopped.clone())));
    Ok(tasks)
}

/// A session, and a publisher that nobody else hears.
struct Prober {
    shared: Arc<Shared>,
    ordinal: u64,
    session: Session,
    deliveries: Deliveries,
    publisher: Publisher,
    /// Counts probes.
    probes: i64,
}

/// What may find nothing when it is asked for again.
const UNSUBSCRIBE: &str = "unsubscribe";

/// Whether a probe has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    Once,
    Never,
}

impl Prober {
    async fn attach(shared: Arc<Shared>, ordinal: u64, doors: Vec<String>) -> Result<Self> {
        let client = shared.connect(doors).await.context("connect a prober")?;
        let name = format!("prober-{ordinal}-{}", shared.now_ns());
        let (session, deliveries) = client.session(name.as_str()).attach().await.context("attach a prober")?;
        let publisher = client.publisher(name).open().await.context("open the publisher of a prober")?;
        let prober = Self { shared, ordinal, session, deliveries, publisher, probes: 0 };
        // What is published behind a probe comes behind it: when it is there, the probe is, or never comes.
        let mark = format!("prober = {ordinal} AND mark = 1");
        prober.ask("subscribe to marks", || prober.session.subscribe("marks", mark.clone())).await?;
        Ok(prober)
    }

    /// Asks for a change, and notes how long it took to be acknowledged. If nobody knows whether it was in force, which only a death explains,
    /// it is asked for again, within the same patience.
    async fn ask<Asked>(&self, what: &str, ask: impl Fn() -> Asked) -> Result<()>
    where
        Asked: Future<Output = Result<Applied, OperationError>>,
    {
        let (asked, mut is_again) = (Instant::now(), false);
        loop {
            let answer = tokio::time::timeout(PATIENCE.saturating_sub(asked.elapsed()), ask()).await;
            match answer.with_context(|| format!("{what}: no answer within {PATIENCE:?}"))? {
                Ok(_) => break,
                Err(OperationError::Refused { code: tonic::Code::Unavailable, message }) => {
                    self.shared.disconnected(&format!("prober {}, {what}: {message}", self.ordinal));
                    is_again = true;
                }
                // It was removed the first time.
                Err(OperationError::NotFound(_)) if is_again && what == UNSUBSCRIBE => break,
                Err(error) => return Err(error).with_context(|| what.to_owned()),
            }
        }
        self.shared.acknowledged(asked);
        Ok(())
    }

    /// Every kind of change once.
    async fn round(&mut self, round: i64) -> Result<()> {
        let (ordinal, [first, second]) = (self.ordinal, [2 * round, 2 * round + 1]);
        let filter = |value| format!("prober = {ordinal} AND probe = {value}");
        let session = self.session.clone();
        self.ask("subscribe", || session.subscribe("probe", filter(first))).await?;
        self.probe(first, Comes::Once, "subscribed").await?;
        self.ask("update", || session.update("probe", filter(second))).await?;
        self.probe(first, Comes::Never, "updated away").await?;
        self.probe(second, Comes::Once, "updated").await?;
        self.ask(UNSUBSCRIBE, || session.unsubscribe("probe")).await?;
        self.probe(second, Comes::Never, "unsubscribed").await?;
        let context = |value: i64| [("wanted", Value::from(value))].into_iter().collect();
        self.ask("set the context", || session.set_context(context(first))).await?;
        self.ask("subscribe with $wanted", || {
            session.subscribe("probe", format!("prober = {ordinal} AND probe = $wanted"))
        })
        .await?;
        self.probe(first, Comes::Once, "context set").await?;
        self.ask("change the context", || session.set_context(context(second))).await?;
        self.probe(first, Comes::Never, "context changed away").await?;
        self.probe(second, Comes::Once, "context changed").await?;
        self.ask(UNSUBSCRIBE, || session.unsubscribe("probe")).await
    }

    /// Publishes a probe and a mark behind it, and judges what comes until the mark.
    async fn probe(&mut self, value: i64, comes: Comes, what: &str) -> Result<()> {
        self.probes += 1;
        let number = self.probes;
        let what = format!("prober {}, {what}, probe {number}", self.ordinal);
        for (name, value) in [("probe", value), ("mark", 1)] {
            self.publish(&[(name, value), ("number", number)]).await?;
        }
        let mut came = 0_u32;
        let until_mark = async {
            loop {
                let Some(attributes) = next_attributes(&mut self.deliveries, &self.shared, &what).await? else {
                    continue;
                };
                let is = |name: &str, value| attributes.get(name) == Some(&Value::from(value));
                if is("number", number) && is("mark", 1) {
                    return anyhow::Ok(());
                }
                if is("number", number) {
                    came += 1;
                } else {
                    self.shared.duplicated(&format!("{what}: one of an earlier probe"));
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, until_mark).await;
        match in_time {
            Ok(ended) => ended?,
            Err(_) => self.shared.lost(&format!("{what}: its mark")),
        }
        match (comes, came) {
            (Comes::Once, 0) => self.shared.lost(&what),
            (Comes::Never, 1..) => self.shared.unexpected(&what),
            (_, 2..) => self.shared.duplicated(&what),
            (Comes::Once, 1) | (Comes::Never, 0) => {}
        }
        Ok(())
    }

    async fn publish(&self, attributes: &[(&str, i64)]) -> Result<()> {
        let own = std::iter::once(("prober", i64::try_from(self.ordinal)?));
        let attributes = own.chain(attributes.iter().copied()).map(|(name, value)| (name, Value::from(value)));
        let publication = Publication { attributes: attributes.collect(), ..Publication::default() };
        // Its ticket is dropped: the publisher sees to it that it is taken.
        drop(self.publisher.publish(&publication).await.context("publish a probe")?);
        Ok(())
    }
}

/// The attributes of the next notification; `None` if something else came.
async fn next_attributes(deliveries: &mut Deliveries, shared: &Shared, what: &str) -> Result<Option<Attributes>> {
    match deliveries.next().await?.context("a session ended by itself")? {
        Event::Notification(notification) => return Ok(Some(notification.publication()?.attributes)),
        Event::Gap(gap) => shared.say(&format!("{what}: a gap of {}", gap.dropped)),
        Event::Resumed => shared.disconnected(&format!("{what}: resumed")),
        Event::Recreated => shared.disconnected(&format!("{what}: made anew")),
        Event::SubscriptionsLost => shared.disconnected(&format!("{what}: subscriptions lost")),
        Event::RedeclarationFailed { error, .. } => shared.say(&format!("{what}: not declared again: {error}")),
    }
    Ok(None)
}

/// New connection, session and publisher, one round, and gone.
async fn come_and_go(shared: Arc<Shared>, stopped: watch::Receiver<bool>) -> Result<()> {
    let mut round = 0;
    while !*stopped.borrow() {
        round += 1;
        let doors = shared.doors();
        let Ok(mut prober) = Prober::attach(shared.clone(), STAYING, doors).await else {
            // A connection point that dies while one comes: the next try counts.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        prober.round(round).await?;
        prober.session.end().await.context("end the session of a prober")?;
        prober.publisher.flush().await.context("flush the publisher of a prober")?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// One subscription is updated to and fro; both filters match all that is published, each of which must come exactly once.
async fn alternate(prober: Prober, stopped: watch::Receiver<bool>) -> Result<()> {
    let Prober { shared, ordinal, session, mut deliveries, publisher, .. } = prober;
    let filter = move |above: i64| format!("prober = {ordinal} AND either > {above}");
    session.subscribe("either", filter(0)).await?;
    let asking = shared.clone();
    let is_over = stopped.clone();
    let updating = tokio::spawn(async move {
        let mut above = 0;
        while !*is_over.borrow() {
            above = (above + 1) % 2;
            let asked = Instant::now();
            match session.update("either", filter(above)).await {
                Ok(_) => asking.acknowledged(asked),
                // The next one says the other thing in any case.
                Err(OperationError::Refused { code: tonic::Code::Unavailable, message }) => {
                    asking.disconnected(&format!("prober of updates: {message}"));
                }
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::Ok(())
    });
    let mut number = 0_i64;
    let what = "prober of updates";
    while !*stopped.borrow() && !updating.is_finished() {
        number += 1;
        let attributes = [("prober", i64::try_from(ordinal)?), ("either", 5), ("number", number)];
        let attributes = attributes.map(|(name, value)| (name, Value::from(value))).into_iter().collect();
        drop(publisher.publish(&Publication { attributes, ..Publication::default() }).await?);
        let next = async {
            loop {
                let Some(attributes) = next_attributes(&mut deliveries, &shared, what).await? else { continue };
                return anyhow::Ok(attributes.get("number").cloned());
            }
        };
        match tokio::time::timeout(PATIENCE, next).await {
            Err(_) => shared.lost(&format!("{what}: {number}")),
            Ok(came) if came.as_ref().is_ok_and(|came| *came == Some(Value::from(number))) => {}
            Ok(came) => shared.duplicated(&format!("{what}: {:?} came, must be {number}", came?)),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    updating.await?
}
