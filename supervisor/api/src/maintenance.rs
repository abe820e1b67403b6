//! Maintenance of the host (`ctl maintenance`): users are told of maintenance, whatever services
//! run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::state::ServiceState;

/// Longest message to users, in characters.
pub const MAINTENANCE_MESSAGE_CHARACTERS_MAX: usize = 1_000;

/// The present maintenance of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Maintenance {
    /// The message to users; null: users are told only that there is maintenance.
    pub message: Option<String>,
    /// When maintenance began, RFC 3339 in UTC.
    pub since: String,
    /// Who set maintenance last, for people.
    pub by: String,
}

/// Body of `PUT /v1/maintenance`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MaintenanceRequest {
    /// The message to users: 1 to [`MAINTENANCE_MESSAGE_CHARACTERS_MAX`] characters, without
    /// control characters; null: no message.
    #[serde(default)]
    pub message: Option<String>,
}

/// Maintenance at this moment, and how far users are told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MaintenanceReply {
    /// The maintenance; null: there is none.
    pub maintenance: Option<Maintenance>,
    /// Files whose presence tells a web server of maintenance.
    pub files: Vec<String>,
    /// Why these files, or the files that users read, are not up to date; null: they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwritten: Option<String>,
    /// Services of this host that tell users, by name; empty: no service here tells users, or
    /// another web server does.
    #[serde(default)]
    pub told_by: BTreeMap<String, Told>,
    /// Why the state of maintenance would not survive a restart of the supervisor; null: it would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstored: Option<String>,
}

/// What the supervisor saw of a service that tells users of maintenance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "seen")]
pub enum Told {
    /// Users get the present state: they are told of maintenance, or no longer are.
    Yes,
    /// Users do not get the present state, as far as the supervisor saw.
    No {
        /// Why, in words.
        why: String,
    },
    /// The service is not ready, so the supervisor did not ask.
    NotReady {
        /// The state of the service.
        state: ServiceState,
    },
}
