//! What clients did and saw: all that the checkers know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gomera_cluster::identity::{Handle, SubscriptionKey, Tenant};
use gomera_cluster::layout::{Layout, MatcherSlice};
use gomera_cluster::message::connection_point::{Gap, Satisfied};
use gomera_cluster::operation::Description;
use gomera_cluster::position::{Position, Vector};
use gomera_cluster::time::Instant;
use gomera_connection_point::client::FailureKind;
use gomera_model::attributes::Attributes;

use crate::subscriptions::{ContextChange, Declared, NEVER, SubscriptionChange};
use crate::tally::{Tally, Transition};
use crate::timeline::{Before, Moment, Ticket, Timeline};
use crate::verdict::{Promise, Violation};

/// Names a publication; stands in its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicationIndex(pub usize);

impl PublicationIndex {
    /// Content that names it, `bytes` long at least.
    #[must_use]
    pub fn content(self, bytes: usize) -> Bytes {
        let mut content = u64::try_from(self.0).expect("few publications").to_le_bytes().to_vec();
        content.resize(bytes.max(content.len()), b'.');
        Bytes::from(content)
    }

    /// The publication that a content names.
    #[must_use]
    pub fn of(content: &[u8]) -> Option<Self> {
        let id = content.first_chunk::<8>()?;
        usize::try_from(u64::from_le_bytes(*id)).ok().map(Self)
    }

    /// As transcripts show it.
    #[must_use]
    pub fn name(self) -> String {
        format!("#{}", self.0)
    }
}

/// A publication that a client handed in.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Whose.
    pub tenant: Tenant,
    /// The publisher's name; also of publishers without an instance.
    pub publisher: Arc<str>,
    /// The stream of publications it belongs to: a publisher instance, or a connection of a publisher without one.
    pub line: usize,
    /// Its place in that stream.
    pub ordinal: u64,
    /// What filters see, system attributes included.
    pub attributes: Attributes,
    /// As the client gave them.
    pub plain: Attributes,
    /// Its content.
    pub content: Bytes,
    /// First handed in.
    pub sent: Instant,
    /// How often it was handed in.
    pub sends: u32,
    /// Acknowledged to the publisher.
    pub acknowledged: Option<Instant>,
    /// Refused.
    pub refused: Option<FailureKind>,
    /// Outboxes drop it so long after acceptance.
    pub expires_after: Option<Duration>,
    /// It uses the sequence of this earlier publication: must have no effect, unless that was refused itself.
    pub impostor_of: Option<PublicationIndex>,
    /// Where it stands, once an access point has said so; nowhere certain if it stands in several lanes.
    pub position: Option<Position>,
    /// Everywhere it stands: in more than one lane if one of them was fenced, or another one took over in between.
    pub positions: Vec<Position>,
}

/// A notification that a client received.
#[derive(Clone, Debug)]
pub struct Reception {
    /// What.
    pub publication: PublicationIndex,
    /// When.
    pub at: Instant,
    /// By which process of the session.
    pub process: u32,
    /// On which attachment.
    pub generation: u64,
    /// For which subscriptions.
    pub satisfied: Satisfied,
    /// Whether flagged.
    pub redelivered: bool,
}

/// A read of subscriptions: what was asked and what came.
#[derive(Clone, Debug)]
pub struct Read {
    /// Orders it among the changes.
    pub ticket: Ticket,
    /// The attachment.
    pub generation: u64,
    /// One subscription, or all above a handle, at most so many.
    pub of: ReadOf,
    /// When asked.
    pub requested: Instant,
    /// When answered.
    pub answered: Instant,
    /// What came.
    pub found: Vec<Description>,
}

/// What was read.
#[derive(Clone, Debug)]
pub enum ReadOf {
    /// One.
    One(Arc<str>),
    /// Some.
    Some {
        /// Above this handle.
        after: Option<Handle>,
        /// At most.
        limit: u16,
    },
}

