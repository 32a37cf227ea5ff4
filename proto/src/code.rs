//! The one table from our kinds of failure and refusal to gRPC status codes.

use gomera_connection_point::client::{Failure, FailureKind};
use gomera_coordinator::operations::RefusalKind;
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

/// The code of an operation that is refused.
#[must_use]
pub fn of_refusal(kind: RefusalKind) -> Code {
    match kind {
        RefusalKind::Invalid => Code::InvalidArgument,
        RefusalKind::NotFound => Code::NotFound,
        RefusalKind::AlreadyExists => Code::AlreadyExists,
        RefusalKind::Precondition => Code::FailedPrecondition,
        RefusalKind::Exhausted => Code::ResourceExhausted,
        RefusalKind::Unavailable => Code::Unavailable,
    }
}

/// The status that ends a call.
#[must_use]
pub fn status(failure: Failure) -> Status {
    Status::new(code(failure.kind), failure.message)
}
