//! How often each transition of the protocol ran. A swarm in which one of them never ran proves nothing about it, and fails.

/// A transition of the protocol, or a thing that clients and the world did to it. Described by [`Transition::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
#[expect(missing_docs, reason = "the names below say it, once")]
pub enum Transition {
    AttachCreated,
    AttachResumedWithW,
    AttachResumedWithoutW,
    AttachSuperseded,
    AttachRefusedLimit,
    AttachBeforeLayout,
    DetachedByLoss,
    EndedSlow,
    EndedByClient,
    SessionExpired,
    Forgotten,
    HandlesMany,
    HandlesCounted,
    Redelivered,
    RedeliveredTwice,
    GapTold,
    NotificationDropped,
    TargetOutlived,
    BlockBegan,
    BlockRanOut,
    PublicationExpired,
    HeldAtGate,
    LayoutAsked,
    LayoutChanged,
    BarrierWritten,
    LayoutProposed,
    ProposalSuperseded,
    LaneOpened,
    LaneDraining,
    CloseWritten,
    LaneClosed,
    LaneFenced,
    LaneCut,
    StoodTwice,
    PassedOver,
    PublisherChangedLane,
    PublisherFound,
    PublisherFenced,
    SessionChangedLane,
    SessionFenced,
    AccessAdded,
    AccessLeft,
    AccessCrashed,
    AccessCrashedRetaining,
    AccessPaused,
    AccessBuried,
    PublisherOpened,
    PublisherResumed,
    PublisherSuperseded,
    PublisherRestarted,
    ResentUnacknowledged,
    RepeatDropped,
    SequenceReused,
    PublishersRefused,
    PublisherIdle,
    OutOfRange,
    SubscribeApplied,
    UpdateApplied,
    UnsubscribeApplied,
    PauseApplied,
    ContextApplied,
    ReadOne,
    ReadSome,
    OperationNotFound,
    OperationLimit,
    OperationSuperseded,
    ReadUnanswered,
    OperationUnanswered,
    SubscriptionExpired,
    ConnectionPaused,
    ConnectionResumed,
    ClientStoppedReading,
    ClientCredit,
    ClientDropped,
    MachineStalled,
    LinkStalled,
    LaneCreditUsedUp,
    EntriesCreditUsedUp,
    MatchesCreditUsedUp,
    SessionCreditUsedUp,
    PointAdded,
    PointDropped,
    PointCrashed,
    PointCrashedAttached,
    PointCrashedUnacknowledged,
    PointCrashedUnanswered,
    PointPaused,
    PointBuried,
    PointForgotten,
    DroppedRefused,
    ZombieRefused,
    ConnectionLost,
    ResumedElsewhere,
    ResentElsewhere,
    LostWithoutInstance,
    SessionDeserted,
    SupersededByItself,
    PointToldToLeave,
    PointVacated,
    SessionMoved,
    PublisherMoved,
    MoveDeclined,
    MoveOvertaken,
    TurnedAway,
    MovedByForce,
    AttachOvertaken,
    MatcherAdded,
    MatcherLeft,
    MatcherCrashed,
    MatcherPaused,
    SliceLost,
    SubscriptionsLost,
    MatcherBuried,
    SliceActivated,
    SliceTakenOver,
    SliceInstalled,
    SnapshotWanted,
    SnapshotPart,
    SnapshotOverrun,
    Replayed,
    ReplayedMatches,
    ReplicasCompared,
    ExitAdded,
    ExitLeft,
    ExitCrashed,
    ExitPaused,
    ExitBuried,
    LaneBegun,
    ReignByPlan,
    ReignTakenOver,
    SessionsInstalled,
    SessionAdopted,
    CopiesWanted,
    CopiesPart,
    CopySplit,
    CopiesOverrun,
    CutAgreed,
    SessionsCompared,
}

