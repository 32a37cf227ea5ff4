//! What must hold of every write of a leader that took effect: layouts follow each other and have one content each, the journal
//! goes one way, an operation says what is so. Knows what is promised and what stood there before, not how leaders decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gomera_cluster::address::{Incarnation, Layer};
use gomera_cluster::identity::Term;
use gomera_cluster::layout::{Epoch, Layout};
use gomera_coordinator::operations::{
    Cancel, ENDED_MAX, Ended, Entry, Operation, OperationId, Outcome, Plan, RefusalKind, Request, Running, State,
};
use gomera_coordinator::{Action, NodeState};

use crate::service::Service;

/// Nodes of one layer that may be asked for at all.
const REPLICAS_MAX: u16 = 1024;

/// How things stood when an operation was taken up.
#[derive(Debug)]
struct TakenUp {
    number: u64,
    layout: Arc<Layout>,
    /// Nodes that were wanted of the layer that it scales.
    wanted: Option<(Layer, u16)>,
}

/// An operation that was cancelled, until a layout shows that it left no trace.
#[derive(Debug)]
struct CalledBack {
    id: OperationId,
    nodes: Vec<Incarnation>,
}

/// What was written so far.
#[derive(Debug, Default)]
pub struct Ledger {
    term: Term,
    contents: BTreeMap<Epoch, Arc<Layout>>,
    acknowledged: BTreeMap<Incarnation, Epoch>,
    taken_up: BTreeMap<OperationId, TakenUp>,
    number_last: u64,
    drained: BTreeMap<Incarnation, OperationId>,
    /// Nodes that a layout in force has named, and a later one not any more.
    gone: BTreeSet<Incarnation>,
    cancelled: Option<CalledBack>,
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Nodes of a layer that serve and are not to leave.
fn serving(layout: &Layout, layer: Layer) -> usize {
    let members = layout.members.iter().filter(|(_, member)| member.layer == layer);
    members.filter(|(node, _)| !layout.leaving.contains(node)).count()
}

impl Ledger {
    /// Nothing but the layout in force.
    #[must_use]
    pub fn new(layout: &Arc<Layout>, number_last: u64) -> Self {
        let contents = BTreeMap::from([(layout.epoch, layout.clone())]);
        Self { contents, number_last, ..Self::default() }
    }

    /// A reign began.
    ///
    /// # Errors
    /// If its term is not higher.
    pub fn elected(&mut self, term: Term) -> Result<(), String> {
        let before = std::mem::replace(&mut self.term, term);
        ensure(term > before, || format!("term {} begins after term {}", term.0, before.0))
    }

    /// A node said that it has a proposal.
    pub fn acknowledged(&mut self, node: Incarnation, epoch: Epoch) {
        let known = self.acknowledged.entry(node).or_default();
        *known = epoch.max(*known);
    }

    /// A write took effect.
    ///
    /// # Errors
    /// What should not be, in words.
    pub fn written(&mut self, before: &Before, term: Term, action: &Action, after: &Service) -> Result<(), String> {
        ensure(term == self.term, || {
            format!("a write of the leader of term {} took effect in term {}", term.0, self.term.0)
        })?;
        match action {
            Action::Propose(layout) => self.proposed(before, layout, after),
            Action::Commit(layout) => self.committed(before, layout),
            Action::Journal(entry) => self.journalled(before, entry, after),
            Action::Forget(id, _) => {
                let forgotten = before.operation(id);
                let has_ended = forgotten.is_some_and(Operation::has_ended);
                ensure(has_ended, || format!("operation {id} is forgotten before it has ended"))?;
                ensure(before.ended > ENDED_MAX, || format!("operation {id} is forgotten while there is room"))
            }
        }
    }

    fn proposed(&mut self, before: &Before, layout: &Arc<Layout>, after: &Service) -> Result<(), String> {
        let epoch = layout.epoch;
        let known = self.contents.insert(epoch, layout.clone());
        ensure(known.is_none_or(|known| known == *layout), || format!("layout {} has two contents", epoch.0))?;
        layout.check_follows(&before.layout).map_err(|error| error.to_string())?;
        for (node, id) in &self.drained {
            let is_gone = !layout.members.contains_key(node);
            ensure(is_gone, || format!("layout {} names {node}, which operation {id} has drained", epoch.0))?;
        }
        // Deaths come first, and say nothing of who is to leave.
        let gone = before.layout.members.keys().filter(|node| !layout.members.contains_key(node));
        let is_by_plan = gone.into_iter().all(|node| before.layout.leaving.contains(node));
        if is_by_plan && let Some(CalledBack { id, nodes }) = self.cancelled.take() {
            let by_itself = |node| after.members().get(node).is_some_and(|node| node.state == NodeState::Draining);
            let left = nodes.iter().find(|node| layout.leaving.contains(node) && !by_itself(node));
            let is_running = running(after).next().is_some();
            ensure(left.is_none() || is_running, || {
                format!("layout {} has {left:?} leave, because of operation {id}, which is cancelled", epoch.0)
            })?;
        }
        Ok(())
    }

