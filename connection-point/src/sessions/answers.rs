//! What access points and exit points tell attached sessions: completed, notifications, ended.
//!
//! A message counts only from the machine, in the term and for the generation under which the session stands now; anything else
//! is stale.

use std::sync::Arc;

use std::collections::BTreeMap;

use gomera_cluster::address::Address;
use gomera_cluster::credit::Total;
use gomera_cluster::identity::{ConnectionId, Handle};
use gomera_cluster::message::ToExitPoint;
use gomera_cluster::message::connection_point::{Batch, Completed, EndReason, Ended, Notifications};
use gomera_cluster::message::copies::{AttachTerm, AttachedHere, TermAttached};
use gomera_cluster::message::exit_point::EndSession;
use gomera_cluster::operation::{Change, Outcome};
use gomera_cluster::position::Vector;
use gomera_cluster::publication::Envelope;

use super::operations::Outstanding;
use super::requests::OPERATIONS_COST_MAX;
use super::sending::queue;
use super::session::{Ending, Phase, Reign, Session};
use super::{Farewell, Sessions};
use crate::brake::Reason;
use crate::client::{ClientReply, RequestId};
use crate::failure;
use crate::lanes::Lanes;
use crate::surroundings::Surroundings;

impl Sessions {
    /// An operation is in force, or why not.
    pub fn completed(&mut self, around: &mut Surroundings, lanes: &mut Lanes, completed: Completed) {
        let Completed { session: key, version, position: _, outcome } = completed;
        let found = self.by_session.get(&key).and_then(|&connection| {
            let session = self.by_connection.get_mut(&connection)?;
            let outstanding = session.attachment_mut()?.operations.complete(version)?;
            Some((connection, session, outstanding))
        });
        let Some((connection, session, outstanding)) = found else {
            around.statistics.messages_stale += 1;
            return;
        };
        let bytes = outstanding.own_bytes();
        self.bytes -= bytes;
        session.operations_bytes -= bytes;
        session.operations_cost -= outstanding.cost;
        around.statistics.operations_answered += 1;
        if session.operations() <= around.config.operations_outstanding_max / 2
            && session.operations_cost <= OPERATIONS_COST_MAX / 2
        {
            session.brake.release(Reason::Operations, connection, &mut around.output);
        }
        // Those behind it may have waited for it, to go on on another lane.
        queue(around, lanes, connection, session);
        answer(around, connection, outstanding, outcome);
        if let Some(session) = self.by_connection.get_mut(&connection) {
            tell_loss(around, connection, session);
        }
    }

    /// Notifications of any number of sessions.
    pub fn notifications(&mut self, around: &mut Surroundings, from: Address, notifications: Notifications) {
        let Notifications { publications, batches } = notifications;
        for batch in batches {
            self.batch(around, from, &publications, batch);
        }
    }

    fn batch(&mut self, around: &mut Surroundings, from: Address, publications: &[Arc<Envelope>], batch: Batch) {
        let Batch { session: key, slice, term, connection, generation, items } = batch;
        let admitted = self.admit(slice, term);
        let session = self.by_connection.get_mut(&connection).filter(|session| {
            admitted
                && session.key == key
                && session
                    .attachment()
                    .is_some_and(|attachment| attachment.exit_point == from && attachment.generation == generation)
        });
        let Some(session) = session else {
            around.statistics.messages_stale += 1;
            return;
        };
        session.note(&items);
        let held_before = session.deliveries.held();
        let ready = session.deliveries.receive(items, publications);
        self.held += session.deliveries.held() - held_before;
        around.deliver(connection, ready);
    }

