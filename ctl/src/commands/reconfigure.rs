//! `ctl reconfigure`: applies the configuration files, shows what that would do, or goes back.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use api::{ActionResult, KeptPlan, Preview, Progress, Verdict, Why};
use clap::Args;
use client::{
    Context, Error, Format, Kind, escaped,
    operation::{self, Operation},
    progress::Spinner,
    render::{HINT, json, outcome, runit, shown, styled, why::story},
};
use jiff::Timestamp;

use super::{actions, gone_back};
use crate::preview;

/// Text after the command's help.
pub(crate) const EXAMPLES: &str = "\
What is wrong is refused as a whole, and nothing changes. Each action is printed with its reason.

With the same files a dry run says what the real one then does, service by service. Where a reload
fails, the configuration before is put in place again, and ctl says so and ends with 1. Where a
service does not come up, ctl says why and ends with 1. A rollback puts plan and rendered files back, not
your files: neither a boot nor a restart applies those again unless one changes; ctl reconfigure
does.

Examples:
  ctl reconfigure --dry-run                 what would change, and because of what
  ctl check-config && ctl reconfigure
  ctl reconfigure --rollback                the last configuration that worked";

/// Most services whose failure is explained at once; `ctl why` explains the others.
const EXPLAINED_MAX: usize = 3;

// Whether to apply, to preview or to go back.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ReconfigureArgs {
    /// Only say what it would do, and why; changes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Go back to the last configuration that worked, whatever the files say
    #[arg(long)]
    pub(crate) rollback: bool,
}

/// Requests the reconfigure and prints the outcome for each service that it concerns.
pub(crate) async fn run(context: &Context, how: ReconfigureArgs) -> Result<u8, Error> {
    if how.dry_run {
        return dry_run(context, how).await;
    }
    let id = operation::new_id();
    let change = Operation {
        path: path(&id, how),
        id,
        body: Vec::new(),
        ends: operation::UP_ENDS,
        leave_when_accepted: !context.wait,
    };
    let carried_out = operation::carry_out(context, &change).await;
    let outcome = carried_out.map_err(|error| with_way_back(error, how))?;
    let text = match context.format {
        Format::Json => json::value(&outcome, context.terminal())?,
        Format::Runit if failed(&outcome.results).next().is_some() => {
            runit::results(&outcome.results, true)
        }
        Format::Runit => runit::results(&outcome.results, true) + runit::RECONFIGURED,
        Format::Table if outcome.finished && outcome.results.is_empty() => {
            "reconfigured: no service had to change\n".to_owned()
        }
        Format::Table => outcome::done(&outcome.results, true),
    };
    let code = actions::finish(context, &outcome, &text)?;
    // A service that is up again with the previous configuration needs no explanation.
    let fails_now = match &outcome.gone_back {
        Some(back) if back.refused.is_none() => &back.results,
        Some(_) | None => &outcome.results,
    };
    if context.format == Format::Table {
        explain(context, fails_now).await;
    }
    for line in outcome
        .gone_back
        .as_deref()
        .into_iter()
        .flat_map(gone_back::lines)
    {
        context.output.borrow_mut().note(&line);
    }
    if let Some(kept) = outcome
        .rollback
        .as_ref()
        .filter(|_| failed(&outcome.results).next().is_some())
    {
        context.output.borrow_mut().note(&offer(kept));
    }
    Ok(code)
}

/// Adds the hint about a rollback to a timeout: the user may want the old configuration back.
fn with_way_back(error: Error, how: ReconfigureArgs) -> Error {
    if error.kind != Kind::TimedOut || how.rollback {
        return error;
    }
    error.hint("to see why: ctl why SERVICE; to go back instead: ctl reconfigure --rollback")
}

fn path(id: &str, how: ReconfigureArgs) -> String {
    let mut path = format!("/v1/reconfigure?id={id}");
    for (flag, name) in [(how.dry_run, "dry_run"), (how.rollback, "rollback")] {
        if flag {
            let _ = write!(path, "&{name}=true");
        }
    }
    path
}

fn failed(results: &[ActionResult]) -> impl Iterator<Item = &ActionResult> {
    let results = results.iter();
    results.filter(|result| result.verdict == Verdict::Failed)
}

