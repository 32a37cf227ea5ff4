//! Scenarios as text, and everything that happens in them as text. A script is a scenario, a line of three dashes, and the
//! transcript it must produce. `UPDATE=1 cargo test -p gomera-sim --test scripts` rewrites the transcripts; the difference is
//! what is reviewed.
//!
//! ```text
//! cluster 1-2-2-1 lanes=2 slices=4       nodes per layer; the rest may be left out
//! show messages                          what machines send as well (but credit); else only what passes to and from clients
//! limit retained=200                     a few limits, see `parse::limit`
//! publisher p                            declares a publisher (`without-instance`)
//! subscriber alice slow=block:300ms      declares a subscriber (`outbox=N` notifications, `expires=TIME`, `count`, `ack=never`)
//!
//! alice attach                           with its W, if it has one; `attach without-w`: as a new process; `twin`: a second one
//! alice subscribe s1 "kind = 'road'"     also `update`; `expires=TIME` and `paused` may follow
//! alice unsubscribe s1                   also `pause`, `resume`, `get`
//! alice context zone='z1' limit=3        also `list`, `acknowledge`, `stop-reading`, `read`, `drop`, `end`
//! p open                                 also `drop`, `restart`, `repeat`, `reuse`
//! p publish kind='road' n=3              `expires=TIME` may come first
//! stall E0 200ms                         a machine; `stall A0 M1 200ms`: a link
//! deaf A0 200ms                          hears of layouts only then, unless another machine speaks of them
//! crash C0                               a connection point; `pause C0 1s`: it is taken for dead and wakes up
//! layout without C0                      committed, known to all at once; `layout with C1`, one of `joining=N` of the cluster
//!                                        (`A1`, of `joining-access=N`, `M1`, of `joining-matchers=N`: layout by layout, as far as
//!                                        machines report)
//! wait 50ms                              lets time pass; `settle` until nothing is under way
//! ```

mod parse;

use std::time::Duration;

use crate::plan::{Plan, Points};
use crate::random::millis;
use crate::transcript::Keep;
use crate::world::World;
use parse::{Command, Scenario};

pub(crate) use parse::{PublisherVerb, SubscriberVerb};

/// What stands between a scenario and its transcript.
const DIVIDER: &str = "---\n";

/// How much a transcript shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// What passes to and from clients.
    Clients,
    /// What machines send as well.
    Messages,
}

/// Runs the scenario of a script and gives the whole script as it should be.
///
/// # Errors
/// What is wrong with the scenario, with its line.
pub fn run(script: &str) -> Result<String, String> {
    let scenario_text = script.split_once(DIVIDER).map_or(script, |(scenario, _)| scenario);
    let scenario = parse::scenario(scenario_text)?;
    let transcript = transcript(&scenario)?;
    Ok(format!("{}\n\n{DIVIDER}{transcript}", scenario_text.trim_end()))
}

fn transcript(scenario: &Scenario) -> Result<String, String> {
    let plan = Plan::scripted(scenario.shape.clone(), scenario.configurations.clone());
    let points = Points { joining: scenario.joining, ..Points::steady() };
    let plan =
        Plan { points, publishers: scenario.publishers.clone(), subscribers: scenario.subscribers.clone(), ..plan };
    let mut world = World::new(plan, Keep::Lines);
    // Everybody has the layout before anything is asked.
    world.pass(millis(5));
    for (text, command) in &scenario.commands {
        world.stage.note(|| format!("* {text}"));
        match command {
            Command::Publisher(number, verb) => world.publisher_does(*number, verb),
            Command::Subscriber(number, verb) => world.subscriber_does(*number, verb),
            Command::StallMachine(name, pause) => world.stall_machine(name, *pause)?,
            Command::Deafen(name, pause) => world.deafen_machine(name, *pause)?,
            Command::StallLink(from, to, pause) => world.stall_link(from, to, *pause)?,
            Command::Crash(point) => world.crash_point(point)?,
            Command::Pause(point, pause) => world.pause_point(point, *pause)?,
            Command::Layout { point, with } => world.layout_point(point, *with)?,
            Command::Wait(pause) => world.pass(*pause),
            Command::Settle => world.settle_script(Duration::from_secs(60)),
        }
        if let Some(violation) = &world.stage.violation {
            return Err(format!("{text}: {violation}"));
        }
    }
    let shown = world.stage.transcript.lines().iter().filter(|line| is_shown(line, scenario.show));
    Ok(shown.map(|line| format!("{line}\n")).collect())
}

fn is_shown(line: &str, show: Show) -> bool {
    let text = line.trim_start().split_once(' ').map_or("", |(_, text)| text);
    let handled = text.split(' ').nth(1) == Some("<");
    let sent = text.split(' ').nth(1) == Some(">");
    let credit = text.contains("-credit ");
    match show {
        Show::Clients => !handled && !sent,
        Show::Messages => !handled && !credit,
    }
}
