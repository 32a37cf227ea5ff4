//! What people decided: the settings of the cluster, once, and how many nodes they want; and the leader's answer, where it
//! stands and what it waits for.

use gomera_cluster::address::Layer;
use gomera_cluster::layout::Settings;
use gomera_coordinator::tree::{Kind, Operation};
use gomera_coordinator::{Desired, Status, Supply};
use serde::{Deserialize, Serialize};

use super::election::Reign;
use super::layouts::Written;
use super::members::{json, parse};
use super::store::WriteError;
use super::{ATTEMPTS, Coordination, CoordinationError};

/// What a layer's wish contains.
#[derive(Serialize, Deserialize)]
struct Wish {
    replicas: u16,
}

/// What a layer's wish contains, as bytes.
pub(super) fn wish(replicas: u16) -> Vec<u8> {
    json(&Wish { replicas })
}

impl Coordination {
    /// Creates the cluster with `settings`, or makes sure that it was created with them.
    ///
    /// # Errors
    /// [`CoordinationError::OtherSettings`] names both; [`CoordinationError::Unavailable`], or
    /// [`CoordinationError::Damaged`] if the settings cannot be read.
    pub async fn settle(&self, settings: &Settings) -> Result<(), CoordinationError> {
        self.create_if_absent(&self.paths.config(), &json(settings)).await?;
        match self.settings().await? {
            Some(created) if created == *settings => Ok(()),
            Some(created) => Err(CoordinationError::OtherSettings {
                cluster: self.paths.shared_name(),
                created,
                asked: settings.clone(),
            }),
            None => Err(self.store.unavailable("the settings have just been deleted")),
        }
    }

    /// What the cluster was created with, if it was.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`], or [`CoordinationError::Damaged`] if the settings cannot be read.
    pub async fn settings(&self) -> Result<Option<Settings>, CoordinationError> {
        let path = self.paths.config();
        let entry = self.store.get(&path).await?;
        entry.map(|entry| parse(&path, &entry)).transpose()
    }

    /// Nodes wanted; one in a layer for which nobody said.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`], or [`CoordinationError::Damaged`] if a wish cannot be read.
    pub async fn desired(&self) -> Result<Desired, CoordinationError> {
        let paths = Layer::ALL.map(|layer| self.paths.desired(layer));
        let mut desired = Desired::default();
        for ((layer, path), entry) in Layer::ALL.into_iter().zip(&paths).zip(self.store.get_all(&paths).await?) {
            if let Some(entry) = entry {
                desired.set(layer, parse::<Wish>(path, &entry)?.replicas.max(1));
            }
        }
        Ok(desired)
    }

    /// Wants this many nodes from now on.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub async fn want(&self, desired: &Desired) -> Result<(), CoordinationError> {
        for layer in Layer::ALL {
            self.put(&self.paths.desired(layer), &json(&Wish { replicas: desired.of(layer) })).await?;
        }
        Ok(())
    }

    /// Wants this many nodes in layers for which nobody said anything yet.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub async fn want_initially(&self, desired: &Desired) -> Result<(), CoordinationError> {
        for layer in Layer::ALL {
            let wish = json(&Wish { replicas: desired.of(layer) });
            self.create_if_absent(&self.paths.desired(layer), &wish).await?;
        }
        Ok(())
    }

    /// Where the leader stood when it last said so.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`], or [`CoordinationError::Damaged`] if the status cannot be read.
    pub async fn status(&self) -> Result<Option<Status>, CoordinationError> {
        let path = self.paths.status();
        let entry = self.store.get(&path).await?;
        entry.map(|entry| parse(&path, &entry)).transpose()
    }

    /// Where nodes come from, as the leader said.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`], or [`CoordinationError::Damaged`] if it cannot be read.
    pub async fn supply(&self) -> Result<Supply, CoordinationError> {
        let path = self.paths.supply();
        let entry = self.store.get(&path).await?;
        entry.map_or(Ok(Supply::default()), |entry| parse(&path, &entry))
    }

    /// Says where the leader stands.
    pub(super) async fn publish_status(&self, reign: &Reign, status: &Status) -> Result<(), CoordinationError> {
        self.publish(reign, self.paths.status(), json(status)).await
    }

    /// Says where nodes come from.
    pub(super) async fn publish_supply(&self, reign: &Reign, supply: &Supply) -> Result<(), CoordinationError> {
        self.publish(reign, self.paths.supply(), json(supply)).await
    }

    async fn publish(&self, reign: &Reign, path: String, bytes: Vec<u8>) -> Result<(), CoordinationError> {
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let write = match self.store.get(&path).await? {
                Some(entry) if *entry.bytes == *bytes => return Ok(()),
                Some(entry) => {
                    Operation::Set { path: path.clone(), bytes: bytes.clone(), version: entry.stamp.version }
                }
                None => Operation::Create { path: path.clone(), bytes: bytes.clone(), kind: Kind::Persistent },
            };
            match self.fenced(reign, &[reign.check(self.paths.term()), write]).await? {
                Written::Yes => return Ok(()),
                Written::No(why) => reason = why,
            }
        }
        Err(self.store.unavailable(reason))
    }

    /// Makes sure that a persistent znode contains `bytes`.
    async fn put(&self, path: &str, bytes: &[u8]) -> Result<(), CoordinationError> {
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let write = match self.store.get(path).await? {
                Some(entry) if *entry.bytes == *bytes => return Ok(()),
                Some(entry) => {
                    Operation::Set { path: path.to_owned(), bytes: bytes.to_vec(), version: entry.stamp.version }
                }
                None => Operation::Create { path: path.to_owned(), bytes: bytes.to_vec(), kind: Kind::Persistent },
            };
            match self.store.apply(&[write]).await {
                Ok(()) => return Ok(()),
                Err(WriteError::Unavailable(error)) => return Err(error),
                Err(WriteError::Unknown(what)) => reason = what,
                Err(WriteError::Refused(refusal)) => reason = format!("{path} keeps changing ({:?})", refusal.reason),
            }
        }
        Err(self.store.unavailable(reason))
    }
}

/// Settings in a sentence.
pub(super) fn text(settings: &Settings) -> String {
    let Settings { matcher_slices, session_slices, replication } = settings;
    format!("matcher_slices {matcher_slices}, session_slices {session_slices}, replication {replication}")
}
