//! One service's machine: what each input means in each state. Knows no other service; what it
//! has to know of them comes in [`World`]. The transitions that it names are in `start`, `running`
//! and `stop`.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};

use crate::{
    backoff::Jitter,
    effect::{Effect, ProbeKind},
    ended::Ended,
    event::Exit,
    ids::{Moment, RunId, ServiceId},
    order::Order,
    service::Service,
    spec::Ready,
    state::{Kill, SpawnStep, State, StopCause, StopPhase},
};

/// What one step of a service's machine sees of the rest, and where it puts what it wants done.
pub(crate) struct World<'a> {
    pub(crate) now: Moment,
    /// Words and ends of runs are known up to this moment.
    pub(crate) heard: Moment,
    /// It must not run now: it, or something that it requires, is to go down.
    pub(crate) pulled: bool,
    /// It is to run as soon as it can.
    pub(crate) up_wanted: bool,
    /// No dependent that has to stop first still runs.
    pub(crate) may_stop: bool,
    /// What it would have to wait for.
    pub(crate) unmet: &'a BTreeSet<ServiceId>,
    /// Something that it is bound to is not up.
    pub(crate) bound_lost: bool,
    /// What it goes down for, should it be told to now.
    pub(crate) order: Order,
    pub(crate) next_run: &'a mut u64,
    pub(crate) jitter: &'a mut Jitter,
    pub(crate) out: &'a mut Vec<Effect>,
    /// The main run that this step has found to be over.
    pub(crate) ended: Option<Box<Ended>>,
}

impl World<'_> {
    /// A run number that was never used.
    pub(crate) fn allocate(&mut self) -> RunId {
        let run = RunId(*self.next_run);
        *self.next_run += 1;
        run
    }
}

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
    /// What it requires is down for good, and nobody is to wait for that.
    GiveUp(ServiceId),
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

