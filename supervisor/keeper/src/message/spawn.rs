//! Attributes of a service and of its runs.

use std::{collections::BTreeMap, path::PathBuf};

use run_model::Stop;
use serde::{Deserialize, Serialize};

use super::RunId;

/// Attributes of a service over all its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// The service.
    pub service: String,
    /// Owner of the log pipe, so that its processes can reopen `/dev/stdout`.
    pub uid: u32,
    /// Group of the log pipe.
    pub gid: u32,
    /// Directory of `current` and the rotated files; made if missing.
    pub log_dir: PathBuf,
    /// A file that has grown to this many bytes is rotated at the next line end.
    pub log_size_bytes: u64,
    /// Number of rotated files that are kept.
    pub log_keep: u32,
    /// `current` is rotated when its first line is this old; none: by size alone.
    #[serde(default)]
    pub log_age_ms: Option<u64>,
    /// Rotated files are compressed, except for the newest.
    #[serde(default)]
    pub log_compress: bool,
    /// Second destination of each line.
    #[serde(default)]
    pub log_forward: Option<Forward>,
}

/// Second destination of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forward {
    /// `/dev/log`.
    Syslog,
    /// The journal's own socket.
    Journal,
    /// The daemon's standard output as `SERVICE | line`.
    StdoutText,
    /// The daemon's standard output as one JSON object a line.
    StdoutJson,
}

/// One process to start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spawn {
    /// Number of the run, given out by the control process, larger than any before.
    pub run: RunId,
    /// Service of the run.
    pub service: String,
    /// Main process or helper.
    pub role: Role,
    /// The program (absolute path) and its arguments.
    pub argv: Vec<String>,
    /// The whole environment, except for `NOTIFY_SOCKET`.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Ids to run as; none: those of the supervisor.
    pub ids: Option<Ids>,
    /// File mode creation mask.
    pub umask: u32,
    /// Resource limits by name (`nofile`): soft and hard; `None` is unlimited.
    pub rlimits: BTreeMap<String, (Option<u64>, Option<u64>)>,
    /// Nice value.
    pub nice: Option<i32>,
    /// `oom_score_adj`; none: the value that the daemon was started with.
    pub oom_score_adj: Option<i32>,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// Capabilities by name without `CAP_`, lower case (`net_bind_service`): the run keeps these
    /// alone, also over the change of user (ambient); none: the kernel's default.
    pub capabilities: Option<Vec<String>>,
    /// Capabilities by name that an exec can ever gain; none: untouched.
    #[serde(default)]
    pub capability_bounding_set: Option<Vec<String>>,
    /// Capabilities by name that are kept over the change of user; none: none.
    #[serde(default)]
    pub ambient_capabilities: Option<Vec<String>>,
    /// I/O priority for `ioprio_set(2)`: class << 13 | level; none: untouched.
    #[serde(default)]
    pub io_priority: Option<u16>,
    /// Numbers of the CPUs that the run may use; none: untouched.
    #[serde(default)]
    pub cpu_affinity: Option<Vec<u32>>,
    /// Opened for reading as standard input, after the change of user, without waiting for
    /// anything; a FIFO for writing too, where that is allowed, so that it never ends; none:
    /// `/dev/null`.
    #[serde(default)]
    pub stdin: Option<PathBuf>,
    /// Number (3 to 1023) at which the run gets the write end of a pipe; a newline in the pipe
    /// comes back as `Notified` with the key [`super::READY_FD`].
    #[serde(default)]
    pub ready_fd: Option<i32>,
    /// Whether the run gets a `NOTIFY_SOCKET`.
    pub notify: bool,
    /// Whether only messages of the main process count there.
    #[serde(default)]
    pub notify_main_only: bool,
    /// How the keeper alone, or a later keeper, stops the run.
    pub stop: Stop,
    /// Kill a probe, validator or reload command after this many milliseconds; none: never.
    pub timeout_ms: Option<u64>,
}

impl Spawn {
    /// A helper of the supervisor itself: runs in `/` with the supervisor's ids, and inherits every
    /// attribute unchanged. The keeper kills it after `timeout_ms`.
    pub fn helper(
        run: RunId,
        service: &str,
        argv: Vec<String>,
        env: BTreeMap<String, String>,
        timeout_ms: u64,
    ) -> Self {
        Self {
            run,
            service: service.to_owned(),
            role: Role::Helper,
            argv,
            env,
            cwd: "/".into(),
            ids: None,
            umask: 0o022,
            rlimits: BTreeMap::new(),
            nice: None,
            oom_score_adj: None,
            no_new_privs: false,
            capabilities: None,
            capability_bounding_set: None,
            ambient_capabilities: None,
            io_priority: None,
            cpu_affinity: None,
            stdin: None,
            ready_fd: None,
            notify: false,
            notify_main_only: false,
            stop: Stop::by(15, 1000),
            timeout_ms: Some(timeout_ms),
        }
    }
}

/// Purpose of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The service itself: its output goes to the service's log.
    Main,
    /// Exec probe, validator or reload command: its output comes back with its exit, its whole tree
    /// dies with it, and it does not count for "a run of the service is unswept".
    Helper,
}

/// Numeric ids, looked up beforehand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}
