//! A publisher as the interface describes it: publishes in order, keeps what is unacknowledged, sends it again flagged when
//! its connection breaks, starts anew with a new instance. Some have no instance: what is unacknowledged when their connection
//! breaks is lost to them. Some misbehave: they use a sequence again with other content, or send the same thing twice.

mod replies;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::identity::{Instance, Sequence, Tenant};
use gomera_cluster::time::Instant;
use gomera_connection_point::client::{ClientRequest, PublishItem};
use gomera_model::attributes::Attributes;

use crate::agenda::Due;
use crate::doors::{ConnectionIndex, Owner};
use crate::history::{Publication, PublicationIndex};
use crate::random::{Random, millis};
use crate::stage::{Phase, Stage};
use crate::tally::Transition;
use crate::traffic;

/// What a seed decides about a publisher. Chances are of 1000 each time it acts.
#[derive(Clone, Debug)]
pub struct PublisherPlan {
    /// Whose.
    pub tenant: Tenant,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it has an instance.
    pub with_instance: bool,
    /// Time between acts.
    pub interval: (Duration, Duration),
    /// Publications in one request at most.
    pub batch_max: u64,
    /// Publications in all.
    pub total: u64,
    /// Unacknowledged publications at most.
    pub outstanding_max: usize,
    /// Bytes of content.
    pub content_bytes: (u64, u64),
    /// Publishes before it is told that it may.
    pub eager: bool,
    /// Drops its connection.
    pub drops: u64,
    /// How long it stays away then.
    pub away: (Duration, Duration),
    /// Starts anew.
    pub restarts: u64,
    /// Uses a sequence again.
    pub reuses: u64,
    /// Sends the same thing twice.
    pub repeats: u64,
    /// Skips sequences.
    pub skips: u64,
    /// Publications that expire, of 1000, and after how long.
    pub expiring: (u64, Duration),
}

#[derive(Clone, Debug)]
struct Outgoing {
    sequence: u64,
    publication: PublicationIndex,
}

#[derive(Clone, Copy, Debug)]
enum Link {
    Away,
    Waiting(ConnectionIndex),
    Open(ConnectionIndex),
}

/// A publisher.
#[derive(Debug)]
pub struct Publisher {
    plan: PublisherPlan,
    number: usize,
    random: Random,
    link: Link,
    instance: u64,
    line: usize,
    sequence: u64,
    published: u64,
    acknowledged: u64,
    unacknowledged: VecDeque<Outgoing>,
    /// What was sent on this connection last, for repeats and reuse.
    recent: VecDeque<Outgoing>,
    impostors: Vec<Outgoing>,
    /// When it acts next by itself; others may nudge it before.
    beat: Instant,
    away_until: Instant,
    /// Its connection point stopped, and it has not been back since.
    bereaved: bool,
    /// The connection it moves away from: it is closed when the new one stands.
    former: Option<ConnectionIndex>,
}

/// What stands before the first sequence of an instance: mostly 0, at times nearly the highest there is.
fn first_before(random: &mut Random) -> u64 {
    if random.chance(100) { u64::MAX - 1_000_000 } else { 0 }
}

impl Publisher {
    /// A publisher that has not begun.
    #[must_use]
    pub fn new(plan: PublisherPlan, number: usize, mut random: Random, stage: &mut Stage) -> Self {
        let instance = random.bits() | 1;
        let line = stage.history.line();
        Self {
            plan,
            number,
            random,
            link: Link::Away,
            instance,
            line,
            sequence: 0,
            published: 0,
            acknowledged: 0,
            unacknowledged: VecDeque::new(),
            recent: VecDeque::new(),
            impostors: Vec::new(),
            beat: Instant::ZERO,
            away_until: Instant::ZERO,
            bereaved: false,
            former: None,
        }
    }

    /// Its name in transcripts.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// What it still waits for; none when it is done.
    #[must_use]
    pub fn pending(&self) -> Option<String> {
        let first = self.unacknowledged.front()?;
        Some(format!(
            "publisher {} waits for {} acknowledgements from {} on",
            self.plan.name,
            self.unacknowledged.len(),
            first.publication.name()
        ))
    }

    /// Does something.
    pub fn act(&mut self, stage: &mut Stage) {
        match self.link {
            Link::Away => {
                let rested = !stage.is_rough() || stage.now >= self.away_until;
                if rested && (stage.is_rough() || !self.unacknowledged.is_empty()) {
                    self.open(stage);
                }
            }
            Link::Waiting(connection) => {
                if stage.is_rough() && self.plan.eager {
                    self.publish(stage, connection);
                }
            }
            Link::Open(connection) => {
                if stage.is_rough() {
                    self.act_open(stage, connection);
                }
            }
        }
        if stage.now >= self.beat && (stage.is_rough() || !self.unacknowledged.is_empty()) {
            let pause = self.random.duration(self.plan.interval.0, self.plan.interval.1).max(millis(1));
            self.beat = stage.now + pause;
            stage.after(pause, Due::Publisher(self.number));
        }
    }

