//! Who waits for something, in the order in which they began to wait; each can leave at any time. Serves everybody in turn.

use std::collections::BTreeMap;

use gomera_cluster::identity::ConnectionId;

/// A place in [`Turns`]; whoever holds one gives it back by [`Turns::leave`] unless [`Turns::next`] took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// A queue of connections, each in it once. As long as there are connections at most.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    waiting: BTreeMap<Ticket, ConnectionId>,
    tickets: u64,
}

impl Turns {
    /// Goes to the end.
    pub fn enter(&mut self, connection: ConnectionId) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.waiting.insert(ticket, connection);
        ticket
    }

    /// Gives a place back.
    pub fn leave(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
    }

    /// Takes the first out.
    pub fn next(&mut self) -> Option<ConnectionId> {
        self.waiting.pop_first().map(|(_, connection)| connection)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_first_is_served_first_and_who_left_is_not_served() {
        let mut turns = Turns::default();
        let tickets = [1, 2, 3].map(|connection| turns.enter(ConnectionId(connection)));
        turns.leave(tickets[1]);
        assert_eq!(turns.next(), Some(ConnectionId(1)));
        turns.enter(ConnectionId(1));
        assert_eq!(turns.next(), Some(ConnectionId(3)));
        assert_eq!(turns.next(), Some(ConnectionId(1)));
        assert!(turns.is_empty());
    }
}
