//! Messages in a line each, for transcripts: names instead of hashes, only what tells one message from another.

mod client;

use gomera_cluster::credit::Class;
use gomera_cluster::message::Message;
use gomera_cluster::message::access_point::{Purpose, ToAccessPoint};
use gomera_cluster::message::connection_point::{
    Batch, Gap, Item, Notification, Notifications, Satisfied, ToConnectionPoint,
};
use gomera_cluster::message::copies::Change as SessionChange;
use gomera_cluster::message::exit_point::{Handles, Mark, Matches, ToExitPoint, Witness};
use gomera_cluster::message::matcher::{Entries, Entry, Replay, ToMatcher};
use gomera_cluster::message::snapshot::Extent;
use gomera_cluster::operation::{Change, Description, Excess, Operation, Outcome, Version};
use gomera_cluster::position::{Position, Vector};
use gomera_cluster::publication::Envelope;

use crate::history::PublicationIndex;
use crate::names::Names;

pub use client::{arrival, downward};

/// A message.
#[must_use]
pub fn message(names: &Names, message: &Message) -> String {
    match message {
        Message::ConnectionPoint(message) => to_connection_point(names, message),
        Message::AccessPoint(message) => to_access_point(names, message),
        Message::Matcher(message) => to_matcher(names, message),
        Message::ExitPoint(message) => to_exit_point(names, message),
        Message::Layout(layout) => format!("layout {}", layout.epoch.0),
        Message::LayoutWanted(epoch) => format!("layout-wanted {}", epoch.0),
    }
}

fn list<T>(items: impl IntoIterator<Item = T>, show: impl Fn(T) -> String) -> String {
    let shown = items.into_iter().map(show).collect::<Vec<_>>();
    format!("[{}]", shown.join(" "))
}

pub(crate) fn vector(vector: &Vector) -> String {
    list(vector.iter(), position)
}

pub(crate) fn position(position: Position) -> String {
    format!("{}:{}", position.lane, position.number.0)
}

pub(crate) fn content(envelope: &Envelope) -> String {
    match PublicationIndex::of(&envelope.content) {
        Some(index) => format!("{}({}/{})", index.name(), envelope.publisher, envelope.key.sequence.0),
        None => format!("({}/{})", envelope.publisher, envelope.key.sequence.0),
    }
}

const fn class(class: Class) -> &'static str {
    match class {
        Class::Live => "live",
        Class::Replay => "replay",
        Class::Operation => "operation",
        Class::Control => "control",
    }
}

fn version(version: Version) -> String {
    format!("v{}.{}", version.generation.0 & 0xff_ffff_ffff, version.counter)
}

fn operation(names: &Names, operation: &Operation) -> String {
    let session = names.of_session(operation.session);
    let subscription = |key| names.of_subscription(key);
    let change = match &operation.change {
        Change::Put(put, existing) => {
            let expires = put.options.expires_at.map_or_else(String::new, |_| " expiring".to_owned());
            let paused = if put.options.paused { " paused" } else { "" };
            format!("put({:?}) {} «{}»{paused}{expires}", existing, put.id, put.filter)
        }
        Change::Remove(key) => format!("remove {}", subscription(*key)),
        Change::SetPaused(key, paused) => format!("set-paused {} {paused}", subscription(*key)),
        Change::Get(key) => format!("get {}", subscription(*key)),
        Change::List { after, limit } => format!("list after {:?} limit {limit}", after.map(|handle| handle.0)),
        Change::SetContext(context) => format!("set-context {context:?}"),
        Change::Forget => "forget".to_owned(),
        Change::Restore(key, before) => {
            let filter = before.as_ref().map(|before| before.subscription.filter.to_string());
            format!("restore {} {}", subscription(*key), filter.unwrap_or_default())
        }
        Change::Expire(key) => format!("expire {}", subscription(*key)),
    };
    format!("{session} {} {change}", version(operation.version))
}

