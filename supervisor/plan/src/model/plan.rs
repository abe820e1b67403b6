//! The whole plan.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{notify::NotifyTarget, secrets::Secrets, service::Service};
use crate::report::problem::Problem;

/// Where everything lies under one root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// The root itself; `/` when installed.
    pub root: PathBuf,
    /// `ROOT/etc/mattervisor`.
    pub etc_dir: PathBuf,
    /// `ROOT/var/lib/mattervisor`.
    pub state_dir: PathBuf,
    /// `ROOT/var/log/mattervisor`.
    pub log_dir: PathBuf,
    /// `ROOT/run/mattervisor`.
    pub run_dir: PathBuf,
    /// The catalogue's `services.d`.
    pub catalog_dir: PathBuf,
}

/// Everything that will run, or would if it were enabled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Paths of the root.
    pub paths: Paths,
    /// Every service by name, disabled ones too (those with only what status shows filled in).
    pub services: BTreeMap<String, Box<Service>>,
    /// Users with access to the control socket.
    pub control: ControlAccess,
    /// Whether missing accounts are created.
    pub manage_accounts: bool,
    /// Targets of notifications; `[notify.NAME]` of the site file.
    #[serde(default)]
    pub notify: Vec<NotifyTarget>,
    /// The secrets that the plan was made with: they are put back from here when `secrets.toml` has
    /// lost them.
    pub secrets: Secrets,
    /// Settings with `generate` that have no value yet. While there are any, the plan holds
    /// placeholders for them and must not run: make them, store them, load again.
    #[serde(skip)]
    pub missing_secrets: Vec<MissingSecret>,
    /// Warnings and notes; a plan has no errors. They are not stored with the plan.
    #[serde(skip)]
    pub remarks: Vec<Problem>,
}

impl Plan {
    /// The tools of all services, by name.
    pub fn tools(&self) -> api::ToolsReply {
        let tools = self.services.values().flat_map(|service| &service.tools);
        let mut tools: Vec<api::Tool> = tools.cloned().collect();
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        api::ToolsReply { tools }
    }

    /// A plan of nothing: what runs before the first one is made.
    pub fn empty(paths: Paths) -> Self {
        Self {
            paths,
            services: BTreeMap::new(),
            control: ControlAccess::default(),
            manage_accounts: false,
            notify: Vec::new(),
            secrets: Secrets::default(),
            missing_secrets: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

/// Users with access to the control socket, besides root and the supervisor's own user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlAccess {
    /// Members may act.
    pub admin_group: Option<String>,
    /// Members may look.
    pub viewer_group: Option<String>,
}

/// A setting whose secret has to be made; see [`crate::secrets::generate()`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSecret {
    /// The service, or section, as `secrets.toml` names it.
    pub service: String,
    /// The setting.
    pub key: String,
    /// The spec of the secret: `hex:16`.
    pub spec: String,
}