    fn committed(&mut self, before: &Before, layout: &Arc<Layout>) -> Result<(), String> {
        let epoch = layout.epoch;
        let is_same = self.contents.get(&epoch).is_some_and(|proposed| proposed == layout);
        ensure(is_same, || format!("layout {} is not what was proposed", epoch.0))?;
        layout.check_follows(&before.layout).map_err(|error| error.to_string())?;
        let has_it = |node: &&Incarnation| self.acknowledged.get(node).is_some_and(|&last| last >= epoch);
        let without = layout.members.keys().find(|node| !has_it(node));
        ensure(without.is_none(), || format!("layout {} is committed, and {without:?} does not have it", epoch.0))?;
        let left = before.layout.members.keys().copied().filter(|node| !layout.members.contains_key(node));
        self.gone.extend(left);
        let back = layout.members.keys().find(|node| self.gone.contains(node));
        ensure(back.is_none(), || format!("layout {} names {back:?}, which an earlier one had let go", epoch.0))
    }

    fn journalled(&mut self, before: &Before, entry: &Entry, after: &Service) -> Result<(), String> {
        let Entry { id, operation, wish, .. } = entry;
        let was = before.operation(id).ok_or_else(|| format!("nobody asked for operation {id}"))?;
        ensure(!was.has_ended(), || format!("operation {id} has ended, and is written again"))?;
        let is_same = was.request == operation.request && was.requested_at == operation.requested_at;
        ensure(is_same, || format!("operation {id} was «{}» and is «{}»", was.request, operation.request))?;
        let under_way: Vec<_> = running(after).map(|(id, _)| id.to_string()).collect();
        ensure(under_way.len() <= 1, || format!("operations {} are under way together", under_way.join(" and ")))?;
        match (&was.state, &operation.state) {
            (State::Requested, State::Running(running)) => self.begun(before, entry, running, after),
            (State::Requested, State::Ended(ended)) => self.not_begun(before, entry, ended),
            (State::Running(was), State::Running(is)) => {
                ensure(wish.is_none(), || format!("operation {id} is under way and changes the wish"))?;
                ensure(was.plan == is.plan, || format!("operation {id} has another plan"))?;
                self.same_number(id, is.number)?;
                let is_too_late = operation.cancel != Cancel::TooLate || is.progress.activated;
                ensure(is_too_late, || format!("operation {id} has activated nothing, and cancelling comes too late"))?;
                let taken_up = &self.taken_up[id];
                let was_activated = activated(&taken_up.layout, &before.layout, &is.plan);
                let has_told = is.progress.activated || was_activated.is_none();
                ensure(has_told, || format!("operation {id} says that nothing is activated: {was_activated:?}"))
            }
            (State::Running(_), State::Ended(ended)) => self.ended(before, entry, ended, after),
            (State::Running(_) | State::Requested, State::Requested) => {
                Err(format!("operation {id} is requested anew"))
            }
            (State::Ended(_), _) => Err(format!("operation {id} does not stay as it ended")),
        }
    }

    fn next_number(&mut self, id: &OperationId, number: u64) -> Result<(), String> {
        let last = std::mem::replace(&mut self.number_last, number);
        ensure(number > last, || format!("operation {id} has number {number}, and {last} was given before"))
    }

    fn same_number(&self, id: &OperationId, number: u64) -> Result<(), String> {
        let given = self.taken_up.get(id).map(|taken_up| taken_up.number);
        ensure(given == Some(number), || format!("operation {id} has number {number}, and had {given:?}"))
    }