/// What the `W` of a client passed over on one attachment.
#[derive(Clone, Debug)]
pub struct Passage {
    /// The attachment.
    pub generation: u64,
    /// Where the client stood at its beginning.
    pub from: Vector,
    /// How far it has come.
    pub to: Vector,
}

/// How a life of a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It goes on, as far as anybody knows.
    Going,
    /// It is over.
    Over,
}

/// One life of a session: from its creation until it expired or was ended.
#[derive(Clone, Debug)]
pub struct Life {
    /// When its first attach was asked for.
    pub began: Instant,
    /// Subscriptions by id.
    pub subscriptions: BTreeMap<Arc<str>, Timeline<SubscriptionChange>>,
    /// Its context.
    pub context: Timeline<ContextChange>,
    /// What handles were said to stand for.
    pub handles: BTreeMap<Handle, BTreeSet<Arc<str>>>,
    /// What was received, in order.
    pub receptions: Vec<Reception>,
    /// What was said to be given up, by generation.
    pub gaps: Vec<(u64, Gap)>,
    /// What was read.
    pub reads: Vec<Read>,
    /// How far clients came, attachment by attachment.
    pub passages: Vec<Passage>,
    /// The highest `W` any of its processes reached.
    pub reached: Vector,
    /// How it stands.
    pub standing: Standing,
    /// Until then it may have ended and begun anew without its client knowing; what it was owed may have gone with it.
    pub in_doubt_until: Instant,
}

impl Life {
    fn new(began: Instant) -> Self {
        Self {
            began,
            subscriptions: BTreeMap::new(),
            context: Timeline::new(Arc::default()),
            handles: BTreeMap::new(),
            receptions: Vec::new(),
            gaps: Vec::new(),
            reads: Vec::new(),
            passages: Vec::new(),
            reached: Vector::default(),
            standing: Standing::Going,
            in_doubt_until: Instant::ZERO,
        }
    }

    /// The changes of a subscription, from nothing.
    pub fn subscription(&mut self, id: &Arc<str>) -> &mut Timeline<SubscriptionChange> {
        self.subscriptions.entry(id.clone()).or_insert_with(|| Timeline::new(None::<Declared>))
    }
}

/// All lives of a session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whose.
    pub tenant: Tenant,
    /// Its name.
    pub name: Arc<str>,
    /// Its lives.
    pub lives: Vec<Life>,
}

/// Names a life of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LifeIndex {
    /// Which session.
    pub session: usize,
    /// Which life.
    pub life: usize,
}

/// Everything clients did and saw.
#[derive(Debug, Default)]
pub struct History {
    /// All publications.
    pub publications: Vec<Publication>,
    /// All sessions.
    pub sessions: Vec<Session>,
    /// Operations that were answered as in force.
    pub operations: u64,
    /// Notifications received.
    pub deliveries: u64,
    /// Whether more than one matcher applies each change of a subscription.
    pub replicated: bool,
    /// When a slice first got another matcher, be it one that follows or joins.
    pub slices_moved: Option<Instant>,
    /// When a matcher first stopped.
    pub matcher_stopped: Option<Instant>,
    /// Slices whose subscriptions were lost, and when a layout said so.
    pub losses: Vec<(BTreeSet<MatcherSlice>, Instant)>,
    lines: usize,
    tickets: u64,
}

impl History {
    /// What is known of when and where a publication was judged.
    #[must_use]
    pub fn moment(&self, publication: &Publication) -> Moment {
        let acknowledged = publication.acknowledged.unwrap_or(NEVER);
        Moment { sent: publication.sent, acknowledged, position: publication.position, before: self.decided() }
    }

