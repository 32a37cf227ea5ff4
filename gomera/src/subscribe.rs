//! `gomera sub`: prints what satisfies a filter.

use std::time::Duration;

use clap::{Args, ValueEnum};
use gomera_client::{
    Acknowledgement, Deliveries, Event, Notification, OperationError, Publication, Session, SessionError, SlowPolicy,
};
use gomera_model::Attributes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::endpoint::{self, Endpoints};
use crate::exit::{Failure, Outcome, Reason};
use crate::filter;
use crate::output;
use crate::signals;

/// The id of the one subscription of this command.
const SUBSCRIPTION: &str = "gomera-sub";
/// Taken at once.
const BATCH: usize = 256;

/// How long the cluster may take to end the session.
const END_WITHIN: Duration = Duration::from_secs(2);

/// `gomera sub`
#[derive(Debug, Args)]
pub struct Subscribe {
    /// The filter, as in `gomera filter check`
    #[arg(value_name = "FILTER", allow_hyphen_values = true)]
    filter: String,
    #[command(flatten)]
    endpoints: Endpoints,
    /// A session that outlives this command: what comes meanwhile is kept, and the next `gomera sub` with this name gets it
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// The subscriber's context, what the filter sees as `$name`: a JSON object
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
    /// End after so many notifications
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// What happens if this command does not keep up
    #[arg(long, default_value = "drop-oldest")]
    slow: Slow,
    /// Print one JSON object a line: `publisher sequence accepted redelivered attributes payload`, or `gap`
    #[arg(long)]
    json: bool,
}

/// What happens to a subscriber that does not keep up.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Slow {
    /// The oldest notifications are dropped, and it is told
    DropOldest,
    /// It is disconnected
    Disconnect,
    /// Publishers wait for it, for at most a second
    Block,
}

#[derive(Serialize)]
struct Line<'a> {
    publisher: &'a str,
    sequence: u64,
    accepted: String,
    redelivered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    attributes: &'a Attributes,
    #[serde(skip_serializing_if = "str::is_empty")]
    content_type: &'a str,
    payload: Payload<'a>,
}

