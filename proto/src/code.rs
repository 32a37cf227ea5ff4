//! The one table from our kinds of failure to gRPC status codes.

use gomera_connection_point::client::{Failure, FailureKind};
use tonic::{Code, Status};

/// The code that a client sees.
#[must_use]
pub fn code(kind: FailureKind) -> Code {
    match kind {
        FailureKind::Invalid => Code::InvalidArgument,
        FailureKind::Precondition => Code::FailedPrecondition,
        FailureKind::NotFound => Code::NotFound,
        FailureKind::AlreadyExists => Code::AlreadyExists,
        FailureKind::OutOfRange => Code::OutOfRange,
        FailureKind::Exhausted => Code::ResourceExhausted,
        FailureKind::Unavailable => Code::Unavailable,
        FailureKind::Aborted => Code::Aborted,
        FailureKind::Unimplemented => Code::Unimplemented,
    }
}

/// The status that ends a call.
#[must_use]
pub fn status(failure: Failure) -> Status {
    Status::new(code(failure.kind), failure.message)
}
