//! Chains of causes (`ctl why`), and problems of a configuration (`ctl check`).

use serde::{Deserialize, Serialize};

use crate::{exit::ExitRecord, log::LogLine, severity::Severity, status::ServiceStatus};

/// `GET /v1/why/{name}`: the chain of causes, the service asked for first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Why {
    /// The service and, below each link, the services that this link waits for or lacks: a tree,
    /// depth first. Each service occurs once.
    pub chain: Vec<WhyStep>,
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WhyStep {
    /// The service at this link.
    pub service: ServiceStatus,
    /// Links between this service and the service asked for.
    #[serde(default)]
    pub depth: u32,
    /// Whether this link is a first cause: the service is in trouble, and no other service is the
    /// reason.
    #[serde(default)]
    pub root: bool,
    /// One sentence: the service's state, since when, and why.
    pub sentence: String,
    /// Further facts: what the last exit means, a dependency that is disabled.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What to do, best first; empty unless this link is a first cause.
    #[serde(default)]
    pub hints: Vec<Hint>,
    /// The service's last events, oldest first.
    pub history: Vec<String>,
    /// The service's last log lines; empty unless this link is a first cause.
    pub log: Vec<LogLine>,
    /// Ends of the service's last runs, oldest first.
    #[serde(default)]
    pub exits: Vec<ExitRecord>,
    /// The service's last automatic restart, if it was recent.
    #[serde(default)]
    pub restart: Option<AutomaticRestart>,
}

/// The end of a run that nobody had asked for, and after which the service was started again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AutomaticRestart {
    /// The end of the run.
    pub exit: ExitRecord,
    /// Number of automatic restarts in the last 24 hours.
    pub in_a_day: u64,
    /// The service's last log lines before that end, where the log still has them; empty unless the
    /// service is a first cause.
    pub log: Vec<LogLine>,
}

/// A hint what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Hint {
    /// The command to type, if one command does it.
    pub command: Option<String>,
    /// What the command does, or what to do without a command.
    pub text: String,
}

/// `GET /v1/check`: whether the present files are a valid configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CheckReply {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Everything that is wrong or worth a note.
    pub problems: Vec<Problem>,
}

/// A problem in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// The severity.
    pub severity: Severity,
    /// The file; empty if the problem is in no file.
    pub file: String,
    /// The line, from 1; 0 if unknown.
    pub line: u32,
    /// Dotted key; may be empty.
    pub key: String,
    /// What is wrong, in lower case.
    pub message: String,
    /// What to do, or the nearest valid name.
    pub hint: Option<String>,
    /// The service whose environment has the problem, if the problem is in an environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The variable of that environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
}
