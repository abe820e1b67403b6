//! The change that is being done at this moment, for a successor of this process: it was begun, and
//! whoever asked for it must hear that, and not have it done twice.

use api::{ActionResult, Verdict};
use serde::{Deserialize, Serialize};

use crate::{
    control::{
        Control,
        operations::{Kind, Operation, Target},
        record_keys::Key,
    },
    history::Line,
};

/// Said of a change whose control process died in the midst of it.
const CUT_SHORT: &str =
    "the control process died while it did this; how much of it was done is not known";

/// A change that is being done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InFlight {
    pub(super) id: String,
    kind: Kind,
    services: Vec<String>,
    asked: Line,
}

impl Control {
    /// The keeper hears of a change before anything of it is done.
    pub(in crate::control) fn note_in_flight(
        &mut self,
        id: &str,
        kind: Kind,
        services: &[String],
        asked: &Line,
    ) {
        let in_flight = InFlight {
            id: id.to_owned(),
            kind,
            services: services.to_vec(),
            asked: asked.clone(),
        };
        let record = serde_json::to_string(&in_flight).expect("it is plain data");
        if std::mem::replace(&mut self.operations.in_flight, true) {
            // One of the same step is done, and is known before this one takes its place.
            self.remember_operations();
        }
        self.cx.remember(Key::InFlight, record);
    }

    /// It is done, and among the changes that the keeper remembers, or was refused.
    pub(super) fn end_in_flight(&mut self) {
        if std::mem::take(&mut self.operations.in_flight) {
            self.cx.remember(Key::InFlight, String::new());
        }
    }
}

impl InFlight {
    /// Its control process died before it remembered that it was done.
    pub(super) fn cut_short(self) -> Operation {
        let target = |name: &String| {
            let result = ActionResult {
                service: name.clone(),
                verdict: Verdict::Failed,
                state: "unknown".to_owned(),
                pid: None,
                seconds: 0,
                detail: CUT_SHORT.to_owned(),
            };
            let result = Some(result);
            (
                name.clone(),
                Target {
                    result,
                    ..Target::default()
                },
            )
        };
        Operation {
            targets: self.services.iter().map(target).collect(),
            finished: true,
            ..Operation::new(&self.id, self.kind, Some(self.asked))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::operations::{OPERATIONS_MAX, Operations},
        history::Said,
    };

    #[test]
    fn the_one_that_was_being_done_makes_the_list_no_longer_than_it_may_be() {
        let full = (0..OPERATIONS_MAX).map(|number| Operation {
            finished: number > 0,
            ..Operation::new(&number.to_string(), Kind::Start, None)
        });
        let full = serde_json::to_string(&full.collect::<Vec<_>>()).unwrap();
        let in_flight = InFlight {
            id: "new".to_owned(),
            kind: Kind::Stop,
            services: vec!["a".to_owned()],
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
        let mut changes = Operations::default();
        changes.restore(Some(&full), Some(&in_flight), |_| false);
        assert_eq!(changes.list.len(), OPERATIONS_MAX);
        assert!(changes.get("new").is_some() && changes.get("0").is_some());
        assert!(changes.get("1").is_none(), "the oldest that is over");
    }
}
