//! The running plan, and what the files would make of it. Neither contains a secret: each hidden
//! value reads `(secret)`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{PlanImpact, VariableSource};

/// `GET /v1/plan`: the running plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlanReply {
    /// Keys of the supervisor itself; empty if the request names services.
    pub site: Vec<ConfigKey>,
    /// Services by name, including disabled ones.
    pub services: Vec<ServiceConfig>,
}

/// One service of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceConfig {
    /// Name of the service.
    pub name: String,
    /// Keys of the service, in the order of the reference.
    pub keys: Vec<ConfigKey>,
}

/// One key of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfigKey {
    /// The key as in a service file, tables joined by dots: `ready.timeout`.
    pub key: String,
    /// The value as in a service file; `(secret)` for a hidden value.
    pub value: Value,
    /// Whether the value is hidden.
    #[serde(default, skip_serializing_if = "is_false")]
    pub secret: bool,
    /// Where the value comes from, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<VariableSource>,
}

/// `GET /v1/diff`: what a reconfigure would change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffReply {
    /// Changes of the supervisor itself, in words; empty if the request names services.
    pub site: Vec<String>,
    /// Services that would change, by name.
    pub services: Vec<ServiceDiff>,
}

/// What a reconfigure would do to a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceDiff {
    /// Name of the service.
    pub name: String,
    /// The effect on the service's process.
    pub action: PlanImpact,
    /// Reasons: `env MM_X changed`. Never a value.
    pub reasons: Vec<String>,
    /// Keys whose values differ and may be shown.
    pub keys: Vec<KeyDiff>,
    /// Variables of the service's environment that differ, including secret ones.
    #[serde(default)]
    pub variables: Vec<VariableDiff>,
}

/// A variable that a reconfigure would change. The value is never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VariableDiff {
    /// Name of the variable.
    pub name: String,
    /// The change.
    pub change: VariableChange,
}

/// What a reconfigure would do to a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VariableChange {
    /// The files set the variable; the running plan does not.
    Added,
    /// The value differs.
    Changed,
    /// The running plan sets the variable; the files do not.
    Removed,
}

impl fmt::Display for VariableDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = match self.change {
            VariableChange::Added => "added",
            VariableChange::Changed => "changed",
            VariableChange::Removed => "removed",
        };
        write!(f, "{} {change}", self.name)
    }
}

/// A key whose values differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyDiff {
    /// The key, as in [`ConfigKey`]. For a rendered file the values are lines, and each line that
    /// differs is an entry of its own.
    pub key: String,
    /// The value in the running plan; null: the key is new.
    pub before: Option<Value>,
    /// The value in the files; null: the key goes.
    pub after: Option<Value>,
}

/// The last line of `POST /v1/reconfigure?dry_run=true`: what the reconfigure would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Preview {
    /// For a rollback: the configuration that it would restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<KeptPlan>,
    /// Every service that is enabled in the running plan or in the new one, by name.
    pub services: Vec<ServiceChange>,
    /// Changes of the supervisor itself, in words.
    pub site: Vec<String>,
    /// Accounts, directories, secrets and files that would be made or changed on this host.
    pub host: Vec<HostChange>,
    /// Rendered files that have a command to check them.
    pub checks: Vec<FileCheck>,
    /// Warnings and notes about the files.
    pub remarks: Vec<crate::Problem>,
}

/// What a reconfigure does to a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceChange {
    /// Name of the service.
    pub name: String,
    /// The effect on the service's process.
    pub action: PlanImpact,
    /// Reasons: `env MM_X changed`. Never a value.
    pub reasons: Vec<String>,
    /// A further remark: `stopped by root at …, and stays so`; may be empty.
    pub note: String,
}

/// An action of a reconfigure on this host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostChange {
    /// The action.
    pub action: HostAction,
    /// The object: `user www`, `directory /x`, `secret web.key`, `file /x/y.conf`.
    pub what: String,
    /// Services that need the object.
    pub services: Vec<String>,
}

/// Kind of an action on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum HostAction {
    /// Creates an account or a group.
    Create,
    /// Makes a directory.
    Make,
    /// Changes the mode or the owner of a directory.
    Change,
    /// Generates a secret for the first time.
    Generate,
    /// Puts back a secret that is lost.
    #[serde(rename = "put back")]
    PutBack,
    /// Writes a file.
    Write,
}

impl fmt::Display for HostAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create",
            Self::Make => "make",
            Self::Change => "change",
            Self::Generate => "generate",
            Self::PutBack => "put back",
            Self::Write => "write",
        })
    }
}

/// The check of a rendered file before it is put in place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileCheck {
    /// The service of the file.
    pub service: String,
    /// The path of the file.
    pub path: String,
    /// Whether the check ran and accepted the file.
    pub passed: bool,
    /// Why the check did not run; empty if it ran.
    pub detail: String,
}

/// A configuration that is kept for a rollback.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeptPlan {
    /// When the configuration was applied, RFC 3339 in UTC.
    pub at: String,
    /// Who asked for the configuration.
    pub by: String,
    /// Services that were not up under the configuration. Empty, except for the first configuration
    /// that there was.
    pub not_up: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::HostAction;

    #[test]
    fn the_word_for_an_action_is_that_on_the_wire() {
        for action in [
            HostAction::Create,
            HostAction::Make,
            HostAction::Change,
            HostAction::Generate,
            HostAction::PutBack,
            HostAction::Write,
        ] {
            assert_eq!(serde_json::to_value(action).unwrap(), action.to_string());
        }
    }
}
