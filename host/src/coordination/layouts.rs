//! The layout in force and the one proposed. A leader writes both under its term and under the version it has read, so that
//! each epoch is written once and with one content. What puts a proposal into force names it, so that who has read it goes by the event
//! alone ([decision 22](../../../docs/decisions/0022-a-commit-names-its-proposal.md)).

use std::sync::Arc;

use gomera_cluster::layout::Layout;
use gomera_coordinator::document;
use gomera_coordinator::tree::{Entry, Kind, Operation, Stamp};

use super::election::Reign;
use super::paths::{commit_name, is_commit};
use super::store::WriteError;
use super::{ATTEMPTS, Coordination, CoordinationError};

/// A layout as it stands there.
pub(super) type Standing = (Stamp, Arc<Layout>);

/// What is in force and what is proposed, as somebody has read them.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) committed: Option<Standing>,
    pub(super) proposed: Option<Standing>,
}

impl Known {
    /// Whether a version tells if these stand there still: znodes that somebody has made anew begin with version 0 again.
    fn is_told_apart(&self) -> bool {
        [&self.committed, &self.proposed]
            .into_iter()
            .all(|known| known.as_ref().is_some_and(|(stamp, _)| stamp.version > 0))
    }
}

impl Coordination {
    /// Writes the next layout, for its members to acknowledge. Done if it stands there already.
    ///
    /// # Errors
    /// [`CoordinationError::Fenced`] if the reign has ended, [`CoordinationError::Superseded`] if a proposal or a layout of
    /// this epoch or a later one stands there, [`CoordinationError::Unavailable`] if nobody knows what became of it.
    pub async fn propose(&self, reign: &Reign, layout: &Layout) -> Result<(), CoordinationError> {
        self.propose_after(reign, layout, None).await
    }

