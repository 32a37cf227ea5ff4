//! Driving a world step by step, as scripts do.

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::identity::{SessionKey, SubscriptionKey};

use super::World;
use crate::node::{Fate, NodeIndex};
use crate::script::{PublisherVerb, SubscriberVerb};
use crate::traffic;

impl World {
    /// Lets time pass.
    pub(crate) fn pass(&mut self, pause: Duration) {
        let until = self.stage.now + pause;
        while self.stage.agenda.next_at().is_some_and(|at| at <= until) && self.stage.violation.is_none() {
            let (at, due) = self.stage.agenda.take_next().expect("just seen");
            self.stage.now = self.stage.now.max(at);
            self.happen(due);
        }
        self.stage.now = until;
    }

    /// Lets time pass until nothing is under way, `most` at most.
    pub(crate) fn settle_script(&mut self, most: Duration) {
        let until = self.stage.now + most;
        while self.is_busy() && self.stage.now < until && self.stage.violation.is_none() {
            self.pass(Duration::from_micros(100));
        }
    }

    fn is_busy(&self) -> bool {
        self.network.under_way() > 0
            || self.nodes.iter().any(|node| !node.inbox.is_empty())
            || self.stage.doors.is_busy()
    }

    fn machine_named(&self, name: &str) -> Result<NodeIndex, String> {
        let index = self.nodes.iter().position(|node| node.name == name);
        index.map(NodeIndex).ok_or_else(|| format!("there is no machine {name}"))
    }

    /// Stalls a machine.
    pub(crate) fn stall_machine(&mut self, name: &str, pause: Duration) -> Result<(), String> {
        let index = self.machine_named(name)?;
        self.nodes[index.0].stalled_until = self.stage.now + pause;
        Ok(())
    }

    /// A machine hears of layouts later.
    pub(crate) fn deafen_machine(&mut self, name: &str, pause: Duration) -> Result<(), String> {
        let index = self.machine_named(name)?;
        self.deafen(index, self.stage.now + pause);
        Ok(())
    }

    /// A connection point crashes.
    pub(crate) fn crash_point(&mut self, name: &str) -> Result<(), String> {
        self.crash(self.node_named(name)?);
        Ok(())
    }

    /// A connection point stands still for a while, and is taken for dead.
    pub(crate) fn pause_point(&mut self, name: &str, pause: Duration) -> Result<(), String> {
        self.pause(self.node_named(name)?, pause);
        Ok(())
    }

    /// A layout with or without a connection point.
    pub(crate) fn layout_point(&mut self, name: &str, with: bool) -> Result<(), String> {
        let node = self.node_named(name)?;
        if !with && self.fate(node) != Fate::Well {
            self.declare_dead(node);
        }
        self.want(node, with);
        self.hurry();
        Ok(())
    }

    /// Stalls a link.
    pub(crate) fn stall_link(&mut self, from: &str, to: &str, pause: Duration) -> Result<(), String> {
        let (from, to) = (self.machine_named(from)?, self.machine_named(to)?);
        self.network.stall(self.stage.now, from, to, pause);
        Ok(())
    }

    /// A publisher does something.
    pub(crate) fn publisher_does(&mut self, number: usize, verb: &PublisherVerb) {
        let publisher = &mut self.publishers[number];
        let stage = &mut self.stage;
        match verb {
            PublisherVerb::Open => publisher.open(stage),
            PublisherVerb::Publish(attributes, expires_after) => {
                publisher.publish_attributes(stage, attributes.clone(), *expires_after);
            }
            PublisherVerb::Repeat => publisher.repeat_last(stage),
            PublisherVerb::Reuse => publisher.reuse_last(stage),
            PublisherVerb::Drop => publisher.disconnect(stage),
            PublisherVerb::Restart => {
                publisher.disconnect(stage);
                publisher.restart(stage);
            }
        }
    }

    /// A subscriber does something.
    pub(crate) fn subscriber_does(&mut self, number: usize, verb: &SubscriberVerb) {
        if let SubscriberVerb::Subscribe { id, .. } = verb {
            self.name_subscription(number, id);
        }
        let subscriber = &mut self.subscribers[number];
        let stage = &mut self.stage;
        match verb {
            SubscriberVerb::Attach { forgetful } => subscriber.attach(stage, *forgetful),
            SubscriberVerb::Twin => {
                subscriber.twin(stage);
                subscriber.attach(stage, false);
            }
            SubscriberVerb::Subscribe { id, filter, paused, expires_after } => {
                subscriber.subscribe(stage, id.clone(), traffic::declare(filter), *paused, *expires_after);
            }
            SubscriberVerb::Update { id, filter, paused, expires_after } => {
                subscriber.update(stage, id.clone(), traffic::declare(filter), *paused, *expires_after);
            }
            SubscriberVerb::Unsubscribe(id) => subscriber.unsubscribe(stage, id.clone()),
            SubscriberVerb::SetPaused(id, paused) => subscriber.set_paused(stage, id.clone(), *paused),
            SubscriberVerb::Get(id) => subscriber.get(stage, id.clone()),
            SubscriberVerb::List => subscriber.list(stage, None, 1000),
            SubscriberVerb::Context(attributes) => subscriber.set_context(stage, attributes.clone()),
            SubscriberVerb::Acknowledge => subscriber.acknowledge(stage),
            SubscriberVerb::SetReading(reading) => subscriber.set_reading(stage, *reading),
            SubscriberVerb::Drop => subscriber.drop_connection(stage),
            SubscriberVerb::End => subscriber.end(stage),
        }
    }

    fn name_subscription(&mut self, number: usize, id: &Arc<str>) {
        let plan = &self.plan.subscribers[number];
        let key = SubscriptionKey::of(&plan.tenant, &plan.name, id);
        self.names.subscription(key, format!("{}.{id}", plan.name));
        self.names.session(SessionKey::of(&plan.tenant, &plan.name), plan.name.to_string());
    }
}
