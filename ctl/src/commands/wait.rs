//! `ctl wait`: waits until services are ready, healthy or stopped.
//!
//! The command subscribes to events before a look at the status, so that no change is missed in
//! between. Another look follows each event, and each [`LOOK_AGAIN`] without an event, so that a
//! lost event cannot prolong the wait. `prospect` judges the status that a look has found.

mod prospect;

use std::time::Duration;

use api::{ServiceEvent, ServiceStatus, StatusReply};
use clap::Args;
use clap_complete::ArgValueCompleter;
use client::{
    Context, Error, Format, Kind,
    complete::services,
    ndjson::Lines,
    progress::Spinner,
    render::{json, runit, shown, table},
    service_query::{self, is_pattern},
    transport_error::TransportError,
};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use self::prospect::Until;

// What to wait for.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Services; none means all that are enabled
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(services))]
    pub(crate) names: Vec<String>,
    /// Until they are ready (the default)
    #[arg(long, group = "until")]
    pub(crate) ready: bool,
    /// Until they are ready and their health probe agrees
    #[arg(long, group = "until")]
    pub(crate) healthy: bool,
    /// Until they have stopped
    #[arg(long, group = "until")]
    pub(crate) stopped: bool,
    /// End with the exit code of the main process, 255 if a signal ended it; for one service
    #[arg(long, requires = "stopped", conflicts_with_all = ["ready", "healthy"])]
    pub(crate) exit_status: bool,
}

/// Text after the command's help.
pub(crate) const EXAMPLES: &str = "\
Ends with 3 if that cannot come about by itself, with 4 if a service leaves the plan meanwhile and
with 7 at the end of --timeout. It goes on when the control process is replaced. With --exit-status
it ends with the exit code of the service's last main process instead, and with 255 if a signal
ended that; what prevents the waiting itself keeps its own code.

Examples:
  ctl wait --timeout 5m                     until all are ready
  ctl wait --healthy mattermost
  ctl once migration && ctl wait --stopped --exit-status migration";

/// Longest time between two looks at the status.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Pause before the next subscription after the stream of events broke.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_millis(200);

/// Exit code for a main process that a signal ended.
const SIGNALLED: u8 = 255;

/// Result of one look at the status.
enum Observation {
    Arrived(StatusReply),
    Pending { names: String },
}

/// Waits; exit code 3 if the condition cannot come about by itself, 7 at the end of `--timeout`.
pub(crate) async fn run(context: &Context, asked: &WaitArgs) -> Result<u8, Error> {
    let until = match (asked.healthy, asked.stopped) {
        (true, _) => Until::Healthy,
        (_, true) => Until::Stopped,
        _ => Until::Ready,
    };
    let give_up = context.timeout.map(|timeout| Instant::now() + timeout);
    let spinner = Spinner::new(context.output.borrow().progress);
    let mut events: Option<Lines<ServiceEvent>> = None;
    let mut pending = String::new();
    if asked.exit_status && (asked.names.len() != 1 || is_pattern(&asked.names[0])) {
        let message = "`--exit-status` is that of one service: name one";
        return Err(Error::new(Kind::Usage, message));
    }
    let mut known = false;
    loop {
        let step = step(context, &asked.names, until, &mut events);
        let look = match give_up {
            None => step.await,
            Some(at) => match tokio::time::timeout_at(at, step).await {
                Ok(look) => look,
                Err(_) => return Err(timed_out(context, &pending)),
            },
        };
        let look = look.map_err(|error| left_the_plan(error, known))?;
        known = true;
        match look {
            Observation::Arrived(reply) => {
                drop(spinner);
                if let (true, [service]) = (asked.exit_status, reply.services.as_slice()) {
                    return exit_status(service);
                }
                return arrived(context, &reply, !asked.names.is_empty());
            }
            Observation::Pending { names } => {
                spinner.say(|| format!("waiting for {names}"));
                pending = names;
            }
        }
        let Some(lines) = &mut events else {
            sleep(RESUBSCRIBE_PAUSE.min(left(give_up))).await;
            continue;
        };
        let next = timeout(LOOK_AGAIN.min(left(give_up)), lines.next()).await;
        if let Ok(Ok(None) | Err(_)) = next {
            events = None;
        }
    }
}

/// The error for a service that has left the plan during the wait.
fn left_the_plan(error: Error, known: bool) -> Error {
    if !known || error.kind != Kind::UnknownService {
        return error;
    }
    let message = format!("it has left the plan while it was waited for: {error}");
    Error::new(Kind::UnknownService, message).hint("who changed what: ctl events --changes")
}

/// The exit code of the service's last main process, or 255 if a signal ended the process.
fn exit_status(service: &ServiceStatus) -> Result<u8, Error> {
    let Some(exit) = &service.last_exit else {
        let message = format!(
            "{} has no exit status: it has not run",
            shown(&service.name)
        );
        return Err(Error::new(Kind::NotReady, message));
    };
    Ok(exit
        .code
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(SIGNALLED))
}

fn left(give_up: Option<Instant>) -> Duration {
    give_up.map_or(Duration::MAX, |at| {
        at.saturating_duration_since(Instant::now())
    })
}

/// Subscribes to events if not subscribed yet, then looks: no change is missed in between.
async fn step(
    context: &Context,
    names: &[String],
    until: Until,
    events: &mut Option<Lines<ServiceEvent>>,
) -> Result<Observation, Error> {
    if events.is_none() {
        *events = match context.client.follow("/v1/events?follow=true&n=0").await {
            Ok(lines) => Some(lines),
            Err(TransportError::Broken(_)) => {
                reachable(context).await?;
                None
            }
            Err(failure) => return Err(context.client.explain(failure)),
        };
    }
    let mut reply: StatusReply = context
        .client
        .get(&service_query::status_path(names))
        .await?;
    if names.is_empty() {
        reply.services.retain(|service| service.enabled);
    }
    let all = prospect::causes(context, &reply).await?;
    let missing: Vec<_> = reply
        .services
        .iter()
        .filter(|service| !until.is_so(service))
        .collect();
    if let Some(service) = missing
        .iter()
        .find(|service| prospect::is_hopeless(service, until, &all))
    {
        return Err(prospect::never(service, until));
    }
    let named = |service: &&ServiceStatus| format!("{} ({})", service.name, table::state(service));
    let names = missing.iter().map(named).collect::<Vec<_>>().join(", ");
    Ok(if missing.is_empty() {
        Observation::Arrived(reply)
    } else {
        Observation::Pending {
            names: shown(&names).into_owned(),
        }
    })
}

fn timed_out(context: &Context, pending: &str) -> Error {
    let timeout = context.timeout.unwrap_or_default();
    let what = if pending.is_empty() {
        "the supervisor has not answered"
    } else {
        pending
    };
    Error::new(
        Kind::TimedOut,
        format!("timed out after {timeout:?}, still waiting: {what}"),
    )
}

fn arrived(context: &Context, reply: &StatusReply, named: bool) -> Result<u8, Error> {
    let text = match context.format {
        Format::Json => json::value(reply, context.terminal())?,
        Format::Runit => runit::status(&reply.supervisor, &reply.services, named),
        Format::Table => table::status(reply, context.terminal(), Timestamp::now()),
    };
    context.print(&text)?;
    Ok(0)
}

/// Waits until the supervisor answers again; fails as `get` does.
pub(super) async fn reachable(context: &Context) -> Result<(), Error> {
    context
        .client
        .get::<serde_json::Value>("/v1/services")
        .await
        .map(drop)
}

#[cfg(test)]
mod tests;
