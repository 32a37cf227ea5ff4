//! `gomera replay`: a table or JSON lines of the user's own, published row by row and checked like the demo.

mod rows;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use gomera_client::Client;
use gomera_model::{Attributes, Filter};
use tokio::sync::mpsc;

use crate::cluster::InProcess;
use crate::exit::{Failure, Outcome, Reason};
use crate::filter;
use crate::signals;
use crate::trial::{Trial, TrialPublisher};
use crate::view::View;
use rows::{Row, Rows};

/// Publishers that one file may name: each is a stream.
const PUBLISHERS_MAX: usize = 1_000;
/// Rows read ahead; each may be as long as a line may be.
const ROWS_AHEAD: usize = 128;
/// Publishers that share a connection.
const PUBLISHERS_PER_CLIENT: usize = 64;

/// `gomera replay`
#[derive(Debug, Args)]
pub struct Replay {
    /// A CSV file with a header line, or JSON lines; `-` is standard input
    file: PathBuf,
    /// Subscribe with this filter; may be given several times. Without one: everything
    #[arg(long = "filter", value_name = "EXPR")]
    filters: Vec<String>,
    /// The subscribers' context, what filters see as `$name`: a JSON object
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
    /// Rows with the same value in this column are published, in order, by one publisher of that name
    #[arg(long, value_name = "NAME")]
    publisher_column: Option<String>,
    /// Publications a second; 0: as fast as they are taken
    #[arg(long, default_value_t = 5_000)]
    rate: u32,
    /// Stop after so many rows
    #[arg(long, value_name = "ROWS")]
    limit: Option<u64>,
    /// What the file is; by default what its name or its first character says
    #[arg(long)]
    format: Option<Format>,
    /// A cluster to use (a connection point); may be given several times. Without one: a cluster in this process
    #[arg(long = "endpoint", value_name = "URL", env = "GOMERA_ENDPOINT")]
    endpoints: Vec<String>,
    /// Print one JSON object: `published delivered missing duplicated reordered latency_us subscribers …`
    #[arg(long)]
    json: bool,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values; the first line names the columns
    Csv,
    /// One JSON value a line
    Jsonl,
}

/// Runs it.
pub async fn run(replay: Replay) -> Outcome {
    let texts: &[String] = if replay.filters.is_empty() { &["TRUE".to_owned()] } else { &replay.filters };
    let filters = texts.iter().map(|text| filter::parse(text)).collect::<Outcome<Vec<_>>>()?;
    let context = replay.context.as_deref().map(filter::parse_context).transpose()?.unwrap_or_default();
    let rows = Rows::open(&replay.file, replay.format, replay.publisher_column.clone())?;
    if replay.endpoints.is_empty() {
        let cluster = InProcess::start().await?;
        let outcome = play(&replay, rows, filters, context, &[cluster.endpoint()]).await;
        cluster.stop().await;
        outcome
    } else {
        let endpoints = replay.endpoints.clone();
        play(&replay, rows, filters, context, &endpoints).await
    }
}

