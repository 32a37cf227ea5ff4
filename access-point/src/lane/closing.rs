//! How a lane ends by plan: once its layout has it drain and every connection point has left it, it writes `Close` and nothing after.
//!
//! ```text
//!   open ──layout──▶ draining ──every connection point has left, no end of a session is under way──▶ closed ──layout──▶ gone
//! ```

use std::collections::BTreeSet;

use gomera_cluster::address::Address;
use gomera_cluster::machine::Send;
use gomera_cluster::message::Message;
use gomera_cluster::message::exit_point::{LaneBegins, ToExitPoint, Witness};
use gomera_cluster::message::matcher::Entry;

use super::{Lane, Output};
use crate::log::{Origin, Retained};

/// How far the lane is with its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Closing {
    /// It takes what comes.
    Open,
    /// Publishers and sessions move off; these connection points have said that all of theirs have.
    Draining(BTreeSet<Address>),
    /// `Close` is written: nothing follows.
    Closed,
}

impl Lane {
    /// A connection point will send nothing more here.
    pub fn left(&mut self, from: Address) {
        match &mut self.closing {
            Closing::Draining(left) => {
                left.insert(from);
            }
            // It acts on a layout that has the lane drain, so the gate has let it through after that layout.
            Closing::Open | Closing::Closed => {}
        }
    }

    /// Whether nothing is written any more.
    pub fn is_closed(&self) -> bool {
        self.closing == Closing::Closed
    }

    /// Writes the end if nothing can come before it any more.
    pub(super) fn close_if_due(&mut self) {
        let Closing::Draining(left) = &self.closing else { return };
        let has_left = |connection_point| left.contains(connection_point);
        let is_due = self.routes.connection_points.iter().all(has_left)
            && self.endings.is_empty()
            && self.endings_under_way == 0
            && self.operations.len() == 0;
        if is_due {
            self.write(Entry::Close);
            self.closing = Closing::Closed;
        }
    }

    /// An exit point has come. No barrier says so in a lane that is closed: it ends before it begins there. Matchers that have read its
    /// `Close` say the same, but they may be gone, and those who judge for them know of it only what was left unsaid.
    pub(super) fn tell_if_closed(&self, exit_point: Address, output: &mut Output) {
        if self.is_closed() {
            let begins = LaneBegins { lane: self.id, after: self.log.last(), governed: None, by: Witness::Before };
            let message = Message::ExitPoint(ToExitPoint::LaneBegins(begins));
            output.actions.push(Send { to: exit_point, message });
        }
    }

    /// Writes an entry of the lane itself, unless it is closed.
    pub(super) fn write(&mut self, entry: Entry) {
        if self.closing != Closing::Closed {
            self.log.append(Retained { cost: entry.cost(), entry, origin: Origin::Lane });
        }
    }
}
