//! What every part of the keeper works with and none of them owns: the clock's deadlines, the
//! descriptors that are waited for, the queue of facts, the log, what children are made of.
//!
//! A part gets it for one call (`&mut Kit`) and keeps nothing of it, so parts know the kit and not
//! each other.

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
        child::{Plan, SpawnError},
        spawn::{ChildStack, Spawned},
    },
    timers::Timers,
};

/// Asked to stop, control has this long to take over and answer before the keeper stops all by
/// itself.
pub(crate) const NO_CONTROL_MS: u64 = 10_000;

/// How long the daemon is to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Until somebody asks it to stop.
    Lasting,
    /// SIGTERM has come: the control process is to stop all.
    AskedToStop,
    /// The daemon ends: nothing is started any more.
    ShuttingDown,
}

/// What all parts of the keeper work with.
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
    /// Children of the keeper's own that have not been reaped: control processes, and what
    /// compresses logs.
    pub(crate) own_children: BTreeSet<i32>,
}

impl Kit {
    /// The daemon ends.
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.life == Life::ShuttingDown
    }

    /// The daemon ends from now on.
    pub(crate) fn end(&mut self) {
        self.life = Life::ShuttingDown;
    }

    /// Makes a process of a run.
    pub(crate) fn make_run(
        &self,
        plan: &Plan,
        cgroup: Option<BorrowedFd<'_>>,
    ) -> Result<Spawned, SpawnError> {
        self.child_stack.spawn(plan, cgroup, self.null.as_raw_fd())
    }

    /// Makes a process of the keeper's own; it is known as such until [`Self::reaped`].
    pub(crate) fn make_own(&mut self, plan: &Plan) -> Result<i32, SpawnError> {
        let child = self.child_stack.spawn(plan, None, self.null.as_raw_fd())?;
        self.own_children.insert(child.pid);
        Ok(child.pid)
    }

    /// A child has been reaped: its pid may soon be another's.
    pub(crate) fn reaped(&mut self, pid: i32) {
        self.own_children.remove(&pid);
    }
}
