//! The operations of a lane that await their matchers.
//!
//! An operation completes when every machine it is stamped with has worked off its number and one of them, the active replica
//! of its slice, has said what came of it; one that went to all machines has the outcomes of all of them combined. It stays
//! in order of number until it is complete, and its credit is freed when it is both complete and trimmed from the log.
//!
//! ```text
//!            worked off by all it is stamped with, or these are gone
//!  awaiting ─────┬── somebody who counts has said what came of it ──▶ complete
//!                ├── who could have said it is gone ────────────────▶ to be applied anew, under a number of its own
//!                ├── the same, of a read ───────────────────────────▶ complete without an answer: it is asked again by who wanted it
//!                └── the same, of a session that ended meanwhile ───▶ complete without an answer: applied anew, it would outlive its session
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::identity::Handle;
use gomera_cluster::message::snapshot::SubscriptionState;
use gomera_cluster::operation::{Change, Operation, Outcome, UNSAID};
use gomera_cluster::position::{Number, Vector};

use crate::routes::Stamp;

/// Who is told the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The connection point of a session's client.
    ConnectionPoint(Address),
    /// The active exit point of a session that ended.
    ExitPoint(Address),
    /// Nobody: a subscription expired.
    Nobody,
}

/// Who decides what came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decider {
    /// The active replica of its slice. What others say counts if that one dies before it has said anything.
    Active(Address),
    /// All of them together.
    All,
}

/// Whose credit an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Its connection point's.
    Asker,
    /// Nobody's.
    Nobody,
}

/// Whether an operation stands in its lane for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// It does.
    First,
    /// It stood there before, and who could have said what came of it is gone: it may have been in force since.
    Again,
}

/// An operation that got its number.
#[derive(Debug)]
pub struct Sequenced {
    /// Its number.
    pub number: Number,
    /// What it is.
    pub operation: Arc<Operation>,
    /// Who is told.
    pub asker: Asker,
    /// Who has to apply it.
    pub stamp: Stamp,
    /// Who decides what came of it.
    pub decider: Decider,
    /// Whose credit it takes.
    pub charge: Charge,
    /// Whether it came before.
    pub round: Round,
    /// What is told in the end, if that is known already.
    pub answer: Option<Outcome>,
}

/// Whether the log still holds an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retention {
    Retained,
    Trimmed,
}

/// What there was of a subscription before a put.
pub type Before = Option<Box<SubscriptionState>>;

#[derive(Debug)]
struct Pending {
    what: Sequenced,
    /// Machines that have not come so far.
    awaited: usize,
    outcome: Option<Outcome>,
    /// What one said that does not decide.
    opinion: Option<Outcome>,
    /// What there was before, if it had no room.
    refused: Option<Before>,
    /// By which handles those that do not decide have what was put, or that they have not.
    others: Vec<Option<Handle>>,
    standing: Standing,
    hearing: Hearing,
    retention: Retention,
    phase: Phase,
}

/// Whether who decides lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// As far as is known.
    Sound,
    /// Somebody who decides is gone, and may have said nothing.
    Bereaved,
}

/// Whether all have said how far they had judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// They have.
    Whole,
    /// Somebody is gone who may have been further than others, in any lane, without having applied the operation.
    Partial,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Awaiting,
    Complete,
}

/// An operation that is complete.
#[derive(Debug)]
pub struct Completion {
    /// Its number.
    pub number: Number,
    /// What it was.
    pub operation: Arc<Operation>,
    /// Who is told.
    pub asker: Asker,
    /// What came of it; none: it is a change that has to be applied anew.
    pub outcome: Option<Outcome>,
    /// Whether positions in it count.
    pub hearing: Hearing,
    /// What other replicas have to take back before anybody is told, and what they have to have instead.
    pub restore: Option<Before>,
    /// The handle that counts of what was put, if another replica has not put it, or has it under another one.
    pub missing: Option<Handle>,
    /// Its credit to free now; 0 if the log holds it still.
    pub freed: u64,
}

/// What a trimmed operation's credit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trimmed {
    /// Nothing: free it.
    Free,
    /// Its completion.
    Awaited,
}

/// The operations that await their matchers, in order of number.
#[derive(Debug, Default)]
pub struct Operations {
    pending: VecDeque<Pending>,
}

impl Operations {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether an operation of this connection point is not complete.
    pub fn awaits(&self, connection_point: Address) -> bool {
        self.pending.iter().any(|pending| pending.what.asker == Asker::ConnectionPoint(connection_point))
    }

    /// An operation got its number.
    pub fn begin(&mut self, what: Sequenced) {
        debug_assert!(self.pending.back().is_none_or(|last| last.what.number < what.number), "numbers rise");
        self.pending.push_back(Pending {
            awaited: what.stamp.len(),
            what,
            outcome: None,
            opinion: None,
            refused: None,
            others: Vec::new(),
            standing: Standing::Sound,
            hearing: Hearing::Whole,
            retention: Retention::Retained,
            phase: Phase::Awaiting,
        });
    }

