//! What comes for sessions before their copies do: what is merged for them, and what clients say that they have processed.
//!
//! What is merged is bounded by the configuration. Clients may name any lane: one that never was is passed over; of those that are here, or
//! that the layout still names, as much is kept as sessions have; a lane that ended before this shard knew of it may still be in a copy, and
//! of such lanes so many are kept that it does not matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::identity::{Generation, SessionKey};
use gomera_cluster::layout::{Layout, SessionSlice};
use gomera_cluster::message::exit_point::{Acknowledge, Handles};
use gomera_cluster::position::{LaneId, Number, Position, Vector};
use gomera_cluster::publication::Envelope;

use crate::replicas::{Replicas, Stance};

/// Lanes that ended before this shard knew of them, of which something is kept, counted once for each session: some megabytes. Of
/// further ones nothing is: what a client has processed of them may come to it once more, flagged, when this shard has taken over.
const PAST_LANES_MAX: usize = 65_536;

/// Which lanes there are, and were.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes<'a> {
    pub(super) layout: &'a Layout,
    /// How far each is merged here.
    pub(super) merged: &'a Vector,
}

/// What is known of a lane that a client names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// It is here, or the layout says what became of it.
    Here,
    /// It was, and what became of it is not known here.
    Past,
    Never,
}

impl Lanes<'_> {
    fn known(&self, lane: LaneId) -> Known {
        let Self { layout, merged } = self;
        let is_named = layout.lanes.contains_key(&lane) || layout.ended.contains_key(&lane);
        if is_named || merged.get(lane) > Number::ZERO {
            Known::Here
        } else if lane < layout.lane_next {
            Known::Past
        } else {
            Known::Never
        }
    }
}

/// What is merged for a session before its copy is here.
#[derive(Debug)]
pub(in crate::sessions) struct Early {
    pub(in crate::sessions) position: Position,
    pub(in crate::sessions) envelope: Arc<Envelope>,
    pub(in crate::sessions) handles: Handles,
}

/// What came for one session before its copy.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    slice: u16,
    pub(super) merged: Vec<Early>,
    pub(super) acknowledged: Option<(Generation, Vector)>,
    /// Of the lanes in that, those that were past when they came.
    past: usize,
}

/// What came for all of them.
#[derive(Debug, Default)]
pub(in crate::sessions) struct Earlies {
    sessions: BTreeMap<SessionKey, Waiting>,
    bytes: u64,
    past: usize,
}

impl Early {
    fn cost(&self) -> u64 {
        self.envelope.cost() + 8 * u64::try_from(self.handles.len()).expect("a length fits 64 bits")
    }
}

impl Earlies {
    pub(in crate::sessions) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Lanes of which clients said something, one for each session.
    #[cfg(test)]
    pub(super) fn lanes(&self) -> usize {
        self.sessions.values().filter_map(|waiting| waiting.acknowledged.as_ref()).map(|(_, vector)| vector.len()).sum()
    }

    /// What came for a session of this slice.
    fn waiting(&mut self, session: SessionKey, slice: SessionSlice) -> &mut Waiting {
        let waiting = self.sessions.entry(session).or_default();
        waiting.slice = slice.0;
        waiting
    }

    /// Keeps what is merged for one.
    pub(super) fn keep(&mut self, early: Early, session: SessionKey, slice: SessionSlice) {
        self.bytes += early.cost();
        self.waiting(session, slice).merged.push(early);
    }

    /// Keeps what a client has processed.
    pub(super) fn acknowledge(&mut self, acknowledge: &Acknowledge, slice: SessionSlice, lanes: Lanes<'_>) {
        let Acknowledge { session, generation, through } = acknowledge;
        let mut past = self.past;
        let waiting = self.waiting(*session, slice);
        if waiting.acknowledged.as_ref().is_some_and(|(known, _)| known > generation) {
            return;
        }
        if waiting.acknowledged.as_ref().is_some_and(|(known, _)| known < generation) {
            past -= std::mem::take(&mut waiting.past);
            waiting.acknowledged = None;
        }
        let (_, vector) = waiting.acknowledged.get_or_insert_with(|| (*generation, Vector::default()));
        for Position { lane, number } in through.iter().filter(|position| position.number > Number::ZERO) {
            match lanes.known(lane) {
                Known::Here => {}
                Known::Past if vector.get(lane) > Number::ZERO => {}
                Known::Past if past < PAST_LANES_MAX => {
                    past += 1;
                    waiting.past += 1;
                }
                Known::Past | Known::Never => continue,
            }
            vector.raise(lane, number);
        }
        self.past = past;
    }

