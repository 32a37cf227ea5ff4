//! Operators: people who ask for another shape of the cluster, by doors that read what stands there, sometimes late, and judge as a
//! leader would, and who change their minds.

use std::collections::BTreeSet;
use std::sync::Arc;

use gomera_cluster::address::{Incarnation, Layer};
use gomera_coordinator::Action;
use gomera_coordinator::operations::{
    Cancel, Ended, Entry, Operation, OperationId, Outcome, Plan, Progress, RefusalKind, Request, STANDING_MAX, State,
    judge,
};
use gomera_coordinator::scaling::{self, Goal, Knowledge, Next};

use super::World;
use crate::agenda::Due;
use crate::ledger::Ledger;
use crate::random::millis;
use crate::service::{Service, View};
use crate::tally::Transition;

/// What operators have asked for.
#[derive(Debug, Default)]
pub(super) struct Operators {
    asked: Vec<(OperationId, Request)>,
    /// What the door has read.
    view: View,
}

impl Operators {
    /// Those of a cluster in which so many operations have ended long ago.
    pub(super) fn with_archive(service: &mut Service, archived: u64) -> Self {
        for number in 1..=archived {
            let (plan, progress) = (Plan::default(), Progress::default());
            let state = State::Ended(Ended { number, plan, progress, outcome: Outcome::Succeeded });
            let operation = Operation { state, ..Operation::requested(Request::Rebalance, 0) };
            service.request(&id(&format!("old-{number}")), operation);
        }
        Self::default()
    }
}

fn id(text: &str) -> OperationId {
    text.parse().expect("letters, digits and hyphens")
}

/// A write of a leader.
pub(super) fn in_words(action: &Action) -> String {
    match action {
        Action::Propose(layout) => format!("layout {} as proposed", layout.epoch.0),
        Action::Commit(layout) => format!("layout {} as in force", layout.epoch.0),
        Action::Journal(entry) => {
            let state = match &entry.operation.state {
                State::Requested => "requested".to_owned(),
                State::Running(running) => format!("{:?}", running.progress),
                State::Ended(ended) => format!("{:?}", ended.outcome),
            };
            let wish = entry.wish.map(|(layer, nodes)| format!(", {nodes} wanted of {layer}")).unwrap_or_default();
            format!("operation {} ({}): {state}{wish}", entry.id, entry.operation.request)
        }
        Action::Forget(id, _) => format!("that operation {id} is forgotten"),
    }
}

impl World {
    /// An operator asks for something.
    pub(super) fn ask(&mut self) {
        if !self.stage.is_rough() {
            return;
        }
        let government = self.government();
        let number = government.operators.asked.len();
        let again = number > 0 && government.random.chance(150);
        let (id, request) = if again {
            let (id, request) = government.random.pick(&government.operators.asked).clone();
            let is_same = government.random.chance(700);
            (id, if is_same { request } else { Request::Rebalance })
        } else if government.random.chance(120) {
            let spare = self.spare();
            if !spare.is_empty() {
                let node = *self.government().random.pick(&spare);
                self.let_drain(node);
            }
            return;
        } else {
            let request = self.request();
            (id(&format!("operation-{number}")), request)
        };
        self.request_at_a_door(&id, &request);
        let government = self.government();
        if !again {
            government.operators.asked.push((id, request));
            if government.random.chance(government.plan.cancelled) {
                let most = *government.random.pick(&[millis(5), millis(100), millis(800)]);
                let after = government.random.duration(millis(0), most);
                self.stage.after(after, Due::Cancel(number));
            }
        }
    }

    /// What is asked for.
    fn request(&mut self) -> Request {
        let layout = self.latest().clone();
        let layer = *self.government().random.pick(&Layer::ALL);
        let serve = layout.members.values().filter(|member| member.layer == layer).count();
        let idle = self.idle().into_iter().filter(|&node| self.layer_of(node) == layer).count();
        let (serve, idle) = (u16::try_from(serve).expect("few"), u16::try_from(idle).expect("few"));
        let spare = self.spare();
        let names: Vec<_> = self.members.keys().copied().collect();
        let random = &mut self.government().random;
        match random.below(20) {
            0..=5 => Request::Scale { layer, replicas: serve + idle.max(1) },
            6..=10 => Request::Scale { layer, replicas: serve.saturating_sub(1).max(1) },
            11 => Request::Scale { layer, replicas: *random.pick(&[0, serve, serve + idle + 1, 2000]) },
            12..=15 if !spare.is_empty() => {
                let node = *random.pick(&spare);
                let name = self.members[&node].name.clone();
                Request::Drain { node: name }
            }
            16 => {
                let node = *random.pick(&names);
                let name = self.members[&node].name.clone();
                Request::Drain { node: name }
            }
            17 => Request::Drain { node: Arc::from("nobody") },
            _ => Request::Rebalance,
        }
    }

