//! One operation: its targets, its progress, and its client.

use std::collections::{BTreeMap, BTreeSet};

use api::{ActionResult, KeptPlan, Outcome, Progress, Unstored, Verdict};
use engine::{Moment, ServiceId};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    control::{
        Context,
        api::answers::Answer,
        operations::{
            going_back::{GoingBack, Way},
            result::Reading,
            target::{Kind, Target},
        },
    },
    history::{Line, Said},
};

/// One operation. Fields that are not serialized belong to the control process that began or took
/// over the operation.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) targets: BTreeMap<ServiceId, Target>,
    /// Services whose holds the operation has taken or lifted.
    pub(super) holds: BTreeSet<ServiceId>,
    /// Whether holds and the request's line are on disk, as far as possible, and the client has
    /// heard that the operation is accepted.
    pub(super) accepted: bool,
    pub(super) finished: bool,
    pub(super) notes: Vec<String>,
    /// Whether the engine has accepted the operation, so that its targets are known.
    pub(super) begun: bool,
    /// Of a reconfiguration: the plan that a rollback would go back to.
    pub(super) rollback: Option<KeptPlan>,
    /// Of a reconfiguration that has failed: how it goes back to the plan before.
    pub(super) going_back: Option<GoingBack>,
    /// The account that asked for the operation, for people.
    pub(super) by: String,
    /// The name of the operation: `restart`.
    pub(super) what: String,
    /// The line of the request, until the line is in the history.
    pub(super) asked: Option<Line>,
    /// Of a job: its result, once read.
    #[serde(skip)]
    pub(super) job: Reading,
    /// Whether the line of the end is in the history.
    pub(super) recorded: bool,
    /// Whether the line of the end is on its way to the history.
    #[serde(skip)]
    pub(super) ending: bool,
    pub(super) began: Moment,
    /// When to check again whether the services have stayed up.
    #[serde(skip)]
    pub(super) look_at: Option<Moment>,
    #[serde(skip)]
    pub(super) client: Option<mpsc::Sender<Progress>>,
    /// Whether the client waits for the outcome; if not, it leaves once the operation is accepted.
    pub(super) wait: bool,
}

impl Operation {
    /// An operation that has not begun, and that no client follows.
    pub(super) fn new(id: &str, kind: Kind, asked: Option<Line>) -> Self {
        let (by, what) = match asked.as_ref().map(|line| &line.said) {
            Some(Said::Asked { by, what, .. }) => (by.clone(), what.clone()),
            Some(Said::Ended { .. }) | None => (String::new(), String::new()),
        };
        Self {
            id: id.to_owned(),
            kind,
            targets: BTreeMap::new(),
            holds: BTreeSet::new(),
            accepted: false,
            finished: false,
            notes: Vec::new(),
            begun: false,
            rollback: None,
            going_back: None,
            by,
            what,
            asked,
            job: Reading::default(),
            recorded: false,
            ending: false,
            began: Moment(0),
            look_at: None,
            client: None,
            wait: true,
        }
    }

    /// Whether the client has heard that the operation is accepted, and not yet how it ended.
    pub(super) const fn is_open(&self) -> bool {
        self.accepted && !self.finished
    }

    /// Whether the targets are not known yet: of a reconfiguration until its plan is applied, of a
    /// job until its request is stored.
    pub(super) fn targets_pending(&self) -> bool {
        matches!(self.kind, Kind::Reconfigure | Kind::Job) && !self.begun && !self.finished
    }

    /// The services that the operation waits for.
    pub(super) fn awaited_targets(&self) -> &BTreeMap<ServiceId, Target> {
        match &self.going_back {
            Some(going_back) if going_back.way() == Way::Applied => going_back.targets(),
            Some(_) | None => &self.targets,
        }
    }

    /// Mutable version of [`Self::awaited_targets`].
    pub(super) fn awaited(&mut self) -> &mut BTreeMap<ServiceId, Target> {
        match &mut self.going_back {
            Some(going_back) if going_back.way() == Way::Applied => going_back.targets_mut(),
            Some(_) | None => &mut self.targets,
        }
    }

    /// The outcome of the operation, for its client and the history.
    pub(super) fn outcome(&self, cx: &Context, unstored: Unstored) -> Outcome {
        Outcome {
            job: self.job.said().cloned().map(Box::new),
            id: self.id.clone(),
            finished: self.finished,
            results: results(cx, &self.targets),
            // A rollback makes sense only where this plan is still in place.
            rollback: self.rollback.clone().filter(|_| {
                let going_back = self.going_back.as_ref();
                going_back.is_none_or(GoingBack::is_refused)
            }),
            gone_back: self
                .going_back
                .as_ref()
                .map(|it| it.told(results(cx, it.targets()))),
            unstored,
        }
    }

    /// A line for the client, if one is there.
    pub(super) fn progress(&mut self, line: Progress) -> Option<Answer> {
        self.client = self.client.take().filter(|it| !it.is_closed());
        Some(Answer::Progress(self.client.clone()?, line))
    }

    pub(super) fn accepted_line(&self, cx: &Context, unstored: Unstored) -> Progress {
        Progress::Accepted {
            services: names(cx, self.targets.keys()),
            notes: self.notes.clone(),
            unstored,
        }
    }

    /// The last line for the client.
    pub(super) fn end(&mut self, cx: &Context, unstored: Unstored) -> Option<Answer> {
        let client = self.client.take()?;
        let outcome = self.outcome(cx, unstored);
        Some(Answer::Progress(client, Progress::Done(outcome)))
    }
}

/// Names of services, sorted.
pub(super) fn names<'a>(cx: &Context, ids: impl Iterator<Item = &'a ServiceId>) -> Vec<String> {
    let mut names: Vec<String> = ids.map(|id| cx.name(*id).to_owned()).collect();
    names.sort_unstable();
    names
}

/// How the operation has ended for each target, sorted by name.
pub(super) fn results(cx: &Context, targets: &BTreeMap<ServiceId, Target>) -> Vec<ActionResult> {
    let result = |(id, target): (&ServiceId, &Target)| {
        let result = target.result.clone();
        result.unwrap_or_else(|| pending(cx.name(*id)))
    };
    let mut results: Vec<ActionResult> = targets.iter().map(result).collect();
    results.sort_by(|one, other| one.service.cmp(&other.service));
    results
}

fn pending(service: &str) -> ActionResult {
    ActionResult {
        service: service.to_owned(),
        verdict: Verdict::Pending,
        state: None,
        pid: None,
        seconds: 0,
        state_in_full: None,
        detail: String::new(),
    }
}
