//! The end of a main run, as it is told: how, why, and what the engine has decided to do next. Told
//! once a run, when nothing of it is left, or when the keeper has given up on what is left.

use alloc::string::String;

use run_model::Exit;

use crate::{
    ids::{RunId, ServiceId},
    state::{Failure, Kill, StopCause},
};

/// A main run that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whose.
    pub service: ServiceId,
    /// The run.
    pub run: RunId,
    /// How its main process ended.
    pub exit: Exit,
    /// Why it went down.
    pub cause: StopCause,
    /// It had been sent SIGKILL, and why. None of one that had outlived it.
    pub killed: Option<Kill>,
    /// In words, what its probe or watchdog had said, where that is the cause; may be empty.
    pub said: String,
    /// What follows.
    pub next: Next,
}

/// What follows the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
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
        /// Each of them was a failure.
        failed: bool,
    },
    /// None: it is down as somebody wants it, or has done its work.
    Rest,
    /// None: it has failed.
    Fail(Failure),
}

/// What is known of an end before it is decided what follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) run: RunId,
    pub(crate) exit: Exit,
    pub(crate) cause: StopCause,
    pub(crate) killed: Option<Kill>,
}
