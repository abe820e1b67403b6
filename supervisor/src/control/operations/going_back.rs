//! How an operation goes back from the configuration that it was about, as its client hears of it.
//!
//! Such an operation settles twice: with the configuration that was asked for, and with the one
//! before. Its results stay those of the first; what the second has brought is told beside them
//! ([`GoneBack`]). `reconfigure/way_back.rs` decides whether an operation goes back;
//! `reconfigure/go_back.rs` does it, and `way_back.rs` here takes in how far that is.

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
    /// Services that are to come to rest with the configuration before, once that is applied.
    targets: BTreeMap<ServiceId, Target>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// The way back begins as soon as no other reconfiguration is under way.
    Due,
    /// The configuration before is on its way into place.
    Begun,
    /// The configuration before is in place.
    Applied,
    /// The configuration before will not be put in place; why.
    Refused(String),
}

/// How far an operation is on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Way {
    /// Nobody knows yet whether the operation has to go back.
    Undecided,
    Due,
    Begun,
    Applied,
    /// The operation is over, or forgotten.
    Over,
}

impl GoingBack {
    /// A way back that is to be begun. `to`: the configuration before.
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

    /// What the client is told. `results`: of [`Self::targets`].
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

    /// The configuration before is on its way into place.
    pub(super) fn begin(&mut self) {
        self.stage = Stage::Begun;
    }

    /// The way back has to be begun once more.
    pub(super) fn begin_again(&mut self) {
        self.stage = Stage::Due;
    }

    /// The configuration before is in place: these services are to come to rest with it.
    pub(super) fn apply(&mut self, targets: BTreeMap<ServiceId, Target>) {
        self.stage = Stage::Applied;
        self.targets = targets;
    }

    pub(super) fn refuse(&mut self, why: &str) {
        self.stage = Stage::Refused(why.to_owned());
    }
}
