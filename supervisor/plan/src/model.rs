//! The plan: exactly what will run on this host, checked and rendered.
//!
//! Durations are milliseconds, sizes bytes, paths absolute.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::Variables;

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
    /// Where things lie.
    pub paths: Paths,
    /// Every service by name, disabled ones too (those with only what status shows filled in).
    pub services: BTreeMap<String, Box<Service>>,
    /// Who may use the control socket.
    pub control: Control,
    /// Whether missing accounts are created.
    pub manage_accounts: bool,
    /// Who is told when something goes wrong, and how; `[notify.NAME]` of the site file.
    #[serde(default)]
    pub notify: Vec<NotifyTarget>,
    /// Settings with `generate` that have no value yet. While there are any, the plan holds
    /// placeholders for them and must not run: make them, store them, load again.
    #[serde(skip)]
    pub missing_secrets: Vec<MissingSecret>,
    /// Warnings and notes; a plan has no errors. Not stored with it.
    #[serde(skip)]
    pub remarks: Vec<crate::Problem>,
}

impl Plan {
    /// A plan of nothing: what runs before the first one is made.
    pub fn empty(paths: Paths) -> Self {
        Self {
            paths,
            services: BTreeMap::new(),
            control: Control::default(),
            manage_accounts: false,
            notify: Vec::new(),
            missing_secrets: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

/// Who may use the control socket, besides root and the supervisor's own user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Members may act.
    pub admin_group: Option<String>,
    /// Members may look.
    pub viewer_group: Option<String>,
}

/// A secret that has to be made; see [`crate::secrets`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSecret {
    /// The service, or section, as `secrets.toml` names it.
    pub service: String,
    /// The setting.
    pub key: String,
    /// How it is made: `hex:16`.
    pub spec: String,
}

/// One service, rendered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// For people.
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
    /// Program and arguments; the program is absolute or to be looked up in the PATH of `env`.
    #[serde(skip_serializing_if = "is_default")]
    pub command: Vec<String>,
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
    /// Numeric ids for accounts that must be created.
    #[serde(skip_serializing_if = "is_default")]
    pub uid: Option<u32>,
    /// Numeric ids for accounts that must be created.
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
    /// Badness for the OOM killer.
    #[serde(skip_serializing_if = "is_default")]
    pub oom_score_adj: Option<i32>,
    /// Turn at the disk; none: untouched.
    #[serde(skip_serializing_if = "is_default")]
    pub io_priority: Option<IoPriority>,
    /// Numbers of the CPUs that it may run on, ascending; none: untouched.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_affinity: Option<Vec<u32>>,
    /// What it reads as standard input.
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
    /// Capabilities that it keeps over the change of user, besides what the kernel does; none: none.
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
    /// What it requires, wants or binds to and is disabled on this host, so that it is not waited for.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled_needs: BTreeSet<String>,
    /// `host:port` addresses that must be free before exec.
    #[serde(skip_serializing_if = "is_default")]
    pub listens: Vec<String>,
    /// When dependents may start.
    #[serde(skip_serializing_if = "is_default")]
    pub ready: Ready,
    /// Whose messages on the notify socket count; none: every process's, where readiness or a
    /// watchdog asks for a socket at all.
    #[serde(skip_serializing_if = "is_default")]
    pub notify_access: Option<NotifyAccess>,
    /// It must say that it is alive, again and again; none: it need not.
    #[serde(skip_serializing_if = "is_default")]
    pub watchdog: Option<Watchdog>,
    /// Restart it when this fails.
    #[serde(skip_serializing_if = "is_default")]
    pub liveness: Option<Probe>,
    /// Show it as degraded when this fails.
    #[serde(skip_serializing_if = "is_default")]
    pub health: Option<Probe>,
    /// What follows an exit.
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
}

/// A thousand services are stored, and held by the keeper too: what is as usual is left out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Service {
    /// It is given a `NOTIFY_SOCKET`: something of it is told there.
    pub fn has_notify_socket(&self) -> bool {
        self.ready.kind == ReadyKind::Notify
            || self.watchdog.is_some()
            || self.notify_access.is_some()
    }
}

/// One environment variable.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its value.
    pub value: String,
    /// Where it comes from.
    pub source: Source,
    /// Never to be shown.
    pub secret: bool,
}

/// Where a variable comes from, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The supervisor: PATH.
    Base,
    /// `[env]` of the service file.
    Computed,
    /// A file of `env_files`.
    EnvFile,
    /// A setting.
    Setting,
    /// `SERVICE.env` of the site file.
    EnvMap,
}

