//! What a matcher shard is told: entries of lanes by access points, credit by exit points, snapshots of slices by other matchers.

use std::sync::Arc;

use super::snapshot::{SnapshotCredit, SnapshotPart, SnapshotWanted};
use crate::coverage::SliceSet;
use crate::credit::{Class, Total};
use crate::layout::Layout;
use crate::operation::Operation;
use crate::position::{LaneId, Number};
use crate::publication::Envelope;

/// To a matcher shard.
#[derive(Clone, Debug)]
pub enum ToMatcher {
    /// From an access point: entries of a lane.
    Entries(Entries),
    /// From an access point: retained entries of a lane once more, for slices whose owner died.
    Replay(Replay),
    /// From an access point: every matcher concerned has worked off these operations.
    LaneSettled(LaneSettled),
    /// From a matcher: what came to it of a fenced lane and may not have come to all.
    LaneTail(LaneTail),
    /// From an exit point: it may be sent this much about a lane.
    MatchesCredit(MatchesCredit),
    /// From an exit point: a lane that was fenced has ended there; nothing more of it is wanted.
    LaneDone(LaneDone),
    /// From a matcher: it joins some slices and asks for what this one has of them.
    SnapshotWanted(SnapshotWanted),
    /// From a matcher: a part of what was asked for.
    SnapshotPart(SnapshotPart),
    /// From a matcher: it may be sent more of what it asked for.
    SnapshotCredit(SnapshotCredit),
}

/// A run of a lane as one matcher shard has to see it: numbers that are not listed hold nothing for this shard, and are
/// passed over. Runs of a lane follow each other without overlap in class [`Class::Live`].
#[derive(Clone, Debug)]
pub struct Entries {
    /// The lane.
    pub lane: LaneId,
    /// Why they are sent.
    pub class: Class,
    /// The last number before this run.
    pub from: Number,
    /// The last number of this run.
    pub to: Number,
    /// What stands in `(from, to]` for this shard, in order of number.
    pub entries: Vec<(Number, Entry)>,
    /// All exit points have merged up to here: nothing of that need be kept for others. `None`: the writer does not say.
    pub merged: Option<Number>,
}

impl Entries {
    /// What it counts in credit of its class; never 0.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.entries.iter().map(|(_, entry)| entry.cost()).sum::<u64>().max(1)
    }
}

/// A run of what a lane retains, sent again: to be judged against slices whose owner died before every exit point had what it
/// found. Operations are left out: whoever owns the slices now has them already. Credit of class [`Class::Replay`]. What it covers
/// may have been covered before; that is harmless.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The lane.
    pub lane: LaneId,
    /// To be judged against these and no others.
    pub slices: Arc<SliceSet>,
    /// The last number before this run.
    pub from: Number,
    /// The last number of this run.
    pub to: Number,
    /// Publications and barriers in `(from, to]`, in order of number.
    pub entries: Vec<(Number, Entry)>,
}

impl Replay {
    /// What it counts in credit of its class; never 0.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.entries.iter().map(|(_, entry)| entry.cost()).sum::<u64>().max(1)
    }
}

/// An entry of a lane.
#[derive(Clone, Debug)]
pub enum Entry {
    /// To be judged.
    Publication(Arc<Envelope>),
    /// To be applied.
    Operation(Arc<Operation>),
    /// From here on this layout governs the lane. It stands here whole: who reads the lane may never have heard of it otherwise, a
    /// later one being all that others can tell.
    Barrier(Arc<Layout>),
    /// Nothing follows.
    Close,
}

impl Entry {
    /// What it counts in credit and in what a lane retains, in bytes.
    #[must_use]
    pub fn cost(&self) -> u64 {
        /// A number and a word of content.
        const MARK_BYTES: u64 = 32;
        match self {
            Self::Publication(envelope) => envelope.cost(),
            Self::Operation(operation) => operation.cost(),
            Self::Barrier(_) | Self::Close => MARK_BYTES,
        }
    }
}

/// All operations of a lane up to a number are worked off by every matcher that they are for. The latest counts; needs no credit.
#[derive(Clone, Copy, Debug)]
pub struct LaneSettled {
    /// The lane.
    pub lane: LaneId,
    /// The number.
    pub through: Number,
}

/// What came to a matcher shard of a lane that is fenced, of operations that are not settled as far as it knows: others may not have
/// them, and nobody may ask for them again. Told to all other matchers once, so that replicas agree. Bounded by what clients may have
/// unanswered; needs no credit.
#[derive(Clone, Debug)]
pub struct LaneTail {
    /// The lane.
    pub lane: LaneId,
    /// In order of number.
    pub operations: Vec<Arc<Operation>>,
}

/// A lane that was fenced has ended at an exit-point shard.
#[derive(Clone, Copy, Debug)]
pub struct LaneDone {
    /// The lane.
    pub lane: LaneId,
}

/// What an exit-point shard lets be sent about a lane in a class, since the link began.
#[derive(Clone, Copy, Debug)]
pub struct MatchesCredit {
    /// The lane.
    pub lane: LaneId,
    /// The class.
    pub class: Class,
    /// The total.
    pub total: Total,
}
