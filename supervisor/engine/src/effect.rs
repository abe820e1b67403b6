//! What the control process has to do for the engine, in the order of execution. The outcome of an
//! effect comes back as a fact.
//!
//! Invariant: the control process persists what a successor must know before it acts on that, so
//! `Ended` and `Changed` come before the effects that rest on them.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::{
    ended::Ended,
    ids::{RunId, ServiceId},
};

/// One thing to do. The control process carries effects out in the order of polling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The shown or persistent state of this service has changed. Comes before the effects that
    /// rest on the change: persist [`crate::Engine::record`], then go on.
    Changed {
        /// The service whose record changed.
        service: ServiceId,
    },
    /// Run the service's validator; answers `Validated`.
    Validate {
        /// The service to validate.
        service: ServiceId,
        /// The validator's own run.
        run: RunId,
    },
    /// Start the main process; answers `Spawned` or `SpawnFailed`.
    Spawn {
        /// The service to start.
        service: ServiceId,
        /// The new run.
        run: RunId,
    },
    /// Send a signal to the main process.
    Signal {
        /// The service whose process gets the signal.
        service: ServiceId,
        /// The service's main run, or its validator's run.
        run: RunId,
        /// The signal's number.
        signal: i32,
        /// Why the signal is sent.
        purpose: SignalPurpose,
    },
    /// SIGKILL everything of the run, main process and all. `Exited` and `Swept` follow.
    Kill {
        /// The service whose run is killed.
        service: ServiceId,
        /// The service's main run, or its validator's run.
        run: RunId,
    },
    /// Make one attempt of a probe; answers `Probed`. The next attempt comes only after the answer.
    Probe {
        /// The service to probe.
        service: ServiceId,
        /// The service's main run.
        run: RunId,
        /// Which probe.
        probe: ProbeKind,
    },
    /// Run the reload command; answers `Reloaded`.
    ReloadCommand {
        /// The service to reload.
        service: ServiceId,
        /// The reload command's own run.
        run: RunId,
        /// The service's main run.
        of: RunId,
    },
    /// A main run is over. Comes before `Changed`; persist it first: the record of the next state
    /// no longer tells of the run before.
    Ended(Box<Ended>),
    /// The service left the plan and is gone: forget all about it.
    Forget {
        /// The service to forget.
        service: ServiceId,
    },
    /// The shutdown is complete.
    ShutdownComplete {
        /// Whether nothing was left over: every process has ended.
        clean: bool,
    },
}

/// Why the engine sends a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalPurpose {
    /// The run is to end. SIGCONT goes along, since a paused process cannot handle the stop signal.
    Stop,
    /// The run is to take a new configuration.
    Reload,
    /// A client asked for the signal, for reasons of its own.
    Asked,
}

/// Kubernetes' three probes, and the confirmation of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProbeKind {
    /// May dependents start?
    Ready,
    /// Must the run be restarted?
    Liveness,
    /// Are the service and all that it needs healthy?
    Health,
    /// Does the run use the configuration of this reload?
    Confirm(RunId),
}
