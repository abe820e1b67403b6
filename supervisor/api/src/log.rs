//! Log lines of services: the query, and the answer.

use serde::{Deserialize, Serialize};

/// Query of `GET /v1/logs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Names, separated by commas; empty means every service that has a log.
    #[serde(default)]
    pub services: String,
    /// Number of last lines of each service (matching lines, if there is a filter) before
    /// following. Absent: 10, or every line where `since`, `until`, `grep` or `after` selects the
    /// lines.
    #[serde(default)]
    pub lines: Option<u32>,
    /// Continue with lines that are written from now on.
    #[serde(default)]
    pub follow: bool,
    /// Only lines from this moment on, RFC 3339.
    #[serde(default)]
    pub since: Option<String>,
    /// Only lines before this moment, RFC 3339.
    #[serde(default)]
    pub until: Option<String>,
    /// Only lines that match this regular expression.
    #[serde(default)]
    pub grep: Option<String>,
    /// Whether `grep` ignores the case of letters.
    #[serde(default)]
    pub ignore_case: bool,
    /// Include the files that programs write themselves (`log_files`).
    #[serde(default)]
    pub files: bool,
    /// Continue after these lines: the last [`LogLine::cursor`] of each service and file, separated
    /// by commas. `lines` and `since` apply to services and files without a cursor here.
    #[serde(default)]
    pub after: String,
}

/// Answer to `POST /v1/logs/rotate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RotateReply {
    /// Services whose `current` is being rotated.
    pub services: Vec<String>,
}

/// A log line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogLine {
    /// The service that wrote the line.
    pub service: String,
    /// When the keeper received the line, as the keeper stamped it; empty for a marker.
    pub at: String,
    /// The line without its stamp and end; invalid UTF-8 is replaced.
    pub text: String,
    /// The file of the line, if the line is from one of the service's `log_files`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Whether the supervisor inserted the line: a gap, a cut.
    #[serde(default)]
    pub marker: bool,
    /// The place of the line, for [`LogQuery::after`]; opaque to clients. Empty for a line that is
    /// in no file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cursor: String,
}
