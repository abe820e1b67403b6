//! How states, exits and reasons are said to people.

pub(super) use api::duration;
use engine::{Exit, Failure, Moment, State, View};
use jiff::Timestamp;
use keeper::message::{Kept, Left, Stray};

/// The signal's name without SIG, or its number.
pub(super) fn signal_name(signal: i32) -> String {
    plan::signal::name(signal).map_or_else(|| signal.to_string(), str::to_owned)
}

/// `exit code 1`, `killed by KILL`.
pub(super) fn exit(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("killed by {}", signal_name(signal)),
    }
}

/// Why a service has failed.
pub(super) fn failure(reason: &Failure) -> String {
    match reason {
        Failure::Spawn(reason) => reason.clone(),
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
        Failure::StartLimit => "restarted too often; start it to try again".to_owned(),
        Failure::Leftovers { count: 1, .. } => "a process of an earlier run will not go".to_owned(),
        Failure::Leftovers { count, .. } => {
            format!("{count} processes of an earlier run will not go")
        }
    }
}

/// What would not go, and what keeps it.
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

/// A process that belongs to no service that can be told.
pub(super) fn stray(stray: &Stray) -> String {
    let Stray { pid, command, .. } = stray;
    let since = time(stray.started_unix_ms);
    format!(
        "pid {pid} ({command}), started at {since}, has left its service, which cannot be told any more; \
         end it by hand if it is not wanted"
    )
}

/// RFC 3339 in UTC, milliseconds.
pub(crate) fn time(unix_ms: u64) -> String {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
        .to_string()
}

/// The reason column of a service that does not wait; empty when there is nothing to say.
pub(super) fn reason(view: &View, now: Moment) -> String {
    let last = view.last_exit.map(|(it, _)| exit(it));
    match &view.state {
        State::Stopped => view.hold.as_ref().map_or_else(String::new, |hold| {
            format!("stopped by {} at {}", hold.by, time(hold.at_unix_ms))
        }),
        State::Backoff { until, attempt } => {
            let text = match (view.detail.is_empty(), last) {
                (false, _) => view.detail.clone(),
                (true, Some(last)) => last,
                (true, None) => "did not start".to_owned(),
            };
            let again = match attempt {
                0 | 1 => String::new(),
                // Of what kind each was is not said: they need not be alike.
                attempt => format!("; {attempt} failures in a row"),
            };
            let left = until.since(now);
            format!("{text}{again}; next try in {}", duration(left))
        }
        State::Failed {
            reason: Failure::ReadyTimeout,
        } if !view.detail.is_empty() => view.detail.clone(),
        State::Failed { reason } => failure(reason),
        State::Running { .. } | State::Reloading { .. } if view.healthy == Some(false) => {
            let detail = if view.detail.is_empty() {
                "health probe fails"
            } else {
                &view.detail
            };
            format!("degraded: {detail}")
        }
        State::Starting { ready_by, .. } => {
            not_ready(&view.detail, ready_by.map(|by| by.since(now)))
        }
        // Validators are not asked to end.
        State::Stopping { .. } if view.validating => "its validator is being ended".to_owned(),
        State::Stopping {
            phase: engine::StopPhase::Killed { .. },
            ..
        } => "did not stop in time; is being killed".to_owned(),
        State::Running { .. } | State::Reloading { .. } if view.detail.is_empty() && view.once => {
            "started once: it is not restarted when it ends".to_owned()
        }
        State::Running { .. } | State::Reloading { .. } => view.detail.clone(),
        State::Completed if view.unrun => "has not run yet; waits for its time".to_owned(),
        // What an earlier start said is not what this one is about.
        State::Waiting { .. }
        | State::Spawning { .. }
        | State::Stopping { .. }
        | State::Completed => String::new(),
    }
}

/// What a starting service is waited for: what its probe last said, and for how long still.
fn not_ready(detail: &str, left_ms: Option<u64>) -> String {
    let why = match detail {
        "" => String::new(),
        detail => format!(": {detail}"),
    };
    let left = left_ms.map_or_else(String::new, |ms| format!("; times out in {}", duration(ms)));
    format!("not ready yet{why}{left}")
}

/// What a service is and since when: `has been running for 3s`, `completed 3s ago`.
pub(super) fn since(state: &str, seconds: Option<u64>) -> String {
    let span = seconds.map(|seconds| duration(seconds * 1000));
    match (state, span) {
        ("completed" | "failed", Some(span)) => format!("{state} {span} ago"),
        ("completed" | "failed", None) => state.to_owned(),
        ("backoff", None) => "is in backoff".to_owned(),
        ("backoff", Some(span)) => format!("has been in backoff for {span}"),
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
            "not ready yet: cannot execute /bin/no; times out in 1m 5s"
        );
    }

    #[test]
    fn since_when_reads_well() {
        assert_eq!(since("running", Some(3)), "has been running for 3s");
        assert_eq!(since("backoff", Some(3)), "has been in backoff for 3s");
        assert_eq!(since("failed", Some(65)), "failed 1m 5s ago");
        assert_eq!(since("disabled", None), "is disabled");
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(time(1_500), "1970-01-01T00:00:01.500Z");
    }
}