/// When a service is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// What says so.
    pub kind: ReadyKind,
    /// Patience; none: for ever.
    pub timeout_ms: Option<u64>,
}

impl Default for Ready {
    fn default() -> Self {
        Self {
            kind: ReadyKind::Exec,
            timeout_ms: None,
        }
    }
}

/// What says that a service is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadyKind {
    /// Exec has succeeded.
    Exec,
    /// READY=1 by `sd_notify`.
    Notify,
    /// A newline on this file descriptor, as s6 has it.
    Fd(i32),
    /// The service logs a line that matches this regular expression.
    Log(String),
    /// This many milliseconds after exec.
    Delay(u64),
    /// A probe.
    Probe(Probe),
}

/// One question, asked again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked.
    pub ask: Ask,
    /// Wait before the first attempt.
    pub delay_ms: u64,
    /// Pause between attempts.
    pub interval_ms: u64,
    /// Longest time of one attempt.
    pub timeout_ms: u64,
    /// Failures in a row that count.
    pub failures: u32,
    /// Successes in a row that count.
    pub successes: u32,
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// GET this `http://` URL; the answer's status must be one of these (empty: 200 to 399).
    Http {
        /// `http://host:port/path?query`.
        url: String,
        /// Accepted status codes.
        status: Vec<u16>,
        /// The body must contain this.
        body: Option<String>,
    },
    /// Connect to `host:port`.
    Tcp(String),
    /// Connect to this unix stream socket.
    Unix(PathBuf),
    /// Run this; exit code 0 is a yes. As the service's user, in its environment.
    Exec(Vec<String>),
}

/// See `engine::Restart`; the same fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Which exits are followed by a new run.
    pub policy: Policy,
    /// Exit codes that count as success besides 0.
    pub success_codes: BTreeSet<i32>,
    /// Signals that count as success, by number.
    pub success_signals: BTreeSet<i32>,
    /// Pause before the second early death's restart.
    pub delay_ms: u64,
    /// Growth of the pause, in thousandths.
    pub factor_milli: u32,
    /// No pause is longer.
    pub max_delay_ms: u64,
    /// Random lengthening, in thousandths.
    pub jitter_milli: u32,
    /// Up this long clears the count.
    pub reset_after_ms: u64,
    /// At most this many starts within that many milliseconds.
    pub limit: Option<(u32, u64)>,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: Policy::Always,
            success_codes: BTreeSet::new(),
            success_signals: BTreeSet::new(),
            delay_ms: 1000,
            factor_milli: 2000,
            max_delay_ms: 60_000,
            jitter_milli: 100,
            reset_after_ms: 60_000,
            limit: None,
        }
    }
}

/// Which exits of a run are followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Every exit.
    Always,
    /// Every exit; a hold survives a reboot.
    UnlessStopped,
    /// Exits that are not a success.
    OnFailure,
    /// None.
    Never,
}

/// How a service is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Signal number.
    pub signal: i32,
    /// Time from it to SIGKILL.
    pub timeout_ms: u64,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            signal: 15,
            timeout_ms: 30_000,
        }
    }
}

/// How a service takes a new configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reload {
    /// A signal, by number.
    Signal(i32),
    /// A command.
    Command(Vec<String>),
}

/// Rotation of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Size at which `current` is rotated.
    pub size_bytes: u64,
    /// Rotated files that are kept.
    pub keep: u32,
    /// `current` is rotated when its first line is this old; none: by size alone.
    pub age_ms: Option<u64>,
    /// Rotated files are compressed with zstd, except for the newest.
    #[serde(default = "yes")]
    pub compress: bool,
    /// Where each line also goes; none: into the file alone.
    #[serde(default)]
    pub forward: Option<Forward>,
}

const fn yes() -> bool {
    true
}

impl Default for Log {
    fn default() -> Self {
        Self {
            size_bytes: 10 << 20,
            keep: 10,
            age_ms: None,
            compress: true,
            forward: None,
        }
    }
}

/// Where log lines also go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Where.
    pub to: ForwardTo,
    /// How they look on the daemon's standard output.
    pub format: ForwardFormat,
}

/// A place for log lines besides the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardTo {
    /// `/dev/log`.
    Syslog,
    /// The journal's own socket.
    Journal,
    /// The daemon's standard output, for containers.
    Stdout,
}

