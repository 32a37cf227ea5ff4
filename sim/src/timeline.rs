//! What a subscription or a context may have been at some moment, judged from outside: from when a change was asked for,
//! when it was answered, and nothing else.
//!
//! The changes of one subject are kept in order of version (attachment, then number within it): a later version wins. A
//! publication that was handed in at `sent` and acknowledged at `acknowledged` is judged at some moment between. So the
//! change that decides it is no earlier than the last one that was answered before `sent`, and no later than the last one
//! that was asked for before `acknowledged`. A change without an answer may be in force from its request on, or never. Where
//! the publication stands is compared with what the answer said to be judged before the change, and that is exact.

use std::ops::RangeInclusive;

use gomera_cluster::operation::UNSAID;
use gomera_cluster::position::{Number, Position, Vector};
use gomera_cluster::time::Instant;

/// What a change does to a state.
pub trait Change: Clone {
    /// What is changed.
    type State: Clone + PartialEq;

    /// Whether one matcher alone decides: then what an answer says to have been judged before was surely judged without it.
    const DECIDED_BY_ONE: bool;

    /// The states that can come of `before` if this change takes effect; none if it cannot take effect there.
    fn apply(&self, before: &Self::State) -> Option<Self::State>;
}

/// What came of a change.
#[derive(Clone, Debug)]
pub enum Answer {
    /// None, or none that says whether it took effect.
    Unknown,
    /// It took effect.
    Applied {
        /// When the client knew.
        at: Instant,
        /// From the next positions on it surely decides.
        in_force_after: Vector,
        /// Whether the state before surely decides up to these positions.
        precision: Precision,
    },
    /// It had no effect, or none any more when the client knew: what has no room where it counts may match at another matcher that
    /// comes to judge meanwhile, until it is taken back there.
    Without {
        /// When the client knew.
        at: Instant,
    },
}

/// How much positions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// The new state decides from the next ones on, and the one before up to these.
    Exact,
    /// The new state decides from the next ones on at the latest: the change may have been asked for again, on another lane, and have
    /// been in force by then.
    AtTheLatest,
}

/// Names a change within its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A change that was asked for.
#[derive(Clone, Debug)]
pub struct Step<C> {
    /// Its name.
    pub ticket: Ticket,
    /// The attachment's generation.
    pub generation: u64,
    /// What it does.
    pub change: C,
    /// When the client asked.
    pub requested: Instant,
    /// What came of it.
    pub answer: Answer,
}

/// Between which moments, and where, a publication was judged.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The publisher handed it in.
    pub sent: Instant,
    /// The publisher saw it acknowledged, or the end of time.
    pub acknowledged: Instant,
    /// Where it stands, if known, and if that says what decided about it.
    pub position: Option<Position>,
    /// What an answer to a change says to have been judged before.
    pub before: Before,
}

/// Whether what was judged before a change, as its answer says, was surely judged without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// One matcher decided.
    Surely,
    /// Some matcher may have been further than the one that decided.
    Perhaps,
}

/// All changes of one subject.
#[derive(Clone, Debug)]
pub struct Timeline<C: Change> {
    initial: C::State,
    steps: Vec<Step<C>>,
    /// What may have happened to everything, and between when.
    losses: Vec<(C, Instant, Instant)>,
}

impl<C: Change> Timeline<C> {
    /// Nothing asked for yet.
    pub const fn new(initial: C::State) -> Self {
        Self { initial, steps: Vec::new(), losses: Vec::new() }
    }

    /// Adds a change; tickets grow.
    pub fn add(&mut self, step: Step<C>) {
        let key = (step.generation, step.ticket);
        let at = self.steps.partition_point(|other| (other.generation, other.ticket) < key);
        self.steps.insert(at, step);
    }

    /// Everything may be gone since `since`: what was asked for by `until` came before that, what was later comes after.
    pub fn lose(&mut self, change: C, since: Instant, until: Instant) {
        let at = self.steps.iter().rposition(|step| step.requested <= until).map_or(0, |last| last + 1);
        let before = at.checked_sub(1).map(|before| &self.steps[before]);
        let (generation, ticket) = before.map_or((0, Ticket(0)), |before| (before.generation, before.ticket));
        self.losses.push((change.clone(), since, until));
        self.steps.insert(at, Step { ticket, generation, change, requested: since, answer: Answer::Unknown });
    }

