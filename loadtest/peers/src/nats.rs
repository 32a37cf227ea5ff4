//! NATS: one subject, everybody subscribes to it, and each client looks a message's values up among its own filters. The text
//! protocol over a plain socket, in frames: no client library between us and what NATS can do.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, BytesMut};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, watch};

use crate::run::{Figures, Reader, Shared, judge};
use crate::workload::{MESSAGE_BYTES, Mark, RANGE_WIDTH};

/// Most messages written at once.
const FRAME: u64 = 256;

pub async fn measure(shared: Arc<Shared>, address: SocketAddr, measured: Duration) -> Result<Figures> {
    let (stop, stopped) = watch::channel(false);
    let (mut publishers, mut readers, mut writers) = (Vec::new(), Vec::new(), Vec::new());
    for connection in 0..shared.cells.connections {
        let stream = TcpStream::connect(address).await.context("connect to NATS")?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let mut subscriber = Subscriber::new(connection, Arc::clone(&shared), read, write);
        subscriber.open().await.with_context(|| format!("subscribe on connection {connection}"))?;
        writers.push(Arc::clone(&subscriber.write));
        readers.push(tokio::spawn(subscriber.receive(stopped.clone())));
    }
    for (connection, write) in (0..).zip(writers) {
        publishers.push(tokio::spawn(publish(connection, Arc::clone(&shared), write)));
    }
    judge(&shared, measured, publishers, readers, stop).await
}

async fn publish(connection: u64, shared: Arc<Shared>, write: Arc<Mutex<OwnedWriteHalf>>) -> Result<()> {
    let mut random = SmallRng::seed_from_u64(connection);
    let head = format!("PUB content {MESSAGE_BYTES}\r\n");
    let mut frame = Vec::new();
    while let Some(due) = shared.due(connection).await {
        frame.clear();
        for _ in 0..due.min(FRAME) {
            frame.extend_from_slice(head.as_bytes());
            frame.extend_from_slice(&shared.next(connection, &mut random).write());
            frame.extend_from_slice(b"\r\n");
        }
        write.lock().await.write_all(&frame).await.context("the connection ended")?;
    }
    Ok(())
}

struct Subscriber {
    connection: u64,
    shared: Arc<Shared>,
    read: OwnedReadHalf,
    write: Arc<Mutex<OwnedWriteHalf>>,
    buffer: BytesMut,
    /// a, b and the number of the range: what its filters come to. Quicker than any evaluation of them.
    filters: HashSet<[u32; 3]>,
}

impl Subscriber {
    fn new(connection: u64, shared: Arc<Shared>, read: OwnedReadHalf, write: OwnedWriteHalf) -> Self {
        let filters = shared.cells.filters_of(connection).map(|filter| shared.cells.coordinates(filter)).collect();
        let write = Arc::new(Mutex::new(write));
        Self { connection, shared, read, write, buffer: BytesMut::with_capacity(1 << 16), filters }
    }

    /// Subscribes, and waits until that counts.
    async fn open(&mut self) -> Result<()> {
        let hello = b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB content 1\r\nPING\r\n";
        self.write.lock().await.write_all(hello).await?;
        loop {
            let line = self.line().await?;
            match line.as_str() {
                "PONG" => return Ok(()),
                "PING" => self.write.lock().await.write_all(b"PONG\r\n").await?,
                _ if line.starts_with("INFO ") => {}
                _ => bail!("NATS says {line}"),
            }
        }
    }

    async fn receive(mut self, mut stopped: watch::Receiver<bool>) -> Result<Reader> {
        let mut reader = Reader::new(&self.shared.cells)?;
        loop {
            let line = tokio::select! {
                line = self.line() => line?,
                _ = stopped.changed() => return Ok(reader),
            };
            if line == "PING" {
                self.write.lock().await.write_all(b"PONG\r\n").await?;
                continue;
            }
            let Some(bytes) = line.strip_prefix("MSG ").and_then(|line| line.rsplit(' ').next()) else {
                bail!("NATS says {line}");
            };
            let bytes = bytes.parse::<usize>().context("read the length of a message")?;
            while self.buffer.len() < bytes + 2 {
                self.fill().await?;
            }
            let mark = Mark::read(&self.buffer[..bytes])?;
            self.buffer.advance(bytes + 2);
            if self.filters.contains(&[mark.a, mark.b, mark.c / RANGE_WIDTH]) {
                self.shared.matched(self.connection, &mark, &mut reader);
            }
            self.shared.read(&mark);
        }
    }

    /// A line without its end. Nothing is lost if this is dropped while it waits.
    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8(self.buffer[..end].to_vec()).context("a line that is no text")?;
                self.buffer.advance(end + 2);
                return Ok(line);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        self.buffer.reserve(1 << 16);
        let read = self.read.read_buf(&mut self.buffer).await.context("the connection ended")?;
        anyhow::ensure!(read > 0, "NATS closed the connection");
        Ok(())
    }
}
