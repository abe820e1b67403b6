//! What the engine wants done, in the order in which it is to be done. The outcome comes back as a
//! fact.
//!
//! Invariant: what a successor of the control process must know is persisted before it is acted
//! upon, so `Ended` and `Changed` come before the effects that rest on them.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::{
    ended::Ended,
    ids::{RunId, ServiceId},
};

/// One thing to do. Effects are to be carried out in the order in which they are polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What is to be shown or remembered of this service has changed. Comes before the effects
    /// that rest on it: persist [`crate::Engine::record`], then go on.
    Changed {
        /// Whose record.
        service: ServiceId,
    },
    /// Run the service's validator; answers `Validated`.
    Validate {
        /// Whose.
        service: ServiceId,
        /// The validator's own run.
        run: RunId,
    },
    /// Start the main process; answers `Spawned` or `SpawnFailed`.
    Spawn {
        /// Whose.
        service: ServiceId,
        /// The new run.
        run: RunId,
    },
    /// Send a signal to the main process.
    Signal {
        /// Whose.
        service: ServiceId,
        /// Its main run, or its validator's.
        run: RunId,
        /// The signal's number.
        signal: i32,
        /// What it is to bring about.
        purpose: SignalPurpose,
    },
    /// SIGKILL everything of the run, main process and all. `Exited` and `Swept` follow.
    Kill {
        /// Whose.
        service: ServiceId,
        /// Its main run, or its validator's.
        run: RunId,
    },
    /// One attempt of a probe; answers `Probed`. There is never a second one before the answer.
    Probe {
        /// Whose.
        service: ServiceId,
        /// The service's main run.
        run: RunId,
        /// Which probe.
        probe: ProbeKind,
    },
    /// Run the reload command; answers `Reloaded`.
    ReloadCommand {
        /// Whose.
        service: ServiceId,
        /// The reload command's own run.
        run: RunId,
        /// The service's main run.
        of: RunId,
    },
    /// A main run is over. Comes before `Changed`, and is to be persisted first: a record that
    /// shows what follows tells no more of what was before.
    Ended(Box<Ended>),
    /// The service left the plan and is gone: forget all about it.
    Forget {
        /// Which.
        service: ServiceId,
    },
    /// The shutdown is complete.
    ShutdownComplete {
        /// Nothing was left that would not go.
        clean: bool,
    },
}

/// What a signal is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalPurpose {
    /// The run is to end: SIGCONT goes with it, for a paused process must be woken to see it.
    Stop,
    /// The run is to take its configuration.
    Reload,
    /// What the client knows who asked for it.
    Asked,
}

/// Kubernetes' three questions, and one about a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProbeKind {
    /// May dependents start?
    Ready,
    /// Must it be restarted?
    Liveness,
    /// Is all that it needs well?
    Health,
    /// Does it run with the configuration of this reload?
    Confirm(RunId),
}
