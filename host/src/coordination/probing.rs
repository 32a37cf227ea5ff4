//! Asks nodes that something speaks against whether they are there: their port for links is opened and they have to begin to speak
//! HTTP/2, which a process that is stopped does not. A port that refuses has nobody behind it: whoever had it is dead.
//!
//! Runs beside the coordinator, which is never held up by a node that says nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::Incarnation;
use gomera_coordinator::Probe;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How a client of HTTP/2 begins (RFC 9113, section 3.4): a preface and a frame of settings, here an empty one.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// Who has not begun to answer by then is silent.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);

/// As long as somebody is suspected.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Whom something speaks against, and where they are.
pub(super) type Suspects = BTreeMap<Incarnation, Arc<str>>;

/// What came of asking those who are suspected now. Who answers does not stand there.
pub(super) type Probes = BTreeMap<Incarnation, Probe>;

/// Probes until it is dropped.
#[derive(Debug)]
pub(super) struct Probing {
    suspects: watch::Sender<Suspects>,
    probes: watch::Receiver<Probes>,
    task: JoinHandle<()>,
}

impl Probing {
    /// Begins, with nobody suspected.
    pub(super) fn start() -> Self {
        let (suspects, asked) = watch::channel(Suspects::new());
        let (told, probes) = watch::channel(Probes::new());
        Self { suspects, probes, task: tokio::spawn(run(asked, told)) }
    }

    /// These are suspected now, and nobody else.
    pub(super) fn suspect(&self, suspects: Suspects) {
        self.suspects.send_if_modified(|before| {
            let changed = *before != suspects;
            *before = suspects;
            changed
        });
    }

    /// What came of it; the receiver is told of every change.
    pub(super) fn probes(&self) -> watch::Receiver<Probes> {
        self.probes.clone()
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(mut asked: watch::Receiver<Suspects>, told: watch::Sender<Probes>) {
    loop {
        let suspects = asked.borrow_and_update().clone();
        let asking: JoinSet<_> = suspects
            .iter()
            .map(|(&node, address)| {
                let address = address.clone();
                async move { (node, probe(&address, GREETING).await) }
            })
            .collect();
        let probed = asking.join_all().await;
        let probes: Probes = probed.into_iter().filter_map(|(node, probe)| Some((node, probe?))).collect();
        told.send_if_modified(|before| {
            let changed = *before != probes;
            *before = probes;
            changed
        });
        let again = async {
            if suspects.is_empty() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        };
        tokio::select! {
            changed = asked.changed() => if changed.is_err() { return },
            () = again => {}
        }
    }
}

/// Asks one; `None` if it answers the greeting.
pub(super) async fn probe(address: &str, greeting: &[u8]) -> Option<Probe> {
    let answered = tokio::time::timeout(ANSWER_WITHIN, async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(greeting).await?;
        stream.read_u8().await
    });
    match answered.await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Some(Probe::Refused),
        Ok(Err(_)) | Err(_) => Some(Probe::Silent),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn who_speaks_is_there_who_is_stopped_is_silent_and_a_closed_port_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        // Connections are made by the system; nobody answers on them.
        assert_eq!(probe(&address, GREETING).await, Some(Probe::Silent));
        let speaking = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                drop(stream.write_all(&[0; 9]).await);
            }
        });
        assert_eq!(probe(&address, GREETING).await, None);
        speaking.abort();
        assert!(speaking.await.is_err(), "it was aborted");
        assert_eq!(probe(&address, GREETING).await, Some(Probe::Refused));
    }

    #[tokio::test]
    async fn probes_are_told_while_somebody_is_suspected() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address: Arc<str> = listener.local_addr().expect("it is bound").to_string().into();
        drop(listener);
        let probing = Probing::start();
        let mut probes = probing.probes();
        probing.suspect(Suspects::from([(Incarnation(1), address)]));
        let told = probes.wait_for(|probes| !probes.is_empty()).await.expect("it goes on").clone();
        assert_eq!(told, Probes::from([(Incarnation(1), Probe::Refused)]));
        probing.suspect(Suspects::new());
        probes.wait_for(Probes::is_empty).await.map(drop).expect("it goes on");
    }
}
