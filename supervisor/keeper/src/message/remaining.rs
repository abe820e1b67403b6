//! How processes are named that are still there.

use serde::{Deserialize, Serialize};

/// A process that would not go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Its pid.
    pub pid: i32,
    /// Its name as the kernel has it, 15 bytes at most.
    pub command: String,
    /// What keeps it, as far as can be seen.
    pub kept: Kept,
}

/// What keeps a process from going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// The kernel does not let us signal it.
    Refused,
    /// It waits inside the kernel (state D), mostly for a disk or a file server: it goes when that
    /// answers.
    Uninterruptible,
    /// A tracer holds it.
    Traced,
    /// It has been sent SIGKILL and is still there.
    Unseen,
}

/// A process that belongs to no run that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// Its pid.
    pub pid: i32,
    /// Its name as the kernel has it, 15 bytes at most.
    pub command: String,
    /// When it was started, in milliseconds of the Unix epoch.
    pub started_unix_ms: u64,
}
