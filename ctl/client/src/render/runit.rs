//! The lines of `gitlab-ctl status` and of `sv start|stop|restart`, for the monitors that parse
//! them:
//!
//! ```text
//! state: name: [(pid N) ]Ns[, normally up][, want up|, want down][, got TERM][; run: log: (pid N) Ns]
//! ```
//!
//! The pid of the keeper stands in for every log service, because the keeper reads the logs.
//! Disabled services and completed oneshots have no line, as with `gitlab-ctl`, unless they are
//! asked for by name.

use std::fmt::Write as _;

use api::{Action, ActionResult, Goal, ServiceState, ServiceStatus, SupervisorStatus, Verdict};

use crate::{error::Kind, render::shown};

/// One line for each service; `named`: the caller asked for these services by name.
pub fn status(supervisor: &SupervisorStatus, services: &[ServiceStatus], named: bool) -> String {
    let log = format!(
        "run: log: (pid {}) {}s",
        supervisor.keeper_pid, supervisor.uptime_seconds
    );
    let mut text = String::new();
    for service in services {
        let name = &service.name;
        if !named && (!service.enabled || service.state == ServiceState::Completed) {
            continue;
        }
        if service.enabled {
            let seconds = service.uptime_seconds.unwrap_or_default();
            let up = service.goal == Goal::Up;
            let main = main(name, service.state, service.pid, seconds, up);
            let _ = writeln!(text, "{main}; {log}");
        } else {
            let _ = writeln!(text, "{name} disabled");
        }
    }
    text
}

/// One line for each result of a start, stop or restart; `up`: the action brings services up.
pub fn results(results: &[ActionResult], up: bool) -> String {
    // The command did not wait, so no state is known and no line is due.
    let line = |result: &ActionResult| {
        let state = result.state?;
        let verdict = match result.verdict {
            Verdict::Done | Verdict::Already => "ok",
            Verdict::Failed | Verdict::Pending => "timeout",
        };
        let ActionResult {
            service,
            pid,
            seconds,
            ..
        } = result;
        let main = main(service, state, *pid, *seconds, up);
        Some(format!("{verdict}: {main}\n"))
    };
    results.iter().filter_map(line).collect()
}

/// The first line of `gitlab-ctl restart-except`.
pub fn all_but(action: &Action, except: &[String]) -> String {
    let doing = match action {
        Action::Start => "Starting",
        Action::Stop => "Stopping",
        _ => "Restarting",
    };
    format!("{doing} all services except: {}.\n", except.join(", "))
}

/// The last line of `gitlab-ctl reconfigure`.
pub const RECONFIGURED: &str = "gitlab Reconfigured!\n";

/// The lines of `sv` for services that `sv` cannot ask about, as far as their names are known.
pub fn failure(kind: Kind, names: &[String]) -> String {
    let line = |name: &String, why: &str| format!("fail: {}: {why}\n", shown(name));
    match (kind, names) {
        (Kind::Unreachable, names) => {
            let lines = names.iter().map(|name| line(name, "runsv not running"));
            lines.collect()
        }
        (Kind::UnknownService, [name]) => line(
            name,
            "unable to change to service directory: file does not exist",
        ),
        _ => String::new(),
    }
}

fn main(name: &str, state: ServiceState, pid: Option<i32>, seconds: u64, up: bool) -> String {
    let Some(pid) = pid else {
        let wanted = match (state, up) {
            (ServiceState::Completed, _) => "",
            (_, true) => ", normally up, want up",
            (_, false) => ", normally up",
        };
        return format!("down: {name}: {seconds}s{wanted}");
    };
    let wanted = if up { "" } else { ", want down" };
    let got = if state == ServiceState::Stopping {
        ", got TERM"
    } else {
        ""
    };
    format!("run: {name}: (pid {pid}) {seconds}s{wanted}{got}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{every_state, result, supervisor};

    #[test]
    fn status_lines_are_those_of_gitlab_ctl() {
        insta::assert_snapshot!(status(&supervisor(), &every_state(), false), @r"
        run: mattermost: (pid 123) 45s; run: log: (pid 100) 90061s
        run: degraded: (pid 123) 45s; run: log: (pid 100) 90061s
        down: nginx: 45s, normally up, want up; run: log: (pid 100) 90061s
        down: broken: 45s, normally up, want up; run: log: (pid 100) 90061s
        down: waits: 45s, normally up, want up; run: log: (pid 100) 90061s
        down: held: 45s, normally up; run: log: (pid 100) 90061s
        down: spawning: 45s, normally up, want up; run: log: (pid 100) 90061s
        run: starts: (pid 55) 45s; run: log: (pid 100) 90061s
        run: reloads: (pid 123) 45s; run: log: (pid 100) 90061s
        run: stops: (pid 56) 45s, want down, got TERM; run: log: (pid 100) 90061s
        ");
    }

    #[test]
    fn what_is_named_always_has_a_line() {
        let mut services = every_state();
        services.retain(|service| ["setup", "redis"].contains(&service.name.as_str()));
        insta::assert_snapshot!(status(&supervisor(), &services, true), @r"
        down: setup: 45s; run: log: (pid 100) 90061s
        redis disabled
        ");
    }

    #[test]
    fn failures_and_the_other_words_are_those_of_sv_and_gitlab_ctl() {
        let names = ["mattermost".to_owned(), "nginx".to_owned()];
        let text = failure(Kind::Unreachable, &names)
            + &failure(Kind::UnknownService, &names[..1])
            + &failure(Kind::Failed, &names)
            + &all_but(&Action::Restart, &names)
            + RECONFIGURED;
        insta::assert_snapshot!(text, @r"
        fail: mattermost: runsv not running
        fail: nginx: runsv not running
        fail: mattermost: unable to change to service directory: file does not exist
        Restarting all services except: mattermost, nginx.
        gitlab Reconfigured!
        ");
    }

    #[test]
    fn results_are_ok_or_timeout() {
        let text = results(
            &[
                result("mattermost", Verdict::Done, ServiceState::Running, Some(1)),
                result("nginx", Verdict::Failed, ServiceState::Backoff, None),
            ],
            true,
        ) + &results(
            &[
                result("postgresql", Verdict::Done, ServiceState::Stopped, None),
                result("redis", Verdict::Pending, ServiceState::Stopping, Some(7)),
            ],
            false,
        );
        insta::assert_snapshot!(text, @r"
        ok: run: mattermost: (pid 1) 1s
        timeout: down: nginx: 1s, normally up, want up
        ok: down: postgresql: 1s, normally up
        timeout: run: redis: (pid 7) 1s, want down, got TERM
        ");
    }
}
