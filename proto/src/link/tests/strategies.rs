//! Arbitrary messages of every kind.

mod copies;
mod options;
mod snapshots;

use std::sync::Arc;

use bytes::Bytes;
use gomera_cluster::address::{Incarnation, Layer};
use gomera_cluster::coverage::SliceSet;
use gomera_cluster::credit::{Class, Total};
use gomera_cluster::identity::{
    ConnectionId, Generation, Handle, Instance, PublisherKey, Sequence, SessionKey, SubscriptionKey, Tenant, Term,
};
use gomera_cluster::layout::{Epoch, Layout, MatcherSlice, Member, SessionSlice, Settings};
use gomera_cluster::message::access_point::{
    EntriesCredit, Expire, Forget, LeaveLane, Merged, OpenPublisher, Operate, Progress, Publish, Purpose,
    SettleSession, Submission,
};
use gomera_cluster::message::connection_point::{
    Acknowledged, AcknowledgedThrough, AttachRefusal, AttachRefused, Attached, Batch, Completed, EndReason, Ended, Gap,
    GapRange, Item, LaneCredit, Notification, Notifications, Presence, PublisherOpened, PublisherSuperseded, Refusal,
    Refused, Satisfied, SessionSettled,
};
use gomera_cluster::message::exit_point::{
    Acknowledge, Attach, Detach, EndSession, Forgotten, Handles, LaneCut, Mark, Matched, Matches, Reach, SessionCredit,
    Target,
};
use gomera_cluster::message::matcher::{Entries, Entry, LaneDone, LaneSettled, LaneTail, MatchesCredit, Replay};
use gomera_cluster::message::snapshot::{Sessions, SnapshotCredit, SnapshotWanted, SubscriptionState, TransferId};
use gomera_cluster::message::{Message, ToAccessPoint, ToConnectionPoint, ToExitPoint, ToMatcher};
use gomera_cluster::operation::{
    Change, Description, Excess, Existing, Limited, Operation, Outcome, Subscription, SubscriptionOptions, Version,
};
use gomera_cluster::position::{LaneId, Number, Position, Vector};
use gomera_cluster::publication::{AttributeBlock, Envelope, PublicationKey};
use gomera_cluster::session::Attempt;
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, FilterLimits};
use gomera_model::timestamp::Timestamp;
use gomera_model::value::Value;
use options::session_options;
use proptest::prelude::*;
use proptest::sample::select;
use snapshots::{snapshot_part, subscription_state};

pub fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        to_access_point().prop_map(Message::AccessPoint),
        to_connection_point().prop_map(Message::ConnectionPoint),
        to_matcher().prop_map(Message::Matcher),
        to_exit_point().prop_map(Message::ExitPoint),
        any::<u64>().prop_map(|epoch| Message::LayoutWanted(Epoch(epoch))),
    ]
}

/// A layout of two nodes.
fn layout(epoch: u64) -> Layout {
    let member = |layer| Member {
        layer,
        name: Arc::from("node"),
        link_address: Arc::from("localhost:1"),
        client_address: Arc::from(""),
        shards: 2,
    };
    let members = [(Incarnation(1), member(Layer::AccessPoint)), (Incarnation(2), member(Layer::Matcher))];
    Layout::initial(Settings::default(), members.into_iter().collect(), 1, Epoch(epoch), LaneId(1))
}

fn lane() -> impl Strategy<Value = LaneId> {
    any::<u32>().prop_map(LaneId)
}

fn number() -> impl Strategy<Value = Number> {
    any::<u64>().prop_map(Number)
}

fn session() -> impl Strategy<Value = SessionKey> {
    any::<u128>().prop_map(SessionKey)
}

fn generation() -> impl Strategy<Value = Generation> {
    any::<u64>().prop_map(Generation)
}

fn connection() -> impl Strategy<Value = ConnectionId> {
    any::<u64>().prop_map(ConnectionId)
}

fn sequence() -> impl Strategy<Value = Sequence> {
    any::<u64>().prop_map(Sequence)
}

fn publisher() -> impl Strategy<Value = (PublisherKey, Instance)> {
    (any::<u128>(), any::<u64>()).prop_map(|(key, instance)| (PublisherKey(key), Instance(instance)))
}

fn class() -> impl Strategy<Value = Class> {
    select(Class::ALL.to_vec())
}

fn tenant() -> impl Strategy<Value = Tenant> {
    select(vec!["default", "a", "b"]).prop_map(|name| Tenant(Arc::from(name)))
}

fn version() -> impl Strategy<Value = Version> {
    (generation(), any::<u64>()).prop_map(|(generation, counter)| Version { generation, counter })
}

