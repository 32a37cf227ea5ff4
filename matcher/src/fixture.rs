//! What unit tests share: a small cluster, publications, operations.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use gomera_cluster::address::{Address, Incarnation, Layer, Shard};
use gomera_cluster::identity::{
    Generation, Handle, Instance, PublisherKey, Sequence, SessionKey, SubscriptionKey, Tenant,
};
use gomera_cluster::layout::{Epoch, Layout, Member, Settings};
use gomera_cluster::operation::{Change, Existing, Operation, Subscription, SubscriptionOptions, Version};
use gomera_cluster::position::LaneId;
use gomera_cluster::publication::{AttributeBlock, Envelope, PublicationKey};
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, FilterLimits};
use gomera_model::timestamp::Timestamp;
use gomera_model::value::Value;

pub const WRITER: Address = address(2, 0);
pub const MATCHER: Address = address(3, 0);

pub const fn address(node: u64, shard: u16) -> Address {
    Address { node: Incarnation(node), shard: Shard(shard) }
}

/// One connection point (1), one access point (2) with a lane, a matcher (3) and an exit point (4) of so many shards.
pub fn layout(epoch: u64, matcher_shards: u16, exit_shards: u16) -> Arc<Layout> {
    let member = |layer, shards| Member {
        layer,
        name: Arc::from("node"),
        link_address: Arc::from(""),
        client_address: Arc::from(""),
        shards,
    };
    let members = BTreeMap::from([
        (Incarnation(1), member(Layer::ConnectionPoint, 1)),
        (Incarnation(2), member(Layer::AccessPoint, 1)),
        (Incarnation(3), member(Layer::Matcher, matcher_shards)),
        (Incarnation(4), member(Layer::ExitPoint, exit_shards)),
    ]);
    let settings = Settings { matcher_slices: 8, session_slices: 8, replication: 1 };
    Arc::new(Layout::initial(settings, members, 1, Epoch(epoch), LaneId(1)))
}

pub fn filter(text: &str) -> Filter {
    Filter::parse(text, &FilterLimits::default()).expect("a good filter")
}

pub fn attributes(entries: &[(&str, Value)]) -> Attributes {
    entries.iter().cloned().collect()
}

pub fn envelope(sequence: u64, accepted_at: i64, entries: &[(&str, Value)]) -> Arc<Envelope> {
    let tenant = Tenant::open();
    Arc::new(Envelope {
        publisher: Arc::from("p"),
        key: PublicationKey {
            publisher: PublisherKey::of(&tenant, "p"),
            instance: Instance(1),
            sequence: Sequence(sequence),
        },
        accepted_at: Timestamp(accepted_at),
        expires_at: None,
        content: Bytes::from_static(b"content"),
        attributes: AttributeBlock::Decoded(attributes(entries)),
        tenant,
    })
}

pub fn session(name: &str) -> SessionKey {
    SessionKey::of(&Tenant::open(), name)
}

pub fn key(session: &str, id: &str) -> SubscriptionKey {
    SubscriptionKey::of(&Tenant::open(), session, id)
}

pub const fn version(generation: u64, counter: u64) -> Version {
    Version { generation: Generation(generation), counter }
}

pub fn operation(session: &str, version: Version, change: Change) -> Operation {
    let low = Version { generation: Generation(0), counter: 0 };
    Operation { tenant: Tenant::open(), session: self::session(session), version, low, change }
}

pub fn put(session: &str, id: &str, version: Version, handle: u64, text: &str) -> Operation {
    put_with(session, id, version, handle, text, SubscriptionOptions::default())
}

pub fn put_with(
    session: &str,
    id: &str,
    version: Version,
    handle: u64,
    text: &str,
    options: SubscriptionOptions,
) -> Operation {
    let subscription = Subscription {
        key: key(session, id),
        id: Arc::from(id),
        handle: Handle(handle),
        filter: filter(text),
        options,
    };
    operation(session, version, Change::Put(subscription, Existing::Any))
}
