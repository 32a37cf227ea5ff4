//! An operation as a client asked for it, checked and translated; version and handle come when it is issued.

use std::sync::Arc;

use gomera_cluster::identity::{Generation, Handle, SessionKey, SubscriptionKey, Tenant};
use gomera_cluster::operation::{Change, Existing, Operation, Subscription, SubscriptionOptions, Version};
use gomera_model::timestamp::Timestamp;

use crate::acceptance::later;
use crate::client::{ClientOperation, ClientSubscription, Failure, RequestId};
use crate::failure::{self, LIST_LIMIT_MAX, NAME_BYTES_MAX};

/// What stands for a version that is not given yet.
const UNISSUED: Version = Version { generation: Generation(0), counter: 0 };

/// An operation that waits to be issued.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The client's request, to be answered.
    pub request: RequestId,
    /// The subscription it concerns, as the client calls it.
    pub subject: Option<Arc<str>>,
    /// The operation but for version, low and handle.
    pub operation: Operation,
}

/// Whose operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Issuer<'a> {
    pub tenant: &'a Tenant,
    pub name: &'a str,
    pub session: SessionKey,
}

impl Draft {
    /// Checks and translates.
    pub fn new(
        issuer: Issuer<'_>,
        request: RequestId,
        operation: ClientOperation,
        wall: Timestamp,
    ) -> Result<Self, Failure> {
        let (subject, change) = match operation {
            ClientOperation::Subscribe(subscription) => put(issuer, subscription, Existing::Any, wall)?,
            ClientOperation::Update(subscription) => put(issuer, subscription, Existing::Required, wall)?,
            ClientOperation::Unsubscribe(id) => {
                let key = key(issuer, &id)?;
                (Some(id), Change::Remove(key))
            }
            ClientOperation::SetPaused(id, paused) => {
                let key = key(issuer, &id)?;
                (Some(id), Change::SetPaused(key, paused))
            }
            ClientOperation::Get(id) => {
                let key = key(issuer, &id)?;
                (Some(id), Change::Get(key))
            }
            ClientOperation::List { after, limit } => {
                if !(1..=LIST_LIMIT_MAX).contains(&limit) {
                    return Err(failure::list_limit(limit));
                }
                (None, Change::List { after, limit })
            }
            ClientOperation::SetContext(context) => {
                if let Some((name, _)) = context.iter().find(|(name, _)| name.starts_with('$')) {
                    return Err(failure::context_dollar(name));
                }
                (None, Change::SetContext(Arc::new(context)))
            }
        };
        let operation = Operation {
            tenant: issuer.tenant.clone(),
            session: issuer.session,
            version: UNISSUED,
            low: UNISSUED,
            change,
        };
        Ok(Self { request, subject, operation })
    }
}

fn put(
    issuer: Issuer<'_>,
    subscription: ClientSubscription,
    existing: Existing,
    wall: Timestamp,
) -> Result<(Option<Arc<str>>, Change), Failure> {
    let ClientSubscription { id, filter, paused, expires_after } = subscription;
    let key = key(issuer, &id)?;
    let options = SubscriptionOptions { paused, expires_at: expires_after.map(|after| later(wall, after)) };
    let subscription = Subscription { key, id: id.clone(), handle: Handle(0), filter, options };
    Ok((Some(id), Change::Put(subscription, existing)))
}

fn key(issuer: Issuer<'_>, id: &str) -> Result<SubscriptionKey, Failure> {
    if id.is_empty() {
        return Err(failure::name_empty("subscription id"));
    }
    if id.len() > NAME_BYTES_MAX {
        return Err(failure::name_too_long("subscription id", id));
    }
    Ok(SubscriptionKey::of(issuer.tenant, issuer.name, id))
}

#[cfg(test)]
mod tests {
    use gomera_model::attributes::Attributes;
    use gomera_model::value::Value;

    use super::*;
    use crate::client::FailureKind;

    fn draft(operation: ClientOperation) -> Result<Draft, Failure> {
        let tenant = Tenant::open();
        let issuer = Issuer { tenant: &tenant, name: "s", session: SessionKey::of(&tenant, "s") };
        Draft::new(issuer, RequestId(1), operation, Timestamp(0))
    }

    #[test]
    fn ids_are_1_to_256_bytes() {
        for operation in [ClientOperation::Unsubscribe, ClientOperation::Get] {
            let failure = draft(operation(Arc::from(""))).expect_err("empty");
            assert_eq!(failure.kind, FailureKind::Invalid);
            assert_eq!(failure.message, "subscription id is empty, must have 1 to 256 bytes");
            let failure = draft(operation(Arc::from("x".repeat(257)))).expect_err("too long");
            assert!(failure.message.ends_with("has 257 bytes, must have at most 256"), "{}", failure.message);
            assert!(draft(operation(Arc::from("x".repeat(256)))).is_ok());
        }
    }

    #[test]
    fn a_list_is_1_to_1000_long() {
        for limit in [0, 1001] {
            let failure = draft(ClientOperation::List { after: None, limit }).expect_err("out of range");
            assert_eq!(failure.message, format!("the limit of the list is {limit}, must be 1 to 1000"));
        }
        assert!(draft(ClientOperation::List { after: None, limit: 1000 }).is_ok());
    }

    #[test]
    fn context_names_come_without_the_dollar() {
        let context = |name: &'static str| -> Attributes {
            [("a", Value::Integer(1)), (name, Value::Integer(2))].into_iter().collect()
        };
        assert!(draft(ClientOperation::SetContext(context("here"))).is_ok());
        let failure = draft(ClientOperation::SetContext(context("$here"))).expect_err("a dollar");
        assert_eq!(failure.kind, FailureKind::Invalid);
    }
}
