//! Publications that stand together in a lane are judged together, ahead of their turn: nothing between them changes what they are
//! judged by, and several at a time cost less than one after the other. Each is told at its own turn.
//!
//! How many depends on what the last ones cost: twice as many as then at most, and no more than a step may take.

use std::sync::Arc;

use gomera_cluster::message::exit_point::{Handles, Target};
use gomera_cluster::position::Number;
use gomera_cluster::publication::Envelope;

use crate::index::TOGETHER;
use crate::lane::Lane;
use crate::subscriptions::{Hits, Subscriptions};

/// What is judged ahead.
#[derive(Debug)]
pub struct Together {
    envelopes: Vec<Arc<Envelope>>,
    /// So many of them are judged, and so many of these are told.
    judged: usize,
    told: usize,
    /// How many are judged together next.
    count: usize,
    /// What those judged last cost so far.
    effort: usize,
    hits: Hits,
}

impl Together {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { envelopes: Vec::new(), judged: 0, told: 0, count: 1, effort: 0, hits: Hits::default() }
    }

    /// A step of a lane ends: what was judged ahead and not told is judged again at its turn.
    pub fn end(&mut self, subscriptions: &mut Subscriptions, effort_max: usize) {
        self.learn(effort_max);
        if self.has_more() {
            // Outputs are full: what is judged ahead now is judged in vain.
            self.count = self.told.max(1);
        }
        if self.judged > 0 {
            subscriptions.forget_judged();
        }
        self.envelopes.clear();
        (self.judged, self.told) = (0, 0);
    }

    fn learn(&mut self, effort_max: usize) {
        if let Some(each) = self.effort.checked_div(self.told) {
            self.count = (effort_max / (each + 1)).clamp(1, TOGETHER.min(2 * self.count));
        }
    }

    /// Whether the publication whose turn is next is judged already.
    pub fn has_more(&self) -> bool {
        self.told < self.judged
    }

    /// Judges the publication in hand, and some of so many that come next; says how many filters were evaluated.
    pub fn judge(
        &mut self,
        subscriptions: &mut Subscriptions,
        lane: &Lane,
        envelope: &Arc<Envelope>,
        more_max: usize,
        effort_max: usize,
    ) -> usize {
        self.learn(effort_max);
        self.envelopes.clear();
        lane.foresee(envelope, more_max.min(self.count - 1), &mut self.envelopes);
        self.judged = subscriptions.judge(&self.envelopes, &lane.governed().active, effort_max);
        self.told = 0;
        self.effort = subscriptions.evaluated();
        self.effort
    }

    /// Adds the targets of the publication in hand, one a session, to the outputs of the session's exit points; says how many
    /// subscriptions it satisfied.
    pub fn give_next(
        &mut self,
        subscriptions: &Subscriptions,
        lane: &mut Lane,
        number: Number,
        envelope: &Arc<Envelope>,
    ) -> usize {
        assert!(Arc::ptr_eq(envelope, &self.envelopes[self.told]), "turns come in order");
        subscriptions.hits(self.told, envelope, &mut self.hits);
        self.told += 1;
        for (session, handles) in self.hits.sessions() {
            let handles = match handles {
                &[(generation, handle)] => Handles::One(generation, handle),
                several => Handles::Many(several.into()),
            };
            lane.push(number, envelope, Target { session, handles });
        }
        self.effort += self.hits.len();
        self.hits.len()
    }
}
