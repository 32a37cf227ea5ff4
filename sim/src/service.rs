//! The coordination service in memory: what stands there, how a leader's write is fenced by its term and by the version that
//! was read, and how it is read, late in parts. What `host/src/coordination/` does with znodes, without bytes and paths.

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::address::{Address, Incarnation};
use gomera_cluster::identity::Term;
use gomera_cluster::layout::{Epoch, Layout};
use gomera_cluster::report::Report;
use gomera_coordinator::operations::{Cancel, Operation, OperationId, Refusal, Standing};
use gomera_coordinator::{Action, Desired, Observation, Registration};

/// A part of what stands there, read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Who is registered.
    Members,
    /// Nodes wanted.
    Desired,
    /// The layout in force.
    Layout,
    /// The layout proposed last.
    Proposed,
    /// What nodes acknowledge and report.
    Said,
    /// The journal.
    Operations,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Members, Self::Desired, Self::Layout, Self::Proposed, Self::Said, Self::Operations];

    /// Where a write of a leader stands.
    #[must_use]
    pub const fn of(action: &Action) -> &'static [Self] {
        match action {
            Action::Propose(_) => &[Self::Proposed],
            Action::Commit(_) => &[Self::Layout],
            Action::Journal(_) => &[Self::Operations, Self::Desired],
            Action::Forget(..) => &[Self::Operations],
        }
    }
}

/// What a node says of how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The last proposal that all its machines have.
    pub acknowledged: Epoch,
    /// What each of them reports.
    pub reports: Vec<(Address, Report)>,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was done.
    Done,
    /// It stood there already.
    Found,
    /// The reign of whoever wrote has ended.
    Fenced,
    /// A layout of this epoch or a later one stands there, or another one is proposed.
    Superseded,
    /// What was to be written has changed since it was read.
    Changed,
}

/// What stands in the coordination service.
#[derive(Debug)]
pub struct Service {
    term: Term,
    members: BTreeMap<Incarnation, Registration>,
    desired: Desired,
    layout: Arc<Layout>,
    proposed: Arc<Layout>,
    said: BTreeMap<Incarnation, Said>,
    operations: BTreeMap<OperationId, Standing>,
    revisions: [u64; Topic::ALL.len()],
}

impl Service {
    /// One in which a layout is in force and nobody has led yet.
    #[must_use]
    pub fn new(layout: Arc<Layout>, desired: Desired) -> Self {
        Self {
            term: Term(0),
            members: BTreeMap::new(),
            desired,
            proposed: layout.clone(),
            layout,
            said: BTreeMap::new(),
            operations: BTreeMap::new(),
            revisions: [1; Topic::ALL.len()],
        }
    }

