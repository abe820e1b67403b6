//! Lines that services have written.

use serde::{Deserialize, Serialize};

/// Query of `GET /v1/logs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Names, separated by commas; empty means every service that has a log.
    #[serde(default)]
    pub services: String,
    /// Last lines of each service before following; none: 10.
    #[serde(default)]
    pub lines: Option<u32>,
    /// Go on with what is written from now on.
    #[serde(default)]
    pub follow: bool,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Who wrote it.
    pub service: String,
    /// When, as stamped by the keeper; empty for a marker.
    pub at: String,
    /// The line without its stamp and end; invalid UTF-8 is replaced.
    pub text: String,
    /// True for a line that the supervisor put in: a gap, a cut.
    #[serde(default)]
    pub marker: bool,
}
