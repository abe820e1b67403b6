//! One service's machine: what each input means in each [`Phase`]. Knows no other service; what it
//! has to know of them comes in a [`World`].
//!
//! The transitions that the table names are in `start`, `running`, `reload`, `watchdog` and `stop`. The table ends
//! with the pairs that change nothing, each with its reason, and those that cannot be: a debug build fails on one.

use crate::{
    context::World,
    event::Fact,
    input::Input,
    phase::Phase,
    service::Service,
    spec::Ready,
    state::{Kill, StopCause},
};

impl Service {
    /// The machine. Every pair of phase and input is decided here; the arms only name what to do.
    #[expect(
        clippy::too_many_lines,
        clippy::match_same_arms,
        reason = "it is the whole table: read as one, phase by phase"
    )]
    pub(crate) fn on(&mut self, w: &mut World<'_>, input: Input<'_>) {
        use {Fact as F, Input as I, Phase as P};
        match (self.rec.state.phase(), input) {
            (_, I::Leftovers(left)) => self.leftovers_now(w, left),
            (_, I::LeftoverEnded(exit)) => self.leftover_ended(w, exit),

            (P::Stopped | P::Waiting, I::Reconcile) => self.seek(w),
            (P::Stopped | P::Waiting | P::Backoff | P::Failed, I::Start) => self.start_by_hand(w),
            (P::Backoff, I::Reconcile) => self.reconsider_backoff(w),
            (P::Backoff, I::Tick) => self.end_backoff(w),
            (P::Failed, I::Reconcile) => self.reconsider_failure(w),
            (P::Failed, I::Tick) => self.look_at_leftovers(w),
            (P::Completed, I::Reconcile) => self.leave_completed(w),
            (P::Completed, I::Start) => self.start_again(w),

            (P::Validating, I::Reconcile) => {
                if w.pulled {
                    self.kill(w, Kill::Unasked);
                }
            }
            (P::Validating, I::Unbound) => self.kill(w, Kill::Unasked),
            (P::Validating, I::Fact(F::Validated { verdict, .. })) => {
                self.start_validated(w, verdict.is_ok());
            }
            (P::Validating, I::Fact(F::SpawnFailed { .. })) => self.validator_lost(w),
            (P::Validating | P::Spawning, I::KillNow) => self.kill(w, Kill::Unasked),
            (P::Validating | P::Spawning | P::Starting | P::Reloading, I::Reload) => {
                self.rec.reload_queued = true;
            }
            (P::Spawning, I::Fact(F::Spawned { .. })) => self.executing(w),
            // The word of the run has overtaken that of its birth.
            (P::Spawning, I::Fact(F::Ready { .. })) => {
                self.executing(w);
                self.said_ready(w, &Ready::Notify);
            }
            (P::Spawning, I::Fact(F::Marked { .. })) => {
                self.executing(w);
                self.said_ready(w, &Ready::Mark);
            }
            (P::Spawning, I::Fact(F::GaveUpReady { .. })) => {
                self.executing(w);
                self.gave_up_ready(w);
            }
            (P::Spawning, I::Fact(F::SpawnFailed { transient, reason, .. })) => {
                self.start_failed(w, *transient, reason);
            }
            (
                P::Spawning | P::Terminating | P::Killing | P::Sweeping,
                I::Fact(F::SpawnRefused { left, .. }),
            ) => self.start_refused(w, *left),

            (P::Starting, I::Reconcile) => {
                self.stop_if_pulled(w);
                // A new plan may ask for less than it was waiting for.
                self.ready_by_exec(w);
            }
            (P::Running | P::Reloading, I::Reconcile) => self.stop_if_pulled(w),
            (P::Starting | P::Running | P::Reloading, I::Unbound) => {
                self.ask(w, StopCause::Asked(w.order));
            }
            (P::Starting | P::Running | P::Reloading, I::KillNow) => self.kill(w, Kill::Unasked),
            (
                P::Spawning | P::Starting | P::Running | P::Reloading,
                I::Fact(F::Exited { exit, .. }),
            ) => self.died(w, *exit),
            (
                P::Spawning | P::Starting | P::Running | P::Reloading,
                I::Fact(F::WatchdogTimeout { ms, .. }),
            ) => self.watchdog_told(w.now, *ms),
            (P::Starting | P::Running, I::Fact(F::SpawnFailed { reason, .. })) => {
                self.vanished(w, reason);
            }
            (P::Starting, I::Tick) => self.tick_starting(w),
            (P::Starting, I::Fact(F::Ready { .. })) => self.said_ready(w, &Ready::Notify),
            (P::Starting, I::Fact(F::Marked { .. })) => self.said_ready(w, &Ready::Mark),
            (P::Starting, I::Fact(F::GaveUpReady { .. })) => self.gave_up_ready(w),
            (P::Starting, I::Fact(F::Probed { probe, ok, detail, .. })) => {
                self.probed_starting(w, *probe, *ok, detail);
            }
            (
                P::Starting | P::Reloading | P::Terminating,
                I::Fact(F::Extend { ms, .. }),
            ) => self.extend(w, *ms),
            (P::Running | P::Reloading, I::Tick) => self.tick_up(w),
            (P::Running | P::Reloading, I::Fact(F::Probed { probe, ok, detail, .. })) => {
                self.probed_up(w, *probe, *ok, detail);
            }
            (P::Running | P::Reloading, I::Fact(F::Alive { .. })) => self.alive(w),
            (P::Running | P::Reloading, I::Fact(F::WatchdogTrigger { .. })) => {
                self.watchdog_triggered(w);
            }
            (P::Running | P::Reloading, I::Fact(F::Reloading { .. })) => self.reload_announced(w),
            (P::Running, I::Reload) => self.reload(w),
            (P::Reloading, I::Fact(F::Ready { .. })) => self.reload_said_ready(w),
            (P::Reloading, I::Fact(F::Validated { verdict, .. })) => {
                self.reload_validated(w, said(verdict));
            }
            (P::Reloading, I::Fact(F::Reloaded { outcome, .. })) => {
                self.reload_ended(w, said(outcome));
            }
            (P::Reloading, I::Fact(F::SpawnFailed { run, reason, .. })) => {
                self.lost_while_reloading(w, *run, reason);
            }

            (P::Terminating | P::Killing | P::Sweeping, I::Start) => self.start_after_stop(),
            (P::Terminating, I::Tick) => self.tick_asked(w),
            (P::Terminating, I::KillNow) => self.kill(w, Kill::ShutdownDeadline),
            (P::Killing, I::Tick) => self.tick_killed(w),
            (P::Killing, I::Fact(F::Swept { left, .. })) => self.killed_in_vain(w, *left),
            (P::Terminating | P::Killing, I::Fact(F::Exited { exit, .. })) => self.sweep(w, *exit),
            (P::Killing, I::Fact(F::Validated { .. }))
            | (P::Terminating | P::Killing | P::Sweeping, I::Fact(F::SpawnFailed { .. })) => {
                self.down(w, 0);
            }
            (P::Sweeping, I::Fact(F::Swept { left, .. })) => self.down(w, *left),

            // Needless: what it asks for is so already, or is done when its time comes.
            (P::Spawning | P::Stopped | P::Waiting | P::Backoff | P::Failed | P::Completed, I::Unbound)
            | (P::Spawning | P::Terminating | P::Killing | P::Sweeping, I::Reconcile)
            | (P::Terminating | P::Killing | P::Sweeping, I::Unbound)
            | (P::Validating | P::Spawning | P::Starting | P::Running | P::Reloading, I::Start)
            | (P::Killing | P::Sweeping, I::KillNow)
            // Spurious: the deadline went with a state that has ended in the same moment.
            | (
                P::Stopped | P::Waiting | P::Validating | P::Spawning | P::Sweeping | P::Completed,
                I::Tick,
            )
            // Late, early or untrue: no run is believed more than its phase allows.
            | (
                P::Validating,
                I::Fact(
                    F::Spawned { .. }
                    | F::SpawnRefused { .. }
                    | F::GaveUpReady { .. }
                    | F::Ready { .. }
                    | F::Marked { .. }
                    | F::WatchdogTimeout { .. }
                    | F::Exited { .. },
                ),
            )
            | (
                P::Validating | P::Spawning,
                I::Fact(
                    F::Reloading { .. }
                    | F::Alive { .. }
                    | F::WatchdogTrigger { .. }
                    | F::Extend { .. }
                    | F::Probed { .. }
                    | F::Reloaded { .. }
                    | F::Swept { .. },
                ),
            )
            | (P::Spawning, I::Fact(F::Validated { .. }))
            | (
                P::Starting,
                I::Fact(
                    F::Validated { .. }
                    | F::Spawned { .. }
                    | F::SpawnRefused { .. }
                    | F::Reloading { .. }
                    | F::Alive { .. }
                    | F::WatchdogTrigger { .. }
                    | F::Reloaded { .. }
                    | F::Swept { .. },
                ),
            )
            | (
                P::Running,
                I::Fact(
                    F::Validated { .. }
                    | F::Spawned { .. }
                    | F::SpawnRefused { .. }
                    | F::GaveUpReady { .. }
                    | F::Ready { .. }
                    | F::Marked { .. }
                    | F::Extend { .. }
                    | F::Reloaded { .. }
                    | F::Swept { .. },
                ),
            )
            | (
                P::Reloading,
                I::Fact(
                    F::Spawned { .. }
                    | F::SpawnRefused { .. }
                    | F::GaveUpReady { .. }
                    | F::Marked { .. }
                    | F::Swept { .. },
                ),
            )
            | (
                P::Terminating | P::Killing | P::Sweeping,
                I::Fact(
                    F::Spawned { .. }
                    | F::GaveUpReady { .. }
                    | F::Ready { .. }
                    | F::Marked { .. }
                    | F::Reloading { .. }
                    | F::Alive { .. }
                    | F::WatchdogTimeout { .. }
                    | F::WatchdogTrigger { .. }
                    | F::Probed { .. }
                    | F::Reloaded { .. },
                ),
            )
            | (P::Terminating | P::Sweeping, I::Fact(F::Validated { .. }))
            | (P::Terminating, I::Fact(F::Swept { .. }))
            | (P::Killing | P::Sweeping, I::Fact(F::Extend { .. }))
            | (P::Sweeping, I::Fact(F::Exited { .. })) => {}

            // It has no run that a fact could be about, nor one that could be killed; and only one that is up
            // or on its way there is asked to reload.
            (
                P::Stopped | P::Waiting | P::Backoff | P::Failed | P::Completed,
                I::KillNow | I::Fact(_) | I::Reload,
            )
            | (P::Terminating | P::Killing | P::Sweeping, I::Reload) => {
                debug_assert!(false, "{input:?} of a service that is {}", self.rec.state.name());
            }
        }
    }
}

/// What a fact says of an outcome, borrowed from it.
fn said(outcome: &Result<(), alloc::string::String>) -> Result<(), &str> {
    outcome
        .as_ref()
        .copied()
        .map_err(alloc::string::String::as_str)
}
