//! Effect of a new plan on a service, and sources of its variables.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Effect of a new plan on a service, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PlanImpact {
    /// Nothing changes.
    #[serde(rename = "nothing")]
    Keep,
    /// The change takes effect without touching the process.
    #[serde(rename = "in place")]
    InPlace,
    /// The process reads its configuration again.
    Reload,
    /// The process is replaced.
    Restart,
    /// The service runs from now on.
    Start,
    /// The service no longer runs.
    Stop,
}

impl fmt::Display for PlanImpact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "nothing",
            Self::InPlace => "in place",
            Self::Reload => "reload",
            Self::Restart => "restart",
            Self::Start => "start",
            Self::Stop => "stop",
        })
    }
}

/// Source of a variable of a service's environment, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum VariableSource {
    /// The supervisor itself: PATH.
    Supervisor,
    /// `[env]` of the service file.
    ServiceFile,
    /// A file of `env_files`.
    EnvFiles,
    /// A setting.
    Setting,
    /// `SERVICE.env` of the site file.
    SiteFile,
}

impl fmt::Display for VariableSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Supervisor => "the supervisor",
            Self::ServiceFile => "[env] of the service file",
            Self::EnvFiles => "env_files",
            Self::Setting => "a setting",
            Self::SiteFile => "env of the site file",
        })
    }
}
