//! When a service is ready, live and healthy.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// When a service is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The sign of readiness.
    pub kind: ReadyKind,
    /// Longest time until the service is ready; none: unlimited.
    pub timeout_ms: Option<u64>,
}

impl Default for Ready {
    fn default() -> Self {
        Self {
            kind: ReadyKind::Exec,
            timeout_ms: None,
        }
    }
}

/// The sign by which a service is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadyKind {
    /// Exec has succeeded.
    Exec,
    /// READY=1 by `sd_notify`.
    Notify,
    /// A newline on this file descriptor, as s6 has it.
    Fd(i32),
    /// The service logs a line that matches this regular expression.
    Log(String),
    /// This many milliseconds after exec.
    Delay(u64),
    /// A probe succeeds.
    Probe(Probe),
}

/// A question that is asked at intervals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The question.
    pub ask: Ask,
    /// Wait before the first attempt.
    pub delay_ms: u64,
    /// Pause between attempts.
    pub interval_ms: u64,
    /// Longest time of one attempt.
    pub timeout_ms: u64,
    /// Failures in a row that count.
    pub failures: u32,
    /// Successes in a row that count.
    pub successes: u32,
}

/// How the supervisor sees that users are told of maintenance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceConfirm {
    /// An [`Ask::Http`]. A yes means that users are told of maintenance, any other answer that they
    /// are not.
    pub probe: Probe,
    /// Longest time until the supervisor sees it, in milliseconds.
    pub timeout_ms: u64,
}

/// Question of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// GET this `http://` URL; the answer's status must be one of these (empty: 200 to 399).
    Http {
        /// `http://host:port/path?query`.
        url: String,
        /// Asked by this unix stream socket, whatever host and port the URL has; none: by those.
        socket: Option<PathBuf>,
        /// Accepted status codes.
        status: Vec<u16>,
        /// The body must contain this.
        body: Option<String>,
    },
    /// Connect to `host:port`.
    Tcp(String),
    /// Connect to this unix stream socket; `@name` is an abstract one.
    Unix(PathBuf),
    /// Run this command as the service's user, in its environment; exit code 0 is a yes.
    Exec(Vec<String>),
}