    fn begun(&mut self, before: &Before, entry: &Entry, running: &Running, after: &Service) -> Result<(), String> {
        let Entry { id, operation, wish, .. } = entry;
        self.next_number(id, running.number)?;
        let wanted = match &operation.request {
            Request::Scale { layer, replicas } => {
                let wants = after.desired().of(*layer);
                ensure(wants == *replicas, || {
                    format!("operation {id} ({}) is under way, and {wants} are wanted", operation.request)
                })?;
                ensure((1..=REPLICAS_MAX).contains(replicas), || {
                    format!("operation {id} ({}) is under way, which makes no sense", operation.request)
                })?;
                Some((*layer, before.wanted(*layer)))
            }
            Request::Drain { .. } | Request::Rebalance => {
                ensure(wish.is_none(), || format!("operation {id} ({}) changes the wish", operation.request))?;
                None
            }
        };
        for node in running.plan.leaving.iter().chain(&running.plan.members) {
            let is_member = before.layout.members.contains_key(&node.incarnation);
            ensure(is_member, || format!("operation {id} speaks of {}, which does not serve", node.name))?;
        }
        let taken_up = TakenUp { number: running.number, layout: before.layout.clone(), wanted };
        self.taken_up.insert(id.clone(), taken_up);
        Ok(())
    }

    fn not_begun(&mut self, before: &Before, entry: &Entry, ended: &Ended) -> Result<(), String> {
        let Entry { id, operation, wish, .. } = entry;
        self.next_number(id, ended.number)?;
        ensure(wish.is_none(), || format!("operation {id} was not begun and changes the wish"))?;
        match &ended.outcome {
            Outcome::Cancelled => {
                ensure(operation.cancel != Cancel::No, || format!("nobody asked to cancel operation {id}"))
            }
            Outcome::Refused(refusal) => {
                ensure(ended.plan == Plan::default(), || format!("operation {id} was refused and has a plan"))?;
                let is_senseless = |replicas: &u16| !(1..=REPLICAS_MAX).contains(replicas);
                let senseless = matches!(&operation.request, Request::Scale { replicas, .. } if is_senseless(replicas));
                ensure(senseless == (refusal.kind == RefusalKind::Invalid), || {
                    format!("operation {id} ({}) was refused with «{refusal}»", operation.request)
                })?;
                let speaks_of_another = refusal.reason.contains("is under way");
                let is_alone = before.running.is_none();
                ensure(!(speaks_of_another && is_alone), || {
                    format!("operation {id} was refused with «{refusal}», and nothing is under way")
                })
            }
            Outcome::Succeeded | Outcome::Failed { .. } => {
                Err(format!("operation {id} ended as {:?} without having been begun", ended.outcome))
            }
        }
    }

    fn ended(&mut self, before: &Before, entry: &Entry, ended: &Ended, after: &Service) -> Result<(), String> {
        let Entry { id, operation, wish, .. } = entry;
        self.same_number(id, ended.number)?;
        let taken_up = &self.taken_up[id];
        let layout = &before.layout;
        match &ended.outcome {
            Outcome::Succeeded => {
                ensure(wish.is_none(), || format!("operation {id} succeeded and changes the wish"))?;
                if let Request::Scale { layer, replicas } = &operation.request {
                    let serve = serving(layout, *layer);
                    ensure(serve == usize::from(*replicas), || {
                        format!("operation {id} ({}) succeeded, and {serve} serve", operation.request)
                    })?;
                }
                for node in &ended.plan.leaving {
                    let has_left = !layout.members.contains_key(&node.incarnation);
                    ensure(has_left, || format!("operation {id} succeeded, and {} has not left", node.name))?;
                    if matches!(operation.request, Request::Drain { .. }) {
                        self.drained.insert(node.incarnation, id.clone());
                    }
                }
                Ok(())
            }
            Outcome::Cancelled => {
                ensure(operation.cancel == Cancel::Asked, || format!("nobody asked to cancel operation {id}"))?;
                if let Some((layer, wanted)) = taken_up.wanted {
                    let wants = after.desired().of(layer);
                    ensure(wants == wanted, || {
                        format!(
                            "operation {id} is cancelled, {wanted} nodes of the {layer} layer were wanted, now {wants}"
                        )
                    })?;
                }
                if let Some(what) = activated(&taken_up.layout, layout, &ended.plan) {
                    return Err(format!("operation {id} is cancelled, and {what}"));
                }
                let nodes = ended.plan.leaving.iter().map(|node| node.incarnation).collect();
                self.cancelled = Some(CalledBack { id: id.clone(), nodes });
                Ok(())
            }
            Outcome::Failed { reason } => {
                let leaves = |node: &Incarnation| {
                    let is_sent_away = ended.plan.leaving.iter().any(|leaving| leaving.incarnation == *node);
                    is_sent_away || after.members().get(node).is_none_or(|node| node.state == NodeState::Draining)
                };
                let missing = ended.plan.changes.iter().any(|change| {
                    let members = layout.members.iter().filter(|(_, member)| member.layer == change.layer);
                    let stay = members.filter(|(node, _)| !layout.leaving.contains(node) && !leaves(node));
                    stay.count() < usize::from(change.to)
                });
                ensure(missing, || format!("operation {id} failed ({reason}), and all that were asked for serve"))?;
                // What was wanted before still is.
                let wants_what_serves = taken_up.wanted.is_none_or(|(layer, before)| {
                    usize::from(after.desired().of(layer)) <= serving(layout, layer).max(before.into())
                });
                ensure(wants_what_serves, || format!("operation {id} failed, and its nodes are still wanted"))
            }
            Outcome::Refused(refusal) => Err(format!("operation {id} was begun and is refused ({refusal})")),
        }
    }

