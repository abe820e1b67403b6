//! The operation being done at this moment, remembered for a successor of this process: the client
//! must hear that its operation was begun, and the operation must not run twice.

use std::collections::BTreeMap;

use api::{ActionResult, Verdict};
use engine::ServiceId;
use serde::{Deserialize, Serialize};

use crate::{
    control::{
        Context,
        operations::{
            list::Operations,
            operation::Operation,
            target::{Kind, Target},
        },
        record_keys::Key,
    },
    history::Line,
};

/// Result of an operation whose control process died in the midst of it.
const CUT_SHORT: &str =
    "the control process died while it did this; how much of it was done is not known";

/// An operation that is being done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InFlight {
    pub(super) id: String,
    kind: Kind,
    /// Ids with names: a successor may have no plan with these services.
    services: BTreeMap<ServiceId, String>,
    asked: Line,
}

impl Operations {
    /// Tells the keeper of an operation before anything of the operation is done. `asked`: the line
    /// for the history.
    pub(in crate::control) fn note_in_flight(
        &mut self,
        cx: &mut Context,
        kind: Kind,
        services: impl IntoIterator<Item = ServiceId>,
        asked: &Line,
    ) {
        let named = |id: ServiceId| (id, cx.name(id).to_owned());
        let in_flight = InFlight {
            id: asked.id.clone(),
            kind,
            services: services.into_iter().map(named).collect(),
            asked: asked.clone(),
        };
        let record = serde_json::to_string(&in_flight).expect("it is plain data");
        if std::mem::replace(&mut self.in_flight, true) {
            // An earlier operation of the same step is done; the keeper learns that before it is
            // replaced.
            self.remember(cx);
        }
        cx.remember(Key::InFlight, record);
    }

    /// Ends the operation in flight: the keeper remembers it as done, or it was refused.
    pub(super) fn end_in_flight(&mut self, cx: &mut Context) {
        if std::mem::take(&mut self.in_flight) {
            cx.remember(Key::InFlight, String::new());
        }
    }
}

impl InFlight {
    /// The result of an operation whose control process died before it remembered the end.
    pub(super) fn cut_short(self) -> Operation {
        let target = |(id, name): (ServiceId, String)| {
            let result = ActionResult {
                service: name,
                verdict: Verdict::Failed,
                state: None,
                pid: None,
                seconds: 0,
                state_in_full: None,
                detail: CUT_SHORT.to_owned(),
            };
            let target = Target {
                result: Some(result),
                ..Target::default()
            };
            (id, target)
        };
        Operation {
            targets: self.services.into_iter().map(target).collect(),
            finished: true,
            ..Operation::new(&self.id, self.kind, Some(self.asked))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{control::operations::list::OPERATIONS_MAX, history::Said};

    #[test]
    fn the_one_that_was_in_flight_makes_the_list_no_longer_than_it_may_be() {
        let full = (0..OPERATIONS_MAX).map(|number| Operation {
            finished: number > 0,
            ..Operation::new(&number.to_string(), Kind::Start, None)
        });
        let full = serde_json::to_string(&full.collect::<Vec<_>>()).unwrap();
        let in_flight = InFlight {
            id: "new".to_owned(),
            kind: Kind::Stop,
            services: [(ServiceId(0), "a".to_owned())].into(),
            asked: Line {
                at: String::new(),
                id: "new".to_owned(),
                said: Said::Asked {
                    by: "root".to_owned(),
                    uid: 0,
                    what: "stop".to_owned(),
                    services: vec!["a".to_owned()],
                },
            },
        };
        let in_flight = serde_json::to_string(&in_flight).unwrap();
        let mut operations = Operations::default();
        operations.restore(Some(&full), Some(&in_flight), |_| false);
        assert_eq!(operations.list.len(), OPERATIONS_MAX);
        assert!(operations.get("new").is_some() && operations.get("0").is_some());
        assert!(operations.get("1").is_none(), "the oldest that is over");
    }
}
