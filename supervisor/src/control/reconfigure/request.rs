//! A request for a reconfiguration: what to do, and for which client.

use api::Progress;
use tokio::sync::mpsc;

use crate::{
    ask::ReconfigureOptions,
    control::{Context, text},
    plan_store::AppliedBy,
};

/// The wanted action, and the client.
#[derive(Debug, Default)]
pub(super) struct ReconfigureRequest {
    pub(super) by: AppliedBy,
    /// The operation whose client and history hear of the outcome; none: a dry run, or the daemon's
    /// first plan.
    pub(super) operation: Option<String>,
    /// No client hears of the outcome, so what refuses the files stays in status.
    pub(super) unattended: bool,
    /// Of a dry run: who wants to know what would be done.
    pub(super) preview: Option<mpsc::Sender<Progress>>,
    pub(super) source: PlanSource,
}

/// Where the plan of a request is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PlanSource {
    #[default]
    Files,
    /// The last plan that worked.
    Kept,
    /// The plan that ran before one with which a reload has failed.
    Before,
}

impl ReconfigureRequest {
    /// To apply the files, of this moment. `by`: for people.
    pub(super) fn of(cx: &Context, by: &str) -> Self {
        Self {
            by: AppliedBy {
                at_unix_ms: cx.now.unix_ms,
                by: by.to_owned(),
            },
            ..Self::default()
        }
    }

    /// The request of a client.
    pub(super) fn asked(cx: &Context, by: &str, options: ReconfigureOptions) -> Self {
        let source = if options.rollback {
            PlanSource::Kept
        } else {
            PlanSource::Files
        };
        Self {
            source,
            ..Self::of(cx, by)
        }
    }

    pub(super) const fn is_dry_run(&self) -> bool {
        self.preview.is_some()
    }

    /// As the history names it.
    pub(super) const fn what(&self) -> &'static str {
        match self.source {
            PlanSource::Kept => "reconfigure --rollback",
            PlanSource::Files | PlanSource::Before => "reconfigure",
        }
    }

    /// Why another has to wait, in words.
    pub(super) fn under_way(&self) -> String {
        let what = match (&self.preview, self.source) {
            (Some(_), _) => "a dry run of a reconfigure",
            (None, PlanSource::Kept) => "a rollback",
            (None, PlanSource::Before) => "the way back from a reconfigure that failed",
            (None, PlanSource::Files) => "another reconfigure",
        };
        let (by, at) = (&self.by.by, text::time(self.by.at_unix_ms));
        if by.is_empty() {
            return format!("{what} is under way");
        }
        format!("{what} is under way, asked for by {by} at {at}")
    }
}
