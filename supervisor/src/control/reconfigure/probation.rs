//! How the running plan stands: who had it applied, whether it has worked, what there is to go
//! back to. The keeper remembers it, so that it outlives a control process.
//!
//! A plan has worked once every service that it started, restarted or reloaded is ready, or has
//! completed, and all have stayed so for [`PROOF_MS`]. One that somebody had stopped before is no
//! part of that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::KeptPlan;
use engine::{Goal, Moment, ReloadOutcome, ServiceId, Settled, State};
use keeper::message::Hello;
use plan::{Plan, ReadyKind};
use serde::{Deserialize, Serialize};

use crate::{
    control::{
        Control, Job,
        monitors::listening::Progress,
        reconfigure::{LoadResult, PlanSource, ReconfigureRequest, impact::ServiceImpact},
        record_keys::Key,
        text,
    },
    plan_store::{AppliedBy, Inputs, Swapped},
    staging::StagedFile,
};

/// One that dies right after it was ready has not worked.
const PROOF_MS: u64 = 5_000;

/// How the running plan stands.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::control) struct Probation {
    mark: AppliedBy,
    /// Services that it has changed; whether by a reload. Empty once it has worked.
    changed: BTreeMap<String, bool>,
    /// Those of them that have not been up yet.
    on_probation: BTreeSet<String>,
    /// Those that have been, and are not any more, though nobody has stopped them.
    #[serde(skip)]
    failed_probation: BTreeSet<String>,
    /// When it will have worked, if nothing happens before.
    #[serde(skip)]
    proven_at: Option<Moment>,
    /// It is kept, or on its way.
    kept: bool,
    /// What a rollback would go back to.
    rollback: Option<KeptPlan>,
    /// It was gone back to.
    rolled_back: bool,
    /// It is on disk.
    stored: bool,
    /// It is the daemon's first: what is not up with it may be so for other reasons.
    first: bool,
    /// Files are being put in place for another.
    swapping: bool,
    /// Candidates that may have been written for another.
    candidates: Vec<StagedFile>,
}

impl Probation {
    pub(super) const fn mark(&self) -> &AppliedBy {
        &self.mark
    }

    pub(super) fn rollback(&self) -> Option<KeptPlan> {
        self.rollback.clone()
    }

    pub(in crate::control) const fn poll_timeout(&self) -> Option<Moment> {
        self.proven_at
    }

    /// It has changed this service, by a reload.
    pub(super) fn has_reloaded(&self, name: &str) -> bool {
        self.changed.get(name) == Some(&true)
    }

    pub(super) const fn is_swapping(&self) -> bool {
        self.swapping
    }

    pub(in crate::control) const fn is_stored_as_files_have_it(&self) -> bool {
        self.stored && !self.rolled_back
    }

    /// Shown in status as long as it is true.
    pub(in crate::control) fn warning(&self) -> Option<String> {
        let (by, at) = (&self.mark.by, text::time(self.mark.at_unix_ms));
        self.rolled_back.then(|| {
            format!(
                "the configuration was rolled back by {by} at {at}: the files hold another one, which ctl diff-config shows and ctl reconfigure applies"
            )
        })
    }
}

impl Control {
    /// What an earlier control process knew of it. `stored` is of the plan on disk, which it had
    /// not applied to the end if `unfinished`.
    pub(in crate::control) fn restore_probation(
        &mut self,
        hello: &Hello,
        stored: Option<(AppliedBy, Option<Inputs>)>,
        unfinished: bool,
    ) {
        if let Some(record) = Key::Probation.of(&hello.records) {
            match serde_json::from_str(record) {
                Ok(standing) => self.probation = standing,
                Err(error) => {
                    let why = api::json_place(&error);
                    tracing::error!("lost how the configuration stands: {why}");
                }
            }
            self.judge_all();
        }
        if let Some(why) = Key::Refused.of(&hello.records).filter(|it| !it.is_empty()) {
            self.lifecycle.set_refused(Some(why.clone()));
        }
        if let (true, Some((mark, rejected))) = (unfinished, stored) {
            self.reconfigure.request = ReconfigureRequest {
                mark,
                change: self.operations.pending_reconfigure(),
                source: match &rejected {
                    Some(_) => PlanSource::Kept,
                    None => PlanSource::Files,
                },
                unattended: self.lifecycle.hangup,
                ..ReconfigureRequest::default()
            };
            self.reconfigure.loaded = LoadResult {
                rolled_back: rejected.is_some(),
                rejected,
                ..LoadResult::default()
            };
        }
    }