/// JSON as it is, text as a string, other bytes as a string of hexadecimal digits.
#[derive(Serialize)]
#[serde(untagged)]
enum Payload<'a> {
    None,
    Json(&'a RawValue),
    Text(&'a str),
    Binary { hex: String },
}

#[derive(Serialize)]
struct GapLine {
    gap: u64,
}

/// Runs it.
pub async fn run(subscribe: Subscribe) -> Outcome {
    let filter = filter::parse(&subscribe.filter)?;
    let context = subscribe.context.as_deref().map(filter::parse_context).transpose()?;
    filter::hint(&subscribe.filter, &filter);
    if subscribe.session.is_none() {
        let given = |name: &str| context.as_ref().is_some_and(|context| context.get(name).is_some());
        for name in filter.context_names().iter().filter(|name| !given(name)) {
            eprintln!("gomera: hint: the filter reads ${name}, which is unknown: give it with --context");
        }
    }
    let mut interrupted = signals::interrupted();
    let client = subscribe.endpoints.connect().await?;
    endpoint::tell_trouble(&client);
    let policy = match subscribe.slow {
        Slow::DropOldest => SlowPolicy::DropOldest,
        Slow::Disconnect => SlowPolicy::Disconnect,
        Slow::Block => SlowPolicy::Block { wait_max: Duration::from_secs(1) },
    };
    let (session, mut deliveries) = client
        .session(subscribe.session.clone().unwrap_or_default())
        .slow_policy(policy)
        .acknowledgement(Acknowledgement::Manual)
        .attach()
        .await
        .map_err(Failure::unavailable)?;
    if let Some(context) = context {
        session.set_context(context).await.map_err(operation)?;
    }
    session.subscribe(SUBSCRIPTION, subscribe.filter.as_str()).await.map_err(operation)?;
    // For people, and for programs that want to know when the subscription is in force.
    eprintln!("gomera: subscribed; end with Ctrl-C");
    let outcome = tokio::select! {
        outcome = print(&subscribe, &session, &mut deliveries) => outcome,
        () = &mut interrupted => Ok(()),
    };
    if subscribe.session.is_some() {
        session.detach().await;
    } else {
        // Nobody will come back for it; if the cluster has gone, it knows by its expiry.
        let _unwanted = tokio::time::timeout(END_WITHIN, session.end()).await;
    }
    outcome
}

async fn print(subscribe: &Subscribe, session: &Session, deliveries: &mut Deliveries) -> Outcome {
    let mut left = subscribe.count.unwrap_or(u64::MAX);
    let mut events = Vec::with_capacity(BATCH);
    while left > 0 {
        let batch = BATCH.min(usize::try_from(left).unwrap_or(BATCH));
        if !deliveries.next_batch(batch, &mut events).await.map_err(ended)? {
            return Ok(());
        }
        for event in events.drain(..) {
            match event {
                Event::Notification(notification) => {
                    notify(subscribe, &notification)?;
                    // Printed, so done with.
                    session.acknowledge(&notification);
                    left -= 1;
                }
                Event::Gap(gap) if subscribe.json => output::json(&GapLine { gap: gap.dropped })?,
                Event::Gap(gap) if gap.dropped == 1 => eprintln!("gomera: 1 notification was given up"),
                Event::Gap(gap) => eprintln!("gomera: {} notifications were given up", gap.dropped),
                Event::Resumed => {}
                Event::Recreated => eprintln!("gomera: the cluster had lost the session; subscribed again"),
                Event::SubscriptionsLost => {
                    eprintln!("gomera: matchers died, and subscriptions with them; subscribed again");
                }
                Event::RedeclarationFailed { error, .. } => return Err(operation(error)),
            }
        }
        output::flush()?;
    }
    Ok(())
}

fn notify(subscribe: &Subscribe, notification: &Notification) -> Outcome {
    let publication = notification.publication().map_err(|error| Failure::new(Reason::Internal, error))?;
    if subscribe.json { print_json(notification, &publication) } else { print_text(notification, &publication) }
}

fn print_json(notification: &Notification, publication: &Publication) -> Outcome {
    output::json(&Line {
        publisher: &notification.publisher,
        sequence: notification.sequence,
        accepted: notification.accepted.to_string(),
        redelivered: notification.redelivered,
        id: publication.id.as_deref(),
        time: publication.time.map(|time| time.to_string()),
        attributes: &publication.attributes,
        content_type: &publication.content_type,
        payload: payload(publication),
    })
}

fn payload(publication: &Publication) -> Payload<'_> {
    if publication.payload.is_empty() {
        return Payload::None;
    }
    let Ok(text) = std::str::from_utf8(&publication.payload) else {
        let hex = publication.payload.iter().map(|byte| format!("{byte:02x}")).collect();
        return Payload::Binary { hex };
    };
    match serde_json::from_str::<&RawValue>(text) {
        // One line stays one line.
        Ok(json) if !text.contains('\n') => Payload::Json(json),
        _ => Payload::Text(text),
    }
}

fn print_text(notification: &Notification, publication: &Publication) -> Outcome {
    let mut line = format!("{} {}#{}", notification.accepted, notification.publisher, notification.sequence);
    if notification.redelivered {
        line.push_str(" (again)");
    }
    for (name, value) in publication.attributes.iter() {
        line.push_str(&format!(" {name}={value}"));
    }
    if publication.attributes.is_empty() && !publication.payload.is_empty() {
        line.push_str(&format!(" {} bytes of payload", publication.payload.len()));
    }
    output::line(line)
}

fn ended(error: SessionError) -> Failure {
    Failure::unavailable(error)
}

fn operation(error: OperationError) -> Failure {
    let reason = match &error {
        OperationError::Filter { .. } => Reason::Data,
        OperationError::NotFound(_)
        | OperationError::Limit(_)
        | OperationError::Refused { .. }
        | OperationError::Session(_) => Reason::Unavailable,
    };
    Failure::new(reason, error)
}