    /// Its copy is here, or it ended.
    pub(super) fn remove(&mut self, session: SessionKey) -> Option<Waiting> {
        let waiting = self.sessions.remove(&session)?;
        self.bytes -= waiting.merged.iter().map(Early::cost).sum::<u64>();
        self.past -= waiting.past;
        Some(waiting)
    }

    /// Keeps what came for slices that are loading, and what clients said of those that wait for it.
    pub(super) fn retain(&mut self, replicas: &Replicas) {
        let Self { sessions, bytes, past } = self;
        sessions.retain(|_, waiting| {
            let kept = match replicas.stance(SessionSlice(waiting.slice)) {
                Stance::Loading { .. } => return true,
                Stance::Waiting { .. } => waiting.acknowledged.is_some(),
                Stance::Absent | Stance::Following(_) | Stance::Heir { .. } | Stance::Leading(_) => false,
            };
            *bytes -= waiting.merged.drain(..).map(|early| early.cost()).sum::<u64>();
            if !kept {
                *past -= waiting.past;
            }
            kept
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LANES, at, layout, session};

    /// Of so many lanes that have ended before.
    fn layout_after(lanes: u32) -> Layout {
        Layout { lane_next: LaneId(lanes), ..(*layout(1)).clone() }
    }

    fn says(name: &str, generation: u64, through: impl IntoIterator<Item = Position>) -> Acknowledge {
        let through = through.into_iter().collect();
        Acknowledge { session: session(name), generation: Generation(generation), through }
    }

    #[test]
    fn of_lanes_that_ended_before_so_many_are_kept_and_of_those_that_are_here_all() {
        let most = u32::try_from(PAST_LANES_MAX).expect("it fits");
        let layout = layout_after(2 * most);
        let merged = std::iter::once(at(LaneId(2 * most - 1), 5)).collect();
        let (lanes, slice) = (Lanes { layout: &layout, merged: &merged }, SessionSlice(0));
        let mut earlies = Earlies::default();
        for (name, first) in [("a", 3), ("b", 3), ("b", most)] {
            let past = (first..first + most - 10).map(|lane| at(LaneId(lane), 1));
            let here = [at(LANES[0], 7), at(LaneId(2 * most - 1), 4), at(LaneId(2 * most), 1)];
            earlies.acknowledge(&says(name, 1, past.chain(here)), slice, lanes);
        }
        assert_eq!((earlies.past, earlies.lanes()), (PAST_LANES_MAX, PAST_LANES_MAX + 2 * 2));
        // What is known may rise, and costs nothing.
        earlies.acknowledge(&says("a", 1, [at(LaneId(3), 9)]), slice, lanes);
        assert_eq!(earlies.past, PAST_LANES_MAX);
        let waiting = earlies.remove(session("a")).expect("something was said of it");
        let (_, vector) = waiting.acknowledged.expect("it was");
        assert_eq!([LaneId(3), LaneId(4), LANES[0]].map(|lane| vector.get(lane).0), [9, 1, 7]);
        assert_eq!(earlies.past, 10);
        earlies.retain(&Replicas::default());
        assert_eq!((earlies.past, earlies.lanes()), (0, 0));
    }

    #[test]
    fn what_is_said_on_a_later_attachment_takes_the_place_of_what_was() {
        let (layout, merged) = (layout_after(100), Vector::default());
        let (lanes, slice) = (Lanes { layout: &layout, merged: &merged }, SessionSlice(0));
        let mut earlies = Earlies::default();
        earlies.acknowledge(&says("a", 2, [at(LaneId(50), 1), at(LANES[0], 3)]), slice, lanes);
        earlies.acknowledge(&says("a", 1, [at(LaneId(51), 1), at(LANES[0], 4)]), slice, lanes);
        earlies.acknowledge(&says("a", 2, [at(LaneId(50), 2), at(LaneId(52), 0)]), slice, lanes);
        assert_eq!((earlies.past, earlies.lanes()), (1, 2));
        earlies.acknowledge(&says("a", 3, [at(LaneId(53), 1)]), slice, lanes);
        assert_eq!((earlies.past, earlies.lanes()), (1, 1));
    }
}
