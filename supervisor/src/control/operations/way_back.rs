//! How far operations are on their way back: `reconfigure/go_back.rs` asks, and says which step is
//! done.

use std::collections::BTreeMap;

use api::{Progress, Unstored};
use engine::ServiceId;

use crate::control::{
    Context,
    operations::{
        audit::failures,
        going_back::{GoingBack, Way},
        list::Operations,
        operation::names,
        target::Target,
    },
};

impl Operations {
    /// How far an operation is on its way back.
    pub(in crate::control) fn way_of(&self, id: &str) -> Way {
        let operation = self.list.iter().find(|it| it.id == id && !it.finished);
        let Some(operation) = operation else {
            return Way::Over;
        };
        let going_back = operation.going_back.as_ref();
        going_back.map_or(Way::Undecided, GoingBack::way)
    }

    /// What has failed, in words, of an operation whose way back begins now.
    pub(in crate::control) fn begin_way_back(&mut self, cx: &Context, id: &str) -> String {
        self.altered = true;
        let Some(operation) = self.get(id) else {
            return String::new();
        };
        if let Some(going_back) = &mut operation.going_back {
            going_back.begin();
        }
        failures(&operation.outcome(cx, Unstored::default()).results).join("; ")
    }

    /// The control process that had begun a way back has died before the configuration was in
    /// place.
    pub(in crate::control) fn begin_way_back_again(&mut self, id: &str) {
        if let Some(going_back) = self.get(id).and_then(|it| it.going_back.as_mut()) {
            going_back.begin_again();
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
            if let Some(going_back) = &mut operation.going_back {
                going_back.refuse(why);
                operation.finished = true;
            }
            self.altered = true;
        }
    }

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
            going_back.apply(targets);
        }
        cx.answer(operation.progress(line));
        self.altered = true;
    }
}
