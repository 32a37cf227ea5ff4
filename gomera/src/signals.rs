//! Being told to stop: SIGINT from a terminal, SIGTERM from whoever supervises, who will start another one.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// Ready once, when the process is told to stop. From the call on, the signals no longer end the process by themselves.
///
/// # Panics
/// If the system refuses to deliver signals, which no caller could mend.
pub fn interrupted() -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be caught");
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be caught");
    let mut told = false;
    Box::pin(std::future::poll_fn(move |context| {
        if told {
            return std::task::Poll::Pending;
        }
        if interrupt.poll_recv(context).is_ready() || terminate.poll_recv(context).is_ready() {
            told = true;
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    }))
}

/// One order to stop may come as two signals: `timeout` sends one to the process and one to its group.
const ONE_ORDER: Duration = Duration::from_millis(300);

/// Ready when the process is told to stop once more, after it has been told and is stopping.
pub async fn told_again() {
    tokio::time::sleep(ONE_ORDER).await;
    interrupted().await;
}

/// What a process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// To end: SIGINT, or whoever started it closes the pipe or dies.
    Stop,
    /// To give up what it holds first: SIGTERM.
    Leave,
}

/// Ready once, when the process is told something. From the call on, the signals no longer end the process by themselves. A
/// supervised process is told to stop by SIGTERM too, and by the end of its standard input.
///
/// # Panics
/// As [`interrupted`].
pub fn ordered(supervised: bool) -> Pin<Box<dyn Future<Output = Order> + Send>> {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be caught");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be caught");
    Box::pin(async move {
        if supervised {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = crate::node::until_input_ends() => {}
            }
            return Order::Stop;
        }
        tokio::select! {
            _ = interrupt.recv() => Order::Stop,
            _ = terminate.recv() => Order::Leave,
        }
    })
}