pub(crate) fn description(description: &Description) -> String {
    let paused = if description.options.paused { " paused" } else { "" };
    format!("{}={} «{}»{paused}", description.handle.0, description.id, description.filter)
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Applied { handle, in_force_after } => {
            format!("applied handle {:?} in force after {}", handle.map(|handle| handle.0), vector(in_force_after))
        }
        Outcome::NotFound => "not found".to_owned(),
        Outcome::LimitExceeded(Excess { limited, limit, used, asked }) => {
            format!("limit {limited:?} {limit} exceeded: {used} and {asked}")
        }
        Outcome::Superseded => "superseded".to_owned(),
        Outcome::Unanswered => "unanswered".to_owned(),
        Outcome::Found(found) => format!("found {}", list(found, description)),
    }
}

fn to_access_point(names: &Names, message: &ToAccessPoint) -> String {
    match message {
        ToAccessPoint::OpenPublisher(open) => {
            let verb = match open.purpose {
                Purpose::Publish => "open-publisher",
                Purpose::Settle => "find-publisher",
            };
            format!("{verb} {} lane {}", names.of_publisher(open.publisher), open.lane)
        }
        ToAccessPoint::Publish(publish) => format!(
            "publish lane {} {}{}",
            publish.lane,
            list(&publish.submissions, |submission| {
                let resent = if submission.resent { " resent" } else { "" };
                format!("{} g{}{resent}", content(&submission.envelope), submission.generation.0)
            }),
            if publish.acknowledged_through.is_empty() {
                String::new()
            } else {
                let seen = list(&publish.acknowledged_through, |(publisher, _, sequence)| {
                    format!("{}/{}", names.of_publisher(*publisher), sequence.0)
                });
                format!(" seen {seen}")
            }
        ),
        ToAccessPoint::Operate(operate) => {
            format!("operate lane {} {}", operate.lane, list(&operate.operations, |one| operation(names, one)))
        }
        ToAccessPoint::Progress(progress) => format!(
            "progress lane {} through {} {}",
            progress.lane,
            progress.through.0,
            list(&progress.outcomes, |(number, one)| format!("{}: {}", number.0, outcome(one)))
        ),
        ToAccessPoint::EntriesCredit(credit) => {
            format!("entries-credit lane {} {} {}", credit.lane, class(credit.class), credit.total.0)
        }
        ToAccessPoint::Merged(merged) => format!("merged lane {} through {}", merged.lane, merged.through.0),
        ToAccessPoint::LeaveLane(leave) => format!("leave-lane {}", leave.lane),
        ToAccessPoint::SettleSession(settle) => {
            format!("settle {} g{} lane {}", names.of_session(settle.session), settle.generation.0, settle.lane)
        }
        ToAccessPoint::Forget(forget) => format!(
            "forget lane {} {} g{}",
            forget.lane,
            names.of_session(forget.session),
            forget.generation.0 & 0xff_ffff_ffff
        ),
        ToAccessPoint::Expire(expire) => format!(
            "expire lane {} {} {}",
            expire.lane,
            names.of_subscription(expire.subscription),
            version(expire.version)
        ),
    }
}

fn entry(names: &Names, entry: &Entry) -> String {
    match entry {
        Entry::Publication(envelope) => content(envelope),
        Entry::Operation(one) => operation(names, one),
        Entry::Barrier(layout) => format!("barrier {}", layout.epoch.0),
        Entry::Close => "close".to_owned(),
    }
}

