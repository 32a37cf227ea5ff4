//! `gomera pub`: publishes from the command line or from JSON lines.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use gomera_client::{Publication, PublishError, Ticket};
use gomera_model::attributes::AttributesBuilder;
use gomera_model::{AttributeLimits, Attributes};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::cell;
use crate::endpoint::{self, Endpoints};
use crate::exit::{Failure, Outcome, Reason};
use crate::lines::{self, Lines};
use crate::output;

/// Publications that wait to be acknowledged; then reading waits.
const UNACKNOWLEDGED_MAX: usize = 4_096;

/// Lines read ahead; each may be as long as a line may be.
const LINES_AHEAD: usize = 128;

/// An acknowledgement that takes longer is worth a word.
const PATIENCE: Duration = Duration::from_secs(3);

/// `gomera pub`
#[derive(Debug, Args)]
pub struct Publish {
    #[command(flatten)]
    endpoints: Endpoints,
    /// The publisher's name; what one publisher publishes is delivered in order
    #[arg(long, default_value = "gomera-pub", env = "GOMERA_PUBLISHER")]
    publisher: String,
    /// An attribute of one publication, typed by what it looks like; may be given several times
    #[arg(short, long = "attribute", value_name = "NAME=VALUE", conflicts_with = "file")]
    attributes: Vec<String>,
    /// The payload of one publication; JSON without attributes beside it becomes attributes
    #[arg(long, conflicts_with = "file", allow_hyphen_values = true)]
    payload: Option<String>,
    /// The payload's media type
    #[arg(long, default_value = "")]
    content_type: String,
    /// JSON lines to publish, one publication a line; `-` is standard input. The default without `--attribute` and `--payload`
    #[arg(long)]
    file: Option<PathBuf>,
    /// Print one JSON object: `published acknowledged refused`
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default, Serialize)]
struct Published {
    published: u64,
    acknowledged: u64,
    refused: u64,
}

/// Runs it.
pub async fn run(publish: Publish) -> Outcome {
    let single = single(&publish)?;
    let client = publish.endpoints.connect().await?;
    endpoint::tell_trouble(&client);
    let publisher = client.publisher(publish.publisher.clone()).open().await.map_err(Failure::unavailable)?;
    let (tickets, waiting) = mpsc::channel(UNACKNOWLEDGED_MAX);
    let collector = tokio::spawn(collect(waiting));
    let outcome = match single {
        Some(publication) => match publisher.publish(&publication).await {
            Ok(ticket) => tickets.send((1, ticket)).await.map_err(|error| Failure::new(Reason::Internal, error)),
            Err(error) => Err(refusal(1, error)),
        },
        None => {
            let path = publish.file.as_deref().unwrap_or(Path::new("-"));
            if path == Path::new("-") && std::io::stdin().is_terminal() {
                eprintln!("gomera: reading JSON lines from standard input, one publication a line; end with Ctrl-D");
            }
            let mut lines = read_ahead(path)?;
            loop {
                match lines.recv().await {
                    None => break Ok(()),
                    Some(Err(failure)) => break Err(failure),
                    Some(Ok((number, publication))) => match publisher.publish(&publication).await {
                        Ok(ticket) => {
                            // The collector goes only when this sender does.
                            let _alive = tickets.send((number, ticket)).await;
                        }
                        Err(error) => break Err(refusal(number, error)),
                    },
                }
            }
        }
    };
    drop(tickets);
    let (published, refused) = collector.await.map_err(|error| Failure::new(Reason::Internal, error))?;
    if publish.json {
        output::json(&published)?;
    } else {
        output::line(format!("acknowledged {} of {}", published.acknowledged, published.published))?;
    }
    outcome?;
    refused.map_or(Ok(()), Err)
}

/// The one publication that the command line describes, if it does.
fn single(publish: &Publish) -> Outcome<Option<Publication>> {
    if publish.attributes.is_empty() && publish.payload.is_none() {
        return Ok(None);
    }
    let payload = publish.payload.clone().unwrap_or_default();
    Ok(Some(Publication {
        attributes: attributes(&publish.attributes)?,
        payload: payload.into(),
        content_type: publish.content_type.as_str().into(),
        ..Publication::default()
    }))
}

fn attributes(pairs: &[String]) -> Outcome<Attributes> {
    let mut builder = AttributesBuilder::new(AttributeLimits::default());
    for pair in pairs {
        let Some((name, text)) = pair.split_once('=') else {
            return Err(Failure::say(Reason::Usage, format!("attribute `{pair}` has no `=`, must be NAME=VALUE")));
        };
        if pairs
            .iter()
            .filter(|other| other.split_once('=').is_some_and(|(same, _)| same.trim() == name.trim()))
            .count()
            > 1
        {
            return Err(Failure::say(Reason::Usage, format!("attribute `{}` is given twice", name.trim())));
        }
        if let Some(value) = cell::value(text) {
            builder.insert(name.trim(), value).map_err(Failure::data)?;
        }
    }
    Ok(builder.build())
}

/// Reads on a thread of its own: standard input may wait for a person.
fn read_ahead(path: &Path) -> Outcome<mpsc::Receiver<Outcome<(u64, Publication)>>> {
    let mut lines = Lines::new(lines::open(path)?);
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        loop {
            let read = match lines.next() {
                Ok(None) => return,
                // The cluster would flatten it alike; done here, an error names the line.
                Ok(Some(line)) => line.attributes().map(|attributes| {
                    let payload = bytes::Bytes::copy_from_slice(line.bytes);
                    let content_type = "application/json".into();
                    (line.number, Publication { attributes, payload, content_type, ..Publication::default() })
                }),
                Err(failure) => Err(failure),
            };
            let last = read.is_err();
            if sender.blocking_send(read).is_err() || last {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Counts acknowledgements; keeps the first refusal.
async fn collect(mut waiting: mpsc::Receiver<(u64, Ticket)>) -> (Published, Option<Failure>) {
    let (mut published, mut first) = (Published::default(), None);
    let mut is_told = false;
    while let Some((number, mut ticket)) = waiting.recv().await {
        published.published += 1;
        let outcome = match tokio::time::timeout(PATIENCE, &mut ticket).await {
            Ok(outcome) => outcome,
            Err(_) => {
                if !std::mem::replace(&mut is_told, true) {
                    eprintln!("gomera: still waiting for the cluster to acknowledge what was published");
                }
                ticket.await
            }
        };
        match outcome {
            Ok(()) => published.acknowledged += 1,
            Err(error) => {
                published.refused += 1;
                first.get_or_insert_with(|| refusal(number, error));
            }
        }
    }
    (published, first)
}

fn refusal(number: u64, error: PublishError) -> Failure {
    let reason = match error {
        PublishError::Invalid(_) | PublishError::Refused { .. } => Reason::Data,
        PublishError::Ended(_) | PublishError::Unavailable(_) => Reason::Unavailable,
    };
    Failure::new(reason, anyhow::Error::new(error).context(format!("publish line {number}")))
}
