//! Renders the outcome of an action, one line for each service.

use std::fmt::Write as _;

use api::{ActionResult, ServiceState, Verdict};

use super::{GREEN, RED, YELLOW, shown, styled};

/// Results of services that have not failed, one line each. `up`: the action brings services up.
pub fn done(results: &[ActionResult], up: bool) -> String {
    let mut text = String::new();
    for result in results
        .iter()
        .filter(|result| result.verdict != Verdict::Failed)
    {
        let _ = writeln!(text, "{}", result_line(result, up));
    }
    text
}

/// Results of a signal, one line for each service that got the signal.
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

/// Results of services that have failed, one line each.
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
    let state = shown(result.full_state());
    let detail = match result.detail.as_str() {
        "" => String::new(),
        // The detail of a disabled service says how to enable it, which nobody asks who has just
        // disabled it.
        _ if result.state == Some(ServiceState::Disabled) => String::new(),
        detail => format!("; {}", shown(detail)),
    };
    let ready = if up && result.state == Some(ServiceState::Running) {
        ", ready"
    } else {
        ""
    };
    let (style, text) = match result.verdict {
        Verdict::Done => (GREEN, format!("{state}{pid}{ready}{detail}")),
        Verdict::Already => (GREEN, format!("already {state}{pid}{detail}")),
        // The command did not wait, so no state is known.
        Verdict::Pending if result.state.is_none() => (YELLOW, "under way".to_owned()),
        Verdict::Pending => (YELLOW, format!("{state}{pid}, still under way{detail}")),
        Verdict::Failed => {
            let what = match (result.state, result.detail.as_str()) {
                (Some(ServiceState::Failed), "") => "failed".to_owned(),
                (Some(ServiceState::Failed), detail) => format!("failed: {}", shown(detail)),
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
    use crate::testing::result;

    #[test]
    fn a_state_is_told_with_its_cause() {
        let mut held = result("postgresql", Verdict::Done, ServiceState::Stopped, None);
        held.state_in_full = Some("stopped by root at 10:00".into());
        let mut waits = result("mattermost", Verdict::Failed, ServiceState::Waiting, None);
        waits.state_in_full = Some("waiting on postgresql (backoff)".into());
        waits.detail.clear();
        let results = &[held, waits];
        let text = done(results, false) + &failures(results).join("\n");
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r"
        postgresql: stopped by root at 10:00
        mattermost: failed: waiting on postgresql (backoff); see: ctl why mattermost
        ");
    }

    #[test]
    fn the_last_word_is_the_truth() {
        let results = &[
            result(
                "mattermost",
                Verdict::Done,
                ServiceState::Running,
                Some(123),
            ),
            result("setup", Verdict::Done, ServiceState::Completed, None),
            result("nginx", Verdict::Already, ServiceState::Running, Some(7)),
            result("worker", Verdict::Failed, ServiceState::Backoff, None),
            result("broken", Verdict::Failed, ServiceState::Failed, None),
            result("slow", Verdict::Pending, ServiceState::Starting, Some(9)),
        ];
        let text = done(results, true) + &failures(results).join("\n");
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