    /// Another plan runs now.
    pub(super) fn begin_probation(&mut self, impacts: &[ServiceImpact], swapped: Swapped) {
        let risky = impacts.iter().filter(|it| it.is_risky());
        let mut changed: BTreeMap<String, bool> = risky
            .map(|it| (it.name.clone(), it.action == plan::PlanImpact::Reload))
            .collect();
        // What an earlier plan has changed and not proven is no better with this one.
        let before = std::mem::take(&mut self.probation);
        if !before.first {
            for (name, reloads) in before.changed {
                changed.entry(name).or_insert(reloads);
            }
        }
        let planned = |name: &String| self.cx.plan.services.get(name).is_some_and(|it| it.enabled);
        changed.retain(|name, _| planned(name) && !self.is_held(name));
        let first = self.reconfigure.first;
        let kept = first && swapped.has_worked;
        if kept {
            changed.clear();
        }
        self.probation = Probation {
            mark: self.reconfigure.request.mark.clone(),
            on_probation: changed.keys().cloned().collect(),
            changed,
            failed_probation: BTreeSet::new(),
            proven_at: None,
            kept,
            rollback: swapped.rollback,
            rolled_back: self.reconfigure.loaded.rolled_back,
            stored: swapped.stored,
            first,
            swapping: false,
            candidates: Vec::new(),
        };
        self.remember_probation();
        self.judge_all();
    }

    fn judge_all(&mut self) {
        let changed = self.probation.changed.keys();
        let all = changed.filter_map(|name| self.cx.names.id(name)).collect();
        self.judge_probation(&all);
    }

    /// Services that the plan has changed and that have not been up since, or not stayed so, though
    /// somebody wants them. The daemon's first plan has changed none.
    pub(in crate::control) fn on_probation(&self) -> Vec<String> {
        if self.probation.first {
            return Vec::new();
        }
        let on_probation = self
            .probation
            .on_probation
            .union(&self.probation.failed_probation);
        on_probation
            .filter(|name| !self.is_held(name))
            .cloned()
            .collect()
    }

    /// A service without a `[ready]` of its own is ready as soon as it executes, which says little of
    /// a new configuration: until when it has to stay so for the change to be done.
    pub(in crate::control) fn stable_at(&self, name: &str) -> Option<Moment> {
        let planned = self.cx.plan.services.get(name)?;
        let view = self.cx.engine.view(self.cx.names.id(name)?)?;
        let tells_nothing = planned.ready.kind == ReadyKind::Exec && !planned.oneshot;
        let runs = matches!(view.state, State::Running { .. }) && view.goal == Goal::Up;
        let until = view.since.after(PROOF_MS);
        (tells_nothing && runs && until > self.watermark.reached()).then_some(until)
    }

    fn is_held(&self, name: &str) -> bool {
        self.settled(name) == Some(Settled::Held)
    }

