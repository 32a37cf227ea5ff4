//! RabbitMQ: a headers exchange, a queue for each connection, and a binding `x-match = all` for each filter, over `a`, `b` and the
//! number of the range that `c` lies in: equality is what bindings can say. Publications are confirmed, deliveries acknowledged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::sync::watch;

use crate::run::{Figures, Reader, Shared, judge};
use crate::workload::{Mark, RANGE_WIDTH};

const EXCHANGE: &str = "content";

/// Bindings under way at once while the filters are declared.
const BINDING_MAX: usize = 256;

/// Deliveries after which they are acknowledged; a queue holds back what is beyond the prefetch.
const ACKNOWLEDGE_EVERY: u64 = 64;
const PREFETCH: u16 = 1_000;

pub async fn measure(shared: Arc<Shared>, address: SocketAddr, measured: Duration) -> Result<Figures> {
    let (stop, stopped) = watch::channel(false);
    let (mut publishers, mut readers) = (Vec::new(), Vec::new());
    let mut connections = Vec::new();
    for connection in 0..shared.cells.connections {
        let opened = Connection::connect(&format!("amqp://guest:guest@{address}/%2f"), ConnectionProperties::default())
            .await
            .context("connect to RabbitMQ")?;
        let consumer = subscribe(&opened, connection, &shared)
            .await
            .with_context(|| format!("subscribe on connection {connection}"))?;
        readers.push(tokio::spawn(receive(consumer, connection, Arc::clone(&shared), stopped.clone())));
        connections.push(opened);
    }
    for (connection, opened) in (0..).zip(&connections) {
        let channel = opened.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        publishers.push(tokio::spawn(publish(channel, connection, Arc::clone(&shared))));
    }
    judge(&shared, measured, publishers, readers, stop).await
}

/// The headers of a cell.
fn headers([a, b, range]: [u32; 3]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in [("a", a), ("b", b), ("range", range)] {
        table.insert(name.into(), AMQPValue::LongUInt(value));
    }
    table
}

async fn subscribe(opened: &Connection, connection: u64, shared: &Shared) -> Result<Consumer> {
    let channel = opened.create_channel().await?;
    let exchange = ExchangeDeclareOptions { auto_delete: false, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Headers, exchange, FieldTable::default()).await?;
    let queue = format!("load-{connection}");
    let exclusive = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), exclusive, FieldTable::default()).await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let bindings = shared.cells.filters_of(connection).map(|filter| {
        let mut arguments = headers(shared.cells.coordinates(filter));
        arguments.insert("x-match".into(), AMQPValue::LongString(LongString::from("all")));
        let (channel, queue) = (&channel, queue.as_str());
        async move {
            channel.queue_bind(queue.into(), EXCHANGE.into(), "".into(), QueueBindOptions::default(), arguments).await
        }
    });
    let mut bound = futures_util::stream::iter(bindings).buffer_unordered(BINDING_MAX);
    while let Some(outcome) = bound.next().await {
        outcome.context("bind a filter")?;
    }
    let consumer = channel
        .basic_consume(queue.as_str().into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    Ok(consumer)
}

async fn publish(channel: Channel, connection: u64, shared: Arc<Shared>) -> Result<()> {
    let mut random = SmallRng::seed_from_u64(connection);
    let mut confirms = FuturesUnordered::new();
    while let Some(due) = shared.due(connection).await {
        for _ in 0..due {
            let mark = shared.next(connection, &mut random);
            let properties = BasicProperties::default().with_headers(headers([mark.a, mark.b, mark.c / RANGE_WIDTH]));
            let confirm = channel
                .basic_publish(EXCHANGE.into(), "".into(), BasicPublishOptions::default(), &mark.write(), properties)
                .await
                .context("publish")?;
            confirms.push(confirm);
        }
        while let Some(Some(confirmed)) = confirms.next().now_or_never() {
            confirmed.context("a publication was not confirmed")?;
        }
    }
    while let Some(confirmed) = confirms.next().await {
        confirmed.context("a publication was not confirmed")?;
    }
    Ok(())
}

async fn receive(
    mut consumer: Consumer,
    connection: u64,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) -> Result<Reader> {
    let mut reader = Reader::new(&shared.cells)?;
    let mut unacknowledged = 0;
    loop {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery.context("the consumer ended")?.context("receive")?,
            _ = stopped.changed() => return Ok(reader),
        };
        let mark = Mark::read(&delivery.data)?;
        shared.matched(connection, &mark, &mut reader);
        shared.read(&mark);
        unacknowledged += 1;
        if unacknowledged >= ACKNOWLEDGE_EVERY {
            unacknowledged = 0;
            delivery.acker.ack(BasicAckOptions { multiple: true }).await.context("acknowledge")?;
        }
    }
}
