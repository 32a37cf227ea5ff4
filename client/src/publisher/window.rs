//! A publisher's window: what was published and is not yet acknowledged, in order, bounded. Pure.
//!
//! ```text
//!   acknowledged │ sent, awaiting │ waiting to be sent │ room
//!  ──────────────┼────────────────┼────────────────────┼──────▶ sequence
//!             front            cursor              last
//! ```
//! Sequences are given here, 1, 2, 3 …, without holes: entry i of the window has sequence `front + i`. When the connection
//! breaks the cursor goes back to the front and what had been sent is flagged, so that the cluster takes each publication
//! once. Invariant: no entry leaves before it is acknowledged or refused, and entries leave in order.

use std::collections::VecDeque;

use bytes::Bytes;

/// How much may be unacknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// In publications.
    pub(crate) publications_max: usize,
    /// In bytes of encoded publications. One publication is always admitted to an empty window.
    pub(crate) bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Not yet sent on any connection.
    New,
    /// Sent on this connection or on one that broke.
    Sent,
    /// Not taken; only its place in the numbering remains.
    Refused,
}

#[derive(Debug)]
struct Entry<Ticket> {
    content: Bytes,
    ticket: Option<Ticket>,
    fate: Fate,
}

/// A publication to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) sequence: u64,
    pub(crate) content: Bytes,
    pub(crate) resent: bool,
}

/// See the top of this file. A ticket is whatever waits for the acknowledgement.
#[derive(Debug)]
pub(crate) struct Window<Ticket> {
    limits: Limits,
    entries: VecDeque<Entry<Ticket>>,
    /// Sequence of the first entry, or of the next one if there is none.
    front: u64,
    /// Index of the next entry to send on this connection.
    cursor: usize,
    bytes: usize,
}

impl<Ticket> Window<Ticket> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, entries: VecDeque::new(), front: 1, cursor: 0, bytes: 0 }
    }

    /// Whether another publication of this size may be pushed.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.entries.is_empty()
            || (self.entries.len() < self.limits.publications_max
                && self.bytes.saturating_add(bytes) <= self.limits.bytes_max)
    }

    /// Takes a publication for which there is room; gives its sequence.
    pub(crate) fn push(&mut self, content: Bytes, ticket: Option<Ticket>) -> u64 {
        debug_assert!(self.has_room(content.len()), "pushed into a full window");
        self.bytes += content.len();
        self.entries.push_back(Entry { content, ticket, fate: Fate::New });
        self.last()
    }

    /// The highest sequence given so far, 0 for none.
    pub(crate) fn last(&self) -> u64 {
        self.front + count(self.entries.len()) - 1
    }

    /// Everything up to here is settled.
    pub(crate) fn settled_through(&self) -> u64 {
        self.front - 1
    }

    /// Whether something waits to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        self.cursor < self.entries.len()
    }

    /// What to send next, at most so much, at least one if anything is left.
    pub(crate) fn send(&mut self, publications_max: usize, bytes_max: usize, into: &mut Vec<Outgoing>) {
        let mut bytes = 0_usize;
        let first = into.len();
        while let Some(entry) = self.entries.get_mut(self.cursor) {
            if entry.fate == Fate::Refused {
                self.cursor += 1;
                continue;
            }
            bytes = bytes.saturating_add(entry.content.len());
            if into.len() > first && (into.len() - first >= publications_max || bytes > bytes_max) {
                break;
            }
            into.push(Outgoing {
                sequence: self.front + count(self.cursor),
                content: entry.content.clone(),
                resent: entry.fate == Fate::Sent,
            });
            entry.fate = Fate::Sent;
            self.cursor += 1;
        }
    }

    /// The connection broke: all that is unacknowledged goes again, in order.
    pub(crate) fn disconnected(&mut self) {
        self.cursor = 0;
    }

    /// Everything up to `through` is acknowledged; tickets are given back in order. Beyond what was published it is
    /// cut off.
    pub(crate) fn acknowledged(&mut self, through: u64, settle: &mut dyn FnMut(Ticket)) {
        while self.front <= through {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= entry.content.len();
            self.front += 1;
            self.cursor = self.cursor.saturating_sub(1);
            if let Some(ticket) = entry.ticket {
                settle(ticket);
            }
        }
    }

    /// One publication was not taken. Its content goes at once, its place when all before it are settled. Gives back
    /// its ticket; `None` if it has none or is not in the window.
    pub(crate) fn refused(&mut self, sequence: u64) -> Refused<Ticket> {
        let index = sequence.checked_sub(self.front).and_then(|index| usize::try_from(index).ok());
        let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) else { return Refused::Unknown };
        if entry.fate == Fate::Refused {
            return Refused::Unknown;
        }
        self.bytes -= entry.content.len();
        entry.content = Bytes::new();
        entry.fate = Fate::Refused;
        let ticket = entry.ticket.take();
        while self.entries.front().is_some_and(|entry| entry.fate == Fate::Refused) {
            self.entries.pop_front();
            self.front += 1;
            self.cursor = self.cursor.saturating_sub(1);
        }
        Refused::Settled(ticket)
    }

    /// It is over: all tickets that wait.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = Ticket> + use<'_, Ticket> {
        self.bytes = 0;
        self.cursor = 0;
        self.front += count(self.entries.len());
        self.entries.drain(..).filter_map(|entry| entry.ticket)
    }
}

/// What a refusal met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused<Ticket> {
    /// The publication, and who waits for it.
    Settled(Option<Ticket>),
    /// Nothing that is unsettled.
    Unknown,
}

fn count(length: usize) -> u64 {
    u64::try_from(length).expect("lengths fit 64 bits")
}

#[cfg(test)]
mod tests;
