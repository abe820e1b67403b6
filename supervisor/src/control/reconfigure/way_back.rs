//! The way back from a configuration that a service could not be reloaded with.
//!
//! A reload that has failed leaves the service with the configuration that it had, while the plan and
//! the disk have another, which would be what its next start takes. So a reconfiguration goes back by itself:
//! once all services that it changed have settled, and one that it reloaded has not taken what the
//! plan changed of it, the plan that ran before takes the whole road again. The rules:
//!
//! * One configuration is one whole: all of it goes back, also what was restarted and is well. Half of it is
//!   a configuration that nobody has written.
//! * Only once all has settled: a start in the midst of something is not cut short.
//! * To what ran before, whether or not that has been kept as one that worked: it is what the administrator
//!   had, and no other way changes less. Where another reconfiguration came before the first had settled, that is
//!   what ran before both of them.
//! * Not where the plan says of the failed service what the one before said (its certificates were renewed, its
//!   last reload is tried again): to go back would change nothing for it.
//! * A way back, a rollback by hand and the daemon's first plan have none: it never goes to and fro.
//! * What fails because it was restarted, and not reloaded, is no reason: it has the new configuration, and
//!   its policy tries it again. `--rollback` is offered.
//!
//! The keeper remembers the plan before until the change is over, so a control process that takes over
//! goes on with it. When the daemon itself dies, its next start has nothing running to reload, and takes the files.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    control::{
        Control,
        operations::{GoingBack, Target, Way},
        reconfigure::{PlanSource, ReconfigureRequest, Stage},
        record_keys::Key,
    },
    plan_store::Kept,
};

/// By whom the configuration before is applied, for people.
const BY: &str = "the supervisor (a reload had failed)";
const STOPPING: &str = "the supervisor is stopping everything";
const SUPERSEDED: &str = "another configuration has been applied meanwhile";

/// What a change can go back to.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::control) struct WayBack {
    change: String,
    /// Services that are reloaded with something that the plan before did not say of them.
    reloaded: BTreeSet<String>,
    before: Kept,
}

impl WayBack {
    pub(super) const fn before(&self) -> &Kept {
        &self.before
    }
}

impl Control {
    /// A plan is about to take the place of the one that runs.
    pub(super) fn note_way_back(&mut self, plan: &plan::Plan, targets: &BTreeMap<String, Target>) {
        let request = &self.reconfigure.request;
        if request.source == PlanSource::Before {
            return;
        }
        // One that an earlier control process had applied but for the last step has it already.
        let id = match (&request.change, request.source) {
            (None, PlanSource::Files) => return,
            (id, _) => id.clone(),
        };
        let earlier = self.way_back.take();
        if let Some(earlier) = &earlier {
            self.operations
                .supersede_way_back(&earlier.change, SUPERSEDED);
        }
        let id = id.filter(|_| self.reconfigure.request.source == PlanSource::Files);
        let way_back = id.and_then(|change| {
            let before = earlier.map_or_else(|| self.running_as_kept(), |it| it.before);
            let differs =
                |name: &&String| before.plan.services.get(*name) != plan.services.get(*name);
            let reloaded = targets.iter().filter(|(_, it)| it.is_reloaded());
            let reloaded: BTreeSet<String> = reloaded
                .map(|(name, _)| name)
                .filter(differs)
                .cloned()
                .collect();
            (!reloaded.is_empty()).then_some(WayBack {
                change,
                reloaded,
                before,
            })
        });
        self.set_way_back(way_back);
    }

    fn running_as_kept(&self) -> Kept {
        Kept {
            mark: self.probation.mark().clone(),
            not_up: self.not_up(),
            plan: plan::Plan::clone(&self.cx.plan),
        }
    }

    fn set_way_back(&mut self, way_back: Option<WayBack>) {
        if way_back.is_none() && self.way_back.is_none() {
            return;
        }
        self.way_back = way_back;
        let record = self.way_back.as_ref().map(serde_json::to_string);
        let record = record.transpose().expect("it is plain data");
        self.cx.remember(Key::WayBack, record.unwrap_or_default());
    }

    /// The services of a change have settled: has it to go back?
    pub(in crate::control) fn way_back_of(
        &self,
        change: &str,
        targets: &BTreeMap<String, Target>,
    ) -> Option<GoingBack> {
        let way_back = self.way_back.as_ref().filter(|it| it.change == change)?;
        let failed = |name: &String| targets.get(name).is_some_and(Target::has_failed);
        let goes = way_back.reloaded.iter().any(failed) && !self.lifecycle.is_stopping();
        goes.then(|| {
            let site_file = self.cx.plan.paths.site_file().display().to_string();
            GoingBack::due(way_back.before.told(), site_file)
        })
    }

    /// After every input: begins a way back that is due, and forgets one that nobody needs any more.
    pub(in crate::control) fn go_back_if_due(&mut self) {
        let Some(id) = self.way_back.as_ref().map(|it| it.change.clone()) else {
            return;
        };
        match self.operations.way_of(&id) {
            Way::Over => self.set_way_back(None),
            Way::Due if self.lifecycle.is_stopping() => {
                self.operations.refuse_way_back(&id, STOPPING);
            }
            Way::Due if matches!(self.reconfigure.stage, Stage::Idle) => self.go_back(id),
            Way::Due | Way::Undecided | Way::Begun | Way::Applied => {}
        }
    }

    fn go_back(&mut self, id: String) {
        let Some(to) = self.way_back.as_ref().map(|it| it.before.told()) else {
            return;
        };
        let failed = self.operations.begin_way_back(&id);
        let what = format!(
            "goes back to the configuration of {}, asked for by {}",
            to.at, to.by
        );
        tracing::error!("reconfigure: {failed}: {what}");
        self.cx.publish("", "change", &what, None);
        let request = ReconfigureRequest {
            mark: self.mark(BY),
            change: Some(id),
            source: PlanSource::Before,
            ..ReconfigureRequest::default()
        };
        self.start_request(request);
    }

    /// What an earlier control process knew of it. `unfinished`: it had put a plan in place and not
    /// applied that to the end.
    pub(in crate::control) fn restore_way_back(
        &mut self,
        record: Option<&String>,
        unfinished: bool,
    ) {
        let record = record.filter(|it| !it.is_empty());
        match record.map(|it| serde_json::from_str::<WayBack>(it)) {
            Some(Ok(way_back)) => self.way_back = Some(way_back),
            Some(Err(error)) => {
                let why = api::json_place(&error);
                tracing::error!("lost which configuration is to be gone back to: {why}");
            }
            None => {}
        }
        let Some(way_back) = &self.way_back else {
            return;
        };
        let id = way_back.change.clone();
        let way = self.operations.way_of(&id);
        // A plan that is another change's own is no way back.
        let unfinished = unfinished && self.reconfigure.request.change.is_none();
        if unfinished && matches!(way, Way::Begun | Way::Applied) {
            self.reconfigure.request.source = PlanSource::Before;
            self.reconfigure.request.change = Some(id).filter(|_| way == Way::Begun);
            self.reconfigure.loaded.kept = Some(way_back.before.told());
        } else if way == Way::Begun {
            self.operations.begin_way_back_again(&id);
        }
    }
}
