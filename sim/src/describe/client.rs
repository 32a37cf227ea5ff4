//! What passes between clients and connection points, in a line each.

use gomera_connection_point::client::{ClientEvent, ClientOperation, ClientReply, ClientRequest, Delivery};

use super::{description, gap, position, satisfied, vector};
use crate::doors::Downward;
use crate::history::PublicationIndex;

/// What arrives at a connection point.
#[must_use]
pub fn arrival(point: &str, event: &ClientEvent) -> String {
    match event {
        ClientEvent::Connected { connection, tenant } => {
            format!("{point} ? ({}) connected tenant {tenant}", connection.0)
        }
        ClientEvent::Request { connection, request: asked } => {
            format!("{point} ? ({}) {}", connection.0, request(asked))
        }
        ClientEvent::Taken { connection, cost } => format!("{point} ? ({}) taken {cost}", connection.0),
        ClientEvent::Disconnected { connection } => format!("{point} ? ({}) disconnected", connection.0),
    }
}

fn request(request: &ClientRequest) -> String {
    match request {
        ClientRequest::OpenPublisher { publisher, instance } => {
            format!("open-publisher {publisher}{}", if instance.is_some() { "" } else { " without instance" })
        }
        ClientRequest::Publish { items, acknowledged_through } => {
            let shown = items
                .iter()
                .map(|item| {
                    let name = PublicationIndex::of(&item.content).map_or_else(String::new, PublicationIndex::name);
                    let resent = if item.resent { " resent" } else { "" };
                    format!("{name}/{}{resent} {:?}", item.sequence.0, item.attributes)
                })
                .collect::<Vec<_>>();
            format!("publish [{}] seen {}", shown.join(" "), acknowledged_through.0)
        }
        ClientRequest::Attach { request, session, options, resume, attempt: _ } => format!(
            "({}) attach {session} resume {} slow {:?} outbox {}/{} expires {:?}",
            request.0,
            resume.as_ref().map_or_else(|| "none".to_owned(), vector),
            options.slow,
            options.outbox_bytes_max,
            options.outbox_notifications_max,
            options.expires_after
        ),
        ClientRequest::Operate { request, operation: asked } => format!("({}) {}", request.0, operation(asked)),
        ClientRequest::Acknowledge(through) => format!("acknowledge {}", vector(through)),
        ClientRequest::Credit { notifications_total } => format!("credit {notifications_total}"),
        ClientRequest::EndSession { request } => format!("({}) end-session", request.0),
    }
}

fn operation(operation: &ClientOperation) -> String {
    match operation {
        ClientOperation::Subscribe(one) => format!("subscribe {} «{}»", one.id, one.filter),
        ClientOperation::Update(one) => format!("update {} «{}»", one.id, one.filter),
        ClientOperation::Unsubscribe(id) => format!("unsubscribe {id}"),
        ClientOperation::SetPaused(id, true) => format!("pause {id}"),
        ClientOperation::SetPaused(id, false) => format!("resume {id}"),
        ClientOperation::Get(id) => format!("get {id}"),
        ClientOperation::List { after, limit } => {
            format!("list after {:?} limit {limit}", after.map(|handle| handle.0))
        }
        ClientOperation::SetContext(context) => format!("set-context {context:?}"),
    }
}

/// What a client is told.
#[must_use]
pub fn downward(downward: &Downward) -> String {
    match downward {
        Downward::Reply(told) => reply(told),
        Downward::Closed(reason) => match &reason.failure {
            None => "closed".to_owned(),
            Some(failure) => format!("closed {:?}: {}", failure.kind, failure.message),
        },
        Downward::Lost => "connection lost".to_owned(),
    }
}

fn reply(reply: &ClientReply) -> String {
    match reply {
        ClientReply::PublisherOpened { sequenced, acknowledged } => {
            format!("publisher-opened sequenced {} acknowledged {}", sequenced.0, acknowledged.0)
        }
        ClientReply::Acknowledged { through } => format!("acknowledged {}", through.0),
        ClientReply::PublicationRefused { sequence, failure } => {
            format!("refused {} {:?}: {}", sequence.0, failure.kind, failure.message)
        }
        ClientReply::Attached { request, session, resumed, merged, generation } => format!(
            "({}) attached {session} {} merged {} g{}",
            request.0,
            if *resumed { "resumed" } else { "created" },
            vector(merged),
            generation.0 & 0xff_ffff_ffff
        ),
        ClientReply::Applied { request, handle, in_force_after } => format!(
            "({}) applied handle {:?} in force after {}",
            request.0,
            handle.map(|handle| handle.0),
            vector(in_force_after)
        ),
        ClientReply::Found { request, subscriptions } => {
            format!("({}) found [{}]", request.0, subscriptions.iter().map(description).collect::<Vec<_>>().join(" "))
        }
        ClientReply::Failed { request, failure } => {
            format!("({}) failed {:?}: {}", request.0, failure.kind, failure.message)
        }
        ClientReply::SubscriptionsLost { number } => format!("subscriptions lost, number {number}"),
        ClientReply::MoveTo { endpoints } => format!("asked to move, {} others", endpoints.len()),
        ClientReply::Notifications(deliveries) => deliveries.iter().map(delivery).collect::<Vec<_>>().join("; "),
    }
}

fn delivery(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Notification { envelope, position: at, satisfied: by, merged, redelivered, cost: _ } => format!(
            "notified {} at {} for {}{}{}",
            super::content(envelope),
            position(*at),
            satisfied(by),
            if merged.is_empty() {
                String::new()
            } else {
                format!(" merged [{}]", merged.iter().map(|one| position(*one)).collect::<Vec<_>>().join(" "))
            },
            if *redelivered { " redelivered" } else { "" }
        ),
        Delivery::Gap(one) => gap(one),
    }
}
