//! The judge: given everything that clients did and saw, says whether the promises of `DESIGN.md` section 2 held. It knows the
//! promises and the plain evaluator, nothing of how the machines work. The one thing it is told beside is where each
//! publication stands in its lane.

mod atomic;
mod gaps;
mod order;
mod reads;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::message::connection_point::Satisfied;
use gomera_cluster::time::Instant;
use gomera_connection_point::client::FailureKind;
use gomera_model::attributes::Attributes;

use crate::history::{History, Life, Publication, PublicationIndex, Reception, Session, Standing};
use crate::subscriptions::{Declared, Possible, SubscriptionChange, satisfies};
use crate::timeline::{Judge, Moment};
use crate::verdict::{Promise, Violation};

/// What was judged, for the statistics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    /// Pairs of publication and session that surely had to meet, and did.
    pub met: u64,
    /// Pairs where either was right.
    pub either: u64,
    /// Notifications that were owed and given up, as a gap said.
    pub given_up: u64,
    /// Notifications that had expired.
    pub expired: u64,
}

/// Judges a whole run that ended at `end`. Wall clocks differ by at most `skew`.
pub fn judge(history: &History, end: Instant, skew: Duration) -> Result<Account, Violation> {
    let mut account = Account::default();
    for session in &history.sessions {
        for life in &session.lives {
            let judged = JudgedLife { history, session, life, end, skew };
            judged.deliveries(&mut account)?;
            judged.order()?;
            judged.atomic()?;
            judged.reads()?;
            judged.operations()?;
        }
    }
    Ok(account)
}

struct JudgedLife<'a> {
    history: &'a History,
    session: &'a Session,
    life: &'a Life,
    end: Instant,
    skew: Duration,
}

/// Per subscription id, whether a publication may have satisfied it.
type BySubscription<'a> = BTreeMap<&'a Arc<str>, Possible>;

impl<'a> JudgedLife<'a> {
    fn violation(&self, promise: Promise, index: Option<PublicationIndex>, what: String) -> Violation {
        let mut subjects = vec![self.session.name.to_string()];
        if let Some(index) = index {
            subjects = vec![index.name()];
            subjects.push(format!("{}!", self.session.name));
        }
        Violation { promise, what, subjects }
    }

    fn name(&self) -> String {
        format!("session {} of tenant {}", self.session.name, self.session.tenant)
    }

    fn deliveries(&self, account: &mut Account) -> Result<(), Violation> {
        let mut received: BTreeMap<PublicationIndex, Vec<&Reception>> = BTreeMap::new();
        for reception in &self.life.receptions {
            received.entry(reception.publication).or_default().push(reception);
        }
        let decided = self.history.decided();
        let subscriptions =
            self.life.subscriptions.iter().map(|(id, timeline)| (id, timeline.judge(decided))).collect::<Vec<_>>();
        let context = self.life.context.judge(decided);
        let gaps = gaps::Gaps::of(self.life);
        let mut owed = gaps::Owed::default();
        for (number, publication) in self.history.publications.iter().enumerate() {
            let index = PublicationIndex(number);
            let receptions = received.get(&index).map(Vec::as_slice).unwrap_or_default();
            let reachable = publication.acknowledged.is_some() || !publication.positions.is_empty();
            if receptions.is_empty() && !reachable {
                continue;
            }
            if publication.tenant != self.session.tenant {
                if receptions.is_empty() {
                    continue;
                }
                let what = format!("{} received {} of tenant {}", self.name(), index.name(), publication.tenant);
                return Err(self.violation(Promise::Delivery, Some(index), what));
            }
            let satisfied = self.satisfied(publication, &subscriptions, &context).map_err(|ticket| {
                let what = format!(
                    "{}: the answer to an operation ({ticket:?}) does not fit {}: it says to be in force there, which was \
                     acknowledged before it was asked for, or not to be, which was sent after the answer",
                    self.name(),
                    index.name()
                );
                self.violation(Promise::Counting, Some(index), what)
            })?;
            let surely = satisfied.iter().any(|(_, possible)| possible.surely());
            let perhaps = satisfied.iter().any(|(_, possible)| possible.yes);
            self.receptions(index, publication, receptions, &satisfied, perhaps)?;
            owed.count(publication, surely, perhaps, !receptions.is_empty());
            if surely && !receptions.is_empty() {
                account.met += 1;
            } else if perhaps && !surely {
                account.either += 1;
            }
            if surely {
                self.passed_over(index, publication, receptions, &gaps)?;
            }
            let owes = surely && publication.acknowledged.is_some() && receptions.is_empty();
            if owes {
                self.missing(index, publication, &satisfied, &gaps, account)?;
            }
        }
        gaps.account(&owed).map_err(|what| self.violation(Promise::Delivery, None, format!("{}: {what}", self.name())))
    }

