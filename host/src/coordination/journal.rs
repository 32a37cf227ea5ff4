//! The journal of operations. A door writes a request under its id, once, and may ask for its end; a leader writes the rest under its
//! term. Both write under the version they have read.

use std::collections::BTreeMap;

use gomera_coordinator::Observation;
use gomera_coordinator::operations::{
    Cancel, Entry, Operation, OperationId, Refusal, RefusalKind, Request, STANDING_MAX, Standing, judge,
};
use gomera_coordinator::tree::{Kind, Operation as Write};

use super::election::Reign;
use super::layouts::Written;
use super::members::{json, parse};
use super::store::WriteError;
use super::wishes::wish;
use super::{ATTEMPTS, Coordination, CoordinationError};

/// Why a request is not in the journal.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    /// It cannot be done; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody can say.
    #[error(transparent)]
    Coordination(#[from] CoordinationError),
}

impl Coordination {
    /// All operations of the journal. What cannot be understood is left out, and logged.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub async fn operations(&self) -> Result<BTreeMap<OperationId, Standing>, CoordinationError> {
        let folder = self.paths.operations();
        let names = self.store.children(&folder).await?;
        let paths = names.iter().map(|name| format!("{folder}/{name}")).collect();
        let mut operations = BTreeMap::new();
        for (path, entry) in self.present(paths).await? {
            let name = path.rsplit_once('/').map_or("", |(_, name)| name);
            let id = name.parse::<OperationId>().map_err(|error| Self::damaged(&path, error));
            match id.and_then(|id| Ok((id, parse::<Operation>(&path, &entry)?))) {
                Ok((id, operation)) => {
                    operations.insert(id, Standing { operation, version: entry.stamp.version });
                }
                Err(error) => tracing::warn!(%error, "an operation is left out"),
            }
        }
        Ok(operations)
    }

    /// One operation of the journal.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`], or [`CoordinationError::Damaged`] if it cannot be read.
    pub async fn operation(&self, id: &OperationId) -> Result<Option<Operation>, CoordinationError> {
        let path = self.paths.operation(id);
        self.store.get(&path).await?.map(|entry| parse(&path, &entry)).transpose()
    }

    /// Everything that a decision is made by.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`], or [`CoordinationError::Damaged`] if a layout or a wish cannot be read.
    pub async fn observe(&self) -> Result<Observation, CoordinationError> {
        let said = self.acknowledgements().await?;
        Ok(Observation {
            members: self.members().await?,
            desired: self.desired().await?,
            layout: self.layout().await?.map(Into::into),
            proposed: self.proposed().await?.map(Into::into),
            acknowledged: said.iter().map(|(&node, said)| (node, said.epoch)).collect(),
            // What may be asked for does not depend on how far machines have come.
            reports: BTreeMap::new(),
            // Nor on who answers: a leader takes that into account.
            probes: BTreeMap::new(),
            operations: self.operations().await?,
            supply: self.supply().await?,
            shortages: BTreeMap::new(),
        })
    }

    /// Puts a request into the journal, unless it stands there already. What cannot be done as things stand is not written.
    ///
    /// # Errors
    /// [`RequestError::Refused`] says what would be right.
    pub async fn request(&self, id: &OperationId, request: &Request, at: u64) -> Result<(), RequestError> {
        let path = self.paths.operation(id);
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            if let Some(standing) = self.operation(id).await? {
                if standing.request == *request {
                    return Ok(());
                }
                let reason =
                    format!("operation {id} stands for «{}», take another id for «{request}»", standing.request);
                return Err(Refusal::new(RefusalKind::AlreadyExists, reason).into());
            }
            let observation = self.observe().await?;
            judge(&observation, Some(id), request)?;
            if observation.operations.len() >= STANDING_MAX {
                let reason = format!(
                    "{} operations stand in the journal and nobody takes them up: see that a coordinator runs",
                    observation.operations.len()
                );
                return Err(Refusal::new(RefusalKind::Unavailable, reason).into());
            }
            let bytes = json(&Operation::requested(request.clone(), at));
            let create = Write::Create { path: path.clone(), bytes, kind: Kind::Persistent };
            match self.store.apply(&[create]).await {
                Ok(()) => return Ok(()),
                Err(WriteError::Unavailable(error)) => return Err(error.into()),
                // It stands there by now: read again.
                Err(WriteError::Unknown(what)) => reason = what,
                Err(WriteError::Refused(refusal)) => reason = format!("{path} cannot be made ({:?})", refusal.reason),
            }
        }
        Err(self.store.unavailable(reason).into())
    }

    /// Asks for the end of an operation.
    ///
    /// # Errors
    /// [`RequestError::Refused`] if there is no such operation, or it has ended or activated something.
    pub async fn ask_to_cancel(&self, id: &OperationId) -> Result<(), RequestError> {
        let path = self.paths.operation(id);
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let Some(entry) = self.store.get(&path).await? else {
                return Err(Refusal::new(RefusalKind::NotFound, format!("there is no operation {id}")).into());
            };
            let standing = parse::<Operation>(&path, &entry)?;
            if let Some(refusal) = standing.past_cancelling(id) {
                return Err(refusal.into());
            }
            if standing.cancel == Cancel::Asked {
                return Ok(());
            }
            let bytes = json(&Operation { cancel: Cancel::Asked, ..standing });
            let set = Write::Set { path: path.clone(), bytes, version: entry.stamp.version };
            match self.store.apply(&[set]).await {
                Ok(()) => return Ok(()),
                Err(WriteError::Unavailable(error)) => return Err(error.into()),
                Err(WriteError::Unknown(what)) => reason = what,
                Err(WriteError::Refused(refusal)) => reason = format!("{path} keeps changing ({:?})", refusal.reason),
            }
        }
        Err(self.store.unavailable(reason).into())
    }

    /// Writes what a leader has decided about an operation, with the wish that goes with it. What has changed since it was read
    /// stays, and is read again.
    pub(super) async fn journal(&self, reign: &Reign, entry: &Entry) -> Result<(), CoordinationError> {
        let mut writes = vec![
            reign.check(self.paths.term()),
            Write::Set { path: self.paths.operation(&entry.id), bytes: json(&entry.operation), version: entry.version },
        ];
        if let Some((layer, replicas)) = entry.wish {
            let path = self.paths.desired(layer);
            let bytes = wish(replicas);
            writes.push(match self.store.stamp(&path).await? {
                Some(stamp) => Write::Set { path, bytes, version: stamp.version },
                None => Write::Create { path, bytes, kind: Kind::Persistent },
            });
        }
        self.write_or_read_again(reign, &writes).await
    }

    /// Takes an old operation out.
    pub(super) async fn forget(&self, reign: &Reign, id: &OperationId, version: i32) -> Result<(), CoordinationError> {
        let delete = Write::Delete { path: self.paths.operation(id), version };
        self.write_or_read_again(reign, &[reign.check(self.paths.term()), delete]).await
    }

    async fn write_or_read_again(&self, reign: &Reign, writes: &[Write]) -> Result<(), CoordinationError> {
        match self.fenced(reign, writes).await? {
            Written::Yes => {}
            // Whoever changed it, or the outcome, is seen by reading.
            Written::No(why) => tracing::debug!(why, "reading the journal again"),
        }
        Ok(())
    }
}
