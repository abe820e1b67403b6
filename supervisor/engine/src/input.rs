//! What can happen to one service.

use crate::{effect::ProbeKind, exit::Exit};

/// What can happen to one service. Facts are about a run that it has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'a> {
    /// Something around it may have changed: do what is due.
    Reconcile,
    /// A deadline of it has passed.
    Tick,
    /// Somebody wants it started now.
    Start,
    /// Something that it is bound to went down.
    Unbound,
    /// No more patience: SIGKILL.
    KillNow,
    /// Take a new configuration.
    Reload,
    Validated(Result<(), &'a str>),
    Spawned,
    SpawnFailed(bool, &'a str),
    SpawnRefused(u32),
    GaveUpReady,
    Ready,
    /// It has left the mark that makes it ready.
    Marked,
    /// It takes a new configuration and will say when it is ready again.
    ReloadsItself,
    Alive,
    WatchdogTimeout(u64),
    WatchdogTrigger,
    Extend(u64),
    Probed(ProbeKind, bool, &'a str),
    Reloaded(Result<(), &'a str>),
    Exited(Exit),
    Swept(u32),
    /// What was left of an earlier run has been swept once more.
    Leftovers(u32),
    /// The main process that was left of an earlier run has ended.
    LeftoverEnded(Exit),
}
