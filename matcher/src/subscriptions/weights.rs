//! What subscriptions count against the limits, for each tenant and together: how many, what they can cost a publication, and the
//! bytes they take.
//!
//! Invariant: every sum is that of the weights of the rows that are in. A row keeps its weight, and gives back exactly that.

use std::collections::BTreeMap;

use gomera_cluster::identity::Tenant;
use gomera_cluster::operation::{Excess, Limited};
use gomera_model::filter::Filter;

use super::rows::Row;
use crate::config::Config;
use crate::index::Charge;

/// What one subscription counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    nanoseconds: u32,
    bytes: u32,
}

impl Weight {
    /// Of a subscription with this id and filter.
    pub fn of(id: &str, filter: &Filter) -> Self {
        /// The row, where it is found by key and by handle, and the tables' room to grow.
        const ROW_BYTES: usize = 2 * size_of::<Row>() + 160;
        let charge = Charge::of(filter);
        let own = u32::try_from(ROW_BYTES + id.len() + filter.bytes()).unwrap_or(u32::MAX);
        Self { nanoseconds: charge.nanoseconds, bytes: charge.bytes.saturating_add(own) }
    }
}

/// What some subscriptions count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Subscriptions.
    pub subscriptions: u32,
    /// Nanoseconds that their filters can cost a publication.
    pub nanoseconds: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Total {
    fn add(&mut self, weight: Weight) {
        self.subscriptions += 1;
        self.nanoseconds += u64::from(weight.nanoseconds);
        self.bytes += u64::from(weight.bytes);
    }

    fn take(&mut self, weight: Weight) {
        self.subscriptions -= 1;
        self.nanoseconds -= u64::from(weight.nanoseconds);
        self.bytes -= u64::from(weight.bytes);
    }
}

/// All sums.
#[derive(Debug)]
pub struct Weights {
    cost_max: u64,
    bytes_max: u64,
    tenant_bytes_max: u64,
    per_tenant: BTreeMap<Tenant, Total>,
    all: Total,
}

impl Weights {
    /// Of nothing.
    pub fn new(config: &Config) -> Self {
        Self {
            cost_max: u64::try_from(config.filter_cost_per_tenant_max.as_nanos()).unwrap_or(u64::MAX),
            bytes_max: config.subscription_bytes_max,
            tenant_bytes_max: config.subscription_bytes_per_tenant_max,
            per_tenant: BTreeMap::new(),
            all: Total::default(),
        }
    }

    /// What a tenant's subscriptions count.
    pub fn of(&self, tenant: &Tenant) -> Total {
        self.per_tenant.get(tenant).copied().unwrap_or_default()
    }

    /// What all count.
    pub fn all(&self) -> Total {
        self.all
    }

    /// How many tenants have a subscription.
    pub fn tenants(&self) -> usize {
        self.per_tenant.len()
    }

    /// The most that the filters of one tenant can cost a publication.
    pub fn costliest_tenant(&self) -> u64 {
        self.per_tenant.values().map(|total| total.nanoseconds).max().unwrap_or(0)
    }

    /// Whether a subscription of the tenant may come to count `new` where it counted `old`. Counting less is always allowed.
    pub fn check(&self, tenant: &Tenant, old: Weight, new: Weight) -> Result<(), Excess> {
        let of_tenant = self.of(tenant);
        let (old_bytes, new_bytes) = (old.bytes, new.bytes);
        for (limited, limit, total, old, new) in [
            (Limited::Cost, self.cost_max, of_tenant.nanoseconds, old.nanoseconds, new.nanoseconds),
            (Limited::TenantBytes, self.tenant_bytes_max, of_tenant.bytes, old_bytes, new_bytes),
            (Limited::Bytes, self.bytes_max, self.all.bytes, old_bytes, new_bytes),
        ] {
            let asked = u64::from(new.saturating_sub(old));
            if asked > 0 && total + asked > limit {
                return Err(Excess { limited, limit, used: total, asked });
            }
        }
        Ok(())
    }

    /// A subscription is there.
    pub fn add(&mut self, tenant: &Tenant, weight: Weight) {
        self.per_tenant.entry(tenant.clone()).or_default().add(weight);
        self.all.add(weight);
    }

    /// A subscription is gone.
    pub fn take(&mut self, tenant: &Tenant, weight: Weight) {
        self.all.take(weight);
        let total = self.per_tenant.get_mut(tenant).expect("a tenant with a subscription is counted");
        total.take(weight);
        if total.subscriptions == 0 {
            assert_eq!(*total, Total::default(), "what is taken back was added");
            self.per_tenant.remove(tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::filter;

    #[test]
    fn a_million_ordinary_filters_of_one_tenant_have_room_by_default() {
        let config = Config::default();
        let tenant = Tenant::open();
        for text in [
            "s3 = 'v17' AND n4 >= 1200 AND n4 < 2200 AND n7 >= 300 AND n7 < 1300",
            "n1 >= 1 AND n1 < 2001 AND n2 >= 5 AND n2 < 2005 AND n3 >= 7 AND n3 < 2007 AND n4 >= 9 AND n4 < 2009 AND n5 > 3",
            "(s1 IN ('v1', 'v22', 'v333', 'v444', 'v555') AND n3 >= 100 AND n3 < 1100) OR (s2 IN ('v9', 'v88', 'v777', 'v666', \
             'v554') AND NOT (n4 >= 3 AND n4 < 1003))",
            "type = 'Room' AND STARTS_WITH(id, 'urn:Room:7') AND t1 >= 3 AND t1 < 9 AND t2 > 4 AND WITHIN(location, \
             CIRCLE(POINT(43.46, -3.8), 500))",
        ] {
            let weight = Weight::of("0123456789abcdef", &filter(text));
            let million = |each: u32| u64::from(each) * 1_000_000;
            let (cost, bytes) = (million(weight.nanoseconds), million(weight.bytes));
            let mut weights = Weights::new(&config);
            weights.per_tenant.insert(tenant.clone(), Total { subscriptions: 1_000_000, nanoseconds: cost, bytes });
            // Circles are in a quarter of the filters of workload F alone.
            let cost_has_room = text.contains("CIRCLE") || weights.check(&tenant, Weight::default(), weight).is_ok();
            assert!(cost_has_room && bytes < config.subscription_bytes_per_tenant_max, "{text}: {weight:?}");
        }
    }
}
