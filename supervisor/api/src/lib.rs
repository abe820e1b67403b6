//! The wire types of the control API: JSON over HTTP/1.1 on the control socket. The supervisor and
//! `ctl` share this one definition, so both read a message alike.
//!
//! | request | body | answer |
//! | --- | --- | --- |
//! | `GET /v1/services` | `?services=A,B&usage=true` | [`StatusReply`] of the named services, or of all; `usage` adds processor time and memory |
//! | `GET /v1/services/{name}` | `?usage=true` | [`ServiceStatus`] |
//! | `POST /v1/services/{name}/{action}` | `?id=&wait=` | NDJSON stream of [`Progress`]; `start`, `stop`, `restart`, `reload` |
//! | `POST /v1/services/{name}/signal/{signal}` | `?id=&wait=` | NDJSON stream of [`Progress`], for [`Action::Signal`] |
//! | `POST /v1/services` | [`ActionRequest`] | NDJSON stream of [`Progress`] |
//! | `POST /v1/jobs/{name}` | [`JobRequest`] | NDJSON stream of [`Progress`]; the last line has the job's [`JobResult`] |
//! | `POST /v1/leases` | [`LeaseRequest`] | NDJSON stream of [`Progress`] that ends when the services are down |
//! | `DELETE /v1/leases` | [`ReleaseRequest`] | NDJSON stream of [`Progress`] that ends when the released services that are wanted up have settled |
//! | `GET /v1/changes/{id}` | | [`Outcome`], or 404 if the supervisor knows no change of this id |
//! | `GET /v1/changes` | `?services=A,B&since=&until=&n=` | NDJSON stream of [`ChangeRecord`], oldest first |
//! | `GET /v1/exits` | `?services=A,B&since=&until=&n=` | NDJSON stream of [`ExitRecord`], oldest first |
//! | `GET /v1/events` | `?services=A,B&since=&until=&after=&follow=true&n=` | NDJSON stream of [`ServiceEvent`]; `after` is the `seq` of the last event seen and `since` its `at`: the stream resumes there, or a `gap` event says that it cannot |
//! | `GET /v1/logs` | [`LogQuery`] as query | NDJSON stream of [`LogLine`] |
//! | `POST /v1/logs/rotate` | `?services=A,B` | [`RotateReply`]; without names: every service |
//! | `GET /v1/why/{name}` | | [`Why`] |
//! | `GET /v1/check` | | [`CheckReply`] |
//! | `GET /v1/plan` | `?services=A,B` | [`PlanReply`]: the running plan, without its secrets |
//! | `GET /v1/tools` | | [`ToolsReply`]: programs that people run by `ctl NAME …` |
//! | `GET /v1/diff` | `?services=A,B` | [`DiffReply`]: what a reconfigure would change |
//! | `POST /v1/reconfigure` | `?id=&dry_run=&rollback=` | NDJSON stream of [`Progress`]; a dry run ends with a [`Preview`] |
//! | `POST /v1/reexec` | `?id=&keeper=` | NDJSON stream of [`Progress`]: of the keeper to its end; otherwise it ends only if no other control process takes over, and the connection closes if one does |
//! | `GET /v1/maintenance` | | [`MaintenanceReply`] |
//! | `PUT /v1/maintenance` | `?id=`, [`MaintenanceRequest`] | [`MaintenanceReply`], once the supervisor has seen what users get |
//! | `DELETE /v1/maintenance` | `?id=` | the same reply, at the same moment |
//! | `GET /v1/openapi.json` | | this API for programs: `OpenAPI` 3.1 |
//! | `GET /metrics` | | all metrics, as `OpenMetrics` 1.0 |
//! | `GET /healthz` | `?verbose` | 200 if the control loop answers |
//! | `GET /readyz` | `?verbose` | 200 if every enabled service is ready, else 503 with the names of the others |
//!
//! An `id` has 1 to 128 characters out of `a-z A-Z 0-9 - _ .`. For a request without `id` the
//! server makes one, and its client cannot ask for the outcome. `wait` defaults to `true`; `n` of
//! events and `lines` of logs default to 10.
//!
//! Every error is an [`ErrorReply`] with a fitting HTTP status. The client tolerates unknown fields
//! of a reply; the server refuses unknown fields of a request.

mod acl;
mod action;
mod config;
mod error;
mod event;
mod exit;
mod impact;
mod job;
mod log;
mod maintenance;
mod severity;
mod state;
mod status;
mod tool;
mod why;

pub use acl::{ACL_ATTRIBUTE, ACL_BYTES_MAX, acl_for, groups_of_acl};
pub use action::{
    Action, ActionRequest, ActionResult, GoneBack, Outcome, Progress, Unstored, Verdict,
};
pub use config::{
    ConfigKey, DiffReply, FileCheck, HostAction, HostChange, KeptPlan, KeyDiff, PlanReply, Preview,
    ServiceChange, ServiceConfig, ServiceDiff, VariableChange, VariableDiff,
};
pub use error::{ErrorKind, ErrorReply};
pub use event::{ChangeOutcome, ChangeRecord, EventKind, ServiceEvent};
pub use exit::{ExitCause, ExitRecord, FILES_MAX, KillReason, NextRun};
pub use impact::{PlanImpact, VariableSource};
pub use job::{
    JOB_PROGRESS_BYTES_MAX, JOB_PROGRESS_KEY, JOB_REQUEST_FILE, JOB_RESULT_BYTES_MAX,
    JOB_RESULT_FILE, JobOrder, JobProgress, JobRequest, JobResult, JobStatus, JobUnit,
    LeaseRequest, LeasedBy, ReleaseRequest,
};
pub use log::{LogLine, LogQuery, RotateReply};
pub use maintenance::{
    MAINTENANCE_MESSAGE_CHARACTERS_MAX, Maintenance, MaintenanceReply, MaintenanceRequest, Told,
};
pub use severity::Severity;
pub use state::{DaemonState, Goal, ServiceState};
pub use status::{
    FailedRun, HeldBy, LastExit, LastReload, ReloadOutcome, ScheduleStatus, ServiceStatus,
    StatusReply, SupervisorStatus,
};
pub use tool::{Tool, ToolAssert, ToolsReply};
pub use why::{AutomaticRestart, CheckReply, Hint, Problem, Why, WhyStep};

/// Longest request body, in bytes.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Most service names in one request.
pub const NAMES_MAX: usize = 4096;
