//! What can happen to one service: the columns of the machine's table.

use run_model::Exit;

use crate::{event::Fact, ids::ServiceId};

/// What can happen to one service.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'a> {
    /// The service's goal or its neighbours may have changed: do what is due.
    Reconcile,
    /// A deadline of the service has passed.
    Tick,
    /// A command, or a plan, wants the service started now.
    Start,
    /// A service that this one is bound to went down.
    BindingLost,
    /// Of a job: this requirement is down for good, so the job ends as failed.
    GiveUp(ServiceId),
    /// The time of the shutdown is over: SIGKILL.
    KillNow,
    /// Have the run take a new configuration.
    Reload,
    /// A fact about the service's main run, or about its current validator or reload command.
    Fact(&'a Fact),
    /// The keeper has looked again at the leftovers of an earlier run and counts so many processes.
    Leftovers(u32),
    /// The main process that was left of an earlier run has ended.
    LeftoverEnded(Exit),
}
