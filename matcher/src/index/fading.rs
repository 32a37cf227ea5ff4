//! Stamps: what was looked at for a publication bears its number, so that it is not looked at twice. Numbers have 32 bits. Once they have
//! come half way around, stamps of the half before are taken away, a few with each publication: long before that half comes again.

use super::Index;
use super::schema::Schema;

/// Stamps looked at with a publication while some are taken away: less than a microsecond.
const LOOKED_AT: u32 = 64;

/// Where taking away is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fading {
    Crowds(u32),
    Clusters(u32),
    Residuals(u32),
    /// Of the names that a tenant's filters use.
    Names(usize, u32),
}

/// Which half of all numbers one is of.
fn half(number: u32) -> u32 {
    number >> 31
}

impl Index {
    /// The first of so many numbers for publications, of which no stamp bears one.
    pub(super) fn next_epochs(&mut self, count: u32) -> u32 {
        let before = half(self.epoch);
        // 0 is that of who was never looked at.
        let last = self.epoch.checked_add(count).unwrap_or(count);
        let first = last - count + 1;
        self.epoch = last;
        if half(last) != before {
            debug_assert!(self.fading.is_none(), "stamps of this half are gone");
            self.fading = Some(Fading::Crowds(0));
        }
        first
    }

    /// Takes stamps of the other half away, if that is under way, as many as so many publications allow for.
    pub(super) fn fade_some(&mut self, publications: u32) {
        let current = half(self.epoch);
        let fade = |stamp: &mut u32| {
            if half(*stamp) != current {
                *stamp = 0;
            }
        };
        for _ in 0..publications.saturating_mul(LOOKED_AT) {
            let store = &mut self.store;
            let next = match self.fading {
                None => return,
                Some(Fading::Crowds(at)) => match store.crowds.get_mut(at) {
                    Some(crowd) => {
                        fade(&mut crowd.stamp);
                        Fading::Crowds(at + 1)
                    }
                    None => Fading::Clusters(0),
                },
                Some(Fading::Clusters(at)) => {
                    if store.clusters.fade(at, fade) {
                        Fading::Clusters(at + 1)
                    } else {
                        Fading::Residuals(0)
                    }
                }
                Some(Fading::Residuals(at)) => {
                    if store.residuals.fade(at, fade) {
                        Fading::Residuals(at + 1)
                    } else {
                        Fading::Names(0, 0)
                    }
                }
                Some(Fading::Names(tenant, at)) => match self.schemas.get_mut(tenant) {
                    None => {
                        self.fading = None;
                        return;
                    }
                    Some(schema) => {
                        let is_more = schema.as_mut().is_some_and(|schema: &mut Schema| schema.fade(at, fade));
                        if is_more { Fading::Names(tenant, at + 1) } else { Fading::Names(tenant + 1, 0) }
                    }
                },
            };
            self.fading = Some(next);
        }
    }
}

#[cfg(test)]
mod tests;
