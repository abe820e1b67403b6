//! Files that say what a service does at the moment, for who serves its clients while it cannot.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A file of root's, readable by everybody, that is rendered anew whenever what it says of its
/// service changes. [`StatusFile::render`] does that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusFile {
    /// Absolute.
    pub path: PathBuf,
    /// When the file exists.
    #[serde(default)]
    pub when: When,
    /// How values are escaped.
    pub(crate) escape: Escape,
    /// The template and what it includes: name and text; the including one is the first.
    pub(crate) template: Vec<(String, String)>,
    /// Settings that it uses, by name, as they are in this plan.
    pub(crate) values: serde_json::Value,
}

/// When a status file exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// As long as its service is in the plan.
    #[default]
    Always,
    /// While the host is in maintenance.
    Maintenance,
}

/// How a template's values are written, by the end of its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Escape {
    /// `*.html.j2`.
    Html,
    /// `*.json.j2`: each value is one of JSON, a string with its quotes.
    Json,
    /// All others: as they are.
    #[default]
    None,
}

/// State of a service, as `situation` in the template of a [`StatusFile`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Situation {
    /// As `ctl status` has it: `starting`, `running`.
    pub state: String,
    /// The service is up and ready.
    pub ready: bool,
    /// An administrator has stopped the service.
    pub held: bool,
    /// The service waits for another that is not on its way up.
    pub blocked: bool,
    /// The job that has it stopped, if that is why.
    pub job: Option<JobSituation>,
    /// The host is in maintenance.
    pub maintenance: Option<MaintenanceSituation>,
}

/// A job that has a service stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSituation {
    /// Name of the job.
    pub name: String,
    /// Its announcement to users: `is being restored`. The words can stand in any text as they are;
    /// none: the service announces nothing.
    pub announcement: Option<String>,
    /// Progress of its present step in percent; none: unknown.
    pub percent: Option<u8>,
}

/// The maintenance that an administrator has declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceSituation {
    /// Message to the users; plain text, perhaps of several lines.
    pub message: Option<String>,
    /// RFC 3339 in UTC.
    pub since: String,
}
