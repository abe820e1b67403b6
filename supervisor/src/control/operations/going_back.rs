//! The way back of an operation from its configuration, as the client hears of it.
//!
//! Such an operation settles twice: with the requested configuration, and with the previous one.
//! Its results stay those of the first; [`GoneBack`] reports the results of the second.
//! `reconfigure/way_back.rs` decides whether an operation goes back; `reconfigure/go_back.rs` does
//! it, and `way_back.rs` here follows its progress.

use std::collections::BTreeMap;

use api::{ActionResult, GoneBack, KeptPlan};
use engine::ServiceId;
use serde::{Deserialize, Serialize};

use crate::control::operations::target::Target;

/// The way back of an operation that has failed.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::control) struct GoingBack {
    to: KeptPlan,
    site_file: String,
    stage: Stage,
    /// Services that are to settle with the previous configuration, once it is applied.
    targets: BTreeMap<ServiceId, Target>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// The way back begins as soon as no other reconfiguration is under way.
    Due,
    /// The previous configuration is being put in place.
    Begun,
    /// The previous configuration is in place.
    Applied,
    /// The previous configuration cannot be put in place, for this reason.
    Refused(String),
}

/// How far an operation is on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Way {
    /// It is not decided yet whether the operation has to go back.
    Undecided,
    Due,
    Begun,
    Applied,
    /// The operation is over, or forgotten.
    Over,
}

impl GoingBack {
    /// A way back that is to begin. `to`: the previous configuration.
    pub(in crate::control) fn due(to: KeptPlan, site_file: String) -> Self {
        Self {
            to,
            site_file,
            stage: Stage::Due,
            targets: BTreeMap::new(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        match self.stage {
            Stage::Due | Stage::Begun => false,
            Stage::Applied => self.targets.values().all(Target::is_over),
            Stage::Refused(_) => true,
        }
    }

    pub(super) const fn is_refused(&self) -> bool {
        matches!(self.stage, Stage::Refused(_))
    }

    /// The report for the client. `results`: of [`Self::targets`].
    pub(super) fn told(&self, results: Vec<ActionResult>) -> Box<GoneBack> {
        let refused = match &self.stage {
            Stage::Refused(why) => Some(why.clone()),
            Stage::Due | Stage::Begun | Stage::Applied => None,
        };
        Box::new(GoneBack {
            to: self.to.clone(),
            results,
            refused,
            site_file: self.site_file.clone(),
        })
    }

    pub(super) const fn targets(&self) -> &BTreeMap<ServiceId, Target> {
        &self.targets
    }

    /// Mutable version of [`Self::targets`].
    pub(super) const fn targets_mut(&mut self) -> &mut BTreeMap<ServiceId, Target> {
        &mut self.targets
    }

    pub(super) const fn way(&self) -> Way {
        match self.stage {
            Stage::Due => Way::Due,
            Stage::Begun => Way::Begun,
            Stage::Applied => Way::Applied,
            Stage::Refused(_) => Way::Over,
        }
    }

    /// Notes that the previous configuration is being put in place.
    pub(super) fn begin(&mut self) {
        self.stage = Stage::Begun;
    }

    /// Notes that the way back has to begin once more.
    pub(super) fn begin_again(&mut self) {
        self.stage = Stage::Due;
    }

    /// Notes that the previous configuration is in place: these services are to settle with it.
    pub(super) fn apply(&mut self, targets: BTreeMap<ServiceId, Target>) {
        self.stage = Stage::Applied;
        self.targets = targets;
    }

    pub(super) fn refuse(&mut self, why: &str) {
        self.stage = Stage::Refused(why.to_owned());
    }
}
