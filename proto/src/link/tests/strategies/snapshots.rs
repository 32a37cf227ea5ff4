//! Any part of a snapshot.

use std::sync::Arc;

use gomera_cluster::identity::SubscriptionKey;
use gomera_cluster::layout::MatcherSlice;
use gomera_cluster::message::snapshot::{
    Extent, SessionState, SettledState, SnapshotPart, SubscriptionState, TransferId,
};
use gomera_cluster::operation::{Description, Subscription};
use proptest::prelude::*;

use super::{context, description, generation, session, tenant, version};

pub fn subscription_state() -> impl Strategy<Value = SubscriptionState> {
    (tenant(), session(), 0_u16..300, version(), version(), any::<u128>(), description()).prop_map(
        |(tenant, session, slice, version, put, key, description)| {
            let Description { id, handle, filter, options } = description;
            let subscription = Subscription { key: SubscriptionKey(key), id, handle, filter, options };
            SubscriptionState { tenant, session, slice: MatcherSlice(slice), version, put, subscription }
        },
    )
}

pub fn snapshot_part() -> impl Strategy<Value = SnapshotPart> {
    let tombstone = (version(), any::<u128>().prop_map(SubscriptionKey));
    let settled = (0_u16..300, version(), prop::collection::vec(tombstone, 0..3));
    let settled =
        settled.prop_map(|(slice, floor, tombstones)| SettledState { slice: MatcherSlice(slice), floor, tombstones });
    let context = prop::option::of((version(), context().prop_map(Arc::new)));
    let forgotten = prop::option::of(generation());
    let state = (tenant(), session(), context, forgotten, prop::collection::vec(settled, 0..3)).prop_map(
        |(tenant, session, context, forgotten, settled)| SessionState { tenant, session, context, forgotten, settled },
    );
    let (states, rows) = (prop::collection::vec(state, 0..3), prop::collection::vec(subscription_state(), 0..3));
    (any::<u64>(), states, rows, any::<bool>()).prop_map(|(transfer, sessions, subscriptions, last)| SnapshotPart {
        transfer: TransferId(transfer),
        sessions,
        subscriptions,
        extent: if last { Extent::Last } else { Extent::More },
    })
}