async fn play(replay: &Replay, rows: Rows, filters: Vec<Filter>, context: Attributes, endpoints: &[String]) -> Outcome {
    let mut trial = Trial::begin();
    let audience = connect(endpoints).await?;
    let mut names = Vec::new();
    for (index, filter) in filters.into_iter().enumerate() {
        let name = format!("filter-{}", index + 1);
        trial.subscriber(&audience, &name, &[(name.clone(), filter)], context.clone()).await?;
        names.push(name);
    }
    let mut rows = read_ahead(rows, replay.limit);
    let view = View::open(
        format!("gomera replay {} over {}", replay.file.display(), endpoints.join(", ")),
        names,
        None,
        replay.json,
    );
    let mut interrupted = signals::interrupted();
    let watch = trial.watch();
    let mut redraw = tokio::time::interval(view.pace());
    let mut publishers = Publishers::new(endpoints, &replay.file);
    let began = Instant::now();
    let mut count = 0_u32;
    let outcome = loop {
        let row = tokio::select! {
            row = rows.recv() => row,
            _ = redraw.tick() => {
                view.draw(&watch.look(), "");
                if watch.is_troubled() { break Ok(()) }
                continue;
            }
            () = &mut interrupted => break Ok(()),
        };
        let row = match row {
            None => break Ok(()),
            Some(Err(failure)) => break Err(failure),
            Some(Ok(row)) => row,
        };
        let scheduled = match replay.rate {
            0 => Instant::now(),
            rate => began + Duration::from_secs(1).mul_f64(f64::from(count) / f64::from(rate)),
        };
        count = count.saturating_add(1);
        let early = scheduled > Instant::now();
        if early {
            view.draw_between(&watch, &mut redraw, scheduled).await;
        }
        // As in the demo: a timer that rings late is not the cluster's.
        let scheduled = if early { Instant::now() } else { scheduled };
        let publisher = publishers.get(&mut trial, row.publisher).await?;
        publisher.publish(row.attributes, scheduled).await?;
    };
    drop(publishers);
    // Whoever reads ahead stops at its next row.
    drop(rows);
    let summary = tokio::select! {
        summary = trial.finish() => summary,
        () = signals::told_again() => Err(Failure::say(Reason::Unavailable, "told to stop a second time: not everything is checked")),
    };
    drop(view);
    outcome?;
    let summary = summary?;
    if count == 0 {
        return Err(Failure::say(Reason::Data, format!("there is no row in {}", replay.file.display())));
    }
    summary.conclude(replay.json)
}

async fn connect(endpoints: &[String]) -> Outcome<Client> {
    Client::connect(endpoints.iter().cloned()).await.map_err(Failure::unavailable)
}

/// Reads on a thread of its own: a file may be slow, standard input may wait for a person.
fn read_ahead(mut rows: Rows, limit: Option<u64>) -> mpsc::Receiver<Outcome<Row>> {
    let (sender, receiver) = mpsc::channel(ROWS_AHEAD);
    std::thread::spawn(move || {
        let mut left = limit.unwrap_or(u64::MAX);
        while left > 0 {
            left -= 1;
            match rows.next() {
                Ok(None) => return,
                Ok(Some(row)) => {
                    if sender.blocking_send(Ok(row)).is_err() {
                        return;
                    }
                }
                Err(failure) => {
                    let _nobody_reads = sender.blocking_send(Err(failure));
                    return;
                }
            }
        }
    });
    receiver
}

/// The publishers that the rows have named so far.
struct Publishers<'a> {
    endpoints: &'a [String],
    default_name: String,
    by_name: HashMap<String, TrialPublisher>,
    clients: Vec<Client>,
}

impl<'a> Publishers<'a> {
    fn new(endpoints: &'a [String], file: &Path) -> Self {
        let stem = file.file_stem().filter(|stem| *stem != "-");
        let default_name = stem.map_or_else(|| "replay".into(), |stem| stem.to_string_lossy().into_owned());
        Self { endpoints, default_name, by_name: HashMap::new(), clients: Vec::new() }
    }

    async fn get(&mut self, trial: &mut Trial, name: Option<String>) -> Outcome<&TrialPublisher> {
        let name = name.unwrap_or_else(|| self.default_name.clone());
        if !self.by_name.contains_key(&name) {
            if self.by_name.len() >= PUBLISHERS_MAX {
                return Err(Failure::say(
                    Reason::Data,
                    format!(
                        "the publisher column names more than {PUBLISHERS_MAX} publishers, must be at most {PUBLISHERS_MAX}"
                    ),
                ));
            }
            if self.by_name.len().is_multiple_of(PUBLISHERS_PER_CLIENT) {
                self.clients.push(connect(self.endpoints).await?);
            }
            let client = self.clients.last().expect("the first publisher brings the first client");
            let publisher = trial.publisher(client, &name).await?;
            self.by_name.insert(name.clone(), publisher);
        }
        Ok(self.by_name.get(&name).expect("put there if it was missing"))
    }
}
