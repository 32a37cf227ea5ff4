//! Nodes that are there, and what they have acknowledged. Both are ephemeral znodes of the node's session, written anew in
//! every session: the session is a matter of the connection, the incarnation one of the process.

use std::collections::{BTreeMap, BTreeSet};

use gomera_cluster::address::{Incarnation, Layer};
use gomera_cluster::layout::Epoch;
use gomera_cluster::report::Report;
use gomera_coordinator::Registration;
use gomera_coordinator::registration::incarnation_of_znode;
use gomera_coordinator::tree::{Entry, Kind, Operation, Reason, Refusal, SessionId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::store::WriteError;
use super::{ATTEMPTS, Coordination, CoordinationError};

/// What a node acknowledges and reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// The last proposal that all its machines have.
    pub epoch: Epoch,
    /// How far its machines have come, by shard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<Report>,
    /// Peers that its links do not reach now.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty", with = "incarnations")]
    pub unreachable: BTreeSet<Incarnation>,
}

/// An ephemeral znode as a session has written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    session: SessionId,
    version: i32,
}

/// As 16 hexadecimal digits each: readers that take numbers for doubles would lose bits.
mod incarnations {
    use std::collections::BTreeSet;

    use gomera_cluster::address::Incarnation;
    use gomera_coordinator::registration::parse_incarnation;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(nodes: &BTreeSet<Incarnation>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(nodes.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Incarnation>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let parse = |text: String| {
            parse_incarnation(&text).ok_or_else(|| D::Error::custom(format!("«{text}», must be 16 hexadecimal digits")))
        };
        texts.into_iter().map(parse).collect()
    }
}

impl Coordination {
    /// Makes sure that this node stands there, as described, in the present session. Cheap if it does already.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub async fn register(&self, registration: &Registration) -> Result<(), CoordinationError> {
        self.hold(&self.paths.member(registration), &json(registration)).await.map(drop)
    }

