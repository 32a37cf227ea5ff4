//! What can go wrong, by what was attempted. A variant exists only where a program acts differently on it.

/// Connecting to a cluster failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// No endpoint was given.
    #[error("no endpoint given, must have at least one such as http://127.0.0.1:7411")]
    NoEndpoint,
    /// An endpoint is not an address.
    #[error("endpoint `{endpoint}` is not an address such as http://127.0.0.1:7411: {reason}")]
    InvalidEndpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// No endpoint answers.
    #[error("no endpoint answers; the last one tried, {endpoint}: {reason}")]
    Unreachable {
        /// The last one tried.
        endpoint: String,
        /// Why it did not answer.
        reason: String,
    },
}

/// Publishing failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PublishError {
    /// The publication breaks a rule; it was not sent.
    #[error("publication not sent: {0}")]
    Invalid(String),
    /// The cluster did not take this publication; others are not concerned.
    #[error("publication refused ({code:?}): {message}")]
    Refused {
        /// Its kind.
        code: tonic::Code,
        /// Why.
        message: String,
    },
    /// The publisher is over: superseded, not allowed, or closed.
    #[error("publisher ended: {0}")]
    Ended(String),
    /// No connection for longer than `Reconnect::give_up_after`; whether it was published is not known.
    #[error("cluster unavailable: {0}")]
    Unavailable(String),
}

/// A session could not be attached, or is over.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SessionError {
    /// A newer attachment under the same name took over.
    #[error("session superseded by a newer attachment under the same name: {0}")]
    Superseded(String),
    /// It fell behind, and its policy is to end then.
    #[error("session ended because its subscriber fell behind: {0}")]
    Slow(String),
    /// The cluster does not want it.
    #[error("session refused ({code:?}): {message}")]
    Refused {
        /// Its kind.
        code: tonic::Code,
        /// Why.
        message: String,
    },
    /// No connection for longer than `Reconnect::give_up_after`.
    #[error("cluster unavailable: {0}")]
    Unavailable(String),
    /// It was ended or closed from here.
    #[error("session closed")]
    Closed,
}

/// An operation on a session failed; the session goes on unless it says otherwise.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OperationError {
    /// The filter does not parse.
    #[error("filter not understood: {message}")]
    Filter {
        /// What was expected.
        message: String,
        /// Where, in bytes from the start of the filter.
        offset: u32,
    },
    /// There is no such subscription.
    #[error("{0}")]
    NotFound(String),
    /// A limit was met.
    #[error("limit met: {0}")]
    Limit(String),
    /// It was refused for another reason.
    #[error("refused ({code:?}): {message}")]
    Refused {
        /// Its kind.
        code: tonic::Code,
        /// Why.
        message: String,
    },
    /// The session is over.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Another shape of the cluster was not asked for, or not told of.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ShapeError {
    /// It cannot be done; nothing has changed.
    #[error("{message}")]
    Refused {
        /// Its kind.
        code: tonic::Code,
        /// Why, and what would be right.
        message: String,
    },
    /// Nobody answers; whether it is done is not known: ask again under the same id.
    #[error("cluster unavailable: {0}")]
    Unavailable(String),
}

/// Bytes are not a publication (of a version this client knows).
#[derive(Clone, Debug, thiserror::Error)]
#[error("content of a notification is not a publication this client knows: {0}")]
pub struct DecodeError(pub(crate) String);
