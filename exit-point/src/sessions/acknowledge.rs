//! What clients report while attached: how far they are, how much they can take.

use gomera_cluster::message::exit_point::{Acknowledge, SessionCredit};
use gomera_cluster::position::Vector;

use super::Sessions;
use super::reign::belief;
use crate::session::{Answering, Attachment};

/// Which replicas were told what a client has processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// All that there are, by a connection point.
    All,
    /// Those of a layout before: who joined since may not have been there.
    ByAnEarlierLayout,
    /// One other replica, which passes it on.
    ByAReplica,
}

impl Sessions {
    /// The client has processed everything up to a vector. Counts also when the attachment is just over: nothing newer is.
    pub(crate) fn acknowledge(&mut self, acknowledge: &Acknowledge, merged: &Vector, told: Told) {
        let Some(id) = self.present(acknowledge.session, acknowledge.generation) else {
            return self.acknowledge_early(acknowledge, merged);
        };
        // Once the client has been told where it begins, everything behind that has to come.
        if told == Told::ByAReplica && self.table[id.0].answering == Answering::No {
            return;
        }
        // Its client may have more of a lane that has ended than is here and is on its way here.
        self.acknowledge_early(acknowledge, merged);
        let Self { table, layout, replicas, .. } = self;
        let session = &mut table[id.0];
        let belief = belief(session.slice, session.birth, replicas, layout.as_deref());
        session.settle(&acknowledge.through, merged, belief);
        let settled = &session.acknowledged;
        let freed = match session.answering {
            Answering::No => session.outbox.acknowledge(settled),
            // What its client is told to be settled must not come, wherever it stands.
            Answering::Yes => session.outbox.remove(|entry| settled.covers(entry.position)),
        };
        self.statistics.notifications_acknowledged += freed.notifications;
        let key = session.key;
        match told {
            Told::ByAnEarlierLayout | Told::ByAReplica if self.followers.contains_key(&self.table[id.0].slice) => {
                self.dropped.entry(key).or_default();
            }
            Told::All | Told::ByAnEarlierLayout | Told::ByAReplica => {}
        }
        self.freed(id, freed);
    }

    /// The client can take more.
    pub(crate) fn grant(&mut self, credit: SessionCredit) {
        let Some(id) = self.present(credit.session, credit.generation) else {
            return;
        };
        let session = &mut self.table[id.0];
        match &mut session.attachment {
            Attachment::Detached(_) => {}
            Attachment::Attached(attached) => {
                attached.credit.grant(credit.total);
                if session.outbox.has_unsent() || session.given_up.is_due() {
                    self.queue(id);
                }
            }
        }
    }
}
