//! What clients ask of their sessions: operations, acknowledgements, credit, the end.

use gomera_cluster::identity::ConnectionId;
use gomera_cluster::message::ToExitPoint;
use gomera_cluster::message::exit_point::{EndSession, SessionCredit};
use gomera_cluster::position::Vector;

use super::Sessions;
use super::draft::{Draft, Issuer};
use super::sending::queue;
use super::session::{Ending, Phase};
use crate::brake::Reason;
use crate::client::{ClientOperation, Failure, RequestId};
use crate::failure::{self, VECTOR_LANES_MAX};
use crate::lanes::Lanes;
use crate::surroundings::Surroundings;

/// Operations taken from a client beyond its limit: what its host may have read before it saw the pause.
const OVERSHOOT_OPERATIONS: usize = 1024;

/// Cost of the operations of one session that are not answered, reads by what they may bring: at that nothing more is read
/// from its client until half is answered. Four lists of full length.
pub(super) const OPERATIONS_COST_MAX: u64 = 1 << 20;

/// Cost of operations taken from a client beyond that, for the same reason.
const OVERSHOOT_COST: u64 = 16 << 20;

impl Sessions {
    /// A client asks for an operation.
    pub fn operate(
        &mut self,
        around: &mut Surroundings,
        lanes: &mut Lanes,
        connection: ConnectionId,
        request: RequestId,
        operation: ClientOperation,
    ) -> Result<(), Failure> {
        let wall = around.wall();
        let Some(session) = self.by_connection.get_mut(&connection) else { return Err(failure::not_attached()) };
        if session.ending != Ending::NotAsked {
            return Err(failure::session_ending(&session.name));
        }
        let (outstanding_max, bytes_max) =
            (around.config.operations_outstanding_max, around.config.operations_bytes_max);
        if session.operations() >= outstanding_max.saturating_add(OVERSHOOT_OPERATIONS) {
            return Err(failure::operations_outstanding(outstanding_max));
        }
        if session.operations_cost >= OPERATIONS_COST_MAX + OVERSHOOT_COST {
            return Err(failure::operations_cost(OPERATIONS_COST_MAX));
        }
        if self.bytes >= bytes_max {
            return Err(failure::operations_bytes(bytes_max));
        }
        let issuer = Issuer { tenant: &session.tenant, name: &session.name, session: session.key };
        let draft = Draft::new(issuer, request, operation, wall)?;
        let (bytes, cost) = (draft.operation.own_bytes(), draft.operation.cost());
        match &mut session.phase {
            Phase::Attaching(attaching) => attaching.drafts.push_back(draft),
            Phase::Attached(attachment) => attachment.operations.issue(draft)?,
        }
        self.bytes += bytes;
        session.operations_bytes += bytes;
        session.operations_cost += cost;
        around.statistics.operations_accepted += 1;
        if session.operations() >= outstanding_max || session.operations_cost >= OPERATIONS_COST_MAX {
            session.brake.press(Reason::Operations, connection, &mut around.output, &mut around.statistics);
        }
        queue(around, lanes, connection, session);
        Ok(())
    }

    /// A client has processed notifications; passed on at the end of the batch.
    pub fn acknowledge(&mut self, connection: ConnectionId, through: &Vector) -> Result<(), Failure> {
        let Some(session) = self.by_connection.get_mut(&connection) else { return Err(failure::not_attached()) };
        if through.len() > VECTOR_LANES_MAX {
            return Err(failure::vector_too_long(through.len()));
        }
        if session.acknowledged.is_empty() {
            session.acknowledged = through.clone();
        } else {
            session.acknowledged.raise_all(through);
            let lanes = session.acknowledged.len();
            if lanes > VECTOR_LANES_MAX {
                session.acknowledged = Vector::default();
                return Err(failure::vector_too_long(lanes));
            }
        }
        self.acknowledged.insert(connection);
        Ok(())
    }

    /// A client says how many notifications it wants.
    pub fn allow(&mut self, around: &mut Surroundings, connection: ConnectionId, total: u64) -> Result<(), Failure> {
        let Some(session) = self.by_connection.get_mut(&connection) else { return Err(failure::not_attached()) };
        session.deliveries.allow(total);
        self.release(around, connection);
        Ok(())
    }

    /// Notifications have left for a client.
    pub fn taken(&mut self, around: &mut Surroundings, connection: ConnectionId, cost: u64) {
        let Some(session) = self.by_connection.get_mut(&connection) else { return };
        let grant = session.deliveries.taken(cost);
        if let (Some(total), Some(attachment)) = (grant, session.known()) {
            let credit = SessionCredit { session: session.key, generation: attachment.generation, total };
            around.output.tell_exit_point(attachment.exit_point, ToExitPoint::SessionCredit(credit));
        }
        self.release(around, connection);
    }

    /// A client ends its session.
    pub fn end(
        &mut self,
        around: &mut Surroundings,
        connection: ConnectionId,
        request: RequestId,
    ) -> Result<(), Failure> {
        let Some(session) = self.by_connection.get_mut(&connection) else { return Err(failure::not_attached()) };
        if session.ending != Ending::NotAsked {
            return Err(failure::session_ending(&session.name));
        }
        session.ending = Ending::Asked(request);
        if let Some(attachment) = session.known() {
            let end = EndSession { session: session.key, generation: attachment.generation };
            around.output.tell_exit_point(attachment.exit_point, ToExitPoint::EndSession(end));
        }
        Ok(())
    }

    /// Passes on what was held and may go now.
    fn release(&mut self, around: &mut Surroundings, connection: ConnectionId) {
        let Some(session) = self.by_connection.get_mut(&connection) else { return };
        let held_before = session.deliveries.held();
        if held_before == 0 {
            return;
        }
        let ready = session.deliveries.release();
        self.held -= held_before - session.deliveries.held();
        around.deliver(connection, ready);
    }
}
