//! What people read: the status table, the last word on an action, and lists.
//!
//! In a pipe the table has one line a service and the reason in its last column; on a terminal the
//! reason of whatever is not fine stands below it, in full.

use std::fmt::Write as _;

use anstyle::Style;
use api::{ActionResult, ReloadOutcome, ServiceStatus, StatusReply, Verdict};
use jiff::Timestamp;

use super::{BOLD, DIM, GREEN, PLAIN, RED, YELLOW, ago, shown, styled};

/// One field of a table.
pub type Cell = (Style, String);

/// An unstyled field.
pub fn plain(text: impl Into<String>) -> Cell {
    (PLAIN, text.into())
}

/// Aligned columns, two spaces between them, none at the end of a line.
pub fn columns(header: &[&str], rows: &[Vec<Cell>]) -> Vec<String> {
    let header: Vec<Cell> = header
        .iter()
        .map(|title| (BOLD, (*title).to_owned()))
        .collect();
    let length = |cell: &Cell| cell.1.chars().count();
    let all = || std::iter::once(&header).chain(rows);
    let width = |column| {
        all()
            .filter_map(|row| row.get(column))
            .map(length)
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |row: &Vec<Cell>| {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            line.push_str(&styled(cell.0, &cell.1));
            if row[column + 1..].iter().any(|later| !later.1.is_empty()) {
                line.push_str(&" ".repeat(widths[column] - length(cell) + 2));
            }
        }
        line
    };
    all().map(line).collect()
}

/// The status table.
pub fn status(reply: &StatusReply, terminal: bool, now: Timestamp) -> String {
    // They were asked for: nobody who has not asked gets them.
    let usage = reply.services.iter().any(|it| it.memory_bytes.is_some());
    let rows: Vec<Vec<Cell>> = reply
        .services
        .iter()
        .map(|service| row(service, terminal, usage, now))
        .collect();
    let mut titles = vec!["NAME", "STATE", "READY", "PID", "SINCE", "RESTARTS", "USER"];
    if usage {
        titles.splice(4..4, ["CPU", "MEM"]);
    }
    if !terminal {
        titles.push("REASON");
    }
    let mut lines = columns(&titles, &rows).into_iter();
    let mut text = String::new();
    if let Some(header) = lines.next() {
        let _ = writeln!(text, "{header}");
    }
    for (line, service) in lines.zip(&reply.services) {
        let _ = writeln!(text, "{line}");
        let reason = reason(service, now);
        if terminal && !reason.is_empty() {
            let reason = styled(style(service), &reason);
            let _ = writeln!(text, "    {reason}");
        }
    }
    if terminal {
        text.push_str(&summary(&reply.services));
    }
    text
}

fn row(service: &ServiceStatus, terminal: bool, usage: bool, now: Timestamp) -> Vec<Cell> {
    let or_dash = |text: Option<String>| plain(text.unwrap_or_else(|| "-".to_owned()));
    let restarts = match service.restarts {
        0 => plain("0"),
        many => (YELLOW, many.to_string()),
    };
    let ready = if service.ready {
        plain("yes")
    } else {
        (style(service), "no".to_owned())
    };
    let name = if troubled(service) {
        style(service).bold()
    } else {
        PLAIN
    };
    let mut row = vec![
        (name, shown(&service.name).into_owned()),
        (style(service), state(service).to_owned()),
        if service.enabled {
            ready
        } else {
            (DIM, "-".to_owned())
        },
        or_dash(service.pid.map(|pid| pid.to_string())),
        or_dash(service.uptime_seconds.map(text::seconds)),
        if service.enabled {
            restarts
        } else {
            (DIM, "-".to_owned())
        },
        or_dash(service.user.as_deref().map(|user| shown(user).into_owned())),
    ];
    if usage {
        let cpu = service.cpu_percent.map(|percent| format!("{percent:.1}%"));
        row.splice(
            4..4,
            [
                or_dash(cpu),
                or_dash(service.memory_bytes.map(text::column_size)),
            ],
        );
    }
    if !terminal {
        row.push(plain(reason(service, now)));
    }
    row
}

/// The word for what it is: the state, but `degraded` where the health probe says so.
pub fn state(service: &ServiceStatus) -> &str {
    if !service.enabled {
        "disabled"
    } else if service.state == "running" && service.healthy == Some(false) {
        "degraded"
    } else {
        &service.state
    }
}

fn style(service: &ServiceStatus) -> Style {
    match state(service) {
        "running" | "completed" => GREEN,
        "backoff" | "failed" => RED,
        "disabled" => DIM,
        "stopped" if service.goal == "down" => DIM,
        _ => YELLOW,
    }
}

/// Somebody should look at it.
fn troubled(service: &ServiceStatus) -> bool {
    let outcome = service.last_reload.as_ref().map(|it| it.outcome);
    let has_reloaded = outcome.is_none_or(|it| it == ReloadOutcome::Done);
    !has_reloaded || matches!(state(service), "degraded" | "backoff" | "failed")
}