    /// A publication stands in a lane.
    ///
    /// # Errors
    /// If it stands there elsewhere.
    pub fn stands(&mut self, tally: &mut Tally, content: &[u8], at: Position) -> Result<(), Violation> {
        let Some(index) = PublicationIndex::of(content) else {
            return Ok(());
        };
        let publication = self.publication(index);
        if publication.positions.contains(&at) {
            return Ok(());
        }
        match publication.positions.iter().find(|known| known.lane == at.lane).copied() {
            None => {
                publication.positions.push(at);
                publication.position = (publication.positions.len() == 1).then_some(at);
                tally.add(Transition::StoodTwice, u64::from(publication.positions.len() > 1));
                Ok(())
            }
            Some(known) => Err(Violation {
                promise: Promise::Delivery,
                what: format!(
                    "{} stands twice: in lane {} at {} and in lane {} at {}",
                    index.name(),
                    known.lane,
                    known.number.0,
                    at.lane,
                    at.number.0
                ),
                subjects: vec![index.name()],
            }),
        }
    }

    /// Whether one matcher decided about each subscription, all the time.
    #[must_use]
    pub fn decided(&self) -> Before {
        if self.replicated || self.slices_moved.is_some() { Before::Perhaps } else { Before::Surely }
    }

    /// What was lost may be gone since the first matcher stopped; contexts as well, at whoever begins with nothing.
    pub fn enter_losses(&mut self, layout: &Layout) {
        let Some(since) = self.matcher_stopped else { return };
        for (slices, until) in &self.losses {
            for Session { tenant, name, lives } in &mut self.sessions {
                for life in lives {
                    for (id, timeline) in &mut life.subscriptions {
                        let key = SubscriptionKey::of(tenant, name, id);
                        if slices.contains(&layout.slice_of_subscription(key)) {
                            timeline.lose(SubscriptionChange::PerhapsForgotten, since, *until);
                        }
                    }
                    life.context.lose(ContextChange::PerhapsForgotten, since, *until);
                }
            }
        }
    }

    /// Whether each slice had one matcher until a publication was acknowledged.
    #[must_use]
    pub fn is_judged_by_one(&self, publication: &Publication) -> bool {
        let acknowledged = publication.acknowledged.unwrap_or(NEVER);
        [self.slices_moved, self.matcher_stopped].into_iter().flatten().all(|at| acknowledged < at)
    }

    /// A new stream of publications.
    pub fn line(&mut self) -> usize {
        self.lines += 1;
        self.lines
    }

    /// A new ticket, greater than all before.
    pub fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Enters a publication.
    pub fn publish(&mut self, publication: Publication) -> PublicationIndex {
        let index = PublicationIndex(self.publications.len());
        self.publications.push(publication);
        index
    }

    /// The name the next publication will have.
    #[must_use]
    pub fn next_publication(&self) -> PublicationIndex {
        PublicationIndex(self.publications.len())
    }

    /// A publication.
    #[must_use]
    pub fn publication(&mut self, index: PublicationIndex) -> &mut Publication {
        &mut self.publications[index.0]
    }

    /// A new session, without a life.
    pub fn session(&mut self, tenant: Tenant, name: Arc<str>) -> usize {
        self.sessions.push(Session { tenant, name, lives: Vec::new() });
        self.sessions.len() - 1
    }

    /// A new life of a session; the one before is over.
    pub fn life_begins(&mut self, session: usize, began: Instant) -> LifeIndex {
        let lives = &mut self.sessions[session].lives;
        if let Some(last) = lives.last_mut() {
            last.standing = Standing::Over;
        }
        lives.push(Life::new(began));
        LifeIndex { session, life: lives.len() - 1 }
    }

    /// A life.
    #[must_use]
    pub fn life(&mut self, index: LifeIndex) -> &mut Life {
        &mut self.sessions[index.session].lives[index.life]
    }

    /// The life of a session that goes on.
    #[must_use]
    pub fn going(&self, session: usize) -> Option<LifeIndex> {
        let lives = &self.sessions[session].lives;
        let life = lives.len().checked_sub(1)?;
        (lives[life].standing == Standing::Going).then_some(LifeIndex { session, life })
    }
}
