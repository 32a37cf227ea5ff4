//! What clients are told when something is not taken: the text for people, made in one place, each naming the thing and what
//! would be right.

use std::time::Duration;

use gomera_cluster::identity::Sequence;
use gomera_cluster::message::connection_point::Refusal;
use gomera_cluster::operation::{Excess, Limited};
use gomera_model::filter::{Filter, cost};

use crate::client::{Failure, FailureKind};

/// Longest name of a publisher or session, longest id of a subscription, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 256;

/// Most lanes a client's vector may name; a cluster has a few dozen over its life.
pub(crate) const VECTOR_LANES_MAX: usize = 4096;

/// Most subscriptions read at once.
pub(crate) const LIST_LIMIT_MAX: u16 = 1000;

fn failure(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into() }
}

/// The beginning of what a client called something; enough to recognise it by.
fn shown(text: &str) -> String {
    /// Characters of it.
    const SHOWN_CHARS: usize = 40;
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

// Connections.

pub(crate) fn connections(limit: usize) -> Failure {
    failure(
        FailureKind::Exhausted,
        format!("this connection point has connections_max = {limit} connections: connect to another one, or later"),
    )
}

pub(crate) fn sessions(limit: usize) -> Failure {
    failure(
        FailureKind::Exhausted,
        format!("this connection point has sessions_max = {limit} sessions: attach at another one, or later"),
    )
}

pub(crate) fn not_serving() -> Failure {
    failure(
        FailureKind::Unavailable,
        "this connection point is not a member of the cluster any more: connect to another one",
    )
}

pub(crate) fn leaving() -> Failure {
    failure(FailureKind::Unavailable, "this connection point is to leave the cluster: connect to another one")
}

pub(crate) fn publisher_not_open() -> Failure {
    failure(FailureKind::Precondition, "a publication came before the publisher was opened: open it first")
}

pub(crate) fn publisher_open_already() -> Failure {
    failure(
        FailureKind::Precondition,
        "the publisher of this connection is open already: one publisher a connection, opened once",
    )
}

pub(crate) fn not_attached() -> Failure {
    failure(FailureKind::Precondition, "no session is attached on this connection: attach one first")
}

pub(crate) fn attached_already(session: &str) -> Failure {
    failure(
        FailureKind::Precondition,
        format!(
            "session {} is attached on this connection already: one session a connection, attached once",
            shown(session)
        ),
    )
}

pub(crate) fn connection_publishes() -> Failure {
    failure(FailureKind::Precondition, "this connection publishes: subscribe on a connection of its own")
}

pub(crate) fn connection_subscribes() -> Failure {
    failure(FailureKind::Precondition, "this connection has a session: publish on a connection of its own")
}

/// `what` is «publisher name», «session name», «subscription id».
pub(crate) fn name_too_long(what: &str, name: &str) -> Failure {
    let bytes = name.len();
    failure(
        FailureKind::Invalid,
        format!("{what} {} has {bytes} bytes, must have at most {NAME_BYTES_MAX}", shown(name)),
    )
}

pub(crate) fn name_empty(what: &str) -> Failure {
    failure(FailureKind::Invalid, format!("{what} is empty, must have 1 to {NAME_BYTES_MAX} bytes"))
}

pub(crate) fn no_layout(waited: Duration) -> Failure {
    failure(
        FailureKind::Unavailable,
        format!("the cluster has had no place for this client for {waited:?} (layout_wait): try again later"),
    )
}

pub(crate) fn no_answer(what: &str, waited: Duration) -> Failure {
    failure(FailureKind::Unavailable, format!("{what} has not answered for {waited:?} (answer_wait): try again later"))
}

// Publishers.

pub(crate) fn reserved_attribute(name: &str) -> Failure {
    failure(
        FailureKind::Invalid,
        format!(
            "attribute name {} is reserved: names that begin with `gomera.` are set by the system only",
            shown(name)
        ),
    )
}

pub(crate) fn sequence_zero() -> Failure {
    failure(
        FailureKind::Invalid,
        "the sequence is 0, must be at least 1: sequences of a publisher instance begin there",
    )
}

pub(crate) fn sequence_backwards(sequence: Sequence, highest: Sequence) -> Failure {
    failure(
        FailureKind::Invalid,
        format!("sequence {} came after {}, must be higher: sequences only increase", sequence.0, highest.0),
    )
}

pub(crate) fn sequence_reused(sequence: Sequence) -> Failure {
    failure(
        FailureKind::AlreadyExists,
        format!(
            "sequence {} was used for another publication: give each publication a sequence of its own",
            sequence.0
        ),
    )
}

pub(crate) fn sequence_too_old(sequence: Sequence) -> Failure {
    failure(
        FailureKind::OutOfRange,
        format!(
            "sequence {} was sent again too late, the cluster does not know any more whether it was delivered: publish it \
             under a new sequence if a repeat is harmless",
            sequence.0
        ),
    )
}

pub(crate) fn publishers(limit: u64) -> Failure {
    failure(
        FailureKind::Exhausted,
        format!(
            "the access point knows as many publisher instances as it may, {limit}: keep instances alive, or try later"
        ),
    )
}

pub(crate) fn lane_ended() -> Failure {
    failure(
        FailureKind::Unavailable,
        "the lane of this publisher takes no more publications of this connection: connect again and send again what is unacknowledged",
    )
}

/// For a refusal that concerns one publication, not the connection.
pub(crate) fn refusal(sequence: Sequence, reason: Refusal) -> Failure {
    match reason {
        Refusal::Reused => sequence_reused(sequence),
        Refusal::OutOfRange => sequence_too_old(sequence),
        Refusal::Publishers(limit) => publishers(limit),
        Refusal::Lane => lane_ended(),
    }
}

pub(crate) fn publisher_superseded() -> Failure {
    failure(
        FailureKind::Aborted,
        "a newer connection of the same publisher and instance took over: draw a new instance for each process",
    )
}

pub(crate) fn publisher_overrun(bytes: u64, limit: u64) -> Failure {
    failure(
        FailureKind::Exhausted,
        format!(
            "{bytes} bytes of publications are unacknowledged, must be at most publisher_bytes_max = {limit}: wait for \
             acknowledgements, then send again what is unacknowledged"
        ),
    )
}

// Sessions.

pub(crate) fn group_sharing() -> Failure {
    failure(FailureKind::Unimplemented, "sessions shared by a group are not served yet: attach an exclusive session")
}

pub(crate) fn vector_too_long(lanes: usize) -> Failure {
    failure(
        FailureKind::Invalid,
        format!("the vector names {lanes} lanes, must be at most {VECTOR_LANES_MAX}: send the one that was received"),
    )
}

pub(crate) fn not_active(attempts: u32) -> Failure {
    failure(
        FailureKind::Unavailable,
        format!("no exit point was active for the session in {attempts} attempts: try again later"),
    )
}

pub(crate) fn exit_point_sessions(limit: u64) -> Failure {
    failure(
        FailureKind::Exhausted,
        format!("the tenant or its exit point has as many sessions as it may, {limit}: end one, or let one expire"),
    )
}

pub(crate) fn session_superseded(session: &str) -> Failure {
    failure(
        FailureKind::Aborted,
        format!("session {} was attached by a newer connection: give each client a session of its own", shown(session)),
    )
}

pub(crate) fn session_overtaken(session: &str) -> Failure {
    failure(
        FailureKind::Aborted,
        format!("session {} is attached by a later attempt of the same client: this one came too late", shown(session)),
    )
}

pub(crate) fn session_slow(session: &str) -> Failure {
    failure(
        FailureKind::Exhausted,
        format!(
            "session {} fell behind and its outbox is full: read faster, narrow its filters, or attach with drop-oldest",
            shown(session)
        ),
    )
}

pub(crate) fn session_moved(session: &str) -> Failure {
    failure(
        FailureKind::Unavailable,
        format!("session {} has moved to another exit point: attach again and resume", shown(session)),
    )
}

pub(crate) fn session_lost(session: &str) -> Failure {
    failure(
        FailureKind::Unavailable,
        format!(
            "session {} died with the last exit point that had it: attach again and subscribe anew",
            shown(session)
        ),
    )
}

pub(crate) fn session_ending(session: &str) -> Failure {
    failure(FailureKind::Precondition, format!("session {} is being ended: attach anew for more", shown(session)))
}

// Operations.

pub(crate) fn list_limit(limit: u16) -> Failure {
    failure(FailureKind::Invalid, format!("the limit of the list is {limit}, must be 1 to {LIST_LIMIT_MAX}"))
}

pub(crate) fn context_dollar(name: &str) -> Failure {
    let bare = name.trim_start_matches('$');
    failure(
        FailureKind::Invalid,
        format!("context attribute {} begins with `$`, must be {}: only filters write `$`", shown(name), shown(bare)),
    )
}

pub(crate) fn operations_outstanding(limit: usize) -> Failure {
    failure(
        FailureKind::Exhausted,
        format!("the session has operations_outstanding_max = {limit} operations unanswered: wait for answers"),
    )
}

pub(crate) fn operations_cost(limit: u64) -> Failure {
    failure(
        FailureKind::Exhausted,
        format!("operations of the session that are not answered count far more than {limit} bytes: wait for answers"),
    )
}

pub(crate) fn operations_bytes(limit: u64) -> Failure {
    failure(
        FailureKind::Exhausted,
        format!(
            "operations unanswered fill operations_bytes_max = {limit} bytes of this connection point: try again later"
        ),
    )
}

pub(crate) fn handles_exhausted() -> Failure {
    failure(FailureKind::Exhausted, "the attachment has given out all of its 2^32 handles: attach again for more")
}

pub(crate) fn subscription_not_found(id: Option<&str>) -> Failure {
    failure(
        FailureKind::NotFound,
        format!("subscription {} does not exist in this session: subscribe it first", shown(id.unwrap_or(""))),
    )
}

/// A limit of a matcher stands against an operation, which may put a filter.
pub(crate) fn limit(excess: Excess, filter: Option<&Filter>) -> Failure {
    let Excess { limited, limit, used, asked } = excess;
    let message = match limited {
        Limited::Subscriptions => {
            format!("the tenant or the session has as many subscriptions as it may, {limit}: unsubscribe one first")
        }
        Limited::Cost => {
            let [limit, used, asked] = [limit, used, asked].map(Duration::from_nanos);
            let advice = filter.and_then(|filter| cheaper(filter, asked)).unwrap_or_default();
            format!(
                "the filter can cost a publication {asked:.1?} more; the tenant's filters cost {used:.1?} already on its matcher, \
                 must cost at most filter_cost_per_tenant_max = {limit:.1?}: {advice}or unsubscribe others first"
            )
        }
        Limited::TenantBytes => format!(
            "the subscription takes {asked} bytes more; the tenant's take {used} already on its matcher, must take at most \
             subscription_bytes_per_tenant_max = {limit}: write a shorter filter, or unsubscribe others first"
        ),
        Limited::Bytes => format!(
            "the subscription takes {asked} bytes more; {used} are taken already on its matcher, must be at most \
             subscription_bytes_max = {limit}: write a shorter filter, or try again when the cluster has more matchers"
        ),
    };
    failure(FailureKind::Exhausted, message)
}

/// What could be written instead of a filter.
fn cheaper(filter: &Filter, asked: Duration) -> Option<String> {
    let costliest = cost::costliest(filter.expression())?;
    let most = Duration::from_nanos(costliest.nanoseconds);
    if 2 * most < asked {
        let conditions = filter.disjuncts().len();
        return Some(format!("ask for fewer alternatives ({conditions} now; IN takes many values at once), "));
    }
    let condition = gomera_model::filter::Expression::from(costliest.predicate.clone()).to_string();
    Some(format!("{} is {most:.1?} of it, {}; ", shown(&condition), costliest.advice()))
}

pub(crate) fn operation_superseded() -> Failure {
    failure(FailureKind::Aborted, "a later operation of the session was applied before this one: nothing changed")
}

/// Of an operation that was asked again because its lane had ended: what it found then may be its own doing, or that of a later one that
/// was asked again as well.
pub(crate) fn operation_overtaken() -> Failure {
    failure(
        FailureKind::Unavailable,
        "an access point or a matcher died while this operation was under way: it may have been in force before it was asked again, and a later one of \
         the session may have replaced it",
    )
}

pub(crate) fn read_unanswered() -> Failure {
    failure(
        FailureKind::Unavailable,
        "a matcher died that had a part of the answer, or one is still removing what an ended session had: nothing changed, ask again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_shown_by_its_beginning_without_cutting_a_character() {
        let failure = name_too_long("session name", &"ü".repeat(200));
        assert_eq!(failure.message, format!("session name `{}…` has 400 bytes, must have at most 256", "ü".repeat(40)));
    }

    #[test]
    fn a_filter_that_costs_too_much_is_told_what_costs_and_what_would_not() {
        let parse = |text: &str| Filter::parse(text, &gomera_model::FilterLimits::default()).expect(text);
        let excess = Excess { limited: Limited::Cost, limit: 10_000_000, used: 9_980_000, asked: 33_200 };
        let one = limit(excess, Some(&parse("kind = 'a' AND MATCHES(note, '^x+$')")));
        assert_eq!(one.kind, FailureKind::Exhausted);
        for part in [
            "33.2µs more",
            "cost 10.0ms already",
            "filter_cost_per_tenant_max = 10.0ms",
            "`MATCHES(note, '^x+$')` is 50.0µs",
            "STARTS_WITH",
        ] {
            assert!(one.message.contains(part), "{part}: {}", one.message);
        }
        let many = (0..100).map(|index| format!("a * {index} = 3")).collect::<Vec<_>>().join(" OR ");
        let many = limit(excess, Some(&parse(&many)));
        assert!(many.message.contains("fewer alternatives (100 now"), "{}", many.message);
        let bytes = limit(Excess { limited: Limited::TenantBytes, ..excess }, None);
        assert!(bytes.message.contains("subscription_bytes_per_tenant_max = 10000000"), "{}", bytes.message);
    }

    #[test]
    fn a_context_name_with_a_dollar_is_told_the_right_one() {
        assert_eq!(
            context_dollar("$here").message,
            "context attribute `$here` begins with `$`, must be `here`: only filters write `$`"
        );
    }
}
