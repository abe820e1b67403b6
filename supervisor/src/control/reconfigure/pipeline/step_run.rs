//! A run that is one step of an attempt.

use engine::RunId;
use keeper::message::{Request, Spawn};

use crate::control::{Context, Purpose, Run};

/// An account tool or validator may take this long.
pub(super) const STEP_TIMEOUT_MS: u64 = 60_000;

pub(super) fn spawn_step(cx: &mut Context, number: RunId, spawn: Spawn) {
    let run = Run::of_nobody(Purpose::Reconfigure);
    cx.add_run(number, run);
    cx.tell(Request::Spawn(Box::new(spawn)));
}