/// Every transition with its name, in order.
const NAMES: &[(Transition, &str)] = &[
    (Transition::AttachCreated, "attach created the session"),
    (Transition::AttachResumedWithW, "attach resumed with W"),
    (Transition::AttachResumedWithoutW, "attach resumed without W"),
    (Transition::AttachSuperseded, "attach superseded an older attachment"),
    (Transition::AttachRefusedLimit, "attach refused at the limit of sessions"),
    (Transition::AttachBeforeLayout, "attach before the first layout"),
    (Transition::DetachedByLoss, "attachment lost with its connection"),
    (Transition::EndedSlow, "attachment ended because slow"),
    (Transition::EndedByClient, "session ended by its client"),
    (Transition::SessionExpired, "session expired"),
    (Transition::Forgotten, "matchers forgot a session"),
    (Transition::HandlesMany, "notification with several handles"),
    (Transition::HandlesCounted, "notification with a count only"),
    (Transition::Redelivered, "notification flagged as redelivered"),
    (Transition::RedeliveredTwice, "notification received again by a new process"),
    (Transition::GapTold, "gap told"),
    (Transition::NotificationDropped, "notification given up at a limit of an outbox"),
    (Transition::TargetOutlived, "match of an earlier life of a session dropped"),
    (Transition::BlockBegan, "merging waited for a blocking session"),
    (Transition::BlockRanOut, "a blocking session was given up"),
    (Transition::PublicationExpired, "publication expired in an outbox"),
    (Transition::HeldAtGate, "message held at a gate"),
    (Transition::LayoutAsked, "layout asked for after a frame of a later epoch"),
    (Transition::LayoutChanged, "a later layout came into force"),
    (Transition::BarrierWritten, "barrier written into a lane"),
    (Transition::LayoutProposed, "layout proposed"),
    (Transition::ProposalSuperseded, "proposal superseded by one that buries a member"),
    (Transition::LaneOpened, "lane opened"),
    (Transition::LaneDraining, "lane told to drain"),
    (Transition::CloseWritten, "close of a lane sent to a matcher"),
    (Transition::LaneClosed, "lane closed"),
    (Transition::LaneFenced, "lane fenced"),
    (Transition::LaneCut, "fenced lane ended at an exit point"),
    (Transition::StoodTwice, "publication taken in a second lane"),
    (Transition::PassedOver, "second copy of a publication passed over by an exit point"),
    (Transition::PublisherChangedLane, "publisher went on on another lane"),
    (Transition::PublisherFound, "publisher came back and was found on another lane than its own"),
    (Transition::PublisherFenced, "publisher whose lane was fenced went on on another"),
    (Transition::SessionChangedLane, "operations of a session went on on another lane"),
    (Transition::SessionFenced, "operations of a fenced lane asked again"),
    (Transition::AccessAdded, "access point added by a layout"),
    (Transition::AccessLeft, "access point left by plan"),
    (Transition::AccessCrashed, "access point crashed"),
    (Transition::AccessCrashedRetaining, "access point crashed with retained entries"),
    (Transition::AccessPaused, "access point paused and taken for dead"),
    (Transition::AccessBuried, "stopped access point dropped by a layout"),
    (Transition::PublisherOpened, "publisher opened a new instance"),
    (Transition::PublisherResumed, "publisher resumed an instance"),
    (Transition::PublisherSuperseded, "publisher attachment superseded"),
    (Transition::PublisherRestarted, "publisher restarted with a new instance"),
    (Transition::ResentUnacknowledged, "publication sent again flagged"),
    (Transition::RepeatDropped, "repeat of a publication dropped"),
    (Transition::SequenceReused, "sequence reused with other content refused"),
    (Transition::PublishersRefused, "publication refused at the limit of publishers"),
    (Transition::PublisherIdle, "idle publisher forgotten"),
    (Transition::OutOfRange, "re-send refused as too old"),
    (Transition::SubscribeApplied, "subscribe in force"),
    (Transition::UpdateApplied, "update in force"),
    (Transition::UnsubscribeApplied, "unsubscribe in force"),
    (Transition::PauseApplied, "pause or resume of a subscription in force"),
    (Transition::ContextApplied, "context change in force"),
    (Transition::ReadOne, "subscription read"),
    (Transition::ReadSome, "subscriptions listed"),
    (Transition::OperationNotFound, "operation found no subscription"),
    (Transition::OperationLimit, "operation refused at a limit"),
    (Transition::OperationSuperseded, "operation superseded by a newer attachment"),
    (Transition::ReadUnanswered, "read left without an answer by a matcher that stopped"),
    (Transition::OperationUnanswered, "operation unanswered when the connection broke"),
    (Transition::SubscriptionExpired, "subscription expired"),
    (Transition::ConnectionPaused, "reading from a client paused"),
    (Transition::ConnectionResumed, "reading from a client resumed"),
    (Transition::ClientStoppedReading, "client stopped reading"),
    (Transition::ClientCredit, "client granted notifications by number"),
    (Transition::ClientDropped, "client dropped its connection"),
    (Transition::MachineStalled, "machine stalled"),
    (Transition::LinkStalled, "link stalled"),
    (Transition::LaneCreditUsedUp, "a connection point used up its credit of a lane"),
    (Transition::EntriesCreditUsedUp, "an access point used up its credit of a matcher"),
    (Transition::MatchesCreditUsedUp, "a matcher used up its credit of an exit point"),
    (Transition::SessionCreditUsedUp, "an exit point used up its credit of a session"),
    (Transition::PointAdded, "connection point added by a layout"),
    (Transition::PointDropped, "connection point dropped by a layout while it served"),
    (Transition::PointCrashed, "connection point crashed"),
    (Transition::PointCrashedAttached, "connection point crashed with attached sessions"),
    (Transition::PointCrashedUnacknowledged, "connection point crashed with unacknowledged publications"),
    (Transition::PointCrashedUnanswered, "connection point crashed with unanswered operations"),
    (Transition::PointPaused, "connection point paused and taken for dead"),
    (Transition::PointBuried, "stopped connection point dropped by a layout"),
    (Transition::PointForgotten, "an exit point detached what a dropped connection point held"),
    (Transition::DroppedRefused, "frame of a dropped connection point refused"),
    (Transition::ZombieRefused, "frame of a woken zombie refused"),
    (Transition::ConnectionLost, "client lost its connection with its connection point"),
    (Transition::ResumedElsewhere, "session resumed after its connection point stopped"),
    (Transition::ResentElsewhere, "publications sent again after their connection point stopped"),
    (Transition::LostWithoutInstance, "unacknowledged publications without instance lost with their connection point"),
    (Transition::SessionDeserted, "session never resumed after its connection point stopped"),
    (Transition::SupersededByItself, "client superseded by what an earlier process of its own had sent, late"),
    (Transition::PointToldToLeave, "connection point told to leave"),
    (Transition::PointVacated, "connection point dropped after its clients had left"),
    (Transition::SessionMoved, "session moved before its old connection was closed"),
    (Transition::PublisherMoved, "publisher moved before its old connection was closed"),
    (Transition::MoveDeclined, "client asked to move that did not"),
    (Transition::MoveOvertaken, "client that lost its new connection while it moved"),
    (Transition::TurnedAway, "client turned away by a connection point that is to leave"),
    (Transition::MovedByForce, "client closed that had not moved in time"),
    (Transition::AttachOvertaken, "attach refused because a later one of the same client had overtaken it"),
    (Transition::MatcherAdded, "matcher added by a layout"),
    (Transition::MatcherLeft, "matcher left by plan"),
    (Transition::MatcherCrashed, "matcher crashed"),
    (Transition::MatcherPaused, "matcher paused and taken for dead"),
    (Transition::SliceLost, "slice lost with the last matcher that had it"),
    (Transition::SubscriptionsLost, "session told that subscriptions are lost"),
    (Transition::MatcherBuried, "stopped matcher dropped by a layout"),
    (Transition::SliceActivated, "slice given to another matcher by plan"),
    (Transition::SliceTakenOver, "slice of a dead matcher taken over"),
    (Transition::SliceInstalled, "joining slice installed"),
    (Transition::SnapshotWanted, "snapshot asked for"),
    (Transition::SnapshotPart, "part of a snapshot sent"),
    (Transition::SnapshotOverrun, "snapshot begun anew because too many operations came meanwhile"),
    (Transition::Replayed, "retained entries sent again for a dead matcher"),
    (Transition::ReplayedMatches, "matches of what was sent again"),
    (Transition::ReplicasCompared, "replicas of a slice compared"),
    (Transition::ExitAdded, "exit point added by a layout"),
    (Transition::ExitLeft, "exit point left by plan"),
    (Transition::ExitCrashed, "exit point crashed"),
    (Transition::ExitPaused, "exit point paused and taken for dead"),
    (Transition::ExitBuried, "stopped exit point dropped by a layout"),
    (Transition::LaneBegun, "lane begun at an exit point in the middle"),
    (Transition::ReignByPlan, "sessions of a slice given to another exit point by plan"),
    (Transition::ReignTakenOver, "sessions of a dead exit point taken over"),
    (Transition::SessionsInstalled, "joining sessions of a slice installed"),
    (Transition::SessionAdopted, "attachment that went on at another exit point"),
    (Transition::CopiesWanted, "copies of sessions asked for"),
    (Transition::CopiesPart, "part of copies of sessions sent"),
    (Transition::CopySplit, "copy of one session sent in several parts"),
    (Transition::CopiesOverrun, "copies begun anew because too much was merged meanwhile"),
    (Transition::CutAgreed, "slice agreed about after a lane was fenced, before its barrier"),
    (Transition::SessionsCompared, "replicas of sessions compared"),
];

