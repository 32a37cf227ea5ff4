//! How a session is attached.

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::session::SlowPolicy;
use tokio::sync::oneshot;

use super::machine::{Acknowledgement, Machine};
use super::{Deliveries, Handle, Session, Shared, supervise};
use crate::backoff::Reconnect;
use crate::connection::Connector;
use crate::error::SessionError;

/// How long a session without a name outlives its connection: time to connect again.
const UNNAMED_EXPIRES_AFTER: Duration = Duration::from_secs(30);

/// What a session asks of the cluster at each attach.
#[derive(Clone, Debug)]
pub(super) struct AttachOptions {
    pub(super) name: String,
    /// This process, or rather this use of the session in it.
    pub(super) process: u64,
    pub(super) outbox_bytes_max: u64,
    pub(super) outbox_notifications_max: u64,
    pub(super) slow: Option<SlowPolicy>,
    pub(super) expires_after: Option<Duration>,
    pub(super) count_only: bool,
}

/// How a session is attached; made by [`crate::Client::session`].
#[derive(Debug)]
pub struct SessionBuilder {
    connector: Arc<Connector>,
    reconnect: Reconnect,
    attach: AttachOptions,
    acknowledgement: Acknowledgement,
    window: u64,
}

impl SessionBuilder {
    pub(crate) fn new(connector: Arc<Connector>, reconnect: Reconnect, name: String) -> Self {
        let unnamed = name.is_empty();
        // A name of our own lets an unnamed session resume after a broken connection.
        let name = if unnamed { format!("unnamed-{:016x}", rand::random::<u64>()) } else { name };
        let attach = AttachOptions {
            name,
            process: rand::random::<u64>().max(1),
            outbox_bytes_max: 0,
            outbox_notifications_max: 0,
            slow: None,
            expires_after: unnamed.then_some(UNNAMED_EXPIRES_AFTER),
            count_only: false,
        };
        Self { connector, reconnect, attach, acknowledgement: Acknowledgement::Automatic, window: 4_096 }
    }

    /// How much the cluster keeps for the session while it does not take it. By default what the cluster is configured to.
    #[must_use]
    pub fn outbox(mut self, notifications_max: u64, bytes_max: u64) -> Self {
        self.attach.outbox_notifications_max = notifications_max;
        self.attach.outbox_bytes_max = bytes_max;
        self
    }

    /// What happens when that is full. By default the oldest notifications are dropped, and [`crate::Event::Gap`] tells it.
    #[must_use]
    pub fn slow_policy(mut self, policy: SlowPolicy) -> Self {
        self.attach.slow = Some(policy);
        self
    }

    /// How long the session lives on while no process is attached. Zero: it ends with the connection, and a broken
    /// connection loses what was published meanwhile.
    #[must_use]
    pub fn expires_after(mut self, after: Duration) -> Self {
        self.attach.expires_after = Some(after);
        self
    }

    /// Notifications tell only how many subscriptions they satisfied.
    #[must_use]
    pub fn count_only(mut self) -> Self {
        self.attach.count_only = true;
        self
    }

    /// When a notification counts as processed; what is not is delivered again to the next process. By default
    /// [`Acknowledgement::Automatic`].
    #[must_use]
    pub fn acknowledgement(mut self, acknowledgement: Acknowledgement) -> Self {
        self.acknowledgement = acknowledgement;
        self
    }

    /// How many notifications may be on their way or unfinished in this process. By default 4,096.
    #[must_use]
    pub fn window(mut self, notifications: u64) -> Self {
        self.window = notifications.max(1);
        self
    }

    /// Attaches: creates the session or takes it over. Returns when it stands and its subscriptions are known.
    pub async fn attach(self) -> Result<(Session, Deliveries), SessionError> {
        let (attached, outcome) = oneshot::channel();
        let machine = Machine::new(self.acknowledgement, self.window);
        let shared = Arc::new(Shared::new(self.attach, machine, attached));
        let handle = Arc::new(Handle { shared: shared.clone() });
        tokio::spawn(supervise(shared, self.connector, self.reconnect));
        match outcome.await {
            Ok(Ok(())) => Ok((Session { handle: handle.clone() }, Deliveries { handle })),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(SessionError::Unavailable("the runtime is shutting down".into())),
        }
    }
}
