//! Reports the end of a main run, once the engine has decided what follows.

use alloc::{boxed::Box, string::String};

use crate::{
    context::Context,
    ended::{AfterRun, End, Ended},
    ids::Moment,
    service::Service,
    state::{State, StopCause},
};

impl Service {
    /// Reports that a main run is over, if the run is a main run.
    pub(crate) fn report_end(&self, ctx: &mut Context<'_>, end: Option<End>, said: String) {
        if let Some(end) = end {
            ctx.ended = Some(Box::new(self.ended(ctx.now, end, said)));
        }
    }

    /// Builds the report, once what follows is decided. `said`: what a probe or watchdog had said.
    fn ended(&self, now: Moment, end: End, said: String) -> Ended {
        let next = match &self.record.state {
            State::Waiting { .. } => AfterRun::Wait,
            State::Backoff {
                until,
                attempt,
                failed,
            } => AfterRun::Pause {
                ms: until.since(now),
                early: *attempt,
                failed: *failed,
            },
            State::Failed { reason } => AfterRun::Fail(reason.clone()),
            State::Stopped | State::Completed => AfterRun::Rest,
            State::Validating { .. }
            | State::Spawning { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reloading { .. }
            | State::Stopping { .. } => AfterRun::Start,
        };
        let by_verdict = match end.cause {
            StopCause::ReadyTimeout | StopCause::Liveness | StopCause::Watchdog => true,
            StopCause::Asked(_) | StopCause::Exited | StopCause::Outlived => false,
        };
        Ended {
            service: self.id,
            run: end.run,
            exit: end.exit,
            cause: end.cause,
            killed: end.killed,
            said: if by_verdict { said } else { String::new() },
            next,
        }
    }
}
