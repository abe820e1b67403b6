//! Asking for something, following how it goes, and learning how it ended.

use serde::{Deserialize, Serialize};

use crate::{
    config::{KeptPlan, Preview},
    error::ErrorReply,
    job::{JobProgress, JobResult},
    state::ServiceState,
};

/// What can be asked of services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Start, lifting holds.
    Start,
    /// Start, and do not restart it when it ends.
    Once,
    /// Stop and hold.
    Stop,
    /// Stop and start.
    Restart,
    /// Take a new configuration without ending.
    Reload,
    /// Send a signal to the main process, by name without SIG, upper case: `HUP`.
    Signal(String),
}

/// `POST /v1/services`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    /// Made by the client: a second request with the same id is not done again, it only reports.
    pub id: String,
    /// What to do.
    pub action: Action,
    /// To which; empty means all that are enabled.
    pub services: Vec<String>,
    /// But not to these; names and patterns as in `services`.
    #[serde(default)]
    pub except: Vec<String>,
    /// Answer once it is settled (`true`) or once it is accepted.
    pub wait: bool,
}

/// One line of the answer to a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "progress", rename_all = "kebab-case")]
pub enum Progress {
    /// The engine has taken it, and it is on disk but for what `unstored` says. A reconfigure that
    /// goes back from its configuration says so once more, of the configuration before.
    Accepted {
        /// Services that it is about (targets and what they pull in).
        services: Vec<String>,
        /// Sentences worth printing: holds lifted, dependents that stop too, what was needless.
        notes: Vec<String>,
        /// What of the change is on no disk.
        #[serde(default, skip_serializing_if = "Unstored::is_nothing")]
        unstored: Unstored,
    },
    /// A service has come into another state.
    State {
        /// Which.
        service: String,
        /// Its new state.
        state: ServiceState,
        /// In words; may be empty.
        detail: String,
    },
    /// A job has come so far; no more than five a second.
    Job {
        /// The job's service.
        service: String,
        /// How far.
        #[serde(flatten)]
        at: JobProgress,
    },
    /// A reconfigure has come so far: `checks /x/y.conf`. Before `Accepted`.
    Step {
        /// In words.
        detail: String,
    },
    /// The last line of a dry run: nothing has changed.
    Preview(Box<Preview>),
    /// The last line.
    Done(Outcome),
    /// The last line, instead.
    Refused(ErrorReply),
}

/// How a change ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Outcome {
    /// The client's id.
    pub id: String,
    /// It has come to its end; otherwise it still goes on.
    pub finished: bool,
    /// One for each target.
    pub results: Vec<ActionResult>,
    /// Of a reconfigure: what `ctl reconfigure --rollback` would go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<KeptPlan>,
    /// Of a reconfigure: a reload failed, and the configuration was gone back from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_back: Option<Box<GoneBack>>,
    /// Of a job: what it has left as its result; none: it has left none of this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Box<JobResult>>,
    /// What of the change is on no disk at this moment.
    #[serde(default, skip_serializing_if = "Unstored::is_nothing")]
    pub unstored: Unstored,
}

/// How a reconfigure went back to the configuration before, because a reload had failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GoneBack {
    /// The configuration before.
    pub to: KeptPlan,
    /// One for each service that the way back was about, with that configuration.
    pub results: Vec<ActionResult>,
    /// Why the configuration before is not in place again: then the one that failed still is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The site file, which still holds the change.
    pub site_file: String,
}

/// Parts of a change that live in memory alone. The supervisor goes on trying to store it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Unstored {
    /// Why the holds that it took or lifted are not: the next start of the supervisor knows nothing
    /// of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<String>,
    /// Why the history of changes does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<String>,
}

impl Unstored {
    /// All of it is on disk.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// How a change ended for one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ActionResult {
    /// Which.
    pub service: String,
    /// Done or not.
    pub verdict: Verdict,
    /// Its state at that moment; null: not known.
    pub state: Option<ServiceState>,
    /// Its main process.
    pub pid: Option<i32>,
    /// Seconds it has been in that state.
    pub seconds: u64,
    /// The state together with its cause: `stopped by root at …`, `waiting on nginx (failed)`;
    /// null: the word for the state says all.
    pub state_in_full: Option<String>,
    /// In words: why not, what was special (`needed SIGKILL`), what a job says of itself; may be
    /// empty.
    pub detail: String,
}

impl ActionResult {
    /// The word for its state; `unknown` where there is none.
    #[must_use]
    pub fn state_word(&self) -> &'static str {
        self.state.map_or("unknown", ServiceState::as_str)
    }

    /// The state, with its cause where that is known.
    #[must_use]
    pub fn full_state(&self) -> &str {
        self.state_in_full
            .as_deref()
            .unwrap_or_else(|| self.state_word())
    }
}

/// Whether one service came to what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As asked.
    Done,
    /// It was so already.
    Already,
    /// It was not, and the detail says why.
    Failed,
    /// Still under way.
    Pending,
}