/// Everything that explains why it is not simply up, in one sentence; empty where all is well.
fn reason(service: &ServiceStatus, now: Timestamp) -> String {
    let mut parts: Vec<String> = Vec::new();
    match (&service.reason, service.waiting_on.as_slice()) {
        (Some(reason), _) if !reason.is_empty() => parts.push(shown(reason).into_owned()),
        (_, []) => {}
        (_, names) => parts.push(format!("waiting on {}", shown(&names.join(", ")))),
    }
    // The server's reason may say these in its own words.
    let said = parts.concat();
    if let Some(held) = service
        .held
        .as_ref()
        .filter(|_| !said.contains("stopped by"))
    {
        let (by, when) = (shown(&held.by), ago(&held.at, now));
        parts.push(format!("stopped by {by} {when}"));
    }
    if let Some(next) = service.next_try_ms.filter(|_| !said.contains("next try")) {
        parts.push(format!(
            "next try in {}",
            text::duration(next.div_ceil(1000) * 1000)
        ));
    }
    let told = !service.ready && service.state != "running" && service.held.is_none();
    if let Some(exit) = &service.last_exit
        && (told || service.restarts > 0)
    {
        let (how, when) = (shown(&exit.reason), ago(&exit.at, now));
        if parts.iter().any(|part| part.contains(how.as_ref())) {
            parts.push(format!("last exit {when}"));
        } else {
            parts.push(format!("last exit: {how}, {when}"));
        }
    }
    if let Some(text) = service.status_text.as_deref().filter(|_| !service.ready) {
        parts.push(format!("says: {}", shown(text)));
    }
    parts.join("; ")
}

/// The last line on a terminal: whether to worry, and where to look.
fn summary(services: &[ServiceStatus]) -> String {
    let enabled: Vec<_> = services.iter().filter(|service| service.enabled).collect();
    let not_ready = enabled.iter().filter(|service| !service.ready).count();
    let first = enabled.iter().find(|service| troubled(service));
    if let Some(first) = first {
        let many = enabled.iter().filter(|service| troubled(service)).count();
        let text = format!(
            "{many} of {} in trouble; see: ctl why {}",
            enabled.len(),
            first.name
        );
        return format!("\n{}\n", styled(RED.bold(), &shown(&text)));
    }
    match not_ready {
        0 => String::new(),
        many => {
            let text = format!("{many} of {} not ready", enabled.len());
            format!("\n{}\n", styled(YELLOW, &text))
        }
    }
}

/// The last word on an action, one line a service that has not failed.
pub fn results(results: &[ActionResult], up: bool) -> String {
    let mut text = String::new();
    for result in results
        .iter()
        .filter(|result| result.verdict != Verdict::Failed)
    {
        let _ = writeln!(text, "{}", result_line(result, up));
    }
    text
}

/// The last word on a signal, one line a service that has got it; how it took it, status shows.
pub fn signalled(results: &[ActionResult], signal: &str) -> String {
    let mut text = String::new();
    for result in results
        .iter()
        .filter(|result| result.verdict != Verdict::Failed)
    {
        let pid = result.pid.map(|pid| format!(" to pid {pid}"));
        let line = format!("SIG{signal} sent{}", pid.unwrap_or_default());
        let _ = writeln!(text, "{}: {}", shown(&result.service), styled(GREEN, &line));
    }
    text
}

/// The last word on those that have.
pub fn failures(results: &[ActionResult]) -> Vec<String> {
    let failed = results
        .iter()
        .filter(|result| result.verdict == Verdict::Failed);
    failed.map(|result| result_line(result, true)).collect()
}

