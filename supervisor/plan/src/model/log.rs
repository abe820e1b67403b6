//! A service's log: rotation, and where else its lines go.

use serde::{Deserialize, Serialize};

/// Rotation of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Size at which `current` is rotated.
    pub size_bytes: u64,
    /// Rotated files that are kept.
    pub keep: u32,
    /// `current` is rotated when its first line is this old; none: by size alone.
    pub age_ms: Option<u64>,
    /// Rotated files are compressed with zstd, except for the newest.
    #[serde(default = "yes")]
    pub compress: bool,
    /// Where each line goes besides the file; none: nowhere.
    #[serde(default)]
    pub forward: Option<Forward>,
}

const fn yes() -> bool {
    true
}

impl Default for Log {
    fn default() -> Self {
        Self {
            size_bytes: 10 << 20,
            keep: 10,
            age_ms: None,
            compress: true,
            forward: None,
        }
    }
}

/// Where log lines also go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Where.
    pub to: ForwardTo,
    /// Form of a line on the daemon's standard output.
    pub format: ForwardFormat,
}

/// A place for log lines besides the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardTo {
    /// `/dev/log`.
    Syslog,
    /// The journal's own socket.
    Journal,
    /// The daemon's standard output, for containers.
    Stdout,
}

/// How a line looks on the daemon's standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardFormat {
    /// `SERVICE | line`.
    Text,
    /// One JSON object a line: `{"at","service","text"}`.
    Json,
}

/// Values of `forward`.
pub(crate) const PLACES: &[(&str, Option<ForwardTo>)] = &[
    ("none", None),
    ("syslog", Some(ForwardTo::Syslog)),
    ("journal", Some(ForwardTo::Journal)),
    ("stdout", Some(ForwardTo::Stdout)),
];

/// Values of `format`.
pub(crate) const FORMATS: &[(&str, ForwardFormat)] =
    &[("text", ForwardFormat::Text), ("json", ForwardFormat::Json)];

/// The error for a `format` that has no effect.
pub(crate) const STDOUT_ONLY: &str = "has a meaning with forward = \"stdout\" only";

/// Log defaults of the site file for all services.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogDefault {
    pub(crate) forward: Option<ForwardTo>,
    pub(crate) format: Option<ForwardFormat>,
}
