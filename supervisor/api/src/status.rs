//! Status of the daemon and of its services (`ctl status --format json`).

use serde::{Deserialize, Serialize};

use crate::{
    Maintenance,
    job::{JobStatus, LeasedBy},
    state::{DaemonState, Goal, ServiceState},
};

/// Status of the daemon and its services at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusReply {
    /// Status of the daemon.
    pub supervisor: SupervisorStatus,
    /// Services of the plan by name, including disabled ones.
    pub services: Vec<ServiceStatus>,
}

/// Status of the daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SupervisorStatus {
    /// Version of the control process.
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
    /// Seconds since the keeper started.
    pub uptime_seconds: u64,
    /// How often the control process died and was restarted.
    pub control_restarts: u32,
    /// Prefix of `etc/mattervisor` and all other paths; `/` when installed.
    pub root: String,
    /// State of the daemon.
    pub state: DaemonState,
    /// Warnings: a refused configuration, missing privileges.
    pub warnings: Vec<String>,
    /// Maintenance of the host; null: there is none.
    #[serde(default)]
    pub maintenance: Option<Maintenance>,
}

/// Status of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceStatus {
    /// Name of the service.
    pub name: String,
    /// Description for people.
    pub description: String,
    /// Whether the service belongs to this host.
    pub enabled: bool,
    /// The goal of the service.
    pub goal: Goal,
    /// Who stopped the service explicitly; null: nobody did.
    pub held: Option<HeldBy>,
    /// The job that keeps the service stopped, if a job does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased: Option<LeasedBy>,
    /// The work of the job; only for a service that is a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobStatus>,
    /// The schedule; only for a service that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleStatus>,
    /// State of the service.
    pub state: ServiceState,
    /// Whether the service is up and ready, or completed.
    pub ready: bool,
    /// The health probe's verdict; null without a probe, or before the first verdict.
    pub healthy: Option<bool>,
    /// Main process, if there is one.
    pub pid: Option<i32>,
    /// When the service entered this state, RFC 3339 in UTC; a reload of a running service does not
    /// reset this time.
    pub since: Option<String>,
    /// Seconds since `since`.
    pub uptime_seconds: Option<u64>,
    /// Automatic restarts since the last manual start.
    pub restarts: u32,
    /// How the last run ended.
    pub last_exit: Option<LastExit>,
    /// How the last reload of the present run ended; null: there was none, or one is under way.
    pub last_reload: Option<LastReload>,
    /// In words: what the service waits for, why it failed, when the next try is due, what the
    /// health probe said, why the last reload failed.
    pub reason: Option<String>,
    /// Names of the services that this service waits for.
    pub waiting_on: Vec<String>,
    /// Milliseconds until the next automatic start.
    pub next_try_ms: Option<u64>,
    /// Processor time of the whole process tree, in percent; only if the request asks for usage.
    pub cpu_percent: Option<f64>,
    /// Memory of the whole process tree; only if the request asks for usage.
    pub memory_bytes: Option<u64>,
    /// User that the service runs as.
    pub user: Option<String>,
    /// The last `STATUS=` that the service sent by `sd_notify`.
    pub status_text: Option<String>,
}

impl ServiceStatus {
    /// Whether the service is a job at rest that needs no attention: the job is not active, nobody
    /// holds it, and its last run, if there was one, ended well.
    #[must_use]
    pub fn is_resting_job(&self) -> bool {
        let at_rest = self.job.as_ref().is_some_and(|it| !it.active);
        at_rest && self.held.is_none() && self.state == ServiceState::Completed
    }
}

/// How a service does by its schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ScheduleStatus {
    /// When the service runs next, RFC 3339 in UTC; null: not known, or never.
    pub next_run: Option<String>,
    /// When the last good run ended, RFC 3339 in UTC; null: no good run since the service got a
    /// schedule.
    pub last_good: Option<String>,
    /// The last run, if it was not good; null: the last run was good, or there was none.
    pub failed: Option<FailedRun>,
    /// Whether a good run should have ended by now.
    pub overdue: bool,
}

/// A scheduled run that was not good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailedRun {
    /// When the run failed, RFC 3339 in UTC.
    pub at: String,
    /// Why, in words.
    pub reason: String,
}

/// An explicit stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeldBy {
    /// Who stopped the service, for people.
    pub by: String,
    /// When the service was stopped, RFC 3339 in UTC.
    pub at: String,
}

/// How a reload ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LastReload {
    /// The outcome, in one word.
    pub outcome: ReloadOutcome,
    /// Why the reload failed, in words; null: it did not fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Outcome of a reload. After every outcome but `done` the service runs with its previous
/// configuration, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// The service has the new configuration, as far as the service can be asked.
    Done,
    /// The service's validator refused the new configuration.
    Refused,
    /// The reload command or the reload signal failed.
    Failed,
    /// The reload did not end in time.
    TimedOut,
    /// The service was not seen in time to run with the new configuration.
    NotConfirmed,
    /// The service no longer has a way to reload.
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
    /// When the run ended, RFC 3339 in UTC.
    pub at: String,
}