fn result_line(result: &ActionResult, up: bool) -> String {
    let name = shown(&result.service);
    let pid = result
        .pid
        .map(|pid| format!(" (pid {pid})"))
        .unwrap_or_default();
    let detail = match result.detail.as_str() {
        "" => String::new(),
        // How to enable it again is not what somebody asks who has just disabled it.
        _ if result.state == "disabled" => String::new(),
        detail => format!("; {}", shown(detail)),
    };
    // What the detail says already is not said twice: `stopped by root at …`, `waiting on nginx`.
    let again = result.detail.starts_with(&format!("{} ", result.state));
    let (state, detail) = if again {
        (shown(&result.detail).into_owned(), String::new())
    } else {
        (result.state.clone(), detail)
    };
    let ready = if up && state == "running" {
        ", ready"
    } else {
        ""
    };
    let (style, text) = match result.verdict {
        Verdict::Done => (GREEN, format!("{state}{pid}{ready}{detail}")),
        Verdict::Already => (GREEN, format!("already {state}{pid}{detail}")),
        // Not waited for: nothing is known yet.
        Verdict::Pending if state.is_empty() => (YELLOW, "under way".to_owned()),
        Verdict::Pending => (YELLOW, format!("{state}{pid}, still under way{detail}")),
        Verdict::Failed => {
            let what = match (state.as_str(), result.detail.as_str()) {
                ("failed", "") => "failed".to_owned(),
                ("failed", detail) => format!("failed: {}", shown(detail)),
                _ if again => format!("failed: {state}{pid}"),
                _ => format!("failed: {state}{pid}{detail}"),
            };
            (RED, format!("{what}; see: ctl why {name}"))
        }
    };
    format!("{name}: {}", styled(style, &text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, every_state, result, supervisor};

    fn reply() -> StatusReply {
        StatusReply {
            supervisor: supervisor(),
            services: every_state(),
        }
    }

    #[test]
    fn in_a_pipe_every_service_is_one_line() {
        let text = status(&reply(), false, NOW.parse().unwrap());
        let text = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(text.lines().count(), 1 + every_state().len());
        insta::assert_snapshot!(text, @r"
        NAME        STATE      READY  PID  SINCE  RESTARTS  USER        REASON
        mattermost  running    yes    123  45s    0         mattermost
        degraded    degraded   yes    123  45s    0         mattermost  health: HTTP 500 from /api/v4/system/ping
        nginx       backoff    no     -    45s    7         mattermost  exit code 1, 7 times in a row; next try in 4s; last exit 45s ago
        broken      failed     no     -    45s    0         mattermost  exec: no such file or directory
        waits       waiting    no     -    45s    0         mattermost  waiting on postgresql
        held        stopped    no     -    45s    0         mattermost  stopped by root 2h0m ago
        spawning    spawning   no     -    45s    0         mattermost
        starts      starting   no     55   45s    0         mattermost  says: migrating \x1b[31m7 of 9
        reloads     reloading  yes    123  45s    0         mattermost
        stops       stopping   no     56   45s    0         mattermost
        setup       completed  yes    -    45s    0         mattermost
        redis       disabled   -      -    -      -         -
        ");
    }

    #[test]
    fn on_a_terminal_reasons_stand_below() {
        let text = status(&reply(), true, NOW.parse().unwrap());
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r"
        NAME        STATE      READY  PID  SINCE  RESTARTS  USER
        mattermost  running    yes    123  45s    0         mattermost
        degraded    degraded   yes    123  45s    0         mattermost
            health: HTTP 500 from /api/v4/system/ping
        nginx       backoff    no     -    45s    7         mattermost
            exit code 1, 7 times in a row; next try in 4s; last exit 45s ago
        broken      failed     no     -    45s    0         mattermost
            exec: no such file or directory
        waits       waiting    no     -    45s    0         mattermost
            waiting on postgresql
        held        stopped    no     -    45s    0         mattermost
            stopped by root 2h0m ago
        spawning    spawning   no     -    45s    0         mattermost
        starts      starting   no     55   45s    0         mattermost
            says: migrating \x1b[31m7 of 9
        reloads     reloading  yes    123  45s    0         mattermost
        stops       stopping   no     56   45s    0         mattermost
        setup       completed  yes    -    45s    0         mattermost
        redis       disabled   -      -    -      -         -

        3 of 11 in trouble; see: ctl why degraded
        ");
    }

    #[test]
    fn what_the_reason_says_is_not_said_again() {
        let services = every_state();
        let mut backoff = services[2].clone();
        backoff.reason = Some("exit code 1; next try in 3.2s".into());
        let mut held = services[5].clone();
        held.reason = Some("stopped by root at 10:00".into());
        let now = NOW.parse().unwrap();
        assert_eq!(
            reason(&backoff, now),
            "exit code 1; next try in 3.2s; last exit 45s ago"
        );
        assert_eq!(reason(&held, now), "stopped by root at 10:00");
    }

    #[test]
    fn trouble_is_coloured() {
        let colour = |name: &str| {
            let services = every_state();
            style(
                services
                    .iter()
                    .find(|service| service.name == name)
                    .unwrap(),
            )
        };
        assert_eq!(colour("mattermost"), GREEN);
        assert_eq!(colour("nginx"), RED);
        assert_eq!(colour("degraded"), YELLOW);
        assert_eq!(colour("broken"), RED);
        assert_eq!(colour("redis"), DIM);
    }

    #[test]
    fn a_detail_that_begins_with_the_state_stands_alone() {
        let mut held = result("postgresql", Verdict::Done, "stopped", None);
        held.detail = "stopped by root at 10:00".into();
        let mut waits = result("mattermost", Verdict::Failed, "waiting", None);
        waits.detail = "waiting on postgresql (backoff)".into();
        let results = &[held, waits];
        let text = super::results(results, false) + &failures(results).join("\n");
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r"
        postgresql: stopped by root at 10:00
        mattermost: failed: waiting on postgresql (backoff); see: ctl why mattermost
        ");
    }

    #[test]
    fn the_last_word_is_the_truth() {
        let results = &[
            result("mattermost", Verdict::Done, "running", Some(123)),
            result("setup", Verdict::Done, "completed", None),
            result("nginx", Verdict::Already, "running", Some(7)),
            result("worker", Verdict::Failed, "backoff", None),
            result("broken", Verdict::Failed, "failed", None),
            result("slow", Verdict::Pending, "starting", Some(9)),
        ];
        let text = super::results(results, true) + &failures(results).join("\n");
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r"
        mattermost: running (pid 123), ready
        setup: completed
        nginx: already running (pid 7)
        slow: starting (pid 9), still under way
        worker: failed: backoff; exit code 1; see: ctl why worker
        broken: failed: exit code 1; see: ctl why broken
        ");
    }
}
