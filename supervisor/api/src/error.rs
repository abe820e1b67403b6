//! What goes wrong, in a form that ctl can turn into a message and an exit code.

use serde::{Deserialize, Serialize};

/// Every error that the API answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorReply {
    /// What kind: decides ctl's exit code.
    pub kind: ErrorKind,
    /// What could not be done, lower case, no full stop.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Kinds of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// Malformed request, unknown path or field. Exit code 2.
    Usage,
    /// No such service. Exit code 4.
    UnknownService,
    /// The peer may not do this. Exit code 6.
    NotAllowed,
    /// The engine refused: shutting down, requirement held, not running. Exit code 1.
    Refused,
    /// A job runs already, and there is one at a time. Exit code 1.
    JobRuns,
    /// A job keeps a service stopped. Exit code 1.
    Leased,
    /// The configuration does not check. Exit code 1.
    Configuration,
    /// Too many at once. Exit code 1.
    Busy,
    /// Something failed inside. Exit code 1.
    Internal,
}
