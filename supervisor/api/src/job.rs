//! Jobs: work of several steps that outlives the client who asked for it, and its right to keep
//! services stopped meanwhile.

use serde::{Deserialize, Serialize};

/// A progress of a job has no more bytes: one line of JSON, the value of its notify key.
pub const JOB_PROGRESS_BYTES_MAX: usize = 512;
/// The notify key by which a job says how far it is.
pub const JOB_PROGRESS_KEY: &str = "X_MATTERVISOR_PROGRESS";
/// A result of a job has no more bytes, its report included.
pub const JOB_RESULT_BYTES_MAX: usize = 64 << 10;
/// In a job's directory: what was asked for, a [`JobOrder`].
pub const JOB_REQUEST_FILE: &str = "request.json";
/// In a job's directory: how it ended, a [`JobResult`].
pub const JOB_RESULT_FILE: &str = "result.json";

/// `POST /v1/jobs/{name}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Made by the client: a second request with the same id is not done again, it only reports.
    pub id: String,
    /// For the job's program, which alone knows what they mean; no secrets, for they are stored.
    #[serde(default)]
    pub arguments: serde_json::Value,
    /// Answer once it has ended (`true`) or once it is accepted.
    pub wait: bool,
}

/// What a job finds in its directory as `request.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobOrder {
    /// The client's id of the request.
    pub id: String,
    /// Who asked, for people.
    pub by: String,
    /// As in the request.
    pub arguments: serde_json::Value,
}

/// `POST /v1/leases`: a job that runs has services stopped, and nothing starts them until it gives
/// them back or has ended. More can be asked for later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// For the outcome; the server makes one where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The job's own service.
    pub job: String,
    /// What it has stopped; what requires these stops with them.
    pub services: Vec<String>,
}

/// `DELETE /v1/leases`: a job gives back all that it has had stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// For the outcome; the server makes one where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The job's own service.
    pub job: String,
}

/// How far a job is, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobProgress {
    /// What it does, in words: `copy files`.
    pub step: String,
    /// How much of that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// How much there is, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<JobUnit>,
}

/// What a job counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum JobUnit {
    /// Bytes.
    Bytes,
    /// Files, directories among them.
    Files,
    /// Rows of tables.
    Rows,
}

/// What a job leaves in its directory as `result.json` before it exits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobResult {
    /// The id of the request that it is the result of; that of another means nothing.
    pub id: String,
    /// It has done what was asked.
    pub ok: bool,
    /// In one line.
    pub message: String,
    /// What was asked was not what its schedule is for, so this is neither a good run of that nor a
    /// failed one.
    #[serde(default)]
    pub aside: bool,
    /// For the client that asked, which alone knows what it means.
    #[serde(default)]
    pub report: serde_json::Value,
}

/// Of a service that is a job: what it works on, or has worked on last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobStatus {
    /// The id of the request; null: there was none since the supervisor started.
    pub id: Option<String>,
    /// It is on its way: it has not come to its end for good.
    pub active: bool,
    /// What it last said of itself, while it is on its way.
    pub progress: Option<JobProgress>,
    /// Services that it has had stopped, in order of their names.
    pub leases: Vec<String>,
}

/// A service that a job keeps stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeasedBy {
    /// The job.
    pub job: String,
    /// Since when, RFC 3339 in UTC.
    pub since: String,
}