fn to_matcher(names: &Names, message: &ToMatcher) -> String {
    match message {
        ToMatcher::Entries(Entries { lane, class: of, from, to, entries, merged }) => format!(
            "entries lane {lane} {} ({}, {}] {} merged {}",
            class(*of),
            from.0,
            to.0,
            list(entries, |(number, one)| format!("{}: {}", number.0, entry(names, one))),
            merged.map_or_else(|| "unsaid".to_owned(), |merged| merged.0.to_string())
        ),
        ToMatcher::LaneDone(done) => format!("lane-done {}", done.lane),
        ToMatcher::LaneSettled(settled) => format!("lane-settled {} through {}", settled.lane, settled.through.0),
        ToMatcher::LaneTail(tail) => {
            format!("lane-tail {} {}", tail.lane, list(&tail.operations, |one| operation(names, one)))
        }
        ToMatcher::Replay(Replay { lane, slices, from, to, entries }) => format!(
            "replay lane {lane} slices {} ({}, {}] {}",
            list(slices.iter(), |slice| slice.0.to_string()),
            from.0,
            to.0,
            list(entries, |(number, one)| format!("{}: {}", number.0, entry(names, one)))
        ),
        ToMatcher::SnapshotWanted(wanted) => format!(
            "snapshot-wanted {} slices {} after {:?}",
            wanted.transfer.0,
            list(wanted.slices.iter(), |slice| slice.0.to_string()),
            wanted.after
        ),
        ToMatcher::SnapshotPart(part) => {
            let last = match part.extent {
                Extent::More => "",
                Extent::Last => ", the last",
            };
            let (sessions, rows) = (part.sessions.len(), part.subscriptions.len());
            format!("snapshot-part {}: {sessions} sessions, {rows} subscriptions{last}", part.transfer.0)
        }
        ToMatcher::SnapshotCredit(credit) => {
            format!("snapshot-credit {} {}", credit.transfer.0, credit.total.0)
        }
        ToMatcher::MatchesCredit(credit) => {
            format!("matches-credit lane {} {} {}", credit.lane, class(credit.class), credit.total.0)
        }
    }
}

fn handles(handles: &Handles) -> String {
    let shown = handles.iter().map(|(_, handle)| handle.0.to_string()).collect::<Vec<_>>();
    shown.join(",")
}

