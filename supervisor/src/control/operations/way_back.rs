//! The progress of operations on their way back: `reconfigure/go_back.rs` reports each step here.

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

    /// The failures, in words, of an operation whose way back begins now.
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

    /// Notes that a control process died after it had begun a way back and before the configuration
    /// was in place.
    pub(in crate::control) fn begin_way_back_again(&mut self, id: &str) {
        if let Some(going_back) = self.get(id).and_then(|it| it.going_back.as_mut()) {
            going_back.begin_again();
        }
    }

    /// Ends a way back that has not begun, since another configuration is in place.
    pub(in crate::control) fn supersede_way_back(&mut self, id: &str, why: &str) {
        if self.way_of(id) == Way::Due {
            self.refuse_way_back(id, why);
        }
    }

    /// Ends a way back whose previous configuration is not available.
    pub(in crate::control) fn refuse_way_back(&mut self, id: &str, why: &str) {
        if let Some(operation) = self.get(id) {
            if let Some(going_back) = &mut operation.going_back {
                going_back.refuse(why);
                operation.finished = true;
            }
            self.altered = true;
        }
    }

    /// Notes that the previous configuration is in place: these services are to settle with it.
    /// Some may have settled already.
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
