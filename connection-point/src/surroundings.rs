//! What every part of the connection point works with: settings, time, the layout it serves, timers, output, figures.

use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::identity::ConnectionId;
use gomera_cluster::layout::Layout;
use gomera_cluster::time::{Instant, WallClock};
use gomera_model::timestamp::Timestamp;

use crate::acceptance::Acceptance;
use crate::client::Delivery;
use crate::config::Config;
use crate::output::Output;
use crate::statistics::Statistics;
use crate::timers::Timers;

/// Owned by the machine, lent to its parts.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Who we are.
    pub address: Address,
    /// Our settings.
    pub config: Config,
    /// The moment of the event being handled.
    pub now: Instant,
    /// What the wall clock showed last.
    pub clock: WallClock,
    /// The layout in force, if it names us: clients are served from then on only.
    pub layout: Option<Arc<Layout>>,
    /// Makes publications out of what clients hand in.
    pub acceptance: Acceptance,
    /// What waits for a moment.
    pub timers: Timers,
    /// What we ask for.
    pub output: Output,
    /// What we count.
    pub statistics: Statistics,
}

impl Surroundings {
    /// Nothing has happened yet.
    pub fn new(address: Address, config: Config) -> Self {
        Self {
            address,
            config,
            now: Instant::ZERO,
            clock: WallClock { at: Instant::ZERO, showed: Timestamp(0) },
            layout: None,
            acceptance: Acceptance::default(),
            timers: Timers::default(),
            output: Output::default(),
            statistics: Statistics::default(),
        }
    }

    /// Passes deliveries on to a client.
    pub fn deliver(&mut self, connection: ConnectionId, deliveries: Vec<Delivery>) {
        for delivery in &deliveries {
            match delivery {
                Delivery::Notification { .. } => self.statistics.notifications_delivered += 1,
                Delivery::Gap(_) => self.statistics.gaps_delivered += 1,
            }
        }
        self.output.deliver(connection, deliveries);
    }

    /// The wall time of the event being handled.
    pub fn wall(&self) -> Timestamp {
        self.clock.at(self.now)
    }
}
