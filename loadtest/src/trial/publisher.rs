//! A publisher of the client crate that follows the schedule.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::task::JoinHandle;

use super::shared::Shared;
use crate::driver::pace::Schedule;

/// Most publications between two looks at the clock.
const BURST: u64 = 256;

/// Opens it at one of `doors`.
pub(super) async fn open(
    shared: Arc<Shared>,
    ordinal: u64,
    doors: Vec<String>,
    schedule: Arc<Schedule>,
) -> Result<JoinHandle<Result<()>>> {
    let client = shared.connect(doors).await.context("connect a publisher")?;
    let publisher = client.publisher(format!("load-{ordinal}")).open().await.context("open a publisher")?;
    let mut progress = publisher.progress();
    let noting = shared.clone();
    tokio::spawn(async move {
        while progress.changed().await.is_ok() {
            noting.settled(ordinal, progress.borrow_and_update().settled_through);
        }
    });
    let mut trouble = client.trouble();
    let telling = shared.clone();
    tokio::spawn(async move {
        while trouble.changed().await.is_ok() {
            let what = trouble.borrow_and_update().clone();
            if let Some(what) = what {
                telling.disconnected(&format!("publisher {ordinal}: {what}"));
            }
        }
    });
    Ok(tokio::spawn(async move {
        let (begun_ns, interval_ns) = (shared.now_ns(), shared.interval_ns());
        let (mut random, mut sent) = (SmallRng::seed_from_u64(ordinal), 0);
        while shared.is_publishing() {
            let due = ((shared.now_ns() - begun_ns) / interval_ns).saturating_sub(sent).min(BURST);
            for _ in 0..due {
                sent += 1;
                let content = shared.publication(ordinal, sent, begun_ns + interval_ns * sent, &mut random);
                publisher.submit_encoded(content).await.context("publish")?;
            }
            if due < BURST {
                // The schedule wakes at most every 500 us; a publisher that missed it looks again soon.
                let woken = schedule.wait_until(begun_ns + interval_ns * (sent + 1));
                let _looks_again = tokio::time::timeout(Duration::from_millis(50), woken).await;
            }
        }
        publisher.flush().await.context("wait for acknowledgements")
    }))
}
