//! What a leader has read, and what of it may have changed since: only that is read again. A change of layout is some dozens of
//! reports, each a hint; reading everything after each of them kept ZooKeeper busier than all the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gomera_cluster::address::Incarnation;
use gomera_cluster::layout::Layout;
use gomera_coordinator::operations::{OperationId, Standing};
use gomera_coordinator::{Desired, Registration};

use super::layouts::Known;
use super::{Acknowledgement, Coordination, CoordinationError, LayoutReader, Topic};

/// See the top of this file.
#[derive(Debug)]
pub(super) struct View {
    pub(super) members: BTreeMap<Incarnation, Registration>,
    pub(super) acknowledgements: BTreeMap<Incarnation, Acknowledgement>,
    pub(super) desired: Desired,
    pub(super) operations: BTreeMap<OperationId, Standing>,
    pub(super) layout: Option<Arc<Layout>>,
    pub(super) proposed: Option<Arc<Layout>>,
    layout_reader: LayoutReader,
    proposal_reader: LayoutReader,
    stale: BTreeSet<Topic>,
}

impl View {
    /// All that [`View::read`] reads.
    pub(super) const TOPICS: [Topic; 6] =
        [Topic::Members, Topic::Layout, Topic::Proposed, Topic::Acknowledgements, Topic::Desired, Topic::Operations];

    pub(super) fn new(coordination: &Coordination) -> Self {
        Self {
            members: BTreeMap::new(),
            acknowledgements: BTreeMap::new(),
            desired: Desired::default(),
            operations: BTreeMap::new(),
            layout: None,
            proposed: None,
            layout_reader: coordination.layout_reader(),
            proposal_reader: coordination.proposal_reader(),
            stale: Self::TOPICS.into(),
        }
    }

    /// These may have changed.
    pub(super) fn doubt(&mut self, topics: impl IntoIterator<Item = Topic>) {
        self.stale.extend(topics);
    }

    /// What is in force and what is proposed, as last read.
    pub(super) fn known(&self) -> Known {
        Known { committed: self.layout_reader.last(), proposed: self.proposal_reader.last() }
    }

    /// A leader writes this: what became of it is to be read.
    pub(super) fn writes(&mut self, topics: impl IntoIterator<Item = Topic>) {
        for topic in topics {
            match topic {
                Topic::Layout => self.layout_reader.changes(),
                Topic::Proposed => self.proposal_reader.changes(),
                Topic::Members | Topic::Acknowledgements | Topic::Desired | Topic::Operations | Topic::Leadership => {}
            }
            self.doubt([topic]);
        }
    }

    /// Reads what may have changed. What could not be read stays to be read.
    pub(super) async fn read(&mut self, coordination: &Coordination) -> Result<(), CoordinationError> {
        while let Some(&topic) = self.stale.first() {
            match topic {
                Topic::Members => self.members = coordination.members().await?,
                Topic::Acknowledgements => self.acknowledgements = coordination.acknowledgements().await?,
                Topic::Desired => self.desired = coordination.desired().await?,
                Topic::Operations => self.operations = coordination.operations().await?,
                Topic::Layout => self.layout = self.layout_reader.read(coordination).await?,
                Topic::Proposed => self.proposed = self.proposal_reader.read(coordination).await?,
                // Asked for where it matters.
                Topic::Leadership => {}
            }
            self.stale.remove(&topic);
        }
        Ok(())
    }
}
