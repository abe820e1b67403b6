//! The attempt under way, whether the plan that runs has worked, and which plan there is to go back
//! to: the steps add their own methods to it.

use std::collections::BTreeSet;

use engine::{Moment, RunId, ServiceId};

use crate::control::{
    Context,
    reconfigure::{
        attempt::Attempt,
        hangup::Hangup,
        probation::{Probation, Verdicts},
        request::ReconfigureRequest,
        way_back::WayBack,
    },
    record_keys::Key,
};

/// Shown in status as long as the files on disk are refused.
pub(super) const REFUSED: &str = "the configuration on disk was refused, the last good one runs: see ctl check-config, and the supervisor's own log";

/// The attempt to apply a plan, if there is one, and what is known of the plan that runs.
#[derive(Debug, Default)]
pub(in crate::control) struct Reconfigure {
    pub(super) attempt: Attempt,
    /// A client's request that came while a control process took over.
    pub(super) next: Option<ReconfigureRequest>,
    pub(super) hangup: Hangup,
    pub(super) probation: Probation,
    pub(super) way_back: Option<WayBack>,
    /// Why the files on disk are refused, in words.
    pub(super) refused: Option<String>,
}

impl Reconfigure {
    /// A request may begin: nothing is under way that changes the host.
    pub(in crate::control) const fn is_idle(&self) -> bool {
        self.attempt.stage.is_idle() || self.attempt.stage.is_taking_over()
    }

    /// Whether nothing is left to do, even for a control process that took over.
    #[cfg(test)]
    pub(in crate::control) const fn is_over(&self) -> bool {
        self.attempt.stage.is_idle()
    }

    /// The daemon's first plan is being made: there is nothing to show yet.
    pub(in crate::control) const fn is_first(&self) -> bool {
        self.attempt.first && !self.is_idle()
    }

    /// The attempt under way, or the one that waits, is of this operation.
    pub(in crate::control) fn is_for(&self, operation: &str) -> bool {
        let requests = [Some(&self.attempt.request), self.next.as_ref()];
        let mut operations = requests.into_iter().flatten().map(|it| &it.operation);
        operations.any(|it| it.as_deref() == Some(operation))
    }

    /// The obstacle to another attempt, in words.
    pub(in crate::control) fn under_way(&self) -> Option<String> {
        let request = if self.is_idle() {
            self.next.as_ref()
        } else {
            Some(&self.attempt.request)
        };
        request.map(ReconfigureRequest::under_way)
    }

    /// The program of a step that could not be executed.
    pub(in crate::control) fn program(&self, run: RunId) -> String {
        self.attempt.stage.program(run)
    }

    /// The service whose candidate this run checks, by the plan that is being checked.
    pub(in crate::control) fn checked_service(&self, run: RunId) -> Option<&plan::Service> {
        self.attempt.stage.checked_service(run)
    }

    /// Warnings on the plan that runs, each shown in status as long as it holds.
    pub(in crate::control) fn warnings(&self) -> impl Iterator<Item = String> {
        let rolled_back = self.probation.warning();
        rolled_back.into_iter().chain(self.refused.clone())
    }

    /// The plan that runs is on disk, and the files say the same.
    #[cfg(test)]
    pub(in crate::control) const fn is_stored_as_files_have_it(&self) -> bool {
        self.probation.is_stored_as_files_have_it()
    }

    /// The files are refused, or are good again.
    pub(super) fn set_refused(&mut self, cx: &mut Context, refused: Option<String>) {
        if self.refused != refused {
            self.refused.clone_from(&refused);
            cx.remember(Key::Refused, refused.unwrap_or_default());
        }
    }

    /// The engine does not take the plan that runs.
    pub(in crate::control) fn note_not_applied(&mut self, why: String) {
        self.refused = Some(why);
    }

    /// Judges, after a change of services, whether the plan counts as working.
    pub(in crate::control) fn judge_plan(
        &mut self,
        cx: &mut Context,
        verdicts: Verdicts<'_>,
        touched: &BTreeSet<ServiceId>,
    ) {
        self.probation.judge(cx, verdicts, touched);
    }

    /// When the plan will have worked, if nothing happens before.
    pub(in crate::control) const fn poll_timeout(&self) -> Option<Moment> {
        self.probation.proven_at()
    }

    /// Nothing has been heard against the plan for long enough? `heard`: all that runs had said and
    /// done by then is known.
    pub(in crate::control) fn timeout(&mut self, cx: &mut Context, heard: Moment, stopping: bool) {
        self.probation.timeout(cx, heard, stopping);
    }

    /// As [`Probation::on_probation`].
    #[cfg(test)]
    pub(in crate::control) fn on_probation(&self, cx: &Context) -> Vec<ServiceId> {
        self.probation.on_probation(cx)
    }
}