/// Prints why services failed, as `ctl why` does, with each root cause once.
async fn explain(context: &Context, results: &[ActionResult]) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut explained = 0;
    for result in failed(results) {
        let path = format!("/v1/why/{}", escaped(&result.service));
        // The failure itself is printed already, so a missing explanation is no error.
        let Ok(why) = context.client.get::<Why>(&path).await else {
            return;
        };
        let roots = why.chain.iter().filter(|step| step.root);
        let roots: Vec<String> = roots.map(|step| step.service.name.clone()).collect();
        if roots.iter().all(|root| known.contains(root)) {
            continue;
        }
        known.extend(roots);
        let story = story(&why, Timestamp::now());
        for line in story.lines() {
            context.output.borrow_mut().note(line);
        }
        explained += 1;
        if explained == EXPLAINED_MAX {
            return;
        }
    }
}

/// The offer to go back to a kept configuration.
fn offer(kept: &KeptPlan) -> String {
    let command = styled(HINT, "ctl reconfigure --rollback");
    let not_up = match kept.not_up.as_slice() {
        [] => String::new(),
        names => format!("; not up with it: {}", shown(&names.join(", "))),
    };
    format!(
        "{command} goes back to the configuration of {}, asked for by {}{not_up}",
        shown(&kept.at),
        shown(&kept.by)
    )
}

async fn dry_run(context: &Context, how: ReconfigureArgs) -> Result<u8, Error> {
    let asked = ask(context, how);
    let preview = match context.timeout {
        None => asked.await?,
        Some(timeout) => within(timeout, asked).await?,
    };
    let text = match context.format {
        Format::Json => json::value(&preview, context.terminal())?,
        Format::Table | Format::Runit => preview::text(&preview),
    };
    context.print(&text)?;
    Ok(0)
}

async fn within(
    timeout: Duration,
    asked: impl Future<Output = Result<Preview, Error>>,
) -> Result<Preview, Error> {
    tokio::time::timeout(timeout, asked)
        .await
        .unwrap_or_else(|_| {
            let message = format!("timed out after {timeout:?}; nothing is changed by a dry run");
            Err(Error::new(Kind::TimedOut, message))
        })
}