    /// A machine has worked off `(before, through]`, with these outcomes. Completions go to `completed`, in order of number.
    pub fn progress(
        &mut self,
        from: Address,
        before: Number,
        through: Number,
        outcomes: Vec<(Number, Outcome)>,
        refused: Vec<(Number, Before)>,
        completed: &mut Vec<Completion>,
    ) {
        let first_new = completed.len();
        for (number, before) in refused {
            if let Ok(index) = self.find(number) {
                self.pending[index].refused = Some(before);
            }
        }
        for (number, outcome) in outcomes {
            if let Ok(index) = self.find(number) {
                let pending = &mut self.pending[index];
                if pending.phase == Phase::Awaiting && pending.is_stamped(from) {
                    pending.hear(from, outcome);
                    if number <= before {
                        pending.complete_if_due(completed);
                    }
                }
            }
        }
        let first = self.pending.partition_point(|pending| pending.what.number <= before);
        for pending in self.pending.range_mut(first..) {
            if pending.what.number > through {
                break;
            }
            if pending.is_stamped(from) {
                pending.awaited -= 1;
                pending.complete_if_due(completed);
            }
        }
        self.end_with_sessions(&mut completed[first_new..]);
        self.drop_complete();
    }

    /// A machine is gone that had worked off everything up to `progressed`: it is awaited no longer.
    pub fn release(&mut self, gone: Address, progressed: Number, completed: &mut Vec<Completion>) {
        let first_new = completed.len();
        let first = self.pending.partition_point(|pending| pending.what.number <= progressed);
        for pending in self.pending.range_mut(first..) {
            if pending.is_stamped(gone) {
                pending.awaited -= 1;
                pending.bereave(gone);
                pending.complete_if_due(completed);
            }
        }
        self.end_with_sessions(&mut completed[first_new..]);
        self.drop_complete();
    }

    /// What would have to be applied anew, or taken back, is not, if its session has ended behind it: who lives has forgotten the session by
    /// then, and would have something of it for ever.
    fn end_with_sessions(&self, completed: &mut [Completion]) {
        let has_more =
            |done: &&mut Completion| done.outcome.is_none() || done.restore.is_some() || done.missing.is_some();
        for done in completed.iter_mut().filter(has_more) {
            let (session, generation) = (done.operation.session, done.operation.version.generation);
            let first = self.pending.partition_point(|pending| pending.what.number <= done.number);
            let ends = |pending: &Pending| {
                let Operation { session: other, version, change, .. } = &*pending.what.operation;
                matches!(change, Change::Forget) && *other == session && version.generation >= generation
            };
            if self.pending.range(first..).any(ends) {
                done.outcome.get_or_insert(Outcome::Unanswered);
                (done.restore, done.missing) = (None, None);
            }
        }
    }

    /// The last number up to which all are complete, where the lane ends at `last`.
    pub fn settled(&self, last: Number) -> Number {
        self.pending.front().map_or(last, |pending| Number(pending.what.number.0 - 1))
    }

    /// The log lets an operation go.
    pub fn trimmed(&mut self, number: Number) -> Trimmed {
        match self.find(number) {
            Ok(index) if self.pending[index].phase == Phase::Awaiting => {
                self.pending[index].retention = Retention::Trimmed;
                Trimmed::Awaited
            }
            Ok(_) | Err(_) => Trimmed::Free,
        }
    }

    fn find(&self, number: Number) -> Result<usize, usize> {
        self.pending.binary_search_by_key(&number, |pending| pending.what.number)
    }

    fn drop_complete(&mut self) {
        while self.pending.front().is_some_and(|pending| pending.phase == Phase::Complete) {
            self.pending.pop_front();
        }
    }
}

impl Pending {
    fn is_stamped(&self, machine: Address) -> bool {
        self.what.stamp.binary_search(&machine).is_ok()
    }

    fn hear(&mut self, from: Address, outcome: Outcome) {
        match self.what.decider {
            Decider::Active(active) if active == from => self.outcome = Some(outcome),
            // Those that can take over are at one about everything but limits; who of them is heard first does not matter.
            Decider::Active(_) => {
                self.others.push(match outcome {
                    Outcome::Applied { handle, .. } => handle,
                    Outcome::NotFound
                    | Outcome::LimitExceeded(_)
                    | Outcome::Superseded
                    | Outcome::Unanswered
                    | Outcome::Found(_) => None,
                });
                self.opinion = Some(match self.opinion.take() {
                    None => outcome,
                    Some(known) => raised(known, &outcome),
                });
            }
            Decider::All => {
                self.outcome = Some(match self.outcome.take() {
                    None => outcome,
                    Some(known) => combine(&self.what.operation.change, known, outcome),
                });
            }
        }
    }

