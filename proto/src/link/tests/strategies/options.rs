//! Any options of a session.

use std::time::Duration;

use gomera_cluster::session::{HandleDetail, SessionOptions, Sharing, SlowPolicy};
use proptest::prelude::*;

pub fn session_options() -> impl Strategy<Value = SessionOptions> {
    let duration = || any::<u64>().prop_map(Duration::from_nanos);
    let slow = prop_oneof![
        Just(SlowPolicy::DropOldest),
        Just(SlowPolicy::Disconnect),
        duration().prop_map(|wait_max| SlowPolicy::Block { wait_max }),
    ];
    (any::<u64>(), any::<u64>(), slow, duration(), any::<bool>(), any::<bool>()).prop_map(
        |(outbox_bytes_max, outbox_notifications_max, slow, expires_after, count, group)| SessionOptions {
            outbox_bytes_max,
            outbox_notifications_max,
            slow,
            expires_after,
            detail: if count { HandleDetail::Count } else { HandleDetail::All },
            sharing: if group { Sharing::Group } else { Sharing::Exclusive },
        },
    )
}