    fn act_open(&mut self, stage: &mut Stage, connection: ConnectionIndex) {
        let dice = self.random.below(1000);
        let mut bound = self.plan.drops;
        if dice < bound {
            return self.drop_connection(stage, connection);
        }
        bound += self.plan.restarts;
        if dice < bound {
            stage.count(Transition::PublisherRestarted);
            self.drop_connection(stage, connection);
            return self.restart(stage);
        }
        bound += self.plan.reuses;
        if dice < bound {
            return self.reuse(stage, connection);
        }
        bound += self.plan.repeats;
        if dice < bound {
            return self.repeat(stage, connection);
        }
        self.publish(stage, connection);
    }

    /// Opens a connection.
    pub fn open(&mut self, stage: &mut Stage) {
        let connection = stage.connect(Owner::Publisher(self.number), self.plan.tenant.clone());
        self.open_on(stage, connection);
    }

    /// Opens on a connection that is there.
    pub fn open_on(&mut self, stage: &mut Stage, connection: ConnectionIndex) {
        self.link = Link::Waiting(connection);
        self.recent.clear();
        self.impostors.clear();
        if !self.plan.with_instance {
            self.line = stage.history.line();
            self.sequence = 0;
            self.acknowledged = 0;
        }
        let instance = self.plan.with_instance.then_some(Instance(self.instance));
        stage.send(connection, ClientRequest::OpenPublisher { publisher: self.plan.name.clone(), instance });
        if self.plan.eager {
            self.resend(stage, connection);
        }
    }

    /// Drops its connection, if it has one.
    pub fn disconnect(&mut self, stage: &mut Stage) {
        match self.link {
            Link::Away => {}
            Link::Waiting(connection) | Link::Open(connection) => self.drop_connection(stage, connection),
        }
    }

    fn drop_connection(&mut self, stage: &mut Stage, connection: ConnectionIndex) {
        stage.count(Transition::ClientDropped);
        stage.note(|| format!("{} drops connection {}", self.plan.name, connection.id().0));
        stage.leave(connection);
        self.away(stage);
    }

    fn away(&mut self, stage: &mut Stage) {
        self.link = Link::Away;
        if let Some(former) = self.former.take() {
            stage.count(Transition::MoveOvertaken);
            stage.leave(former);
        }
        if !self.plan.with_instance {
            self.unacknowledged.clear();
        }
        self.away_until = stage.now + self.random.duration(self.plan.away.0, self.plan.away.1);
    }

    /// Starts anew: what was unacknowledged is nobody's any more.
    pub fn restart(&mut self, stage: &mut Stage) {
        stage.note(|| format!("{} starts anew", self.plan.name));
        self.instance = self.random.bits() | 1;
        self.line = stage.history.line();
        self.sequence = first_before(&mut self.random);
        self.acknowledged = 0;
        self.unacknowledged.clear();
    }

    fn publish(&mut self, stage: &mut Stage, connection: ConnectionIndex) {
        let room = self.plan.outstanding_max.saturating_sub(self.unacknowledged.len());
        let left = self.plan.total.saturating_sub(self.published);
        let count = self.random.between(1, self.plan.batch_max).min(left).min(u64::try_from(room).unwrap_or(0));
        if count == 0 || stage.doors.unread_up(connection) > 8 {
            return;
        }
        let mut items = Vec::new();
        for _ in 0..count {
            let attributes = traffic::attributes(&mut self.random);
            let expires_after = self.random.chance(self.plan.expiring.0).then_some(self.plan.expiring.1);
            items.push(self.next_item(stage, attributes, expires_after));
        }
        self.send_items(stage, connection, items);
    }

    /// Publishes these attributes now, for scripts.
    pub fn publish_attributes(&mut self, stage: &mut Stage, attributes: Attributes, expires_after: Option<Duration>) {
        let (Link::Waiting(connection) | Link::Open(connection)) = self.link else {
            return;
        };
        let item = self.next_item(stage, attributes, expires_after);
        self.send_items(stage, connection, vec![item]);
    }

