//! Holds: the parent of every run, the reader of every log pipe. Decides nothing.
//!
//! The keeper is one small process. Its main thread spawns and reaps, talks to the control process
//! and to the machine's init; the log thread moves bytes from pipes to files; a third thread
//! watches spawns that take long; a fourth, started by the first line, writes to standard error.
//! What may hang (closing what a service has sent) is done by short-lived threads. The keeper
//! restarts a control process that dies, and hands it the runs and all facts that it has missed.
//!
//! Modules, from the loop downwards; none names one that stands above it, but for its own folder:
//!
//! | module | owns |
//! | --- | --- |
//! | `keeper` | the loop and its routes; `start` is all that comes before it |
//! | `shutdown`, `compressor`, `strays`, `places`, `catch_up` | one matter each, with its state |
//! | `control` | the control process, its successor, the link; `ping` asks whether it answers, `respawn` follows it |
//! | `runs` | runs and services: `spawn`, `notify`, `ready`, `end`, `sweep` |
//! | `leftovers` | what an earlier keeper has left |
//! | `kit` | what all of these work with: `poller`, `timers`, `fact_queue`, `log`, `init`, `record`, `original` |
//! | `lock`, `listener`, `removals`, `in_place` | files that the keeper holds open, and whether they are still there |
//! | `cgroup`, `traces`, `cookie`, `left`; the crate `proc` | what the kernel shows of processes, and whose they are |
//! | `message`, `link`, `hello` | what the two processes say to each other, and how |
//! | `log` | the log thread |
//! | `exit_text`, `stderr_log`, `stderr`, `journal` | the keeper's own log lines, and the way of every line of the daemon's to its standard error |
//! | `spawn_watchdog` | frees the main thread from a child that does not reach its exec |
//! | `sys` | the only `unsafe` |
//! | `keeper_lost` | for a control process whose keeper has died |

use std::{ffi::OsString, os::fd::RawFd, path::PathBuf, process::ExitCode};

mod bytes;
mod catch_up;
mod cgroup;
mod clock;
mod compressor;
mod control;
mod cookie;
mod exit_text;
mod fact_queue;
pub mod hello;
mod in_place;
mod inheritance;
mod init;
pub mod journal;
mod keeper;
pub mod keeper_lost;
mod kit;
mod left;
mod leftovers;
pub mod link;
mod listener;
mod lock;
pub mod log;
pub mod message;
mod original;
mod places;
mod poller;
mod record;
mod reexec;
mod removals;
mod runs;
mod shutdown;
mod signals;
mod spawn_watchdog;
mod state;
pub mod stderr;
pub mod stderr_log;
mod strays;
mod sys;
mod timers;
mod traces;
mod trial;

pub use keeper::resume::Given;

/// Number under which the control process finds its end of the link.
pub const CONTROL_FD: RawFd = 3;
/// Numbers under which the control process finds the locks; it only has to keep them open.
pub const LOCK_FDS: [RawFd; 2] = [4, 5];

/// The control process's end of the link with its keeper. Works once a process.
pub fn link_to_keeper() -> std::io::Result<link::Link> {
    sys::inherited::take(CONTROL_FD).map(link::Link::new)
}

/// Kernel features for a server on a unix socket that no library offers in safe Rust.
pub mod socket {
    pub use crate::sys::socket::{Received, peer_groups, receive};
}

/// Returns freed memory to the kernel, after a burst of work.
pub fn release_memory() {
    sys::memory::release();
}

/// Version of this program.
pub(crate) const PROGRAM_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Configuration of the keeper.
#[derive(Clone, Debug)]
pub struct Config {
    /// Prefix of all paths.
    pub root: PathBuf,
    /// Holds a lock, the records of runs and the notify sockets; it exists.
    pub run_dir: PathBuf,
    /// Holds the second lock; it exists.
    pub state_dir: PathBuf,
    /// Where the control socket is bound.
    pub control_socket: PathBuf,
    /// Names this state on the machine, in the name of the cgroup.
    pub state_hash: String,
    /// Arguments of the control process, its name first. It runs the keeper's own program.
    pub control_argv: Vec<OsString>,
    /// Arguments of a program that is tried before it becomes the keeper's, its name first; it calls
    /// [`answer_trial`].
    pub trial_argv: Vec<OsString>,
    /// Arguments of a program that becomes the keeper's, its name first. The descriptors of
    /// [`Given`] follow, `state` first, and `--went-back` with its text if there is one; it calls
    /// [`resume`].
    pub resume_argv: Vec<OsString>,
    /// Own log lines as JSON.
    pub log_json: bool,
}

/// Runs the keeper until all runs have been stopped. Errors go to standard error.
///
/// To be called before any other thread is started and anything is opened: it blocks signals,
/// changes limits of the process, and closes what was left open by whoever has started it.
pub fn run(config: Config) -> ExitCode {
    speak(&config);
    let code = match keeper::start::start(config) {
        Ok(keeper) => keeper.run(),
        Err(keeper::start::StartError::Interrupted) => ExitCode::SUCCESS,
        Err(error) => {
            stderr_log::error!("{error}");
            ExitCode::FAILURE
        }
    };
    stderr::flush();
    code
}

/// Goes on as the keeper whose state another program has left in this process. Returns only if
/// neither this program nor the one before can. The same holds as for [`run`].
pub fn resume(config: Config, given: &Given) -> ExitCode {
    speak(&config);
    let code = keeper::resume::resume(config, given);
    stderr::flush();
    code
}

/// Says on standard output whether this program can become that of a keeper with the state that it
/// was given.
pub fn answer_trial() -> ExitCode {
    trial::answer()
}

fn speak(config: &Config) {
    stderr_log::speak_as(stderr_log::Voice {
        name: "keeper",
        json: config.log_json,
    });
    stderr::say_panics();
}
