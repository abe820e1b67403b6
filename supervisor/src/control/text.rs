//! States, exits and reasons in words for people.

use api::{LastReload, ServiceState};
use engine::{Detail, Exit, Failure, Kill, Moment, ReloadOutcome, State, Unhealthy, View};
use keeper::message::{Kept, Left, Stray};

use crate::control::{api::reason::Reason, runs::killed::Killed};
pub(super) use ::text::{duration, time};

/// `exit code 1`, `killed by KILL`.
pub(super) fn exit(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => ::text::exit_code(code),
        Exit::Signal(signal) => ::text::killed_by(&::text::signal::shown(signal)),
    }
}

/// Why SIGKILL was sent.
pub(super) const fn kill(why: Kill) -> &'static str {
    match why {
        Kill::StopTimeout => "it did not stop in time",
        Kill::ShutdownDeadline => "it had not stopped when the time of the shutdown was over",
        Kill::Unasked => "it had not been asked to stop when the time of the shutdown was over",
    }
}

/// How our SIGKILL ended a run.
pub(super) const fn killed(killed: Killed) -> &'static str {
    match killed {
        Killed::Now(why) => kill(why),
        Killed::LongBefore => "it outlived that for a while",
    }
}

/// Why a service has failed.
pub(super) fn failure(reason: &Failure) -> String {
    match reason {
        Failure::Spawn(reason) => detail(reason).to_string(),
        Failure::Validator => "its validator refuses".to_owned(),
        Failure::Exited(it) => {
            format!("ended with {}, and its policy is not to restart", exit(*it))
        }
        Failure::ReadyTimeout => {
            "was not ready in time, and its policy is not to restart".to_owned()
        }
        Failure::Watchdog => {
            "was ended by its watchdog, and its policy is not to restart".to_owned()
        }
        Failure::Requirement(_) => "could not begin: what it requires was not up".to_owned(),
        Failure::StartLimit => "restarted too often; start it to try again".to_owned(),
        Failure::Leftovers { count: 1, .. } => "a process of an earlier run will not go".to_owned(),
        Failure::Leftovers { count, .. } => {
            format!("{count} processes of an earlier run will not go")
        }
    }
}

/// Processes that SIGKILL did not end, and what keeps each.
pub(super) fn left(left: &[Left]) -> String {
    let each = left.iter().map(|one| {
        let kept = match one.kept {
            Kept::Refused => "the kernel does not let the supervisor kill it",
            Kept::Uninterruptible => {
                "it hangs in the kernel (state D), mostly for a disk or a file server"
            }
            Kept::Traced => "a tracer holds it",
            Kept::Unseen => "SIGKILL was sent",
        };
        format!("pid {} ({}): {kept}", one.pid, one.command)
    });
    each.collect::<Vec<_>>().join(", ")
}

/// A child of the keeper that has left its service, which cannot be told any more.
pub(super) fn stray(stray: &Stray) -> String {
    let Stray { pid, command, .. } = stray;
    let since = time(stray.started_unix_ms);
    format!(
        "pid {pid} ({command}), started at {since}, has left its service, which cannot be told any more; \
         end it by hand if it is not wanted"
    )
}

/// Why the last start failed, or what a start waits for.
pub(super) fn detail(detail: &Detail) -> Reason {
    let mut reason = Reason::default();
    if detail.address_in_use {
        reason.push_address_in_use(detail.what.as_str());
    } else {
        reason.push(detail.what.as_str());
    }
    reason.push_hint(&detail.hint);
    reason
}

/// Why a service that does not wait for others is not as one would want it.
pub(super) fn reason(view: &View, now: Moment) -> Reason {
    let last = view.last_exit.map(|(it, _)| exit(it));
    Reason::other(match &view.state {
        State::Stopped => view.hold.as_ref().map_or_else(String::new, |hold| {
            format!("stopped by {} at {}", hold.by, time(hold.at_unix_ms))
        }),
        State::Backoff {
            until,
            attempt,
            failed,
        } => {
            let mut reason = match (view.detail.is_empty(), last) {
                (false, _) => detail(&view.detail),
                (true, Some(last)) => Reason::other(last),
                (true, None) => Reason::other("did not start"),
            };
            if *attempt > 1 {
                reason.push(::text::in_a_row(*attempt, *failed));
            }
            reason.push(format!("next try in {}", duration(until.since(now))));
            return reason;
        }
        State::Failed {
            reason: Failure::ReadyTimeout,
        } if !view.detail.is_empty() => return detail(&view.detail),
        State::Failed {
            reason: Failure::Spawn(why),
        } => return detail(why),
        State::Failed { reason } => failure(reason),
        State::Starting { ready_by, .. } => {
            not_ready(&view.detail.what, ready_by.map(|by| by.since(now)))
        }
        // Validators are not asked to end.
        State::Stopping { .. } if view.validating => "its validator is being ended".to_owned(),
        State::Stopping {
            phase: engine::StopPhase::Killed { why, .. },
            ..
        } => format!("is being killed: {}", kill(*why)),
        State::Running { .. } | State::Reloading { .. } => return of_one_that_is_up(view),
        State::Completed if view.unrun => "has not run yet; waits for its time".to_owned(),
        // The detail of an earlier start does not belong to this start.
        State::Waiting { .. }
        | State::Validating { .. }
        | State::Spawning { .. }
        | State::Stopping { .. }
        | State::Completed => String::new(),
    })
}

