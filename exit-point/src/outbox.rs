//! The outbox of a session: notifications not yet acknowledged, in the order of delivery. Those sent on the present
//! attachment are its beginning, and so are those sent on the one before and those that may have been delivered by then; what
//! is dropped goes from the front.
//!
//! ```text
//!  front │ sent now │ ... │ never sent │ back
//!        0 ──────▶ sent
//!        0 ───────────▶ sent_last     on attachments that ended; no client that resumes without W knows of them
//!        0 ─────────▶ doubtful        sent, and a client resumed without saying whether it has them
//! ```
//! Invariant: `bytes` is the sum of the costs of what it holds, `leaning` the number of those that lean on a frame.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use gomera_cluster::message::connection_point::Satisfied;
use gomera_cluster::position::{Position, Vector};
use gomera_cluster::publication::{AttributeBlock, Envelope};
use gomera_model::timestamp::Timestamp;

use crate::config::ContentBuffers;
use crate::session::given_up::Sent;

/// The merged vector at the beginning of a merge step, shared by all that is merged in it.
#[derive(Debug)]
pub(crate) struct Step {
    /// Steps are numbered from 1; a later one's vector is nowhere lower.
    pub(crate) number: u64,
    pub(crate) vector: Vector,
}

/// A notification in an outbox.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) position: Position,
    pub(crate) envelope: Arc<Envelope>,
    /// With `position` the session's `W` right after it.
    pub(crate) step: Arc<Step>,
    pub(crate) satisfied: Satisfied,
    /// What it counts in limits and credit, in bytes.
    pub(crate) cost: u64,
    pub(crate) lean: Lean,
    pub(crate) audience: Audience,
}

/// What an entry's envelope keeps alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lean {
    /// Whatever came with it: the frame it was a slice of, decoded attributes.
    Frame,
    /// Its own content only.
    Itself,
}

/// How many sessions of this shard a publication concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// One.
    One,
    /// Several: it may stand in a frame already.
    Several,
}

/// Limits of an outbox. It is full when it has reached one; what comes then goes in after room is made, so that it may be
/// overdrawn by the last notification, and a limit of 1 still makes progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes_max: u64,
    pub(crate) notifications_max: u64,
}

/// What left an outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) bytes: u64,
    pub(crate) notifications: u64,
}

/// An outbox.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    entries: VecDeque<Entry>,
    bytes: u64,
    /// How many lean on their frame.
    leaning: usize,
    marks: Marks,
}

/// Lengths of beginnings.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    sent: usize,
    sent_last: usize,
    doubtful: usize,
}

/// From where an attachment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// From the beginning of the session: nothing can have been delivered.
    Beginning,
    /// From the client's `W`: what was sent before and lies above it was not delivered to this client.
    Vector,
    /// From the last acknowledgement: what was sent since may have been delivered.
    Acknowledgement,
}

/// A publication as it is kept for long: nothing alive but its own bytes. Attributes are needed by matchers only.
pub(crate) fn keepable(envelope: &Arc<Envelope>, buffers: ContentBuffers) -> Arc<Envelope> {
    let content = match (buffers, &envelope.attributes) {
        (ContentBuffers::Own, AttributeBlock::Encoded) => return Arc::clone(envelope),
        (ContentBuffers::Own, AttributeBlock::Decoded(_)) => envelope.content.clone(),
        (ContentBuffers::Shared, _) => Bytes::copy_from_slice(&envelope.content),
    };
    Arc::new(Envelope {
        tenant: envelope.tenant.clone(),
        publisher: Arc::clone(&envelope.publisher),
        key: envelope.key,
        accepted_at: envelope.accepted_at,
        expires_at: envelope.expires_at,
        content,
        attributes: AttributeBlock::Encoded,
    })
}

impl Entry {
    pub(crate) fn is_expired(&self, wall: Timestamp) -> bool {
        self.envelope.expires_at.is_some_and(|expires| expires <= wall)
    }
}

impl Marks {
    /// The first entry is gone.
    fn pop(&mut self) {
        for mark in [&mut self.sent, &mut self.sent_last, &mut self.doubtful] {
            *mark = mark.saturating_sub(1);
        }
    }

    /// Counts an entry that stood at `index` before in the marks of what remains.
    fn count(&mut self, before: &Self, index: usize) {
        self.sent += usize::from(index < before.sent);
        self.sent_last += usize::from(index < before.sent_last);
        self.doubtful += usize::from(index < before.doubtful);
    }
}

