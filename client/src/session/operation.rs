//! What a program can ask of its session, and the requests that are on their way: kept until answered, sent again in order on
//! the next connection if this one breaks. All of them can be repeated harmlessly. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gomera_model::Attributes;

/// Chosen by the client, echoed in the reply; never used twice in the life of a session in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestId(pub(crate) u64);

/// A subscription as a program declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declaration {
    pub(crate) id: Arc<str>,
    pub(crate) filter: Arc<str>,
    pub(crate) paused: bool,
    /// From the moment the cluster accepts it.
    pub(crate) expires_after: Option<Duration>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation {
    Subscribe(Declaration),
    Update(Declaration),
    Unsubscribe(Arc<str>),
    SetPaused(Arc<str>, bool),
    Get(Arc<str>),
    List { after: u64, limit: u32 },
    SetContext(Arc<Attributes>),
    End,
}

impl Operation {
    /// Whether notifications may carry a handle that only the answer to this explains.
    pub(crate) fn brings_handles(&self) -> bool {
        match self {
            Self::Subscribe(_) | Self::List { .. } => true,
            Self::Update(_)
            | Self::Unsubscribe(_)
            | Self::SetPaused(..)
            | Self::Get(_)
            | Self::SetContext(_)
            | Self::End => false,
        }
    }
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The program; it waits for the answer.
    Application,
    /// The session itself, after its subscriptions were lost.
    Redeclaration,
    /// The session itself, to learn the subscriptions that an earlier process made.
    Learning,
}

/// Whether the cluster may have seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// This is the first.
    First,
    /// One went out on a connection that broke before the answer came, or nobody could answer it.
    Repeated,
}

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) operation: Operation,
    pub(crate) origin: Origin,
    pub(crate) copies: Copies,
    /// How often it was answered that nobody could answer.
    pub(crate) unanswered: u32,
}

impl Asked {
    fn new(operation: Operation, origin: Origin) -> Self {
        Self { operation, origin, copies: Copies::First, unanswered: 0 }
    }

    /// Whether it changes nothing.
    pub(crate) fn is_read(&self) -> bool {
        match self.operation {
            Operation::Get(_) | Operation::List { .. } => true,
            Operation::Subscribe(_)
            | Operation::Update(_)
            | Operation::Unsubscribe(_)
            | Operation::SetPaused(..)
            | Operation::SetContext(_)
            | Operation::End => false,
        }
    }
}

/// Requests that wait to be sent, and those that wait for an answer.
#[derive(Debug)]
pub(crate) struct Requests {
    last: RequestId,
    waiting: VecDeque<(RequestId, Asked)>,
    sent: BTreeMap<RequestId, Asked>,
    /// Those of `sent`, and of `waiting` if repeated, whose answers bring handles.
    bringing: BTreeSet<RequestId>,
    in_flight_max: usize,
    /// The latest that went out.
    sent_last: Option<RequestId>,
}

impl Requests {
    pub(crate) fn new(in_flight_max: usize) -> Self {
        Self {
            last: RequestId::default(),
            waiting: VecDeque::new(),
            sent: BTreeMap::new(),
            bringing: BTreeSet::new(),
            in_flight_max,
            sent_last: None,
        }
    }

    /// Takes a request that goes after all others.
    pub(crate) fn ask(&mut self, operation: Operation, origin: Origin) -> RequestId {
        self.last = RequestId(self.last.0 + 1);
        self.waiting.push_back((self.last, Asked::new(operation, origin)));
        self.last
    }

    /// Takes requests that go before all others that wait, in this order.
    pub(crate) fn ask_first(&mut self, operations: Vec<Operation>, origin: Origin) {
        for operation in operations.into_iter().rev() {
            self.last = RequestId(self.last.0 + 1);
            self.waiting.push_front((self.last, Asked::new(operation, origin)));
        }
    }

    /// The next request to send, if another may be on its way.
    pub(crate) fn send(&mut self) -> Option<(RequestId, Operation)> {
        if self.sent.len() >= self.in_flight_max {
            return None;
        }
        let (id, asked) = self.waiting.pop_front()?;
        let operation = asked.operation.clone();
        if operation.brings_handles() {
            self.bringing.insert(id);
        }
        self.sent.insert(id, asked);
        self.sent_last = Some(id);
        Some((id, operation))
    }

    /// Whether [`Requests::send`] would give something.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.waiting.is_empty() && self.sent.len() < self.in_flight_max
    }

    /// An answer came: what it answers, `None` if nothing that waits.
    pub(crate) fn answered(&mut self, id: RequestId) -> Option<Asked> {
        self.bringing.remove(&id);
        self.sent.remove(&id)
    }

    /// Whether nothing went out after it: then it may go again without a change that was asked for later being undone by it.
    pub(crate) fn is_last_sent(&self, id: RequestId) -> bool {
        self.sent_last == Some(id)
    }

    /// Nobody could answer it: it goes again, before what waits.
    pub(crate) fn again(&mut self, id: RequestId, asked: Asked) {
        let unanswered = asked.unanswered + 1;
        self.waiting.push_front((id, Asked { unanswered, copies: Copies::Repeated, ..asked }));
    }

    /// The connection broke: what was sent goes again, before what waits.
    pub(crate) fn disconnected(&mut self) {
        while let Some((id, mut asked)) = self.sent.pop_last() {
            asked.copies = Copies::Repeated;
            self.waiting.push_front((id, asked));
        }
    }

    /// Drops what the session itself asked; a new round of it follows.
    pub(crate) fn forget_own(&mut self) {
        let bringing = &mut self.bringing;
        self.waiting.retain(|(id, asked)| {
            let keep = asked.origin == Origin::Application;
            if !keep {
                bringing.remove(id);
            }
            keep
        });
    }

    /// The last request there was.
    pub(crate) fn last(&self) -> RequestId {
        self.last
    }

    /// Whether something about a subscription is not answered, or not even sent.
    pub(crate) fn concerns(&self, id: &str) -> bool {
        let all = self.sent.values().chain(self.waiting.iter().map(|(_, asked)| asked));
        all.into_iter().any(|asked| match &asked.operation {
            Operation::Subscribe(declaration) | Operation::Update(declaration) => &*declaration.id == id,
            Operation::Unsubscribe(other) | Operation::SetPaused(other, _) => &**other == id,
            Operation::Get(_) | Operation::List { .. } | Operation::SetContext(_) | Operation::End => false,
        })
    }

    /// Whether the end of the session was asked for and is on its way.
    pub(crate) fn is_ending(&self) -> bool {
        self.sent.values().any(|asked| asked.operation == Operation::End)
    }

    /// The latest request on its way whose answer may explain a handle.
    pub(crate) fn last_bringing(&self) -> Option<RequestId> {
        self.bringing.last().copied()
    }

    /// Whether an answer that may explain a handle is still awaited among requests up to `id`.
    pub(crate) fn brings_up_to(&self, id: RequestId) -> bool {
        self.bringing.first().is_some_and(|first| *first <= id)
    }

    /// The program's requests that were never answered, in order.
    pub(crate) fn abandon(&mut self) -> Vec<RequestId> {
        self.bringing.clear();
        let sent = std::mem::take(&mut self.sent).into_iter();
        sent.chain(self.waiting.drain(..))
            .filter(|(_, asked)| asked.origin == Origin::Application)
            .map(|(id, _)| id)
            .collect()
    }
}
