//! `gomera demo`: a city and this machine publish, a few dozen subscribers listen, and every delivery is checked.

mod audience;
mod city;
mod machine;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use gomera_client::Client;
use gomera_model::Filter;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::InProcess;
use crate::exit::{Failure, Outcome, Reason};
use crate::signals;
use crate::summary::Changes;
use crate::trial::{Subscriber, Trial, TrialPublisher};
use crate::view::View;
use audience::{COURIER, DESK_FILTERS, TRAFFIC_DESK};
use city::Device;
use machine::Machine;

/// Client connections that the devices share, as they would share gateways, and those of the audience.
const GATEWAYS: usize = 6;
const AUDIENCE_CLIENTS: usize = 4;
/// How often the courier tells where it is.
const COURIER_STEP: Duration = Duration::from_millis(200);
/// How often the traffic desk changes its mind.
const DESK_STEP: Duration = Duration::from_millis(900);
/// How often the machine is measured.
const MACHINE_STEP: Duration = Duration::from_millis(500);

/// `gomera demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// The city's seed: the same seed, the same city
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long to publish
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Publications a second, all devices together
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Road sensors and weather stations
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    devices: u32,
    /// Print one JSON object: `published delivered missing duplicated reordered latency_us subscribers …`
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub async fn run(demo: Demo) -> Outcome {
    let cluster = InProcess::start().await?;
    let outcome = play(&demo, &cluster).await;
    cluster.stop().await;
    outcome
}

async fn play(demo: &Demo, cluster: &InProcess) -> Outcome {
    let lasts = Duration::from_secs(demo.seconds);
    let mut trial = Trial::begin();
    let listeners = audience::listeners();
    let mut clients = Vec::new();
    for _ in 0..AUDIENCE_CLIENTS {
        clients.push(connect(cluster).await?);
    }
    let (mut courier, mut desk) = (None, None);
    for (index, listener) in listeners.iter().enumerate() {
        let filters = listener.filters.iter().enumerate();
        let filters: Vec<(String, Filter)> =
            filters.map(|(number, filter)| (format!("{}-{number}", listener.name), audience::parse(filter))).collect();
        let client = &clients[index % clients.len()];
        let subscriber = trial.subscriber(client, listener.name, &filters, listener.context.clone()).await?;
        match listener.name {
            COURIER => courier = Some(subscriber),
            TRAFFIC_DESK => desk = Some(subscriber),
            _ => {}
        }
    }

    let count = usize::try_from(demo.devices).expect("clap limits it");
    let mut gateways: Vec<Vec<(Device, TrialPublisher, usize)>> = (0..GATEWAYS).map(|_| Vec::new()).collect();
    let mut gateway_clients = Vec::new();
    for _ in 0..GATEWAYS {
        gateway_clients.push(connect(cluster).await?);
    }
    for (index, device) in city::devices(demo.seed, count).into_iter().enumerate() {
        let publisher = trial.publisher(&gateway_clients[index % GATEWAYS], &device.name).await?;
        gateways[index % GATEWAYS].push((device, publisher, index));
    }
    let machine = Machine::new();
    let machine_publisher = trial.publisher(&gateway_clients[0], &machine.name()).await?;

    let title = format!(
        "gomera demo · {} devices and this machine · {} subscribers · one process, gRPC over {}",
        demo.devices,
        listeners.len(),
        cluster.endpoint()
    );
    let names = listeners.iter().map(|listener| listener.name.to_owned()).collect();
    let view = View::open(title, names, Some(lasts), demo.json);

    let (stop, stopped) = watch::channel(false);
    let run = Run { began: Instant::now(), lasts, stopped };
    let interval = Duration::from_secs(1).mul_f64(f64::from(demo.devices) / f64::from(demo.rate));
    let mut tasks = JoinSet::new();
    for gateway in gateways {
        tasks.spawn(publish(run.clone(), gateway, interval, count));
    }
    tasks.spawn(measure(run.clone(), machine, machine_publisher));
    let (moves, minds) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    if let Some(courier) = courier {
        tasks.spawn(travel(run.clone(), courier, moves.clone()));
    }
    if let Some(desk) = desk {
        tasks.spawn(change_mind(run.clone(), desk, minds.clone()));
    }

    let watch = trial.watch();
    let mut interrupted = signals::interrupted();
    let mut outcome = Ok(());
    let mut redraw = tokio::time::interval(view.pace());
    loop {
        tokio::select! {
            done = tasks.join_next() => match done {
                None => break,
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(failure))) => {
                    outcome = Err(failure);
                    // Everybody else stops as well.
                    stop.send_replace(true);
                }
                Some(Err(panic)) => {
                    outcome = Err(Failure::new(Reason::Internal, panic));
                    stop.send_replace(true);
                }
            },
            _ = redraw.tick() => {
                let hour = city::hour(run.share());
                let (whole, part) = (hour.trunc(), hour.fract() * 60.0);
                view.draw(&watch.look(), &format!("it is {whole:02.0}:{part:02.0} in the city"));
                if watch.is_troubled() {
                    stop.send_replace(true);
                }
            }
            () = &mut interrupted => { stop.send_replace(true); }
        }
    }
    outcome?;
    let summary = tokio::select! {
        summary = trial.finish() => summary,
        () = signals::told_again() => Err(Failure::say(Reason::Unavailable, "told to stop a second time: not everything is checked")),
    };
    drop(view);
    let changes = Changes { context: moves.load(Ordering::Relaxed), filter: minds.load(Ordering::Relaxed) };
    summary?.with_seed(demo.seed).with_changes(changes).conclude(demo.json)
}

