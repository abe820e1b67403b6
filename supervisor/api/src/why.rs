//! Causes, and what is wrong with a configuration.

use serde::{Deserialize, Serialize};

use crate::{exit::ExitRecord, log::LogLine, severity::Severity, status::ServiceStatus};

/// `GET /v1/why/{name}`: the chain of causes, the service asked for first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Why {
    /// The service and, below each link, what it waits for or lacks: a tree, depth first. A service
    /// stands in it once.
    pub chain: Vec<WhyStep>,
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WhyStep {
    /// The service at this link.
    pub service: ServiceStatus,
    /// Links between it and the service asked for.
    #[serde(default)]
    pub depth: u32,
    /// All is not well with it, and no other service is the reason: a first cause.
    #[serde(default)]
    pub root: bool,
    /// One sentence: what it is, since when, and because of what.
    pub sentence: String,
    /// What is worth knowing besides: what its last exit means, a dependency that is disabled.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What to do about it, best first; empty where it is not a first cause.
    #[serde(default)]
    pub hints: Vec<Hint>,
    /// Its last events, oldest first.
    pub history: Vec<String>,
    /// The last lines that it logged; empty where it is not a first cause.
    pub log: Vec<LogLine>,
    /// How its last runs ended, oldest first.
    #[serde(default)]
    pub exits: Vec<ExitRecord>,
    /// Its last automatic restart, if there was one lately.
    #[serde(default)]
    pub restart: Option<AutomaticRestart>,
}

/// The end of a run that nobody had asked for, after which the service was started again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AutomaticRestart {
    /// The end.
    pub exit: ExitRecord,
    /// Such ends within the last 24 hours.
    pub in_a_day: u64,
    /// What it had logged last before that end, where the log still has it; empty where it is a
    /// first cause.
    pub log: Vec<LogLine>,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Hint {
    /// The command to type, where one will do.
    pub command: Option<String>,
    /// What that does, or what to do.
    pub text: String,
}

/// `GET /v1/check`: the files as they are now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CheckReply {
    /// Nothing is wrong.
    pub ok: bool,
    /// All that is wrong or worth a word.
    pub problems: Vec<Problem>,
}

/// One thing in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file; empty if it is about none.
    pub file: String,
    /// Counts from 1; 0 if unknown.
    pub line: u32,
    /// Dotted key; may be empty.
    pub key: String,
    /// What is wrong, lower case.
    pub message: String,
    /// What to do; the nearest right name.
    pub hint: Option<String>,
    /// The service whose environment it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The variable there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
}