    /// A publication that surely satisfied a subscription and was not received: is there an excuse?
    fn missing(
        &self,
        index: PublicationIndex,
        publication: &Publication,
        satisfied: &BySubscription<'_>,
        gaps: &gaps::Gaps,
        account: &mut Account,
    ) -> Result<(), Violation> {
        let expires = publication.expires_after.map(|after| publication.sent + after);
        if expires.is_some_and(|at| at <= self.end + self.skew) {
            account.expired += 1;
            return Ok(());
        }
        let Some(&position) = publication.positions.last() else {
            let what = format!("{} was acknowledged and never stood in a lane", index.name());
            return Err(self.violation(Promise::Delivery, Some(index), what));
        };
        if publication.positions.iter().any(|&position| gaps.cover(position)) {
            account.given_up += 1;
            return Ok(());
        }
        // A session that ended took its outbox with it; but what its `W` passed over is owed nevertheless.
        let due = match self.life.standing {
            Standing::Going => true,
            Standing::Over => publication.position.is_some_and(|position| self.life.reached.covers(position)),
        } && publication.sent > self.life.in_doubt_until;
        if !due {
            return Ok(());
        }
        let ids = satisfied.iter().filter(|(_, possible)| possible.surely()).map(|(id, _)| id.to_string());
        let what = format!(
            "{} never received {} (lane {} number {}), which was acknowledged and satisfied {}",
            self.name(),
            index.name(),
            position.lane,
            position.number.0,
            ids.collect::<Vec<_>>().join(", ")
        );
        Err(self.violation(Promise::Delivery, Some(index), what))
    }

    /// A client's `W` stands for all it has: what it passed over on an attachment came on that attachment.
    fn passed_over(
        &self,
        index: PublicationIndex,
        publication: &Publication,
        receptions: &[&Reception],
        gaps: &gaps::Gaps,
    ) -> Result<(), Violation> {
        let Some(position) = publication.position.filter(|&position| !gaps.cover(position)) else { return Ok(()) };
        let excused = publication.expires_after.is_some()
            || publication.refused.is_some()
            || publication.impostor_of.is_some()
            || publication.sent <= self.life.in_doubt_until;
        if excused {
            return Ok(());
        }
        let came = |generation| receptions.iter().any(|reception| reception.generation == generation);
        let passed =
            self.life.passages.iter().find(|passage| {
                passage.to.covers(position) && !passage.from.covers(position) && !came(passage.generation)
            });
        let Some(passage) = passed else { return Ok(()) };
        let what = format!(
            "{}: the `W` of attachment g{} passed over {} (lane {} number {}), which did not come on it",
            self.name(),
            passage.generation,
            index.name(),
            position.lane,
            position.number.0
        );
        Err(self.violation(Promise::Delivery, Some(index), what))
    }

    fn receptions(
        &self,
        index: PublicationIndex,
        publication: &Publication,
        receptions: &[&Reception],
        satisfied: &BySubscription<'_>,
        perhaps: bool,
    ) -> Result<(), Violation> {
        let Some(first) = receptions.first() else {
            return Ok(());
        };
        if publication.impostor_of.is_some_and(|of| self.history.publications[of.0].refused.is_none()) {
            let what = format!("{} received {}, which reused a sequence", self.name(), index.name());
            return Err(self.violation(Promise::Delivery, Some(index), what));
        }
        let without_effect = match publication.refused {
            Some(FailureKind::OutOfRange) | None => false,
            Some(_) => publication.sends == 1,
        };
        if without_effect {
            let what = format!("{} received {}, which was refused", self.name(), index.name());
            return Err(self.violation(Promise::Delivery, Some(index), what));
        }
        if !perhaps {
            let what = format!(
                "{} received {} at {}, which none of its subscriptions can have been satisfied by (said: {:?})",
                self.name(),
                index.name(),
                moment(first.at),
                first.satisfied
            );
            return Err(self.violation(Promise::Counting, Some(index), what));
        }
        for reception in receptions {
            self.satisfied_as_said(index, reception, satisfied)?;
        }
        for (number, reception) in receptions.iter().enumerate() {
            for earlier in &receptions[..number] {
                if earlier.process == reception.process {
                    let what = format!(
                        "{} received {} twice in one process, at {} and {}",
                        self.name(),
                        index.name(),
                        moment(earlier.at),
                        moment(reception.at)
                    );
                    return Err(self.violation(Promise::Delivery, Some(index), what));
                }
                if earlier.generation < reception.generation && !reception.redelivered {
                    let what = format!(
                        "{} received {} again at {} (first at {}) without the redelivered flag",
                        self.name(),
                        index.name(),
                        moment(reception.at),
                        moment(earlier.at)
                    );
                    return Err(self.violation(Promise::Delivery, Some(index), what));
                }
            }
        }
        Ok(())
    }

