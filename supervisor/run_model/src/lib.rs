//! How a run is asked to end, and how its process ended: values that the plan, the engine and the
//! keeper hand to each other unchanged.
//!
//! The three crates do not know each other. A type is here only if all who use it mean exactly the
//! same by it; a type that one of them reads differently belongs to that crate, and
//! `supervisor/src` translates.
#![no_std]
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// How a process ended, as `wait(2)` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By the signal of this number.
    Signal(i32),
}

/// How the main process of a run is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Number of the first signal.
    pub signal: i32,
    /// Second signal, for a process that the first signal does not end.
    pub escalation: Option<Escalation>,
    /// Time from the first signal to SIGKILL, in milliseconds.
    pub timeout_ms: u64,
}

/// A second signal to a run that takes its time to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// Number of the second signal.
    pub signal: i32,
    /// Time from the first signal to the second, in milliseconds; less than the timeout.
    pub after_ms: u64,
}

impl Stop {
    /// By one signal, and SIGKILL after so many milliseconds.
    pub const fn by(signal: i32, timeout_ms: u64) -> Self {
        Self {
            signal,
            escalation: None,
            timeout_ms,
        }
    }
}

impl Default for Stop {
    /// SIGTERM, and SIGKILL after 30 s: what a service file that says nothing means.
    fn default() -> Self {
        Self::by(15, 30_000)
    }
}
