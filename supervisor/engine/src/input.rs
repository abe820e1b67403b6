//! What can happen to one service: the columns of the machine's table.

use run_model::Exit;

use crate::{event::Fact, ids::ServiceId};

/// What can happen to one service.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'a> {
    /// Something around it may have changed: do what is due.
    Reconcile,
    /// A deadline of it has passed.
    Tick,
    /// Somebody wants it started now.
    Start,
    /// Something that it is bound to went down.
    BindingLost,
    /// What it requires is down for good, and nobody is to wait for that.
    GiveUp(ServiceId),
    /// No more patience: SIGKILL.
    KillNow,
    /// Take a new configuration.
    Reload,
    /// About its main run, or the validator or reload command that it has at the moment.
    Fact(&'a Fact),
    /// What was left of an earlier run has been swept once more.
    Leftovers(u32),
    /// The main process that was left of an earlier run has ended.
    LeftoverEnded(Exit),
}
