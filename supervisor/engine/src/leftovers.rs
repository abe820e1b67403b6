//! What SIGKILL has not ended of a run: the service is failed until that is gone, and nothing is
//! started beside it.

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

/// From one try to the next to start over what an earlier daemon left, should nobody tell that it
/// is gone.
const LOOK_AGAIN_MS: u64 = 30_000;

impl Service {
    /// Something of an earlier run is left, so that no new one may begin.
    pub(crate) fn left_over(&mut self, run: RunId, count: u32, look_at: Option<Moment>) {
        self.record.run_terms = None;
        self.record.restart_pending = None;
        self.record.leftovers = Some(Leftovers { run, count });
        self.record.state = State::Failed {
            reason: Failure::Leftovers { count, look_at },
        };
    }

    /// No process was made: the keeper makes none beside what is left, of this daemon or of an
    /// earlier one.
    pub(crate) fn start_refused(&mut self, ctx: &Context<'_>, left: u32) {
        let (State::Spawning { run, .. } | State::Stopping { run, .. }) = self.record.state else {
            return;
        };
        self.record.detail = Detail::NONE;
        let first = self.record.leftovers;
        let look_at = ctx.up_wanted.then(|| ctx.now.after(LOOK_AGAIN_MS));
        self.left_over(first.map_or(run, |it| it.run), left.max(1), look_at);
    }

    /// Tries a start over leftovers: they may have gone without anybody telling.
    pub(crate) fn look_at_leftovers(&mut self, ctx: &mut Context<'_>) {
        if self.deadline().is_some_and(|at| at <= ctx.now) {
            self.start_or_wait(ctx);
        }
    }

    /// The keeper has looked again: so many processes are left of the last run.
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

    /// The main process that would not go has ended after all; the keeper sweeps what it left.
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
