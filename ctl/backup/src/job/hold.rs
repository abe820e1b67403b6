//! A job that stops itself (SIGSTOP) when it begins a step: so tests kill what they want at a moment that is a
//! fact and no guess. Who may write into the job's directory, root alone, may have it so.

use std::io;

use nix::sys::signal::{Signal, raise};
use safe_path::Dir;

use crate::Step;

/// In the job's directory: the words of the step. It goes when the job stops, which so happens once.
const HOLD: &str = "hold";
const BYTES_MAX: u64 = 64;

/// Stops this process, if it is to be held at this step.
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