async fn connect(cluster: &InProcess) -> Outcome<Client> {
    Client::connect([cluster.endpoint()]).await.map_err(Failure::unavailable)
}

/// The time everybody plays by.
#[derive(Clone, Debug)]
struct Run {
    began: Instant,
    lasts: Duration,
    stopped: watch::Receiver<bool>,
}

impl Run {
    /// How much of it has gone, 0 to 1.
    fn share(&self) -> f64 {
        self.share_at(Instant::now())
    }

    fn share_at(&self, moment: Instant) -> f64 {
        moment.saturating_duration_since(self.began).as_secs_f64() / self.lasts.as_secs_f64()
    }

    /// Waits for a moment; `false` if the run is over by then.
    async fn reaches(&mut self, moment: Instant) -> bool {
        if moment >= self.began + self.lasts || *self.stopped.borrow() {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep_until(moment.into()) => true,
            _ = self.stopped.changed() => false,
        }
    }
}

/// One gateway: its devices publish in turn, each once an interval.
async fn publish(
    mut run: Run,
    mut devices: Vec<(Device, TrialPublisher, usize)>,
    interval: Duration,
    of: usize,
) -> Outcome {
    let of = f64::from(u32::try_from(of).expect("clap limits it"));
    for round in 0_u32.. {
        for (device, publisher, index) in &mut devices {
            let phase = f64::from(u32::try_from(*index).expect("clap limits it")) / of;
            let scheduled = run.began + interval.mul_f64(f64::from(round) + phase);
            let early = Instant::now() < scheduled;
            if !run.reaches(scheduled).await {
                return Ok(());
            }
            let reading = device.reading(city::hour(run.share_at(scheduled)));
            // Latency counts from the schedule, but a timer that rings a millisecond late is not the cluster's.
            let due = if early { Instant::now() } else { scheduled };
            publisher.publish(reading, due).await?;
        }
        if devices.is_empty() {
            return Ok(());
        }
    }
    Ok(())
}

/// The machine tells of itself.
async fn measure(mut run: Run, mut machine: Machine, publisher: TrialPublisher) -> Outcome {
    let mut due = run.began;
    loop {
        due += MACHINE_STEP;
        if !run.reaches(due).await {
            return Ok(());
        }
        // Reading /proc takes a few milliseconds: not on a thread that serves others, and not part of the latency.
        let (measured, readings) = tokio::task::spawn_blocking(move || {
            let readings = machine.readings();
            (machine, readings)
        })
        .await
        .map_err(|error| Failure::new(Reason::Internal, error))?;
        machine = measured;
        for reading in readings {
            publisher.publish(reading, Instant::now()).await?;
        }
    }
}

/// The courier moves: its context changes, its filters do not.
async fn travel(mut run: Run, mut courier: Subscriber, moves: Arc<AtomicU64>) -> Outcome {
    let mut due = run.began;
    loop {
        due += COURIER_STEP;
        if !run.reaches(due).await {
            return Ok(());
        }
        courier.set_context(audience::courier(run.share())).await?;
        moves.fetch_add(1, Ordering::Relaxed);
    }
}

/// The traffic desk looks for something else now.
async fn change_mind(mut run: Run, mut desk: Subscriber, minds: Arc<AtomicU64>) -> Outcome {
    let mut due = run.began;
    for filter in DESK_FILTERS.iter().cycle().skip(1) {
        due += DESK_STEP;
        if !run.reaches(due).await {
            break;
        }
        desk.update(audience::parse(filter)).await?;
        minds.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