    /// Says which proposal this node has and how far its machines have come, in the present session. `last` is what it gave the last
    /// time: what stands there is not read if nobody else can have written it.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub async fn acknowledge(
        &self,
        registration: &Registration,
        acknowledgement: &Acknowledgement,
        last: Option<Held>,
    ) -> Result<Held, CoordinationError> {
        let (path, bytes) = (self.paths.ack(registration), json(acknowledgement));
        if let Some(Held { session, version }) = last.filter(|last| last.session == self.store.session_id()) {
            let set = Operation::Set { path: path.clone(), bytes: bytes.clone(), version };
            match self.store.apply(&[set]).await {
                Ok(()) => return Ok(Held { session, version: version + 1 }),
                Err(WriteError::Unavailable(error)) => return Err(error),
                Err(WriteError::Unknown(_) | WriteError::Refused(_)) => {}
            }
        }
        self.hold(&path, &bytes).await
    }

    /// Takes this node and its acknowledgement away: it leaves by itself.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub async fn withdraw(&self, registration: &Registration) -> Result<(), CoordinationError> {
        self.release(&self.paths.member(registration)).await?;
        self.release(&self.paths.load(registration)).await?;
        self.release(&self.paths.ack(registration)).await
    }

    /// Who is registered. What is not a registration is left out, and logged.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub async fn members(&self) -> Result<BTreeMap<Incarnation, Registration>, CoordinationError> {
        let mut paths = Vec::new();
        for layer in Layer::ALL {
            let folder = self.paths.members(layer);
            let names = self.store.children(&folder).await?;
            paths.extend(names.into_iter().map(|name| format!("{folder}/{name}")));
        }
        let mut members = BTreeMap::new();
        for (path, entry) in self.present(paths).await? {
            let registration = parse::<Registration>(&path, &entry).and_then(|registration| {
                registration.validate().map_err(|error| Self::damaged(&path, error))?;
                Ok(registration)
            });
            match registration {
                Ok(registration) => {
                    members.insert(registration.incarnation, registration);
                }
                Err(error) => tracing::warn!(%error, "a member is left out"),
            }
        }
        Ok(members)
    }

    /// The last proposal that each node says it has, and what it reports.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub async fn acknowledgements(&self) -> Result<BTreeMap<Incarnation, Acknowledgement>, CoordinationError> {
        self.by_node(&self.paths.acks(), "an acknowledgement").await
    }

    /// What stands below a folder in znodes that are named as nodes are. What cannot be understood is left out, and logged as `what`.
    pub(super) async fn by_node<T: DeserializeOwned>(
        &self,
        folder: &str,
        what: &str,
    ) -> Result<BTreeMap<Incarnation, T>, CoordinationError> {
        let names = self.store.children(folder).await?;
        let paths = names.iter().map(|name| format!("{folder}/{name}")).collect();
        let mut found = BTreeMap::new();
        for (path, entry) in self.present(paths).await? {
            let node = incarnation_of_znode(&path).ok_or_else(|| Self::damaged(&path, "its name has no incarnation"));
            match node.and_then(|node| Ok((node, parse(&path, &entry)?))) {
                Ok((node, value)) => {
                    found.insert(node, value);
                }
                Err(error) => tracing::warn!(%error, "{what} is left out"),
            }
        }
        Ok(found)
    }

    /// Those of `paths` that exist.
    pub(super) async fn present(&self, paths: Vec<String>) -> Result<Vec<(String, Entry)>, CoordinationError> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let entries = self.store.get_all(&paths).await?;
        Ok(paths.into_iter().zip(entries).filter_map(|(path, entry)| Some((path, entry?))).collect())
    }

    /// Makes sure that an ephemeral znode of the present session contains `bytes`. One of an earlier session of ours, which
    /// the service has not given up yet, is replaced: it would vanish under us.
    pub(super) async fn hold(&self, path: &str, bytes: &[u8]) -> Result<Held, CoordinationError> {
        let session = self.store.session_id();
        let (path_owned, owned) = (|| path.to_owned(), || bytes.to_vec());
        let create = || Operation::Create { path: path_owned(), bytes: owned(), kind: Kind::Ephemeral };
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let (operations, version) = match self.store.get(path).await? {
                None => (vec![create()], 0),
                Some(Entry { stamp, bytes: standing }) if stamp.owner == Some(session) => {
                    if *standing == *bytes {
                        return Ok(Held { session, version: stamp.version });
                    }
                    let set = Operation::Set { path: path_owned(), bytes: owned(), version: stamp.version };
                    (vec![set], stamp.version + 1)
                }
                Some(entry) => {
                    (vec![Operation::Delete { path: path_owned(), version: entry.stamp.version }, create()], 0)
                }
            };
            match self.store.apply(&operations).await {
                Ok(()) => return Ok(Held { session, version }),
                Err(WriteError::Unavailable(error)) => return Err(error),
                Err(WriteError::Unknown(what)) => reason = what,
                Err(WriteError::Refused(Refusal { reason: why, .. })) => {
                    reason = format!("{path} keeps changing ({why:?})");
                    if why == Reason::Absent {
                        // Somebody removed the tree under us.
                        self.prepare().await?;
                    }
                }
            }
        }
        Err(self.store.unavailable(reason))
    }

    /// Makes sure that a znode does not exist.
    pub(super) async fn release(&self, path: &str) -> Result<(), CoordinationError> {
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let Some(stamp) = self.store.stamp(path).await? else { return Ok(()) };
            let delete = Operation::Delete { path: path.to_owned(), version: stamp.version };
            match self.store.apply(&[delete]).await {
                Ok(()) => return Ok(()),
                Err(WriteError::Unavailable(error)) => return Err(error),
                Err(WriteError::Unknown(what)) => reason = what,
                Err(WriteError::Refused(refusal)) => reason = format!("{path} keeps changing ({:?})", refusal.reason),
            }
        }
        Err(self.store.unavailable(reason))
    }

    /// Makes the znodes that hold the others.
    pub(super) async fn prepare(&self) -> Result<(), CoordinationError> {
        let folders = self.paths.folders();
        let there = self.store.get_all(&folders).await?;
        for (path, entry) in folders.into_iter().zip(there) {
            if entry.is_none() {
                self.create_if_absent(&path, b"").await?;
            }
        }
        Ok(())
    }

    /// Makes a persistent znode unless it exists.
    pub(super) async fn create_if_absent(&self, path: &str, bytes: &[u8]) -> Result<(), CoordinationError> {
        let create = [Operation::Create { path: path.to_owned(), bytes: bytes.to_vec(), kind: Kind::Persistent }];
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            match self.store.apply(&create).await {
                Ok(()) => return Ok(()),
                Err(error) if error.exists() => return Ok(()),
                Err(WriteError::Unavailable(error)) => return Err(error),
                Err(WriteError::Unknown(what)) => reason = what,
                Err(WriteError::Refused(refusal)) => reason = format!("{path} cannot be made ({:?})", refusal.reason),
            }
        }
        Err(self.store.unavailable(reason))
    }
}

/// What a znode contains.
pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("what we write has string keys and finite numbers")
}

/// Reads what a znode contains.
pub(super) fn parse<T: DeserializeOwned>(path: &str, entry: &Entry) -> Result<T, CoordinationError> {
    serde_json::from_slice(&entry.bytes).map_err(|error| Coordination::damaged(path, error))
}