fn to_exit_point(names: &Names, message: &ToExitPoint) -> String {
    match message {
        ToExitPoint::Matches(Matches { lane, class: of, slices, from, to, matched, marks }) => format!(
            "matches lane {lane} {} slices {} ({}, {}] {}{}",
            class(*of),
            list(slices.iter(), |slice| slice.0.to_string()),
            from.0,
            to.0,
            list(matched, |one| {
                let targets = one
                    .targets
                    .iter()
                    .map(|target| format!("{}={}", names.of_session(target.session), handles(&target.handles)))
                    .collect::<Vec<_>>();
                format!("{}: {} for {}", one.number.0, content(&one.envelope), targets.join(" "))
            }),
            if marks.is_empty() {
                String::new()
            } else {
                let shown = list(marks, |(number, mark)| match mark {
                    Mark::Barrier(epoch) => format!("{}: barrier {}", number.0, epoch.0),
                    Mark::Close => format!("{}: close", number.0),
                });
                format!(" marks {shown}")
            }
        ),
        ToExitPoint::LaneCut(cut) => format!(
            "lane-cut {} to come {}",
            cut.lane,
            list(&cut.reach, |reach| {
                let slices = list(reach.slices.iter(), |slice| slice.0.to_string());
                format!("{slices} ({}, {}]", reach.from.0, reach.to.0)
            })
        ),
        ToExitPoint::Attach(attach) => format!(
            "attach {} connection {} term {} resume {} credit {}",
            attach.name,
            attach.connection.0,
            attach.term.0,
            attach.resume.as_ref().map_or_else(|| "none".to_owned(), vector),
            attach.credit.0
        ),
        ToExitPoint::Detach(detach) => {
            format!("detach {} g{}", names.of_session(detach.session), detach.generation.0 & 0xff_ffff_ffff)
        }
        ToExitPoint::Acknowledge(acknowledge) => format!(
            "acknowledge {} g{} {}",
            names.of_session(acknowledge.session),
            acknowledge.generation.0 & 0xff_ffff_ffff,
            vector(&acknowledge.through)
        ),
        ToExitPoint::SessionCredit(credit) => {
            format!("session-credit {} {}", names.of_session(credit.session), credit.total.0)
        }
        ToExitPoint::EndSession(end) => {
            format!("end-session {} g{}", names.of_session(end.session), end.generation.0 & 0xff_ffff_ffff)
        }
        ToExitPoint::Forgotten(forgotten) => {
            format!("forgotten {} g{}", names.of_session(forgotten.session), forgotten.generation.0 & 0xff_ffff_ffff)
        }
        ToExitPoint::LaneBegins(begins) => {
            let governed = begins.governed.map_or_else(|| "closed".to_owned(), |epoch| format!("in {}", epoch.0));
            let by = match begins.by {
                Witness::Before => "",
                Witness::Newcomer => " if it has not begun",
            };
            format!("lane-begins {} after {} {governed}{by}", begins.lane, begins.after.0)
        }
        ToExitPoint::CopiesWanted(wanted) => format!(
            "copies-wanted {} slices {} after {}",
            wanted.transfer.0,
            list(&wanted.slices, |slice| slice.0.to_string()),
            vector(&wanted.after)
        ),
        ToExitPoint::CopiesCredit(credit) => format!("copies-credit {} {}", credit.transfer.0, credit.total.0),
        ToExitPoint::CopiesPart(part) => {
            let last = match part.extent {
                Extent::More => "",
                Extent::Last => ", the last",
            };
            let sessions = list(&part.sessions, |copy| {
                let head = copy.head.as_ref().map(|head| format!(" merged {}", vector(&head.record.merged)));
                let entries = list(&copy.entries, |entry| position(entry.position));
                format!("{}{} {entries}", names.of_session(copy.session), head.unwrap_or_default())
            });
            format!("copies-part {}: {sessions}{last}", part.transfer.0)
        }
        ToExitPoint::Changes(changes) => {
            format!("changes {} {}", changes.through, list(&changes.changes, |one| session_change(names, one)))
        }
        ToExitPoint::ChangesTaken(taken) => format!("changes-taken {}", taken.through),
        ToExitPoint::HandoverWanted(asked) => format!("handover-wanted {} term {}", asked.slice.0, asked.term.0),
        ToExitPoint::HandedOver(handed) => {
            format!("handed-over {} term {} follows {}", handed.slice.0, handed.term.0, handed.follows)
        }
        ToExitPoint::TermAttached(attached) => format!(
            "term-attached {} term {} {}",
            attached.slice.0,
            attached.term.0,
            list(&attached.sessions, |here| {
                let generation = here.generation.0 & 0xff_ffff_ffff;
                format!("{} g{generation} told {}", names.of_session(here.session), vector(&here.told))
            })
        ),
    }
}

fn session_change(names: &Names, change: &SessionChange) -> String {
    let session = |session| names.of_session(session);
    match change {
        SessionChange::Attached(record) => {
            let generation = record.generation.0 & 0xff_ffff_ffff;
            let (acknowledged, merged) = (vector(&record.acknowledged), vector(&record.merged));
            format!("attached {} g{generation} acknowledged {acknowledged} merged {merged}", session(record.session))
        }
        SessionChange::Dropped { session: of, through, .. } => format!("dropped {} {}", session(*of), vector(through)),
        SessionChange::Ended(ending) => {
            format!("ended {} g{}", session(ending.session), ending.generation.0 & 0xff_ffff_ffff)
        }
        SessionChange::Forgotten(ending) => {
            format!("forgotten {} g{}", session(ending.session), ending.generation.0 & 0xff_ffff_ffff)
        }
    }
}

