//! `ctl status --format json`.

use serde::{Deserialize, Serialize};

use crate::{
    Maintenance,
    job::{JobStatus, LeasedBy},
    state::{DaemonState, Goal, ServiceState},
};

/// Everything, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusReply {
    /// The daemon itself.
    pub supervisor: SupervisorStatus,
    /// Every service of the plan by name, disabled ones too.
    pub services: Vec<ServiceStatus>,
}

/// The daemon itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SupervisorStatus {
    /// Of the control process.
    pub version: String,
    /// Pid of the control process.
    pub pid: i32,
    /// Pid of the keeper.
    pub keeper_pid: i32,
    /// Version of the keeper's program; empty: the daemon does not say.
    #[serde(default)]
    pub keeper_version: String,
    /// How often the keeper has become another program since it started.
    #[serde(default)]
    pub keeper_execs: u32,
    /// Since the keeper started.
    pub uptime_seconds: u64,
    /// How often the control process has died and been restarted.
    pub control_restarts: u32,
    /// Directory that stands before `etc/mattervisor` and the others; `/` when installed.
    pub root: String,
    /// What the daemon is.
    pub state: DaemonState,
    /// What is worth knowing: a refused configuration, missing privileges.
    pub warnings: Vec<String>,
    /// The host is in maintenance; null: it is not.
    #[serde(default)]
    pub maintenance: Option<Maintenance>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Whether it belongs to this host.
    pub enabled: bool,
    /// What is wanted of it.
    pub goal: Goal,
    /// Who stopped it explicitly, if somebody did.
    pub held: Option<HeldBy>,
    /// The job that keeps it stopped, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased: Option<LeasedBy>,
    /// Only of a service that is a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobStatus>,
    /// Only of one that runs by the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleStatus>,
    /// What it is.
    pub state: ServiceState,
    /// Up and ready, or completed.
    pub ready: bool,
    /// The health probe's verdict; null without one or before the first.
    pub healthy: Option<bool>,
    /// Main process, while there is one.
    pub pid: Option<i32>,
    /// When it came into this state, RFC 3339 in UTC; a reload does not end that of one that runs.
    pub since: Option<String>,
    /// The same as a duration until now.
    pub uptime_seconds: Option<u64>,
    /// Automatic restarts since the last manual start.
    pub restarts: u32,
    /// How the last run ended.
    pub last_exit: Option<LastExit>,
    /// How the last reload of the present run ended; null: there was none, or one is under way.
    pub last_reload: Option<LastReload>,
    /// In words: what it waits for, why it failed, when the next try is due, what its health probe
    /// said, why its last reload failed.
    pub reason: Option<String>,
    /// Names it waits for.
    pub waiting_on: Vec<String>,
    /// Milliseconds until the next automatic start.
    pub next_try_ms: Option<u64>,
    /// Of the whole tree; only when asked for.
    pub cpu_percent: Option<f64>,
    /// Of the whole tree; only when asked for.
    pub memory_bytes: Option<u64>,
    /// User it runs as.
    pub user: Option<String>,
    /// What it last said by `STATUS=` of `sd_notify`.
    pub status_text: Option<String>,
}

impl ServiceStatus {
    /// A job that nobody has to hear of: it rests, as it does but for the time of its work, and its
    /// last run, if there was one, has ended well.
    #[must_use]
    pub fn is_resting_job(&self) -> bool {
        let at_rest = self.job.as_ref().is_some_and(|it| !it.active);
        at_rest && self.held.is_none() && self.state == ServiceState::Completed
    }
}

/// How what runs by the clock has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleStatus {
    /// When it runs next, RFC 3339 in UTC; null: not known, or never.
    pub next_run: Option<String>,
    /// When its last good run ended, RFC 3339 in UTC; null: there was none since it has had a
    /// schedule.
    pub last_good: Option<String>,
    /// Its last run was not good; null: it was, or there was none.
    pub failed: Option<FailedRun>,
    /// A good run should have ended by now.
    pub overdue: bool,
}

/// A run by the clock that was not good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailedRun {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// In words.
    pub reason: String,
}

/// An explicit stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeldBy {
    /// Who, for people.
    pub by: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
}

/// How a reload has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LastReload {
    /// In one word.
    pub outcome: ReloadOutcome,
    /// Why it has failed, in words; null: it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What has become of a reload. After all but `done` the service runs with the configuration that
/// it had before, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// It has the new configuration, as far as it is asked.
    Done,
    /// Its validator has refused that.
    Refused,
    /// The command or the signal has failed.
    Failed,
    /// It was not done in time.
    TimedOut,
    /// It was not seen in time to run with the new configuration.
    NotConfirmed,
    /// It has no way to reload any more.
    Impossible,
}

/// How a run ended: exactly one of `code` and `signal`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LastExit {
    /// Exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Name of the signal without SIG: `KILL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// In words: `exit code 1`, `killed by KILL`, `stopped as asked`.
    pub reason: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
}
