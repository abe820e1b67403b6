//! A service and its attributes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{
    certificate::{Certificate, WatchedFile},
    credential::Credential,
    files::{Directory, RenderedFile},
    log::Log,
    policy::{Reload, Restart, Stop},
    ready::{MaintenanceConfirm, Probe, Ready, ReadyKind},
    status_file::StatusFile,
    variables::Variables,
};

/// A rendered service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Name.
    pub name: String,
    /// One line for people.
    #[serde(skip_serializing_if = "is_default")]
    pub description: String,
    /// Whether it runs on this host.
    #[serde(skip_serializing_if = "is_default")]
    pub enabled: bool,
    /// How to enable it, when it is not: `set external_url in …`.
    #[serde(skip_serializing_if = "is_default")]
    pub enable_hint: String,
    /// Why it cannot run on this host although the plan is right: its program was not found, …
    /// A spawn of it fails with this text. Fields that depend on what is missing are empty.
    #[serde(skip_serializing_if = "is_default")]
    pub broken: Option<String>,
    /// A oneshot runs to its end.
    #[serde(skip_serializing_if = "is_default")]
    pub oneshot: bool,
    /// A oneshot that runs only when its work is asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub job: bool,
    /// Of a job: what users of services are told that it has stopped, behind their name:
    /// `is being restored`. Neither `<`, `>`, `&`, quotes nor backslashes; empty: nothing.
    #[serde(skip_serializing_if = "is_default")]
    pub announcement: String,
    /// Program and arguments; the program is absolute or to be looked up in the PATH of `env`.
    #[serde(skip_serializing_if = "is_default")]
    pub command: Vec<String>,
    /// Hint for a missing program or working directory: how to install it.
    #[serde(skip_serializing_if = "is_default")]
    pub command_hint: String,
    /// Programs that people run: by `ctl`, not by the supervisor.
    #[serde(skip_serializing_if = "is_default")]
    pub tools: Vec<api::Tool>,
    /// Run before every start and reload; its failure keeps the service from it. Empty: none.
    #[serde(skip_serializing_if = "is_default")]
    pub validate: Vec<String>,
    /// The whole environment.
    #[serde(skip_serializing_if = "is_default")]
    pub env: Variables,
    /// User to run as; none: the supervisor's own.
    #[serde(skip_serializing_if = "is_default")]
    pub user: Option<String>,
    /// Group to run as; none: the user's.
    #[serde(skip_serializing_if = "is_default")]
    pub group: Option<String>,
    /// Supplementary groups; none: those of the user.
    #[serde(skip_serializing_if = "is_default")]
    pub groups: Option<Vec<String>>,
    /// Numeric id for an account that is created.
    #[serde(skip_serializing_if = "is_default")]
    pub uid: Option<u32>,
    /// Numeric id for an account that is created.
    #[serde(skip_serializing_if = "is_default")]
    pub gid: Option<u32>,
    /// Home directory for an account that must be created.
    #[serde(skip_serializing_if = "is_default")]
    pub home: Option<PathBuf>,
    /// Working directory; `/` unless given.
    #[serde(skip_serializing_if = "is_default")]
    pub working_dir: PathBuf,
    /// File mode creation mask.
    #[serde(skip_serializing_if = "is_default")]
    pub umask: u32,
    /// Nice value.
    #[serde(skip_serializing_if = "is_default")]
    pub nice: Option<i32>,
    /// `oom_score_adj` of the kernel, -1000 to 1000; none: untouched.
    #[serde(skip_serializing_if = "is_default")]
    pub oom_score_adj: Option<i32>,
    /// I/O priority; none: untouched.
    #[serde(skip_serializing_if = "is_default")]
    pub io_priority: Option<IoPriority>,
    /// Numbers of the CPUs that it may run on, ascending; none: untouched.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_affinity: Option<Vec<u32>>,
    /// Standard input.
    #[serde(skip_serializing_if = "is_default")]
    pub stdin: Stdin,
    /// Resource limits by name: soft and hard; `None` is unlimited.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: BTreeMap<String, (Option<u64>, Option<u64>)>,
    /// No gain of privileges by exec.
    #[serde(skip_serializing_if = "is_default")]
    pub no_new_privs: bool,
    /// Capabilities that alone stay, in every set, also over the change of user; none: untouched.
    #[serde(skip_serializing_if = "is_default")]
    pub capabilities: Option<Vec<String>>,
    /// Capabilities that it and its children can ever gain by exec; none: untouched.
    #[serde(skip_serializing_if = "is_default")]
    pub capability_bounding_set: Option<Vec<String>>,
    /// Capabilities that it keeps over the change of user, besides what the kernel does; none:
    /// none.
    #[serde(skip_serializing_if = "is_default")]
    pub ambient_capabilities: Option<Vec<String>>,
    /// Dependencies by name; only enabled services are named.
    #[serde(skip_serializing_if = "is_default")]
    pub requires: BTreeSet<String>,
    /// See `requires`.
    #[serde(skip_serializing_if = "is_default")]
    pub wants: BTreeSet<String>,
    /// See `requires`.
    #[serde(skip_serializing_if = "is_default")]
    pub binds_to: BTreeSet<String>,
    /// See `requires`.
    #[serde(skip_serializing_if = "is_default")]
    pub after: BTreeSet<String>,
    /// Disabled services that it requires, wants or binds to; it does not wait for these.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled_needs: BTreeSet<String>,
    /// `host:port` addresses that must be free before exec.
    #[serde(skip_serializing_if = "is_default")]
    pub listens: Vec<String>,
    /// Hint for the administrator when one of the addresses is taken.
    #[serde(skip_serializing_if = "is_default")]
    pub listens_hint: String,
    /// Unix sockets, as absolute paths, that are removed before each start if nobody listens there:
    /// a run that was killed leaves its own, and the next one could not bind it.
    #[serde(skip_serializing_if = "is_default")]
    pub stale_sockets: Vec<PathBuf>,
    /// When dependents may start.
    #[serde(skip_serializing_if = "is_default")]
    pub ready: Ready,
    /// Processes whose messages on the notify socket count; none: every process, where readiness or
    /// a watchdog needs a socket at all.
    #[serde(skip_serializing_if = "is_default")]
    pub notify_access: Option<NotifyAccess>,
    /// Watchdog that the service has to notify again and again; none: no watchdog.
    #[serde(skip_serializing_if = "is_default")]
    pub watchdog: Option<Watchdog>,
    /// Restart it when this fails.
    #[serde(skip_serializing_if = "is_default")]
    pub liveness: Option<Probe>,
    /// Show it as degraded when this fails.
    #[serde(skip_serializing_if = "is_default")]
    pub health: Option<Probe>,
    /// Reaction to an exit.
    #[serde(skip_serializing_if = "is_default")]
    pub restart: Restart,
    /// When it has failed for good, the daemon stops everything and ends with a failure.
    #[serde(skip_serializing_if = "is_default")]
    pub exit_when_failed: bool,
    /// When a oneshot runs by itself; none: with the daemon's start alone.
    #[serde(skip_serializing_if = "is_default")]
    pub schedule: Option<Schedule>,
    /// How it is asked to end.
    #[serde(skip_serializing_if = "is_default")]
    pub stop: Stop,
    /// How it takes a new configuration.
    #[serde(skip_serializing_if = "is_default")]
    pub reload: Option<Reload>,
    /// Rotation of its log, and where else its lines go.
    #[serde(skip_serializing_if = "is_default")]
    pub log: Log,
    /// Files that the program writes itself, as absolute paths or patterns (`*`), for
    /// `ctl logs --files`.
    #[serde(skip_serializing_if = "is_default")]
    pub log_files: Vec<String>,
    /// Created when missing, in this order.
    #[serde(skip_serializing_if = "is_default")]
    pub directories: Vec<Directory>,
    /// Rendered files, in this order.
    #[serde(skip_serializing_if = "is_default")]
    pub files: Vec<RenderedFile>,
    /// Files that only root may read, copied to where it may, in this order.
    #[serde(skip_serializing_if = "is_default")]
    pub credentials: Vec<Credential>,
    /// Certificates that it serves: checked before use, watched for renewal.
    #[serde(skip_serializing_if = "is_default")]
    pub certificates: Vec<Certificate>,
    /// Files that are changed outside, and what that means for it.
    #[serde(skip_serializing_if = "is_default")]
    pub watches: Vec<WatchedFile>,
    /// Files that say what it does at the moment, in this order.
    #[serde(skip_serializing_if = "is_default")]
    pub status_files: Vec<StatusFile>,
    /// How to see that the service tells its users of maintenance; none: it does not tell them.
    #[serde(skip_serializing_if = "is_default")]
    pub maintenance: Option<MaintenanceConfirm>,
}