async fn ask(context: &Context, how: ReconfigureArgs) -> Result<Preview, Error> {
    let client = &context.client;
    let spinner = Spinner::new(context.output.borrow().progress);
    let path = path(&operation::new_id(), how);
    let mut lines = match client.post::<Progress>(&path, Vec::new()).await {
        Ok(lines) => lines,
        Err(failure) => return Err(client.explain(failure)),
    };
    loop {
        let batch = match lines.next().await {
            Ok(Some(batch)) => batch,
            Ok(None) => {
                let message =
                    "the supervisor ended the dry run without a word; it has changed nothing";
                return Err(Error::new(Kind::Failed, message).hint("give the command again"));
            }
            Err(failure) => return Err(client.explain(failure)),
        };
        for progress in batch {
            match progress {
                Progress::Step { detail } => spinner.say(|| shown(&detail).into_owned()),
                Progress::Preview(preview) => return Ok(*preview),
                Progress::Refused(reply) => return Err(reply.into()),
                Progress::Accepted { .. }
                | Progress::State { .. }
                | Progress::Job { .. }
                | Progress::Done(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use api::{HostAction, HostChange, Outcome, PlanImpact, ServiceChange, ServiceState};

    use super::*;
    use crate::testing::{Answer, Fake, result};

    fn outcome(results: Vec<ActionResult>) -> Outcome {
        Outcome {
            job: None,
            id: "x".into(),
            finished: true,
            results,
            rollback: Some(KeptPlan {
                at: "2026-11-22T10:00:00.000Z".into(),
                by: "root".into(),
                not_up: Vec::new(),
            }),
            gone_back: None,
            unstored: api::Unstored::default(),
        }
    }

    #[test]
    fn nothing_to_change_is_said() {
        let text = json::lines(&[Progress::Done(outcome(Vec::new()))]).unwrap();
        let fake = Fake::new(vec![Answer::Whole(200, text)]);
        let ran = fake.ctl("reconfigure");
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (0, "reconfigured: no service had to change\n")
        );
        assert_eq!(ran.err, "");
        assert!(fake.requests()[0].starts_with("POST /v1/reconfigure?id="));
    }

    #[test]
    fn a_configuration_that_does_not_check_is_1() {
        let refused =
            r#"{"kind":"configuration","message":"2 problems","hint":"ctl check-config"}"#;
        let ran = Fake::new(vec![Answer::Whole(422, refused.into())]).ctl("reconfigure");
        assert_eq!(ran.code, 1);
        assert_eq!(ran.err, "error: 2 problems\nhint: ctl check-config\n");
    }

    #[test]
    fn no_wait_leaves_when_it_is_accepted() {
        let accepted = Progress::Accepted {
            services: Vec::new(),
            notes: vec!["nginx reloads".into()],
            unstored: api::Unstored::default(),
        };
        let text = json::lines(&[accepted]).unwrap();
        let ran = Fake::new(vec![Answer::Stall(text)]).ctl("reconfigure --no-wait");
        assert_eq!((ran.code, ran.out.as_str()), (0, "nginx reloads\n"));
    }

    #[test]
    fn whoever_gives_up_waiting_is_told_the_way_back() {
        let accepted = Progress::Accepted {
            services: vec!["nginx".into()],
            notes: Vec::new(),
            unstored: api::Unstored::default(),
        };
        let text = json::lines(&[accepted]).unwrap();
        let stalled = || Fake::new(vec![Answer::Stall(text.clone())]);
        let ran = stalled().ctl("reconfigure --timeout 100ms");
        assert_eq!(ran.code, 7);
        assert!(
            ran.err.contains("ctl reconfigure --rollback"),
            "{}",
            ran.err
        );
        let ran = stalled().ctl("reconfigure --rollback --timeout 100ms");
        assert!(!ran.err.contains("--rollback"), "{}", ran.err);
    }

    #[test]
    fn what_is_disabled_is_not_told_how_to_be_enabled() {
        let mut gone = result("redis", Verdict::Done, ServiceState::Disabled, None);
        gone.detail = "set redis.enable = true in /etc/x".into();
        let text = json::lines(&[Progress::Done(outcome(vec![gone]))]).unwrap();
        let ran = Fake::new(vec![Answer::Whole(200, text)]).ctl("reconfigure");
        assert_eq!((ran.code, ran.out.as_str()), (0, "redis: disabled\n"));
    }

    #[test]
    fn a_service_that_does_not_come_up_is_explained_and_the_way_back_offered() {
        let done = outcome(vec![result(
            "nginx",
            Verdict::Failed,
            ServiceState::Failed,
            None,
        )]);
        let text = json::lines(&[Progress::Done(done)]).unwrap();
        let why = r#"{"chain":[]}"#.to_owned();
        let fake = Fake::new(vec![Answer::Whole(200, text), Answer::Whole(200, why)]);
        let ran = fake.ctl("reconfigure");
        assert_eq!(ran.code, 1);
        assert_eq!(fake.requests()[1], "GET /v1/why/nginx HTTP/1.1");
        assert!(
            ran.err.ends_with(
                "ctl reconfigure --rollback goes back to the configuration of \
                 2026-11-22T10:00:00.000Z, asked for by root\n"
            ),
            "{}",
            ran.err
        );
    }

    #[test]
    fn a_dry_run_shows_what_would_be_done_and_is_0() {
        let change = |name: &str, action: PlanImpact, reasons: &[&str]| ServiceChange {
            name: name.into(),
            action,
            reasons: reasons.iter().map(|&it| it.to_owned()).collect(),
            note: String::new(),
        };
        let preview = Preview {
            services: vec![
                change(
                    "mattermost",
                    PlanImpact::Restart,
                    &["env MM_X changed", "env MM_Y added"],
                ),
                change("postgresql", PlanImpact::Keep, &[]),
            ],
            host: vec![HostChange {
                action: HostAction::Generate,
                what: "secret mattermost.key".into(),
                services: vec!["mattermost".into()],
            }],
            ..Preview::default()
        };
        let step = Progress::Step {
            detail: "checks /x".into(),
        };
        let text = json::lines(&[step, Progress::Preview(Box::new(preview.clone()))]).unwrap();
        let fake = Fake::new(vec![Answer::Whole(200, text.clone())]);
        let ran = fake.ctl("reconfigure --dry-run --rollback");
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        let asked = &fake.requests()[0];
        assert!(asked.contains("&dry_run=true&rollback=true "), "{asked}");
        insta::assert_snapshot!(ran.out, @r"
            NAME        ACTION   BECAUSE
            mattermost  restart  env MM_X changed, env MM_Y added
            postgresql  nothing
            generate secret mattermost.key (mattermost)
            nothing has been changed: this was a dry run
        ");
        let ran =
            Fake::new(vec![Answer::Whole(200, text)]).ctl("reconfigure --dry-run --format json");
        assert_eq!(serde_json::from_str::<Preview>(&ran.out).unwrap(), preview);
    }

    #[test]
    fn a_dry_run_that_breaks_off_says_that_nothing_has_changed() {
        let fake = Fake::new(vec![Answer::Whole(200, String::new())]);
        let ran = fake.ctl("reconfigure --dry-run");
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("changed nothing"), "{}", ran.err);
    }
}