    fn bereave(&mut self, gone: Address) {
        self.hearing = Hearing::Partial;
        match self.what.decider {
            Decider::Active(active) if active == gone && self.standing == Standing::Sound => {
                self.standing = Standing::Bereaved;
            }
            Decider::Active(_) => {}
            Decider::All => self.standing = Standing::Bereaved,
        }
    }

    fn complete_if_due(&mut self, completed: &mut Vec<Completion>) {
        if self.awaited > 0 || self.phase == Phase::Complete {
            return;
        }
        let outcome = match self.standing {
            Standing::Sound if self.outcome.is_none() => return,
            Standing::Sound | Standing::Bereaved => match (self.outcome.take(), self.opinion.take()) {
                (Some(decided), Some(other)) => Some(raised(decided, &other)),
                (decided, other) => decided.or(other),
            },
        };
        let lacks_a_part = match &self.what.operation.change {
            Change::Get(_) => outcome.is_none(),
            // Everybody gives a part.
            Change::List { .. } => self.standing == Standing::Bereaved,
            Change::Put(..)
            | Change::Remove(_)
            | Change::SetPaused(..)
            | Change::SetContext(_)
            | Change::Forget
            | Change::Expire(_)
            | Change::Restore(..) => false,
        };
        // A later one may have replaced what it did the first time, or it finds its own doing.
        let is_overtaken = self.what.round == Round::Again
            && matches!(outcome, Some(Outcome::Superseded | Outcome::NotFound))
            && !matches!(self.what.operation.change, Change::Get(_));
        let is_unknown = lacks_a_part || is_overtaken;
        let outcome = if is_unknown { Some(Outcome::Unanswered) } else { self.what.answer.take().or(outcome) };
        self.phase = Phase::Complete;
        let is_alone = self.what.stamp.len() == 1;
        let missing = match &outcome {
            Some(Outcome::Applied { handle, .. }) if self.others.iter().any(|other| other != handle) => *handle,
            _ => None,
        };
        completed.push(Completion {
            number: self.what.number,
            operation: self.what.operation.clone(),
            asker: self.what.asker,
            outcome,
            hearing: self.hearing,
            restore: self.refused.take().filter(|_| !is_alone),
            missing,
            freed: match (self.retention, self.what.charge) {
                (Retention::Retained, _) | (_, Charge::Nobody) => 0,
                (Retention::Trimmed, Charge::Asker) => self.what.operation.cost(),
            },
        });
    }
}

/// What one said, in force where the other one applied it too: in some lane that one may judge already.
fn raised(mut known: Outcome, other: &Outcome) -> Outcome {
    if let (Outcome::Applied { in_force_after, .. }, Outcome::Applied { in_force_after: other, .. }) =
        (&mut known, other)
    {
        agree(in_force_after, other);
    }
    known
}

/// Where two machines that judge have both applied it. A lane that one of them does not know has ended there, and it may have judged all of
/// it before: nothing is said of that lane.
fn agree(known: &mut Vector, other: &Vector) {
    let lanes = |vector: &Vector| vector.iter().map(|at| at.lane).collect::<BTreeSet<_>>();
    let (ours, theirs) = (lanes(known), lanes(other));
    known.raise_all(other);
    for &lane in ours.symmetric_difference(&theirs) {
        known.raise(lane, UNSAID);
    }
}

/// What two machines said of one operation that went to both. What was found is merged and cut to what was asked; of other
/// outcomes the least favourable one counts.
fn combine(change: &Change, known: Outcome, other: Outcome) -> Outcome {
    match (known, other) {
        (Outcome::Found(mut all), Outcome::Found(more)) => {
            all.extend(more);
            // Replicas list the same.
            all.sort_by_key(|description| description.handle);
            all.dedup_by_key(|description| description.handle);
            if let Change::List { limit, .. } = change {
                all.truncate(usize::from(*limit));
            }
            Outcome::Found(all)
        }
        (
            Outcome::Applied { handle, mut in_force_after },
            Outcome::Applied { handle: other_handle, in_force_after: other },
        ) => {
            agree(&mut in_force_after, &other);
            Outcome::Applied { handle: handle.or(other_handle), in_force_after }
        }
        (known, other) => {
            if severity(&other) > severity(&known) {
                other
            } else {
                known
            }
        }
    }
}

fn severity(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Applied { .. } | Outcome::Found(_) => 0,
        Outcome::NotFound => 1,
        Outcome::Superseded => 2,
        Outcome::LimitExceeded(_) => 3,
        Outcome::Unanswered => 4,
    }
}

#[cfg(test)]
mod tests;
