//! `ctl backup create`: asks the supervisor for the job, and follows it. The job continues if the
//! client goes away.

use std::path::PathBuf;

use api::{JobRequest, JobResult};
use clap::Args;
use client::{
    Context, Error, Format, Kind,
    operation::{JOB_ENDS, Operation, carry_out, new_id},
};
use serde_json::{Value, json};

/// The service that makes backups.
const JOB: &str = "backup";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Directory that the backup goes to, from / on [default: that of the site file]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Back up while Mattermost runs: the default
    #[arg(long, conflicts_with = "offline")]
    online: bool,
    /// Stop Mattermost for the time of the backup, so that nothing changes
    #[arg(long)]
    offline: bool,
    /// Leave out the secrets that lie in files; the database holds some all the same
    #[arg(long)]
    without_secrets: bool,
    /// Read every byte of the backup once it is made
    #[arg(long)]
    verify: bool,
}

impl Arguments {
    fn to_json(&self) -> Value {
        let Self {
            to,
            online: _,
            offline,
            without_secrets,
            verify,
        } = self;
        json!({
            "operation": "create",
            "to": to,
            "mode": if *offline { "offline" } else { "online" },
            "without-secrets": without_secrets,
            "verify": verify,
        })
    }
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<u8, Error> {
    let request = JobRequest {
        id: new_id(),
        arguments: arguments.to_json(),
        wait: context.wait,
    };
    let body = serde_json::to_vec(&request)
        .map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    let change = Operation {
        id: request.id,
        path: format!("/v1/jobs/{JOB}"),
        body,
        ends: JOB_ENDS,
        leave_when_accepted: false,
    };
    let outcome = carry_out(context, &change).await?;
    if !outcome.finished {
        context.note("the backup is being made: ctl status backup shows how far it is");
        return Ok(0);
    }
    let Some(result) = outcome.job else {
        let message = "the backup has ended, and nothing says how";
        return Err(Error::new(Kind::Failed, message).hint("ctl logs backup shows what it said"));
    };
    told(context, &result)
}

/// Prints the result that a job has left, and answers the exit code.
pub(super) fn told(context: &Context, result: &JobResult) -> Result<u8, Error> {
    if context.format == Format::Json {
        let text = serde_json::to_string_pretty(result)
            .map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
        context.print(&format!("{text}\n"))?;
        return Ok(u8::from(!result.ok));
    }
    if !result.ok {
        return Err(Error::new(Kind::Failed, result.message.clone()));
    }
    context.print(&format!("{}\n", result.message))?;
    Ok(0)
}
