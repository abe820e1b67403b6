//! Probation: whether the plan that runs has worked, who applied it, which of its services are
//! still unproven, and the plan to go back to. The keeper remembers the probation, so that it
//! outlives a control process.
//!
//! A plan has worked once every service that it started, restarted or reloaded is ready, or has
//! completed, and all have stayed so for [`PROOF_MS`]. A service that was stopped before does not
//! count.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::KeptPlan;
use engine::{Moment, ReloadOutcome, ServiceId, Settled, State};
use plan::Plan;
use serde::{Deserialize, Serialize};

use crate::{
    control::{
        Context, Task,
        monitors::listening::{Listening, Progress},
        record_keys::Key,
        stability::PROOF_MS,
        text,
    },
    plan_store::{AppliedBy, Swapped},
    staging::StagedFile,
};

/// The state of services, for judging them.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) struct Verdicts<'a> {
    pub(in crate::control) listening: &'a Listening,
    /// At the end nothing is up, and that says nothing about the plan.
    pub(in crate::control) stopping: bool,
}

/// A plan that has just taken the place of another.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) by: AppliedBy,
    /// Services that it starts, restarts or reloads; true: by a reload.
    pub(super) changed: BTreeMap<ServiceId, bool>,
    /// This is the daemon's first plan.
    pub(super) first: bool,
    /// The files are rejected; a kept plan runs instead.
    pub(super) rolled_back: bool,
    pub(super) swapped: Swapped,
}

/// How far the plan that runs has proven itself, and what of it and of others is on disk.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Probation {
    by: AppliedBy,
    /// Services that the plan has changed; whether by a reload. Empty once it has worked.
    changed: BTreeMap<ServiceId, bool>,
    /// The members that have not been up yet.
    unproven: BTreeSet<ServiceId>,
    /// The members that have been up and no longer are, though nobody has stopped them.
    #[serde(skip)]
    failed: BTreeSet<ServiceId>,
    /// When the plan will have worked, if nothing happens before.
    #[serde(skip)]
    proven_at: Option<Moment>,
    /// The plan is kept, or on its way to be.
    kept: bool,
    /// The plan that a rollback would go back to.
    rollback: Option<KeptPlan>,
    /// The plan was gone back to: the files say something else.
    rolled_back: bool,
    /// The plan is on disk.
    stored: bool,
    /// The plan is the daemon's first: what is not up with it may be so for other reasons.
    first: bool,
    /// Files are being put in place for another plan.
    swapping: bool,
    /// Candidates that may have been written for another plan.
    candidates: Vec<StagedFile>,
}

impl Probation {
    pub(super) const fn applied_by(&self) -> &AppliedBy {
        &self.by
    }

    pub(super) fn rollback(&self) -> Option<KeptPlan> {
        self.rollback.clone()
    }

    /// The plan has changed this service, by a reload.
    pub(super) fn has_reloaded(&self, service: ServiceId) -> bool {
        self.changed.get(&service) == Some(&true)
    }

    pub(super) const fn is_swapping(&self) -> bool {
        self.swapping
    }

    pub(super) const fn is_stored_as_files_have_it(&self) -> bool {
        self.stored && !self.rolled_back
    }

    /// Shown in status as long as it is true.
    pub(super) fn warning(&self) -> Option<String> {
        let (by, at) = (&self.by.by, text::time(self.by.at_unix_ms));
        self.rolled_back.then(|| {
            format!(
                "the configuration was rolled back by {by} at {at}: the files hold another one, which ctl diff-config shows and ctl reconfigure applies"
            )
        })
    }

    /// Another plan runs now.
    pub(super) fn begin(&mut self, cx: &mut Context, verdicts: Verdicts<'_>, applied: Applied) {
        let mut changed = applied.changed;
        // What an earlier plan has changed and not proven is no better with this one.
        let before = std::mem::take(self);
        if !before.first {
            for (service, reloads) in before.changed {
                changed.entry(service).or_insert(reloads);
            }
        }
        let planned = |id: ServiceId| cx.service(id).is_some_and(|it| it.enabled);
        changed.retain(|id, _| planned(*id) && !is_held(cx, *id));
        let kept = applied.first && applied.swapped.has_worked;
        if kept {
            changed.clear();
        }
        *self = Self {
            by: applied.by,
            unproven: changed.keys().copied().collect(),
            changed,
            kept,
            rollback: applied.swapped.rollback,
            rolled_back: applied.rolled_back,
            stored: applied.swapped.stored,
            first: applied.first,
            ..Self::default()
        };
        self.remember(cx);
        self.judge_all(cx, verdicts);
    }

    /// Restores the probation that an earlier control process knew.
    pub(super) fn restore(
        &mut self,
        cx: &mut Context,
        verdicts: Verdicts<'_>,
        record: Option<&String>,
    ) {
        match record.map(|it| serde_json::from_str(it)) {
            None => return,
            Some(Ok(probation)) => *self = probation,
            Some(Err(error)) => {
                let why = ::text::json_place(&error);
                tracing::error!("lost how the configuration stands: {why}");
            }
        }
        self.judge_all(cx, verdicts);
    }

    /// Services that the plan has changed and that have not been up since, or not stayed so, though
    /// somebody wants them. The daemon's first plan has changed none.
    pub(super) fn on_probation(&self, cx: &Context) -> Vec<ServiceId> {
        if self.first {
            return Vec::new();
        }
        let not_up = self.unproven.union(&self.failed);
        not_up.filter(|id| !is_held(cx, **id)).copied().collect()
    }

