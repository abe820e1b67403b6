//! How far a re-exec of the keeper has come, and the exec itself: the same process goes on with
//! another program, and gives that all it knows ([`crate::state`]).
//!
//! The program installed at the daemon's path is first tried beside the keeper ([`crate::trial`]),
//! while everything goes on. Once it has passed, the keeper waits until no thread of its own is at
//! work, since an exec ends all threads, and executes the program with two more arguments: the
//! descriptors of the state and of the present program. A new image that cannot go on with what it
//! was given executes the present program again, with the same state and its reason.
//!
//! Limits: [`QUIET_MS`]; a program that fails only later takes the keeper with it.

use std::{
    ffi::{CString, OsString},
    fs::File,
    os::{
        fd::{AsRawFd, RawFd},
        unix::ffi::OsStringExt,
    },
};

use nix::{errno::Errno, fcntl::AtFlags, unistd::execveat};

use crate::{
    clock::now_ms,
    inheritance::Keeping,
    message::KeeperRefusal,
    stderr,
    trial::{Passed, Trial},
};

/// Time for work that an exec would break or wait for.
pub(crate) const QUIET_MS: u64 = 2_000;
/// Time between two looks at it.
pub(crate) const LOOK_MS: u64 = 20;

/// Argument that stands before the reason of a program that gave up.
pub(crate) const WENT_BACK: &str = "--went-back";

/// How far it has come.
#[derive(Debug, Default)]
pub(crate) struct Reexec {
    stage: Stage,
    /// Times that this process has executed another program.
    pub(crate) execs: u32,
    /// Why the program that was installed last did not become this process's.
    pub(crate) refusal: Option<KeeperRefusal>,
}

#[derive(Debug, Default)]
enum Stage {
    /// Nobody has asked.
    #[default]
    None,
    Trying(Trial),
    /// Executed as soon as nothing is under way, or given up at this moment.
    Passed {
        passed: Passed,
        by: u64,
    },
}

impl Reexec {
    /// None goes on, after so many.
    pub(crate) const fn after(execs: u32) -> Self {
        Self {
            stage: Stage::None,
            execs,
            refusal: None,
        }
    }

    /// Whether a program is being tried, or has passed.
    pub(crate) const fn is_under_way(&self) -> bool {
        !matches!(self.stage, Stage::None)
    }

    /// A trial has begun.
    pub(crate) fn begins(&mut self, trial: Trial) {
        self.stage = Stage::Trying(trial);
    }

    /// The trial that goes on.
    pub(crate) const fn trial(&mut self) -> Option<&mut Trial> {
        match &mut self.stage {
            Stage::Trying(trial) => Some(trial),
            Stage::None | Stage::Passed { .. } => None,
        }
    }

    /// Takes the trial whose process has ended.
    pub(crate) fn take_trial(&mut self, pid: i32) -> Option<Trial> {
        match std::mem::take(&mut self.stage) {
            Stage::Trying(trial) if trial.is(pid) => Some(trial),
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// A program has passed.
    pub(crate) fn passes(&mut self, passed: Passed) {
        let by = now_ms() + QUIET_MS;
        self.stage = Stage::Passed { passed, by };
    }

    /// A program has passed: whether its time to wait is over.
    pub(crate) fn is_overdue(&self) -> Option<bool> {
        match &self.stage {
            Stage::Passed { by, .. } => Some(now_ms() >= *by),
            Stage::None | Stage::Trying(_) => None,
        }
    }

    /// Takes the program that has passed.
    pub(crate) fn take_passed(&mut self) -> Option<Passed> {
        match std::mem::take(&mut self.stage) {
            Stage::Passed { passed, .. } => Some(passed),
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// Ends whatever goes on.
    pub(crate) fn give_up(&mut self) {
        if let Some(trial) = self.trial() {
            trial.kill();
        }
        self.stage = Stage::None;
    }
}

/// Executes `program` in this process, with the state and with the program to go back to. Returns
/// only if that fails.
pub(crate) fn execute(
    program: &File,
    arguments: &[OsString],
    (state, earlier): (&File, &File),
    keeping: &Keeping<'_>,
) -> KeeperRefusal {
    let mut own = Keeping::default();
    own.keep(state);
    own.keep(earlier);
    let numbers = [state.as_raw_fd(), earlier.as_raw_fd()];
    let arguments = arguments.iter().cloned();
    let arguments = arguments.chain(numbers.map(|it: RawFd| it.to_string().into()));
    stderr::flush();
    let survive = |survive| keeping.survive(survive).and(own.survive(survive));
    let executed = survive(true).and_then(|()| exec(program, arguments));
    let _ = survive(false);
    let Err(error) = executed;
    KeeperRefusal::NotExecuted {
        error: error.to_string(),
    }
}

/// Executes `program` with these arguments and this process's own environment.
pub(crate) fn exec(
    program: &File,
    arguments: impl Iterator<Item = OsString>,
) -> Result<std::convert::Infallible, Errno> {
    let string = |bytes: Vec<u8>| CString::new(bytes).map_err(|_| Errno::EINVAL);
    let arguments = arguments.map(|one| string(one.into_vec()));
    let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
    let environment = std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        string(name.into_vec())
    });
    let environment = environment.collect::<Result<Vec<_>, _>>()?;
    let flags = AtFlags::AT_EMPTY_PATH;
    execveat(program, c"", &arguments, &environment, flags)
}
