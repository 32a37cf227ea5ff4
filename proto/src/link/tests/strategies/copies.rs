//! Anything exit points tell each other of sessions, and what is said when reigns begin.

use gomera_cluster::credit::Total;
use gomera_cluster::identity::Term;
use gomera_cluster::layout::{Epoch, SessionSlice};
use gomera_cluster::message::ToExitPoint;
use gomera_cluster::message::connection_point::{Gap, GapRange, Satisfied};
use gomera_cluster::message::copies::{
    AttachTerm, AttachedHere, Change, Changes, ChangesTaken, CopiedEntry, CopiesCredit, CopiesPart, CopiesWanted,
    CopyHead, Ending, Handover, SessionCopy, SessionRecord, TermAttached,
};
use gomera_cluster::message::exit_point::{LaneBegins, Witness};
use gomera_cluster::message::snapshot::{Extent, TransferId};
use gomera_cluster::session::{Attempt, Sharing};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{
    connection, envelope, generation, lane, number, position, publisher, satisfied, sequence, session, session_options,
    tenant, vector,
};

fn slice() -> impl Strategy<Value = SessionSlice> {
    any::<u16>().prop_map(SessionSlice)
}

fn extent() -> impl Strategy<Value = Extent> {
    any::<bool>().prop_map(|last| if last { Extent::Last } else { Extent::More })
}

fn gap() -> impl Strategy<Value = Gap> {
    let range = (lane(), number(), number()).prop_map(|(lane, first, last)| GapRange { lane, first, last });
    (vec(range, 0..3), any::<u64>()).prop_map(|(ranges, dropped)| Gap { ranges, dropped })
}

fn ending() -> impl Strategy<Value = Ending> {
    (session(), slice(), tenant(), generation()).prop_map(|(session, slice, tenant, generation)| Ending {
        session,
        slice,
        tenant,
        generation,
    })
}

fn record() -> impl Strategy<Value = SessionRecord> {
    let numbers = (generation(), generation(), any::<u64>(), any::<u64>(), any::<u64>());
    (session(), slice(), tenant(), numbers, session_options(), (vector(), vector(), vector())).prop_map(
        |(session, slice, tenant, numbers, options, (acknowledged, merged, doubted))| {
            let (birth, generation, process, number, handle_blocks) = numbers;
            let attempt = Attempt { process, number };
            SessionRecord {
                session,
                slice,
                tenant,
                birth,
                generation,
                attempt,
                handle_blocks,
                options: gomera_cluster::session::SessionOptions { sharing: Sharing::Exclusive, ..options },
                acknowledged,
                merged,
                doubted,
            }
        },
    )
}

fn copies_part() -> impl Strategy<Value = CopiesPart> {
    let settled =
        (publisher(), sequence()).prop_map(|((publisher, instance), sequence)| (publisher, instance, sequence));
    let entry = (position(), envelope(), satisfied())
        .prop_map(|(position, envelope, satisfied): (_, _, Satisfied)| CopiedEntry { position, envelope, satisfied });
    let head =
        prop::option::of((record(), gap()).prop_map(|(record, given_up)| Box::new(CopyHead { record, given_up })));
    let copy = (session(), head, vec(entry, 0..4), extent()).prop_map(|(session, head, entries, extent)| SessionCopy {
        session,
        head,
        entries,
        extent,
    });
    (any::<u64>(), vec(settled, 0..3), vec(ending(), 0..3), vec(copy, 0..3), extent()).prop_map(
        |(transfer, settled, forgetting, sessions, extent)| CopiesPart {
            transfer: TransferId(transfer),
            settled,
            forgetting,
            sessions,
            extent,
        },
    )
}

fn changes() -> impl Strategy<Value = Changes> {
    let change = prop_oneof![
        record().prop_map(|record| Change::Attached(Box::new(record))),
        (session(), slice(), vector(), gap(), vector()).prop_map(
            |(session, slice, through, given_up, acknowledged)| Change::Dropped {
                session,
                slice,
                through,
                given_up,
                acknowledged
            }
        ),
        ending().prop_map(Change::Ended),
        ending().prop_map(Change::Forgotten),
    ];
    (any::<u64>(), vec(change, 0..4)).prop_map(|(through, changes)| Changes { through, changes })
}

fn term_attached() -> impl Strategy<Value = TermAttached> {
    let here = (session(), tenant(), connection(), generation(), vector(), (any::<u64>(), any::<u64>())).prop_map(
        |(session, tenant, connection, generation, told, (granted, received))| AttachedHere {
            session,
            tenant,
            connection,
            generation,
            told,
            granted: Total(granted),
            received: Total(received),
        },
    );
    (slice(), any::<u64>(), vec(here, 0..3)).prop_map(|(slice, term, sessions)| TermAttached {
        slice,
        term: Term(term),
        sessions,
    })
}

pub fn attach_term() -> impl Strategy<Value = AttachTerm> {
    vec((slice(), any::<u64>().prop_map(Term)), 0..4).prop_map(|slices| AttachTerm { slices })
}

pub fn between_exit_points() -> impl Strategy<Value = ToExitPoint> {
    let handover = || {
        (slice(), any::<u64>(), any::<bool>()).prop_map(|(slice, term, follows)| Handover {
            slice,
            term: Term(term),
            follows,
        })
    };
    prop_oneof![
        (lane(), number(), prop::option::of(any::<u64>().prop_map(Epoch)), any::<bool>()).prop_map(
            |(lane, after, governed, newcomer)| {
                let by = if newcomer { Witness::Newcomer } else { Witness::Before };
                ToExitPoint::LaneBegins(LaneBegins { lane, after, governed, by })
            }
        ),
        (any::<u64>(), vec(slice(), 0..4), vector(), any::<u64>()).prop_map(|(transfer, slices, after, credit)| {
            let (transfer, credit) = (TransferId(transfer), Total(credit));
            ToExitPoint::CopiesWanted(CopiesWanted { transfer, slices, after, credit })
        }),
        (any::<u64>(), any::<u64>()).prop_map(|(transfer, total)| {
            ToExitPoint::CopiesCredit(CopiesCredit { transfer: TransferId(transfer), total: Total(total) })
        }),
        copies_part().prop_map(ToExitPoint::CopiesPart),
        changes().prop_map(ToExitPoint::Changes),
        any::<u64>().prop_map(|through| ToExitPoint::ChangesTaken(ChangesTaken { through })),
        handover().prop_map(ToExitPoint::HandoverWanted),
        handover().prop_map(ToExitPoint::HandedOver),
        term_attached().prop_map(ToExitPoint::TermAttached),
    ]
}
