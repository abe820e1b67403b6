//! The plan that runs, and what the files would make of it. No secret is in either.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{PlanImpact, VariableSource};

/// `GET /v1/plan`: the plan that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlanReply {
    /// Of the supervisor itself; empty where services are named.
    pub site: Vec<ConfigKey>,
    /// Services by name, those that are disabled too.
    pub services: Vec<ServiceConfig>,
}

/// One service of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceConfig {
    /// Its name.
    pub name: String,
    /// Its keys, in the order of the reference.
    pub keys: Vec<ConfigKey>,
}

/// One key of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfigKey {
    /// As a service file has it, tables by dots: `ready.timeout`.
    pub key: String,
    /// As a service file would have it; `(secret)` where it is hidden.
    pub value: Value,
    /// It is hidden.
    #[serde(default, skip_serializing_if = "is_false")]
    pub secret: bool,
    /// Where the value comes from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<VariableSource>,
}

/// `GET /v1/diff`: what a reconfigure would change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffReply {
    /// Of the supervisor itself, in words; empty where services are named.
    pub site: Vec<String>,
    /// Services that would change, by name.
    pub services: Vec<ServiceDiff>,
}

/// What would happen to one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceDiff {
    /// Its name.
    pub name: String,
    /// What a reconfigure would do to it.
    pub action: PlanImpact,
    /// Why: `env MM_X changed`. Never a value.
    pub reasons: Vec<String>,
    /// Keys whose values differ and may be shown.
    pub keys: Vec<KeyDiff>,
    /// Variables of its environment that differ, also secret ones.
    #[serde(default)]
    pub variables: Vec<VariableDiff>,
}

/// A variable that a reconfigure would change. Never a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VariableDiff {
    /// Its name.
    pub name: String,
    /// What would become of it.
    pub change: VariableChange,
}

/// What a reconfigure would do to a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VariableChange {
    /// The files set it, what runs does not have it.
    Added,
    /// Its value differs.
    Changed,
    /// What runs has it, the files do not.
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

/// One key that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyDiff {
    /// As in [`ConfigKey`]; of a rendered file the values are lines, and each line that differs has
    /// its own entry.
    pub key: String,
    /// What runs; none: it is added.
    pub before: Option<Value>,
    /// What the files say; none: it is removed.
    pub after: Option<Value>,
}

/// The last line of `POST /v1/reconfigure?dry_run=true`: what the real one would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Preview {
    /// Of a rollback: what it would go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<KeptPlan>,
    /// Every service that is enabled, before or after, by name.
    pub services: Vec<ServiceChange>,
    /// What changes of the supervisor itself, in words.
    pub site: Vec<String>,
    /// What would be made or written on this host.
    pub host: Vec<HostChange>,
    /// Rendered files that have a command to check them.
    pub checks: Vec<FileCheck>,
    /// Warnings and notes on the files.
    pub remarks: Vec<crate::Problem>,
}

/// What a reconfigure does to one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceChange {
    /// Its name.
    pub name: String,
    /// What becomes of its process.
    pub action: PlanImpact,
    /// Why: `env MM_X changed`. Never a value.
    pub reasons: Vec<String>,
    /// What else is to be known: `stopped by root at …, and stays so`; may be empty.
    pub note: String,
}

/// One thing that a reconfigure does besides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostChange {
    /// What is done.
    pub action: HostAction,
    /// `user www`, `directory /x`, `secret web.key`, `file /x/y.conf`.
    pub what: String,
    /// Services that it is for.
    pub services: Vec<String>,
}

/// What a reconfigure does to something on this host.
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
    /// Makes a secret that never was.
    Generate,
    /// Puts back a secret that is gone.
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
    /// Whose file.
    pub service: String,
    /// The file.
    pub path: String,
    /// It was checked, and is right.
    pub passed: bool,
    /// Why it was not checked; empty where it was.
    pub detail: String,
}

/// A configuration that is kept to go back to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeptPlan {
    /// When it was applied, RFC 3339 in UTC.
    pub at: String,
    /// Who asked for that.
    pub by: String,
    /// Services that were not up with it. Empty, unless it is the first that there was.
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
