//! Whether real coordinators lead, as a seed decides, and what is done to them, and asked of them. Drawn from dice of its own, so that the rest
//! of a seed does not depend on it.

use std::time::Duration;

use gomera_coordinator::{Config, Desired};

use super::{Manners, Plan, Shape};
use crate::random::{Random, millis};

/// Coordinators, and who asks what of them. Chances are of 1000.
#[derive(Clone, Debug)]
pub struct Government {
    /// How many there are; one of them leads.
    pub coordinators: usize,
    /// What they are configured with.
    pub config: Config,
    /// When an operator asks for something.
    pub asked: Vec<Duration>,
    /// Of what is asked, what somebody wants cancelled.
    pub cancelled: u64,
    /// When whoever leads dies or is paused, whatever it is at.
    pub overthrown: Vec<Duration>,
    /// Of the writes of a leader, those at which it dies, is paused, or does not hear what became of it.
    pub mishaps: u64,
    /// How long a write takes to the coordination service at most, and the answer back.
    pub writes_take: Duration,
    /// Of what has changed, what is read late.
    pub late: u64,
    /// The session of a coordinator that stopped ends so much later.
    pub session: (Duration, Duration),
    /// Of the operations that are to let somebody in, those whose newcomer crashes.
    pub strays: u64,
    /// Of the nodes at each look, those whose session is lost though they live; of 1,000,000.
    pub lapses: u64,
    /// Operations that ended long ago.
    pub archived: u64,
}

impl Government {
    fn draw(random: &mut Random, shape: &Shape, rough_for: Duration) -> Self {
        let grace = *random.pick(&[millis(100), millis(300), millis(1000)]);
        let silence = *random.pick(&[millis(100), millis(100), millis(500)]);
        let node_wait = *random.pick(&[millis(1000), millis(2000)]);
        let [connection_points, access_points, matchers, exit_points] = shape.nodes;
        let desired = Desired { connection_points, access_points, matchers, exit_points };
        let config = Config { lanes_per_shard: shape.lanes, grace, silence, node_wait, desired, ..Config::default() };
        let times = |random: &mut Random, most: u64| {
            let count = random.between(0, most);
            (0..count).map(|_| random.duration(millis(20), rough_for)).collect::<Vec<_>>()
        };
        let mut asked = times(random, 8);
        asked.push(random.duration(millis(20), rough_for));
        Self {
            coordinators: if random.chance(600) { 2 } else { 3 },
            config,
            asked,
            cancelled: *random.pick(&[0, 300, 600]),
            overthrown: times(random, 3),
            mishaps: *random.pick(&[0, 60, 60, 250]),
            writes_take: *random.pick(&[millis(1), millis(5), millis(40)]),
            late: *random.pick(&[0, 300, 600]),
            session: *random.pick(&[(millis(5), millis(30)), (millis(50), millis(400))]),
            strays: *random.pick(&[0, 150, 400]),
            lapses: if grace < millis(300) { 0 } else { *random.pick(&[0, 1000]) },
            archived: if random.chance(150) { random.between(60, 66) } else { 0 },
        }
    }
}

impl Plan {
    /// Lets coordinators lead, in about half of the seeds. Whoever is told to leave is waited for then: nobody can ask for anything else.
    pub(super) fn governed(self, seed: u64) -> Self {
        let mut random = Random::new(seed ^ SALT);
        if !random.chance(500) {
            return self;
        }
        let government = Government::draw(&mut random, &self.shape, self.rough_for);
        let mut plan = self;
        plan.points.manners = Manners::Patient;
        for joining in &mut plan.points.joining {
            *joining = (*joining).max(u16::try_from(random.between(0, 2)).expect("small"));
        }
        plan.government = Some(government);
        plan
    }
}

/// Chosen so that most of the seeds that found something before are what they were.
const SALT: u64 = 0x6a6f_7572_6e64_0528;
