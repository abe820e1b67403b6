//! Causes, and what is wrong with a configuration.

use serde::{Deserialize, Serialize};

use crate::{log::LogLine, status::ServiceStatus};

/// `GET /v1/why/{name}`: the chain of causes, the service asked for first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The service and, below it, what it waits for.
    pub chain: Vec<WhyStep>,
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhyStep {
    /// The service at this link.
    pub service: ServiceStatus,
    /// One sentence: what it is, since when, and because of what.
    pub sentence: String,
    /// Its last events, oldest first.
    pub history: Vec<String>,
    /// The last lines that it logged.
    pub log: Vec<LogLine>,
}

/// `GET /v1/check`: the files as they are now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckReply {
    /// Nothing is wrong.
    pub ok: bool,
    /// All that is wrong or worth a word.
    pub problems: Vec<Problem>,
}

/// One thing in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `error`, `warning` or `note`.
    pub severity: String,
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
}
