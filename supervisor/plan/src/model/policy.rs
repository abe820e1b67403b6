//! Reaction to the end of a run, and how a service is asked to end or to take a new configuration.

use std::collections::BTreeSet;

pub use run_model::{Escalation, Stop};
use serde::{Deserialize, Serialize};

use super::ready::Probe;

/// See `engine::Restart`; the same fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Which exits are followed by a new run.
    pub policy: Policy,
    /// Exit codes that count as success besides 0.
    pub success_codes: BTreeSet<i32>,
    /// Signals that count as success, by number.
    pub success_signals: BTreeSet<i32>,
    /// Exit codes that no other run follows.
    pub prevent_codes: BTreeSet<i32>,
    /// Signals that no other run follows, by number.
    pub prevent_signals: BTreeSet<i32>,
    /// Pause before the second early death's restart.
    pub delay_ms: u64,
    /// Growth of the pause, in thousandths.
    pub factor_milli: u32,
    /// No pause is longer.
    pub max_delay_ms: u64,
    /// Random lengthening, in thousandths.
    pub jitter_milli: u32,
    /// Up this long clears the count.
    pub reset_after_ms: u64,
    /// At most this many starts within that many milliseconds.
    pub limit: Option<(u32, u64)>,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: Policy::Always,
            success_codes: BTreeSet::new(),
            success_signals: BTreeSet::new(),
            prevent_codes: BTreeSet::new(),
            prevent_signals: BTreeSet::new(),
            delay_ms: 1000,
            factor_milli: 2000,
            max_delay_ms: 60_000,
            jitter_milli: 100,
            reset_after_ms: 60_000,
            limit: None,
        }
    }
}

/// Which exits of a run are followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Every exit.
    Always,
    /// Every exit; a hold survives a reboot.
    UnlessStopped,
    /// Exits that are not a success.
    OnFailure,
    /// None.
    Never,
}

/// How a service takes a new configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// Signal or command that starts the reload.
    pub how: ReloadHow,
    /// Longest time of it, confirmation included.
    pub timeout_ms: u64,
    /// Probe that confirms the new configuration; none: no confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Probe>,
}

/// How a service is asked to take a new configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReloadHow {
    /// A signal, by number.
    Signal(i32),
    /// A command.
    Command(Vec<String>),
}