    /// Whether the handles that came with a notification are those of the subscriptions it satisfied.
    fn satisfied_as_said(
        &self,
        index: PublicationIndex,
        reception: &Reception,
        satisfied: &BySubscription<'_>,
    ) -> Result<(), Violation> {
        let surely = satisfied.iter().filter(|(_, possible)| possible.surely()).count();
        let perhaps = satisfied.iter().filter(|(_, possible)| possible.yes).count();
        let one;
        let handles = match &reception.satisfied {
            Satisfied::One(handle) => {
                one = [*handle];
                &one[..]
            }
            Satisfied::Many(handles) => handles,
            Satisfied::Count(count) => {
                let count = usize::try_from(*count).expect("32 bits");
                if (surely.max(1)..=perhaps).contains(&count) {
                    return Ok(());
                }
                let what = format!(
                    "{} was told that {} satisfied {count} subscriptions; right would be {surely} to {perhaps}",
                    self.name(),
                    index.name()
                );
                return Err(self.violation(Promise::Delivery, Some(index), what));
            }
        };
        let mut named = Vec::new();
        for handle in handles {
            let known = self.life.handles.get(handle);
            let right = match known {
                Some(ids) => {
                    named.extend(ids.iter());
                    ids.iter().any(|id| satisfied.get(id).is_some_and(|possible| possible.yes))
                }
                // A handle whose operation was never answered.
                None => self.life.subscriptions.iter().any(|(id, timeline)| {
                    satisfied.get(id).is_some_and(|possible| possible.yes)
                        && timeline.steps().iter().any(|step| {
                            !matches!(step.answer, crate::timeline::Answer::Applied { .. })
                                && matches!(step.change, SubscriptionChange::Subscribe(_))
                        })
                }),
            };
            if !right {
                let what = format!(
                    "{} was told that {} satisfied handle {} ({known:?}), which cannot be",
                    self.name(),
                    index.name(),
                    handle.0
                );
                return Err(self.violation(Promise::Counting, Some(index), what));
            }
        }
        if !handles.is_sorted_by(|left, right| left < right) {
            let what = format!("{}: handles of {} are not in order: {handles:?}", self.name(), index.name());
            return Err(self.violation(Promise::Surface, Some(index), what));
        }
        let unknown = handles.iter().any(|handle| !self.life.handles.contains_key(handle));
        let omitted = satisfied.iter().find(|(id, possible)| possible.surely() && !named.contains(id));
        if let (Some((id, _)), false) = (omitted, unknown) {
            let what = format!(
                "{} was not told that {} satisfied subscription {id} (told: {handles:?})",
                self.name(),
                index.name()
            );
            return Err(self.violation(Promise::Counting, Some(index), what));
        }
        Ok(())
    }

    /// For each subscription, whether it may have been satisfied.
    fn satisfied(
        &self,
        publication: &Publication,
        subscriptions: &[(&'a Arc<str>, Judge<'a, SubscriptionChange>)],
        context: &Judge<'a, crate::subscriptions::ContextChange>,
    ) -> Result<BySubscription<'a>, crate::timeline::Ticket> {
        let moment = self.history.moment(publication);
        let contexts = context.states(moment)?;
        let mut satisfied = BTreeMap::new();
        for (id, timeline) in subscriptions {
            let mut possible = Possible::default();
            for state in timeline.states(moment)?.iter() {
                match state {
                    None => possible.add(false),
                    Some(declared) => {
                        self.satisfied_by(declared, publication, moment, contexts.iter(), &mut possible);
                    }
                }
            }
            satisfied.insert(*id, possible);
        }
        Ok(satisfied)
    }

    fn satisfied_by<'c>(
        &self,
        declared: &Declared,
        publication: &Publication,
        moment: Moment,
        contexts: impl Iterator<Item = &'c Arc<Attributes>>,
        possible: &mut Possible,
    ) {
        if let Some(span) = declared.expires {
            let earliest = moment.sent;
            let latest = moment.acknowledged + self.skew;
            if earliest >= span.to + self.skew {
                possible.add(false);
                return;
            }
            if latest + self.skew >= span.from {
                possible.add(false);
            }
        }
        for context in contexts {
            // Either is right already: nothing more can be learnt, and there may be very many states.
            if possible.yes && possible.no {
                return;
            }
            possible.add(satisfies(declared, &publication.attributes, context));
        }
    }

    /// Whether an operation took effect that could not.
    fn operations(&self) -> Result<(), Violation> {
        for (id, timeline) in &self.life.subscriptions {
            if let Some(step) = timeline.impossible(self.history.decided()) {
                let what = format!(
                    "{}: {:?} of subscription {id} was answered as in force, though there was none to change",
                    self.name(),
                    step.change
                );
                return Err(self.violation(Promise::Counting, None, what));
            }
        }
        Ok(())
    }
}

fn moment(at: Instant) -> String {
    let micros = at.since_start().as_micros();
    format!("{}.{:03}", micros / 1000, micros % 1000)
}