/// The reason of a service that is up: its health, and its configuration.
fn of_one_that_is_up(view: &View) -> Reason {
    let mut reason = Reason::default();
    if let Some(why) = &view.unhealthy {
        reason.push_degraded(unhealthy(why));
    }
    match &view.state {
        State::Reloading {
            confirm: Some(confirm),
            ..
        } if !confirm.said.is_empty() => reason.push(format!(
            "it is not seen yet to run with its new configuration: {}",
            confirm.said
        )),
        _ => {
            let failed = view.last_reload.as_ref().and_then(failed_reload);
            reason.push(failed.unwrap_or_default());
        }
    }
    if reason.is_empty() && view.once {
        reason.push("started once: it is not restarted when it ends");
    }
    reason
}

/// Why a service that is up is not healthy.
pub(super) fn unhealthy(why: &Unhealthy) -> &str {
    match why {
        Unhealthy::Probe(said) if said.is_empty() => "health probe fails",
        Unhealthy::Probe(said) => said,
        Unhealthy::Watchdog { triggered: true } => "it triggered its watchdog itself",
        Unhealthy::Watchdog { triggered: false } => "its watchdog heard nothing of it in time",
    }
}

/// A failed reload, after which the service lacks the new configuration, as far as is known.
fn failed_reload(outcome: &ReloadOutcome) -> Option<String> {
    let with = |what: &str, said: &str| match said {
        "" => what.to_owned(),
        said => format!("{what}: {said}"),
    };
    Some(match outcome {
        ReloadOutcome::Done => return None,
        ReloadOutcome::Refused(said) => with("the reload was refused by its validator", said),
        ReloadOutcome::Failed(said) => with("the reload failed", said),
        ReloadOutcome::TimedOut => "the reload did not finish in time".to_owned(),
        ReloadOutcome::NotConfirmed(said) => with(
            "the reload was not confirmed: it is not seen to run with its new configuration",
            said,
        ),
        ReloadOutcome::Impossible => {
            "it has no way to reload any more; restart it instead".to_owned()
        }
    })
}

/// How a reload has ended, as the API has it.
pub(super) fn last_reload(outcome: &ReloadOutcome) -> LastReload {
    LastReload {
        outcome: match outcome {
            ReloadOutcome::Done => api::ReloadOutcome::Done,
            ReloadOutcome::Refused(_) => api::ReloadOutcome::Refused,
            ReloadOutcome::Failed(_) => api::ReloadOutcome::Failed,
            ReloadOutcome::TimedOut => api::ReloadOutcome::TimedOut,
            ReloadOutcome::NotConfirmed(_) => api::ReloadOutcome::NotConfirmed,
            ReloadOutcome::Impossible => api::ReloadOutcome::Impossible,
        },
        reason: failed_reload(outcome),
    }
}

/// Why a starting service is not ready: what its probe last said, and the time left.
fn not_ready(detail: &str, left_ms: Option<u64>) -> String {
    let why = match detail {
        "" => String::new(),
        detail => format!(": {detail}"),
    };
    let left = left_ms.map_or_else(String::new, |ms| format!("; times out in {}", duration(ms)));
    format!("not ready yet{why}{left}")
}

/// What a service is and since when: `has been running for 3s`, `completed 3s ago`.
pub(super) fn since(state: ServiceState, seconds: Option<u64>) -> String {
    let span = seconds.map(::text::seconds);
    match (state, span) {
        (ServiceState::Completed | ServiceState::Failed, Some(span)) => {
            format!("{state} {span} ago")
        }
        (ServiceState::Completed | ServiceState::Failed, None) => state.to_string(),
        (ServiceState::Backoff, None) => "is in backoff".to_owned(),
        (ServiceState::Backoff, Some(span)) => format!("has been in backoff for {span}"),
        (_, None) => format!("is {state}"),
        (_, Some(span)) => format!("has been {state} for {span}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ready_says_what_its_probe_said() {
        assert_eq!(not_ready("", None), "not ready yet");
        assert_eq!(
            not_ready("cannot execute /bin/no", Some(65_000)),
            "not ready yet: cannot execute /bin/no; times out in 1m5s"
        );
    }

    #[test]
    fn since_when_reads_well() {
        assert_eq!(
            since(ServiceState::Running, Some(3)),
            "has been running for 3s"
        );
        assert_eq!(
            since(ServiceState::Backoff, Some(3)),
            "has been in backoff for 3s"
        );
        assert_eq!(since(ServiceState::Failed, Some(65)), "failed 1m5s ago");
        assert_eq!(since(ServiceState::Disabled, None), "is disabled");
    }
}
