//! One event: what happens to whom, until delivery is whole and the cluster complete again.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use gomera_cluster::address::Layer;
use gomera_proto::topology::to_layer;
use gomera_proto::v1::{Node, Topology};
use rand::RngExt as _;

use super::{COMPLETE_WITHIN, Fault, Run};
use crate::fleet::node::Role;
use crate::verdict::Event;

/// A kill counts with so many publications sent and not acknowledged.
const IN_FLIGHT_MIN: u64 = 100;
/// For so long a moment is waited for in which there are.
const MOMENT_WITHIN: Duration = Duration::from_secs(2);
/// Delivery is whole when nothing has been due for longer than this, for [`STAYS_WHOLE`].
const WHOLE: Duration = Duration::from_millis(60);
const STAYS_WHOLE: Duration = Duration::from_millis(500);
/// Delivery that is not whole by then never will be.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long nodes are paused or cut off: from what nobody notices to what everybody does.
const AWAY_MS: std::ops::Range<u64> = 50..8_000;

impl Run {
    /// Makes this happen.
    pub(super) async fn happen(&mut self, fault: Fault) -> Result<Event> {
        match fault {
            Fault::Kill => self.kill().await,
            Fault::Pause | Fault::Partition => self.away(fault).await,
            Fault::Zookeeper => self.zookeeper().await,
            Fault::Coordinator => self.coordinator().await,
        }
    }

    async fn kill(&mut self) -> Result<Event> {
        let victim = self.victim();
        let in_flight = self.moment(victim).await?;
        let node = &mut self.fleet.nodes[victim];
        let what = format!("kill -9 of a node, {}", node.name);
        let mut event = self.event(what, in_flight);
        event.counts = in_flight >= IN_FLIGHT_MIN;
        let begun = Instant::now();
        self.fleet.nodes[victim].kill()?;
        event.whole_after_ms = self.whole(begun).await;
        self.complete().await?;
        Ok(event)
    }

    /// A node does nothing, or nobody reaches it, for a while.
    async fn away(&mut self, fault: Fault) -> Result<Event> {
        let victim = self.victim();
        let away = Duration::from_millis(self.random.random_range(AWAY_MS));
        let name = self.fleet.nodes[victim].name.clone();
        let how = if fault == Fault::Pause { "paused" } else { "cut off" };
        let mut event = self.event(format!("{name} {how} for {} ms", away.as_millis()), self.trial.shared.in_flight());
        let begun = Instant::now();
        self.set_away(victim, fault, true)?;
        let this = &*self;
        let back = async {
            tokio::time::sleep(away).await;
            this.set_away(victim, fault, false)?;
            anyhow::Ok(Instant::now())
        };
        // Others take over while it is away, if it is away for long enough.
        let (whole, back) = tokio::join!(this.whole(begun), back);
        let back = back?;
        event.whole_after_ms = whole;
        if whole.is_some_and(|whole| begun + Duration::from_millis(whole) < back) {
            // Nor does its coming back disturb anybody.
            let again = self.whole(back).await;
            event.whole_after_ms = whole.zip(again).map(|(whole, again)| whole.max(again));
        }
        self.complete().await?;
        Ok(event)
    }

    fn set_away(&self, victim: usize, fault: Fault, is_away: bool) -> Result<()> {
        let node = &self.fleet.nodes[victim];
        match (fault, &self.network, &node.place) {
            (Fault::Partition, Some(network), Some(place)) => network.cut(place, is_away),
            _ if is_away => node.pause(),
            _ => node.go_on(),
        }
    }

    async fn zookeeper(&mut self) -> Result<Event> {
        let server = self.random.random_range(0..self.fleet.zookeeper.len());
        let away = Duration::from_millis(self.random.random_range(AWAY_MS));
        let leads = if self.fleet.zookeeper.leader() == Some(server) { ", which leads," } else { "" };
        let what = format!("kill -9 of ZooKeeper server {}{leads} for {} ms", server + 1, away.as_millis());
        let mut event = self.event(what, self.trial.shared.in_flight());
        let begun = Instant::now();
        tokio::task::block_in_place(|| self.fleet.zookeeper.kill(server));
        event.whole_after_ms = self.whole(begun).await;
        tokio::time::sleep(away).await;
        tokio::task::block_in_place(|| self.fleet.zookeeper.restart(server))?;
        self.complete().await?;
        Ok(event)
    }

