//! Changes to services: the request, its progress and its outcome.

use serde::{Deserialize, Serialize};

use crate::{
    config::{KeptPlan, Preview},
    error::ErrorReply,
    job::{JobProgress, JobResult},
    state::ServiceState,
};

/// An action on services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Start, lifting holds.
    Start,
    /// Start; no restart when the run ends.
    Once,
    /// Stop and hold: nothing but a command starts the service again.
    Stop,
    /// Stop and start.
    Restart,
    /// Load a new configuration into the running process.
    Reload,
    /// Send a signal to the main process. The name is upper case, without SIG: `HUP`.
    Signal(String),
}

/// `POST /v1/services`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    /// Made by the client. A second request with the same id repeats no action and reports the
    /// first.
    pub id: String,
    /// The action.
    pub action: Action,
    /// Target services, by name or pattern; empty means all that are enabled.
    pub services: Vec<String>,
    /// Services to leave out; names and patterns as in `services`.
    #[serde(default)]
    pub except: Vec<String>,
    /// Whether the answer ends once the change has settled (`true`) or once it is accepted.
    pub wait: bool,
}

/// One line of the answer to a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "progress", rename_all = "kebab-case")]
pub enum Progress {
    /// The engine has accepted the change, and the change is on disk except for what `unstored`
    /// says. A reconfigure that goes back sends this line a second time, about the previous
    /// configuration.
    Accepted {
        /// Services that the change is about: targets and the services that they pull in.
        services: Vec<String>,
        /// Sentences to print: lifted holds, dependents that stop too, needless targets.
        notes: Vec<String>,
        /// Parts of the change that are not on disk.
        #[serde(default, skip_serializing_if = "Unstored::is_nothing")]
        unstored: Unstored,
    },
    /// A service has changed its state.
    State {
        /// The service.
        service: String,
        /// Its new state.
        state: ServiceState,
        /// In words, why; may be empty.
        detail: String,
    },
    /// A job reports its progress; at most five lines a second.
    Job {
        /// The job's service.
        service: String,
        /// The progress.
        #[serde(flatten)]
        at: JobProgress,
    },
    /// A reconfigure has reached a step: `checks /x/y.conf`. Such lines precede `Accepted`.
    Step {
        /// The step, in words.
        detail: String,
    },
    /// The last line of a dry run: nothing has changed.
    Preview(Box<Preview>),
    /// The last line.
    Done(Outcome),
    /// The last line in place of `Done`: the request was refused.
    Refused(ErrorReply),
}

/// How a change ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Outcome {
    /// The client's id.
    pub id: String,
    /// The change has ended; false: the change still goes on.
    pub finished: bool,
    /// One result for each target.
    pub results: Vec<ActionResult>,
    /// For a reconfigure: the configuration that `ctl reconfigure --rollback` would restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<KeptPlan>,
    /// For a reconfigure with a failed reload: how the supervisor went back to the previous
    /// configuration, or failed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_back: Option<Box<GoneBack>>,
    /// For a job: the result that the job left; absent: the job left no result for this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Box<JobResult>>,
    /// Parts of the change that are not on disk at this moment.
    #[serde(default, skip_serializing_if = "Unstored::is_nothing")]
    pub unstored: Unstored,
}

/// How a reconfigure went back to the previous configuration after a failed reload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GoneBack {
    /// The previous configuration.
    pub to: KeptPlan,
    /// One result for each service that going back touched, under the previous configuration.
    pub results: Vec<ActionResult>,
    /// Why going back failed; then the configuration whose reload failed is still in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The site file, which still holds the rejected change.
    pub site_file: String,
}

/// Parts of a change that exist in memory only. The supervisor keeps trying to store them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Unstored {
    /// Why the taken or lifted holds are not on disk: the next start of the supervisor does not
    /// know them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<String>,
    /// Why the history of changes lacks this change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<String>,
}

impl Unstored {
    /// Whether the whole change is on disk.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// How a change ended for one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ActionResult {
    /// The service.
    pub service: String,
    /// Whether the service reached what was asked.
    pub verdict: Verdict,
    /// The service's state at that moment; null: not known.
    pub state: Option<ServiceState>,
    /// Its main process, if there is one.
    pub pid: Option<i32>,
    /// Seconds since the service entered that state.
    pub seconds: u64,
    /// The state together with its cause: `stopped by root at …`, `waiting on nginx (failed)`;
    /// null: the word for the state says all.
    pub state_in_full: Option<String>,
    /// In words: why not, what was special (`needed SIGKILL`), what a job says of itself; may be
    /// empty.
    pub detail: String,
}

impl ActionResult {
    /// The word for the state; `unknown` without a state.
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

/// Whether a service reached what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The service is as asked.
    Done,
    /// The service was so before the request.
    Already,
    /// The service is not as asked; `detail` says why.
    Failed,
    /// The action still goes on.
    Pending,
}
