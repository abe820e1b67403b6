//! The plan that runs, and what the files would make of it. No secret is in either.

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    pub source: Option<String>,
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
    /// `in place`, `reload`, `restart`, `start` or `stop`.
    pub action: String,
    /// Why: `env MM_X changed`. Never a value.
    pub reasons: Vec<String>,
    /// Keys whose values differ and may be shown.
    pub keys: Vec<KeyDiff>,
}

/// One key that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyDiff {
    /// As in [`ConfigKey`].
    pub key: String,
    /// What runs; none: it is added.
    pub before: Option<Value>,
    /// What the files say; none: it is removed.
    pub after: Option<Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_false(value: &bool) -> bool {
    !*value
}
