//! Renders tables for people, above all the status table.
//!
//! In a pipe the status table has one line per service, with the reason in the last column. On a
//! terminal the full reason stands below each service that has one.

use std::fmt::Write as _;

use anstyle::Style;
use api::{Goal, ReloadOutcome, ServiceState, ServiceStatus, StatusReply};
use jiff::Timestamp;

use super::{BOLD, DIM, GREEN, PLAIN, RED, YELLOW, ago, shown, styled};

/// A field of a table.
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
    // Only a request for usage gets usage, so a single value means that the columns were asked for.
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

/// The word for the state of a service: `degraded` if the health probe fails, else the state.
pub fn state(service: &ServiceStatus) -> &'static str {
    if !service.enabled {
        "disabled"
    } else if is_degraded(service) {
        "degraded"
    } else {
        service.state.as_str()
    }
}

/// Whether a running service fails its health probe.
pub fn is_degraded(service: &ServiceStatus) -> bool {
    service.enabled && service.state == ServiceState::Running && service.healthy == Some(false)
}

fn style(service: &ServiceStatus) -> Style {
    if !service.enabled {
        return DIM;
    }
    if is_degraded(service) {
        return YELLOW;
    }
    match service.state {
        ServiceState::Running | ServiceState::Completed => GREEN,
        ServiceState::Backoff | ServiceState::Failed => RED,
        ServiceState::Disabled => DIM,
        ServiceState::Stopped if service.goal == Goal::Down => DIM,
        _ => YELLOW,
    }
}

/// Whether a service needs attention.
fn troubled(service: &ServiceStatus) -> bool {
    let outcome = service.last_reload.as_ref().map(|it| it.outcome);
    let has_reloaded = outcome.is_none_or(|it| it == ReloadOutcome::Done);
    !has_reloaded
        || is_degraded(service)
        || (service.enabled
            && matches!(service.state, ServiceState::Backoff | ServiceState::Failed))
}

/// Why a service is not simply up, in one sentence; empty if all is well.
fn reason(service: &ServiceStatus, now: Timestamp) -> String {
    let mut parts: Vec<String> = Vec::new();
    match (&service.reason, service.waiting_on.as_slice()) {
        (Some(reason), _) if !reason.is_empty() => parts.push(shown(reason).into_owned()),
        (_, []) => {}
        (_, names) => parts.push(format!("waiting on {}", shown(&names.join(", ")))),
    }
    // The reason of a stopped service already names its hold, and the reason of a backoff the next
    // try.
    let told_by_reason = |state| service.state == state && !parts.is_empty();
    let (hold_told, try_told) = (
        told_by_reason(ServiceState::Stopped),
        told_by_reason(ServiceState::Backoff),
    );
    if let Some(held) = service.held.as_ref().filter(|_| !hold_told) {
        let (by, when) = (shown(&held.by), ago(&held.at, now));
        parts.push(format!("stopped by {by} {when}"));
    }
    if let Some(next) = service.next_try_ms.filter(|_| !try_told) {
        parts.push(format!(
            "next try in {}",
            text::duration(next.div_ceil(1000) * 1000)
        ));
    }
    let told = !service.ready && service.state != ServiceState::Running && service.held.is_none();
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

/// The last line on a terminal: how many services are in trouble, and where to look.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, every_state, supervisor};

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
        nginx       backoff    no     -    45s    7         mattermost  exit code 1, 7 times in a row; next try in 3.2s; last exit 45s ago
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
            exit code 1, 7 times in a row; next try in 3.2s; last exit 45s ago
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
}