    /// An exit point takes over: says who is attached here, and how far each client is. Nothing of an earlier reign is heard any more.
    pub fn begin_reign(&mut self, around: &mut Surroundings, from: Address, begins: &AttachTerm) {
        let mut reigns = BTreeMap::new();
        for &(slice, term) in &begins.slices {
            if self.admit(slice, term) {
                reigns.insert(slice, (TermAttached { slice, term, sessions: Vec::new() }, Vec::new()));
            } else {
                around.statistics.messages_stale += 1;
            }
        }
        for (&connection, session) in &mut self.by_connection {
            let is_ending = session.ending != Ending::NotAsked;
            let (key, granted) = (session.key, session.deliveries.granted());
            let Phase::Attached(attachment) = &mut session.phase else { continue };
            if attachment.exit_point != from || attachment.reign == Reign::Known {
                continue;
            }
            let Some((attached, ending)) = reigns.get_mut(&attachment.slice) else { continue };
            attachment.reign = Reign::Known;
            attachment.term = attached.term;
            let (generation, told) = (attachment.generation, attachment.told.clone());
            let (tenant, received) = (session.tenant.clone(), Total(attachment.received));
            attached.sessions.push(AttachedHere {
                session: key,
                tenant,
                connection,
                generation,
                told,
                granted,
                received,
            });
            around.statistics.sessions_taken_over += 1;
            if is_ending {
                ending.push(EndSession { session: key, generation });
            }
        }
        for (attached, ending) in reigns.into_values() {
            around.output.tell_exit_point(from, ToExitPoint::TermAttached(attached));
            for end in ending {
                around.output.tell_exit_point(from, ToExitPoint::EndSession(end));
            }
        }
    }

    /// An attachment is over.
    pub fn ended(&mut self, around: &mut Surroundings, lanes: &mut Lanes, from: Address, ended: Ended) {
        let Ended { connection, session: key, generation, reason } = ended;
        let current = self.find(connection, key, from).is_some_and(|attachment| attachment.generation == generation);
        let Some(session) = self.by_connection.get(&connection).filter(|_| current) else {
            around.statistics.messages_stale += 1;
            return;
        };
        let failure = match reason {
            EndReason::Superseded => Some(failure::session_superseded(&session.name)),
            EndReason::Slow => Some(failure::session_slow(&session.name)),
            EndReason::Lost => Some(failure::session_lost(&session.name)),
            EndReason::EndedByClient => {
                if let Ending::Asked(request) = session.ending {
                    applied(around, connection, request, None, Vector::default());
                }
                None
            }
        };
        self.close(around, lanes, connection, failure, Farewell::NotTold);
    }
}

/// Tells a client that subscriptions were lost, as soon as what was under way then is answered.
pub(super) fn tell_loss(around: &mut Surroundings, connection: ConnectionId, session: &mut Session) {
    if let Some(by) = session.attachment_mut().and_then(|attachment| attachment.operations.take_loss()) {
        around.output.reply(connection, ClientReply::SubscriptionsLost { number: by.0 });
    }
}

/// Tells a client what came of its operation.
fn answer(around: &mut Surroundings, connection: ConnectionId, outstanding: Outstanding, outcome: Outcome) {
    let request = outstanding.request;
    let failure = match outcome {
        Outcome::Applied { handle, in_force_after } => {
            return applied(around, connection, request, handle, in_force_after);
        }
        Outcome::Found(subscriptions) => {
            if subscriptions.is_empty() && matches!(outstanding.change(), Change::Get(_)) {
                failure::subscription_not_found(outstanding.subject.as_deref())
            } else {
                around.output.reply(connection, ClientReply::Found { request, subscriptions });
                return;
            }
        }
        // What it found the first time it was applied, if it was, is not known.
        Outcome::NotFound if outstanding.is_again => failure::operation_overtaken(),
        Outcome::NotFound => failure::subscription_not_found(outstanding.subject.as_deref()),
        Outcome::LimitExceeded(excess) => {
            let filter = match outstanding.change() {
                Change::Put(subscription, _) => Some(&subscription.filter),
                Change::Remove(_)
                | Change::SetPaused(..)
                | Change::Get(_)
                | Change::List { .. }
                | Change::SetContext(_)
                | Change::Forget
                | Change::Expire(_)
                | Change::Restore(..) => None,
            };
            failure::limit(excess, filter)
        }
        Outcome::Superseded if outstanding.is_again => failure::operation_overtaken(),
        Outcome::Superseded => failure::operation_superseded(),
        Outcome::Unanswered if matches!(outstanding.change(), Change::Get(_) | Change::List { .. }) => {
            failure::read_unanswered()
        }
        Outcome::Unanswered => failure::operation_overtaken(),
    };
    around.output.fail(connection, request, failure);
}

/// Tells a client that its request is in force, if it wants to know.
fn applied(
    around: &mut Surroundings,
    connection: ConnectionId,
    request: RequestId,
    handle: Option<Handle>,
    in_force_after: Vector,
) {
    if request != RequestId(0) {
        around.output.reply(connection, ClientReply::Applied { request, handle, in_force_after });
    }
}
