//! Windows and limits of the four machines, as a seed decides them.

use std::time::Duration;

use gomera_access_point::config::Config as AccessPoint;
use gomera_connection_point::Config as ConnectionPoint;
use gomera_exit_point::Config as ExitPoint;
use gomera_matcher::config::Config as Matcher;

use super::{Theme, Width};
use crate::random::{Random, millis};

/// The configuration of every machine of a layer.
#[derive(Clone, Debug)]
pub struct Configurations {
    /// Of connection points.
    pub connection_point: ConnectionPoint,
    /// Of access points.
    pub access_point: AccessPoint,
    /// Of matchers.
    pub matcher: Matcher,
    /// Of exit points.
    pub exit_point: ExitPoint,
}

/// Draws one window.
fn window(random: &mut Random, width: Width, generous: u64) -> u64 {
    match width {
        Width::One => 1,
        Width::Narrow => random.between(200, 2000),
        Width::Mixed => random.logarithmic(1, generous),
        Width::Generous => generous,
    }
}

fn count(random: &mut Random, width: Width, generous: u32) -> u32 {
    u32::try_from(window(random, width, u64::from(generous)).min(u64::from(generous))).expect("at most a u32")
}

impl Configurations {
    /// As shipped.
    #[must_use]
    pub fn shipped() -> Self {
        Self {
            connection_point: ConnectionPoint::default(),
            access_point: AccessPoint::default(),
            matcher: Matcher::default(),
            exit_point: ExitPoint::default(),
        }
    }

    /// Whether a limit of matchers may stand against an operation.
    #[must_use]
    pub fn holds_limits(&self) -> bool {
        let (drawn, shipped) = (&self.matcher, Matcher::default());
        let of = |config: &Matcher| {
            (
                [config.subscriptions_max, config.subscriptions_per_tenant_max, config.subscriptions_per_session_max],
                (config.filter_cost_per_tenant_max, config.subscription_bytes_max, config.sessions_max),
            )
        };
        of(drawn) != of(&shipped)
    }

    pub(super) fn draw(random: &mut Random, width: Width, theme: Theme) -> Self {
        Self {
            connection_point: connection_point(random, width, theme),
            access_point: access_point(random, width, theme),
            matcher: moving(matcher(random, width, theme), width),
            exit_point: taking_over(exit_point(random, width, theme), width),
        }
    }
}

fn connection_point(random: &mut Random, width: Width, theme: Theme) -> ConnectionPoint {
    let publisher_window_bytes = window(random, width, 1 << 20);
    let limited = theme == Theme::Limits;
    let leaving = &mut random.clone();
    ConnectionPoint {
        // From a copy of the dice: what else a seed decides does not depend on it.
        moves_per_second: *leaving.pick(&[1, 200, 2_000]),
        leave_within: *leaving.pick(&[millis(5), millis(200), millis(2_000)]),
        publisher_window_bytes,
        publisher_bytes_max: publisher_window_bytes.max(64 << 10),
        publications_bytes_max: window(random, width, 256 << 20),
        publications_per_second_max: random
            .chance(100)
            .then(|| u32::try_from(random.between(100, 2000)).expect("small")),
        session_window_bytes: window(random, width, 512 << 10),
        operations_outstanding_max: usize::try_from(count(random, width, 1024)).expect("small"),
        operations_bytes_max: if limited { random.between(600, 4000) } else { 64 << 20 },
        ..ConnectionPoint::default()
    }
}

fn access_point(random: &mut Random, width: Width, theme: Theme) -> AccessPoint {
    let (publishers_max, publisher_idle) = match theme {
        Theme::Publishers => (u32::try_from(random.between(1, 4)).expect("small"), Duration::from_secs(1)),
        Theme::Ordinary | Theme::Limits | Theme::Overflow | Theme::Lives | Theme::Changes => {
            (262_144, Duration::from_secs(10))
        }
    };
    AccessPoint {
        retained_bytes_max: window(random, width, 64 << 20),
        operation_bytes_max: window(random, width, 16 << 20),
        forgets_max: count(random, width, 1024),
        publishers_max,
        publisher_idle,
        frame_entries_max: count(random, width, 512),
        frame_bytes_max: window(random, width, 256 << 10),
        hash_seed: random.bits(),
        ..AccessPoint::default()
    }
}