    /// The change named `ticket`.
    pub fn step_mut(&mut self, ticket: Ticket) -> Option<&mut Step<C>> {
        self.steps.iter_mut().find(|step| step.ticket == ticket)
    }

    /// All changes, in order of version.
    pub fn steps(&self) -> &[Step<C>] {
        &self.steps
    }

    /// After each number of changes, what the state may be. What had no room where it counts may have been found elsewhere by what was
    /// asked for before its client was answered: what took effect there stands from then on.
    fn stages(&self, decided: Before) -> Vec<Vec<C::State>> {
        let mut stages = vec![vec![self.initial.clone()]];
        for (at, step) in self.steps.iter().enumerate() {
            let before = stages.last().expect("never empty");
            let applied = before.iter().filter_map(|state| step.change.apply(state));
            let mut after = match step.answer {
                Answer::Applied { .. } => applied.collect::<Vec<_>>(),
                Answer::Unknown => before.iter().cloned().chain(applied).collect(),
                Answer::Without { .. } => before.clone(),
            };
            if after.is_empty() {
                let passing = self.passing(&stages, at, step.requested, decided);
                after.extend(passing.filter_map(|state| step.change.apply(&state)));
            }
            if after.is_empty() {
                // It took effect where it could not; `impossible` tells.
                after.clone_from(before);
            }
            let mut distinct = Vec::new();
            for state in after {
                if !distinct.contains(&state) {
                    distinct.push(state);
                }
            }
            stages.push(distinct);
        }
        stages
    }

    /// The first change that took effect though it could not, neither where it counts nor elsewhere.
    pub fn impossible(&self, decided: Before) -> Option<&Step<C>> {
        let stages = self.stages(decided);
        let impossible = |(at, step): &(usize, &Step<C>)| {
            let applied = matches!(step.answer, Answer::Applied { .. });
            let cannot = |state: &C::State| step.change.apply(state).is_none();
            applied
                && stages[*at].iter().all(cannot)
                && self.passing(&stages, *at, step.requested, decided).all(|state| cannot(&state))
        };
        self.steps.iter().enumerate().find(impossible).map(|(_, step)| step)
    }

    /// What those of the first `at` changes made of the state before them that had no effect in the end and were answered after
    /// `requested`.
    fn passing(
        &self,
        stages: &[Vec<C::State>],
        at: usize,
        requested: Instant,
        decided: Before,
    ) -> impl Iterator<Item = C::State> {
        let passing = self.steps[..at].iter().zip(stages).filter(move |(step, _)| match step.answer {
            Answer::Without { at } => decided == Before::Perhaps && at > requested,
            Answer::Applied { .. } | Answer::Unknown => false,
        });
        passing.flat_map(|(step, before)| before.iter().filter_map(|state| step.change.apply(state)))
    }

    /// What the state may be when something takes effect that an attachment of `generation` asked for as `ticket`, at `requested`.
    /// What it asked for itself came before, in order. What an older attachment asked for may come later than that, on a link of its
    /// own, unless it was answered by then. What had no room where it counts may be found elsewhere until the client is answered.
    pub fn before(&self, generation: u64, ticket: Ticket, requested: Instant, decided: Before) -> Vec<C::State> {
        let at = self.steps.partition_point(|other| (other.generation, other.ticket) < (generation, ticket));
        self.before_at(at, generation, requested, decided)
    }

    /// The same of what was answered at `answered`, and may have met a loss after it was asked for.
    pub fn read(&self, asked: (u64, Ticket), requested: Instant, answered: Instant, decided: Before) -> Vec<C::State> {
        let (generation, ticket) = asked;
        let mut states = self.before(generation, ticket, requested, decided);
        let met = self.losses.iter().filter(|&&(_, since, until)| since <= answered && requested <= until);
        let lost = met.flat_map(|(change, ..)| states.iter().filter_map(|state| change.apply(state)));
        let lost = lost.collect::<Vec<_>>();
        states.extend(lost);
        states
    }

