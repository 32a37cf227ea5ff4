//! What the machine asks for, in order, with small things put together: notifications of one drain become one reply a
//! connection, acknowledgements likewise. A reply of another kind in between closes what was open, so that no order a client
//! could see changes.

use std::collections::BTreeMap;

use gomera_cluster::address::Address;
use gomera_cluster::identity::{ConnectionId, Sequence};
use gomera_cluster::machine::Send;
use gomera_cluster::message::{Message, ToAccessPoint, ToExitPoint};

use crate::client::{ClientAction, ClientReply, CloseReason, Delivery, Failure, RequestId};
use crate::machine::Action;

/// Actions since the last drain.
#[derive(Debug, Default)]
pub(crate) struct Output {
    actions: Vec<Action>,
    /// Where the last reply to a connection stands, if it can take more.
    open: BTreeMap<ConnectionId, usize>,
}

impl Output {
    /// Tells an access point.
    pub fn tell_access_point(&mut self, to: Address, message: ToAccessPoint) {
        self.actions.push(Action::Send(Send { to, message: Message::AccessPoint(message) }));
    }

    /// Tells an exit point.
    pub fn tell_exit_point(&mut self, to: Address, message: ToExitPoint) {
        self.actions.push(Action::Send(Send { to, message: Message::ExitPoint(message) }));
    }

    /// Tells a client.
    pub fn reply(&mut self, connection: ConnectionId, reply: ClientReply) {
        self.open.remove(&connection);
        self.actions.push(Action::Client(ClientAction::Reply { connection, reply }));
    }

    /// Tells a client that a request failed.
    pub fn fail(&mut self, connection: ConnectionId, request: RequestId, failure: Failure) {
        self.reply(connection, ClientReply::Failed { request, failure });
    }

    /// Tells a publisher how far its publications are acknowledged.
    pub fn acknowledge(&mut self, connection: ConnectionId, sequence: Sequence) {
        match self.open_reply(connection) {
            Some(ClientReply::Acknowledged { through }) => *through = sequence,
            Some(_) | None => self.extendable(connection, ClientReply::Acknowledged { through: sequence }),
        }
    }

    /// Delivers to a session's client; nothing if there is nothing.
    pub fn deliver(&mut self, connection: ConnectionId, mut deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        match self.open_reply(connection) {
            Some(ClientReply::Notifications(before)) => before.append(&mut deliveries),
            Some(_) | None => self.extendable(connection, ClientReply::Notifications(deliveries)),
        }
    }

    /// Has nothing more read from a client.
    pub fn pause(&mut self, connection: ConnectionId) {
        self.actions.push(Action::Client(ClientAction::Pause { connection }));
    }

    /// Has a client read from again.
    pub fn resume(&mut self, connection: ConnectionId) {
        self.actions.push(Action::Client(ClientAction::Resume { connection }));
    }

    /// Closes a connection; nothing follows for it.
    pub fn close(&mut self, connection: ConnectionId, failure: Option<Failure>) {
        self.open.remove(&connection);
        self.actions.push(Action::Client(ClientAction::Close { connection, reason: CloseReason { failure } }));
    }

    /// Moves everything into `into`.
    pub fn drain(&mut self, into: &mut Vec<Action>) {
        self.open.clear();
        into.append(&mut self.actions);
    }

    fn open_reply(&mut self, connection: ConnectionId) -> Option<&mut ClientReply> {
        let index = *self.open.get(&connection)?;
        match &mut self.actions[index] {
            Action::Client(ClientAction::Reply { reply, .. }) => Some(reply),
            Action::Client(ClientAction::Pause { .. } | ClientAction::Resume { .. } | ClientAction::Close { .. })
            | Action::Send(_) => None,
        }
    }

    fn extendable(&mut self, connection: ConnectionId, reply: ClientReply) {
        self.open.insert(connection, self.actions.len());
        self.actions.push(Action::Client(ClientAction::Reply { connection, reply }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(output: &mut Output) -> Vec<ClientReply> {
        let mut actions = Vec::new();
        output.drain(&mut actions);
        actions
            .into_iter()
            .filter_map(|action| match action {
                Action::Client(ClientAction::Reply { reply, .. }) => Some(reply),
                Action::Client(_) | Action::Send(_) => None,
            })
            .collect()
    }

    #[test]
    fn acknowledgements_of_one_drain_are_one_reply() {
        let mut output = Output::default();
        for sequence in 1..=5 {
            output.acknowledge(ConnectionId(1), Sequence(sequence));
            output.pause(ConnectionId(2));
        }
        let replies = replies(&mut output);
        assert!(matches!(replies[..], [ClientReply::Acknowledged { through: Sequence(5) }]), "{replies:?}");
    }

    #[test]
    fn a_reply_in_between_is_not_overtaken() {
        let mut output = Output::default();
        output.acknowledge(ConnectionId(1), Sequence(1));
        output
            .reply(ConnectionId(1), ClientReply::PublisherOpened { sequenced: Sequence(0), acknowledged: Sequence(0) });
        output.acknowledge(ConnectionId(1), Sequence(2));
        assert_eq!(replies(&mut output).len(), 3);
        output.acknowledge(ConnectionId(1), Sequence(3));
        assert_eq!(replies(&mut output).len(), 1, "what was drained is not extended");
    }
}