fn matcher(random: &mut Random, width: Width, theme: Theme) -> Matcher {
    let limited = theme == Theme::Limits;
    let few = |random: &mut Random, generous: u32| {
        if limited && random.chance(500) { u32::try_from(random.between(1, 6)).expect("small") } else { generous }
    };
    let filter_cost_per_tenant_max =
        match (limited && random.chance(300), Matcher::default().filter_cost_per_tenant_max) {
            (true, _) => Duration::from_nanos(random.between(1_000, 4_000)),
            (false, generous) => generous,
        };
    Matcher {
        lane_window_bytes: window(random, width, 4 << 20),
        output_bytes_max: window(random, width, 8 << 20),
        frame_bytes_max: window(random, width, 256 << 10),
        step_entries_max: count(random, width, 256),
        subscriptions_max: few(random, 4_000_000),
        subscriptions_per_tenant_max: few(random, 4_000_000),
        subscriptions_per_session_max: few(random, 200_000),
        filter_cost_per_tenant_max,
        subscription_bytes_max: if limited && random.chance(200) { random.between(4_000, 18_000) } else { 12 << 30 },
        sessions_max: few(random, 2_000_000),
        tombstones_max: if random.chance(300) { 0 } else { count(random, width, 1000) },
        forgotten_for: Duration::from_secs(5),
        expiry_slack: *random.pick(&[Duration::ZERO, millis(50), Duration::from_secs(2)]),
        hash_seed: random.bits(),
        ..Matcher::default()
    }
}

/// With dice of its own, so that the rest of a seed does not depend on it.
fn moving(config: Matcher, width: Width) -> Matcher {
    let mut random = Random::new(config.hash_seed);
    Matcher {
        snapshot_window_bytes: window(&mut random, width, 1 << 20),
        joining_bytes_max: *random.pick(&[600, 3000, 64 << 20]),
        snapshot_bytes_per_second: *random.pick(&[20_000, 1 << 20, u64::MAX]),
        ..config
    }
}

/// The same, for sessions.
fn taking_over(config: ExitPoint, width: Width) -> ExitPoint {
    let mut random = Random::new(config.hash_seed);
    ExitPoint {
        copies_window_bytes: window(&mut random, width, 1 << 20),
        joining_bytes_max: *random.pick(&[200, 1000, 64 << 20]),
        ..config
    }
}

fn exit_point(random: &mut Random, width: Width, theme: Theme) -> ExitPoint {
    let generous = ExitPoint::default();
    let node_outbox_bytes_max = match theme {
        Theme::Overflow => random.logarithmic(400, 60_000),
        Theme::Ordinary | Theme::Publishers | Theme::Limits | Theme::Lives | Theme::Changes => {
            generous.node_outbox_bytes_max
        }
    };
    let tenant_outbox_bytes_max = match theme {
        Theme::Overflow => random.logarithmic(400, 30_000).min(node_outbox_bytes_max),
        Theme::Ordinary | Theme::Publishers | Theme::Limits | Theme::Lives | Theme::Changes => {
            generous.tenant_outbox_bytes_max
        }
    };
    let node_sessions_max = if theme == Theme::Limits { random.between(2, 6) } else { generous.node_sessions_max };
    ExitPoint {
        matches_window_bytes: window(random, width, 4 << 20),
        node_outbox_bytes_max,
        tenant_outbox_bytes_max,
        node_sessions_max,
        tenant_sessions_max: if theme == Theme::Limits {
            random.between(1, 5).min(node_sessions_max)
        } else {
            generous.tenant_sessions_max
        },
        block_max: *random.pick(&[Duration::ZERO, millis(100), millis(1000)]),
        frame_content_bytes_max: window(random, width, 1 << 20),
        frame_handles_bytes_max: window(random, width, 64 << 10),
        behind_bytes: window(random, width, 64 << 10) - 1,
        hash_seed: random.bits(),
        ..generous
    }
}