    fn before_at(&self, at: usize, generation: u64, requested: Instant, decided: Before) -> Vec<C::State> {
        let may_come_late = |step: &Step<C>| {
            let open = match step.answer {
                Answer::Applied { at, .. } => at > requested,
                Answer::Unknown => true,
                Answer::Without { .. } => false,
            };
            step.generation < generation && open
        };
        let first = self.steps[..at].iter().position(may_come_late).unwrap_or(at);
        let stages = self.stages(decided);
        let passing = self.passing(&stages, at, requested, decided);
        stages[first..=at].iter().flatten().cloned().chain(passing).collect()
    }

    /// Prepares judging of many publications.
    pub fn judge(&self, decided: Before) -> Judge<'_, C> {
        Judge { steps: &self.steps, stages: self.stages(decided) }
    }
}

/// A timeline with its possible states worked out.
#[derive(Debug)]
pub struct Judge<'a, C: Change> {
    steps: &'a [Step<C>],
    stages: Vec<Vec<C::State>>,
}

/// What a judge found.
#[derive(Debug)]
pub struct Candidates<'a, S> {
    stages: &'a [Vec<S>],
    /// Of what had no effect in the end.
    passing: Vec<S>,
}

impl<S> Candidates<'_, S> {
    /// The states, perhaps some of them twice.
    pub fn iter(&self) -> impl Iterator<Item = &S> {
        self.stages.iter().flatten().chain(&self.passing)
    }
}