impl Service {
    /// The machine. Every pair of state and input is decided here; the arms only name what to do.
    #[expect(
        clippy::too_many_lines,
        clippy::match_same_arms,
        reason = "it is the whole table: read as one, state by state"
    )]
    pub(crate) fn on(&mut self, w: &mut World<'_>, input: Input<'_>) {
        use {Input as I, State as S, StopPhase as P};
        match (&self.rec.state, input) {
            (S::Stopped | S::Waiting { .. }, I::Reconcile) => self.seek(w),
            (S::Stopped | S::Waiting { .. } | S::Backoff { .. } | S::Failed { .. }, I::Start) => {
                self.start_by_hand(w);
            }
            (S::Waiting { .. }, I::GiveUp(on)) => self.give_up(on),
            (S::Completed, I::Reconcile) => self.leave_completed(w),
            (S::Backoff { .. }, I::Reconcile) => self.reconsider_backoff(w),
            (S::Backoff { .. }, I::Tick) => self.end_backoff(w),
            (S::Failed { .. }, I::Reconcile) => self.reconsider_failure(w),
            (
                S::Stopped
                | S::Waiting { .. }
                | S::Spawning { .. }
                | S::Starting { .. }
                | S::Running { .. }
                | S::Reloading { .. }
                | S::Stopping { .. }
                | S::Backoff { .. }
                | S::Failed { .. }
                | S::Completed,
                I::Leftovers(left),
            ) => self.leftovers_now(w, left),
            (
                S::Stopped
                | S::Waiting { .. }
                | S::Spawning { .. }
                | S::Starting { .. }
                | S::Running { .. }
                | S::Reloading { .. }
                | S::Stopping { .. }
                | S::Backoff { .. }
                | S::Failed { .. }
                | S::Completed,
                I::LeftoverEnded(exit),
            ) => self.leftover_ended(w, exit),
            (S::Failed { .. }, I::Tick) => self.look_at_leftovers(w),
            (S::Completed, I::Start) => self.start_again(w),

            (
                S::Spawning {
                    step: SpawnStep::Validate,
                    ..
                },
                I::Reconcile,
            ) => {
                if w.pulled {
                    self.kill(w, Kill::Unasked);
                }
            }
            (
                S::Spawning {
                    step: SpawnStep::Validate,
                    ..
                },
                I::Unbound,
            ) => self.kill(w, Kill::Unasked),
            (
                S::Spawning {
                    step: SpawnStep::Validate,
                    ..
                },
                I::Validated(verdict),
            ) => {
                self.start_validated(w, verdict.is_ok());
            }
            (
                S::Spawning {
                    step: SpawnStep::Validate,
                    ..
                },
                I::SpawnFailed(_, reason),
            ) => {
                self.start_failed(w, true, reason);
            }
            (
                S::Spawning {
                    step: SpawnStep::Exec,
                    ..
                },
                I::Spawned,
            ) => self.executing(w),
            (
                S::Spawning {
                    step: SpawnStep::Exec,
                    ..
                },
                I::Ready,
            ) => {
                // The two overtook each other.
                self.executing(w);
                self.said_ready(w, &Ready::Notify);
            }
            (
                S::Spawning {
                    step: SpawnStep::Exec,
                    ..
                },
                I::Marked,
            ) => {
                self.executing(w);
                self.said_ready(w, &Ready::Mark);
            }
            (
                S::Spawning {
                    step: SpawnStep::Exec,
                    ..
                },
                I::GaveUpReady,
            ) => {
                self.executing(w);
                self.gave_up_ready(w);
            }
            (
                S::Spawning {
                    step: SpawnStep::Exec,
                    ..
                }
                | S::Starting { .. }
                | S::Running { .. }
                | S::Reloading { .. },
                I::WatchdogTimeout(ms),
            ) => self.watchdog_told(w.now, ms),
            (
                S::Spawning {
                    step: SpawnStep::Exec,
                    ..
                },
                I::SpawnFailed(transient, reason),
            ) => {
                self.start_failed(w, transient, reason);
            }
            (
                S::Spawning {
                    step: SpawnStep::Exec,
                    ..
                }
                | S::Stopping { .. },
                I::SpawnRefused(left),
            ) => self.start_refused(w, left),
            (
                S::Spawning {
                    step: SpawnStep::Exec,
                    ..
                },
                I::Exited(exit),
            ) => self.died(w, exit),
            (S::Spawning { .. }, I::KillNow) => self.kill(w, Kill::Unasked),
            (S::Spawning { .. } | S::Starting { .. }, I::Reload) => self.rec.reload_queued = true,

            (S::Starting { .. }, I::Reconcile) => {
                self.stop_if_pulled(w);
                // A new plan may ask for less than it was waiting for.
                self.ready_by_exec(w);
            }
            (S::Running { .. } | S::Reloading { .. }, I::Reconcile) => self.stop_if_pulled(w),
            (S::Starting { .. } | S::Running { .. } | S::Reloading { .. }, I::Unbound) => {
                self.ask(w, StopCause::Asked(w.order));
            }
            (S::Starting { .. } | S::Running { .. } | S::Reloading { .. }, I::KillNow) => {
                self.kill(w, Kill::Unasked);
            }
            (S::Starting { .. } | S::Running { .. } | S::Reloading { .. }, I::Exited(exit)) => {
                self.died(w, exit);
            }
            (
                S::Starting { .. } | S::Running { .. } | S::Reloading { .. },
                I::SpawnFailed(_, reason),
            ) => self.vanished(w, reason),
            (S::Starting { .. }, I::Tick) => self.tick_starting(w),
            (S::Starting { .. }, I::Ready) => self.said_ready(w, &Ready::Notify),
            (S::Starting { .. }, I::Marked) => self.said_ready(w, &Ready::Mark),
            (S::Starting { .. }, I::GaveUpReady) => self.gave_up_ready(w),
            (S::Starting { .. }, I::Probed(kind, ok, detail)) => {
                self.probed_starting(w, kind, ok, detail);
            }
            (S::Starting { .. } | S::Reloading { .. }, I::Extend(ms)) => self.extend(w, ms),
            (S::Running { .. } | S::Reloading { .. }, I::Tick) => self.tick_up(w),
            (S::Running { .. } | S::Reloading { .. }, I::Probed(kind, ok, detail)) => {
                self.probed_up(w, kind, ok, detail);
            }
            (S::Running { .. } | S::Reloading { .. }, I::Alive) => self.alive(w),
            (S::Running { .. } | S::Reloading { .. }, I::WatchdogTrigger) => {
                self.watchdog_triggered(w);
            }
            (S::Running { .. } | S::Reloading { .. }, I::ReloadsItself) => {
                self.reload_announced(w);
            }
            (S::Running { .. }, I::Reload) => self.reload(w),
            (S::Reloading { .. }, I::Reload) => self.rec.reload_queued = true,
            (S::Reloading { .. }, I::Ready) => self.reload_said_ready(w),
            (S::Reloading { .. }, I::Validated(verdict)) => self.reload_validated(w, verdict),
            (S::Reloading { .. }, I::Reloaded(outcome)) => self.reload_ended(w, outcome),

            (S::Stopping { .. }, I::Start) => self.start_after_stop(),
            (
                S::Stopping {
                    phase: P::Asked { .. },
                    ..
                },
                I::Tick,
            ) => self.tick_asked(w),
            (
                S::Stopping {
                    phase: P::Killed { .. },
                    ..
                },
                I::Tick,
            ) => self.tick_killed(w),
            (
                S::Stopping {
                    phase: P::Killed { .. },
                    ..
                },
                I::Swept(left),
            ) => self.killed_in_vain(w, left),
            (
                S::Stopping {
                    phase: P::Asked { .. },
                    ..
                },
                I::KillNow,
            ) => self.kill(w, Kill::ShutdownDeadline),
            (
                S::Stopping {
                    phase: P::Asked { .. },
                    ..
                },
                I::Extend(ms),
            ) => self.extend(w, ms),
            (
                S::Stopping {
                    phase: P::Asked { .. } | P::Killed { .. },
                    ..
                },
                I::Exited(exit),
            ) => {
                self.sweep(w, exit);
            }
            (
                S::Stopping {
                    phase: P::Killed { .. },
                    ..
                },
                I::Validated(_),
            )
            | (S::Stopping { .. }, I::SpawnFailed(..)) => self.down(w, 0),
            (
                S::Stopping {
                    phase: P::Sweep { .. },
                    ..
                },
                I::Swept(left),
            ) => self.down(w, left),

            // What is left changes nothing: it is needless, spurious, late, or not yet due.
            (
                S::Stopped
                | S::Spawning { .. }
                | S::Starting { .. }
                | S::Running { .. }
                | S::Reloading { .. }
                | S::Stopping { .. }
                | S::Backoff { .. }
                | S::Failed { .. }
                | S::Completed,
                I::GiveUp(_),
            )
            | (S::Stopped | S::Waiting { .. }, I::Tick | I::Unbound | I::KillNow | I::Reload)
            | (
                S::Backoff { .. } | S::Failed { .. } | S::Completed,
                I::Unbound | I::KillNow | I::Reload,
            )
            | (S::Completed, I::Tick)
            | (
                S::Stopped
                | S::Waiting { .. }
                | S::Backoff { .. }
                | S::Failed { .. }
                | S::Completed,
                I::Validated(_)
                | I::Spawned
                | I::SpawnFailed(..)
                | I::SpawnRefused(_)
                | I::GaveUpReady
                | I::Ready
                | I::Marked
                | I::ReloadsItself
                | I::Alive
                | I::WatchdogTimeout(_)
                | I::WatchdogTrigger
                | I::Extend(_)
                | I::Probed(..)
                | I::Reloaded(_)
                | I::Exited(_)
                | I::Swept(_),
            )
            | (
                S::Spawning {
                    step: SpawnStep::Validate,
                    ..
                },
                I::Spawned
                | I::SpawnRefused(_)
                | I::GaveUpReady
                | I::Ready
                | I::Marked
                | I::WatchdogTimeout(_)
                | I::Exited(_),
            )
            | (
                S::Spawning {
                    step: SpawnStep::Exec,
                    ..
                },
                I::Reconcile | I::Unbound | I::Validated(_),
            )
            | (
                S::Spawning { .. },
                I::Tick
                | I::Start
                | I::ReloadsItself
                | I::Alive
                | I::WatchdogTrigger
                | I::Extend(_)
                | I::Probed(..)
                | I::Reloaded(_)
                | I::Swept(_),
            )
            | (
                S::Starting { .. },
                I::Start
                | I::ReloadsItself
                | I::Alive
                | I::WatchdogTrigger
                | I::Validated(_)
                | I::Spawned
                | I::SpawnRefused(_)
                | I::Reloaded(_)
                | I::Swept(_),
            )
            | (
                S::Running { .. },
                I::Reloaded(_)
                | I::Start
                | I::Validated(_)
                | I::Spawned
                | I::SpawnRefused(_)
                | I::GaveUpReady
                | I::Ready
                | I::Marked
                | I::Extend(_)
                | I::Swept(_),
            )
            | (
                S::Reloading { .. },
                I::Start
                | I::Spawned
                | I::SpawnRefused(_)
                | I::GaveUpReady
                | I::Marked
                | I::Swept(_),
            )
            | (
                S::Stopping { .. },
                I::Reconcile
                | I::Unbound
                | I::Reload
                | I::Validated(_)
                | I::Spawned
                | I::GaveUpReady
                | I::Ready
                | I::Marked
                | I::ReloadsItself
                | I::Alive
                | I::WatchdogTimeout(_)
                | I::WatchdogTrigger
                | I::Probed(..)
                | I::Reloaded(_),
            )
            | (
                S::Stopping {
                    phase: P::Killed { .. } | P::Sweep { .. },
                    ..
                },
                I::KillNow | I::Extend(_),
            )
            | (
                S::Stopping {
                    phase: P::Asked { .. },
                    ..
                },
                I::Swept(_),
            )
            | (
                S::Stopping {
                    phase: P::Sweep { .. },
                    ..
                },
                I::Tick | I::Exited(_),
            ) => {}
        }
    }
}
