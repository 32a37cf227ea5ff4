//! Builds `Notifications` frames, one stream of them per connection point. Within a frame each publication stands once, and
//! each session has one batch; a frame is closed when its contents or its handles reach a size, if need be in the middle of a
//! session, which goes on in the next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::identity::{ConnectionId, Generation, SessionKey, Term};
use gomera_cluster::layout::SessionSlice;
use gomera_cluster::message::connection_point::{Batch, Gap, Item, Notification, Notifications, Satisfied};
use gomera_cluster::position::Position;
use gomera_cluster::publication::Envelope;

use crate::outbox::Audience;
use gomera_cluster::table::{Seeded, Table};

/// Frames for all connection points.
#[derive(Debug)]
pub(crate) struct Notifier {
    frames: BTreeMap<Address, Frames>,
    size: FrameSize,
    hash: Seeded,
}

/// When a frame is closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameSize {
    pub(crate) content_bytes_max: u64,
    pub(crate) handles_bytes_max: u64,
}

/// Frames for one connection point.
#[derive(Debug)]
struct Frames {
    closed: Vec<Notifications>,
    publications: Vec<Arc<Envelope>>,
    batches: Vec<Batch>,
    /// Where publications that concern several sessions stand in the frame.
    indexes: Table<Position, u32>,
    content_bytes: u64,
    handles_bytes: u64,
}

/// Whom a batch is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heading {
    pub(crate) session: SessionKey,
    pub(crate) slice: SessionSlice,
    pub(crate) term: Term,
    pub(crate) connection: ConnectionId,
    pub(crate) generation: Generation,
}

/// A notification as it is to be written.
#[derive(Debug)]
pub(crate) struct Told<'outbox> {
    pub(crate) envelope: &'outbox Arc<Envelope>,
    pub(crate) audience: Audience,
    pub(crate) position: Position,
    pub(crate) satisfied: Satisfied,
    pub(crate) merged: Vec<Position>,
    pub(crate) redelivered: bool,
    pub(crate) cost: u64,
}

/// The batch of one session, growing.
#[derive(Debug)]
pub(crate) struct Writer<'frames> {
    frames: &'frames mut Frames,
    size: FrameSize,
    heading: Heading,
    items: Vec<Item>,
}

impl Notifier {
    pub(crate) const fn new(size: FrameSize, hash: Seeded) -> Self {
        Self { frames: BTreeMap::new(), size, hash }
    }

    /// Begins the batch of a session. Dropping the writer ends it.
    pub(crate) fn write(&mut self, to: Address, heading: Heading) -> Writer<'_> {
        let hash = self.hash;
        let frames = self.frames.entry(to).or_insert_with(|| Frames {
            closed: Vec::new(),
            publications: Vec::new(),
            batches: Vec::new(),
            indexes: Table::with_hasher(hash),
            content_bytes: 0,
            handles_bytes: 0,
        });
        Writer { frames, size: self.size, heading, items: Vec::new() }
    }

    /// Hands the frames over, in order per connection point.
    pub(crate) fn drain(&mut self, mut send: impl FnMut(Address, Notifications)) {
        for (&to, frames) in &mut self.frames {
            frames.close();
            for frame in frames.closed.drain(..) {
                send(to, frame);
            }
        }
    }

    /// Forgets connection points that are gone.
    pub(crate) fn keep(&mut self, is_member: impl Fn(Address) -> bool) {
        self.frames.retain(|&to, frames| is_member(to) || !frames.is_empty());
    }
}

impl Frames {
    fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.batches.is_empty()
    }

    fn close(&mut self) {
        if self.batches.is_empty() {
            return;
        }
        self.closed.push(Notifications {
            publications: std::mem::take(&mut self.publications),
            batches: std::mem::take(&mut self.batches),
        });
        self.indexes.clear();
        (self.content_bytes, self.handles_bytes) = (0, 0);
    }

    fn place(&mut self, envelope: &Arc<Envelope>, position: Position, audience: Audience) -> u32 {
        let next = u32::try_from(self.publications.len()).expect("a frame is closed long before");
        let index = match audience {
            Audience::One => next,
            Audience::Several => *self.indexes.entry(position).or_insert(next),
        };
        if index == next {
            self.content_bytes += envelope.cost();
            self.publications.push(Arc::clone(envelope));
        }
        index
    }
}

impl Writer<'_> {
    /// Writes a notification.
    pub(crate) fn notification(&mut self, told: Told<'_>) {
        let publication = self.frames.place(told.envelope, told.position, told.audience);
        self.frames.handles_bytes += satisfied_bytes(&told.satisfied);
        self.items.push(Item::Notification(Notification {
            publication,
            position: told.position,
            satisfied: told.satisfied,
            merged: told.merged,
            redelivered: told.redelivered,
            cost: told.cost,
        }));
        let full = self.frames.content_bytes >= self.size.content_bytes_max
            || self.frames.handles_bytes >= self.size.handles_bytes_max;
        if full {
            self.end();
            self.frames.close();
        }
    }

    /// Writes a gap.
    pub(crate) fn gap(&mut self, gap: Gap) {
        self.items.push(Item::Gap(gap));
    }

    fn end(&mut self) {
        if self.items.is_empty() {
            return;
        }
        self.frames.batches.push(Batch {
            session: self.heading.session,
            slice: self.heading.slice,
            term: self.heading.term,
            connection: self.heading.connection,
            generation: self.heading.generation,
            items: std::mem::take(&mut self.items),
        });
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// What handles take in a frame, in bytes.
pub(crate) fn satisfied_bytes(satisfied: &Satisfied) -> u64 {
    /// A handle.
    const HANDLE_BYTES: u64 = 8;
    match satisfied {
        Satisfied::One(_) | Satisfied::Count(_) => HANDLE_BYTES,
        Satisfied::Many(handles) => HANDLE_BYTES * u64::try_from(handles.len()).expect("a length fits 64 bits"),
    }
}

#[cfg(test)]
mod tests;
