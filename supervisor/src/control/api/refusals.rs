//! Refusals of the engine, in words for clients.

use api::{ErrorKind, ErrorReply};
use engine::{Refusal, ServiceId};

use crate::control::{Context, text};

impl Context {
    /// The error reply for a refusal.
    pub(in crate::control) fn refused(&self, refusal: &Refusal) -> ErrorReply {
        let name = |id: &ServiceId| self.names.name(*id).unwrap_or("?").to_owned();
        let (message, hint) = match refusal {
            Refusal::Unknown(id) => (format!("there is no service '{}'", name(id)), None),
            Refusal::ShuttingDown => ("the supervisor is stopping everything".to_owned(), None),
            Refusal::RequirementHeld {
                service,
                requirement,
                hold,
            } => (
                format!(
                    "{} requires {}, which was stopped by {} at {}",
                    name(service),
                    name(requirement),
                    hold.by,
                    text::time(hold.at_unix_ms)
                ),
                Some(format!("start both: ctl start {}", name(service))),
            ),
            Refusal::Held { service, hold } => (
                format!(
                    "{} was stopped by {} at {}",
                    name(service),
                    hold.by,
                    text::time(hold.at_unix_ms)
                ),
                Some(format!("start it: ctl start {}", name(service))),
            ),
            Refusal::AlreadyRunning(id) => (format!("{} is on its way already", name(id)), None),
            Refusal::NotOneshot(id) => (format!("{} is no oneshot", name(id)), None),
            Refusal::NotRunning(id) => (
                format!("{} is not running", name(id)),
                Some(format!("start it: ctl start {}", name(id))),
            ),
            Refusal::CannotReload(id) => (
                format!("{} cannot reload", name(id)),
                Some(format!("restart it: ctl restart {}", name(id))),
            ),
            Refusal::JobRuns(_)
            | Refusal::NotJob(_)
            | Refusal::IsJob(_)
            | Refusal::NoJob(_)
            | Refusal::LeasesItself { .. }
            | Refusal::Leased { .. } => return self.refused_for_job(refusal),
            Refusal::Cycle(ids) => {
                let names: Vec<_> = ids.iter().map(name).collect();
                (
                    format!("dependencies form a loop: {}", names.join(" -> ")),
                    None,
                )
            }
        };
        let kind = match refusal {
            Refusal::Unknown(_) => ErrorKind::UnknownService,
            _ => ErrorKind::Refused,
        };
        ErrorReply {
            kind,
            message,
            hint,
        }
    }
}