fn to_connection_point(names: &Names, message: &ToConnectionPoint) -> String {
    match message {
        ToConnectionPoint::PublisherOpened(opened) => format!(
            "publisher-opened {} connection {} g{} sequenced {} acknowledged {}",
            names.of_publisher(opened.publisher),
            opened.connection.0,
            opened.generation.0,
            opened.sequenced.0,
            opened.acknowledged.0
        ),
        ToConnectionPoint::PublisherSuperseded(over) => {
            format!("publisher-superseded {} g{}", names.of_publisher(over.publisher), over.generation.0)
        }
        ToConnectionPoint::SessionSettled(settled) => {
            format!("settled {} g{} lane {}", names.of_session(settled.session), settled.generation.0, settled.lane)
        }
        ToConnectionPoint::Acknowledged(acknowledged) => format!(
            "acknowledged lane {} {}",
            acknowledged.lane,
            list(&acknowledged.through, |through| {
                format!("{}/{} g{}", names.of_publisher(through.publisher), through.sequence.0, through.generation.0)
            })
        ),
        ToConnectionPoint::Refused(refused) => {
            format!("refused {}/{} {:?}", names.of_publisher(refused.publisher), refused.sequence.0, refused.reason)
        }
        ToConnectionPoint::Completed(completed) => format!(
            "completed {} {} at {}: {}",
            names.of_session(completed.session),
            version(completed.version),
            position(completed.position),
            outcome(&completed.outcome)
        ),
        ToConnectionPoint::LaneCredit(credit) => {
            format!("lane-credit lane {} {} {}", credit.lane, class(credit.class), credit.total.0)
        }
        ToConnectionPoint::Attached(attached) => format!(
            "attached {} connection {} g{} {:?} merged {} handles from {}",
            names.of_session(attached.session),
            attached.connection.0,
            attached.generation.0 & 0xff_ffff_ffff,
            attached.presence,
            vector(&attached.merged),
            attached.handle_first.0
        ),
        ToConnectionPoint::AttachRefused(refused) => {
            format!("attach-refused {} {:?}", names.of_session(refused.session), refused.reason)
        }
        ToConnectionPoint::Notifications(notifications) => {
            list(&notifications.batches, |batch| notification_batch(names, notifications, batch))
        }
        ToConnectionPoint::AttachTerm(begins) => {
            format!("attach-term {}", list(&begins.slices, |(slice, term)| format!("{} term {}", slice.0, term.0)))
        }
        ToConnectionPoint::Ended(ended) => format!(
            "ended {} g{} {:?}",
            names.of_session(ended.session),
            ended.generation.0 & 0xff_ffff_ffff,
            ended.reason
        ),
    }
}

fn notification_batch(names: &Names, notifications: &Notifications, batch: &Batch) -> String {
    let items = list(&batch.items, |item| match item {
        Item::Notification(one) => {
            let index = usize::try_from(one.publication).expect("32 bits");
            notification(&notifications.publications[index], one)
        }
        Item::Gap(one) => gap(one),
    });
    format!("notify {} connection {} {items}", names.of_session(batch.session), batch.connection.0)
}

fn notification(envelope: &Envelope, one: &Notification) -> String {
    format!(
        "{} at {} for {}{}{}",
        content(envelope),
        position(one.position),
        satisfied(&one.satisfied),
        if one.merged.is_empty() {
            String::new()
        } else {
            format!(" merged {}", list(one.merged.iter(), |at| position(*at)))
        },
        if one.redelivered { " redelivered" } else { "" }
    )
}

pub(crate) fn satisfied(satisfied: &Satisfied) -> String {
    match satisfied {
        Satisfied::One(handle) => handle.0.to_string(),
        Satisfied::Many(handles) => handles.iter().map(|handle| handle.0.to_string()).collect::<Vec<_>>().join(","),
        Satisfied::Count(count) => format!("{count} subscriptions"),
    }
}

pub(crate) fn gap(gap: &Gap) -> String {
    let ranges = list(&gap.ranges, |range| format!("{}:{}-{}", range.lane, range.first.0, range.last.0));
    format!("gap of {} in {ranges}", gap.dropped)
}
