//! Every order in which things can happen, of something small: one slice of subscriptions moves from one matcher to another while
//! two lanes carry a few publications and operations, and a machine may die. The machines are those that ship; a step is one message
//! delivered, one layout decided or heard of, one message of a client, or the death. What has the same state is looked at once.
//!
//! Time stands still, windows are wide, and what is only credit or an acknowledgement arrives at once: what can differ is what
//! reaches whom before what. Everything that was found so far in this game by the swarm took a handful of messages; here none of that
//! size is missed.

mod client;
mod fingerprint;
mod model;

use std::collections::HashSet;
use std::fmt;

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
    /// Whether states were left out.
    pub is_cut_short: bool,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, steps, ends, longest, is_cut_short } = self;
        write!(f, "{states} states, {steps} steps, {ends} ends, the longest way {longest} steps")?;
        if *is_cut_short { f.write_str(", cut short") } else { Ok(()) }
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

/// A turn of a way that is being gone.
struct Turn {
    /// What was possible, in reverse, without what was tried before.
    left: Vec<Step>,
    /// What was taken.
    taken: Step,
}

/// Goes every way.
///
/// # Errors
/// The first way to a broken promise.
pub fn explore(bounds: Bounds) -> Result<Explored, Box<Counterexample>> {
    let mut known = HashSet::new();
    let mut explored = Explored::default();
    let mut way: Vec<Turn> = Vec::new();
    let mut model = Model::new(bounds);
    known.insert(fingerprint::of(&model));
    loop {
        // Onwards, until an end or somewhere known.
        let mut possible = model.possible();
        possible.reverse();
        if possible.is_empty() {
            explored.ends += 1;
            explored.longest = explored.longest.max(way.len());
            model.judge().map_err(|what| counterexample(bounds, &way, what))?;
        }
        if known.len() >= bounds.states_max {
            explored.is_cut_short |= !possible.is_empty();
            possible.clear();
        }
        let mut is_new = false;
        if let Some(taken) = possible.pop() {
            way.push(Turn { left: possible, taken });
            is_new =
                step(&mut model, &way, &mut known, &mut explored).map_err(|what| counterexample(bounds, &way, what))?;
        }
        // Back, to the last turn where another way is left.
        while !is_new {
            while way.last().is_some_and(|turn| turn.left.is_empty()) {
                way.pop();
            }
            let Some(last) = way.last_mut() else {
                explored.states = known.len();
                return Ok(explored);
            };
            last.taken = last.left.pop().expect("it was looked at");
            model = retrace(bounds, &way[..way.len() - 1]);
            is_new =
                step(&mut model, &way, &mut known, &mut explored).map_err(|what| counterexample(bounds, &way, what))?;
        }
    }
}

/// Takes the last step of a way; whether it leads to where nobody has been.
fn step(model: &mut Model, way: &[Turn], known: &mut HashSet<u128>, explored: &mut Explored) -> Result<bool, String> {
    let turn = way.last().expect("a step was taken");
    explored.steps += 1;
    model.take(turn.taken)?;
    Ok(known.insert(fingerprint::of(model)))
}

fn retrace(bounds: Bounds, way: &[Turn]) -> Model {
    let mut model = Model::new(bounds);
    for turn in way {
        model.take(turn.taken).expect("it was all right before");
    }
    model
}

fn counterexample(bounds: Bounds, way: &[Turn], what: String) -> Box<Counterexample> {
    let mut model = Model::new(bounds);
    let mut told = Vec::new();
    for turn in way {
        told.push(model.describe(&turn.taken));
        if model.take(turn.taken).is_err() {
            break;
        }
    }
    Box::new(Counterexample { what, way: told })
}
