//! Logs that cannot be written or rotated, as the keeper tells of them.
//!
//! Each trouble is told once, and its end; status shows it meanwhile.

use std::{collections::BTreeMap, mem};

use engine::ServiceId;
use keeper::message::LogTrouble;

use crate::control::Context;

/// Present troubles with logs of services of the plan.
#[derive(Debug, Default)]
pub(in crate::control) struct LogTroubles(BTreeMap<ServiceId, LogTrouble>);

impl LogTroubles {
    /// The keeper says how the log of a service stands.
    pub(in crate::control) fn on_notice(
        &mut self,
        cx: &mut Context,
        service: &str,
        trouble: Option<LogTrouble>,
    ) {
        let Some(id) = cx.names.id(service) else {
            return;
        };
        let kind = |it: Option<&LogTrouble>| it.map(mem::discriminant);
        let before = self.0.remove(&id);
        if cx.service(id).is_none() {
            return;
        }
        if kind(before.as_ref()) != kind(trouble.as_ref()) {
            let text = trouble.as_ref().map_or_else(
                || "nothing is wrong with its log any more".to_owned(),
                sentence,
            );
            tracing::warn!(service, "{text}");
            cx.publish(service, api::EventKind::Log, &text, None);
        }
        if let Some(trouble) = trouble {
            self.0.insert(id, trouble);
        }
    }

    /// The trouble with the log of a service, for people.
    pub(in crate::control) fn reason(&self, id: ServiceId) -> Option<String> {
        self.0.get(&id).map(sentence)
    }

    /// The service has left the plan.
    pub(in crate::control) fn forget(&mut self, id: ServiceId) {
        self.0.remove(&id);
    }
}

fn sentence(trouble: &LogTrouble) -> String {
    match trouble {
        LogTrouble::LosesLines { lines, why } => {
            format!("its log has lost lines that could not be written, at least {lines}: {why}")
        }
        LogTrouble::NotRotated { why } => {
            format!("its log cannot be rotated and grows: {why}")
        }
    }
}
