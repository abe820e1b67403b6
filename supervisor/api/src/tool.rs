//! Tools: programs of services that people run by `ctl NAME …`, each as the plan has worked it out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /v1/tools`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolsReply {
    /// By name.
    pub tools: Vec<Tool>,
}

/// A program that people run with arguments of their own. No secret is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tool {
    /// As it is written after `ctl`.
    pub name: String,
    /// The service that it belongs to.
    pub service: String,
    /// What it is, in one line.
    pub description: String,
    /// The service is enabled on this host. Of the others only what stands above and
    /// `disabled_hint` is known.
    pub enabled: bool,
    /// What to do instead where the service is not enabled; may be empty.
    pub disabled_hint: String,
    /// Program and first arguments; those of the caller follow.
    pub command: Vec<String>,
    /// What brings the program where it is missing; may be empty.
    pub command_hint: String,
    /// Variables that it gets besides the caller's.
    pub env: BTreeMap<String, String>,
    /// Variables of the caller that it does not get.
    pub unset_env: Vec<String>,
    /// The account that root becomes for it; without one root stays root. Others stay who they are.
    pub user: Option<String>,
    /// What must hold, in the order in which it is looked at.
    pub asserts: Vec<ToolAssert>,
}

/// What must hold for a tool to do what is wanted of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolAssert {
    /// Only where this argument is among those of the caller: `--local`, or `--local=…`.
    pub with: Option<String>,
    /// It holds as far as the plan can say.
    pub holds: bool,
    /// It holds for these accounts alone; none: for all.
    pub accounts: Vec<String>,
    /// It is told, and the tool runs all the same.
    pub warning: bool,
    /// What is wrong where it does not hold.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}
