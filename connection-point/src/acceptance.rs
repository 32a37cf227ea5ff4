//! Makes a publication of the cluster out of what a publisher handed in: key, time of acceptance, expiry, and the attributes
//! that the system adds. Three allocations a publication: the attributes, their shared box, the envelope.

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::identity::Tenant;
use gomera_cluster::publication::{AttributeBlock, Envelope, PublicationKey, SystemAttributes};
use gomera_model::attributes::is_reserved;
use gomera_model::timestamp::Timestamp;

use crate::client::{Failure, PublishItem};
use crate::failure;

/// Accepts publications.
#[derive(Debug, Default)]
pub(crate) struct Acceptance {
    system: SystemAttributes,
}

impl Acceptance {
    /// The publication `key` of `publisher`, accepted at `accepted_at`.
    pub fn envelope(
        &self,
        tenant: &Tenant,
        publisher: &Arc<str>,
        key: PublicationKey,
        item: PublishItem,
        accepted_at: Timestamp,
    ) -> Result<Arc<Envelope>, Failure> {
        if let Some((name, _)) = item.attributes.iter().find(|(name, _)| is_reserved(name)) {
            return Err(failure::reserved_attribute(name));
        }
        let time = item.time.unwrap_or(accepted_at);
        Ok(Arc::new(Envelope {
            tenant: tenant.clone(),
            publisher: publisher.clone(),
            key,
            accepted_at,
            expires_at: item.expires_after.map(|after| later(accepted_at, after)),
            content: item.content,
            attributes: AttributeBlock::Decoded(self.system.stamp(item.attributes, publisher, time)),
        }))
    }
}

/// The moment `after` later than `moment`; the end of time if there is none.
pub(crate) fn later(moment: Timestamp, after: Duration) -> Timestamp {
    Timestamp(moment.0.saturating_add(i64::try_from(after.as_micros()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use gomera_cluster::identity::{Instance, PublisherKey, Sequence};
    use gomera_model::value::Value;

    use super::*;
    use crate::client::FailureKind;

    fn accept(names: &[&'static str], time: Option<Timestamp>) -> Result<Arc<Envelope>, Failure> {
        let tenant = Tenant::open();
        let key = PublicationKey {
            publisher: PublisherKey::of(&tenant, "meter"),
            instance: Instance(1),
            sequence: Sequence(1),
        };
        let item = PublishItem {
            sequence: Sequence(1),
            content: Bytes::from_static(b"x"),
            attributes: names.iter().map(|&name| (name, Value::Integer(1))).collect(),
            time,
            expires_after: Some(Duration::from_secs(2)),
            resent: false,
        };
        Acceptance::default().envelope(&tenant, &Arc::from("meter"), key, item, Timestamp(1_000_000))
    }

    fn attributes(envelope: &Envelope) -> Vec<(String, Value)> {
        match &envelope.attributes {
            AttributeBlock::Decoded(attributes) => {
                attributes.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
            }
            AttributeBlock::Encoded => panic!("attributes are decoded here"),
        }
    }

    #[test]
    fn the_system_attributes_stand_in_order_among_the_publishers_own() {
        for names in [&[][..], &["a"], &["z"], &["a", "go", "gomera", "gomerb", "z"]] {
            let envelope = accept(names, None).expect("nothing reserved");
            let found = attributes(&envelope);
            assert_eq!(found.len(), names.len() + 2);
            assert!(found.is_sorted_by(|left, right| left.0 < right.0), "{found:?}");
            let AttributeBlock::Decoded(decoded) = &envelope.attributes else { panic!("decoded") };
            assert_eq!(decoded.get("gomera.publisher"), Some(&Value::from("meter")));
            assert_eq!(decoded.get("gomera.time"), Some(&Value::Timestamp(Timestamp(1_000_000))));
        }
    }

    #[test]
    fn the_publishers_own_time_goes_before_the_time_of_acceptance() {
        let envelope = accept(&["a"], Some(Timestamp(5))).expect("nothing reserved");
        assert!(attributes(&envelope).contains(&("gomera.time".to_owned(), Value::Timestamp(Timestamp(5)))));
        assert_eq!(envelope.accepted_at, Timestamp(1_000_000));
        assert_eq!(envelope.expires_at, Some(Timestamp(3_000_000)), "two seconds after acceptance");
    }

    #[test]
    fn a_reserved_name_is_refused() {
        for names in [&["gomera.time"][..], &["a", "gomera.anything", "z"]] {
            let failure = accept(names, None).expect_err("reserved");
            assert_eq!(failure.kind, FailureKind::Invalid);
            assert!(failure.message.contains(names[names.len() / 2]), "{}", failure.message);
        }
    }
}
