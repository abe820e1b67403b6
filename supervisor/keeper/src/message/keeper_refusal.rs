//! Why another program does not become the keeper's: a type, so that nobody reads a sentence.

use serde::{Deserialize, Serialize};

use super::{Exit, SpawnStage};
use crate::exit_text::exit_text;

/// Why the keeper goes on with the program that it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refusal", rename_all = "kebab-case")]
pub enum KeeperRefusal {
    /// Something else replaces a program.
    #[error("another program is being started already: give the command again")]
    Busy,
    /// The daemon is asked to end.
    #[error("the daemon is ending")]
    Ending,
    /// The program that is installed now cannot be opened.
    #[error("cannot open {path}: {error}")]
    NotOpened {
        /// Where the daemon's program was when it was started.
        path: String,
        /// Error of the system.
        error: String,
    },
    /// No trial of the program could be started.
    #[error("cannot start {path}: {stage}: {error}")]
    NotStarted {
        /// The program.
        path: String,
        /// Step that failed.
        stage: SpawnStage,
        /// Error of the system.
        error: String,
    },
    /// The state could not be written down.
    #[error("cannot write the state down: {error}")]
    NotWritten {
        /// Error of the system.
        error: String,
    },
    /// The trial does not read this state.
    #[error("the installed program (version {program}) cannot take over: {why}")]
    State {
        /// Version of the installed program.
        program: String,
        /// What it says of the state.
        why: StateRefusal,
    },
    /// The trial ended, and did not say that it can read the state.
    #[error("the installed program ended without an answer ({})", exit_text(*.exit))]
    Ended {
        /// How it ended.
        exit: Exit,
    },
    /// The trial did not answer and end in time.
    #[error("the installed program did not answer within {seconds} s")]
    Silent {
        /// The time that it had.
        seconds: u64,
    },
    /// Work is under way that an exec would break or wait for.
    #[error("{work} for longer than {seconds} s")]
    Working {
        /// What it is.
        work: Work,
        /// The time that it had.
        seconds: u64,
    },
    /// The exec itself failed.
    #[error("cannot execute it: {error}")]
    NotExecuted {
        /// Error of the system.
        error: String,
    },
    /// The new program was executed and could not go on with what it was given, though its trial
    /// could: the program before it was executed again.
    #[error("the installed program took over and gave up: {why}")]
    WentBack {
        /// What it could not do.
        why: ResumeFailure,
    },
}

impl KeeperRefusal {
    /// Whether the installed program is at fault, so that the same follows if it is tried again.
    #[must_use]
    pub const fn is_about_the_program(&self) -> bool {
        match self {
            Self::NotOpened { .. }
            | Self::NotStarted { .. }
            | Self::State { .. }
            | Self::Ended { .. }
            | Self::Silent { .. }
            | Self::NotExecuted { .. }
            | Self::WentBack { .. } => true,
            Self::Busy | Self::Ending | Self::NotWritten { .. } | Self::Working { .. } => false,
        }
    }
}

/// Work that ends by itself, unless it hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// The log thread writes to a disk.
    #[error("the log thread has not written what it has read")]
    Logs,
    /// A thread closes what a service has sent.
    #[error("a thread has not closed what a service has sent to its notify socket")]
    Descriptors,
    /// The control process does not read.
    #[error("the control process has not read what it was told")]
    Control,
}

/// Why a saved state is not read: never as something that it is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum StateRefusal {
    /// It is no state of a keeper at all.
    #[error("what it was given is no state of a keeper")]
    Foreign,
    /// It is of a version that this program does not know.
    #[error(
        "it reads version {known} of the keeper's state, and this is version {found}: install a \
         version that reads both, or end the daemon and start it again"
    )]
    OtherVersion {
        /// Version of the state.
        found: u32,
        /// Newest version that is read.
        known: u32,
    },
    /// It has the right version and another form.
    #[error("the state is not what its version says, in column {column}")]
    Malformed {
        /// Where; a state holds secrets, so no text of it is quoted.
        column: usize,
    },
    /// It cannot be read.
    #[error("cannot read the state: {error}")]
    Unreadable {
        /// Error of the system.
        error: String,
    },
}

/// Why a new program gives up what it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum ResumeFailure {
    /// It does not read the state.
    #[error("{0}")]
    State(StateRefusal),
    /// It could not do a step.
    #[error("could not {step}: {error}")]
    Step {
        /// The step.
        step: String,
        /// Error of the system.
        error: String,
    },
}
