//! The subscriptions as a plain list, judged one by one with the plain evaluator on the filter as it was given.

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::identity::{Generation, Handle, SessionKey, SubscriptionKey, Tenant};
use gomera_cluster::operation::{Change, Operation, Subscription, Version};
use gomera_cluster::publication::{AttributeBlock, Envelope};
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Truth, evaluate};

/// What a publication satisfies: session, handle, generation, in order.
pub type Satisfied = Vec<(SessionKey, Handle, Generation)>;

struct Entry {
    tenant: Tenant,
    session: SessionKey,
    version: Version,
    generation: Generation,
    subscription: Subscription,
}

#[derive(Default)]
pub struct Plain {
    entries: BTreeMap<SubscriptionKey, Entry>,
    removed: BTreeMap<SubscriptionKey, Version>,
    contexts: BTreeMap<SessionKey, (Version, Arc<Attributes>)>,
    forgotten: BTreeMap<SessionKey, Generation>,
}

impl Plain {
    pub fn version(&self, key: SubscriptionKey) -> Option<Version> {
        self.entries.get(&key).map(|entry| entry.version)
    }

    pub fn apply(&mut self, operation: &Operation) {
        let Operation { tenant, session, version, low: _, change } = operation;
        let over = self.forgotten.get(session).is_some_and(|&forgotten| version.generation <= forgotten);
        let overtaken = change.subscription().is_some_and(|key| {
            let entry = self.entries.get(&key).is_some_and(|entry| entry.version > *version);
            entry || self.removed.get(&key).is_some_and(|removed| removed > version)
        });
        if over || overtaken {
            return;
        }
        match change {
            Change::Put(subscription, _) => {
                let mut subscription = subscription.clone();
                if let Some(entry) = self.entries.get(&subscription.key) {
                    subscription.handle = entry.subscription.handle;
                }
                let (tenant, session, version) = (tenant.clone(), *session, *version);
                let generation = version.generation;
                self.entries.insert(subscription.key, Entry { tenant, session, version, generation, subscription });
            }
            Change::Remove(key) => {
                self.entries.remove(key);
                self.removed.insert(*key, *version);
            }
            Change::SetPaused(key, paused) => {
                if let Some(entry) = self.entries.get_mut(key) {
                    entry.version = *version;
                    entry.subscription.options.paused = *paused;
                }
            }
            Change::SetContext(context) => {
                if self.contexts.get(session).is_none_or(|(known, _)| known <= version) {
                    self.contexts.insert(*session, (*version, context.clone()));
                }
            }
            Change::Forget => {
                let through = version.generation;
                self.entries.retain(|_, entry| entry.session != *session || entry.generation > through);
                if self.contexts.get(session).is_some_and(|(version, _)| version.generation <= through) {
                    self.contexts.remove(session);
                }
                self.forgotten.insert(*session, through);
            }
            Change::Get(_) | Change::List { .. } | Change::Expire(_) | Change::Restore(..) => {}
        }
    }

    pub fn judge(&self, envelope: &Envelope, mut note: impl FnMut(Truth)) -> Satisfied {
        let AttributeBlock::Decoded(attributes) = &envelope.attributes else { panic!("decoded") };
        let nothing = Attributes::default();
        let mut satisfied = Vec::new();
        for entry in self.entries.values().filter(|entry| entry.tenant == envelope.tenant) {
            let context = self.contexts.get(&entry.session).map_or(&nothing, |(_, context)| context);
            let truth = evaluate(&entry.subscription.filter, attributes, context);
            note(truth);
            let options = &entry.subscription.options;
            let expired = options.expires_at.is_some_and(|expires_at| envelope.accepted_at >= expires_at);
            if truth.is_match() && !options.paused && !expired {
                satisfied.push((entry.session, entry.subscription.handle, entry.generation));
            }
        }
        satisfied.sort_unstable();
        satisfied
    }
}
