//! Jobs: work of several steps that outlives its client, and a job's lease, by which it keeps
//! services stopped while it works.

use serde::{Deserialize, Serialize};

/// Longest progress message of a job, in bytes: one line of JSON, the value of the notify key.
pub const JOB_PROGRESS_BYTES_MAX: usize = 512;
/// Notify key of a job's progress messages.
pub const JOB_PROGRESS_KEY: &str = "X_MATTERVISOR_PROGRESS";
/// Longest result of a job, in bytes, with its report.
pub const JOB_RESULT_BYTES_MAX: usize = 64 << 10;
/// File in a job's directory with the request, a [`JobOrder`].
pub const JOB_REQUEST_FILE: &str = "request.json";
/// File in a job's directory with the result, a [`JobResult`].
pub const JOB_RESULT_FILE: &str = "result.json";

/// `POST /v1/jobs/{name}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Made by the client. A second request with the same id starts no job and reports the first.
    pub id: String,
    /// For the job's program, which alone interprets them. They are stored: no secrets here.
    #[serde(default)]
    pub arguments: serde_json::Value,
    /// Whether the answer ends once the job has ended (`true`) or once it is accepted.
    pub wait: bool,
}

/// The request that a job finds in its directory as `request.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobOrder {
    /// The client's id of the request.
    pub id: String,
    /// Who asked, for people.
    pub by: String,
    /// The arguments of the request.
    pub arguments: serde_json::Value,
}

/// `POST /v1/leases`: a running job has services stopped, and nothing starts these services until
/// the job releases them or ends. A job may ask for more services later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// Id for asking for the outcome; without an id the server makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The job's own service.
    pub job: String,
    /// Services to stop; services that require them stop too.
    pub services: Vec<String>,
}

/// `DELETE /v1/leases`: a job releases all services that it keeps stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Id for asking for the outcome; without an id the server makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The job's own service.
    pub job: String,
}

/// Progress of a job, as the job reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobProgress {
    /// The present step, in words: `copy files`.
    pub step: String,
    /// How much of the step is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// How much the step has in total, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The unit of `done` and `total`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<JobUnit>,
}

/// A unit that a job counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum JobUnit {
    /// Bytes.
    Bytes,
    /// Files, including directories.
    Files,
    /// Rows of tables.
    Rows,
}

/// The result that a job leaves in its directory as `result.json` before it exits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobResult {
    /// The id of the request; a result with another id is ignored.
    pub id: String,
    /// Whether the job did what was asked.
    pub ok: bool,
    /// The outcome in one line.
    pub message: String,
    /// The request was not what the job's schedule is for, so this run is neither a good scheduled
    /// run nor a failed one.
    #[serde(default)]
    pub aside: bool,
    /// For the client, which alone interprets the report.
    #[serde(default)]
    pub report: serde_json::Value,
}

/// The present request of a job, or its last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobStatus {
    /// The id of the request; null: there was no request since the supervisor started.
    pub id: Option<String>,
    /// Whether the job still works on the request.
    pub active: bool,
    /// The last progress that the job reported, while it works.
    pub progress: Option<JobProgress>,
    /// Services that the job keeps stopped, by name.
    pub leases: Vec<String>,
}

/// The job that keeps a service stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeasedBy {
    /// The job that holds the lease.
    pub job: String,
    /// When the lease began, RFC 3339 in UTC.
    pub since: String,
}
