//! Errors of the API, in a form that `ctl` turns into a message and an exit code.

use serde::{Deserialize, Serialize};

/// The body of every error answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorReply {
    /// The kind; it decides the exit code of `ctl`.
    pub kind: ErrorKind,
    /// What could not be done, in lower case, without a full stop.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// Malformed request, unknown path or field. Exit code 2.
    Usage,
    /// No service of that name. Exit code 4.
    UnknownService,
    /// The caller may not do this. Exit code 6.
    NotAllowed,
    /// The engine refused: shutting down, requirement held, not running. Exit code 1.
    Refused,
    /// Another job runs, and only one may run at a time. Exit code 1.
    JobRuns,
    /// A job keeps a service stopped. Exit code 1.
    Leased,
    /// The configuration is not valid. Exit code 1.
    Configuration,
    /// Too many requests at once. Exit code 1.
    Busy,
    /// An internal failure. Exit code 1.
    Internal,
}
