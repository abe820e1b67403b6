//! `ctl maintenance`: users are told that the host is in maintenance, whatever runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::state::ServiceState;

/// A message to users may not be longer, in characters.
pub const MAINTENANCE_MESSAGE_CHARACTERS_MAX: usize = 1_000;

/// The host is in maintenance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Maintenance {
    /// What users are told; null: only that there is maintenance.
    pub message: Option<String>,
    /// When it began, RFC 3339 in UTC.
    pub since: String,
    /// Who said so last, for people.
    pub by: String,
}

/// Body of `PUT /v1/maintenance`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MaintenanceRequest {
    /// What users are told: 1 to [`MAINTENANCE_MESSAGE_CHARACTERS_MAX`] characters, none of them a
    /// control character; null: nothing besides.
    #[serde(default)]
    pub message: Option<String>,
}

/// How it is now, as far as that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MaintenanceReply {
    /// Null: there is none.
    pub maintenance: Option<Maintenance>,
    /// Files by whose presence a web server knows of maintenance.
    pub files: Vec<String>,
    /// Why these files, and those with what users read, do not say it yet; null: they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwritten: Option<String>,
    /// Services here that tell users, by name; empty: none does, or another web server.
    #[serde(default)]
    pub told_by: BTreeMap<String, Told>,
    /// Why it will not survive a restart of the supervisor; null: it will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstored: Option<String>,
}

/// What was seen of a service that tells users of maintenance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "seen")]
pub enum Told {
    /// Users get what they are to get: they are told of maintenance, or not any more.
    Yes,
    /// They do not, as far as was seen.
    No {
        /// In words.
        why: String,
    },
    /// The service is not ready, so nobody was asked.
    NotReady {
        /// What it is instead.
        state: ServiceState,
    },
}
