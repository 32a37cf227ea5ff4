//! Whether changes of a subscription were atomic: along each lane, publications were judged by the old state up to some
//! position and by the new one from there on, never to and fro.

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::message::connection_point::Satisfied;
use gomera_cluster::position::{LaneId, Number};

use super::JudgedLife;
use crate::history::{PublicationIndex, Reception};
use crate::subscriptions::{ContextChange, Possible, SubscriptionChange};
use crate::timeline::Judge;
use crate::verdict::{Promise, Violation};

/// What was seen of each publication that was received, by where it stands.
type Seen<'a> = BTreeMap<(LaneId, Number), (PublicationIndex, &'a Reception)>;

impl JudgedLife<'_> {
    pub(super) fn atomic(&self) -> Result<(), Violation> {
        let mut seen = Seen::new();
        for reception in &self.life.receptions {
            let publication = &self.history.publications[reception.publication.0];
            if let Some(position) = publication.position.filter(|_| self.history.is_judged_by_one(publication)) {
                seen.insert((position.lane, position.number), (reception.publication, reception));
            }
        }
        let decided = self.history.decided();
        let context = self.life.context.judge(decided);
        for (id, timeline) in &self.life.subscriptions {
            self.one_way(id, &timeline.judge(decided), &context, &seen)?;
        }
        Ok(())
    }

    fn one_way(
        &self,
        id: &Arc<str>,
        timeline: &Judge<'_, SubscriptionChange>,
        context: &Judge<'_, ContextChange>,
        seen: &Seen<'_>,
    ) -> Result<(), Violation> {
        // The first stage that can have decided so far, per lane.
        let mut reached: BTreeMap<LaneId, usize> = BTreeMap::new();
        for (&(lane, number), &(index, reception)) in seen {
            let Some(satisfied) = self.names(reception, id) else {
                continue;
            };
            let publication = &self.history.publications[index.0];
            let moment = self.history.moment(publication);
            let (Ok(stages), Ok(contexts)) = (timeline.range(moment), context.states(moment)) else {
                continue;
            };
            let at = reached.entry(lane).or_insert(0);
            let begin = (*at).max(*stages.start());
            let fits = |stage: &usize| {
                let mut possible = Possible::default();
                for state in timeline.stage(*stage) {
                    match state {
                        None => possible.add(false),
                        Some(declared) => {
                            self.satisfied_by(declared, publication, moment, contexts.iter(), &mut possible);
                        }
                    }
                }
                if satisfied { possible.yes } else { possible.no }
            };
            match (begin..=*stages.end()).find(fits) {
                Some(stage) => *at = stage,
                None => {
                    let what = format!(
                        "{}: {} (lane {lane} number {}) was judged by a state of subscription {id} that an earlier position of \
                         the lane had left already",
                        self.name(),
                        index.name(),
                        number.0
                    );
                    return Err(self.violation(Promise::Counting, Some(index), what));
                }
            }
        }
        Ok(())
    }

    /// Whether a notification names a subscription; none if that cannot be told.
    fn names(&self, reception: &Reception, id: &Arc<str>) -> Option<bool> {
        let one;
        let handles = match &reception.satisfied {
            Satisfied::One(handle) => {
                one = [*handle];
                &one[..]
            }
            Satisfied::Many(handles) => handles,
            Satisfied::Count(_) => return None,
        };
        let mut named = false;
        for handle in handles {
            let ids = self.life.handles.get(handle)?;
            if ids.len() > 1 {
                return None;
            }
            named |= ids.contains(id);
        }
        Some(named)
    }
}
