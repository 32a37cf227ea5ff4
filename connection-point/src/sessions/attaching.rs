//! How a session gets attached: where its exit point is, asking it, asking again, and what it answers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::Address;
use gomera_cluster::identity::{ConnectionId, SessionKey};
use gomera_cluster::layout::Epoch;
use gomera_cluster::message::ToExitPoint;
use gomera_cluster::message::connection_point::{AttachRefusal, AttachRefused, Attached, Presence};
use gomera_cluster::message::exit_point::{Attach, Detach, EndSession};
use gomera_cluster::position::Vector;
use gomera_cluster::session::Sharing;

use super::deliveries::Deliveries;
use super::operations::Operations;
use super::sending::{join_lane, queue, send_acknowledgement};
use super::session::{Asked, Attaching, Attachment, Ending, Phase, Reign, Session};
use super::settling::{Settling, settle};
use super::{Attachable, Farewell, Sessions};
use crate::brake::Brake;
use crate::client::{ClientReply, Failure};
use crate::failure::{self, NAME_BYTES_MAX, VECTOR_LANES_MAX};
use crate::lanes::Lanes;
use crate::surroundings::Surroundings;
use crate::timers::Timer;

/// How long after «not active» an attach is asked again, if no layout comes before: a layout takes about so long to reach
/// every node.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// When an attach is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// Only to another machine, or in another term.
    IfMoved,
    /// In any case.
    Anyhow,
}

impl Sessions {
    /// A client attaches.
    pub fn attach(
        &mut self,
        around: &mut Surroundings,
        connection: ConnectionId,
        attachable: Attachable,
    ) -> Result<(), Failure> {
        let Attachable { tenant, request, name, mut options, resume, attempt } = attachable;
        match options.sharing {
            Sharing::Exclusive => {}
            Sharing::Group => return Err(failure::group_sharing()),
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(failure::name_too_long("session name", &name));
        }
        if let Some(resume) = &resume
            && resume.len() > VECTOR_LANES_MAX
        {
            return Err(failure::vector_too_long(resume.len()));
        }
        if self.len() >= around.config.sessions_max {
            return Err(failure::sessions(around.config.sessions_max));
        }
        let name = if name.is_empty() {
            // Nobody else knows its name, so nobody could come back to it.
            options.expires_after = Duration::ZERO;
            Arc::from(format!("session-{}-{}", around.address, connection.0))
        } else {
            name
        };
        let session = Session {
            key: SessionKey::of(&tenant, &name),
            tenant,
            name,
            brake: Brake::default(),
            deliveries: Deliveries::new(around.config.session_window_bytes),
            acknowledged: Vector::default(),
            operations_bytes: 0,
            operations_cost: 0,
            ending: Ending::NotAsked,
            phase: Phase::Attaching(Attaching {
                request,
                options,
                resume,
                attempt,
                asked: Asked::Nobody,
                unanswered: BTreeMap::new(),
                attempts: 0,
                drafts: VecDeque::new(),
            }),
        };
        self.by_connection.insert(connection, session);
        around.timers.set(Timer::Wait(connection), around.now + around.config.layout_wait);
        self.ask(around, connection, Again::IfMoved);
        Ok(())
    }

    /// What a connection waited for did not come.
    pub fn give_up(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId) {
        let Some(session) = self.by_connection.get(&connection) else { return };
        let failure = match &session.phase {
            Phase::Attaching(Attaching { asked: Asked::Nobody, .. }) => failure::no_layout(around.config.layout_wait),
            Phase::Attaching(Attaching { asked: Asked::ExitPoint(..), .. }) => {
                failure::no_answer("the exit point of this session", around.config.answer_wait)
            }
            Phase::Attached(Attachment { operations, .. }) if operations.lane.is_none() && operations.has_unsent() => {
                failure::no_layout(around.config.layout_wait)
            }
            Phase::Attached(_) => return,
        };
        self.close(around, lanes, connection, Some(failure), Farewell::Told);
    }

    /// It is time to ask again for an attach.
    pub fn retry(&mut self, around: &mut Surroundings, connection: ConnectionId) {
        self.ask(around, connection, Again::Anyhow);
    }

    /// Sends the attach of a session to the machine that is active for it, if there is one.
    pub(super) fn ask(&mut self, around: &mut Surroundings, connection: ConnectionId, again: Again) {
        let (Some(layout), Some(session)) = (around.layout.clone(), self.by_connection.get_mut(&connection)) else {
            return;
        };
        let Phase::Attaching(attaching) = &mut session.phase else { return };
        let slice = layout.slice_of_session(session.key);
        let Some(exit_point) = layout.session_placement(slice).active() else { return };
        let term = self.terms.highest(slice);
        let asked = Asked::ExitPoint(exit_point, term);
        match again {
            Again::IfMoved if attaching.asked == asked => return,
            Again::IfMoved | Again::Anyhow => {}
        }
        if attaching.asked == Asked::Nobody {
            around.timers.set(Timer::Wait(connection), around.now + around.config.answer_wait);
        }
        around.timers.cancel(Timer::Retry(connection));
        attaching.asked = asked;
        *attaching.unanswered.entry(exit_point).or_default() += 1;
        let attach = Attach {
            connection,
            tenant: session.tenant.clone(),
            name: session.name.clone(),
            session: session.key,
            slice,
            term,
            options: attaching.options.clone(),
            resume: attaching.resume.clone(),
            credit: session.deliveries.granted(),
            attempt: attaching.attempt,
        };
        around.output.tell_exit_point(exit_point, ToExitPoint::Attach(attach));
    }

