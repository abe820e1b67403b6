//! The report of a main run's end: how, why, and what the engine does next. Each run is reported
//! once: when nothing of the run is left, or when the keeper has given up on its remains.

use alloc::string::String;

use run_model::Exit;

use crate::{
    ids::{RunId, ServiceId},
    state::{Failure, Kill, StopCause},
};

/// A main run that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The service of the run.
    pub service: ServiceId,
    /// The run that is over.
    pub run: RunId,
    /// How its main process ended.
    pub exit: Exit,
    /// Why the run went down.
    pub cause: StopCause,
    /// Why the run was sent SIGKILL, if it was; none for a run that had outlived SIGKILL.
    pub killed: Option<Kill>,
    /// What the probe or watchdog said, if that is the cause; in words for people, may be empty.
    pub said: String,
    /// What follows the end.
    pub next: AfterRun,
}

/// What follows the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterRun {
    /// Another run, at once.
    Start,
    /// Another run, as soon as other services allow it.
    Wait,
    /// Another run, after a pause.
    Pause {
        /// Milliseconds.
        ms: u64,
        /// Early ends in a row; at least two.
        early: u32,
        /// Whether each of these runs failed.
        failed: bool,
    },
    /// No other run: the service is down as wanted, or has done its work.
    Rest,
    /// No other run: the service has failed.
    Fail(Failure),
}

/// What is known of an end before the engine decides what follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) run: RunId,
    pub(crate) exit: Exit,
    pub(crate) cause: StopCause,
    pub(crate) killed: Option<Kill>,
}
