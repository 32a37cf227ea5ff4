//! A queue between tasks that is filled and emptied in batches: whoever takes, takes everything. One lock a batch, one
//! wake-up however many things were put in before the taker came.
//!
//! There are two ways to put something in. Machines never wait: what they put in is bounded by the credit of the protocol.
//! Everything that reads from outside (client streams, links) waits for room first, so that a full mailbox becomes back-pressure
//! on a socket.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

/// What is left in it, and who waits.
#[derive(Debug)]
struct State<T> {
    items: Vec<T>,
    /// Sum of weights; the taker resets it.
    weight: usize,
    taker: Option<Waker>,
    closed: bool,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    room: Notify,
    weight_max: usize,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("nothing that holds this lock panics")
    }
}

/// Puts things in. Clones put into the same mailbox.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

/// Takes everything out. When it is dropped, the mailbox is closed: what is put in is dropped.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

/// The taker is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody takes any more")]
pub struct Closed;

/// An empty mailbox that has room until what is in it weighs `weight_max`.
#[must_use]
pub fn mailbox<T>(weight_max: usize) -> (Sender<T>, Receiver<T>) {
    let state = State { items: Vec::new(), weight: 0, taker: None, closed: false };
    let shared = Arc::new(Shared { state: Mutex::new(state), room: Notify::new(), weight_max });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

impl<T> Sender<T> {
    /// Puts one thing in, whether there is room or not. Dropped if the mailbox is closed.
    pub fn push(&self, item: T, weight: usize) {
        let mut state = self.shared.lock();
        if state.closed {
            return;
        }
        state.items.push(item);
        state.weight = state.weight.saturating_add(weight);
        let taker = state.taker.take();
        drop(state);
        if let Some(taker) = taker {
            taker.wake();
        }
    }

    /// Moves everything in, whether there is room or not; `items` is empty then.
    pub fn append(&self, items: &mut Vec<T>, weight: usize) {
        if items.is_empty() {
            return;
        }
        let mut state = self.shared.lock();
        if state.closed {
            drop(state);
            items.clear();
            return;
        }
        if state.items.is_empty() {
            std::mem::swap(&mut state.items, items);
        } else {
            state.items.append(items);
        }
        state.weight = state.weight.saturating_add(weight);
        let taker = state.taker.take();
        drop(state);
        if let Some(taker) = taker {
            taker.wake();
        }
    }

    /// Waits until there is room: whoever waited may then put one thing in. A crowd that waited may overfill it by one thing
    /// each.
    pub async fn room(&self) -> Result<(), Closed> {
        loop {
            let freed = self.shared.room.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            {
                let state = self.shared.lock();
                if state.closed {
                    return Err(Closed);
                }
                if state.weight < self.shared.weight_max {
                    return Ok(());
                }
            }
            freed.await;
        }
    }

    /// How many things are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.lock().items.len()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the taker is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }

    /// Whether both put into the same mailbox.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Receiver<T> {
    /// Takes everything there is into `into`, which must be empty; its room is used for what comes next. Ready once there was
    /// something.
    pub fn poll_take(&mut self, context: &mut Context<'_>, into: &mut Vec<T>) -> Poll<()> {
        debug_assert!(into.is_empty(), "what was taken before is done with");
        let mut state = self.shared.lock();
        if state.items.is_empty() {
            if !state.taker.as_ref().is_some_and(|taker| taker.will_wake(context.waker())) {
                state.taker = Some(context.waker().clone());
            }
            return Poll::Pending;
        }
        std::mem::swap(&mut state.items, into);
        let was_full = state.weight >= self.shared.weight_max;
        state.weight = 0;
        drop(state);
        if was_full {
            self.shared.room.notify_waiters();
        }
        Poll::Ready(())
    }

    /// Takes what there is without waiting; says whether there was something.
    pub fn try_take(&mut self, into: &mut Vec<T>) -> bool {
        self.poll_take(&mut Context::from_waker(Waker::noop()), into).is_ready()
    }

    /// Waits until there is something and takes it.
    pub async fn take(&mut self, into: &mut Vec<T>) {
        std::future::poll_fn(|context| self.poll_take(context, into)).await;
    }

    /// One more way to put into it.
    #[must_use]
    pub fn sender(&self) -> Sender<T> {
        Sender { shared: self.shared.clone() }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let items = std::mem::take(&mut state.items);
        drop(state);
        drop(items);
        self.shared.room.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn everything_is_taken_in_order_at_once() {
        let (sender, mut receiver) = mailbox(10);
        sender.push(1, 1);
        sender.append(&mut vec![2, 3], 2);
        let mut taken = Vec::new();
        receiver.take(&mut taken).await;
        assert_eq!(taken, [1, 2, 3]);
        assert!(sender.is_empty());
        taken.clear();
        assert!(!receiver.try_take(&mut taken));
    }

    #[tokio::test]
    async fn whoever_waits_for_room_goes_on_when_everything_is_taken() {
        let (sender, mut receiver) = mailbox(2);
        sender.push("a", 2);
        let waiting = tokio::spawn({
            let sender = sender.clone();
            async move {
                sender.room().await.expect("open");
                sender.push("b", 1);
            }
        });
        tokio::task::yield_now().await;
        assert_eq!(sender.len(), 1, "no room yet");
        let mut taken = Vec::new();
        receiver.take(&mut taken).await;
        assert_eq!(taken, ["a"]);
        taken.clear();
        tokio::time::timeout(Duration::from_secs(5), receiver.take(&mut taken)).await.expect("room was made");
        assert_eq!(taken, ["b"]);
        waiting.await.expect("done");
    }

    #[tokio::test]
    async fn a_taker_that_is_gone_closes_the_mailbox() {
        let (sender, receiver) = mailbox(0);
        let waiting = tokio::spawn({
            let sender = sender.clone();
            async move { sender.room().await }
        });
        tokio::task::yield_now().await;
        drop(receiver);
        assert_eq!(waiting.await.expect("done"), Err(Closed));
        sender.push(1, 1);
        assert!(sender.is_empty() && sender.is_closed(), "dropped");
    }
}