    async fn coordinator(&mut self) -> Result<Event> {
        let all = self.fleet.nodes.iter().enumerate();
        let running: Vec<_> =
            all.filter(|(_, node)| node.role == Role::Coordinator && node.runs()).map(|(index, _)| index).collect();
        let victim = running[self.random.random_range(0..running.len())];
        let name = self.fleet.nodes[victim].name.clone();
        let mut event = self.event(format!("kill -9 of {name}"), self.trial.shared.in_flight());
        let begun = Instant::now();
        self.fleet.nodes[victim].kill()?;
        event.whole_after_ms = self.whole(begun).await;
        self.fleet.start(Role::Coordinator, &name)?;
        Ok(event)
    }

    fn event(&self, what: String, in_flight: u64) -> Event {
        let at_s = self.trial.shared.begun.elapsed().as_secs_f64();
        Event { at_s, what, in_flight, counts: true, whole_after_ms: None, detected_after_ms: None }
    }

    /// A node that runs, of a layer with victims.
    fn victim(&mut self) -> usize {
        let all = self.fleet.nodes.iter().enumerate().filter(|(_, node)| node.runs());
        let candidates: Vec<_> = all
            .filter(|(_, node)| matches!(node.role, Role::Of(layer) if self.victims.contains(&layer)))
            .map(|(index, _)| index)
            .collect();
        candidates[self.random.random_range(0..candidates.len())]
    }

    /// Waits for a moment in which enough publications are under way. If there is none by itself, the victim is stopped and dies with
    /// what piles up in that moment: it is its last one in any case.
    async fn moment(&self, victim: usize) -> Result<u64> {
        for is_stopped in [false, true] {
            if is_stopped {
                self.fleet.nodes[victim].pause()?;
            }
            let begun = Instant::now();
            while begun.elapsed() < MOMENT_WITHIN {
                let in_flight = self.trial.shared.in_flight();
                if in_flight >= IN_FLIGHT_MIN {
                    return Ok(in_flight);
                }
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
        }
        Ok(self.trial.shared.in_flight())
    }

    /// How long after `begun` delivery was whole and stayed so.
    async fn whole(&self, begun: Instant) -> Option<u64> {
        let mut whole_since: Option<Instant> = None;
        while begun.elapsed() < WHOLE_WITHIN + STAYS_WHOLE {
            tokio::time::sleep(LOOK_EVERY).await;
            if self.trial.shared.oldest_due() > WHOLE {
                whole_since = None;
                continue;
            }
            let since = *whole_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= STAYS_WHOLE {
                return u64::try_from(since.duration_since(begun).as_millis()).ok();
            }
        }
        self.trial.shared.say_overdue(WHOLE);
        None
    }

    /// Starts a node for each that has gone, and waits until the layout names as many of each layer as there should be, and any of them
    /// may die.
    async fn complete(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            self.replace()?;
            let missing = match self.fleet.topology().await {
                Ok(topology) => Layer::ALL.into_iter().find(|&layer| {
                    let of_layer =
                        || topology.nodes.iter().filter(|node| node.layer() == to_layer(layer) && !node.leaving);
                    let is_ours = |node: &Node| self.fleet.nodes.iter().any(|own| own.runs() && own.name == node.name);
                    of_layer().filter(|node| is_ours(node)).count() != usize::from(self.shape.of(layer))
                        || of_layer().map(|node| node.slices_other).sum::<u32>() < kept_twice(&topology, layer)
                }),
                Err(_) => Some(Layer::ConnectionPoint),
            };
            let Some(missing) = missing else { break };
            if begun.elapsed() > COMPLETE_WITHIN {
                bail!("the {missing} layer is not complete after {COMPLETE_WITHIN:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.trial.shared.move_doors(self.fleet.doors());
        Ok(())
    }

    fn replace(&mut self) -> Result<()> {
        for index in 0..self.fleet.nodes.len() {
            let node = &mut self.fleet.nodes[index];
            // Who was left out while it was away ends itself.
            let ended_now = node.runs() && node.ended()?.is_some();
            if (node.runs() && !ended_now) || node.is_replaced {
                continue;
            }
            node.is_replaced = true;
            let Role::Of(layer) = node.role else { continue };
            self.replaced += 1;
            let (role, place, clients) = (node.role, node.place.take(), node.clients.clone());
            self.fleet.start_in(role, &format!("y-{layer}-{}", self.replaced), place, clients.as_deref())?;
        }
        Ok(())
    }
}

/// How many slices of a layer somebody else could take over once all is well.
fn kept_twice(topology: &Topology, layer: Layer) -> u32 {
    let nodes = topology.nodes.iter().filter(|node| node.layer() == to_layer(layer)).count();
    let others = topology.replication.min(u32::try_from(nodes).unwrap_or(u32::MAX)).saturating_sub(1);
    let slices = match layer {
        Layer::Matcher => topology.matcher_slices,
        Layer::ExitPoint => topology.session_slices,
        Layer::ConnectionPoint | Layer::AccessPoint => 0,
    };
    slices * others
}
