//! Who leads: the lock recipe. Every candidate makes a sequential ephemeral znode; the lowest leads, and begins its reign by
//! raising the term. From then on whoever led before is refused, because every write of a leader demands the version that
//! the term's znode got in its own reign.
//!
//! All candidates watch all candidates instead of each its predecessor: there are two or three of them.

use std::sync::Arc;

use gomera_cluster::address::Incarnation;
use gomera_cluster::identity::Term;
use gomera_coordinator::tree::{Kind, Operation};
use serde::{Deserialize, Serialize};

use super::members::{json, parse};
use super::rivalry::Rival;
use super::store::WriteError;
use super::{ATTEMPTS, Coordination, CoordinationError};

/// A process that would lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name, for people; of the same characters as a node's.
    pub name: Arc<str>,
    /// This life of it.
    pub incarnation: Incarnation,
    /// Where it answers when it is asked over HTTP whether it is there, HOST:PORT: others take over at once when it does so no more. Without
    /// it they wait until its session ends.
    pub address: Option<Arc<str>>,
}

/// What a candidate's znode contains, if it says where it answers.
#[derive(Serialize, Deserialize)]
struct CandidacyRecord {
    address: Arc<str>,
}

impl Candidate {
    /// How the names of its znodes begin.
    fn prefix(&self) -> String {
        format!("{}@{}-", self.name, self.incarnation)
    }
}

/// What a leader needs in order to write: proof that no other one has begun a term since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reign {
    /// The term.
    pub term: Term,
    /// The version of the term's znode in this reign.
    version: i32,
    /// The candidate's znode, unique to this reign.
    candidacy: String,
}

impl Reign {
    /// The operation that fails when the reign has ended.
    pub(super) fn check(&self, path: String) -> Operation {
        Operation::Check { path, version: self.version }
    }
}

/// The leader, as far as anybody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its name.
    pub name: String,
    /// Its term.
    pub term: Term,
}

/// What the term's znode contains.
#[derive(Serialize, Deserialize)]
struct TermRecord {
    term: Term,
    /// The candidate's znode.
    leader: String,
}