    /// What must hold when all has settled.
    ///
    /// # Errors
    /// What should not be, in words.
    pub fn at_rest(after: &Service) -> Result<(), String> {
        let ended = after.operations().values().filter(|standing| standing.operation.has_ended()).count();
        ensure(ended <= ENDED_MAX, || format!("{ended} operations that have ended are kept, {ENDED_MAX} may be"))
    }
}

/// What cannot be taken back, of what an operation is to do: that of its nodes one has come in that holds no slices, or one that is
/// to leave has left or given a slice away.
fn activated(was: &Layout, is: &Layout, plan: &Plan) -> Option<String> {
    for change in &plan.changes {
        let holds_slices = matches!(change.layer, Layer::Matcher | Layer::ExitPoint);
        let members = is.members.iter().filter(|(_, member)| member.layer == change.layer && !holds_slices);
        if let Some((_, member)) = members.into_iter().find(|(node, _)| !was.members.contains_key(node)) {
            return Some(format!("{} has come in", member.name));
        }
    }
    let leaving: BTreeSet<_> = plan.leaving.iter().map(|node| node.incarnation).collect();
    for node in &plan.leaving {
        if !is.members.contains_key(&node.incarnation) {
            return Some(format!("{} has left", node.name));
        }
    }
    let placements = was.matcher.iter().zip(&is.matcher).chain(was.session.iter().zip(&is.session));
    for (before, after) in placements {
        let (Some(from), Some(to)) = (before.active(), after.active()) else { continue };
        if leaving.contains(&from.node) && from != to {
            return Some(format!("a slice has gone from {} to {}", from.node, to.node));
        }
    }
    None
}

fn running(service: &Service) -> impl Iterator<Item = (&OperationId, &Operation)> {
    let operations = service.operations().iter().map(|(id, standing)| (id, &standing.operation));
    operations.filter(|(_, operation)| matches!(operation.state, State::Running(_)))
}

/// How things stood before a write.
#[derive(Debug)]
pub struct Before {
    layout: Arc<Layout>,
    operation: Option<(OperationId, Operation)>,
    running: Option<OperationId>,
    wanted: [u16; Layer::ALL.len()],
    ended: usize,
}

impl Before {
    /// What matters of it for this write.
    #[must_use]
    pub fn of(service: &Service, action: &Action) -> Self {
        let id = match action {
            Action::Propose(_) | Action::Commit(_) => None,
            Action::Journal(entry) => Some(&entry.id),
            Action::Forget(id, _) => Some(id),
        };
        let operation = id.and_then(|id| Some((id.clone(), service.operations().get(id)?.operation.clone())));
        Self {
            layout: service.layout().clone(),
            operation,
            running: running(service).next().map(|(id, _)| id.clone()),
            wanted: Layer::ALL.map(|layer| service.desired().of(layer)),
            ended: service.operations().values().filter(|standing| standing.operation.has_ended()).count(),
        }
    }

    /// The operation that is written.
    #[must_use]
    pub fn written(&self) -> Option<&Operation> {
        self.operation.as_ref().map(|(_, operation)| operation)
    }

    fn operation(&self, id: &OperationId) -> Option<&Operation> {
        self.operation.as_ref().filter(|(of, _)| of == id).map(|(_, operation)| operation)
    }

    fn wanted(&self, layer: Layer) -> u16 {
        Layer::ALL.into_iter().zip(self.wanted).find(|&(of, _)| of == layer).map_or(0, |(_, wanted)| wanted)
    }
}
