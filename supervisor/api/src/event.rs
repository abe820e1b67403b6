//! The stream of what happens.

use serde::{Deserialize, Serialize};

use crate::exit::ExitRecord;

/// One thing that happened to a service, or to the daemon itself (`service` empty).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceEvent {
    /// Counts up, over control processes too.
    pub seq: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Which service; empty for the daemon.
    pub service: String,
    /// `state`, `exit` (a run of it has ended), `health`, `change` (somebody asked for something), `progress` (a job has begun a step), `daemon`, `gap`.
    pub kind: String,
    /// The state it is in after this.
    pub state: String,
    /// Up and ready, or completed.
    pub ready: bool,
    /// Main process.
    pub pid: Option<i32>,
    /// In words; may be empty.
    pub detail: String,
    /// Who asked, for a `change`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Of an `exit`: all that is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Box<ExitRecord>>,
}

/// Somebody's change, as it is kept for a year.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangeRecord {
    /// Made by the client.
    pub id: String,
    /// When it was asked for, RFC 3339 in UTC.
    pub at: String,
    /// By whom, for people: `root`, `alice (uid 1000)`.
    pub by: String,
    /// By whom.
    pub uid: u32,
    /// `start`, `once`, `stop`, `restart`, `reload`, `signal HUP`, `reconfigure`, `job`, `lease for NAME`, `release by NAME`.
    pub what: String,
    /// The services that it was about.
    pub services: Vec<String>,
    /// `done`, `failed` or `refused`; `accepted` while it is under way, or if its end was not seen.
    pub outcome: String,
    /// In words: what failed; may be empty.
    pub detail: String,
    /// When it ended, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}