/// How a line looks on the daemon's standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardFormat {
    /// `SERVICE | line`.
    Text,
    /// One JSON object a line: `{"at","service","text"}`.
    Json,
}

/// Turn at the disk; see `ioprio_set(2)`.
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
    /// As is usual.
    BestEffort,
    /// When nobody else wants the disk.
    Idle,
}

/// What a service reads as standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    Null,
    /// This file, FIFO or device, opened for reading as the service's user.
    File(PathBuf),
}

/// Whose messages on the notify socket count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyAccess {
    /// Those of every process that belongs to the service.
    #[default]
    All,
    /// Those of its main process.
    Main,
}

/// `WATCHDOG=1` of `sd_notify` must come at least this often once the service is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// Longest silence.
    pub timeout_ms: u64,
    /// What silence means.
    pub action: WatchdogAction,
    /// Signal that ends it, by number, for `Restart`: SIGABRT unless given, so that it leaves a core.
    pub signal: i32,
}

/// What the silence of a watched service means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchdogAction {
    /// It is ended and restarted.
    Restart,
    /// It is shown as degraded and told.
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
}

/// Somebody to tell.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyTarget {
    /// `NAME` of `[notify.NAME]`.
    pub name: String,
    /// How.
    pub by: NotifyBy,
    /// Of what.
    pub on: BTreeSet<NotifyOn>,
}

/// How somebody is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyBy {
    /// POST to this URL (secret: it is its own password). Mattermost and Slack take the same JSON.
    Webhook(String),
    /// Run this; what happened is in its environment.
    Command(Vec<String>),
    /// A mail by `sendmail -t`.
    Sendmail {
        /// Recipients.
        to: Vec<String>,
        /// Sender; none: sendmail's own idea.
        from: Option<String>,
    },
}

/// What is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyOn {
    /// A service will not come back by itself.
    Failed,
    /// A service has ended and was restarted.
    Restarted,
    /// A health or liveness probe, or a watchdog, says no.
    Unhealthy,
    /// A service that was failed or unhealthy is well again.
    Recovered,
    /// Less than 10 % of a disk that we or a service write to is free.
    Disk,
    /// A service runs a program that has been replaced on disk.
    DeletedBinary,
}

/// A directory that must exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Absolute.
    pub path: PathBuf,
    /// Mode bits.
    pub mode: u32,
    /// Owner; none: the service's user.
    pub user: Option<String>,
    /// Group; none: the service's group.
    pub group: Option<String>,
}

/// A file that the plan renders.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedFile {
    /// Absolute.
    pub path: PathBuf,
    /// What it will contain.
    pub content: String,
    /// Mode bits.
    pub mode: u32,
    /// Owner; none: the service's user.
    pub user: Option<String>,
    /// Group; none: the service's group.
    pub group: Option<String>,
    /// Command that checks the candidate before it is swapped in; the candidate's path is
    /// already in it. Empty: none.
    pub validate: Vec<String>,
    /// Where the candidate is written for that: beside `path`.
    pub candidate: PathBuf,
    /// What a change of it means for a running service.
    pub on_change: OnChange,
    /// Written only where it is missing, never changed again.
    pub create_only: bool,
    /// Content must not be shown.
    pub secret: bool,
}

/// What a changed file means for a running service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnChange {
    /// Reload it.
    Reload,
    /// Restart it.
    Restart,
    /// It notices by itself, or only at its next start.
    Nothing,
}

/// What stands for a secret wherever it would be shown.
const HIDDEN: &str = "(secret)";

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.secret { HIDDEN } else { &self.value };
        write!(f, "{value:?} ({:?})", self.source)
    }
}

impl fmt::Debug for RenderedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderedFile")
            .field("path", &self.path)
            .field("content", if self.secret { &HIDDEN } else { &self.content })
            .field("mode", &format_args!("{:04o}", self.mode))
            .field("user", &self.user)
            .field("group", &self.group)
            .field("validate", &self.validate)
            .field("on_change", &self.on_change)
            .field("create_only", &self.create_only)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NotifyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match &self.by {
            NotifyBy::Webhook(_) => format!("webhook {HIDDEN}"),
            NotifyBy::Command(argv) => format!("command {argv:?}"),
            NotifyBy::Sendmail { to, .. } => format!("mail to {to:?}"),
        };
        write!(f, "{} by {by} on {:?}", self.name, self.on)
    }
}
