//! The stream of what happens.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{exit::ExitRecord, state::ServiceState};

/// One thing that happened to a service, or to the daemon itself (`service` empty).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceEvent {
    /// Counts up, over control processes too.
    pub seq: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Which service; empty for the daemon.
    pub service: String,
    /// What kind of thing.
    pub kind: EventKind,
    /// The state that the service is in after this; null for the daemon, and for a service that
    /// the plan does not have.
    pub state: Option<ServiceState>,
    /// Up and ready, or completed.
    pub ready: bool,
    /// Main process.
    pub pid: Option<i32>,
    /// In words; may be empty.
    pub detail: String,
    /// Who asked, for a `change`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Of an `exit`: all that is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Box<ExitRecord>>,
}

/// Somebody's change, as it is kept for a year.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangeRecord {
    /// Made by the client.
    pub id: String,
    /// When it was asked for, RFC 3339 in UTC.
    pub at: String,
    /// By whom, for people: `root`, `alice (uid 1000)`.
    pub by: String,
    /// By whom.
    pub uid: u32,
    /// `start`, `once`, `stop`, `restart`, `reload`, `signal HUP`, `reconfigure`, `job`, `lease for
    /// NAME`, `release by NAME`.
    pub what: String,
    /// The services that it was about.
    pub services: Vec<String>,
    /// How it ended.
    pub outcome: ChangeOutcome,
    /// In words: what failed; may be empty.
    pub detail: String,
    /// When it ended, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// What kind of thing an event is. On the wire and for people it is one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The service is in another state.
    State,
    /// A run of the service has ended.
    Exit,
    /// Somebody has asked for something.
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
    /// A run by the clock was due, or was left out.
    Schedule,
    /// A good run by the clock is overdue, or is not any more.
    Overdue,
    /// The service is restarted again and again, or is not any more.
    Flapping,
    /// An address of the service is taken, or it does not listen on one.
    Address,
    /// Files or directories of the service were made, changed or are missing.
    Files,
    /// Something is wrong with a certificate of the service, or is not any more.
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

    /// The word for it.
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
    /// It is under way, or its end was not seen.
    Accepted,
    /// All that was asked for is done.
    Done,
    /// Some of it is not.
    Failed,
    /// Nothing was done.
    Refused,
}

impl ChangeOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Done, Self::Failed, Self::Refused];

    /// The word for it.
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
