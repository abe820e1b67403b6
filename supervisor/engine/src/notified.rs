//! What each [`Notification`] of a run means in each [`Phase`]: the second half of the machine's
//! table.
//!
//! The phase of a run limits what the engine believes of that run: a notification that comes early,
//! late or unasked changes nothing.

use crate::{context::Context, event::Notification, phase::Phase, service::Service, spec::Ready};

impl Service {
    /// Every pair of phase and notification is decided here; the arms only name what to do.
    pub(crate) fn notified(&mut self, ctx: &mut Context<'_>, what: Notification) {
        use {Notification as N, Phase as P};
        match (self.record.state.phase(), what) {
            // A notification can overtake the fact that the run has been spawned.
            (P::Spawning, N::Ready | N::ReadySignal | N::ReadyClosed) => {
                self.executing(ctx);
                self.readiness_told(ctx, what);
            }
            (P::Starting, N::Ready | N::ReadySignal | N::ReadyClosed) => {
                self.readiness_told(ctx, what);
            }
            (P::Reloading, N::Ready) => self.reload_said_ready(ctx),
            (P::Running | P::Reloading, N::Reloading) => self.reload_announced(ctx),
            (P::Running | P::Reloading, N::Alive) => self.alive(ctx),
            (P::Running | P::Reloading, N::WatchdogTrigger) => self.watchdog_triggered(ctx),
            (
                P::Spawning | P::Starting | P::Running | P::Reloading,
                N::WatchdogTimeout { ms },
            ) => self.watchdog_told(ctx.now, ms),
            (P::Starting | P::Reloading | P::Terminating, N::ExtendTimeout { ms }) => {
                self.extend(ctx, ms);
            }

            // A validator has no readiness to report, and a run that was sent SIGKILL is no longer
            // heard.
            (P::Validating | P::Killing | P::Sweeping, _)
            // A run that is not ready yet has nothing to reload, and no watchdog waits for it.
            | (P::Spawning | P::Starting, N::Reloading | N::Alive | N::WatchdogTrigger)
            | (P::Spawning, N::ExtendTimeout { .. })
            // A run becomes ready once, and a run that is up has no timeout to extend.
            | (P::Running, N::Ready | N::ReadySignal | N::ReadyClosed | N::ExtendTimeout { .. })
            | (P::Reloading, N::ReadySignal | N::ReadyClosed)
            // Of a run that goes down only the end counts.
            | (
                P::Terminating,
                N::Ready
                | N::ReadySignal
                | N::ReadyClosed
                | N::Reloading
                | N::Alive
                | N::WatchdogTimeout { .. }
                | N::WatchdogTrigger,
            ) => {}

            (P::Stopped | P::Waiting | P::Backoff | P::Failed | P::Completed, _) => {
                debug_assert!(
                    false,
                    "{what:?} of a service that is {}",
                    self.record.state.name()
                );
            }
        }
    }

    /// A starting run says that it is ready, or that it will never say so. Only the signal that the
    /// policy names counts.
    fn readiness_told(&mut self, ctx: &mut Context<'_>, what: Notification) {
        match (&self.spec.ready, what) {
            (Ready::Notify, Notification::Ready)
            | (Ready::ReadySignal, Notification::ReadySignal) => self.said_ready(ctx),
            (Ready::ReadySignal, Notification::ReadyClosed) => self.gave_up_ready(ctx),
            _ => {}
        }
    }
}
