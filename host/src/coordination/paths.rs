//! Where everything stands: the tree of `DESIGN.md` section 5.

use std::sync::Arc;

use gomera_cluster::address::Layer;
use gomera_coordinator::Registration;
use gomera_coordinator::operations::OperationId;
use gomera_coordinator::tree::Stamp;

use super::hints::Topic;

/// The znode that holds all clusters.
pub(super) const ROOT: &str = "/gomera";

/// What the znode below the layout is called that puts the proposal of one write into force.
pub(super) fn commit_name(proposed: Stamp) -> String {
    format!("of-{:016x}", proposed.modified)
}

/// Whether a znode below the layout is called so.
pub(super) fn is_commit(name: &str) -> bool {
    name.starts_with("of-")
}

/// The paths of one cluster.
#[derive(Debug)]
pub(super) struct Paths {
    name: Arc<str>,
    base: String,
}

impl Paths {
    pub(super) fn new(cluster: &str) -> Self {
        Self { name: Arc::from(cluster), base: format!("{ROOT}/{cluster}") }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    pub(super) fn cluster(&self) -> String {
        self.base.clone()
    }

    /// Everything that must exist before anything else does, parents first.
    pub(super) fn folders(&self) -> Vec<String> {
        let mut folders = vec![String::from(ROOT), self.base.clone(), self.below("members")];
        folders.extend(Layer::ALL.map(|layer| self.members(layer)));
        folders.extend([self.below("coordinator"), self.candidates(), self.acks()]);
        folders.extend([self.operations(), self.below("desired"), self.loads()]);
        folders
    }

    pub(super) fn members(&self, layer: Layer) -> String {
        format!("{}/members/{layer}", self.base)
    }

    pub(super) fn member(&self, registration: &Registration) -> String {
        format!("{}/{}", self.members(registration.layer), registration.znode())
    }

    pub(super) fn acks(&self) -> String {
        self.below("acks")
    }

    pub(super) fn ack(&self, registration: &Registration) -> String {
        format!("{}/acks/{}", self.base, registration.znode())
    }

    pub(super) fn loads(&self) -> String {
        self.below("load")
    }

    pub(super) fn load(&self, registration: &Registration) -> String {
        format!("{}/load/{}", self.base, registration.znode())
    }

    pub(super) fn term(&self) -> String {
        self.below("coordinator/term")
    }

    pub(super) fn candidates(&self) -> String {
        self.below("coordinator/candidates")
    }

    pub(super) fn status(&self) -> String {
        self.below("coordinator/status")
    }

    pub(super) fn supply(&self) -> String {
        self.below("coordinator/supply")
    }

    pub(super) fn layout(&self) -> String {
        self.below("layout")
    }

    /// Says by its name, which events tell, that the proposal of one write is in force: [`commit_name`].
    pub(super) fn commit(&self, name: &str) -> String {
        format!("{}/layout/{name}", self.base)
    }

    pub(super) fn proposed(&self) -> String {
        self.below("proposed")
    }

    pub(super) fn config(&self) -> String {
        self.below("config")
    }

    pub(super) fn desired(&self, layer: Layer) -> String {
        format!("{}/desired/{layer}", self.base)
    }

    pub(super) fn operations(&self) -> String {
        self.below("operations")
    }

    pub(super) fn operation(&self, id: &OperationId) -> String {
        format!("{}/operations/{id}", self.base)
    }

    pub(super) fn of_topic(&self, topic: Topic) -> Vec<String> {
        match topic {
            Topic::Members => vec![self.below("members")],
            Topic::Layout => vec![self.layout()],
            Topic::Proposed => vec![self.proposed()],
            Topic::Acknowledgements => vec![self.acks()],
            Topic::Desired => vec![self.below("desired")],
            Topic::Operations => vec![self.operations()],
            Topic::Leadership => vec![self.candidates(), self.term()],
        }
    }

    fn below(&self, relative: &str) -> String {
        format!("{}/{relative}", self.base)
    }
}