    /// Services have changed: may the plan count as one that works?
    pub(in crate::control) fn judge_probation(&mut self, touched: &BTreeSet<ServiceId>) {
        // At the end nothing is up, and that says nothing about the plan.
        if self.probation.kept || !self.probation.stored || self.lifecycle.is_stopping() {
            return;
        }
        for id in touched {
            let Some(name) = self.cx.names.name(*id) else {
                continue;
            };
            let Some(reloads) = self.probation.changed.get(name).copied() else {
                continue;
            };
            let name = name.to_owned();
            if self.is_up_with_it(*id, reloads) {
                self.probation.on_probation.remove(&name);
                self.probation.failed_probation.remove(&name);
            } else if self.is_held(&name) {
                self.probation.failed_probation.remove(&name);
            } else if !self.probation.on_probation.contains(&name) {
                self.probation.failed_probation.insert(name);
            }
        }
        if !self.probation.on_probation.is_empty() || !self.probation.failed_probation.is_empty() {
            self.probation.proven_at = None;
        } else if self.probation.changed.is_empty() {
            self.keep_plan();
        } else {
            let proof = self.cx.now.moment.after(PROOF_MS);
            self.probation.proven_at.get_or_insert(proof);
        }
    }

    /// Nothing has been heard against it for long enough.
    pub(in crate::control) fn probation_timeout(&mut self) {
        let heard = self.watermark.reached();
        let due = self.probation.proven_at.take_if(|at| *at <= heard);
        // At the end nothing is proven any more.
        if due.is_some() && !self.lifecycle.is_stopping() {
            self.keep_plan();
        }
    }

    fn keep_plan(&mut self) {
        self.probation.kept = true;
        self.probation.proven_at = None;
        self.probation.changed.clear();
        let (plan, mark) = (Arc::clone(&self.cx.plan), self.probation.mark.clone());
        self.cx.job(Job::Keep { plan, mark });
        self.remember_probation();
    }

    fn is_up_with_it(&self, id: ServiceId, reloads: bool) -> bool {
        let Some(view) = self.cx.engine.view(id) else {
            // It has left the plan.
            return true;
        };
        if self.cx.service(id).is_some_and(|service| service.job) {
            // Whether its work succeeds says nothing of the plan.
            return true;
        }
        let up = matches!(
            self.cx.engine.settled(id),
            Some(Settled::Ready | Settled::Completed)
        );
        let outcome = view.last_reload.as_ref().filter(|_| reloads);
        let refused = outcome.is_some_and(ReloadOutcome::is_failure);
        let listens = self.listening.of(id) == Progress::Done;
        up && listens && !refused && !matches!(view.state, State::Reloading { .. })
    }

    /// Files are being put in place, or that is over.
    pub(super) fn note_swapping(&mut self, swapping: bool) {
        if self.probation.swapping != swapping {
            self.probation.swapping = swapping;
            self.remember_probation();
        }
    }

    /// Candidates are about to be written for a plan, or are gone.
    pub(super) fn note_candidates(&mut self, of: Option<&Plan>) {
        let new: Vec<StagedFile> = of.map(candidates).unwrap_or_default();
        if self.probation.candidates.is_empty() && new.is_empty() {
            return;
        }
        self.probation.candidates = new;
        self.remember_probation();
    }

    /// What an earlier control process may have left of a plan that it did not apply.
    pub(super) fn left_candidates(&self) -> Vec<StagedFile> {
        self.probation.candidates.clone()
    }

    /// Files of another plan are in place, and that plan is stored: neither is to stay.
    pub(super) fn note_taken_out(&mut self) {
        self.probation.swapping = true;
        self.probation.stored = false;
        // The other plan, should it be tried once more, may not have these files.
        self.probation.candidates.extend(candidates(&self.cx.plan));
        self.remember_probation();
    }

    /// The files are refused, or are good again.
    pub(super) fn set_refused(&mut self, refused: Option<String>) {
        if self.lifecycle.set_refused(refused.clone()) {
            self.cx.remember(Key::Refused, refused.unwrap_or_default());
        }
    }

    fn remember_probation(&mut self) {
        let record = serde_json::to_string(&self.probation).expect("it is plain data");
        self.cx.remember(Key::Probation, record);
    }
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
