//! Watches what passes between machines: that nobody sends without credit, that nothing is acknowledged before every exit point
//! has it, where each publication stands, and which transitions of the protocol run. It decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::credit::Class;
use gomera_cluster::identity::{ConnectionId, Generation, Instance, PublisherKey, Sequence, SessionKey};
use gomera_cluster::layout::Layout;
use gomera_cluster::message::access_point::ToAccessPoint;
use gomera_cluster::message::connection_point::{Item, ToConnectionPoint};
use gomera_cluster::message::exit_point::ToExitPoint;
use gomera_cluster::message::matcher::{Entry, ToMatcher};
use gomera_cluster::message::snapshot::TransferId;
use gomera_cluster::message::{Frame, Message};
use gomera_cluster::position::{LaneId, Number, Position};
use gomera_cluster::publication::{Envelope, PublicationKey};
use gomera_model::timestamp::Timestamp;

use crate::history::{History, PublicationIndex};
use crate::tally::{Tally, Transition};
use crate::verdict::{Promise, Violation};

/// A sender's credit as the watch knows it: what it has sent, and what it has been granted so far.
#[derive(Clone, Copy, Debug, Default)]
struct Mirror {
    sent: u64,
    granted: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LaneKey {
    sender: Address,
    receiver: Address,
    lane: LaneId,
    class: ClassKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ClassKey(Class);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SessionAttachment {
    exit_point: Address,
    session: SessionKey,
    generation: Generation,
}

/// Where publications stand whose acknowledgement is not on its way, and how far exit points say they have merged.
#[derive(Debug, Default)]
struct Merging {
    merged: BTreeMap<(LaneId, Address), Number>,
    unacknowledged: BTreeMap<(LaneId, PublisherKey, Instance), BTreeMap<Sequence, Number>>,
}

/// The watch.
#[derive(Debug)]
pub struct Watch {
    exit_points: Vec<Address>,
    /// Exit points of the layout in force.
    present: BTreeSet<Address>,
    merging: Merging,
    lanes: BTreeMap<LaneKey, Mirror>,
    sessions: BTreeMap<SessionAttachment, Mirror>,
    attaching: BTreeMap<(Address, Address, ConnectionId), u64>,
    /// By who sends and who asked.
    snapshots: BTreeMap<(Address, Address), (TransferId, Mirror)>,
}

impl Watch {
    /// Of a cluster with these exit points.
    #[must_use]
    pub fn new(exit_points: impl Iterator<Item = Address>) -> Self {
        let exit_points: Vec<_> = exit_points.collect();
        Self {
            present: exit_points.iter().copied().collect(),
            exit_points,
            merging: Merging::default(),
            lanes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            attaching: BTreeMap::new(),
            snapshots: BTreeMap::new(),
        }
    }

    /// A layout is in force: who is gone has to have nothing any more. Who came has to have what lies beyond where lanes begin for it.
    pub fn follow(&mut self, layout: &Layout) {
        self.present = layout.machines(Layer::ExitPoint).collect();
        self.exit_points.retain(|&exit_point| layout.names(exit_point));
        self.merging.merged.retain(|&(_, exit_point), _| layout.names(exit_point));
    }

    /// A publication stands in a lane.
    fn stands(
        &mut self,
        history: &mut History,
        tally: &mut Tally,
        envelope: &Envelope,
        at: Position,
    ) -> Result<(), Violation> {
        history.stands(tally, &envelope.content, at)?;
        self.merging.taken(at.lane, at.number, envelope.key);
        Ok(())
    }

    /// A machine sends a frame.
    pub fn sent(
        &mut self,
        frame: &Frame,
        wall: Timestamp,
        history: &mut History,
        tally: &mut Tally,
    ) -> Result<(), Violation> {
        match &frame.message {
            Message::AccessPoint(ToAccessPoint::Publish(publish)) => {
                let costs = publish.submissions.iter().map(|submission| submission.envelope.cost());
                self.spend(frame, publish.lane, Class::Live, costs)
            }
            Message::AccessPoint(ToAccessPoint::Operate(operate)) => {
                let costs = operate.operations.iter().map(|operation| operation.cost());
                self.spend(frame, operate.lane, Class::Operation, costs)
            }
            Message::Matcher(ToMatcher::Entries(entries)) => {
                for (number, entry) in &entries.entries {
                    match entry {
                        Entry::Publication(envelope) => {
                            let position = Position { lane: entries.lane, number: *number };
                            self.stands(history, tally, envelope, position)?;
                        }
                        Entry::Barrier(_) => tally.count(Transition::BarrierWritten),
                        Entry::Close => tally.count(Transition::CloseWritten),
                        Entry::Operation(_) => {}
                    }
                }
                // A frame starts only with credit left; it may overdraw by what it holds.
                self.spend(frame, entries.lane, entries.class, [entries.cost()].into_iter())
            }
            Message::Matcher(ToMatcher::Replay(replay)) => {
                tally.count(Transition::Replayed);
                for (number, entry) in &replay.entries {
                    // Nobody else may have been sent it.
                    if let Entry::Publication(envelope) = entry {
                        let position = Position { lane: replay.lane, number: *number };
                        self.stands(history, tally, envelope, position)?;
                    }
                }
                self.spend(frame, replay.lane, Class::Replay, [replay.cost()].into_iter())
            }
            Message::Matcher(ToMatcher::SnapshotWanted(wanted)) => {
                tally.count(Transition::SnapshotWanted);
                let key = (frame.to, frame.from);
                self.snapshots.insert(key, (wanted.transfer, Mirror { sent: 0, granted: 0 }));
                Ok(())
            }
            Message::Matcher(ToMatcher::SnapshotPart(part)) => {
                tally.count(Transition::SnapshotPart);
                let known = self.snapshots.get_mut(&(frame.from, frame.to));
                // What was asked for before and is superseded needs no more credit than it had.
                let Some((_, mirror)) = known.filter(|(transfer, _)| *transfer == part.transfer) else { return Ok(()) };
                spend(mirror, [part.cost()].into_iter())
                    .map_err(|what| without_credit(frame, format!("a snapshot {what}")))
            }
            Message::ExitPoint(ToExitPoint::Matches(matches)) => {
                tally.add(Transition::ReplayedMatches, u64::from(matches.class == Class::Replay));
                self.spend(frame, matches.lane, matches.class, [matches.cost()].into_iter())
            }
            Message::ExitPoint(ToExitPoint::Forgotten(_)) => {
                tally.count(Transition::Forgotten);
                Ok(())
            }
            Message::ExitPoint(ToExitPoint::LaneBegins(_)) => {
                tally.count(Transition::LaneBegun);
                Ok(())
            }
            Message::ExitPoint(ToExitPoint::CopiesWanted(wanted)) => {
                tally.count(Transition::CopiesWanted);
                let key = (frame.to, frame.from);
                self.snapshots.insert(key, (wanted.transfer, Mirror { sent: 0, granted: 0 }));
                Ok(())
            }
            Message::ExitPoint(ToExitPoint::CopiesPart(part)) => {
                tally.count(Transition::CopiesPart);
                let split = part.sessions.iter().any(|copy| copy.head.is_none());
                tally.add(Transition::CopySplit, u64::from(split));
                let known = self.snapshots.get_mut(&(frame.from, frame.to));
                let Some((_, mirror)) = known.filter(|(transfer, _)| *transfer == part.transfer) else { return Ok(()) };
                spend(mirror, [part.cost()].into_iter())
                    .map_err(|what| without_credit(frame, format!("copies of sessions {what}")))
            }
            Message::ConnectionPoint(message) => self.sent_to_connection_point(frame, wall, message),
            Message::AccessPoint(ToAccessPoint::Merged(merged)) => {
                if self.present.contains(&frame.from) {
                    self.merging.merged.insert((merged.lane, frame.from), merged.through);
                }
                Ok(())
            }
            Message::AccessPoint(
                ToAccessPoint::OpenPublisher(_)
                | ToAccessPoint::Progress(_)
                | ToAccessPoint::EntriesCredit(_)
                | ToAccessPoint::LeaveLane(_)
                | ToAccessPoint::SettleSession(_)
                | ToAccessPoint::Forget(_)
                | ToAccessPoint::Expire(_),
            )
            | Message::Matcher(
                ToMatcher::MatchesCredit(_)
                | ToMatcher::LaneDone(_)
                | ToMatcher::LaneSettled(_)
                | ToMatcher::LaneTail(_)
                | ToMatcher::SnapshotCredit(_),
            )
            | Message::ExitPoint(
                ToExitPoint::LaneCut(_)
                | ToExitPoint::Attach(_)
                | ToExitPoint::Detach(_)
                | ToExitPoint::Acknowledge(_)
                | ToExitPoint::SessionCredit(_)
                | ToExitPoint::EndSession(_)
                | ToExitPoint::CopiesCredit(_)
                | ToExitPoint::Changes(_)
                | ToExitPoint::ChangesTaken(_)
                | ToExitPoint::HandoverWanted(_)
                | ToExitPoint::HandedOver(_)
                | ToExitPoint::TermAttached(_),
            )
            | Message::Layout(_)
            | Message::LayoutWanted(_) => Ok(()),
        }
    }

    fn sent_to_connection_point(
        &mut self,
        frame: &Frame,
        wall: Timestamp,
        message: &ToConnectionPoint,
    ) -> Result<(), Violation> {
        match message {
            ToConnectionPoint::Attached(attached) => {
                let granted = self.attaching.remove(&(frame.from, frame.to, attached.connection)).unwrap_or(0);
                let key = SessionAttachment {
                    exit_point: frame.from,
                    session: attached.session,
                    generation: attached.generation,
                };
                self.sessions.insert(key, Mirror { sent: 0, granted });
                Ok(())
            }
            ToConnectionPoint::Notifications(notifications) => {
                let expired = |envelope: &&Arc<Envelope>| envelope.expires_at.is_some_and(|at| at <= wall);
                if let Some(envelope) = notifications.publications.iter().find(expired) {
                    let name = PublicationIndex::of(&envelope.content).map_or_else(String::new, PublicationIndex::name);
                    return Err(Violation {
                        promise: Promise::Delivery,
                        what: format!("{} sent {name} to {} after it had expired", frame.from, frame.to),
                        subjects: vec![name],
                    });
                }
                for batch in &notifications.batches {
                    let key = SessionAttachment {
                        exit_point: frame.from,
                        session: batch.session,
                        generation: batch.generation,
                    };
                    let Some(mirror) = self.sessions.get_mut(&key) else {
                        return Err(without_credit(frame, "notifications before the attachment".to_owned()));
                    };
                    let costs = batch.items.iter().filter_map(|item| match item {
                        Item::Notification(notification) => Some(notification.cost),
                        Item::Gap(_) => None,
                    });
                    spend(mirror, costs).map_err(|what| without_credit(frame, format!("notifications {what}")))?;
                }
                Ok(())
            }
            ToConnectionPoint::Acknowledged(acknowledged) => acknowledged.through.iter().try_for_each(|through| {
                let publisher = (acknowledged.lane, through.publisher, through.instance);
                self.merging.acknowledged(publisher, through.sequence, &self.exit_points)
            }),
            ToConnectionPoint::PublisherOpened(opened) => {
                let publisher = (opened.lane, opened.publisher, opened.instance);
                self.merging.acknowledged(publisher, opened.acknowledged, &self.exit_points)
            }
            ToConnectionPoint::PublisherSuperseded(_)
            | ToConnectionPoint::Refused(_)
            | ToConnectionPoint::Completed(_)
            | ToConnectionPoint::SessionSettled(_)
            | ToConnectionPoint::LaneCredit(_)
            | ToConnectionPoint::AttachRefused(_)
            | ToConnectionPoint::AttachTerm(_)
            | ToConnectionPoint::Ended(_) => Ok(()),
        }
    }

    /// How many positions an exit point says it has merged, over all lanes.
    #[must_use]
    pub fn merged_by(&self, exit_point: Address) -> u64 {
        let of_it = self.merging.merged.iter().filter(|((_, by), _)| *by == exit_point);
        of_it.map(|(_, through)| through.0).sum()
    }

    /// A machine works on a frame: what it grants counts from now on.
    pub fn handled(&mut self, frame: &Frame, tally: &mut Tally) {
        match &frame.message {
            Message::ConnectionPoint(ToConnectionPoint::LaneCredit(credit)) => {
                let used_up = self.grant(frame, credit.lane, credit.class, credit.total.0);
                tally.add(Transition::LaneCreditUsedUp, u64::from(used_up));
            }
            Message::AccessPoint(ToAccessPoint::EntriesCredit(credit)) => {
                let used_up = self.grant(frame, credit.lane, credit.class, credit.total.0);
                tally.add(Transition::EntriesCreditUsedUp, u64::from(used_up));
            }
            Message::Matcher(ToMatcher::MatchesCredit(credit)) => {
                let used_up = self.grant(frame, credit.lane, credit.class, credit.total.0);
                tally.add(Transition::MatchesCreditUsedUp, u64::from(used_up));
            }
            Message::Matcher(ToMatcher::SnapshotWanted(wanted)) => {
                self.grant_snapshot(frame, wanted.transfer, wanted.credit.0);
            }
            Message::Matcher(ToMatcher::SnapshotCredit(credit)) => {
                self.grant_snapshot(frame, credit.transfer, credit.total.0);
            }
            Message::ExitPoint(ToExitPoint::Attach(attach)) => {
                // Two exit points may be asked, one after the other, and the first one answer late.
                self.attaching.insert((frame.to, frame.from, attach.connection), attach.credit.0);
            }
            Message::ExitPoint(ToExitPoint::SessionCredit(credit)) => {
                let key =
                    SessionAttachment { exit_point: frame.to, session: credit.session, generation: credit.generation };
                if let Some(mirror) = self.sessions.get_mut(&key) {
                    tally.add(Transition::SessionCreditUsedUp, u64::from(mirror.sent >= mirror.granted));
                    mirror.granted = mirror.granted.max(credit.total.0);
                }
            }
            Message::ConnectionPoint(ToConnectionPoint::PublisherSuperseded(_)) => {
                tally.count(Transition::PublisherSuperseded);
            }
            Message::ExitPoint(ToExitPoint::Detach(_)) => tally.count(Transition::DetachedByLoss),
            Message::ExitPoint(ToExitPoint::CopiesWanted(wanted)) => {
                self.grant_snapshot(frame, wanted.transfer, wanted.credit.0);
            }
            Message::ExitPoint(ToExitPoint::CopiesCredit(credit)) => {
                self.grant_snapshot(frame, credit.transfer, credit.total.0);
            }
            Message::ExitPoint(ToExitPoint::TermAttached(attached)) => {
                for here in &attached.sessions {
                    let (session, generation) = (here.session, here.generation);
                    let key = SessionAttachment { exit_point: frame.to, session, generation };
                    let mirror = Mirror { sent: here.received.0, granted: here.granted.0 };
                    // It may have led before.
                    self.sessions.insert(key, mirror);
                }
            }
            Message::ConnectionPoint(
                ToConnectionPoint::PublisherOpened(_)
                | ToConnectionPoint::Acknowledged(_)
                | ToConnectionPoint::Refused(_)
                | ToConnectionPoint::Completed(_)
                | ToConnectionPoint::SessionSettled(_)
                | ToConnectionPoint::Attached(_)
                | ToConnectionPoint::AttachRefused(_)
                | ToConnectionPoint::Notifications(_)
                | ToConnectionPoint::AttachTerm(_)
                | ToConnectionPoint::Ended(_),
            )
            | Message::AccessPoint(
                ToAccessPoint::OpenPublisher(_)
                | ToAccessPoint::Publish(_)
                | ToAccessPoint::Operate(_)
                | ToAccessPoint::Progress(_)
                | ToAccessPoint::Merged(_)
                | ToAccessPoint::LeaveLane(_)
                | ToAccessPoint::SettleSession(_)
                | ToAccessPoint::Forget(_)
                | ToAccessPoint::Expire(_),
            )
            | Message::Matcher(
                ToMatcher::Entries(_)
                | ToMatcher::LaneDone(_)
                | ToMatcher::LaneSettled(_)
                | ToMatcher::LaneTail(_)
                | ToMatcher::Replay(_)
                | ToMatcher::SnapshotPart(_),
            )
            | Message::ExitPoint(
                ToExitPoint::Matches(_)
                | ToExitPoint::LaneCut(_)
                | ToExitPoint::Acknowledge(_)
                | ToExitPoint::EndSession(_)
                | ToExitPoint::Forgotten(_)
                | ToExitPoint::LaneBegins(_)
                | ToExitPoint::CopiesPart(_)
                | ToExitPoint::Changes(_)
                | ToExitPoint::ChangesTaken(_)
                | ToExitPoint::HandoverWanted(_)
                | ToExitPoint::HandedOver(_),
            )
            | Message::Layout(_)
            | Message::LayoutWanted(_) => {}
        }
    }

    /// The grant goes from the receiver of what it is for to its sender. Says whether the sender had used everything up.
    fn grant(&mut self, frame: &Frame, lane: LaneId, class: Class, total: u64) -> bool {
        let key = LaneKey { sender: frame.to, receiver: frame.from, lane, class: ClassKey(class) };
        let mirror = self.lanes.entry(key).or_default();
        let used_up = mirror.sent > 0 && mirror.sent >= mirror.granted;
        mirror.granted = mirror.granted.max(total);
        used_up
    }

    fn grant_snapshot(&mut self, frame: &Frame, transfer: TransferId, total: u64) {
        let known = self.snapshots.get_mut(&(frame.to, frame.from));
        if let Some((_, mirror)) = known.filter(|(known, _)| *known == transfer) {
            mirror.granted = mirror.granted.max(total);
        }
    }

    fn spend(
        &mut self,
        frame: &Frame,
        lane: LaneId,
        class: Class,
        costs: impl Iterator<Item = u64>,
    ) -> Result<(), Violation> {
        let key = LaneKey { sender: frame.from, receiver: frame.to, lane, class: ClassKey(class) };
        let mirror = self.lanes.entry(key).or_default();
        spend(mirror, costs).map_err(|what| without_credit(frame, format!("on lane {lane} {what}")))
    }
}

impl Merging {
    fn taken(&mut self, lane: LaneId, number: Number, key: PublicationKey) {
        let known = self.unacknowledged.entry((lane, key.publisher, key.instance)).or_default();
        known.insert(key.sequence, number);
    }

    /// Everything of a publisher up to a sequence is acknowledged: it is in the outboxes of all exit points.
    fn acknowledged(
        &mut self,
        publisher: (LaneId, PublisherKey, Instance),
        through: Sequence,
        exit_points: &[Address],
    ) -> Result<(), Violation> {
        let Some(known) = self.unacknowledged.get_mut(&publisher) else { return Ok(()) };
        while let Some(first) = known.first_entry().filter(|first| *first.key() <= through) {
            let number = first.remove();
            let has = |exit: &&Address| self.merged.get(&(publisher.0, **exit)).is_some_and(|&merged| merged >= number);
            let later = self.merged.keys().filter(|&&(lane, _)| lane == publisher.0).map(|(_, exit)| exit);
            if let Some(without) = exit_points.iter().chain(later).find(|exit| !has(exit)) {
                return Err(Violation {
                    promise: Promise::Delivery,
                    what: format!(
                        "number {} of lane {} is acknowledged, and {without} has not merged it",
                        number.0, publisher.0
                    ),
                    subjects: Vec::new(),
                });
            }
        }
        Ok(())
    }
}

fn spend(mirror: &mut Mirror, costs: impl Iterator<Item = u64>) -> Result<(), String> {
    for cost in costs {
        if mirror.sent >= mirror.granted {
            return Err(format!("with {} sent of {} granted", mirror.sent, mirror.granted));
        }
        mirror.sent += cost;
    }
    Ok(())
}

fn without_credit(frame: &Frame, what: String) -> Violation {
    Violation {
        promise: Promise::Bounds,
        what: format!("{} sent to {} without credit: {what}", frame.from, frame.to),
        subjects: Vec::new(),
    }
}
