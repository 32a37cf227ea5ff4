//! Operations and what comes of them.

use std::sync::Arc;

use gomera_cluster::identity::{Handle, SubscriptionKey};
use gomera_cluster::operation::{
    Change, Description, Excess, Existing, Limited, Operation, Outcome, Subscription, SubscriptionOptions,
};
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, FilterLimits};
use gomera_model::timestamp::Timestamp;

use super::tables::{Decoder, Encoder};
use super::{LinkError, parts, snapshot, v1};
use crate::value;

pub fn to_operation(encoder: &mut Encoder, operation: &Operation) -> v1::Operation {
    use v1::operation::Change as Wire;
    let change = match &operation.change {
        Change::Put(subscription, existing) => Wire::Put(v1::Put {
            subscription: Some(to_subscription(subscription)),
            must_exist: match existing {
                Existing::Any => false,
                Existing::Required => true,
            },
        }),
        Change::Remove(key) => Wire::Remove(parts::to_key(key.0)),
        Change::SetPaused(key, paused) => {
            Wire::SetPaused(v1::SetPaused { subscription: Some(parts::to_key(key.0)), paused: *paused })
        }
        Change::Get(key) => Wire::Get(parts::to_key(key.0)),
        Change::List { after, limit } => {
            Wire::List(v1::List { after: after.map(|handle| handle.0), limit: u32::from(*limit) })
        }
        Change::SetContext(context) => Wire::SetContext(to_attributes(context)),
        Change::Forget => Wire::Forget(v1::Nothing {}),
        Change::Restore(key, before) => Wire::Restore(v1::Restore {
            subscription: Some(parts::to_key(key.0)),
            before: before.as_ref().map(|before| snapshot::to_subscription(encoder, before)),
        }),
        Change::Expire(key) => Wire::Expire(parts::to_key(key.0)),
    };
    v1::Operation {
        tenant: encoder.tenant(&operation.tenant),
        session: parts::to_session(operation.session),
        version: parts::to_version(operation.version),
        low: parts::to_version(operation.low),
        change: Some(change),
    }
}

pub fn operation(decoder: &Decoder, wire: v1::Operation) -> Result<Operation, LinkError> {
    use v1::operation::Change as Wire;
    let key = |wire| parts::key(wire).map(SubscriptionKey);
    let change = match wire.change.ok_or_else(|| LinkError::missing("change"))? {
        Wire::Put(put) => {
            let existing = if put.must_exist { Existing::Required } else { Existing::Any };
            Change::Put(subscription(put.subscription)?, existing)
        }
        Wire::Remove(wire) => Change::Remove(key(Some(wire))?),
        Wire::SetPaused(wire) => Change::SetPaused(key(wire.subscription)?, wire.paused),
        Wire::Get(wire) => Change::Get(key(Some(wire))?),
        Wire::List(wire) => Change::List {
            after: wire.after.map(Handle),
            limit: u16::try_from(wire.limit).map_err(|_| LinkError::new("limit", "is above 65535"))?,
        },
        Wire::SetContext(wire) => Change::SetContext(Arc::new(attributes(wire)?)),
        Wire::Forget(v1::Nothing {}) => Change::Forget,
        Wire::Restore(wire) => {
            let before = wire.before.map(|before| snapshot::subscription(decoder, before).map(Box::new)).transpose()?;
            Change::Restore(key(wire.subscription)?, before)
        }
        Wire::Expire(wire) => Change::Expire(key(Some(wire))?),
    };
    Ok(Operation {
        tenant: decoder.tenant(wire.tenant)?,
        session: parts::session(wire.session)?,
        version: parts::version(wire.version)?,
        low: parts::version(wire.low)?,
        change,
    })
}

pub fn to_subscription(subscription: &Subscription) -> v1::Subscription {
    v1::Subscription {
        key: Some(parts::to_key(subscription.key.0)),
        id: subscription.id.as_ref().to_owned(),
        handle: subscription.handle.0,
        filter: subscription.filter.to_string(),
        paused: subscription.options.paused,
        expires_at: subscription.options.expires_at.map(|instant| instant.0),
    }
}

pub fn subscription(wire: Option<v1::Subscription>) -> Result<Subscription, LinkError> {
    let wire = wire.ok_or_else(|| LinkError::missing("subscription"))?;
    let key = parts::key(wire.key).map(SubscriptionKey)?;
    let Description { id, handle, filter, options } = description(wire)?;
    Ok(Subscription { key, id, handle, filter, options })
}

