//! Reports how a failed reconfigure went back to the previous configuration.

use api::{ActionResult, GoneBack, Verdict};

use client::render::{HINT, shown, styled};

/// Lines for stderr, whatever the format: the outcome of going back, and what to do next.
pub(super) fn lines(gone_back: &GoneBack) -> Vec<String> {
    let to = format!(
        "the configuration of {}, asked for by {}",
        shown(&gone_back.to.at),
        shown(&gone_back.to.by)
    );
    let file = shown(&gone_back.site_file);
    let hint = |text: String| format!("{} {text}", styled(HINT, "hint:"));
    if let Some(why) = &gone_back.refused {
        return vec![
            format!("cannot go back to {to}: {}", shown(why)),
            hint(format!(
                "the configuration that failed is still in place: mend {file}, then: ctl reconfigure"
            )),
        ];
    }
    let mut lines = vec![format!("back to {to}")];
    lines.extend(running(&gone_back.results));
    for failed in failed(&gone_back.results) {
        let (name, detail) = (shown(&failed.service), shown(&failed.detail));
        lines.push(format!("{name}: failed with it too: {detail}"));
        lines.push(hint(format!("to see why: ctl why {name}")));
    }
    lines.push(hint(format!(
        "{file} still holds the change that failed: mend it, then: ctl reconfigure"
    )));
    lines
}

fn running(results: &[ActionResult]) -> Option<String> {
    let running = results
        .iter()
        .filter(|it| it.verdict != Verdict::Failed && it.pid.is_some());
    let names: Vec<_> = running.map(|it| shown(&it.service)).collect();
    let run = text::form(names.len(), "runs", "run");
    (!names.is_empty()).then(|| format!("{}: {run} with it again", names.join(", ")))
}

fn failed(results: &[ActionResult]) -> impl Iterator<Item = &ActionResult> {
    results.iter().filter(|it| it.verdict == Verdict::Failed)
}

#[cfg(test)]
mod tests {
    use api::{KeptPlan, ServiceState};

    use super::*;
    use crate::testing::result;

    fn gone_back(results: Vec<ActionResult>, refused: Option<&str>) -> String {
        let lines = lines(&GoneBack {
            to: KeptPlan {
                at: "2026-11-22T10:00:00.000Z".into(),
                by: "root".into(),
                not_up: Vec::new(),
            },
            results,
            refused: refused.map(str::to_owned),
            site_file: "/etc/mattervisor/mattervisor.toml".into(),
        });
        anstream::adapter::strip_str(&lines.join("\n")).to_string()
    }

    #[test]
    fn it_is_said_what_runs_again_and_what_does_not() {
        let mut sick = result(
            "postgresql",
            Verdict::Failed,
            ServiceState::Running,
            Some(7),
        );
        sick.detail = "the reload was not confirmed".into();
        let results = vec![
            result("gone", Verdict::Done, ServiceState::Disabled, None),
            result("mattermost", Verdict::Done, ServiceState::Running, Some(5)),
            result("nginx", Verdict::Done, ServiceState::Running, Some(6)),
            sick,
        ];
        insta::assert_snapshot!(gone_back(results, None), @r"
        back to the configuration of 2026-11-22T10:00:00.000Z, asked for by root
        mattermost, nginx: run with it again
        postgresql: failed with it too: the reload was not confirmed
        hint: to see why: ctl why postgresql
        hint: /etc/mattervisor/mattervisor.toml still holds the change that failed: mend it, then: ctl reconfigure
        ");
    }

    #[test]
    fn what_cannot_be_gone_back_to_is_said() {
        insta::assert_snapshot!(gone_back(Vec::new(), Some("no space left on device")), @r"
        cannot go back to the configuration of 2026-11-22T10:00:00.000Z, asked for by root: no space left on device
        hint: the configuration that failed is still in place: mend /etc/mattervisor/mattervisor.toml, then: ctl reconfigure
        ");
    }
}
