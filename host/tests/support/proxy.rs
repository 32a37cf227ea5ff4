//! A TCP proxy that can cut every connection through it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

pub struct Proxy {
    pub address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Proxy {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("any port");
        let address = listener.local_addr().expect("bound");
        let target: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let connections: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let (to, all) = (target.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((mut incoming, _)) = listener.accept().await {
                let to = *to.lock().expect("no panic");
                let forward = tokio::spawn(async move {
                    let Some(to) = to else { return };
                    if let Ok(mut outgoing) = TcpStream::connect(to).await {
                        drop(tokio::io::copy_bidirectional(&mut incoming, &mut outgoing).await);
                    }
                });
                all.lock().expect("no panic").push(forward.abort_handle());
            }
        });
        Self { address, target, connections }
    }

    pub fn target(&self, target: SocketAddr) {
        *self.target.lock().expect("no panic") = Some(target);
    }

    /// Cuts every connection; says how many there were.
    pub fn cut(&self) -> usize {
        let connections = std::mem::take(&mut *self.connections.lock().expect("no panic"));
        let open = connections.iter().filter(|connection| !connection.is_finished()).count();
        connections.iter().for_each(AbortHandle::abort);
        open
    }
}
