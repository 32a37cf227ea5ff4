//! A judged session of the client crate.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use futures_util::{StreamExt as _, TryStreamExt as _};
use gomera_client::Event;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::shared::Shared;

/// Subscriptions under way at once while they are declared.
const DECLARING_MAX: usize = 256;
/// Most events taken at once.
const BATCH: usize = 1_024;

/// Attaches it at one of `doors` and declares its subscriptions.
pub(super) async fn attach(
    shared: Arc<Shared>,
    ordinal: u64,
    name: &str,
    doors: Vec<String>,
    mut stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<Result<()>>> {
    let client = shared.connect(doors).await?;
    let (session, mut deliveries) = client.session(name).window(65_536).attach().await?;
    let filters = (ordinal..shared.load.subscriptions).step_by(usize::try_from(shared.load.sessions)?);
    futures_util::stream::iter(filters.map(|index| {
        let (session, filter) = (&session, shared.content.filter(index));
        async move { session.subscribe(&format!("f{index}"), filter).await.map(drop) }
    }))
    .buffer_unordered(DECLARING_MAX)
    .try_collect::<()>()
    .await?;
    Ok(tokio::spawn(async move {
        let mut events = Vec::with_capacity(BATCH);
        loop {
            let goes_on = tokio::select! {
                more = deliveries.next_batch(BATCH, &mut events) => more.context("receive notifications")?,
                _ = stopped.changed() => return Ok(()),
            };
            for event in events.drain(..) {
                match event {
                    Event::Notification(notification) => {
                        if notification.satisfied != 1 {
                            shared.unexpected(&format!("{} filters satisfied, must be 1", notification.satisfied));
                        }
                        shared.arrived(ordinal, notification.content());
                    }
                    // What was given up is missing in the end.
                    Event::Gap(gap) => shared.say(&format!("session {ordinal}: a gap of {}", gap.dropped)),
                    Event::Resumed => shared.disconnected(&format!("session {ordinal} resumed")),
                    Event::Recreated => shared.disconnected(&format!("session {ordinal} was made anew")),
                    Event::SubscriptionsLost => {
                        shared.disconnected(&format!("session {ordinal} lost subscriptions"));
                    }
                    Event::RedeclarationFailed { subscription, error } => {
                        shared.say(&format!("session {ordinal}: {subscription:?} is not declared again: {error}"));
                    }
                }
            }
            if !goes_on {
                bail!("session {ordinal} ended by itself");
            }
            // It is held for as long as it is judged.
            let _held = &session;
        }
    }))
}