impl<C: Change> Judge<'_, C> {
    /// The states that may have decided about a publication; an error if an answer claimed to be in force at the position of
    /// a publication that had been acknowledged before the change was even asked for.
    pub fn states(&self, moment: Moment) -> Result<Candidates<'_, C::State>, Ticket> {
        let mut passing = Vec::new();
        for (step, before) in self.steps.iter().zip(&self.stages) {
            if let Answer::Without { at } = step.answer
                && moment.before == Before::Perhaps
                && step.requested <= moment.acknowledged
                && moment.sent <= at
            {
                passing.extend(before.iter().filter_map(|state| step.change.apply(state)));
            }
        }
        Ok(Candidates { stages: &self.stages[self.range(moment)?], passing })
    }

    /// After how many changes the state may stand that decided about a publication.
    pub fn range(&self, moment: Moment) -> Result<RangeInclusive<usize>, Ticket> {
        let mut first = 0;
        let mut last = 0;
        for (index, step) in self.steps.iter().enumerate() {
            let (in_force, judged_before) = match &step.answer {
                Answer::Applied { at, in_force_after, precision } => {
                    // A lane that the answer does not name had ended, or begins with the new state: nothing is said of it. Nor of one
                    // that others judge by a layout before the one that the answer was given by.
                    let is_said = |number| number > Number::ZERO && number != UNSAID;
                    let named = moment.position.filter(|position| is_said(in_force_after.get(position.lane)));
                    let covered = named.map(|position| in_force_after.covers(position));
                    let in_force = *at < moment.sent || covered == Some(false);
                    let surely = C::DECIDED_BY_ONE && moment.before == Before::Surely && *precision == Precision::Exact;
                    (in_force, surely && covered == Some(true))
                }
                Answer::Unknown | Answer::Without { .. } => (false, false),
            };
            if step.requested <= moment.acknowledged && !judged_before {
                last = index + 1;
            }
            if in_force {
                first = index + 1;
            }
        }
        if first > last {
            return Err(self.steps[first - 1].ticket);
        }
        Ok(first..=last)
    }

    /// What the state may be after so many changes.
    #[must_use]
    pub fn stage(&self, changes: usize) -> &[C::State] {
        &self.stages[changes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::micros;

    #[derive(Clone, Debug)]
    struct Set(u32);

    impl Change for Set {
        type State = u32;
        const DECIDED_BY_ONE: bool = true;

        fn apply(&self, _: &u32) -> Option<u32> {
            Some(self.0)
        }
    }

    fn at(time: u64) -> Instant {
        Instant::from_start(micros(time))
    }

    fn timeline(steps: &[(u64, Option<u64>)]) -> Timeline<Set> {
        let mut timeline = Timeline::new(0);
        for (ticket, &(requested, answered)) in (1_u32..).zip(steps) {
            let answer = answered.map_or(Answer::Unknown, |answered| Answer::Applied {
                at: at(answered),
                precision: Precision::Exact,
                in_force_after: [Position {
                    lane: gomera_cluster::position::LaneId(0),
                    number: gomera_cluster::position::Number(u64::MAX),
                }]
                .into_iter()
                .collect(),
            });
            let ticket_id = Ticket(u64::from(ticket));
            timeline.add(Step {
                ticket: ticket_id,
                generation: 1,
                change: Set(ticket),
                requested: at(requested),
                answer,
            });
        }
        timeline
    }

    fn states(timeline: &Timeline<Set>, sent: u64, acknowledged: u64) -> Vec<u32> {
        let moment = Moment { sent: at(sent), acknowledged: at(acknowledged), position: None, before: Before::Surely };
        let judge = timeline.judge(Before::Surely);
        let mut states = judge.states(moment).expect("no claim").iter().copied().collect::<Vec<_>>();
        states.sort_unstable();
        states.dedup();
        states
    }

    #[test]
    fn before_between_and_after_a_change() {
        let timeline = timeline(&[(10, Some(20))]);
        assert_eq!(states(&timeline, 1, 5), [0]);
        assert_eq!(states(&timeline, 1, 15), [0, 1]);
        assert_eq!(states(&timeline, 15, 30), [0, 1]);
        assert_eq!(states(&timeline, 25, 30), [1]);
    }

    #[test]
    fn a_change_without_an_answer_may_count_for_ever() {
        let timeline = timeline(&[(10, None)]);
        assert_eq!(states(&timeline, 1, 5), [0]);
        assert_eq!(states(&timeline, 500, 600), [0, 1]);
    }

    #[test]
    fn a_later_answer_ends_the_doubt_about_an_earlier_change() {
        let timeline = timeline(&[(10, None), (20, Some(30))]);
        assert_eq!(states(&timeline, 15, 16), [0, 1]);
        assert_eq!(states(&timeline, 40, 50), [2]);
    }

    #[test]
    fn what_an_older_attachment_asked_for_may_come_after_a_read_that_was_asked_for_before_its_answer() {
        let timeline = timeline(&[(10, Some(20)), (12, Some(40))]);
        let before = |generation, requested| timeline.before(generation, Ticket(9), at(requested), Before::Surely);
        assert_eq!(before(1, 30), [2], "its own requests come in order");
        assert_eq!(before(2, 30), [1, 2], "the second was not answered by then");
        assert_eq!(before(2, 15), [0, 1, 2]);
        assert_eq!(before(2, 41), [2]);
    }

    #[derive(Clone, Debug)]
    enum Key {
        Put,
        Resume,
        Remove,
    }

    impl Change for Key {
        type State = bool;
        const DECIDED_BY_ONE: bool = true;

        fn apply(&self, before: &bool) -> Option<bool> {
            match self {
                Self::Put => Some(true),
                Self::Resume => before.then_some(true),
                Self::Remove => before.then_some(false),
            }
        }
    }

    #[test]
    fn what_had_no_room_may_be_changed_where_somebody_else_has_it_until_its_client_is_answered_and_then_it_stands() {
        let after = |change: Key, refused: u64, asked: u64, decided| {
            let mut timeline = Timeline::new(false);
            let applied =
                Answer::Applied { at: at(90), in_force_after: Vector::default(), precision: Precision::Exact };
            let refusal = Answer::Without { at: at(refused) };
            for (ticket, change, requested, answer) in [(1, Key::Put, 10, refusal), (2, change, asked, applied)] {
                timeline.add(Step { ticket: Ticket(ticket), generation: 1, change, requested: at(requested), answer });
            }
            timeline.impossible(decided).is_none().then(|| timeline.judge(decided).stage(2).to_vec())
        };
        let (perhaps, surely) = (Before::Perhaps, Before::Surely);
        assert_eq!(after(Key::Remove, 50, 40, perhaps), Some(vec![false]), "asked for before it was known");
        assert_eq!(after(Key::Remove, 50, 60, perhaps), None, "its client knew already");
        assert_eq!(after(Key::Remove, 50, 40, surely), None, "one matcher has all there is");
        assert_eq!(after(Key::Resume, 50, 40, perhaps), Some(vec![true]), "then it is owed");
    }
}