    /// The same, for who has read both: if they stand there still, nothing is read.
    pub(super) async fn propose_after(
        &self,
        reign: &Reign,
        layout: &Layout,
        known: Option<Known>,
    ) -> Result<(), CoordinationError> {
        let path = self.paths.proposed();
        // What is known and may be old is only written upon, which shows whether it is: nothing else follows from it.
        let mut known = known.filter(|known| {
            known.is_told_apart() && is_older(&known.committed, layout) && is_older(&known.proposed, layout)
        });
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let Known { committed, proposed } = match known.take() {
                Some(known) => known,
                None => self.know().await?,
            };
            if proposed.as_ref().is_some_and(|(_, standing)| **standing == *layout) {
                return Ok(());
            }
            refuse_older(layout, committed.as_ref())?;
            refuse_older(layout, proposed.as_ref())?;
            let mut operations = vec![reign.check(self.paths.term()), write(&path, layout, proposed.as_ref())];
            if let Some((stamp, _)) = committed {
                operations.push(Operation::Check { path: self.paths.layout(), version: stamp.version });
            }
            match self.fenced(reign, &operations).await? {
                Written::Yes => return Ok(()),
                Written::No(why) => reason = why,
            }
        }
        Err(self.store.unavailable(reason))
    }

    /// Puts the proposal into force. Done if it is.
    ///
    /// # Errors
    /// [`CoordinationError::Fenced`] if the reign has ended, [`CoordinationError::Superseded`] if another layout is proposed
    /// or one of this epoch or a later one is in force, [`CoordinationError::Unavailable`] if nobody knows what became of it.
    pub async fn commit(&self, reign: &Reign, layout: &Layout) -> Result<(), CoordinationError> {
        self.commit_after(reign, layout, None).await
    }

    /// The same, for who has read what is in force and what is proposed: if they stand there still, they are not read.
    pub(super) async fn commit_after(
        &self,
        reign: &Reign,
        layout: &Layout,
        known: Option<Known>,
    ) -> Result<(), CoordinationError> {
        let path = self.paths.layout();
        let is_proposed = |known: &Known| known.proposed.as_ref().is_some_and(|(_, proposed)| **proposed == *layout);
        let mut known =
            known.filter(|known| known.is_told_apart() && is_older(&known.committed, layout) && is_proposed(known));
        let mut cleans = true;
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let has_read = known.is_none();
            let (known, former) = match known.take() {
                Some(known) => (known, self.store.children(&path).await?),
                None => {
                    let (known, former) = tokio::join!(self.know(), self.store.children(&path));
                    (known?, former?)
                }
            };
            let Known { committed: standing, proposed } = known;
            if standing.as_ref().is_some_and(|(_, standing)| **standing == *layout) {
                return Ok(());
            }
            refuse_older(layout, standing.as_ref())?;
            let proposed = match proposed {
                Some((stamp, proposed)) if *proposed == *layout => stamp,
                Some((_, other)) => {
                    return Err(CoordinationError::Superseded { refused: layout.epoch, standing: other.epoch });
                }
                None => {
                    return Err(CoordinationError::Superseded { refused: layout.epoch, standing: Default::default() });
                }
            };
            let same_proposal = Operation::Check { path: self.paths.proposed(), version: proposed.version };
            let mut operations = vec![reign.check(self.paths.term()), same_proposal];
            let name = commit_name(proposed);
            let bytes = format!(r#"{{"epoch":{}}}"#, layout.epoch.0).into_bytes();
            let tell = Operation::Create { path: self.paths.commit(&name), bytes, kind: Kind::Persistent };
            let in_force = write(&path, layout, standing.as_ref());
            // Told first, so that nobody begins to read before it is heard; but a parent comes before its child.
            match standing {
                // Somebody has put an older layout back.
                Some(_) if former.contains(&name) => operations.push(in_force),
                Some(_) => operations.extend([tell, in_force]),
                None => operations.extend([in_force, tell]),
            }
            // Nothing depends on it that names of former layouts go: what refuses to is left the next time.
            if cleans {
                cleans = !has_read;
                let former = former.iter().filter(|&former| is_commit(former) && *former != name);
                operations.extend(former.map(|name| Operation::Delete { path: self.paths.commit(name), version: 0 }));
            }
            match self.fenced(reign, &operations).await? {
                Written::Yes => return Ok(()),
                Written::No(why) => reason = why,
            }
        }
        Err(self.store.unavailable(reason))
    }

    /// The layout in force.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`], or [`CoordinationError::Damaged`] if it cannot be read.
    pub async fn layout(&self) -> Result<Option<Layout>, CoordinationError> {
        Ok(self.read_layout(&self.paths.layout()).await?.map(|(_, layout)| Arc::unwrap_or_clone(layout)))
    }

    /// The layout proposed last, in force by now or not.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`], or [`CoordinationError::Damaged`] if it cannot be read.
    pub async fn proposed(&self) -> Result<Option<Layout>, CoordinationError> {
        Ok(self.read_layout(&self.paths.proposed()).await?.map(|(_, layout)| Arc::unwrap_or_clone(layout)))
    }

    /// Reads the layout in force again and again.
    #[must_use]
    pub fn layout_reader(&self) -> LayoutReader {
        LayoutReader { path: self.paths.layout(), last: None, has_changed: false }
    }

    /// Reads the layout proposed again and again.
    #[must_use]
    pub fn proposal_reader(&self) -> LayoutReader {
        LayoutReader { path: self.paths.proposed(), last: None, has_changed: false }
    }

    async fn read_layout(&self, path: &str) -> Result<Option<Standing>, CoordinationError> {
        self.store.get(path).await?.map(|entry| decode(path, entry)).transpose()
    }

    /// Both as they stand at one moment.
    async fn know(&self) -> Result<Known, CoordinationError> {
        let paths = [self.paths.layout(), self.paths.proposed()];
        let mut entries = self.store.get_all(&paths).await?.into_iter();
        let mut next = |path: &str| entries.next().flatten().map(|entry| decode(path, entry)).transpose();
        Ok(Known { committed: next(&paths[0])?, proposed: next(&paths[1])? })
    }

    /// A write whose first operation checks the term.
    pub(super) async fn fenced(&self, reign: &Reign, operations: &[Operation]) -> Result<Written, CoordinationError> {
        match self.store.apply(operations).await {
            Ok(()) => Ok(Written::Yes),
            Err(error) if error.refused_at(0) => Err(CoordinationError::Fenced { term: reign.term.0 }),
            Err(WriteError::Unavailable(error)) => Err(error),
            Err(WriteError::Unknown(what)) => Ok(Written::No(what)),
            Err(WriteError::Refused(refusal)) => Ok(Written::No(format!("it keeps changing ({:?})", refusal.reason))),
        }
    }
}

