//! Test hook: a job stops itself (SIGSTOP) when it begins a chosen step, so that tests kill
//! processes at an exact moment. Only root can ask for it, because only root can write into the
//! job's directory.

use std::io;

use nix::sys::signal::{Signal, raise};
use safe_path::Dir;

use crate::Step;

/// File in the job's directory with the words of the step. The job removes the file before it
/// stops, so it stops once.
const HOLD: &str = "hold";
const BYTES_MAX: u64 = 64;

/// Stops this process, if the hold file names this step.
pub(super) fn at(dir: &Dir, step: Step) -> io::Result<()> {
    let wanted = match dir.read(HOLD, BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        wanted => wanted?,
    };
    if wanted == step.words().as_bytes() {
        dir.remove(HOLD)?;
        raise(Signal::SIGSTOP)?;
    }
    Ok(())
}
