//! What subscriptions count against the limits, for each tenant and together: how many, what they can cost a publication, and the
//! bytes they take.
//!
//! A condition that is decided once for all filters that have it counts once for each tenant: it is kept with how many of the tenant's
//! subscriptions have it.
//!
//! Invariant: every sum is that of the weights of the rows that are in. A row keeps its weight, and gives back exactly that.

use std::collections::BTreeMap;
use std::ops::Bound;

use gomera_cluster::identity::Tenant;
use gomera_cluster::operation::{Excess, Limited};
use gomera_cluster::table::Seeded;
use gomera_model::filter::Filter;

use super::rows::Row;
use crate::config::Config;
use crate::index::{Charge, Condition};

/// What one subscription counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    nanoseconds: u32,
    bytes: u32,
    conditions: Box<[Condition]>,
}

impl Weight {
    /// Of a subscription with this id and filter.
    pub fn of(id: &str, filter: &Filter, hashing: Seeded) -> Self {
        /// The row, where it is found by key and by handle, and the tables' room to grow.
        const ROW_BYTES: usize = 2 * size_of::<Row>() + 160;
        /// With the row, and with the tenant.
        const CONDITION_BYTES: usize = 3 * size_of::<(u64, Condition)>();
        let Charge { nanoseconds, bytes, conditions } = Charge::of(filter, hashing);
        let own = ROW_BYTES + id.len() + filter.bytes() + CONDITION_BYTES * conditions.len();
        Self { nanoseconds, bytes: bytes.saturating_add(u32::try_from(own).unwrap_or(u32::MAX)), conditions }
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

/// A condition in use.
#[derive(Clone, Copy, Debug)]
struct Use {
    subscriptions: u32,
    nanoseconds: u32,
}

/// What a tenant's subscriptions count.
#[derive(Debug, Default)]
struct OfTenant {
    total: Total,
    conditions: BTreeMap<u64, Use>,
}

impl OfTenant {
    fn add(&mut self, weight: &Weight) {
        self.total.add(weight);
        for &Condition { key, nanoseconds } in &weight.conditions {
            let used = self.conditions.entry(key).or_insert(Use { subscriptions: 0, nanoseconds });
            if used.subscriptions == 0 {
                self.total.nanoseconds += u64::from(used.nanoseconds);
            }
            used.subscriptions += 1;
        }
    }

    fn take(&mut self, weight: &Weight) {
        self.total.take(weight);
        for Condition { key, .. } in &weight.conditions {
            let used = self.conditions.get_mut(key).expect("a condition of a subscription is in use");
            used.subscriptions -= 1;
            if used.subscriptions == 0 {
                self.total.nanoseconds -= u64::from(used.nanoseconds);
                self.conditions.remove(key);
            }
        }
    }

    /// Nanoseconds, if `new` came for `old`.
    fn with(&self, old: &Weight, new: &Weight) -> u64 {
        let is_last = |key: &u64| self.conditions.get(key).is_some_and(|used| used.subscriptions == 1);
        let goes = |condition: &&Condition| is_last(&condition.key);
        let freed: u64 = old.conditions.iter().filter(goes).map(|gone| u64::from(gone.nanoseconds)).sum();
        let is_had_by_old = |key: u64| old.conditions.iter().any(|condition| condition.key == key);
        let comes = |condition: &&Condition| {
            !self.conditions.contains_key(&condition.key) || (is_last(&condition.key) && is_had_by_old(condition.key))
        };
        let added: u64 = new.conditions.iter().filter(comes).map(|come| u64::from(come.nanoseconds)).sum();
        let kept = self.total.nanoseconds - u64::from(old.nanoseconds) - freed;
        kept + u64::from(new.nanoseconds) + added
    }
}

impl Total {
    fn add(&mut self, weight: &Weight) {
        self.subscriptions += 1;
        self.nanoseconds += u64::from(weight.nanoseconds);
        self.bytes += u64::from(weight.bytes);
    }

    fn take(&mut self, weight: &Weight) {
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
    per_tenant: BTreeMap<Tenant, OfTenant>,
    /// Of all tenants.
    bytes: u64,
}

impl Weights {
    /// Of nothing.
    pub fn new(config: &Config) -> Self {
        Self {
            cost_max: u64::try_from(config.filter_cost_per_tenant_max.as_nanos()).unwrap_or(u64::MAX),
            bytes_max: config.subscription_bytes_max,
            tenant_bytes_max: config.subscription_bytes_per_tenant_max,
            per_tenant: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// What a tenant's subscriptions count.
    pub fn of(&self, tenant: &Tenant) -> Total {
        self.per_tenant.get(tenant).map_or_else(Total::default, |of_tenant| of_tenant.total)
    }

    /// Bytes of all subscriptions.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many tenants have a subscription.
    pub fn tenants(&self) -> usize {
        self.per_tenant.len()
    }

    /// The most that the filters of one tenant can cost a publication, of up to so many tenants after one; and the last of these, unless that
    /// was the end.
    pub fn costliest_after(&self, after: Option<&Tenant>, tenants_max: usize) -> (u64, Option<&Tenant>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut tenants = self.per_tenant.range((from, Bound::Unbounded));
        let (mut costliest, mut last) = (0, None);
        for (tenant, of_tenant) in tenants.by_ref().take(tenants_max) {
            (costliest, last) = (of_tenant.total.nanoseconds.max(costliest), Some(tenant));
        }
        (costliest, last.filter(|_| tenants.next().is_some()))
    }

    /// Whether a subscription of the tenant may come to count `new` where it counted `old`. Counting less is always allowed.
    pub fn check(&self, tenant: &Tenant, old: &Weight, new: &Weight) -> Result<(), Excess> {
        let nobody = OfTenant::default();
        let of_tenant = self.per_tenant.get(tenant).unwrap_or(&nobody);
        let bytes_asked = u64::from(new.bytes.saturating_sub(old.bytes));
        let Total { nanoseconds, bytes, .. } = of_tenant.total;
        let cost_asked = of_tenant.with(old, new).saturating_sub(nanoseconds);
        for (limited, limit, used, asked) in [
            (Limited::Cost, self.cost_max, nanoseconds, cost_asked),
            (Limited::TenantBytes, self.tenant_bytes_max, bytes, bytes_asked),
            (Limited::Bytes, self.bytes_max, self.bytes, bytes_asked),
        ] {
            if asked > 0 && used + asked > limit {
                return Err(Excess { limited, limit, used, asked });
            }
        }
        Ok(())
    }

    /// A subscription is there.
    pub fn add(&mut self, tenant: &Tenant, weight: &Weight) {
        if !self.per_tenant.contains_key(tenant) {
            self.per_tenant.insert(tenant.clone(), OfTenant::default());
        }
        self.per_tenant.get_mut(tenant).expect("it is there by now").add(weight);
        self.bytes += u64::from(weight.bytes);
    }

    /// A subscription is gone.
    pub fn take(&mut self, tenant: &Tenant, weight: &Weight) {
        self.bytes -= u64::from(weight.bytes);
        let of_tenant = self.per_tenant.get_mut(tenant).expect("a tenant with a subscription is counted");
        of_tenant.take(weight);
        if of_tenant.total.subscriptions == 0 {
            assert_eq!(of_tenant.total, Total::default(), "what is taken back was added");
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
            let weight = Weight::of("0123456789abcdef", &filter(text), Seeded::new(1));
            let million = |each: u32| u64::from(each) * 1_000_000;
            let (cost, bytes) = (million(weight.nanoseconds), million(weight.bytes));
            let mut weights = Weights::new(&config);
            let total = Total { subscriptions: 1_000_000, nanoseconds: cost, bytes };
            weights.per_tenant.insert(tenant.clone(), OfTenant { total, ..OfTenant::default() });
            // Circles are in a quarter of the filters of workload F alone.
            let without = text.split(" AND WITHIN").next().expect("a beginning");
            let without = Weight::of("", &filter(without), Seeded::new(1));
            let cost = (cost + 3 * million(without.nanoseconds)) / 4;
            let cost_has_room = cost < weights.cost_max;
            assert!(cost_has_room && bytes < config.subscription_bytes_per_tenant_max, "{text}: {weight:?}");
        }
    }

    #[test]
    fn a_condition_counts_once_for_each_tenant_and_until_the_last_that_has_it_is_gone() {
        let hashing = Seeded::new(3);
        let config = Config { filter_cost_per_tenant_max: std::time::Duration::from_micros(80), ..Config::default() };
        let mut weights = Weights::new(&config);
        let of = |text: &str| Weight::of("x", &filter(text), hashing);
        let (one, other) = (Tenant::open(), Tenant(std::sync::Arc::from("other")));
        let same = |number: u32| of(&format!("k = {number} AND MATCHES(note, 'a')"));
        for number in 0..200 {
            assert_eq!(weights.check(&one, &Weight::default(), &same(number)), Ok(()), "{number}");
            weights.add(&one, &same(number));
        }
        let different = of("MATCHES(note, 'b')");
        let excess = weights.check(&one, &Weight::default(), &different).expect_err("a second one has no room");
        assert!(excess.used < 80_000 && excess.asked > 50_000, "{excess:?}");
        assert_eq!(weights.check(&other, &Weight::default(), &different), Ok(()));
        for number in 1..200 {
            assert!(weights.check(&one, &same(number), &different).is_err());
            weights.take(&one, &same(number));
        }
        // In the place of the last that had it there is room; what has it already costs nothing anew.
        assert_eq!(weights.check(&one, &same(0), &different), Ok(()));
        assert_eq!(weights.check(&one, &same(0), &same(1)), Ok(()));
        let both = of("MATCHES(note, 'a') AND MATCHES(note, 'b')");
        assert!(weights.check(&one, &same(0), &both).is_err());
        weights.take(&one, &same(0));
        weights.add(&one, &different);
        assert!(weights.of(&one).nanoseconds < 60_000);
        weights.take(&one, &different);
        assert_eq!((weights.tenants(), weights.bytes(), weights.costliest_after(None, 9)), (0, 0, (0, None)));
    }
}