    /// A door writes a request into the journal, if it can be done as far as it has read.
    fn request_at_a_door(&mut self, id: &OperationId, request: &Request) {
        let now = u64::try_from(self.stage.now.since_start().as_millis()).expect("runs are short");
        let government = self.government();
        // It judged by what stood there a while ago: others have written since.
        let is_hasty = government.random.chance(400);
        let Operators { view, .. } = &mut government.operators;
        if !is_hasty {
            view.read(&government.service, || false);
        }
        let standing = government.service.operations().get(id).map(|standing| standing.operation.request.clone());
        let at = now.saturating_sub(government.random.below(30));
        if let Some(standing) = standing {
            let transition = if standing == *request { Transition::ScaleRepeated } else { Transition::ScaleTurnedDown };
            self.stage.note(|| format!("--- asked once more: operation {id} ({request})"));
            return self.stage.count(transition);
        }
        let judged = judge(&view.observation, Some(id), request);
        let is_full = government.service.operations().len() >= STANDING_MAX;
        match judged {
            Err(refusal) if !is_hasty => {
                self.stage.note(|| format!("--- a door refuses operation {id} ({request}): {refusal}"));
                self.stage.count(Transition::ScaleTurnedDown);
            }
            Ok(_) | Err(_) if !is_full => {
                government.service.request(id, Operation::requested(request.clone(), at));
                self.stage.note(|| format!("--- operation {id} is asked for: {request}"));
                self.stage.count(Transition::ScaleRequested);
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Somebody wants an operation cancelled.
    pub(super) fn cancel_operation(&mut self, number: usize) {
        let government = self.government();
        let (id, request) = government.operators.asked[number].clone();
        let cancelled = government.service.cancel(&id);
        self.stage.note(|| format!("--- operation {id} ({request}) is to be cancelled: {cancelled:?}"));
    }

    /// What a leader wrote about an operation took effect.
    pub(super) fn operation_written(&mut self, was: Option<&Operation>, entry: &Entry) {
        let operation = &entry.operation;
        let is_new = was.is_some_and(|was| was.state == State::Requested);
        let was_asked = was.is_some_and(|was| was.cancel == Cancel::Asked);
        let transition = match &operation.state {
            State::Requested => return,
            State::Running(running) if is_new => {
                self.strike_newcomer(&running.plan);
                Transition::ScaleTakenUp
            }
            State::Running(_) if was_asked && operation.cancel == Cancel::TooLate => Transition::ScaleCancelledLate,
            State::Running(_) => return,
            State::Ended(ended) => match &ended.outcome {
                Outcome::Succeeded => {
                    if matches!(operation.request, Request::Drain { .. }) {
                        self.stage.count(Transition::NodeDrained);
                    }
                    Transition::ScaleSucceeded
                }
                Outcome::Cancelled if ended.plan == Plan::default() => Transition::ScaleCancelledUnbegun,
                Outcome::Cancelled => Transition::ScaleCancelled,
                Outcome::Refused(refusal) => {
                    if refusal.kind == RefusalKind::Precondition && refusal.reason.contains("is under way") {
                        self.stage.count(Transition::ScaleRefusedAlone);
                    }
                    Transition::ScaleRefused
                }
                Outcome::Failed { .. } => Transition::ScaleFailed,
            },
        };
        self.stage.count(transition);
    }

    /// Some that are to come in crash before they do.
    fn strike_newcomer(&mut self, plan: &Plan) {
        let strays = self.government().plan.strays;
        let newcomers: Vec<Incarnation> = plan.joining.iter().map(|node| node.incarnation).collect();
        let idle = self.idle();
        let there: Vec<_> = newcomers.into_iter().filter(|node| idle.contains(node)).collect();
        if !there.is_empty() && self.stage.is_rough() && self.government().random.chance(strays) {
            let node = *self.government().random.pick(&there);
            self.stage.count(Transition::StandbyCrashed);
            self.crash_soon_buried(node);
        }
    }

    /// What operators still wait for, and what is not as they have asked.
    pub(super) fn ungoverned(&self) -> Option<String> {
        let government = self.government.as_ref()?;
        if let Some(proposal) = self.proposed() {
            let lacks_it = |node: &Incarnation| government.service.acknowledged(*node) < proposal.epoch;
            let lack_it = proposal.members.keys().copied().filter(lacks_it).map(|node| self.node_name(node));
            let lack_it = lack_it.collect::<Vec<_>>().join(", ");
            return Some(format!("layout {} is proposed, and these do not have it: {lack_it}", proposal.epoch.0));
        }
        let mut operations = government.service.operations().iter();
        if let Some((id, standing)) = operations.find(|(_, standing)| !standing.operation.has_ended()) {
            return Some(format!("operation {id} ({}) is {:?}", standing.operation.request, standing.operation.state));
        }
        self.unshaped().or_else(|| government.is_idle())
    }

    /// What is not as it is wanted in the layout in force, though it could be.
    fn unshaped(&self) -> Option<String> {
        let government = self.government.as_ref()?;
        let latest = self.latest();
        if let Some(&leaving) = latest.leaving.first() {
            return Some(format!("{} is to leave", self.node_name(leaving)));
        }
        for layer in Layer::ALL {
            let serve = latest.members.values().filter(|member| member.layer == layer).count();
            let idle = self.idle().into_iter().filter(|&node| self.layer_of(node) == layer).count();
            let wanted = usize::from(government.service.desired().of(layer));
            if serve > wanted || (serve < wanted && idle > 0) {
                return Some(format!("{serve} of {wanted} nodes of the {layer} layer serve, and {idle} wait for work"));
            }
        }
        let goal =
            Goal { serving: latest.members.clone(), lanes_per_shard: self.plan.shape.lanes, joining_max: usize::MAX };
        let reports = government.service.reports();
        match scaling::next(latest, &goal, &Knowledge::gather(latest, &reports, BTreeSet::new())) {
            Next::Propose(_) => Some("a layout is to come".to_owned()),
            Next::Wait(awaited) => Some(format!("the leader waits for {awaited:?}")),
            Next::Done => None,
        }
    }

    /// The journal when all has settled.
    pub(super) fn check_journal(&mut self) {
        let checked = self.government.as_ref().map(|government| Ledger::at_rest(&government.service));
        self.violate_operations(checked.unwrap_or(Ok(())));
    }
}
