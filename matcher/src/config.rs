//! What can be tuned about a matcher, and what must hold of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Configuration of one matcher shard. Limits count on this shard: a session's subscriptions are spread over all shards by
/// their slices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes of entries that each lane's writer may have under way to this shard. When it is used up, the writer retains. At
    /// least 1.
    pub lane_window_bytes: u64,
    /// Bytes of matches that may wait for credit of one exit-point shard on one lane. When one has that much waiting, entries
    /// of the lane wait. At least 1.
    pub output_bytes_max: u64,
    /// Bytes of matches after which a frame to an exit point ends; the matches of one publication may exceed it. At least 1.
    pub frame_bytes_max: u64,
    /// Entries of a lane worked off in one step; what is left over waits for the next timeout, due at once. At least 1.
    pub step_entries_max: u32,
    /// Subscriptions. Further ones are `LimitExceeded`. At least 1.
    pub subscriptions_max: u32,
    /// Subscriptions of one tenant. Further ones are `LimitExceeded`. At least 1.
    pub subscriptions_per_tenant_max: u32,
    /// Subscriptions of one session. Further ones are `LimitExceeded`. At least 1.
    pub subscriptions_per_session_max: u32,
    /// What the filters of one tenant may cost a publication at worst, all together: each is charged with what its parts take on
    /// the publication that is worst for it, by a table that depends on nothing but the filter (`gomera filter explain` tells it).
    /// Parts that several of the tenant's filters have count once.
    /// A filter beyond it is `LimitExceeded`. The default admits four million filters of an equality and two ranges, a million of ranges alone, 500
    /// regular expressions, or 4,000 `LIKE '%…%'`, all different; more of them is for who trusts the tenants, or keeps texts short. At least 1 us.
    pub filter_cost_per_tenant_max: Duration,
    /// Bytes of all subscriptions: filters, rows and their part of the index, as charged beforehand. Each filter is charged
    /// its names as if no other had them, so that it is up to six times what filters of common names take in the index. Further ones are `LimitExceeded`. At least 1.
    pub subscription_bytes_max: u64,
    /// Bytes of the subscriptions of one tenant, counted likewise. The default admits 2.4 million filters of an equality and two ranges,
    /// and a million of two lists and two ranges. At least 1.
    pub subscription_bytes_per_tenant_max: u64,
    /// Sessions with a subscription, a context or a trace of either. The first subscription and the context of further ones
    /// are `LimitExceeded`. At least 1.
    pub sessions_max: u32,
    /// Tombstones of removed subscriptions. When there are so many, a removal instead refuses all lower versions of its
    /// session in its slice. 0 is allowed.
    pub tombstones_max: u32,
    /// How long an ended session is remembered, so that operations that its end overtook are refused.
    pub forgotten_for: Duration,
    /// Ended sessions remembered; the oldest goes first.
    pub forgotten_max: u32,
    /// How long after its expiry a subscription is removed. It stops to match at its expiry.
    pub expiry_slack: Duration,
    /// Bytes of a snapshot that may be under way to this shard from each matcher that it asked. At least 1.
    pub snapshot_window_bytes: u64,
    /// Bytes of snapshots that this shard sends in a second, to all that join together, and as many that it takes in: a subscription is
    /// some 800 bytes, and copying it takes some 20 us of a core here and there. Higher moves slices sooner, and takes more from everything
    /// else meanwhile. At least 1.
    pub snapshot_bytes_per_second: u64,
    /// Bytes of operations kept for one slice until its snapshot is in. When there are more, that begins anew. At least 1.
    pub joining_bytes_max: u64,
    /// Seed of look-up tables: the driver supplies it (random, or fixed in simulation).
    #[serde(skip)]
    pub hash_seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lane_window_bytes: 4 << 20,
            output_bytes_max: 8 << 20,
            frame_bytes_max: 256 << 10,
            step_entries_max: 256,
            subscriptions_max: 4_000_000,
            subscriptions_per_tenant_max: 4_000_000,
            subscriptions_per_session_max: 200_000,
            filter_cost_per_tenant_max: Duration::from_millis(25),
            subscription_bytes_max: 12 << 30,
            subscription_bytes_per_tenant_max: 6 << 30,
            sessions_max: 2_000_000,
            tombstones_max: 262_144,
            forgotten_for: Duration::from_secs(600),
            forgotten_max: 262_144,
            expiry_slack: Duration::from_secs(60),
            snapshot_window_bytes: 256 << 10,
            snapshot_bytes_per_second: 4 << 20,
            joining_bytes_max: 64 << 20,
            hash_seed: 0,
        }
    }
}

/// A value that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}, must be {must}")]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// What it was set to.
    pub value: String,
    /// What would be right.
    pub must: &'static str,
}

impl Config {
    /// Checks every field.
    ///
    /// # Errors
    /// For the first field whose value cannot work.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let positive = [
            ("lane_window_bytes", self.lane_window_bytes),
            ("output_bytes_max", self.output_bytes_max),
            ("frame_bytes_max", self.frame_bytes_max),
            ("step_entries_max", u64::from(self.step_entries_max)),
            ("subscriptions_max", u64::from(self.subscriptions_max)),
            ("subscriptions_per_tenant_max", u64::from(self.subscriptions_per_tenant_max)),
            ("subscriptions_per_session_max", u64::from(self.subscriptions_per_session_max)),
            ("subscription_bytes_max", self.subscription_bytes_max),
            ("subscription_bytes_per_tenant_max", self.subscription_bytes_per_tenant_max),
            ("sessions_max", u64::from(self.sessions_max)),
            ("snapshot_window_bytes", self.snapshot_window_bytes),
            ("snapshot_bytes_per_second", self.snapshot_bytes_per_second),
            ("joining_bytes_max", self.joining_bytes_max),
        ];
        for (field, value) in positive {
            if value == 0 {
                return Err(ConfigError { field, value: value.to_string(), must: "at least 1" });
            }
        }
        if self.filter_cost_per_tenant_max < Duration::from_micros(1) {
            let value = format!("{:?}", self.filter_cost_per_tenant_max);
            return Err(ConfigError { field: "filter_cost_per_tenant_max", value, must: "at least 1us" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_an_error_names_field_value_and_remedy() {
        assert_eq!(Config::default().validate(), Ok(()));
        let error = Config { sessions_max: 0, ..Config::default() }.validate().expect_err("zero");
        assert_eq!(error.to_string(), "sessions_max is 0, must be at least 1");
        let error = Config { filter_cost_per_tenant_max: Duration::ZERO, ..Config::default() }.validate();
        let error = error.expect_err("no filter at all").to_string();
        assert_eq!(error, "filter_cost_per_tenant_max is 0ns, must be at least 1us");
    }
}
