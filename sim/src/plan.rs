//! What a seed decides: the layout, every window and limit, the weather, and what clients are like. Most seeds are ordinary in
//! most respects and extreme in a few: each draw has a tame side that is taken often.

mod clients;
mod government;
mod points;
mod settings;

use std::time::Duration;

use gomera_cluster::layout::Settings;

use crate::network::Weather;
use crate::publisher::PublisherPlan;
use crate::random::{Random, micros, millis};
use crate::subscriber::SubscriberPlan;

pub use government::Government;
pub use points::{Losses, Manners, Points};
pub use settings::Configurations;

/// How many of what.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Nodes per layer: connection points, access points, matchers, exit points.
    pub nodes: [u16; 4],
    /// Shards per node of each layer.
    pub shards: [u16; 4],
    /// Lanes per access-point shard.
    pub lanes: u16,
    /// Slices and replication.
    pub settings: Settings,
}

impl Shape {
    /// One node of each layer, one lane.
    #[must_use]
    pub fn single() -> Self {
        let settings = Settings { matcher_slices: 4, session_slices: 4, replication: 1 };
        Self { nodes: [1; 4], shards: [1; 4], lanes: 1, settings }
    }
}

/// When layouts reach machines, and when machines stand still.
#[derive(Clone, Debug)]
pub struct Troubles {
    /// The first layout reaches each machine within this time.
    pub first_layout: Duration,
    /// Later layouts: how many, and within which time they reach each machine.
    pub later_layouts: (u64, Duration),
    /// Of 1000 machines, those that never hear of a later layout from the coordinator while faults last.
    pub deaf: u64,
    /// Time between stalls of machines or links; absent: none.
    pub stall_every: Option<(Duration, Duration)>,
    /// How long a stall lasts at most.
    pub stall_max: Duration,
    /// The most that two wall clocks differ.
    pub skew: Duration,
    /// Time between receiving something and working on it.
    pub work_delay: (Duration, Duration),
}

/// What a seed decides.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How many of what.
    pub shape: Shape,
    /// Windows and limits.
    pub configurations: Configurations,
    /// Links.
    pub weather: Weather,
    /// Delay of client streams.
    pub stream_delay: (Duration, Duration),
    /// A connection point learns of a lost client within this time.
    pub notice: Duration,
    /// Layouts and stalls.
    pub troubles: Troubles,
    /// How connection points come and die.
    pub points: Points,
    /// Real coordinators, if they lead.
    pub government: Option<Government>,
    /// How long clients are active and faults last.
    pub rough_for: Duration,
    /// Publishers.
    pub publishers: Vec<PublisherPlan>,
    /// Subscribers.
    pub subscribers: Vec<SubscriberPlan>,
    /// Clients begin within this time.
    pub begin_within: Duration,
    /// Clients do only what a script says, and everything takes as long as ever.
    pub scripted: bool,
}

/// How narrow windows and limits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// Every window at 1.
    One,
    /// Some hundred bytes.
    Narrow,
    /// Each drawn for itself, from 1 to generous.
    Mixed,
    /// As shipped.
    Generous,
}

/// What a seed dwells on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Everything a little.
    Ordinary,
    /// Tables of publishers fill, publishers fall idle.
    Publishers,
    /// Limits of sessions and subscriptions are met.
    Limits,
    /// Outboxes overflow.
    Overflow,
    /// Sessions expire, end and begin anew.
    Lives,
    /// Nothing goes wrong; subscriptions change all the time.
    Changes,
}