/// Whether a fenced write was done.
pub(super) enum Written {
    /// It was.
    Yes,
    /// Nobody knows, or something else changed meanwhile: read again.
    No(String),
}

/// Reads a layout only if it has changed since the last time.
#[derive(Debug)]
pub struct LayoutReader {
    path: String,
    last: Option<Standing>,
    has_changed: bool,
}

impl LayoutReader {
    /// What stood there when it was last read.
    pub(super) fn last(&self) -> Option<Standing> {
        self.last.clone()
    }

    /// It has been written since: the next time it is read without asking whether it has changed.
    pub(super) fn changes(&mut self) {
        self.has_changed = true;
    }

    /// What stands there now.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`], or [`CoordinationError::Damaged`] if it cannot be read.
    pub async fn read(&mut self, coordination: &Coordination) -> Result<Option<Arc<Layout>>, CoordinationError> {
        let stamp = if self.has_changed { None } else { coordination.store.stamp(&self.path).await? };
        match (stamp, &self.last) {
            (None, _) if !self.has_changed => self.last = None,
            (Some(stamp), Some((known, _))) if stamp == *known => {}
            (Some(_) | None, _) => self.last = coordination.read_layout(&self.path).await?,
        }
        self.has_changed = false;
        Ok(self.last.as_ref().map(|(_, layout)| layout.clone()))
    }

    /// What both of them read stands there now, at one moment and by one answer: for who has heard that it has changed. Each may be
    /// damaged by itself.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub(super) async fn read_both(
        readers: [&mut Self; 2],
        coordination: &Coordination,
    ) -> Result<[Result<Option<Arc<Layout>>, CoordinationError>; 2], CoordinationError> {
        let paths = readers.each_ref().map(|reader| reader.path.clone());
        let mut entries = coordination.store.get_all(&paths).await?.into_iter();
        Ok(readers.map(|reader| reader.take(entries.next().flatten())))
    }

    /// This stands there now.
    fn take(&mut self, entry: Option<Entry>) -> Result<Option<Arc<Layout>>, CoordinationError> {
        self.last = match (entry, self.last.take()) {
            (None, _) => None,
            (Some(entry), Some((known, layout))) if entry.stamp == known => Some((known, layout)),
            (Some(entry), _) => Some(decode(&self.path, entry)?),
        };
        Ok(self.last.as_ref().map(|(_, layout)| layout.clone()))
    }

    /// Of a proposal: what was read last, if the znode of this name says that it is in force.
    pub(super) fn committed(&self, name: &str) -> Option<Arc<Layout>> {
        self.last.as_ref().filter(|(stamp, _)| commit_name(*stamp) == name).map(|(_, layout)| layout.clone())
    }
}

fn decode(path: &str, entry: Entry) -> Result<Standing, CoordinationError> {
    let layout = document::decode(&entry.bytes).map_err(|error| Coordination::damaged(path, error))?;
    Ok((entry.stamp, Arc::new(layout)))
}

fn is_older(standing: &Option<Standing>, layout: &Layout) -> bool {
    standing.as_ref().is_none_or(|(_, standing)| standing.epoch < layout.epoch)
}

fn refuse_older(layout: &Layout, standing: Option<&Standing>) -> Result<(), CoordinationError> {
    match standing {
        Some((_, standing)) if standing.epoch >= layout.epoch => {
            Err(CoordinationError::Superseded { refused: layout.epoch, standing: standing.epoch })
        }
        Some(_) | None => Ok(()),
    }
}

fn write(path: &str, layout: &Layout, standing: Option<&Standing>) -> Operation {
    let (path, bytes) = (path.to_owned(), document::encode(layout));
    match standing {
        Some((stamp, _)) => Operation::Set { path, bytes, version: stamp.version },
        None => Operation::Create { path, bytes, kind: Kind::Persistent },
    }
}

#[cfg(test)]
mod tests;