    fn next_item(&mut self, stage: &mut Stage, attributes: Attributes, expires_after: Option<Duration>) -> PublishItem {
        self.sequence += if self.plan.with_instance && self.random.chance(self.plan.skips) { 3 } else { 1 };
        self.published += 1;
        let publication = self.enter(stage, self.sequence, attributes, expires_after, None);
        let outgoing = Outgoing { sequence: self.sequence, publication };
        self.unacknowledged.push_back(outgoing.clone());
        self.item(stage, &outgoing, false)
    }

    fn enter(
        &mut self,
        stage: &mut Stage,
        sequence: u64,
        attributes: Attributes,
        expires_after: Option<Duration>,
        impostor_of: Option<PublicationIndex>,
    ) -> PublicationIndex {
        let bytes = self.random.between(self.plan.content_bytes.0, self.plan.content_bytes.1);
        let content = stage.history.next_publication().content(usize::try_from(bytes).expect("small"));
        stage.history.publish(Publication {
            tenant: self.plan.tenant.clone(),
            publisher: self.plan.name.clone(),
            line: self.line,
            ordinal: sequence,
            attributes: traffic::with_system(&attributes, &self.plan.name),
            plain: attributes,
            content,
            sent: stage.now,
            sends: 0,
            acknowledged: None,
            refused: None,
            expires_after,
            impostor_of,
            position: None,
            positions: Vec::new(),
        })
    }

    fn item(&mut self, stage: &mut Stage, outgoing: &Outgoing, resent: bool) -> PublishItem {
        let publication = stage.history.publication(outgoing.publication);
        publication.sends += 1;
        self.recent.push_back(outgoing.clone());
        if self.recent.len() > 8 {
            self.recent.pop_front();
        }
        PublishItem {
            sequence: Sequence(outgoing.sequence),
            content: publication.content.clone(),
            attributes: publication.plain.clone(),
            time: None,
            expires_after: publication.expires_after,
            resent,
        }
    }

    fn send_items(&mut self, stage: &mut Stage, connection: ConnectionIndex, items: Vec<PublishItem>) {
        stage.send(connection, ClientRequest::Publish { items, acknowledged_through: Sequence(self.acknowledged) });
    }

    fn resend(&mut self, stage: &mut Stage, connection: ConnectionIndex) {
        let outgoing = self.unacknowledged.iter().cloned().collect::<Vec<_>>();
        if outgoing.is_empty() {
            return;
        }
        if std::mem::take(&mut self.bereaved) {
            stage.count(Transition::ResentElsewhere);
        }
        stage.tally.add(Transition::ResentUnacknowledged, u64::try_from(outgoing.len()).unwrap_or(0));
        let items = outgoing.iter().map(|outgoing| self.item(stage, outgoing, true)).collect();
        self.send_items(stage, connection, items);
    }

    /// Sends one of the last publications of this connection again.
    pub fn repeat(&mut self, stage: &mut Stage, connection: ConnectionIndex) {
        if !self.plan.with_instance || self.recent.is_empty() {
            return;
        }
        let outgoing = self.recent[self.random.index(self.recent.len())].clone();
        let resent = self.random.chance(500);
        let item = self.item(stage, &outgoing, resent);
        self.send_items(stage, connection, vec![item]);
    }

    /// Uses a sequence of this connection again for something else.
    pub fn reuse(&mut self, stage: &mut Stage, connection: ConnectionIndex) {
        if !self.plan.with_instance || self.recent.is_empty() {
            return;
        }
        let original = self.recent[self.random.index(self.recent.len())].clone();
        let attributes = traffic::attributes(&mut self.random);
        let publication = self.enter(stage, original.sequence, attributes, None, Some(original.publication));
        let impostor = Outgoing { sequence: original.sequence, publication };
        self.impostors.push(impostor.clone());
        let item = self.item(stage, &impostor, false);
        self.recent.pop_back();
        self.send_items(stage, connection, vec![item]);
    }

    /// Sends its last publication again.
    pub fn repeat_last(&mut self, stage: &mut Stage) {
        if let Some(connection) = self.connection() {
            self.repeat(stage, connection);
        }
    }

    /// Uses its last sequence again.
    pub fn reuse_last(&mut self, stage: &mut Stage) {
        if let Some(connection) = self.connection() {
            self.reuse(stage, connection);
        }
    }

    /// The connection it has.
    #[must_use]
    pub fn connection(&self) -> Option<ConnectionIndex> {
        match self.link {
            Link::Away => None,
            Link::Waiting(connection) | Link::Open(connection) => Some(connection),
        }
    }

    /// A new phase of the run begins.
    pub fn enter_phase(&mut self, stage: &mut Stage) {
        match stage.phase {
            Phase::Rough | Phase::Settling | Phase::Revisiting => {}
            Phase::Leaving => self.disconnect(stage),
        }
    }
}