impl Transition {
    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|&(transition, _)| transition)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES[self as usize].1
    }
}
/// How often each ran.
#[derive(Clone, Debug)]
pub struct Tally {
    counts: Vec<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { counts: vec![0; NAMES.len()] }
    }
}

impl Tally {
    /// Counts one.
    pub fn count(&mut self, transition: Transition) {
        self.add(transition, 1);
    }

    /// Counts several.
    pub fn add(&mut self, transition: Transition, count: u64) {
        self.counts[transition as usize] += count;
    }

    /// How often.
    #[must_use]
    pub fn get(&self, transition: Transition) -> u64 {
        self.counts[transition as usize]
    }

    /// Takes another tally in.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// How many things that are faults happened.
    #[must_use]
    pub fn faults(&self) -> u64 {
        const FAULTS: [Transition; 11] = [
            Transition::AccessCrashed,
            Transition::AccessPaused,
            Transition::MatcherCrashed,
            Transition::MatcherPaused,
            Transition::ClientDropped,
            Transition::MachineStalled,
            Transition::LinkStalled,
            Transition::ClientStoppedReading,
            Transition::PublisherRestarted,
            Transition::PointCrashed,
            Transition::PointPaused,
        ];
        FAULTS.iter().map(|&fault| self.get(fault)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_names_is_whole_and_in_order() {
        assert!(NAMES.iter().enumerate().all(|(index, &(transition, _))| transition as usize == index));
    }
}