impl Plan {
    /// What `seed` decides.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x676f_6d65_7261);
        let width = match random.below(10) {
            0 | 1 => Width::One,
            2..=4 => Width::Narrow,
            5..=7 => Width::Mixed,
            _ => Width::Generous,
        };
        let theme = match random.below(12) {
            0..=3 => Theme::Ordinary,
            4 => Theme::Publishers,
            5 => Theme::Limits,
            6 | 7 => Theme::Overflow,
            8 | 9 => Theme::Lives,
            _ => Theme::Changes,
        };
        let mut shape = shape(&mut random);
        shape.settings.replication = points::replication(seed);
        let skew = if random.chance(500) { Duration::ZERO } else { millis(30) };
        let stall_max = match theme {
            Theme::Publishers => millis(200),
            Theme::Ordinary | Theme::Limits | Theme::Overflow | Theme::Lives | Theme::Changes => {
                *random.pick(&[millis(20), millis(200), millis(1500)])
            }
        };
        let weather = weather(&mut random, stall_max);
        let mut troubles = Troubles {
            first_layout: *random.pick(&[millis(1), millis(40), millis(300)]),
            later_layouts: (random.below(4), *random.pick(&[millis(2), millis(50), millis(800)])),
            deaf: random.below(2) * 300,
            stall_every: random.chance(900).then(|| (millis(20), *random.pick(&[millis(120), millis(600)]))),
            stall_max,
            skew,
            work_delay: *random.pick(&[(micros(1), micros(20)), (micros(1), millis(2))]),
        };
        let configurations = Configurations::draw(&mut random, width, theme);
        let mut publishers = clients::publishers(&mut random, theme);
        let mut subscribers = clients::subscribers(&mut random, theme, 2 * stall_max + millis(1000));
        let rough_for = match theme {
            Theme::Publishers => random.duration(millis(4000), millis(8000)),
            Theme::Ordinary | Theme::Limits | Theme::Overflow | Theme::Lives | Theme::Changes => {
                random.duration(millis(1200), millis(4000))
            }
        };
        if width == Width::One {
            // Each step is a round trip: fewer publications, less often.
            for publisher in &mut publishers {
                publisher.total = publisher.total.min(150);
            }
            subscribers.truncate(4);
        }
        let points = Points::draw(seed, &shape, rough_for);
        let joining = u64::from(points.joining.iter().sum::<u16>());
        troubles.later_layouts.0 = troubles.later_layouts.0.max(joining);
        Self {
            seed,
            shape,
            configurations,
            weather,
            points,
            stream_delay: *random.pick(&[(micros(10), micros(50)), (micros(10), millis(3)), (millis(1), millis(20))]),
            notice: *random.pick(&[micros(100), millis(20), millis(600)]),
            troubles,
            rough_for,
            publishers,
            subscribers,
            begin_within: *random.pick(&[micros(1), millis(60)]),
            scripted: false,
            government: None,
        }
        .governed(seed)
    }

    /// For scripts: a steady network, no troubles, clients that only do as they are told.
    #[must_use]
    pub fn scripted(shape: Shape, configurations: Configurations) -> Self {
        Self {
            seed: 0,
            shape,
            configurations,
            weather: Weather::steady(),
            stream_delay: (micros(50), micros(50)),
            notice: Duration::ZERO,
            troubles: Troubles {
                first_layout: Duration::ZERO,
                later_layouts: (0, Duration::ZERO),
                deaf: 0,
                stall_every: None,
                stall_max: Duration::ZERO,
                skew: Duration::ZERO,
                work_delay: (micros(5), micros(5)),
            },
            points: Points::steady(),
            government: None,
            rough_for: Duration::MAX,
            publishers: Vec::new(),
            subscribers: Vec::new(),
            begin_within: Duration::ZERO,
            scripted: true,
        }
    }
}

fn shape(random: &mut Random) -> Shape {
    let nodes = match random.below(4) {
        0 => [1, 1, 1, 1],
        1 => [2, 3, 4, 2],
        _ => [draw(random, 2), draw(random, 3), draw(random, 4), draw(random, 2)],
    };
    let shards =
        if random.chance(600) { [1; 4] } else { [draw(random, 2), draw(random, 2), draw(random, 2), draw(random, 2)] };
    let slices = |random: &mut Random| u16::try_from(random.between(4, 16)).expect("small");
    let settings = Settings { matcher_slices: slices(random), session_slices: slices(random), replication: 1 };
    Shape { nodes, shards, lanes: draw(random, 2), settings }
}

fn draw(random: &mut Random, most: u64) -> u16 {
    u16::try_from(random.between(1, most)).expect("small")
}

fn weather(random: &mut Random, stall_max: Duration) -> Weather {
    Weather {
        delay: *random.pick(&[(micros(20), micros(100)), (micros(50), millis(1)), (micros(50), millis(6))]),
        slow_delay: (millis(4), *random.pick(&[millis(10), millis(60)])),
        slow_links: *random.pick(&[0, 0, 60, 250]),
        held_up: (*random.pick(&[0, 5, 50]), stall_max.min(millis(300))),
        stall_max,
    }
}
