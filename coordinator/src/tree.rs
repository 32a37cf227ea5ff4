//! A tree of znodes in memory: ZooKeeper as far as Gomera uses it, without clock, threads or sockets, for a cluster in one
//! process and for simulation. Same rules: a parent must exist, ephemeral nodes have no children and go with their
//! session, a set or a deletion may demand a version, several operations happen together or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A client's standing with the tree; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i64);

/// How long a node lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Until it is deleted.
    Persistent,
    /// Until its session ends.
    Ephemeral,
    /// Likewise, its name ending in ten digits that grow with every child of its parent.
    EphemeralSequential,
}

/// What a write does to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Makes a node.
    Create {
        /// Its path.
        path: String,
        /// What it contains.
        bytes: Vec<u8>,
        /// How long it lives.
        kind: Kind,
    },
    /// Replaces what a node contains.
    Set {
        /// Its path.
        path: String,
        /// What it contains from now on.
        bytes: Vec<u8>,
        /// The version it must have.
        version: i32,
    },
    /// Deletes a node.
    Delete {
        /// Its path.
        path: String,
        /// The version it must have.
        version: i32,
    },
    /// Nothing, but all fails unless the node has this version.
    Check {
        /// Its path.
        path: String,
        /// The version it must have.
        version: i32,
    },
}

/// Why a write was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The node, or the parent of what was to be made, does not exist.
    Absent,
    /// The node exists.
    Exists,
    /// The node has another version.
    Version,
    /// The node has children.
    Children,
    /// The parent is ephemeral.
    EphemeralParent,
    /// The session has ended.
    Session,
}

/// Which operation of a write was refused, and why. Nothing of the write happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The operation, from 0.
    pub index: usize,
    /// The reason.
    pub reason: Reason,
}

/// A node as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it contains.
    pub bytes: Arc<[u8]>,
    /// When it stands as it does.
    pub stamp: Stamp,
}

/// What changes when a node changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The write that changed it last; a node that is made anew has another.
    pub modified: i64,
    /// How often it was set.
    pub version: i32,
    /// Whose ephemeral node it is.
    pub owner: Option<SessionId>,
}

#[derive(Clone, Debug)]
struct Node {
    entry: Entry,
    /// What the next sequential child gets.
    sequence: i32,
}

/// The tree.
#[derive(Debug)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
    sessions: BTreeSet<SessionId>,
    session_next: i64,
    /// Writes so far.
    writes: i64,
}

impl Default for Tree {
    fn default() -> Self {
        let mut tree = Self { nodes: BTreeMap::new(), sessions: BTreeSet::new(), session_next: 1, writes: 0 };
        let stamp = Stamp { modified: 0, version: 0, owner: None };
        tree.nodes.insert(String::from("/"), Node { entry: Entry { bytes: Arc::from([]), stamp }, sequence: 0 });
        tree
    }
}

impl Tree {
    /// Begins a session.
    pub fn open(&mut self) -> SessionId {
        let session = SessionId(self.session_next);
        self.session_next += 1;
        self.sessions.insert(session);
        session
    }

    /// Ends a session; its ephemeral nodes go. Gives the paths that changed.
    pub fn expire(&mut self, session: SessionId) -> Vec<String> {
        self.sessions.remove(&session);
        let lost = self.nodes.iter().filter(|(_, node)| node.entry.stamp.owner == Some(session));
        let lost = lost.map(|(path, _)| path.clone()).collect::<Vec<_>>();
        if !lost.is_empty() {
            self.writes += 1;
        }
        for path in &lost {
            self.nodes.remove(path);
        }
        lost
    }

    /// Whether a session lasts.
    #[must_use]
    pub fn is_open(&self, session: SessionId) -> bool {
        self.sessions.contains(&session)
    }

    /// A node.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.nodes.get(path).map(|node| &node.entry)
    }

    /// The last parts of the paths of a node's children, in order; none if it does not exist.
    #[must_use]
    pub fn children(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { String::from(path) } else { format!("{path}/") };
        let below = self.nodes.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        let names = below.map(|(path, _)| &path[prefix.len()..]);
        names.filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned).collect()
    }

    /// Does all of `operations` in order, or nothing. Gives the paths that changed, made ones under their final names.
    ///
    /// # Errors
    /// Names the first operation that could not be done.
    pub fn apply(&mut self, session: SessionId, operations: &[Operation]) -> Result<Vec<String>, Refusal> {
        if !self.is_open(session) {
            return Err(Refusal { index: 0, reason: Reason::Session });
        }
        // The tree of a cluster has a few dozen nodes and shares what they contain: a copy is the simplest way back.
        let before = self.nodes.clone();
        self.writes += 1;
        let mut changed = Vec::new();
        for (index, operation) in operations.iter().enumerate() {
            match self.apply_one(session, operation) {
                Ok(path) => changed.extend(path),
                Err(reason) => {
                    self.nodes = before;
                    self.writes -= 1;
                    return Err(Refusal { index, reason });
                }
            }
        }
        Ok(changed)
    }

    fn apply_one(&mut self, session: SessionId, operation: &Operation) -> Result<Option<String>, Reason> {
        match operation {
            Operation::Create { path, bytes, kind } => self.create(session, path, bytes, *kind).map(Some),
            Operation::Set { path, bytes, version } => {
                self.check(path, *version)?;
                let modified = self.writes;
                let node = self.nodes.get_mut(path).ok_or(Reason::Absent)?;
                let owner = node.entry.stamp.owner;
                let stamp = Stamp { modified, version: version + 1, owner };
                node.entry = Entry { bytes: Arc::from(bytes.as_slice()), stamp };
                Ok(Some(path.clone()))
            }
            Operation::Delete { path, version } => {
                self.check(path, *version)?;
                if !self.children(path).is_empty() {
                    return Err(Reason::Children);
                }
                self.nodes.remove(path);
                Ok(Some(path.clone()))
            }
            Operation::Check { path, version } => self.check(path, *version).map(|()| None),
        }
    }

    fn check(&self, path: &str, version: i32) -> Result<(), Reason> {
        let entry = self.get(path).ok_or(Reason::Absent)?;
        if entry.stamp.version == version { Ok(()) } else { Err(Reason::Version) }
    }

    fn create(&mut self, session: SessionId, path: &str, bytes: &[u8], kind: Kind) -> Result<String, Reason> {
        let (parent, _) = path.rsplit_once('/').ok_or(Reason::Absent)?;
        let parent = if parent.is_empty() { "/" } else { parent };
        let parent = self.nodes.get_mut(parent).ok_or(Reason::Absent)?;
        if parent.entry.stamp.owner.is_some() {
            return Err(Reason::EphemeralParent);
        }
        let sequence = parent.sequence;
        let (path, owner) = match kind {
            Kind::Persistent => (path.to_owned(), None),
            Kind::Ephemeral => (path.to_owned(), Some(session)),
            Kind::EphemeralSequential => (format!("{path}{sequence:010}"), Some(session)),
        };
        parent.sequence += 1;
        if self.nodes.contains_key(&path) {
            return Err(Reason::Exists);
        }
        let stamp = Stamp { modified: self.writes, version: 0, owner };
        self.nodes.insert(path.clone(), Node { entry: Entry { bytes: Arc::from(bytes), stamp }, sequence: 0 });
        Ok(path)
    }
}

#[cfg(test)]
mod tests;
