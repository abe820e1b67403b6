//! The rows of the machine's table: states without their data.
//!
//! Finer than [`State`] where the same input means something else: before and after SIGKILL, and
//! once the main process has ended. So an arm of the table is one row and one column, and never
//! looks into a state.

use crate::state::{State, StopPhase};

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No process, and none is due.
    Stopped,
    /// The service is to start, and waits for others.
    Waiting,
    /// The validator of a start runs.
    Validating,
    /// The process is being made.
    Spawning,
    /// Executing, not ready yet.
    Starting,
    /// Up and ready.
    Running,
    /// Up, taking a new configuration.
    Reloading,
    /// Told to end, by a signal that the process can handle.
    Terminating,
    /// SIGKILL has been asked for: of the run, or of a validator.
    Killing,
    /// The main process has ended; the keeper kills its remaining processes.
    Sweeping,
    /// Between two automatic starts.
    Backoff,
    /// Will not come back without a command.
    Failed,
    /// The work of the service is done.
    Completed,
}

impl State {
    /// The row of the table that decides for this state.
    pub(crate) const fn phase(&self) -> Phase {
        match self {
            Self::Stopped => Phase::Stopped,
            Self::Waiting { .. } => Phase::Waiting,
            Self::Validating { .. } => Phase::Validating,
            Self::Spawning { .. } => Phase::Spawning,
            Self::Starting { .. } => Phase::Starting,
            Self::Running { .. } => Phase::Running,
            Self::Reloading { .. } => Phase::Reloading,
            Self::Stopping { phase, .. } => match phase {
                StopPhase::Asked { .. } => Phase::Terminating,
                StopPhase::Killed { .. } => Phase::Killing,
                StopPhase::Sweep { .. } => Phase::Sweeping,
            },
            Self::Backoff { .. } => Phase::Backoff,
            Self::Failed { .. } => Phase::Failed,
            Self::Completed => Phase::Completed,
        }
    }
}
