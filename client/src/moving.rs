//! Moving to another connection point, because this one is to leave: the other connection is made while the old one is still served,
//! and only when it stands does the stream go over. The old stream is kept open, though nobody reads it, until the new one is accepted:
//! were it closed before, the cluster would take the client for gone.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::connection::Connector;

/// The other connection, while it is made.
#[derive(Debug, Default)]
pub(crate) struct Moving {
    connecting: Option<JoinHandle<bool>>,
}

impl Moving {
    /// Begins to connect elsewhere; who is asked twice goes on with the first.
    pub(crate) fn begin(&mut self, connector: Arc<Connector>, left: u64, endpoints: Vec<String>) {
        if self.connecting.is_none() {
            let connect = async move { connector.move_to(left, endpoints).await.is_some() };
            self.connecting = Some(tokio::spawn(connect));
        }
    }

    /// Whether it is being made.
    pub(crate) fn is_under_way(&self) -> bool {
        self.connecting.is_some()
    }

    /// Waits until it stands or cannot be made; says whether it stands. If not, the old one is used for as long as it is served.
    pub(crate) async fn stands(&mut self) -> bool {
        let Some(connecting) = &mut self.connecting else { return false };
        let stands = connecting.await.unwrap_or(false);
        self.connecting = None;
        stands
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        if let Some(connecting) = &self.connecting {
            connecting.abort();
        }
    }
}
