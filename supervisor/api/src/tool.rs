//! Tools: programs of services that people run by `ctl NAME …`, as the plan resolves them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /v1/tools`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolsReply {
    /// Tools, by name.
    pub tools: Vec<Tool>,
}

/// A program that people run with their own arguments. Nothing here is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tool {
    /// The word after `ctl`.
    pub name: String,
    /// The service of the tool.
    pub service: String,
    /// What the tool is, in one line.
    pub description: String,
    /// Whether the service is enabled on this host. For a disabled service only the fields above
    /// and `disabled_hint` are filled.
    pub enabled: bool,
    /// What to do instead while the service is disabled; may be empty.
    pub disabled_hint: String,
    /// Program and first arguments; the caller's arguments follow.
    pub command: Vec<String>,
    /// How to get the program if it is missing; may be empty.
    pub command_hint: String,
    /// Variables that the tool gets in addition to the caller's.
    pub env: BTreeMap<String, String>,
    /// Variables of the caller that the tool does not get.
    pub unset_env: Vec<String>,
    /// The account that root becomes for the tool; absent: root stays root. Other callers keep
    /// their account.
    pub user: Option<String>,
    /// Conditions, in the order in which they are checked.
    pub asserts: Vec<ToolAssert>,
}

/// A condition that must hold for the tool to work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolAssert {
    /// The condition applies only to calls with this argument: `--local`, or `--local=…`.
    pub with: Option<String>,
    /// Whether the condition holds, as far as the plan can tell.
    pub holds: bool,
    /// The condition holds for these accounts only; empty: for all.
    pub accounts: Vec<String>,
    /// Whether a failed condition is only reported, and the tool runs anyway.
    pub warning: bool,
    /// What is wrong if the condition does not hold.
    pub message: String,
    /// What to do then; may be empty.
    pub hint: String,
}
