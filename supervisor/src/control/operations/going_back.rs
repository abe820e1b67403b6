//! How a change goes back from the configuration that it was about, as its client hears of it.
//!
//! Such a change settles twice: with the configuration that was asked for, and with the one before. Its
//! results stay those of the first; what the second has brought is told beside them ([`GoneBack`]).
//! `reconfigure/way_back.rs` decides whether a change goes back, and does it.

use std::collections::{BTreeMap, BTreeSet};

use api::{GoneBack, KeptPlan, Progress, Unstored};
use serde::{Deserialize, Serialize};

use crate::control::{
    Control,
    operations::{Operation, Operations, Target, audit::failures, pending},
};

/// The way back of a change that has failed.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::control) struct GoingBack {
    to: KeptPlan,
    site_file: String,
    stage: Stage,
    /// Of the configuration before, once it is applied.
    targets: BTreeMap<String, Target>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// To be done as soon as no other reconfiguration is at work.
    Due,
    /// The configuration before is on its way into place.
    Begun,
    /// It is in place.
    Applied,
    /// It is not, and will not be; why.
    Refused(String),
}

/// How far a change is on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Way {
    /// It is not known yet whether it has to go back.
    Undecided,
    Due,
    Begun,
    Applied,
    /// The change is over, or forgotten.
    Over,
}

impl GoingBack {
    /// One that is to be begun.
    pub(in crate::control) fn due(to: KeptPlan, site_file: String) -> Self {
        Self {
            to,
            site_file,
            stage: Stage::Due,
            targets: BTreeMap::new(),
        }
    }

    fn is_over(&self) -> bool {
        match self.stage {
            Stage::Due | Stage::Begun => false,
            Stage::Applied => self.targets.values().all(Target::is_over),
            Stage::Refused(_) => true,
        }
    }

    pub(super) const fn is_refused(&self) -> bool {
        matches!(self.stage, Stage::Refused(_))
    }

    pub(super) fn told(&self) -> Box<GoneBack> {
        let refused = match &self.stage {
            Stage::Refused(why) => Some(why.clone()),
            Stage::Due | Stage::Begun | Stage::Applied => None,
        };
        let results = self.targets.iter();
        let results = results.map(|(name, it)| it.result.clone().unwrap_or_else(|| pending(name)));
        Box::new(GoneBack {
            to: self.to.clone(),
            results: results.collect(),
            refused,
            site_file: self.site_file.clone(),
        })
    }
}

impl Operation {
    /// The services that it waits for.
    pub(super) const fn awaited(&mut self) -> &mut BTreeMap<String, Target> {
        match &mut self.going_back {
            Some(going_back) if matches!(going_back.stage, Stage::Applied) => {
                &mut going_back.targets
            }
            Some(_) | None => &mut self.targets,
        }
    }

    fn refuse_way_back(&mut self, why: &str) {
        if let Some(going_back) = &mut self.going_back {
            going_back.stage = Stage::Refused(why.to_owned());
            self.finished = true;
        }
    }
}

impl Operations {
    /// How far a change is.
    pub(in crate::control) fn way_of(&self, id: &str) -> Way {
        let change = self.list.iter().find(|it| it.id == id && !it.finished);
        let Some(change) = change else {
            return Way::Over;
        };
        match change.going_back.as_ref().map(|it| &it.stage) {
            None => Way::Undecided,
            Some(Stage::Due) => Way::Due,
            Some(Stage::Begun) => Way::Begun,
            Some(Stage::Applied) => Way::Applied,
            Some(Stage::Refused(_)) => Way::Over,
        }
    }

    /// What has failed, in words, of a change whose way back begins now.
    pub(in crate::control) fn begin_way_back(&mut self, id: &str) -> String {
        self.altered = true;
        let Some(change) = self.get(id) else {
            return String::new();
        };
        if let Some(going_back) = &mut change.going_back {
            going_back.stage = Stage::Begun;
        }
        failures(&change.outcome(Unstored::default()).results).join("; ")
    }

    /// The control process that did it has died before the configuration was in place.
    pub(in crate::control) fn begin_way_back_again(&mut self, id: &str) {
        if let Some(going_back) = self.get(id).and_then(|it| it.going_back.as_mut()) {
            going_back.stage = Stage::Due;
        }
    }

    /// Another configuration is in place: a way back that has not begun is of no use.
    pub(in crate::control) fn supersede_way_back(&mut self, id: &str, why: &str) {
        if self.way_of(id) == Way::Due {
            self.refuse_way_back(id, why);
        }
    }

    /// The configuration before cannot be had.
    pub(in crate::control) fn refuse_way_back(&mut self, id: &str, why: &str) {
        if let Some(change) = self.get(id) {
            change.refuse_way_back(why);
            self.altered = true;
        }
    }
}

impl Control {
    /// All services of a change have settled, for the first or for the second time?
    pub(super) fn finish_if_over(&self, change: &mut Operation) {
        if !change.targets.values().all(Target::is_over) {
            return;
        }
        if change.going_back.is_none() {
            change.going_back = self.way_back_of(&change.id, &change.targets);
        }
        change.finished = change.going_back.as_ref().is_none_or(GoingBack::is_over);
    }

    /// The configuration before is in place: these services are to come to rest with it.
    pub(in crate::control) fn accept_way_back(
        &mut self,
        id: &str,
        targets: BTreeMap<String, Target>,
        notes: Vec<String>,
    ) {
        let Some(change) = self.operations.get(id) else {
            return;
        };
        let services: BTreeSet<String> = targets.keys().cloned().collect();
        if let Some(going_back) = &mut change.going_back {
            going_back.stage = Stage::Applied;
            going_back.targets = targets;
        }
        let line = Progress::Accepted {
            services: services.into_iter().collect(),
            notes,
            unstored: Unstored::default(),
        };
        self.cx.answers.extend(change.progress(line));
        self.look_again(|change| change.id == id);
        self.operations.altered = true;
        self.remember_operations();
    }
}