fn position() -> impl Strategy<Value = Position> {
    (lane(), number()).prop_map(|(lane, number)| Position { lane, number })
}

fn vector() -> impl Strategy<Value = Vector> {
    prop::collection::vec(position(), 0..4).prop_map(|positions| positions.into_iter().collect())
}

fn credit() -> impl Strategy<Value = (LaneId, Class, Total)> {
    (lane(), class(), any::<u64>()).prop_map(|(lane, class, total)| (lane, class, Total(total)))
}

/// As in a cluster: the key is the hash of tenant and name.
fn envelope() -> impl Strategy<Value = Arc<Envelope>> {
    (
        (tenant(), select(vec!["p1", "p2", ""]), select(vec![1_u64, 2])),
        sequence(),
        any::<i64>(),
        prop::option::of(any::<i64>()),
        prop::collection::vec(any::<u8>(), 0..30),
    )
        .prop_map(|((tenant, name, instance), sequence, accepted_at, expires_at, content)| {
            let key =
                PublicationKey { publisher: PublisherKey::of(&tenant, name), instance: Instance(instance), sequence };
            Arc::new(Envelope {
                tenant,
                publisher: Arc::from(name),
                key,
                accepted_at: Timestamp(accepted_at),
                expires_at: expires_at.map(Timestamp),
                content: Bytes::from(content),
                attributes: AttributeBlock::Encoded,
            })
        })
}

fn filter() -> impl Strategy<Value = Filter> {
    select(vec!["a = 1", "type = 'road' AND speed < 20.5", "name LIKE 'a%' OR $x IS NULL", "TRUE"])
        .prop_map(|text| Filter::parse(text, &FilterLimits::default()).expect("a filter"))
}

fn options() -> impl Strategy<Value = SubscriptionOptions> {
    (any::<bool>(), prop::option::of(any::<i64>()))
        .prop_map(|(paused, expires_at)| SubscriptionOptions { paused, expires_at: expires_at.map(Timestamp) })
}

fn description() -> impl Strategy<Value = Description> {
    ("[a-z]{0,4}", any::<u64>(), filter(), options()).prop_map(|(id, handle, filter, options)| Description {
        id: id.into(),
        handle: Handle(handle),
        filter,
        options,
    })
}

fn context() -> impl Strategy<Value = Attributes> {
    prop::collection::vec(
        (
            "[a-z]{1,3}",
            prop_oneof![
                any::<i64>().prop_map(Value::Integer),
                any::<bool>().prop_map(Value::Bool),
                any::<f64>().prop_map(Value::Float),
                "[a-z]{0,3}".prop_map(Value::from),
                (0_i64..1 << 50).prop_map(|instant| Value::Timestamp(Timestamp(instant))),
            ],
        ),
        0..4,
    )
    .prop_map(|entries| entries.into_iter().collect())
}

fn change() -> impl Strategy<Value = Change> {
    let key = || any::<u128>().prop_map(SubscriptionKey);
    prop_oneof![
        (key(), description(), any::<bool>()).prop_map(|(key, description, required)| {
            let Description { id, handle, filter, options } = description;
            let existing = if required { Existing::Required } else { Existing::Any };
            Change::Put(Subscription { key, id, handle, filter, options }, existing)
        }),
        key().prop_map(Change::Remove),
        (key(), any::<bool>()).prop_map(|(key, paused)| Change::SetPaused(key, paused)),
        key().prop_map(Change::Get),
        (prop::option::of(any::<u64>()), any::<u16>())
            .prop_map(|(after, limit)| Change::List { after: after.map(Handle), limit }),
        context().prop_map(|context| Change::SetContext(Arc::new(context))),
        Just(Change::Forget),
        key().prop_map(Change::Expire),
        (key(), prop::option::of(subscription_state()))
            .prop_map(|(key, before)| Change::Restore(key, before.map(Box::new))),
    ]
}

fn operation() -> impl Strategy<Value = Arc<Operation>> {
    (tenant(), session(), version(), version(), change()).prop_map(|(tenant, session, version, low, change)| {
        Arc::new(Operation { tenant, session, version, low, change })
    })
}

