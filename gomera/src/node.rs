//! Nodes as processes.

use gomera_host::node::StartError;

use crate::exit::{Failure, Reason};

/// Whose fault it is that a node did not start.
pub fn failure(error: StartError) -> Failure {
    let reason = match &error {
        StartError::ConnectionPoint(_)
        | StartError::ClientDoor(_)
        | StartError::AccessPoint(_)
        | StartError::Matcher(_)
        | StartError::ExitPoint(_)
        | StartError::Coordination(_)
        | StartError::Unreachable { .. } => Reason::Configuration,
        StartError::Connect(_) | StartError::Service(_) | StartError::Listen(_) => Reason::Unavailable,
        StartError::Metrics(_) | StartError::System(_) => Reason::Internal,
    };
    Failure::new(reason, error)
}
