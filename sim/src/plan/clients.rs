//! Publishers and subscribers, as a seed decides them.

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::identity::Tenant;
use gomera_cluster::session::{HandleDetail, SessionOptions, SlowPolicy};

use super::Theme;
use crate::publisher::PublisherPlan;
use crate::random::{Random, millis};
use crate::subscriber::{Acknowledging, SubscriberPlan};

fn tenant(random: &mut Random) -> Tenant {
    if random.chance(100) { Tenant(Arc::from("other")) } else { Tenant::open() }
}

/// A chance that most clients do not have at all.
fn sometimes(random: &mut Random, of_clients: u64, most: u64) -> u64 {
    if random.chance(of_clients) { random.between(1, most) } else { 0 }
}

pub(super) fn publishers(random: &mut Random, theme: Theme) -> Vec<PublisherPlan> {
    let many = theme == Theme::Publishers;
    let number = if many { random.between(3, 7) } else { random.between(2, 5) };
    (0..number).map(|number| publisher(random, theme, number)).collect()
}

fn publisher(random: &mut Random, theme: Theme, number: u64) -> PublisherPlan {
    let tame = theme == Theme::Changes;
    let crowded = theme == Theme::Publishers;
    PublisherPlan {
        tenant: tenant(random),
        name: Arc::from(format!("p{number}")),
        with_instance: random.chance(800),
        interval: *random.pick(&[(millis(1), millis(4)), (millis(1), millis(15)), (millis(5), millis(40))]),
        batch_max: *random.pick(&[1, 3, 8, 8]),
        total: random.between(100, 400),
        outstanding_max: *random.pick(&[1, 8, 64, 64]),
        content_bytes: *random.pick(&[(8, 8), (8, 60), (100, 500)]),
        eager: random.chance(400),
        drops: match (tame, crowded) {
            (true, _) => 0,
            (false, true) => random.between(10, 120),
            (false, false) => sometimes(random, 600, 40),
        },
        away: if crowded {
            (millis(1), *random.pick(&[millis(50), millis(1500), millis(3500)]))
        } else {
            (millis(1), *random.pick(&[millis(5), millis(200)]))
        },
        restarts: if tame { 0 } else { sometimes(random, 300, 15) },
        // With a full table of publishers the first use of a sequence may be refused, and the second one is right then.
        reuses: if crowded { 0 } else { sometimes(random, 300, 60) },
        repeats: sometimes(random, 300, 80),
        skips: sometimes(random, 300, 200),
        expiring: (
            sometimes(random, 300, 500),
            *random.pick(&[millis(1), millis(30), millis(400), Duration::from_secs(36_000)]),
        ),
    }
}

pub(super) fn subscribers(random: &mut Random, theme: Theme, lag: Duration) -> Vec<SubscriberPlan> {
    let number = if theme == Theme::Limits { random.between(3, 8) } else { random.between(2, 5) };
    (0..number).map(|number| subscriber(random, theme, lag, number)).collect()
}

fn subscriber(random: &mut Random, theme: Theme, lag: Duration, number: u64) -> SubscriberPlan {
    let tame = theme == Theme::Changes;
    let lives = theme == Theme::Lives;
    let overflow = theme == Theme::Overflow;
    let away = if lives { [2, 5, 5, 100].map(millis) } else { [5, 5, 100, 700].map(millis) };
    SubscriberPlan {
        tenant: tenant(random),
        name: Arc::from(format!("sub{number}")),
        options: options(random, theme),
        interval: *random.pick(&[(millis(1), millis(5)), (millis(2), millis(40)), (millis(20), millis(150))]),
        drops: if tame { 0 } else { sometimes(random, 700, 40) },
        away: (millis(1), *random.pick(&away)),
        forgetful: *random.pick(&[0, 500, 1000]),
        twins: if tame { 0 } else { sometimes(random, 200, 15) },
        ends: if lives { sometimes(random, 600, 60) } else { 0 },
        stops_reading: if tame { 0 } else { sometimes(random, if overflow { 800 } else { 300 }, 30) },
        not_reading: (millis(5), *random.pick(&[millis(50), millis(1500)])),
        never_reads: !tame && random.chance(if overflow { 300 } else { 60 }),
        acknowledging: *random.pick(&[
            Acknowledging::Every(1),
            Acknowledging::Every(1),
            Acknowledging::Every(7),
            Acknowledging::Seldom,
            Acknowledging::Never,
        ]),
        grants: random.chance(200).then(|| random.between(1, 20)),
        ids: random.between(2, 6),
        changes: if tame || lives { 700 } else { *random.pick(&[5, 40, 200]) },
        pipelines: random.chance(if lives { 700 } else { 300 }),
        outstanding_max: *random.pick(&[1, 4, 16]),
        expiring: sometimes(random, 250, 400),
        lag,
    }
}

fn options(random: &mut Random, theme: Theme) -> SessionOptions {
    let narrow = theme == Theme::Overflow || random.chance(200);
    let expires_after = match theme {
        Theme::Lives => *random.pick(&[Duration::ZERO, millis(20), millis(120), millis(600)]),
        Theme::Ordinary | Theme::Publishers | Theme::Limits | Theme::Overflow | Theme::Changes => {
            *random.pick(&[millis(300), Duration::from_secs(3), Duration::from_secs(20), Duration::from_secs(20)])
        }
    };
    SessionOptions {
        outbox_bytes_max: if narrow { random.logarithmic(1, 20_000) } else { 16 << 20 },
        outbox_notifications_max: if narrow { random.logarithmic(1, 200) } else { 100_000 },
        slow: match random.below(6) {
            0..=2 => SlowPolicy::DropOldest,
            3 => SlowPolicy::Disconnect,
            _ => SlowPolicy::Block { wait_max: *random.pick(&[millis(20), millis(300), millis(2000)]) },
        },
        expires_after,
        detail: if random.chance(150) { HandleDetail::Count } else { HandleDetail::All },
        ..SessionOptions::default()
    }
}