    /// The reign that lasts.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.term
    }

    /// Who is registered.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<Incarnation, Registration> {
        &self.members
    }

    /// Nodes wanted.
    #[must_use]
    pub const fn desired(&self) -> &Desired {
        &self.desired
    }

    /// The layout in force.
    #[must_use]
    pub const fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The journal.
    #[must_use]
    pub const fn operations(&self) -> &BTreeMap<OperationId, Standing> {
        &self.operations
    }

    /// The last proposal that all machines of a node have, as far as it has said so.
    #[must_use]
    pub fn acknowledged(&self, node: Incarnation) -> Epoch {
        self.said.get(&node).map_or_else(Epoch::default, |said| said.acknowledged)
    }

    /// What all machines have reported.
    #[must_use]
    pub fn reports(&self) -> BTreeMap<Address, Report> {
        self.said.values().flat_map(|said| said.reports.iter().cloned()).collect()
    }

    /// Another reign begins.
    pub const fn begin_term(&mut self) -> Term {
        self.term = Term(self.term.0 + 1);
        self.term
    }

    /// A node registers, or registers as something else.
    pub fn register(&mut self, registration: Registration) {
        let node = registration.incarnation;
        if self.members.get(&node) != Some(&registration) {
            self.members.insert(node, registration);
            self.touch(Topic::Members);
        }
    }

    /// The session of a node ends: with it goes what it has registered and said.
    pub fn end_session(&mut self, node: Incarnation) {
        if self.members.remove(&node).is_some() {
            self.touch(Topic::Members);
        }
        if self.said.remove(&node).is_some() {
            self.touch(Topic::Said);
        }
    }

    /// A node says how far it is.
    pub fn say(&mut self, node: Incarnation, said: Said) {
        if self.said.get(&node) != Some(&said) {
            self.said.insert(node, said);
            self.touch(Topic::Said);
        }
    }

    /// A door puts a request into the journal, or somebody did so long ago. Whether there was none under this id.
    pub fn request(&mut self, id: &OperationId, operation: Operation) -> bool {
        if self.operations.contains_key(id) {
            return false;
        }
        self.operations.insert(id.clone(), Standing { operation, version: 0 });
        self.touch(Topic::Operations);
        true
    }

    /// A door asks for the end of an operation.
    ///
    /// # Errors
    /// Why it may not.
    pub fn cancel(&mut self, id: &OperationId) -> Result<(), Option<Refusal>> {
        let standing = self.operations.get_mut(id).ok_or(None)?;
        if let Some(refusal) = standing.operation.past_cancelling(id) {
            return Err(Some(refusal));
        }
        if standing.operation.cancel != Cancel::Asked {
            standing.operation.cancel = Cancel::Asked;
            standing.version += 1;
            self.touch(Topic::Operations);
        }
        Ok(())
    }

    /// A leader writes.
    pub fn write(&mut self, term: Term, action: &Action) -> Written {
        let written = self.outcome(term, action);
        if written == Written::Done {
            self.apply(action);
        }
        written
    }

    /// What would become of a write.
    fn outcome(&self, term: Term, action: &Action) -> Written {
        let is_older = |layout: &Layout, standing: &Layout| layout.epoch <= standing.epoch;
        let (is_found, is_superseded, has_changed) = match action {
            Action::Propose(layout) => {
                let is_older = is_older(layout, &self.layout) || is_older(layout, &self.proposed);
                (*layout == self.proposed, is_older, false)
            }
            Action::Commit(layout) => {
                let is_older = is_older(layout, &self.layout) || *layout != self.proposed;
                (*layout == self.layout, is_older, false)
            }
            Action::Journal(entry) => (false, false, self.version(&entry.id) != Some(entry.version)),
            Action::Forget(id, version) => (false, false, self.version(id) != Some(*version)),
        };
        match (is_found, is_superseded, term == self.term, has_changed) {
            (true, ..) => Written::Found,
            (false, true, ..) => Written::Superseded,
            (false, false, false, _) => Written::Fenced,
            (false, false, true, true) => Written::Changed,
            (false, false, true, false) => Written::Done,
        }
    }

    fn version(&self, id: &OperationId) -> Option<i32> {
        self.operations.get(id).map(|standing| standing.version)
    }

    fn apply(&mut self, action: &Action) {
        match action {
            Action::Propose(layout) => self.proposed = layout.clone(),
            Action::Commit(layout) => self.layout = layout.clone(),
            Action::Journal(entry) => {
                let standing = Standing { operation: entry.operation.clone(), version: entry.version + 1 };
                self.operations.insert(entry.id.clone(), standing);
                if let Some((layer, replicas)) = entry.wish {
                    self.desired.set(layer, replicas);
                }
            }
            Action::Forget(id, _) => {
                self.operations.remove(id);
            }
        }
        for &topic in Topic::of(action) {
            self.touch(topic);
        }
    }

    const fn touch(&mut self, topic: Topic) {
        self.revisions[topic as usize] += 1;
    }
}

/// A part that changed is read late so many times in a row at most.
const LATE_MAX: u8 = 3;

/// What somebody has read of it.
#[derive(Debug, Default)]
pub struct View {
    /// As it is known there.
    pub observation: Observation,
    read: [u64; Topic::ALL.len()],
    late: [u8; Topic::ALL.len()],
}

impl View {
    /// Whether anything has changed since.
    #[must_use]
    pub fn is_old(&self, service: &Service) -> bool {
        self.read != service.revisions
    }

    /// A part is read the next time in any case.
    pub const fn doubt(&mut self, topic: Topic) {
        self.late[topic as usize] = LATE_MAX;
    }

    /// All of it is.
    pub fn doubt_everything(&mut self) {
        self.late = [LATE_MAX; Topic::ALL.len()];
    }

    /// Reads what has changed, but for parts that are late.
    pub fn read(&mut self, service: &Service, mut is_late: impl FnMut() -> bool) {
        for topic in Topic::ALL {
            let at = topic as usize;
            let has_changed = self.read[at] != service.revisions[at];
            if has_changed && self.late[at] < LATE_MAX && is_late() {
                self.late[at] += 1;
                continue;
            }
            self.late[at] = 0;
            if has_changed {
                self.read[at] = service.revisions[at];
                self.read_part(topic, service);
            }
        }
    }

    fn read_part(&mut self, topic: Topic, service: &Service) {
        let seen = &mut self.observation;
        match topic {
            Topic::Members => seen.members.clone_from(&service.members),
            Topic::Desired => seen.desired = service.desired,
            Topic::Layout => seen.layout = Some(service.layout.clone()),
            Topic::Proposed => seen.proposed = Some(service.proposed.clone()),
            Topic::Said => {
                seen.acknowledged = service.said.iter().map(|(&node, said)| (node, said.acknowledged)).collect();
                seen.reports = service.said.values().flat_map(|said| said.reports.iter().cloned()).collect();
            }
            Topic::Operations => seen.operations.clone_from(&service.operations),
        }
    }
}
