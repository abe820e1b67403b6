//! Leftovers: processes of a run that SIGKILL has not ended. While they exist the service is
//! failed, and no new run starts beside them.

use run_model::Exit;

use crate::{
    context::Context,
    detail::Detail,
    ended::End,
    ids::{Moment, RunId},
    record::Leftovers,
    service::Service,
    state::{Failure, State, StopCause},
};

/// Time between two attempts to start despite an earlier daemon's leftovers, for which no exit may
/// ever be reported.
const LOOK_AGAIN_MS: u64 = 30_000;

impl Service {
    /// Marks the service failed: leftovers of an earlier run keep a new run from starting.
    pub(crate) fn left_over(&mut self, run: RunId, count: u32, look_at: Option<Moment>) {
        self.record.run_terms = None;
        self.record.restart_pending = None;
        self.record.leftovers = Some(Leftovers { run, count });
        self.record.state = State::Failed {
            reason: Failure::Leftovers { count, look_at },
        };
    }

    /// The keeper made no process: it starts none beside leftovers, of this daemon or of an earlier
    /// daemon.
    pub(crate) fn start_refused(&mut self, ctx: &Context<'_>, left: u32) {
        let (State::Spawning { run, .. } | State::Stopping { run, .. }) = self.record.state else {
            return;
        };
        self.record.detail = Detail::NONE;
        let first = self.record.leftovers;
        let look_at = ctx.up_wanted.then(|| ctx.now.after(LOOK_AGAIN_MS));
        self.left_over(first.map_or(run, |it| it.run), left.max(1), look_at);
    }

    /// Retries a start: the leftovers may have ended without a report.
    pub(crate) fn look_at_leftovers(&mut self, ctx: &mut Context<'_>) {
        if self.deadline().is_some_and(|at| at <= ctx.now) {
            self.start_or_wait(ctx);
        }
    }

    /// Takes the keeper's new count of processes left of the last run.
    pub(crate) fn leftovers_now(&mut self, ctx: &mut Context<'_>, left: u32) {
        self.record.leftovers = match self.record.leftovers {
            Some(Leftovers { run, .. }) if left > 0 => Some(Leftovers { run, count: left }),
            Some(_) | None => None,
        };
        match &mut self.record.state {
            State::Failed {
                reason: Failure::Leftovers { .. },
            } if left == 0 => self.start_or_wait(ctx),
            State::Failed {
                reason: Failure::Leftovers { count, .. },
            } => *count = left,
            _ => {}
        }
    }

    /// A leftover main process has ended after all; the keeper sweeps its remaining processes.
    pub(crate) fn leftover_ended(&mut self, ctx: &mut Context<'_>, exit: Exit) {
        self.record.last_exit = Some((exit, ctx.now));
        let end = self.record.leftovers.map(|it| End {
            run: it.run,
            exit,
            cause: StopCause::Outlived,
            killed: None,
        });
        self.report_end(ctx, end, alloc::string::String::new());
    }
}