impl Outbox {
    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += entry.cost;
        self.leaning += usize::from(entry.lean == Lean::Frame);
        self.entries.push_back(entry);
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_full(&self, limits: Limits) -> bool {
        !self.entries.is_empty() && (self.bytes >= limits.bytes_max || self.notifications() >= limits.notifications_max)
    }

    /// Whether a session that was full is so no more: at most half of either limit.
    pub(crate) fn is_relieved(&self, limits: Limits) -> bool {
        self.bytes <= limits.bytes_max / 2 && self.notifications() <= limits.notifications_max / 2
    }

    pub(crate) fn notifications(&self) -> u64 {
        u64::try_from(self.entries.len()).expect("a length fits 64 bits")
    }

    /// Everything, as if it left.
    pub(crate) fn all(&self) -> Freed {
        Freed { bytes: self.bytes, notifications: self.notifications() }
    }

    /// Gives up the oldest.
    pub(crate) fn drop_oldest(&mut self) -> Option<(Entry, Sent)> {
        let sent = if self.marks.sent > 0 { Sent::Now } else { Sent::No };
        let entry = self.pop_front()?;
        self.shrink();
        Some((entry, sent))
    }

    fn pop_front(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.cost;
        self.leaning -= usize::from(entry.lean == Lean::Frame);
        self.marks.pop();
        Some(entry)
    }

    /// Lets at most so many go, for good; says how many went.
    pub(crate) fn discard(&mut self, most: usize) -> usize {
        (0..most).map_while(|_| self.pop_front()).count()
    }

    /// Drops the beginning that `settled` covers. What it covers behind something that it does not cover (a client that
    /// acknowledges lane by lane) goes when that goes.
    pub(crate) fn acknowledge(&mut self, settled: &Vector) -> Freed {
        let mut freed = Freed::default();
        while self.entries.front().is_some_and(|entry| settled.covers(entry.position)) {
            let entry = self.pop_front().expect("it has a front");
            freed.bytes += entry.cost;
            freed.notifications += 1;
        }
        self.shrink();
        freed
    }

    /// Drops what `gone` says, anywhere.
    pub(crate) fn remove(&mut self, mut gone: impl FnMut(&Entry) -> bool) -> Freed {
        let (mut freed, mut marks, mut index) = (Freed::default(), Marks::default(), 0);
        let before = self.marks;
        self.entries.retain(|entry| {
            let stays = !gone(entry);
            if stays {
                marks.count(&before, index);
            } else {
                freed.bytes += entry.cost;
                freed.notifications += 1;
                self.leaning -= usize::from(entry.lean == Lean::Frame);
            }
            index += 1;
            stays
        });
        self.marks = marks;
        self.bytes -= freed.bytes;
        self.shrink();
        freed
    }

    /// Whether it holds something of this merge step or one before. What it holds stands in order of steps.
    pub(crate) fn holds_of(&self, step: u64) -> bool {
        self.entries.front().is_some_and(|entry| entry.step.number <= step)
    }

    /// The next to send on this attachment, and whether it may have been delivered on an earlier one.
    pub(crate) fn unsent(&self) -> Option<(&Entry, bool)> {
        self.entries.get(self.marks.sent).map(|entry| (entry, self.marks.sent < self.marks.doubtful))
    }

    /// The one that [`Outbox::unsent`] gave is sent.
    pub(crate) fn mark_sent(&mut self) {
        assert!(self.marks.sent < self.entries.len(), "only what is there is sent");
        self.marks.sent += 1;
    }

    /// Whether something is not sent on this attachment.
    pub(crate) fn has_unsent(&self) -> bool {
        self.marks.sent < self.entries.len()
    }

    /// The attachment is over: what it was sent is to be sent again.
    pub(crate) fn rewind(&mut self) {
        self.marks.sent_last = self.marks.sent_last.max(self.marks.sent);
        self.marks.sent = 0;
    }

    /// The next attachment begins, after [`Outbox::rewind`] and after what its client has was removed.
    pub(crate) fn begin(&mut self, start: Start) {
        match start {
            Start::Beginning => self.marks = Marks::default(),
            // It speaks for itself only: another client of the session may have what it lacks.
            Start::Vector => {}
            Start::Acknowledgement => self.marks.doubtful = self.marks.doubtful.max(self.marks.sent_last),
        }
    }

    /// Everything in it may have been delivered, by another replica; what lies at or below `doubted`, on an attachment before the latest.
    pub(crate) fn suspect(&mut self, doubted: &Vector) {
        self.adopt(&Vector::default(), doubted);
    }

