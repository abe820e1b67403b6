//! Shared tools of the keeper's parts, owned by none of them: the clock's deadlines, the epoll, the
//! queue of facts, the log, and everything that children are made from.
//!
//! A part gets the kit for one call (`&mut Kit`) and keeps no reference, so parts know the kit and
//! not each other.

use std::{
    collections::BTreeSet,
    fs::File,
    os::fd::{AsRawFd, BorrowedFd},
};

use crate::{
    Config,
    cgroup::Cgroups,
    fact_queue::FactQueue,
    init::Init,
    log,
    original::Original,
    poller::Poller,
    record::Records,
    removals::Removals,
    sys::{
        child::{ChildSpec, SpawnError},
        spawn::{ChildStack, Spawned},
    },
    timers::Timers,
};

/// Time that the control process gets after a request to stop to take over and answer, before the
/// keeper stops all runs itself.
pub(crate) const NO_CONTROL_MS: u64 = 10_000;

/// Phase of the daemon's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Until a request to stop.
    Lasting,
    /// SIGTERM has come: the control process is to stop all runs.
    AskedToStop,
    /// The daemon ends: the keeper starts nothing more.
    ShuttingDown,
}

/// Shared tools of all parts of the keeper.
#[derive(Debug)]
pub(crate) struct Kit {
    pub(crate) config: Config,
    pub(crate) boot_id: String,
    pub(crate) life: Life,
    pub(crate) poller: Poller,
    pub(crate) timers: Timers,
    /// Watches directories for removals.
    pub(crate) removals: Removals,
    pub(crate) facts: FactQueue,
    pub(crate) log: log::Handle,
    pub(crate) init: Init,
    /// Resource limits and `oom_score_adj` that the daemon was started with.
    pub(crate) original: Original,
    pub(crate) null: File,
    pub(crate) child_stack: ChildStack,
    pub(crate) files: Records,
    pub(crate) cgroups: Option<Cgroups>,
    /// Children of the keeper itself that have not been reaped: control processes, and compressors
    /// of logs.
    pub(crate) own_children: BTreeSet<i32>,
}

impl Kit {
    /// Whether the daemon is ending.
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.life == Life::ShuttingDown
    }

    /// Marks the daemon as ending.
    pub(crate) fn end(&mut self) {
        self.life = Life::ShuttingDown;
    }

    /// Spawns a process of a run.
    pub(crate) fn make_run(
        &self,
        plan: &ChildSpec,
        cgroup: Option<BorrowedFd<'_>>,
    ) -> Result<Spawned, SpawnError> {
        self.child_stack.spawn(plan, cgroup, self.null.as_raw_fd())
    }

    /// Spawns a process of the keeper itself, known as such until [`Self::reaped`].
    pub(crate) fn make_own(&mut self, plan: &ChildSpec) -> Result<i32, SpawnError> {
        let child = self.child_stack.spawn(plan, None, self.null.as_raw_fd())?;
        self.own_children.insert(child.pid);
        Ok(child.pid)
    }

    /// Forgets a reaped child: its pid may soon be another's.
    pub(crate) fn reaped(&mut self, pid: i32) {
        self.own_children.remove(&pid);
    }
}
