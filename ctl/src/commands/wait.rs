//! `ctl wait`: until services are ready, healthy or stopped. Looks again at each event, and now and
//! then without one, so that a lost event cannot keep it waiting.

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

/// What stands below its help.
pub(crate) const EXAMPLES: &str = "\
Ends with 3 if that cannot come about by itself, with 4 if a service leaves the plan meanwhile and
with 7 at the end of --timeout. It goes on when the control process is replaced. With --exit-status
it ends with the exit code of the service's last main process instead, and with 255 if a signal
ended that; what prevents the waiting itself keeps its own code.

Examples:
  ctl wait --timeout 5m                     until all are ready
  ctl wait --healthy mattermost
  ctl once migration && ctl wait --stopped --exit-status migration";

/// Longest time without looking.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Pause before events are asked for again after their stream broke.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_millis(200);

/// Instead of an exit code, for a main process that a signal ended.
const SIGNALLED: u8 = 255;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Ready,
    Healthy,
    Stopped,
}

/// What one look has shown.
enum Look {
    Arrived(StatusReply),
    Pending { names: String },
}

/// Waits; 3 if that cannot come about by itself, 7 at the end of `--timeout`.
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
            Look::Arrived(reply) => {
                drop(spinner);
                if let (true, [service]) = (asked.exit_status, reply.services.as_slice()) {
                    return exit_status(service);
                }
                return arrived(context, &reply, !asked.names.is_empty());
            }
            Look::Pending { names } => {
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

/// A name that was known and is not any more: what was waited for cannot come.
fn left_the_plan(error: Error, known: bool) -> Error {
    if !known || error.kind != Kind::UnknownService {
        return error;
    }
    let message = format!("it has left the plan while it was waited for: {error}");
    Error::new(Kind::UnknownService, message).hint("who changed what: ctl events --changes")
}

/// As `systemctl wait` would tell it: the exit code of the main process, 255 for a signal.
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

/// Subscribes where that is not done yet, then looks: nothing falls between.
async fn step(
    context: &Context,
    names: &[String],
    until: Until,
    events: &mut Option<Lines<ServiceEvent>>,
) -> Result<Look, Error> {
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
    let all = causes(context, &reply).await?;
    let missing: Vec<_> = reply
        .services
        .iter()
        .filter(|service| !is(service, until))
        .collect();
    if let Some(service) = missing
        .iter()
        .find(|service| hopeless(service, until, &all, 0))
    {
        return Err(never(service, until));
    }
    let named = |service: &&ServiceStatus| format!("{} ({})", service.name, table::state(service));
    let names = missing.iter().map(named).collect::<Vec<_>>().join(", ");
    Ok(if missing.is_empty() {
        Look::Arrived(reply)
    } else {
        Look::Pending {
            names: shown(&names).into_owned(),
        }
    })
}

/// Everything that a waiting service may wait for.
async fn causes(context: &Context, reply: &StatusReply) -> Result<Vec<ServiceStatus>, Error> {
    let asked = &reply.services;
    let known = |name: &String| asked.iter().any(|service| service.name == *name);
    if asked
        .iter()
        .flat_map(|service| &service.waiting_on)
        .all(known)
    {
        return Ok(asked.clone());
    }
    let all: StatusReply = context.client.get("/v1/services").await?;
    Ok(all.services)
}

fn is(service: &ServiceStatus, until: Until) -> bool {
    match until {
        Until::Ready => service.ready,
        Until::Healthy => service.ready && service.healthy != Some(false),
        Until::Stopped => {
            matches!(
                service.state.as_str(),
                "stopped" | "failed" | "completed" | "disabled"
            )
        }
    }
}

/// Nothing that is under way will make it ready: somebody has to act.
fn hopeless(service: &ServiceStatus, until: Until, all: &[ServiceStatus], depth: usize) -> bool {
    if until == Until::Stopped {
        return false;
    }
    let lost = |name: &String| {
        let found = all.iter().find(|other| other.name == *name && !other.ready);
        found.is_some_and(|other| hopeless(other, Until::Ready, all, depth + 1))
    };
    match service.state.as_str() {
        "failed" => true,
        "stopped" => service.goal == "down",
        // The graph has no cycles; the depth is a guard against a server that says otherwise.
        "waiting" => depth < all.len() && service.waiting_on.iter().any(lost),
        _ => !service.enabled,
    }
}

fn never(service: &ServiceStatus, until: Until) -> Error {
    let name = shown(&service.name);
    let what = if until == Until::Healthy {
        "healthy"
    } else {
        "ready"
    };
    let why = match (&service.held, &service.reason) {
        (Some(held), _) => format!("stopped by {} at {}", held.by, held.at),
        (_, Some(reason)) if !reason.is_empty() => format!("{}: {reason}", service.state),
        _ if service.waiting_on.is_empty() => table::state(service).to_owned(),
        _ => format!("{} on {}", service.state, service.waiting_on.join(", ")),
    };
    Error::new(
        Kind::NotReady,
        format!("{name} does not become {what} by itself: {why}"),
    )
    .hint(format!("see: ctl why {name}"))
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

/// Until the supervisor answers again; fails as `get` does.
pub(super) async fn reachable(context: &Context) -> Result<(), Error> {
    context
        .client
        .get::<serde_json::Value>("/v1/services")
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Fake, every_state, service, supervisor};

    fn reply(services: Vec<ServiceStatus>) -> Answer {
        let reply = StatusReply {
            supervisor: supervisor(),
            services,
        };
        Answer::Whole(200, serde_json::to_string(&reply).unwrap())
    }

    fn starting() -> ServiceStatus {
        ServiceStatus {
            state: "starting".into(),
            ready: false,
            ..service("mattermost")
        }
    }

    fn events() -> Answer {
        let event = r#"{"seq":1,"at":"","service":"mattermost","kind":"state","state":"running","ready":true,"pid":1,"detail":""}"#;
        Answer::Cut(format!("{event}\n"))
    }

    #[test]
    fn what_is_there_already_is_not_waited_for() {
        let ran = Fake::new(vec![events(), reply(vec![service("mattermost")])]).ctl("wait");
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert!(ran.out.contains("mattermost"));
    }

    #[test]
    fn it_looks_again_when_something_has_happened() {
        let fake = Fake::new(vec![
            events(),
            reply(vec![starting()]),
            reply(vec![service("mattermost")]),
        ]);
        assert_eq!(fake.ctl("wait mattermost").code, 0);
        assert_eq!(
            fake.requests(),
            [
                "GET /v1/events?follow=true&n=0 HTTP/1.1",
                "GET /v1/services?services=mattermost HTTP/1.1",
                "GET /v1/services?services=mattermost HTTP/1.1",
            ]
        );
    }

    #[test]
    fn a_timeout_is_7_and_names_what_is_missing() {
        let fake = Fake::new(vec![events(), reply(vec![starting()]), Answer::Silence]);
        let ran = fake.ctl("wait --timeout 150ms");
        assert_eq!(ran.code, 7);
        assert!(
            ran.err.contains("still waiting: mattermost (starting)"),
            "{}",
            ran.err
        );
    }

    #[test]
    fn what_cannot_come_is_3_at_once() {
        for name in ["broken", "held", "redis"] {
            let mut services = every_state();
            services.retain(|service| service.name == name);
            let fake = Fake::new(vec![events(), reply(services)]);
            let ran = fake.ctl(&format!("wait {name}"));
            assert_eq!(ran.code, 3, "{name}");
            assert!(
                ran.err.contains(&format!("hint: see: ctl why {name}")),
                "{}",
                ran.err
            );
        }
    }

    #[test]
    fn a_restarting_control_process_is_waited_through() {
        let ready = || reply(vec![service("mattermost")]);
        let fake = Fake::new(vec![
            Answer::Hangup,
            ready(),
            reply(vec![starting()]),
            events(),
            ready(),
        ]);
        assert_eq!(fake.ctl("wait").code, 0);
    }

    #[test]
    fn stopped_is_waited_for_when_asked() {
        let stopping = ServiceStatus {
            state: "stopping".into(),
            ready: false,
            ..service("mattermost")
        };
        let stopped = ServiceStatus {
            state: "stopped".into(),
            pid: None,
            ..stopping.clone()
        };
        let fake = Fake::new(vec![events(), reply(vec![stopping]), reply(vec![stopped])]);
        assert_eq!(fake.ctl("wait --stopped mattermost").code, 0);
    }

    #[test]
    fn the_exit_status_is_that_of_the_main_process() {
        let ended = |code, signal: Option<&str>| ServiceStatus {
            state: "completed".into(),
            pid: None,
            last_exit: Some(api::LastExit {
                code,
                signal: signal.map(str::to_owned),
                reason: String::new(),
                at: String::new(),
            }),
            ..service("job")
        };
        let never = ServiceStatus {
            state: "stopped".into(),
            pid: None,
            ..service("job")
        };
        for (status, code) in [
            (ended(Some(0), None), 0),
            (ended(Some(42), None), 42),
            (ended(None, Some("KILL")), 255),
            (never, 3),
        ] {
            let fake = Fake::new(vec![events(), reply(vec![status])]);
            let ran = fake.ctl("wait --stopped --exit-status job");
            assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{}", ran.err);
        }
        for line in ["", " a b", " *"] {
            let ran = crate::testing::ctl(&format!("ctl wait --stopped --exit-status{line}"));
            assert_eq!(ran.code, 2, "{}", ran.err);
        }
        assert_eq!(crate::testing::ctl("ctl wait --exit-status job").code, 2);
    }

    #[test]
    fn a_service_that_leaves_the_plan_is_not_waited_for() {
        let unknown = r#"{"kind":"unknown-service","message":"there is no service 'mattermost'"}"#;
        let gone = || Answer::Whole(404, unknown.into());
        let ran = Fake::new(vec![events(), reply(vec![starting()]), gone()]).ctl("wait mattermost");
        assert_eq!(ran.code, 4);
        assert!(ran.err.contains("has left the plan"), "{}", ran.err);
        let ran = Fake::new(vec![events(), gone()]).ctl("wait mattermost");
        assert_eq!(ran.code, 4);
        assert!(!ran.err.contains("has left"), "{}", ran.err);
    }

    #[test]
    fn waiting_on_what_is_held_is_as_hopeless() {
        let mut services = every_state();
        for service in &mut services {
            if service.name == "waits" {
                service.waiting_on = vec!["held".into()];
            }
        }
        let waits = services
            .iter()
            .find(|service| service.name == "waits")
            .unwrap();
        assert!(hopeless(waits, Until::Ready, &services, 0));
        assert!(
            !hopeless(&services[2], Until::Ready, &services, 0),
            "backoff tries again"
        );
    }

    #[test]
    fn degraded_is_ready_but_not_healthy() {
        let degraded = &every_state()[1];
        assert!(is(degraded, Until::Ready));
        assert!(!is(degraded, Until::Healthy));
        assert!(!is(degraded, Until::Stopped));
    }
}
