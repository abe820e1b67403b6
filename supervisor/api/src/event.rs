//! Events of services and of the daemon, and the history of changes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{exit::ExitRecord, state::ServiceState};

/// An event of a service, or of the daemon itself (`service` empty).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceEvent {
    /// Sequence number; counts up, and continues in the next control process.
    pub seq: u64,
    /// When the event happened, RFC 3339 in UTC.
    pub at: String,
    /// The service; empty for the daemon.
    pub service: String,
    /// The kind of event.
    pub kind: EventKind,
    /// The state of the service after the event; null for the daemon, and for a service that is not
    /// in the plan.
    pub state: Option<ServiceState>,
    /// Whether the service is up and ready, or completed.
    pub ready: bool,
    /// Main process of the service, if there is one.
    pub pid: Option<i32>,
    /// Details in words; may be empty.
    pub detail: String,
    /// For a `change`: who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// For an `exit`: everything known about the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Box<ExitRecord>>,
}

/// A change that somebody asked for, as the history keeps it for a year.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangeRecord {
    /// The id that the client made.
    pub id: String,
    /// When the client asked, RFC 3339 in UTC.
    pub at: String,
    /// Who asked, for people: `root`, `alice (uid 1000)`.
    pub by: String,
    /// User id of the caller.
    pub uid: u32,
    /// The change: `start`, `once`, `stop`, `restart`, `reload`, `signal HUP`, `reconfigure`,
    /// `job`, `lease for NAME`, `release by NAME`.
    pub what: String,
    /// The services of the change.
    pub services: Vec<String>,
    /// How the change ended.
    pub outcome: ChangeOutcome,
    /// In words: what failed; may be empty.
    pub detail: String,
    /// When the change ended, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// Kind of an event: one word, on the wire and for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The service has changed its state.
    State,
    /// A run of the service has ended.
    Exit,
    /// Somebody asked for a change.
    Change,
    /// A job has begun a step.
    Progress,
    /// Something happened to the daemon itself.
    Daemon,
    /// Events before this one are missing.
    Gap,
    /// A helper of the service has failed: a validator, a probe, a command.
    Failure,
    /// A validator has warned.
    Warning,
    /// A scheduled run was due, or was left out.
    Schedule,
    /// A good scheduled run is overdue, or no longer is.
    Overdue,
    /// The service restarts again and again, or no longer does.
    Flapping,
    /// An address of the service is in use already, or the service does not listen on an address.
    Address,
    /// Files or directories of the service were made or changed, or are missing.
    Files,
    /// Something is wrong with a certificate of the service, or no longer is.
    Certificate,
    /// Something is wrong with the log of the service.
    Log,
    /// A disk is full, or has room again.
    Disk,
    /// The service runs a program that was deleted or replaced.
    DeletedBinary,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::State,
        Self::Exit,
        Self::Change,
        Self::Progress,
        Self::Daemon,
        Self::Gap,
        Self::Failure,
        Self::Warning,
        Self::Schedule,
        Self::Overdue,
        Self::Flapping,
        Self::Address,
        Self::Files,
        Self::Certificate,
        Self::Log,
        Self::Disk,
        Self::DeletedBinary,
    ];

    /// The word for the kind.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Exit => "exit",
            Self::Change => "change",
            Self::Progress => "progress",
            Self::Daemon => "daemon",
            Self::Gap => "gap",
            Self::Failure => "failure",
            Self::Warning => "warning",
            Self::Schedule => "schedule",
            Self::Overdue => "overdue",
            Self::Flapping => "flapping",
            Self::Address => "address",
            Self::Files => "files",
            Self::Certificate => "certificate",
            Self::Log => "log",
            Self::Disk => "disk",
            Self::DeletedBinary => "deleted-binary",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChangeOutcome {
    /// The change still goes on, or nobody saw its end.
    Accepted,
    /// Everything that was asked for is done.
    Done,
    /// Some of what was asked for is not done.
    Failed,
    /// Nothing was done.
    Refused,
}

impl ChangeOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Done, Self::Failed, Self::Refused];

    /// The word for the outcome.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for ChangeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_for_a_kind_and_an_outcome_is_that_on_the_wire() {
        for kind in EventKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for outcome in ChangeOutcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }
}
