//! How an operation goes back from the configuration that it was about, as its client hears of it.
//!
//! Such an operation settles twice: with the configuration that was asked for, and with the one
//! before. Its results stay those of the first; what the second has brought is told beside them
//! ([`GoneBack`]). `reconfigure/way_back.rs` decides whether an operation goes back, and does it.

use std::collections::BTreeMap;

use api::{GoneBack, KeptPlan, Progress, Unstored};
use engine::ServiceId;
use serde::{Deserialize, Serialize};

use crate::control::{
    Context,
    operations::{
        Operation, Operations, Target,
        audit::failures,
        operation::{names, results},
    },
};

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

    pub(super) fn told(&self, cx: &Context) -> Box<GoneBack> {
        let refused = match &self.stage {
            Stage::Refused(why) => Some(why.clone()),
            Stage::Due | Stage::Begun | Stage::Applied => None,
        };
        Box::new(GoneBack {
            to: self.to.clone(),
            results: results(cx, &self.targets),
            refused,
            site_file: self.site_file.clone(),
        })
    }
}

impl Operation {
    /// The services that the operation waits for.
    pub(super) const fn awaited_targets(&self) -> &BTreeMap<ServiceId, Target> {
        match &self.going_back {
            Some(going_back) if matches!(going_back.stage, Stage::Applied) => &going_back.targets,
            Some(_) | None => &self.targets,
        }
    }

    /// Mutable version of [`Self::awaited_targets`].
    pub(super) const fn awaited(&mut self) -> &mut BTreeMap<ServiceId, Target> {
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
    /// How far an operation is on its way back.
    pub(in crate::control) fn way_of(&self, id: &str) -> Way {
        let operation = self.list.iter().find(|it| it.id == id && !it.finished);
        let Some(operation) = operation else {
            return Way::Over;
        };
        match operation.going_back.as_ref().map(|it| &it.stage) {
            None => Way::Undecided,
            Some(Stage::Due) => Way::Due,
            Some(Stage::Begun) => Way::Begun,
            Some(Stage::Applied) => Way::Applied,
            Some(Stage::Refused(_)) => Way::Over,
        }
    }

    /// What has failed, in words, of an operation whose way back begins now.
    pub(in crate::control) fn begin_way_back(&mut self, cx: &Context, id: &str) -> String {
        self.altered = true;
        let Some(operation) = self.get(id) else {
            return String::new();
        };
        if let Some(going_back) = &mut operation.going_back {
            going_back.stage = Stage::Begun;
        }
        failures(&operation.outcome(cx, Unstored::default()).results).join("; ")
    }

    /// The control process that had begun a way back has died before the configuration was in
    /// place.
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
        if let Some(operation) = self.get(id) {
            operation.refuse_way_back(why);
            self.altered = true;
        }
    }
}

impl Operations {
    /// The configuration before is in place: these services are to come to rest with it. Some may
    /// have already.
    pub(in crate::control) fn accept_way_back(
        &mut self,
        cx: &mut Context,
        id: &str,
        targets: BTreeMap<ServiceId, Target>,
        notes: Vec<String>,
    ) {
        let Some(operation) = self.get(id) else {
            return;
        };
        let line = Progress::Accepted {
            services: names(cx, targets.keys()),
            notes,
            unstored: Unstored::default(),
        };
        if let Some(going_back) = &mut operation.going_back {
            going_back.stage = Stage::Applied;
            going_back.targets = targets;
        }
        cx.answer(operation.progress(line));
        self.altered = true;
    }
}
