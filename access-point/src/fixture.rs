//! What unit tests share: a small cluster, submissions, operations.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use gomera_cluster::address::{Address, Incarnation, Layer, Shard};
use gomera_cluster::identity::{Generation, Instance, PublisherKey, Sequence, SessionKey, SubscriptionKey, Tenant};
use gomera_cluster::layout::{Epoch, Layout, Member, Settings};
use gomera_cluster::message::access_point::Submission;
use gomera_cluster::operation::{Change, Operation, Version};
use gomera_cluster::position::LaneId;
use gomera_cluster::publication::{AttributeBlock, Envelope, PublicationKey};
use gomera_model::timestamp::Timestamp;

pub const CONNECTION_POINT: Address = address(1, 0);
pub const WRITER: Address = address(2, 0);

pub const fn address(node: u64, shard: u16) -> Address {
    Address { node: Incarnation(node), shard: Shard(shard) }
}

/// Two connection points (1 and 5), an access point (2) with two lanes, a matcher (3) and an exit point (4) of two shards each.
pub fn layout(epoch: u64) -> Arc<Layout> {
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
        (Incarnation(3), member(Layer::Matcher, 2)),
        (Incarnation(4), member(Layer::ExitPoint, 2)),
        (Incarnation(5), member(Layer::ConnectionPoint, 1)),
    ]);
    let settings = Settings { matcher_slices: 8, session_slices: 8, replication: 1 };
    Arc::new(Layout::initial(settings, members, 2, Epoch(epoch), LaneId(1)))
}

pub fn publisher(name: &str) -> PublisherKey {
    PublisherKey::of(&Tenant::open(), name)
}

pub fn envelope(name: &str, instance: u64, sequence: u64, content: &'static str) -> Arc<Envelope> {
    Arc::new(Envelope {
        tenant: Tenant::open(),
        publisher: Arc::from(name),
        key: PublicationKey { publisher: publisher(name), instance: Instance(instance), sequence: Sequence(sequence) },
        accepted_at: Timestamp(0),
        expires_at: None,
        content: Bytes::from_static(content.as_bytes()),
        attributes: AttributeBlock::Encoded,
    })
}

pub fn submission(name: &str, sequence: u64, generation: u64) -> Submission {
    Submission { envelope: envelope(name, 1, sequence, "content"), generation: Generation(generation), resent: false }
}

pub fn session(name: &str) -> SessionKey {
    SessionKey::of(&Tenant::open(), name)
}

pub fn operation(name: &str, counter: u64, change: Change) -> Arc<Operation> {
    let version = |counter| Version { generation: Generation(1), counter };
    let (version, low) = (version(counter), version(0));
    Arc::new(Operation { tenant: Tenant::open(), session: session(name), version, low, change })
}

/// An operation on one subscription.
pub fn get(name: &str, id: &str, counter: u64) -> Arc<Operation> {
    operation(name, counter, Change::Get(SubscriptionKey::of(&Tenant::open(), name, id)))
}