fn excess() -> impl Strategy<Value = Excess> {
    let limited = prop_oneof![
        Just(Limited::Subscriptions),
        Just(Limited::Cost),
        Just(Limited::TenantBytes),
        Just(Limited::Bytes),
    ];
    (limited, any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(limited, limit, used, asked)| Excess {
        limited,
        limit,
        used,
        asked,
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (prop::option::of(any::<u64>()), vector())
            .prop_map(|(handle, in_force_after)| Outcome::Applied { handle: handle.map(Handle), in_force_after }),
        Just(Outcome::NotFound),
        excess().prop_map(Outcome::LimitExceeded),
        Just(Outcome::Superseded),
        prop::collection::vec(description(), 0..3).prop_map(Outcome::Found),
    ]
}

fn refused() -> impl Strategy<Value = Vec<(Number, Option<Box<SubscriptionState>>)>> {
    let before = prop::option::of(subscription_state().prop_map(Box::new));
    prop::collection::vec((number(), before), 0..2)
}

fn to_access_point() -> impl Strategy<Value = ToAccessPoint> {
    let submission = (envelope(), generation(), any::<bool>()).prop_map(|(envelope, generation, resent)| Submission {
        envelope,
        generation,
        resent,
    });
    prop_oneof![
        (lane(), publisher(), connection(), any::<bool>()).prop_map(|(lane, publisher, connection, settles)| {
            let purpose = if settles { Purpose::Settle } else { Purpose::Publish };
            let (publisher, instance) = publisher;
            ToAccessPoint::OpenPublisher(OpenPublisher { lane, publisher, instance, connection, purpose })
        }),
        (lane(), prop::collection::vec(submission, 0..5), prop::collection::vec((publisher(), sequence()), 0..3))
            .prop_map(|(lane, submissions, acknowledged)| {
                let acknowledged_through =
                    acknowledged.into_iter().map(|((key, instance), sequence)| (key, instance, sequence)).collect();
                ToAccessPoint::Publish(Publish { lane, submissions, acknowledged_through })
            }),
        (lane(), prop::collection::vec(operation(), 0..3))
            .prop_map(|(lane, operations)| ToAccessPoint::Operate(Operate { lane, operations })),
        (lane(), number(), prop::collection::vec((number(), outcome()), 0..3), refused()).prop_map(
            |(lane, through, outcomes, refused)| ToAccessPoint::Progress(Progress { lane, through, outcomes, refused })
        ),
        credit().prop_map(|(lane, class, total)| ToAccessPoint::EntriesCredit(EntriesCredit { lane, class, total })),
        (lane(), number()).prop_map(|(lane, through)| ToAccessPoint::Merged(Merged { lane, through })),
        lane().prop_map(|lane| ToAccessPoint::LeaveLane(LeaveLane { lane })),
        (lane(), session(), generation()).prop_map(|(lane, session, generation)| {
            ToAccessPoint::SettleSession(SettleSession { lane, session, generation })
        }),
        (lane(), tenant(), session(), generation()).prop_map(|(lane, tenant, session, generation)| {
            ToAccessPoint::Forget(Forget { lane, tenant, session, generation })
        }),
        (lane(), tenant(), session(), any::<u128>(), version()).prop_map(|(lane, tenant, session, key, version)| {
            ToAccessPoint::Expire(Expire { lane, tenant, session, subscription: SubscriptionKey(key), version })
        }),
    ]
}

fn slices() -> impl Strategy<Value = Arc<SliceSet>> {
    prop::collection::vec(0_u16..300, 0..5).prop_map(|all| Arc::new(all.into_iter().map(MatcherSlice).collect()))
}

fn to_matcher() -> impl Strategy<Value = ToMatcher> {
    let entry = prop_oneof![
        3 => envelope().prop_map(Entry::Publication),
        1 => operation().prop_map(Entry::Operation),
        1 => any::<u64>().prop_map(|epoch| Entry::Barrier(Arc::new(layout(epoch)))),
        1 => Just(Entry::Close),
    ];
    let entries = || prop::collection::vec((number(), entry.clone()), 0..5);
    prop_oneof![
        3 => (lane(), class(), number(), number(), entries(), prop::option::of(number())).prop_map(
            |(lane, class, from, to, entries, merged)| {
                ToMatcher::Entries(Entries { lane, class, from, to, entries, merged })
            }
        ),
        1 => lane().prop_map(|lane| ToMatcher::LaneDone(LaneDone { lane })),
        1 => (lane(), number()).prop_map(|(lane, through)| ToMatcher::LaneSettled(LaneSettled { lane, through })),
        1 => (lane(), prop::collection::vec(operation(), 0..3)).prop_map(
            |(lane, operations)| ToMatcher::LaneTail(LaneTail { lane, operations })
        ),
        1 => (lane(), slices(), number(), number(), entries()).prop_map(
            |(lane, slices, from, to, entries)| ToMatcher::Replay(Replay { lane, slices, from, to, entries })
        ),
        1 => (any::<u64>(), slices(), vector(), any::<bool>(), any::<u64>()).prop_map(
            |(transfer, slices, after, known, credit)| ToMatcher::SnapshotWanted(SnapshotWanted {
                transfer: TransferId(transfer),
                slices,
                after,
                sessions: if known { Sessions::Known } else { Sessions::Wanted },
                credit: Total(credit),
            })
        ),
        1 => (any::<u64>(), any::<u64>()).prop_map(|(transfer, total)| ToMatcher::SnapshotCredit(SnapshotCredit {
            transfer: TransferId(transfer),
            total: Total(total),
        })),
        1 => snapshot_part().prop_map(ToMatcher::SnapshotPart),
        1 => credit().prop_map(|(lane, class, total)| ToMatcher::MatchesCredit(MatchesCredit { lane, class, total })),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    let handles = prop_oneof![
        (generation(), any::<u64>()).prop_map(|(generation, handle)| Handles::One(generation, Handle(handle))),
        prop::collection::vec((generation(), any::<u64>().prop_map(Handle)), 2..4)
            .prop_map(|handles| Handles::Many(handles.into())),
    ];
    (session(), handles).prop_map(|(session, handles)| Target { session, handles })
}

fn to_exit_point() -> impl Strategy<Value = ToExitPoint> {
    let matched = (number(), envelope(), prop::collection::vec(target(), 0..3))
        .prop_map(|(number, envelope, targets)| Matched { number, envelope, targets });
    let mark = prop_oneof![any::<u64>().prop_map(|epoch| Mark::Barrier(Epoch(epoch))), Just(Mark::Close)];
    let slices = prop::collection::vec(0_u16..300, 0..5)
        .prop_map(|slices| Arc::new(slices.into_iter().map(MatcherSlice).collect::<SliceSet>()));
    let reach = (slices.clone(), number(), number()).prop_map(|(slices, from, to)| Reach { slices, from, to });
    let matches = (
        (lane(), class(), slices, number(), number()),
        prop::collection::vec(matched, 0..4),
        prop::collection::vec((number(), mark), 0..3),
    )
        .prop_map(|((lane, class, slices, from, to), matched, marks)| {
            ToExitPoint::Matches(Matches { lane, class, slices, from, to, matched, marks })
        });
    let attach = (
        (connection(), tenant(), "[a-z]{0,5}", session(), any::<u16>(), any::<u64>()),
        session_options(),
        prop::option::of(vector()),
        any::<u64>(),
        (any::<u64>(), any::<u64>()),
    )
        .prop_map(|((connection, tenant, name, session, slice, term), options, resume, credit, attempt)| {
            ToExitPoint::Attach(Attach {
                connection,
                tenant,
                name: name.into(),
                session,
                slice: SessionSlice(slice),
                term: Term(term),
                options,
                resume,
                credit: Total(credit),
                attempt: Attempt { process: attempt.0, number: attempt.1 },
            })
        });
    prop_oneof![
        3 => matches,
        1 => attach,
        1 => (lane(), prop::collection::vec(reach, 0..3)).prop_map(|(lane, reach)| {
            ToExitPoint::LaneCut(LaneCut { lane, reach })
        }),
        1 => (session(), generation()).prop_map(|(session, generation)| {
            ToExitPoint::Detach(Detach { session, generation })
        }),
        1 => (session(), generation(), vector()).prop_map(|(session, generation, through)| {
            ToExitPoint::Acknowledge(Acknowledge { session, generation, through })
        }),
        1 => (session(), generation(), any::<u64>()).prop_map(|(session, generation, total)| {
            ToExitPoint::SessionCredit(SessionCredit { session, generation, total: Total(total) })
        }),
        1 => (session(), generation()).prop_map(|(session, generation)| {
            ToExitPoint::EndSession(EndSession { session, generation })
        }),
        1 => (session(), generation()).prop_map(|(session, generation)| {
            ToExitPoint::Forgotten(Forgotten { session, generation })
        }),
        4 => copies::between_exit_points(),
    ]
}

fn satisfied() -> impl Strategy<Value = Satisfied> {
    prop_oneof![
        any::<u64>().prop_map(|handle| Satisfied::One(Handle(handle))),
        prop::collection::vec(any::<u64>().prop_map(Handle), 2..5).prop_map(|handles| Satisfied::Many(handles.into())),
        any::<u32>().prop_map(Satisfied::Count),
    ]
}

fn notifications() -> impl Strategy<Value = Notifications> {
    let notification =
        ((0_u32..3, position(), satisfied()), prop::collection::vec(position(), 0..3), any::<bool>(), any::<u64>())
            .prop_map(|((publication, position, satisfied), merged, redelivered, cost)| {
                Item::Notification(Notification { publication, position, satisfied, merged, redelivered, cost })
            });
    let range = (lane(), number(), number()).prop_map(|(lane, first, last)| GapRange { lane, first, last });
    let gap = (prop::collection::vec(range, 0..3), any::<u64>())
        .prop_map(|(ranges, dropped)| Item::Gap(Gap { ranges, dropped }));
    let batch = (
        (session(), any::<u16>(), any::<u64>(), connection(), generation()),
        prop::collection::vec(prop_oneof![3 => notification, 1 => gap], 0..4),
    )
        .prop_map(|((session, slice, term, connection, generation), items)| Batch {
            session,
            slice: SessionSlice(slice),
            term: Term(term),
            connection,
            generation,
            items,
        });
    (prop::collection::vec(envelope(), 3..4), prop::collection::vec(batch, 0..3))
        .prop_map(|(publications, batches)| Notifications { publications, batches })
}

fn to_connection_point() -> impl Strategy<Value = ToConnectionPoint> {
    let opened = ((lane(), publisher(), connection()), generation(), sequence(), sequence()).prop_map(
        |((lane, (publisher, instance), connection), generation, sequenced, acknowledged)| {
            ToConnectionPoint::PublisherOpened(PublisherOpened {
                lane,
                publisher,
                instance,
                connection,
                generation,
                sequenced,
                acknowledged,
            })
        },
    );
    let through = (publisher(), generation(), sequence()).prop_map(|((publisher, instance), generation, sequence)| {
        AcknowledgedThrough { publisher, instance, generation, sequence }
    });
    let refusal = prop_oneof![
        Just(Refusal::Reused),
        Just(Refusal::OutOfRange),
        any::<u64>().prop_map(Refusal::Publishers),
        Just(Refusal::Lane),
    ];
    let attached =
        ((connection(), session(), any::<u16>(), any::<u64>()), (generation(), any::<u64>()), any::<bool>(), vector())
            .prop_map(|((connection, session, slice, term), (generation, handle_first), resumed, merged)| {
                ToConnectionPoint::Attached(Attached {
                    connection,
                    session,
                    slice: SessionSlice(slice),
                    term: Term(term),
                    generation,
                    handle_first: Handle(handle_first),
                    presence: if resumed { Presence::Resumed } else { Presence::Created },
                    merged,
                })
            });
    let not_attached = prop_oneof![
        Just(AttachRefusal::NotActive),
        Just(AttachRefusal::Overtaken),
        any::<u64>().prop_map(AttachRefusal::Sessions),
    ];
    let end = select(vec![EndReason::Superseded, EndReason::Slow, EndReason::EndedByClient, EndReason::Lost]);
    prop_oneof![
        opened,
        (lane(), publisher(), generation()).prop_map(|(lane, (publisher, instance), generation)| {
            ToConnectionPoint::PublisherSuperseded(PublisherSuperseded { lane, publisher, instance, generation })
        }),
        (lane(), session(), generation()).prop_map(|(lane, session, generation)| {
            ToConnectionPoint::SessionSettled(SessionSettled { lane, session, generation })
        }),
        (lane(), prop::collection::vec(through, 0..4))
            .prop_map(|(lane, through)| ToConnectionPoint::Acknowledged(Acknowledged { lane, through })),
        (lane(), publisher(), generation(), sequence(), refusal).prop_map(
            |(lane, (publisher, instance), generation, sequence, reason)| {
                ToConnectionPoint::Refused(Refused { lane, publisher, instance, generation, sequence, reason })
            }
        ),
        (session(), version(), position(), outcome()).prop_map(|(session, version, position, outcome)| {
            ToConnectionPoint::Completed(Completed { session, version, position, outcome })
        }),
        credit().prop_map(|(lane, class, total)| ToConnectionPoint::LaneCredit(LaneCredit { lane, class, total })),
        attached,
        (connection(), session(), not_attached).prop_map(|(connection, session, reason)| {
            ToConnectionPoint::AttachRefused(AttachRefused { connection, session, reason })
        }),
        notifications().prop_map(ToConnectionPoint::Notifications),
        copies::attach_term().prop_map(ToConnectionPoint::AttachTerm),
        (connection(), session(), generation(), end).prop_map(|(connection, session, generation, reason)| {
            ToConnectionPoint::Ended(Ended { connection, session, generation, reason })
        }),
    ]
}
