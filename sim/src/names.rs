//! Names for people: what transcripts and reports call machines, sessions and publishers.

use std::collections::BTreeMap;

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::identity::{PublisherKey, SessionKey, SubscriptionKey};

/// The names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    machines: BTreeMap<Address, String>,
    sessions: BTreeMap<SessionKey, String>,
    subscriptions: BTreeMap<SubscriptionKey, String>,
    publishers: BTreeMap<PublisherKey, String>,
}

impl Names {
    /// Enters a machine.
    pub fn machine(&mut self, address: Address, name: String) {
        self.machines.insert(address, name);
    }

    /// Enters a session and the subscription ids it may use.
    pub fn session(&mut self, key: SessionKey, name: String) {
        self.sessions.insert(key, name);
    }

    /// Enters a subscription.
    pub fn subscription(&mut self, key: SubscriptionKey, name: String) {
        self.subscriptions.insert(key, name);
    }

    /// Enters a publisher.
    pub fn publisher(&mut self, key: PublisherKey, name: String) {
        self.publishers.insert(key, name);
    }

    /// The name of a machine.
    #[must_use]
    pub fn of_machine(&self, address: Address) -> String {
        self.machines.get(&address).cloned().unwrap_or_else(|| address.to_string())
    }

    /// The name of a session.
    #[must_use]
    pub fn of_session(&self, key: SessionKey) -> String {
        self.sessions.get(&key).cloned().unwrap_or_else(|| format!("session-{:x}", key.0 & 0xffff))
    }

    /// The name of a subscription.
    #[must_use]
    pub fn of_subscription(&self, key: SubscriptionKey) -> String {
        self.subscriptions.get(&key).cloned().unwrap_or_else(|| format!("subscription-{:x}", key.0 & 0xffff))
    }

    /// The name of a publisher.
    #[must_use]
    pub fn of_publisher(&self, key: PublisherKey) -> String {
        self.publishers.get(&key).cloned().unwrap_or_else(|| format!("publisher-{:x}", key.0 & 0xffff))
    }
}

/// The letter of a layer in names of machines.
#[must_use]
pub const fn letter(layer: Layer) -> char {
    match layer {
        Layer::ConnectionPoint => 'C',
        Layer::AccessPoint => 'A',
        Layer::Matcher => 'M',
        Layer::ExitPoint => 'E',
    }
}
