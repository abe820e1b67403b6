//! Whether a run that SIGKILL ended did so at once. A word of its own for the lifecycle, status and
//! `why`.

use engine::Kill;

/// How our SIGKILL ended a run.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) enum Killed {
    /// While the engine waited for it.
    Now(Kill),
    /// After the run had been given up as not ending by SIGKILL.
    LongBefore,
}
