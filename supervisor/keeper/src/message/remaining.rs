//! Processes that outlive their run or belong to none, as messages name them.

use serde::{Deserialize, Serialize};

/// A process that SIGKILL has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Its pid.
    pub pid: i32,
    /// Its name as the kernel has it, 15 bytes at most.
    pub command: String,
    /// What keeps the process alive, as far as can be seen.
    pub kept: Kept,
}

/// Why a process survives SIGKILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// The kernel refuses to let the keeper signal the process.
    Refused,
    /// The process waits inside the kernel (state D), mostly for a disk or a file server, and ends
    /// when that answers.
    Uninterruptible,
    /// A tracer holds it.
    Traced,
    /// No cause can be seen: SIGKILL has been sent and the process still exists.
    Unseen,
}

/// A process that belongs to no known run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// Its pid.
    pub pid: i32,
    /// Its name as the kernel has it, 15 bytes at most.
    pub command: String,
    /// When it was started, in milliseconds of the Unix epoch.
    pub started_unix_ms: u64,
}
