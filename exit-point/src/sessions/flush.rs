//! Sending what clients can take: everything that was merged or granted since the last drain, in one frame or a few per
//! connection point.

use gomera_cluster::machine::Send;
use gomera_cluster::message::connection_point::Satisfied;
use gomera_cluster::message::{Message, ToConnectionPoint, ToExitPoint};
use gomera_cluster::session::HandleDetail;

use super::Sessions;
use crate::notify::{Heading, Told};
use crate::outbox::Freed;
use crate::session::{Attachment, Flush, SessionId};

impl Sessions {
    /// Moves what is to be sent into `into`; what would take too long, with the next drain, which is due at once.
    pub(crate) fn drain(&mut self, into: &mut Vec<Send>) {
        /// Notifications and sessions in one drain: some milliseconds.
        const STEP: u64 = 4096;
        let most = self.statistics.notifications_sent + STEP;
        let mut queue = std::mem::take(&mut self.queue);
        let mut flushed = 0;
        for (&id, _) in queue.iter().zip(0..STEP) {
            if self.statistics.notifications_sent >= most {
                break;
            }
            self.flush(id);
            flushed += 1;
        }
        queue.drain(..flushed);
        // The list is used again; nothing was queued meanwhile.
        self.queue = queue;
        self.is_draining = !self.queue.is_empty();
        self.announce();
        self.tell_dropped();
        self.drain_relay();
        into.append(&mut self.outgoing);
        self.notifier.drain(|to, frame| {
            into.push(Send { to, message: Message::ConnectionPoint(ToConnectionPoint::Notifications(frame)) });
        });
    }

    /// What other replicas are to be told, in order with what else goes to them.
    pub(super) fn drain_relay(&mut self) {
        let Self { relay, outgoing, .. } = self;
        relay.drain(|to, changes| {
            outgoing.push(Send { to, message: Message::ExitPoint(ToExitPoint::Changes(changes)) });
        });
    }

    /// Sends a session what its credit allows: first what it has to be told of what was given up, then notifications.
    fn flush(&mut self, id: SessionId) {
        let Some(session) = self.table.get_mut(id.0).filter(|session| session.flush == Flush::Queued) else {
            return;
        };
        session.flush = Flush::Idle;
        let Some(term) = self.replicas.reign(session.slice).map(|reign| reign.term) else {
            return;
        };
        let attached = match &mut session.attachment {
            Attachment::Attached(attached) if attached.credit.is_open() => attached,
            Attachment::Attached(_) | Attachment::Detached(_) => return,
        };
        let heading = Heading {
            session: session.key,
            slice: session.slice,
            term,
            connection: attached.connection,
            generation: session.generation,
        };
        let mut writer = self.notifier.write(attached.connection_point, heading);
        let mut freed = Freed::default();
        while attached.credit.is_open() {
            if let Some(gap) = session.given_up.tell() {
                self.statistics.gaps_told += 1;
                writer.gap(gap);
            }
            let Some((entry, redelivered)) = session.outbox.unsent() else {
                break;
            };
            if entry.is_expired(self.wall) {
                let wall = self.wall;
                let expired = session.outbox.remove(|entry| entry.is_expired(wall));
                self.statistics.notifications_expired += expired.notifications;
                freed.bytes += expired.bytes;
                freed.notifications += expired.notifications;
                continue;
            }
            writer.notification(Told {
                envelope: &entry.envelope,
                audience: entry.audience,
                position: entry.position,
                satisfied: in_detail(&entry.satisfied, session.terms.detail),
                merged: attached.tell(entry.position, &entry.step),
                redelivered,
                cost: entry.cost,
            });
            attached.credit.spend(entry.cost);
            self.statistics.notifications_sent += 1;
            self.statistics.notifications_redelivered += u64::from(redelivered);
            session.outbox.mark_sent();
        }
        drop(writer);
        self.freed(id, freed);
    }
}

/// As the present attachment wants it. What was kept as a count cannot become handles again.
fn in_detail(satisfied: &Satisfied, detail: HandleDetail) -> Satisfied {
    match (detail, satisfied) {
        (HandleDetail::All, _) | (HandleDetail::Count, Satisfied::Count(_)) => satisfied.clone(),
        (HandleDetail::Count, Satisfied::One(_)) => Satisfied::Count(1),
        (HandleDetail::Count, Satisfied::Many(handles)) => {
            Satisfied::Count(u32::try_from(handles.len()).unwrap_or(u32::MAX))
        }
    }
}