    fn judge_all(&mut self, cx: &mut Context, verdicts: Verdicts<'_>) {
        let all = self.changed.keys().copied().collect();
        self.judge(cx, verdicts, &all);
    }

    /// Services have changed: may the plan count as one that works?
    pub(super) fn judge(
        &mut self,
        cx: &mut Context,
        verdicts: Verdicts<'_>,
        touched: &BTreeSet<ServiceId>,
    ) {
        if self.kept || !self.stored || verdicts.stopping {
            return;
        }
        for id in touched {
            let Some(reloads) = self.changed.get(id).copied() else {
                continue;
            };
            if is_up_with_it(cx, verdicts.listening, *id, reloads) {
                self.unproven.remove(id);
                self.failed.remove(id);
            } else if is_held(cx, *id) {
                self.failed.remove(id);
            } else if !self.unproven.contains(id) {
                self.failed.insert(*id);
            }
        }
        if !self.unproven.is_empty() || !self.failed.is_empty() {
            self.proven_at = None;
        } else if self.changed.is_empty() {
            self.keep_plan(cx);
        } else {
            let proof = cx.now.moment.after(PROOF_MS);
            self.proven_at.get_or_insert(proof);
        }
    }

    /// When the plan will have worked, if nothing happens before.
    pub(super) const fn proven_at(&self) -> Option<Moment> {
        self.proven_at
    }

    /// Time has passed, or more has been heard.
    pub(super) fn timeout(&mut self, cx: &mut Context, heard: Moment, stopping: bool) {
        let due = self.proven_at.take_if(|at| *at <= heard);
        // At the end nothing is proven any more.
        if due.is_some() && !stopping {
            self.keep_plan(cx);
        }
    }

    fn keep_plan(&mut self, cx: &mut Context) {
        self.kept = true;
        self.proven_at = None;
        self.changed.clear();
        let (plan, mark) = (Arc::clone(&cx.plan), self.by.clone());
        cx.queue_task(Task::Keep { plan, mark });
        self.remember(cx);
    }

    /// Files are being put in place, or that is over.
    pub(super) fn note_swapping(&mut self, cx: &mut Context, swapping: bool) {
        if self.swapping != swapping {
            self.swapping = swapping;
            self.remember(cx);
        }
    }

    /// Candidates are about to be written for a plan, or are gone.
    pub(super) fn note_candidates(&mut self, cx: &mut Context, of: Option<&Plan>) {
        let new: Vec<StagedFile> = of.map(candidates).unwrap_or_default();
        if self.candidates.is_empty() && new.is_empty() {
            return;
        }
        self.candidates = new;
        self.remember(cx);
    }

    /// What an earlier control process may have left of a plan that it did not apply.
    pub(super) fn left_candidates(&self) -> Vec<StagedFile> {
        self.candidates.clone()
    }

    /// Files of another plan are in place, and that plan is stored: neither is to stay.
    pub(super) fn note_taken_out(&mut self, cx: &mut Context) {
        self.swapping = true;
        self.stored = false;
        // The other plan, should it be tried once more, may not have these files.
        self.candidates.extend(candidates(&cx.plan));
        self.remember(cx);
    }

    fn remember(&self, cx: &mut Context) {
        let record = serde_json::to_string(self).expect("it is plain data");
        cx.remember(Key::Probation, record);
    }
}

fn is_held(cx: &Context, service: ServiceId) -> bool {
    cx.engine.settled(service) == Some(Settled::Held)
}

fn is_up_with_it(cx: &Context, listening: &Listening, id: ServiceId, reloads: bool) -> bool {
    let Some(view) = cx.engine.view(id) else {
        // The service has left the plan.
        return true;
    };
    if cx.service(id).is_some_and(|service| service.job) {
        // Whether a job's work succeeds says nothing of the plan.
        return true;
    }
    let up = matches!(
        cx.engine.settled(id),
        Some(Settled::Ready | Settled::Completed)
    );
    let outcome = view.last_reload.as_ref().filter(|_| reloads);
    let refused = outcome.is_some_and(ReloadOutcome::is_failure);
    let listens = listening.of(id) == Progress::Done;
    up && listens && !refused && !matches!(view.state, State::Reloading { .. })
}

/// What staging a plan may write.
fn candidates(plan: &Plan) -> Vec<StagedFile> {
    let enabled = plan.services.values().filter(|service| service.enabled);
    let files = enabled.flat_map(|service| service.files.iter().map(move |it| (service, it)));
    let staged = files.map(|(service, file)| StagedFile {
        service: service.name.clone(),
        candidate: file.candidate.clone(),
        path: file.path.clone(),
        user: file.user.clone().or_else(|| service.user.clone()),
        altered: true,
        validate: file.validate.clone(),
    });
    staged.collect()
}

/// Enabled services that are neither up nor held, for people. Jobs do not count.
pub(super) fn not_up(cx: &Context) -> Vec<String> {
    let services = cx.plan.services.values();
    let enabled = services.filter(|it| it.enabled && !it.job);
    let not_up = enabled.filter(|it| {
        let id = cx.names.id(&it.name);
        let settled = id.and_then(|id| cx.engine.settled(id));
        !matches!(
            settled,
            Some(Settled::Ready | Settled::Completed | Settled::Held)
        )
    });
    not_up.map(|it| it.name.clone()).collect()
}

#[cfg(test)]
mod tests;
