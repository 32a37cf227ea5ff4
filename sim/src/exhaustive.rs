//! Every order in which things can happen, of something small: one slice of subscriptions moves from one matcher to another while
//! two lanes carry a few publications and operations, and a machine may die. The machines are those that ship; a step is one message
//! delivered, one layout decided or heard of, one message of a client, or the death. What has the same state is looked at once.
//!
//! Time stands still, windows are wide, and what is only credit or an acknowledgement arrives at once: what can differ is what
//! reaches whom before what. All orders of ten messages are too many, so they are gone in order of how far they are from the usual one
//! (delay-bounded search, Emmi, Qadeer and Rakamarić, POPL 2011). Usually what is under way arrives before anything else happens, who is
//! late hears of each layout then, and clients and the coordinator take turns. Every other choice is one deviation, but for the death,
//! which may come at any time. What goes wrong takes few deviations, however many messages there are.

mod client;
mod cluster;
mod fingerprint;
mod model;

use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use model::{Model, Step};

/// What a machine may suffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing.
    None,
    /// The matcher that has the slice at first dies, at any time.
    Source,
    /// The matcher that it moves to dies, at any time.
    Target,
}

/// Who hears of layouts late; others hear of each as soon as it is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// Both access points, each for itself.
    Writers,
    /// The matcher that has the slice at first.
    Source,
    /// The matcher that it moves to.
    Target,
    /// The exit point.
    ExitPoint,
}

/// Every kind of run.
pub const KINDS: [(Late, Loss); 12] = [
    (Late::Writers, Loss::None),
    (Late::Writers, Loss::Source),
    (Late::Writers, Loss::Target),
    (Late::Source, Loss::None),
    (Late::Source, Loss::Source),
    (Late::Source, Loss::Target),
    (Late::Target, Loss::None),
    (Late::Target, Loss::Source),
    (Late::Target, Loss::Target),
    (Late::ExitPoint, Loss::None),
    (Late::ExitPoint, Loss::Source),
    (Late::ExitPoint, Loss::Target),
];

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Messages of clients on the lane that carries the operations, and on the other one.
    pub messages: [usize; 2],
    /// Who hears late.
    pub late: Late,
    /// What may die.
    pub loss: Loss,
    /// Every way with so many deviations is gone.
    pub deviations_max: usize,
    /// States beyond which the search gives up, and says so.
    pub states_max: usize,
}

/// What a search came to.
#[derive(Clone, Debug, Default)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Steps from one to another.
    pub steps: usize,
    /// States in which nothing more can happen.
    pub ends: usize,
    /// The longest way to an end.
    pub longest: usize,
    /// Every way with fewer deviations than this was gone.
    pub complete_below: usize,
    /// Whether there are others that were not.
    pub has_more: bool,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, steps, ends, longest, complete_below, has_more } = self;
        write!(f, "{states} states, {steps} steps, {ends} ends, the longest way {longest} steps; every way")?;
        match (has_more, complete_below.checked_sub(1)) {
            (false, _) => Ok(()),
            (true, Some(deviations)) => write!(f, " with up to {deviations} deviations"),
            (true, None) => f.write_str(" without deviations was not gone"),
        }
    }
}

/// A promise that is broken, and how to get there.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What is wrong.
    pub what: String,
    /// The steps to it.
    pub way: Vec<String>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        self.way.iter().enumerate().try_for_each(|(index, step)| writeln!(f, "{:4}  {step}", index + 1))
    }
}

/// A way from the beginning: its last step, and the way before it.
type Way = Option<Rc<Link>>;

struct Link {
    before: Way,
    step: Step,
}

/// A step that was possible and has not been taken, and the way to it.
struct Open {
    way: Way,
    step: Step,
}

/// Goes every way, those with few deviations first: what is found again was found with no more of them before, and need not be looked
/// at again.
///
/// # Errors
/// The first way to a broken promise.
pub fn explore(bounds: Bounds) -> Result<Explored, Box<Counterexample>> {
    let mut explored = Explored::default();
    let mut known = HashSet::new();
    // With as many deviations as ways now have, and with one more.
    let (mut open, mut open_later) = (Vec::new(), Vec::new());
    let (mut model, mut way) = (Model::new(bounds), None);
    known.insert(fingerprint::of(&model));
    loop {
        // Onwards, until an end or somewhere known.
        let mut possible = model.possible();
        let mut next = model.usual(&possible).map(|usual| possible.swap_remove(usual));
        for step in possible {
            let open = if step.is_death() { &mut open } else { &mut open_later };
            open.push(Open { way: way.clone(), step });
        }
        if next.is_none() {
            explored.ends += 1;
            explored.longest = explored.longest.max(steps(&way).len());
            model.judge().map_err(|what| counterexample(bounds, &way, what))?;
        }
        loop {
            if next.is_none() {
                if open.is_empty() {
                    explored.complete_below += 1;
                    open = std::mem::take(&mut open_later);
                }
                let is_enough = explored.complete_below > bounds.deviations_max || known.len() >= bounds.states_max;
                let Some(from) = open.pop().filter(|_| !is_enough) else {
                    explored.states = known.len();
                    explored.has_more = is_enough;
                    return Ok(explored);
                };
                (model, way, next) = (retrace(bounds, &from.way), from.way, Some(from.step));
            }
            let step = next.take().expect("one was chosen");
            way = Some(Rc::new(Link { before: way, step }));
            explored.steps += 1;
            model.take(step).map_err(|what| counterexample(bounds, &way, what))?;
            if known.insert(fingerprint::of(&model)) {
                break;
            }
        }
    }
}

fn steps(way: &Way) -> Vec<Step> {
    let links = std::iter::successors(way.as_deref(), |link| link.before.as_deref());
    let mut steps: Vec<_> = links.map(|link| link.step).collect();
    steps.reverse();
    steps
}

fn retrace(bounds: Bounds, way: &Way) -> Model {
    let mut model = Model::new(bounds);
    for step in steps(way) {
        model.take(step).expect("it was all right before");
    }
    model
}

fn counterexample(bounds: Bounds, way: &Way, what: String) -> Box<Counterexample> {
    let mut model = Model::new(bounds);
    let mut told = Vec::new();
    for step in steps(way) {
        told.push(model.describe(&step));
        if model.take(step).is_err() {
            break;
        }
    }
    Box::new(Counterexample { what, way: told })
}
