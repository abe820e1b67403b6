//! Lines that services have written.

use serde::{Deserialize, Serialize};

/// Query of `GET /v1/logs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Names, separated by commas; empty means every service that has a log.
    #[serde(default)]
    pub services: String,
    /// Last lines of each service (that match, with `grep` and the others) before following; none:
    /// 10, or, where `since`, `until`, `grep` or `after` say which, all of them.
    #[serde(default)]
    pub lines: Option<u32>,
    /// Go on with what is written from now on.
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
    /// `grep` takes upper and lower case for the same.
    #[serde(default)]
    pub ignore_case: bool,
    /// The files that the programs write themselves (`log_files`), too.
    #[serde(default)]
    pub files: bool,
    /// Go on behind these lines: the last [`LogLine::cursor`] of each service and file, separated
    /// by commas. `lines` and `since` are for those of which there is none.
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

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogLine {
    /// Who wrote it.
    pub service: String,
    /// When, as stamped by the keeper; empty for a marker.
    pub at: String,
    /// The line without its stamp and end; invalid UTF-8 is replaced.
    pub text: String,
    /// File that it comes from, if that is one of the service's `log_files`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// True for a line that the supervisor put in: a gap, a cut.
    #[serde(default)]
    pub marker: bool,
    /// Its place, for [`LogQuery::after`]; nothing else is to be read from it. Empty for a line
    /// that is in no file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cursor: String,
}