impl Coordination {
    /// Stands for election, and begins a term if nobody stands before this candidate. Gives the same reign when it is
    /// called again in it. `None`: another one is before.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`], or [`CoordinationError::Damaged`] if the term cannot be read.
    pub async fn stand(&self, candidate: &Candidate) -> Result<Option<Reign>, CoordinationError> {
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let Some(candidacy) = self.candidacy(candidate).await? else { continue };
            if self.first_candidacy().await? != Some(candidacy.clone()) {
                return Ok(None);
            }
            match self.begin_term(candidacy).await {
                Ok(reign) => return Ok(Some(reign)),
                Err(WriteError::Unavailable(error)) => return Err(error),
                Err(WriteError::Unknown(what)) => reason = what,
                Err(WriteError::Refused(refusal)) => reason = format!("the term keeps changing ({:?})", refusal.reason),
            }
        }
        Err(self.store.unavailable(reason))
    }

    /// Whoever stands before everybody else, unless that is this candidate or it does not say where it answers.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub(super) async fn rival(&self, candidate: &Candidate) -> Result<Option<Rival>, CoordinationError> {
        let first = self.first_candidacy().await?;
        let Some(name) = first.filter(|name| !name.starts_with(&candidate.prefix())) else { return Ok(None) };
        let Some(entry) = self.store.get(&self.candidacy_path(&name)).await? else { return Ok(None) };
        let record = serde_json::from_slice::<CandidacyRecord>(&entry.bytes).ok();
        Ok(record.map(|record| Rival { candidacy: Arc::from(name), address: record.address }))
    }

    /// Takes the candidacy of one that does not answer any more away, which its session would do some seconds later. If it lives, it stands
    /// again, behind all others.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub(super) async fn unseat(&self, rival: &Rival) -> Result<(), CoordinationError> {
        self.release(&self.candidacy_path(&rival.candidacy)).await
    }

    /// Whether a reign still lasts.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub async fn reigns(&self, reign: &Reign) -> Result<bool, CoordinationError> {
        let term = self.store.stamp(&self.paths.term()).await?;
        let candidacy = self.store.stamp(&self.candidacy_path(&reign.candidacy)).await?;
        let mine = candidacy.is_some_and(|stamp| stamp.owner == Some(self.store.session_id()));
        Ok(mine && term.is_some_and(|stamp| stamp.version == reign.version))
    }

    /// Gives up standing and leading.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub async fn resign(&self, candidate: &Candidate) -> Result<(), CoordinationError> {
        for name in self.store.children(&self.paths.candidates()).await? {
            if name.starts_with(&candidate.prefix()) {
                self.release(&self.candidacy_path(&name)).await?;
            }
        }
        Ok(())
    }

    /// Who leads now, if anybody does.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`], or [`CoordinationError::Damaged`] if the term cannot be read.
    pub async fn leader(&self) -> Result<Option<Leader>, CoordinationError> {
        let path = self.paths.term();
        let Some(entry) = self.store.get(&path).await? else { return Ok(None) };
        let record = parse::<TermRecord>(&path, &entry)?;
        let there = self.store.stamp(&self.candidacy_path(&record.leader)).await?.is_some();
        let name = record.leader.rsplit_once('@').map_or(record.leader.as_str(), |(name, _)| name).to_owned();
        Ok(there.then_some(Leader { name, term: record.term }))
    }

    /// The candidacy that stands before all others.
    async fn first_candidacy(&self) -> Result<Option<String>, CoordinationError> {
        let names = self.store.children(&self.paths.candidates()).await?;
        Ok(names.iter().min_by_key(|name| (sequence(name), (*name).clone())).cloned())
    }

    /// This candidate's znode in the present session; makes one, and gives `None`, if there is none. Those of former
    /// sessions go: they would hold up the others until they expire.
    async fn candidacy(&self, candidate: &Candidate) -> Result<Option<String>, CoordinationError> {
        let folder = self.paths.candidates();
        let mut mine = None;
        for name in self.store.children(&folder).await? {
            if !name.starts_with(&candidate.prefix()) {
                continue;
            }
            let path = format!("{folder}/{name}");
            let owner = self.store.stamp(&path).await?.and_then(|stamp| stamp.owner);
            if mine.is_none() && owner == Some(self.store.session_id()) {
                mine = Some(name);
            } else {
                // A former session's, or one made twice because the first answer got lost.
                self.release(&path).await?;
            }
        }
        if mine.is_some() {
            return Ok(mine);
        }
        let path = format!("{folder}/{}", candidate.prefix());
        let address = candidate.address.clone();
        let bytes = address.map_or_else(Vec::new, |address| json(&CandidacyRecord { address }));
        let create = Operation::Create { path, bytes, kind: Kind::EphemeralSequential };
        match self.store.apply(&[create]).await {
            // The name it got is found by looking again, as after an unknown outcome.
            Ok(()) | Err(WriteError::Unknown(_)) => Ok(None),
            Err(WriteError::Refused(_)) => self.prepare().await.map(|()| None),
            Err(WriteError::Unavailable(error)) => Err(error),
        }
    }

    /// Raises the term, unless this candidacy did so already.
    async fn begin_term(&self, candidacy: String) -> Result<Reign, WriteError> {
        let path = self.paths.term();
        let record = |term| json(&TermRecord { term, leader: candidacy.clone() });
        let holds = Operation::Check { path: self.candidacy_path(&candidacy), version: 0 };
        let Some(entry) = self.store.get(&path).await.map_err(WriteError::Unavailable)? else {
            let create = Operation::Create { path, bytes: record(Term(1)), kind: Kind::Persistent };
            self.store.apply(&[holds, create]).await?;
            return Ok(Reign { term: Term(1), version: 0, candidacy });
        };
        let standing = parse::<TermRecord>(&path, &entry).map_err(WriteError::Unavailable)?;
        let version = entry.stamp.version;
        if standing.leader == candidacy {
            return Ok(Reign { term: standing.term, version, candidacy });
        }
        let term = Term(standing.term.0 + 1);
        self.store.apply(&[holds, Operation::Set { path, bytes: record(term), version }]).await?;
        Ok(Reign { term, version: version + 1, candidacy })
    }

    fn candidacy_path(&self, name: &str) -> String {
        format!("{}/{name}", self.paths.candidates())
    }
}

/// The digits that ZooKeeper put at the end of a sequential name. Shorter ones are smaller numbers.
fn sequence(name: &str) -> (usize, &str) {
    let digits = name.rsplit_once('-').map_or("", |(_, digits)| digits);
    (digits.len(), digits)
}
