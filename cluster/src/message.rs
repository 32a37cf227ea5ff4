//! The messages between machines, by who receives them. Every match over them is exhaustive: a new message breaks the build
//! in every room that has not thought about it.
//!
//! ```text
//!            OpenPublisher, Publish, Operate            Entries                  Matches
//!  connection ──────────────────────────▶ access ────────────────▶ matcher ────────────────▶ exit
//!    point    ◀────────────────────────── point  ◀──────────────── shard   ◀──────────────── point
//!      ▲  │    Opened, Acknowledged, Completed    Progress, credit          credit            │ ▲ │
//!      │  │                                 ▲                                               │ │ │
//!      │  │                                 └──────────────── Merged, Forget ───────────────┘ │ │
//!      │  └── Attach, Acknowledge, credit ───────────────────────────────────────────────────┘ │
//!      └───── Attached, Notifications, Ended ───────────────────────────────────────────────────┘
//! ```
//! Matcher shards send each other snapshots of slices, exit-point shards copies of sessions and what they decide about them.
//!
//! Links are first-in first-out and exactly-once between two incarnations (the host re-sends across a broken connection).

pub mod access_point;
pub mod connection_point;
pub mod copies;
pub mod exit_point;
pub mod matcher;
pub mod snapshot;

use std::sync::Arc;

pub use access_point::ToAccessPoint;
pub use connection_point::ToConnectionPoint;
pub use exit_point::ToExitPoint;
pub use matcher::ToMatcher;

use crate::address::Address;
use crate::layout::{Epoch, Layout};

/// Anything one machine tells another.
#[derive(Clone, Debug)]
pub enum Message {
    /// To a connection point.
    ConnectionPoint(ToConnectionPoint),
    /// To an access-point shard.
    AccessPoint(ToAccessPoint),
    /// To a matcher shard.
    Matcher(ToMatcher),
    /// To an exit-point shard.
    ExitPoint(ToExitPoint),
    /// To any node: a committed layout.
    Layout(Arc<Layout>),
    /// To any node: «you are in this epoch, I am not: send me your layout».
    LayoutWanted(Epoch),
}

impl Message {
    /// How many publications it brings.
    #[must_use]
    pub fn publications(&self) -> usize {
        match self {
            Self::ConnectionPoint(message) => match message {
                ToConnectionPoint::Notifications(notifications) => notifications.publications.len(),
                ToConnectionPoint::PublisherOpened(_)
                | ToConnectionPoint::PublisherSuperseded(_)
                | ToConnectionPoint::Acknowledged(_)
                | ToConnectionPoint::Refused(_)
                | ToConnectionPoint::Completed(_)
                | ToConnectionPoint::SessionSettled(_)
                | ToConnectionPoint::LaneCredit(_)
                | ToConnectionPoint::Attached(_)
                | ToConnectionPoint::AttachRefused(_)
                | ToConnectionPoint::AttachTerm(_)
                | ToConnectionPoint::Ended(_) => 0,
            },
            Self::AccessPoint(message) => match message {
                ToAccessPoint::Publish(publish) => publish.submissions.len(),
                ToAccessPoint::OpenPublisher(_)
                | ToAccessPoint::Operate(_)
                | ToAccessPoint::Progress(_)
                | ToAccessPoint::EntriesCredit(_)
                | ToAccessPoint::Merged(_)
                | ToAccessPoint::LeaveLane(_)
                | ToAccessPoint::SettleSession(_)
                | ToAccessPoint::Forget(_)
                | ToAccessPoint::Expire(_) => 0,
            },
            Self::Matcher(message) => match message {
                ToMatcher::Entries(entries) => entries.entries.len(),
                ToMatcher::Replay(replay) => replay.entries.len(),
                ToMatcher::MatchesCredit(_)
                | ToMatcher::LaneDone(_)
                | ToMatcher::LaneSettled(_)
                | ToMatcher::LaneTail(_)
                | ToMatcher::SnapshotWanted(_)
                | ToMatcher::SnapshotPart(_)
                | ToMatcher::SnapshotCredit(_) => 0,
            },
            Self::ExitPoint(message) => match message {
                ToExitPoint::Matches(matches) => matches.matched.len(),
                ToExitPoint::LaneCut(_)
                | ToExitPoint::Attach(_)
                | ToExitPoint::Detach(_)
                | ToExitPoint::Acknowledge(_)
                | ToExitPoint::SessionCredit(_)
                | ToExitPoint::EndSession(_)
                | ToExitPoint::Forgotten(_)
                | ToExitPoint::LaneBegins(_)
                | ToExitPoint::CopiesWanted(_)
                | ToExitPoint::CopiesCredit(_)
                | ToExitPoint::CopiesPart(_)
                | ToExitPoint::Changes(_)
                | ToExitPoint::ChangesTaken(_)
                | ToExitPoint::HandoverWanted(_)
                | ToExitPoint::HandedOver(_)
                | ToExitPoint::TermAttached(_) => 0,
            },
            Self::Layout(_) | Self::LayoutWanted(_) => 0,
        }
    }
}

/// A message with its envelope: what travels on a link.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The sending machine.
    pub from: Address,
    /// The receiving machine.
    pub to: Address,
    /// The epoch the sender was in when it sent.
    pub epoch: Epoch,
    /// What it says.
    pub message: Message,
}