pub fn to_outcome(outcome: &Outcome) -> v1::Outcome {
    use v1::outcome::Outcome as Wire;
    let outcome = match outcome {
        Outcome::Applied { handle, in_force_after } => Wire::Applied(v1::Applied {
            handle: handle.map(|handle| handle.0),
            in_force_after: Some(parts::to_vector(in_force_after)),
        }),
        Outcome::NotFound => Wire::NotFound(v1::Nothing {}),
        Outcome::LimitExceeded(excess) => Wire::LimitExceeded(to_excess(*excess)),
        Outcome::Superseded => Wire::Superseded(v1::Nothing {}),
        Outcome::Unanswered => Wire::Unanswered(v1::Nothing {}),
        Outcome::Found(descriptions) => {
            Wire::Found(v1::Found { subscriptions: descriptions.iter().map(to_description).collect() })
        }
    };
    v1::Outcome { outcome: Some(outcome) }
}

pub fn outcome(wire: Option<v1::Outcome>) -> Result<Outcome, LinkError> {
    use v1::outcome::Outcome as Wire;
    Ok(match wire.and_then(|wire| wire.outcome).ok_or_else(|| LinkError::missing("outcome"))? {
        Wire::Applied(wire) => {
            Outcome::Applied { handle: wire.handle.map(Handle), in_force_after: parts::vector(wire.in_force_after)? }
        }
        Wire::NotFound(v1::Nothing {}) => Outcome::NotFound,
        Wire::LimitExceeded(wire) => Outcome::LimitExceeded(excess(wire)?),
        Wire::Superseded(v1::Nothing {}) => Outcome::Superseded,
        Wire::Unanswered(v1::Nothing {}) => Outcome::Unanswered,
        Wire::Found(found) => {
            Outcome::Found(found.subscriptions.into_iter().map(description).collect::<Result<_, _>>()?)
        }
    })
}

fn to_excess(excess: Excess) -> v1::Excess {
    let Excess { limited, limit, used, asked } = excess;
    let limited = match limited {
        Limited::Subscriptions => v1::Limited::Subscriptions,
        Limited::Cost => v1::Limited::Cost,
        Limited::TenantBytes => v1::Limited::TenantBytes,
        Limited::Bytes => v1::Limited::Bytes,
    };
    v1::Excess { limited: limited.into(), limit, used, asked }
}

fn excess(wire: v1::Excess) -> Result<Excess, LinkError> {
    let limited = match wire.limited() {
        v1::Limited::Unspecified => return Err(LinkError::missing("limited")),
        v1::Limited::Subscriptions => Limited::Subscriptions,
        v1::Limited::Cost => Limited::Cost,
        v1::Limited::TenantBytes => Limited::TenantBytes,
        v1::Limited::Bytes => Limited::Bytes,
    };
    Ok(Excess { limited, limit: wire.limit, used: wire.used, asked: wire.asked })
}

fn to_description(description: &Description) -> v1::Subscription {
    v1::Subscription {
        key: None,
        id: description.id.as_ref().to_owned(),
        handle: description.handle.0,
        filter: description.filter.to_string(),
        paused: description.options.paused,
        expires_at: description.options.expires_at.map(|instant| instant.0),
    }
}

fn description(wire: v1::Subscription) -> Result<Description, LinkError> {
    let filter = Filter::parse(&wire.filter, &FilterLimits::trusted())
        .map_err(|error| LinkError::new("filter", error.to_string()))?;
    Ok(Description {
        id: wire.id.into(),
        handle: Handle(wire.handle),
        filter,
        options: SubscriptionOptions { paused: wire.paused, expires_at: wire.expires_at.map(Timestamp) },
    })
}

pub fn to_attributes(attributes: &Attributes) -> v1::Attributes {
    let attribute = |(name, value): (&Arc<str>, _)| v1::Attribute {
        name: name.as_ref().to_owned(),
        value: Some(value::to_value(value)),
    };
    v1::Attributes { attributes: attributes.iter().map(attribute).collect() }
}

pub fn attributes(wire: v1::Attributes) -> Result<Attributes, LinkError> {
    let entries = wire.attributes.into_iter().map(|attribute| (attribute.name, attribute.value.unwrap_or_default()));
    value::trusted_attributes(entries).map_err(|error| LinkError::new("context", error.to_string()))
}
