//! The network between machines: one link per ordered pair, first-in first-out, each with delays of its own; links know
//! nothing of each other. A link can stall: what is under way arrives in one burst afterwards.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use gomera_cluster::message::Frame;
use gomera_cluster::time::Instant;

use crate::agenda::{Agenda, Due};
use crate::node::NodeIndex;
use crate::random::{Random, micros, millis};

/// Which link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkIndex(pub usize);

/// How links behave while faults last.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Delay of an ordinary link.
    pub delay: (Duration, Duration),
    /// Delay of a slow link.
    pub slow_delay: (Duration, Duration),
    /// How many links of 1000 are slow.
    pub slow_links: u64,
    /// How many frames of 1000 are held up, and for how long at most.
    pub held_up: (u64, Duration),
    /// How long a stall lasts at most.
    pub stall_max: Duration,
}

impl Weather {
    /// A steady network, for scripts.
    #[must_use]
    pub fn steady() -> Self {
        let delay = (micros(100), micros(100));
        Self { delay, slow_delay: delay, slow_links: 0, held_up: (0, Duration::ZERO), stall_max: Duration::ZERO }
    }
}

#[derive(Debug)]
struct Link {
    to: NodeIndex,
    delay: (Duration, Duration),
    queue: VecDeque<Frame>,
    last_arrival: Instant,
    stalled_until: Instant,
}

/// All links.
#[derive(Debug)]
pub struct Network {
    weather: Weather,
    random: Random,
    calm: bool,
    index: BTreeMap<(NodeIndex, NodeIndex), LinkIndex>,
    links: Vec<Link>,
    under_way: usize,
}

/// Delay of every link once faults have stopped.
const CALM: (Duration, Duration) = (micros(50), micros(200));

impl Network {
    /// No links yet; they come into being with their first frame.
    #[must_use]
    pub fn new(weather: Weather, random: Random) -> Self {
        Self { weather, random, calm: false, index: BTreeMap::new(), links: Vec::new(), under_way: 0 }
    }

    /// Puts a frame on its link.
    pub fn send(&mut self, now: Instant, from: NodeIndex, to: NodeIndex, frame: Frame, agenda: &mut Agenda) {
        let index = self.link(from, to);
        let held_up = !self.calm && self.random.chance(self.weather.held_up.0);
        let link = &mut self.links[index.0];
        let (low, high) = if self.calm { CALM } else { link.delay };
        let mut delay = self.random.duration(low, high);
        if held_up {
            delay += self.random.duration(Duration::ZERO, self.weather.held_up.1);
        }
        let at = (now + delay).max(link.last_arrival).max(link.stalled_until);
        link.last_arrival = at;
        link.queue.push_back(frame);
        self.under_way += 1;
        agenda.enter(at, Due::Link(index));
    }

    /// The frame that arrives on a link now, and where; none if the link is stalled.
    pub fn arrive(&mut self, now: Instant, index: LinkIndex, agenda: &mut Agenda) -> Option<(NodeIndex, Frame)> {
        let link = &mut self.links[index.0];
        if now < link.stalled_until {
            agenda.enter(link.stalled_until, Due::Link(index));
            return None;
        }
        let frame = link.queue.pop_front()?;
        self.under_way -= 1;
        Some((link.to, frame))
    }

    /// Stalls a random link for a while; says which.
    pub fn stall_some(&mut self, now: Instant, random: &mut Random) -> Option<(NodeIndex, NodeIndex, Duration)> {
        if self.links.is_empty() || self.calm {
            return None;
        }
        let index = random.index(self.links.len());
        let pause = random.duration(millis(1), self.weather.stall_max);
        let link = &mut self.links[index];
        link.stalled_until = link.stalled_until.max(now + pause);
        link.last_arrival = link.last_arrival.max(link.stalled_until);
        let (&(from, to), _) = self.index.iter().find(|(_, of)| of.0 == index).expect("every link is in the index");
        Some((from, to, pause))
    }

    /// Stalls one link for so long.
    pub fn stall(&mut self, now: Instant, from: NodeIndex, to: NodeIndex, pause: Duration) {
        let index = self.link(from, to);
        let link = &mut self.links[index.0];
        link.stalled_until = link.stalled_until.max(now + pause);
        link.last_arrival = link.last_arrival.max(link.stalled_until);
    }

    /// A machine is gone: what is on the way to it vanishes, and of what it sent last some may be lost.
    pub fn cut(&mut self, node: NodeIndex) {
        for (&(from, to), &LinkIndex(index)) in &self.index {
            let queue = &mut self.links[index].queue;
            let left = if to == node {
                0
            } else if from == node {
                self.random.index(queue.len() + 1)
            } else {
                continue;
            };
            self.under_way -= queue.len() - left;
            // Arrivals in excess find an empty queue.
            queue.truncate(left);
        }
    }

    /// From now on links are fast and stalls are over.
    pub fn calm_down(&mut self, now: Instant, agenda: &mut Agenda) {
        self.calm = true;
        for (index, link) in self.links.iter_mut().enumerate() {
            link.stalled_until = now;
            link.last_arrival = now;
            // Every frame has an entry of its own later on; arrivals in excess find an empty queue.
            for _ in 0..link.queue.len() {
                agenda.enter(now, Due::Link(LinkIndex(index)));
            }
        }
    }

    /// How many frames are under way.
    #[must_use]
    pub const fn under_way(&self) -> usize {
        self.under_way
    }

    fn link(&mut self, from: NodeIndex, to: NodeIndex) -> LinkIndex {
        if let Some(&index) = self.index.get(&(from, to)) {
            return index;
        }
        let slow = self.random.chance(self.weather.slow_links);
        let delay = if slow { self.weather.slow_delay } else { self.weather.delay };
        let index = LinkIndex(self.links.len());
        self.links.push(Link {
            to,
            delay,
            queue: VecDeque::new(),
            last_arrival: Instant::ZERO,
            stalled_until: Instant::ZERO,
        });
        self.index.insert((from, to), index);
        index
    }
}