/// Skips defaults: the keeper holds the plan too, and a thousand services add up.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Service {
    /// Whether the service gets a `NOTIFY_SOCKET`.
    pub fn has_notify_socket(&self) -> bool {
        self.ready.kind == ReadyKind::Notify
            || self.watchdog.is_some()
            || self.notify_access.is_some()
            || self.job
    }
}

/// I/O priority; see `ioprio_set(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoPriority {
    /// Class.
    pub class: IoClass,
    /// 0 (first) to 7 (last); no meaning for `Idle`.
    pub level: u8,
}

/// Class of [`IoPriority`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IoClass {
    /// Before all others.
    Realtime,
    /// The kernel's default.
    BestEffort,
    /// When nobody else wants the disk.
    Idle,
}

/// Standard input of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    Null,
    /// This file, FIFO or device, opened for reading as the service's user.
    File(PathBuf),
}

/// Processes whose messages on the notify socket count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyAccess {
    /// Every process that belongs to the service.
    #[default]
    All,
    /// The main process alone.
    Main,
}

/// `WATCHDOG=1` of `sd_notify` must come at least this often once the service is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// Longest silence.
    pub timeout_ms: u64,
    /// Reaction to silence.
    pub action: WatchdogAction,
    /// Signal that ends it, by number, for `Restart`: SIGABRT unless given, so that it leaves a
    /// core.
    pub signal: i32,
}

/// Reaction to the silence of a watched service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchdogAction {
    /// The service is ended and restarted.
    Restart,
    /// The service is shown as degraded, and the state is reported.
    Degrade,
}

/// When a oneshot runs by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// A cron expression of five fields, in local time, already checked.
    pub cron: String,
    /// Each time is put off by a random part of this.
    pub jitter_ms: u64,
    /// A time that passed while the daemon was down is made up for at its start.
    pub catch_up: bool,
    /// Whether it also runs when the daemon starts, or when the plan changes it.
    #[serde(default)]
    pub at_start: bool,
    /// A good run is to have ended so long after each time, and what that may be put off by; none:
    /// nobody has to know when it has not.
    #[serde(default)]
    pub overdue_after_ms: Option<u64>,
    /// For a job: what it is asked to do.
    #[serde(default)]
    pub arguments: BTreeMap<String, serde_json::Value>,
}