    /// The present attachment has been sent everything up to `told`, by another replica: that comes first, then what may have been sent on
    /// an earlier one, each part in its order. The order of lanes among each other is another one there, so nothing is said by it of lanes
    /// any more.
    pub(crate) fn adopt(&mut self, told: &Vector, doubted: &Vector) {
        // The earliest of all: lanes that end stay known as long as something of theirs may be here.
        let step = Arc::new(Step { number: 0, vector: Vector::default() });
        let all = std::mem::take(&mut self.entries);
        let (mut sorted, unsent): (VecDeque<_>, VecDeque<_>) =
            all.into_iter().partition(|entry| told.covers(entry.position));
        let (again, new): (VecDeque<_>, VecDeque<_>) =
            unsent.into_iter().partition(|entry| doubted.covers(entry.position));
        let is_doubtful = !again.is_empty() || sorted.iter().any(|entry| doubted.covers(entry.position));
        self.marks.sent = sorted.len();
        sorted.extend(again);
        self.marks.doubtful = if is_doubtful { sorted.len() } else { 0 };
        sorted.extend(new);
        sorted.iter_mut().for_each(|entry| entry.step = Arc::clone(&step));
        self.marks.sent_last = sorted.len();
        self.entries = sorted;
    }

    /// Adds what another replica may have sent on an attachment before the latest, and a client resumed without saying whether it has it.
    pub(crate) fn push_doubtful(&mut self, entry: Entry) {
        let index = self.marks.sent.max(self.marks.doubtful);
        self.insert(index, entry);
        self.marks.doubtful = index + 1;
        self.marks.sent_last = self.marks.sent_last.max(index) + 1;
    }

    /// Adds what another replica may have sent on an attachment that is over.
    pub(crate) fn push_suspect(&mut self, entry: Entry) {
        let Marks { sent, sent_last, doubtful } = self.marks;
        let index = sent.max(sent_last).max(doubtful);
        self.insert(index, entry);
        self.marks.sent_last = index + 1;
    }

    /// Puts an entry where it was not merged: its vector is one that holds there.
    fn insert(&mut self, index: usize, mut entry: Entry) {
        if let Some(beside) = self.entries.get(index).or(self.entries.back()) {
            entry.step = Arc::clone(&beside.step);
        }
        self.bytes += entry.cost;
        self.leaning += usize::from(entry.lean == Lean::Frame);
        self.entries.insert(index, entry);
    }

    /// Adds what another replica has sent on the present attachment.
    pub(crate) fn push_sent(&mut self, mut entry: Entry) {
        let index = self.marks.sent;
        if let Some(beside) = self.entries.get(index.saturating_sub(1)) {
            entry.step = Arc::clone(&beside.step);
        }
        self.bytes += entry.cost;
        self.leaning += usize::from(entry.lean == Lean::Frame);
        self.entries.insert(index, entry);
        self.marks.sent += 1;
        self.marks.sent_last = self.marks.sent_last.max(index) + 1;
        self.marks.doubtful += usize::from(index < self.marks.doubtful);
    }

    /// Everything in it, in order.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.entries.into_iter()
    }

    /// What it holds, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Makes everything in it keepable. Returns how many bytes of content were copied.
    pub(crate) fn keep(&mut self, buffers: ContentBuffers) -> u64 {
        let mut copied = 0;
        let mut entries = self.entries.iter_mut();
        // They came while there was little before them, so they stand near the front: no need to look at all of a long one.
        while self.leaning > 0
            && let Some(entry) = entries.find(|entry| entry.lean == Lean::Frame)
        {
            entry.envelope = keepable(&entry.envelope, buffers);
            entry.lean = Lean::Itself;
            self.leaning -= 1;
            copied += copied_bytes(&entry.envelope, buffers);
        }
        copied
    }

    /// The earliest moment at which one of them expires.
    pub(crate) fn first_expiry(&self) -> Option<Timestamp> {
        self.entries.iter().filter_map(|entry| entry.envelope.expires_at).min()
    }

    /// Gives memory back after a burst; amortised over what left.
    fn shrink(&mut self) {
        /// Not worth the trouble below.
        const ENTRIES_KEPT: usize = 256;
        if self.entries.capacity() > ENTRIES_KEPT && self.entries.len() < self.entries.capacity() / 8 {
            self.entries.shrink_to((self.entries.len() * 2).max(ENTRIES_KEPT / 4));
        }
    }
}

/// How many bytes of content [`keepable`] copied.
pub(crate) fn copied_bytes(envelope: &Envelope, buffers: ContentBuffers) -> u64 {
    match buffers {
        ContentBuffers::Own => 0,
        ContentBuffers::Shared => u64::try_from(envelope.content.len()).expect("a length fits 64 bits"),
    }
}

#[cfg(test)]
mod tests;