    /// An exit point has attached a client.
    pub fn attached(&mut self, around: &mut Surroundings, lanes: &mut Lanes, from: Address, attached: Attached) {
        let Attached { connection, session: key, slice, term, generation, handle_first, presence, merged } = attached;
        if !self.admit(slice, term) {
            around.statistics.messages_stale += 1;
            return;
        }
        let waiting = self.by_connection.get_mut(&connection).filter(|session| session.key == key);
        let Some(session) = waiting else {
            // The client went while the exit point was asked; it has to hear that nobody is there.
            around.output.tell_exit_point(from, ToExitPoint::Detach(Detach { session: key, generation }));
            return;
        };
        let Phase::Attaching(attaching) = &mut session.phase else {
            around.statistics.messages_stale += 1;
            return;
        };
        let (request, drafts) = (attaching.request, std::mem::take(&mut attaching.drafts));
        around.timers.cancel(Timer::Wait(connection));
        around.timers.cancel(Timer::Retry(connection));
        around.statistics.sessions_attached += 1;
        let reply = ClientReply::Attached {
            request,
            session: session.name.clone(),
            resumed: presence == Presence::Resumed,
            merged: merged.clone(),
            generation,
        };
        around.output.reply(connection, reply);
        if presence == Presence::Resumed && self.lost > Epoch(0) {
            // While it was away, perhaps.
            around.output.reply(connection, ClientReply::SubscriptionsLost { number: self.lost.0 });
        }
        let mut operations = Operations::new(generation, handle_first);
        for draft in drafts {
            // Drafts are fewer than an attachment has handles, so none of them fails.
            operations.issue(draft).expect("a new attachment has 2^32 handles");
        }
        let (reign, told, received) = (Reign::Known, merged, 0);
        session.phase = Phase::Attached(Attachment {
            exit_point: from,
            slice,
            term,
            generation,
            reign,
            told,
            received,
            operations,
            settling: Settling::new(around.now),
        });
        let lane = around.layout.as_deref().and_then(|layout| layout.lane_of_session(key));
        join_lane(around, lanes, session, lane);
        settle(around, connection, session);
        queue(around, lanes, connection, session);
        send_acknowledgement(around, session);
        if let Ending::Asked(_) = session.ending {
            around.output.tell_exit_point(from, ToExitPoint::EndSession(EndSession { session: key, generation }));
        }
        self.stand_for(around, lanes, connection);
    }

    /// Makes `connection` the one that stands for its session here; of two, the newer generation stays.
    fn stand_for(&mut self, around: &mut Surroundings, lanes: &mut Lanes, connection: ConnectionId) {
        let Some(session) = self.by_connection.get(&connection) else { return };
        let (key, name) = (session.key, session.name.clone());
        let generation = |connection| {
            self.by_connection.get(&connection).and_then(|session| session.attachment()).map(|found| found.generation)
        };
        let older = match self.by_session.insert(key, connection) {
            Some(other) if other == connection => None,
            Some(other) if generation(other) > generation(connection) => {
                self.by_session.insert(key, other);
                Some(connection)
            }
            before => before,
        };
        if let Some(older) = older {
            let failure = failure::session_superseded(&name);
            self.close(around, lanes, older, Some(failure), Farewell::NotTold);
        }
    }

    /// An exit point has not attached a client.
    pub fn refused(&mut self, around: &mut Surroundings, lanes: &mut Lanes, from: Address, refused: AttachRefused) {
        let AttachRefused { connection, session: key, reason } = refused;
        let session_name: Arc<str> = self.name(connection).unwrap_or_default().into();
        let waiting = self.by_connection.get_mut(&connection).filter(|session| session.key == key);
        let Some(Phase::Attaching(attaching)) = waiting.map(|session| &mut session.phase) else {
            around.statistics.messages_stale += 1;
            return;
        };
        let unanswered = attaching.unanswered.entry(from).or_default();
        *unanswered = unanswered.saturating_sub(1);
        let about_the_last = *unanswered == 0 && matches!(attaching.asked, Asked::ExitPoint(asked, _) if asked == from);
        if !about_the_last {
            around.statistics.messages_stale += 1;
            return;
        }
        match reason {
            AttachRefusal::NotActive => {
                attaching.attempts += 1;
                let attempts = attaching.attempts;
                if attempts >= around.config.attach_attempts_max {
                    let failure = failure::not_active(attempts);
                    self.close(around, lanes, connection, Some(failure), Farewell::NotTold);
                } else {
                    around.statistics.attaches_retried += 1;
                    around.timers.set(Timer::Retry(connection), around.now + RETRY_AFTER);
                }
            }
            AttachRefusal::Sessions(limit) => {
                let failure = failure::exit_point_sessions(limit);
                self.close(around, lanes, connection, Some(failure), Farewell::NotTold);
            }
            AttachRefusal::Overtaken => {
                let failure = failure::session_overtaken(&session_name);
                self.close(around, lanes, connection, Some(failure), Farewell::NotTold);
            }
        }
    }
}
