//! One service's machine: what each input means in each [`Phase`]. The machine knows no other
//! service; a [`Context`] brings what the machine has to know of others.
//!
//! The transitions that the table names are in `start`, `running`, `reload`, `watchdog` and `stop`;
//! `notified` decides what a notification from the run means. The table ends with the pairs that
//! change nothing, each with its reason, and the pairs that cannot occur: a debug build fails on
//! them.

use crate::{
    context::Context,
    event::Fact,
    input::Input,
    phase::Phase,
    service::Service,
    state::{Kill, StopCause},
};

impl Service {
    /// The machine. Every pair of phase and input is decided here; the arms only name what to do.
    #[expect(
        clippy::too_many_lines,
        clippy::match_same_arms,
        reason = "it is the whole table: read as one, phase by phase"
    )]
    pub(crate) fn on(&mut self, ctx: &mut Context<'_>, input: Input<'_>) {
        use {Fact as F, Input as I, Phase as P};
        match (self.record.state.phase(), input) {
            (_, I::Leftovers(left)) => self.leftovers_now(ctx, left),
            (_, I::LeftoverEnded(exit)) => self.leftover_ended(ctx, exit),
            (_, I::Fact(F::Notified { what, .. })) => self.notified(ctx, *what),

            (P::Stopped | P::Waiting, I::Reconcile) => self.start_or_wait(ctx),
            (P::Stopped | P::Waiting | P::Backoff | P::Failed, I::Start) => self.start_by_hand(ctx),
            (P::Waiting, I::GiveUp(on)) => self.give_up(on),
            (P::Backoff, I::Reconcile) => self.reconsider_backoff(ctx),
            (P::Backoff, I::Tick) => self.end_backoff(ctx),
            (P::Failed, I::Reconcile) => self.reconsider_failure(ctx),
            (P::Failed, I::Tick) => self.look_at_leftovers(ctx),
            (P::Completed, I::Reconcile) => self.leave_completed(ctx),
            (P::Completed, I::Start) => self.start_again(ctx),

            (P::Validating, I::Reconcile) => {
                if ctx.must_be_down {
                    self.kill(ctx, Kill::Unasked);
                }
            }
            (P::Validating, I::BindingLost) => self.kill(ctx, Kill::Unasked),
            (P::Validating, I::Fact(F::Validated { verdict, .. })) => {
                self.start_validated(ctx, verdict.is_ok());
            }
            (P::Validating, I::Fact(F::SpawnFailed { .. })) => self.validator_lost(ctx),
            (P::Validating | P::Spawning, I::KillNow) => self.kill(ctx, Kill::Unasked),
            (P::Validating | P::Spawning | P::Starting | P::Reloading, I::Reload) => {
                self.record.state.queue_reload();
            }
            (P::Spawning, I::Fact(F::Spawned { .. })) => self.executing(ctx),
            (
                P::Spawning,
                I::Fact(F::SpawnFailed {
                    transient, reason, ..
                }),
            ) => {
                self.start_failed(ctx, *transient, reason);
            }
            (
                P::Spawning | P::Terminating | P::Killing | P::Sweeping,
                I::Fact(F::SpawnRefused { left, .. }),
            ) => self.start_refused(ctx, *left),

            (P::Starting, I::Reconcile) => {
                self.stop_if_it_must_be_down(ctx);
                // A new plan may require less than what the start was waiting for.
                self.ready_by_exec(ctx);
            }
            (P::Running | P::Reloading, I::Reconcile) => self.stop_if_it_must_be_down(ctx),
            (P::Starting | P::Running | P::Reloading, I::BindingLost) => {
                self.begin_stop(ctx, StopCause::Asked(ctx.order));
            }
            (P::Starting | P::Running | P::Reloading, I::KillNow) => self.kill(ctx, Kill::Unasked),
            (
                P::Spawning | P::Starting | P::Running | P::Reloading,
                I::Fact(F::Exited { exit, .. }),
            ) => self.died(ctx, *exit),
            (P::Starting | P::Running, I::Fact(F::SpawnFailed { reason, .. })) => {
                self.vanished(ctx, reason);
            }
            (P::Starting, I::Tick) => self.tick_starting(ctx),
            (
                P::Starting,
                I::Fact(F::Probed {
                    probe, ok, detail, ..
                }),
            ) => {
                self.probed_starting(ctx, *probe, *ok, detail);
            }
            (P::Running | P::Reloading, I::Tick) => self.tick_up(ctx),
            (
                P::Running | P::Reloading,
                I::Fact(F::Probed {
                    probe, ok, detail, ..
                }),
            ) => {
                self.probed_up(ctx, *probe, *ok, detail);
            }
            (P::Running, I::Reload) => self.reload(ctx),
            (P::Reloading, I::Fact(F::Validated { verdict, .. })) => {
                self.reload_validated(ctx, said(verdict));
            }
            (P::Reloading, I::Fact(F::Reloaded { outcome, .. })) => {
                self.reload_ended(ctx, said(outcome));
            }
            (P::Reloading, I::Fact(F::SpawnFailed { run, reason, .. })) => {
                self.lost_while_reloading(ctx, *run, reason);
            }

            (P::Terminating | P::Killing | P::Sweeping, I::Start) => self.start_after_stop(),
            (P::Terminating, I::Tick) => self.tick_asked(ctx),
            (P::Terminating, I::KillNow) => self.kill(ctx, Kill::ShutdownDeadline),
            (P::Killing, I::Tick) => self.tick_killed(ctx),
            (P::Killing, I::Fact(F::Swept { left, .. })) => self.killed_in_vain(ctx, *left),
            (P::Terminating | P::Killing, I::Fact(F::Exited { exit, .. })) => {
                self.sweep(ctx, *exit);
            }
            (P::Killing, I::Fact(F::Validated { .. }))
            | (P::Terminating | P::Killing | P::Sweeping, I::Fact(F::SpawnFailed { .. })) => {
                self.down(ctx, 0);
            }
            (P::Sweeping, I::Fact(F::Swept { left, .. })) => self.down(ctx, *left),

            // Needless: the requested state holds already, or the transition comes at its own time.
            (
                P::Stopped
                | P::Waiting
                | P::Spawning
                | P::Terminating
                | P::Killing
                | P::Sweeping
                | P::Backoff
                | P::Failed
                | P::Completed,
                I::BindingLost,
            )
            | (P::Spawning | P::Terminating | P::Killing | P::Sweeping, I::Reconcile)
            | (P::Validating | P::Spawning | P::Starting | P::Running | P::Reloading, I::Start)
            | (P::Killing | P::Sweeping, I::KillNow) => {}

            // Spurious: the deadline belonged to a state that has ended in the same moment.
            (
                P::Stopped | P::Waiting | P::Validating | P::Spawning | P::Sweeping | P::Completed,
                I::Tick,
            ) => {}

            // Late, early or untrue: the phase of a run limits what the engine believes of that
            // run.
            (
                P::Validating,
                I::Fact(
                    F::Spawned { .. }
                    | F::SpawnRefused { .. }
                    | F::Exited { .. },
                ),
            )
            | (
                P::Validating | P::Spawning,
                I::Fact(
                    F::Probed { .. }
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
                    | F::Reloaded { .. }
                    | F::Swept { .. },
                ),
            )
            | (
                P::Reloading,
                I::Fact(
                    F::Spawned { .. }
                    | F::SpawnRefused { .. }
                    | F::Swept { .. },
                ),
            )
            | (
                P::Terminating | P::Killing | P::Sweeping,
                I::Fact(
                    F::Spawned { .. }
                    | F::Probed { .. }
                    | F::Reloaded { .. },
                ),
            )
            | (P::Terminating | P::Sweeping, I::Fact(F::Validated { .. }))
            | (P::Terminating, I::Fact(F::Swept { .. }))
            | (P::Sweeping, I::Fact(F::Exited { .. })) => {}

            // No run exists that a fact could be about or that could be killed; and only a service
            // that is up or starting is asked to reload.
            (
                P::Stopped | P::Waiting | P::Backoff | P::Failed | P::Completed,
                I::KillNow | I::Fact(_) | I::Reload,
            )
            | (P::Terminating | P::Killing | P::Sweeping, I::Reload)
            // Only a waiting job is given up.
            | (
                P::Stopped
                | P::Validating
                | P::Spawning
                | P::Starting
                | P::Running
                | P::Reloading
                | P::Terminating
                | P::Killing
                | P::Sweeping
                | P::Backoff
                | P::Failed
                | P::Completed,
                I::GiveUp(_),
            ) => {
                debug_assert!(
                    false,
                    "{input:?} of a service that is {}",
                    self.record.state.name()
                );
            }
        }
    }
}

/// Borrows the reason from the outcome of a fact.
fn said(outcome: &Result<(), alloc::string::String>) -> Result<(), &str> {
    outcome
        .as_ref()
        .copied()
        .map_err(alloc::string::String::as_str)
}
