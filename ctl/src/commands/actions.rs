//! `ctl start|stop|restart|once|reload`, `*-except` and the signals.

use api::{Action, ActionRequest, Outcome, Verdict};
use clap::Args;
use clap_complete::ArgValueCompleter;
use client::{
    Context, Error, Format, Kind,
    complete::services,
    operation::{self, Operation},
    render::{json, runit, table},
};

use super::unstored;

// Those that are left alone.
#[derive(Debug, Args)]
pub(crate) struct ExceptArgs {
    /// Services that are left alone, at least one
    #[arg(value_name = "NAME", required = true, add = ArgValueCompleter::new(services))]
    pub(crate) names: Vec<String>,
}

// At least one service.
#[derive(Debug, Args)]
pub(crate) struct NamedServicesArgs {
    /// Services, at least one
    #[arg(value_name = "NAME", required = true, add = ArgValueCompleter::new(services))]
    pub(crate) names: Vec<String>,
}

/// What stands below the help of `start`.
pub(crate) const START_EXAMPLES: &str = "\
Lifts the holds of these services and of what they require.

Examples:
  ctl start                                 all that are enabled
  ctl start mattermost --timeout 2m         give up waiting then; the start goes on
  ctl start 'worker@*' --no-wait";

/// What stands below the help of `stop`.
pub(crate) const STOP_EXAMPLES: &str = "\
A stopped service stays so until it is started. What requires it stops first, and comes back with
it.

Examples:
  ctl stop nginx
  ctl stop                                  all of them";

/// What stands below the help of `restart`.
pub(crate) const RESTART_EXAMPLES: &str = "\
What requires them restarts too, and is named.

Examples:
  ctl restart mattermost nginx
  ctl restart                               all that are enabled";

/// What stands below the help of `once`.
pub(crate) const ONCE_EXAMPLES: &str = "\
Neither does their restart policy start them again. The next start makes them ordinary again.

Examples:
  ctl once migration
  ctl once mattermost                       to see how it ends";

/// What stands below the help of `reload`.
pub(crate) const RELOAD_EXAMPLES: &str = "\
Examples:
  ctl reload nginx";

/// What stands below the help of `start-except`.
pub(crate) const START_EXCEPT_EXAMPLES: &str = "\
A start that would have to start what is named here is refused.

Examples:
  ctl start-except 'worker@*'";

/// What stands below the help of `stop-except`.
pub(crate) const STOP_EXCEPT_EXAMPLES: &str = "\
What is named is left as it is, and so is all that it requires.

Examples:
  ctl stop-except postgresql                all but the database";

/// What stands below the help of `restart-except`.
pub(crate) const RESTART_EXCEPT_EXAMPLES: &str = "\
What is named is left as it is, and so is all that it requires.

Examples:
  ctl restart-except postgresql nginx";

/// What stands below the help of `hup` and the other signals.
pub(crate) const SIGNAL_EXAMPLES: &str = "\
Sent to the main process alone; what it does then is its own affair.

Examples:
  ctl hup nginx
  ctl usr1 nginx 'worker@*'";

/// Asks for it, waits for its end unless told not to, and tells the truth about it.
pub(crate) async fn run(
    context: &Context,
    action: Action,
    services: Vec<String>,
) -> Result<u8, Error> {
    carry_out(context, action, services, Vec::new()).await
}

/// To all that are enabled but those.
pub(crate) async fn all_except(
    context: &Context,
    action: Action,
    except: Vec<String>,
) -> Result<u8, Error> {
    if context.format == Format::Runit {
        context.print(&runit::all_but(&action, &except))?;
    }
    carry_out(context, action, Vec::new(), except).await
}

async fn carry_out(
    context: &Context,
    action: Action,
    services: Vec<String>,
    except: Vec<String>,
) -> Result<u8, Error> {
    let up = action != Action::Stop;
    let once = action == Action::Once;
    let signal = match &action {
        Action::Signal(name) => Some(name.clone()),
        _ => None,
    };
    let request = ActionRequest {
        id: operation::new_id(),
        action,
        services,
        except,
        wait: context.wait,
    };
    let body = serde_json::to_vec(&request)
        .map_err(|error| Error::new(Kind::Failed, format!("cannot write the request: {error}")))?;
    let change = Operation {
        id: request.id,
        path: "/v1/services".to_owned(),
        body,
        ends: if up {
            operation::UP_ENDS
        } else {
            operation::DOWN_ENDS
        },
        leave_when_accepted: false,
    };
    let outcome = operation::carry_out(context, &change).await?;
    let text = match context.format {
        Format::Json => json::value(&outcome, context.terminal())?,
        // `sv` says nothing about signals, and does not wait for what runs once.
        Format::Runit if signal.is_some() || once => String::new(),
        Format::Runit => runit::results(&outcome.results, up),
        Format::Table => match signal {
            Some(name) => table::signalled(&outcome.results, &name),
            None => table::results(&outcome.results, up),
        },
    };
    finish(context, &outcome, &text)
}

/// Prints the last words, and says on stderr what failed; the exit code is that of the change even
/// if nobody reads them.
pub(super) fn finish(context: &Context, outcome: &Outcome, text: &str) -> Result<u8, Error> {
    let failed = outcome
        .results
        .iter()
        .any(|result| result.verdict == Verdict::Failed);
    let code = if failed || context.wait && !outcome.finished {
        Kind::Failed.exit_code()
    } else {
        0
    };
    let printed = context.print(text);
    for line in table::failures(&outcome.results) {
        context.output.borrow_mut().note(&line);
    }
    for line in unstored::lines(&outcome.unstored) {
        context.output.borrow_mut().note(&line);
    }
    match printed {
        Err(error) if error.kind != Kind::OutputClosed => Err(error),
        _ => Ok(code),
    }
}

#[cfg(test)]
mod tests {
    use api::{ErrorKind, ErrorReply, Progress, Unstored};

    use super::*;
    use crate::testing::{Answer, Fake, ctl_unread, result};

    fn lines(progress: &[Progress]) -> String {
        json::lines(progress).unwrap()
    }

    fn accepted(notes: &[&str]) -> Progress {
        Progress::Accepted {
            services: vec!["mattermost".into(), "nginx".into()],
            notes: notes.iter().map(|&note| note.into()).collect(),
            unstored: Unstored::default(),
        }
    }

    fn outcome(verdict: Verdict, state: &str) -> Outcome {
        Outcome {
            job: None,
            rollback: None,
            gone_back: None,
            unstored: Unstored::default(),
            id: "x".into(),
            finished: verdict != Verdict::Pending,
            results: vec![result("mattermost", verdict, state, Some(123))],
        }
    }

    fn done(verdict: Verdict, state: &str) -> Progress {
        Progress::Done(outcome(verdict, state))
    }

    fn request(line: &str) -> ActionRequest {
        let body = line.split_once("HTTP/1.1 ").unwrap().1;
        serde_json::from_str(body).unwrap()
    }

    #[test]
    fn a_start_prints_the_notes_and_the_truth() {
        let text = lines(&[
            accepted(&["lifts the hold of postgresql"]),
            Progress::State {
                service: "mattermost".into(),
                state: "running".into(),
                detail: String::new(),
            },
            done(Verdict::Done, "running"),
        ]);
        let fake = Fake::new(vec![Answer::Whole(200, text)]);
        let ran = fake.ctl("start mattermost nginx");
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(
            ran.out,
            "lifts the hold of postgresql\nmattermost: running (pid 123), ready\n"
        );
        let asked = request(&fake.requests()[0]);
        assert_eq!(asked.action, Action::Start);
        assert_eq!(asked.services, ["mattermost", "nginx"]);
        assert!(asked.wait);
    }

    #[test]
    fn a_failure_is_1_and_says_where_to_look() {
        let text = lines(&[accepted(&[]), done(Verdict::Failed, "failed")]);
        let ran = Fake::new(vec![Answer::Whole(200, text)]).ctl("restart mattermost");
        assert_eq!(ran.code, 1);
        assert_eq!(ran.out, "");
        assert_eq!(
            ran.err,
            "mattermost: failed: exit code 1; see: ctl why mattermost\n"
        );
    }

    #[test]
    fn all_but_some_are_named_to_the_supervisor() {
        let text = lines(&[accepted(&[]), done(Verdict::Done, "stopped")]);
        let fake = Fake::new(vec![Answer::Whole(200, text)]);
        let ran = fake.ctl("stop-except postgresql web* --format runit");
        assert_eq!(
            ran.out,
            "Stopping all services except: postgresql, web*.\n\
             ok: run: mattermost: (pid 123) 1s, want down\n"
        );
        let asked = request(&fake.requests()[0]);
        assert_eq!(asked.action, Action::Stop);
        assert_eq!(asked.services, [""; 0]);
        assert_eq!(asked.except, ["postgresql", "web*"]);
    }

    #[test]
    fn once_is_asked_for_and_sv_says_nothing_of_it() {
        let text = lines(&[accepted(&[]), done(Verdict::Done, "running")]);
        let fake = Fake::new(vec![Answer::Whole(200, text)]);
        let ran = fake.ctl("once mattermost --format runit");
        assert_eq!((ran.code, ran.out.as_str()), (0, ""));
        assert_eq!(request(&fake.requests()[0]).action, Action::Once);
    }

    #[test]
    fn no_wait_is_content_with_pending() {
        let text = lines(&[accepted(&[]), done(Verdict::Pending, "starting")]);
        let fake = Fake::new(vec![Answer::Whole(200, text)]);
        let ran = fake.ctl("start --no-wait mattermost");
        assert_eq!(ran.code, 0);
        assert!(!request(&fake.requests()[0]).wait);
    }

    #[test]
    fn signals_are_sent_by_name() {
        let text = lines(&[done(Verdict::Done, "running")]);
        let fake = Fake::new(vec![Answer::Whole(200, text)]);
        let ran = fake.ctl("usr1 nginx");
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (0, "mattermost: SIGUSR1 sent to pid 123\n")
        );
        assert_eq!(
            request(&fake.requests()[0]).action,
            Action::Signal("USR1".into())
        );
    }

    #[test]
    fn every_refusal_has_its_exit_code() {
        for (kind, status, code) in [
            (ErrorKind::UnknownService, 404, 4),
            (ErrorKind::NotAllowed, 403, 6),
            (ErrorKind::Refused, 409, 1),
            (ErrorKind::Usage, 400, 2),
        ] {
            let reply = ErrorReply {
                kind,
                message: "it is so".into(),
                hint: None,
            };
            let body = serde_json::to_string(&reply).unwrap();
            let ran = Fake::new(vec![Answer::Whole(status, body)]).ctl("stop x");
            assert_eq!((ran.code, ran.err.as_str()), (code, "error: it is so\n"));
            let line = lines(&[Progress::Refused(reply)]);
            let ran = Fake::new(vec![Answer::Whole(200, line)]).ctl("stop x");
            assert_eq!((ran.code, ran.err.as_str()), (code, "error: it is so\n"));
        }
    }

    #[test]
    fn after_a_broken_connection_the_outcome_is_asked_for_and_nothing_sent_twice() {
        let pending = serde_json::to_string(&outcome(Verdict::Pending, "starting")).unwrap();
        let ended = serde_json::to_string(&outcome(Verdict::Done, "running")).unwrap();
        let fake = Fake::new(vec![
            Answer::Cut(lines(&[accepted(&[])])),
            Answer::Hangup,
            Answer::Whole(200, pending),
            Answer::Whole(200, ended),
        ]);
        let ran = fake.ctl("restart mattermost");
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (0, "mattermost: running (pid 123), ready\n")
        );
        let requests = fake.requests();
        let id = request(&requests[0]).id;
        for later in &requests[1..] {
            assert_eq!(later, &format!("GET /v1/changes/{id} HTTP/1.1"));
        }
    }

    const UNKNOWN: &str = r#"{"kind":"usage","message":"no such change"}"#;

    #[test]
    fn a_change_that_never_arrived_is_sent_again_as_the_same() {
        let fake = Fake::new(vec![
            Answer::Hangup,
            Answer::Whole(404, UNKNOWN.into()),
            Answer::Whole(200, lines(&[accepted(&[]), done(Verdict::Done, "stopped")])),
        ]);
        let ran = fake.ctl("stop mattermost");
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        let requests = fake.requests();
        assert_eq!(requests.len(), 3);
        assert_eq!(request(&requests[0]), request(&requests[2]));
    }

    #[test]
    fn a_change_that_never_arrives_is_given_up_and_that_is_said() {
        let once = || [Answer::Hangup, Answer::Whole(404, UNKNOWN.into())];
        let fake = Fake::new((0..8).flat_map(|_| once()).collect());
        let ran = fake.ctl("stop mattermost");
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("nothing was done"), "{}", ran.err);
        assert_eq!(fake.requests().len(), 16);
    }

    #[test]
    fn what_is_on_no_disk_is_said_in_every_format_and_is_no_failure() {
        let unstored = Unstored {
            holds: Some("No space left on device".into()),
            history: Some("the disk has not answered for 5 s".into()),
        };
        let text = lines(&[
            accepted(&[]),
            Progress::Done(Outcome {
                job: None,
                unstored: unstored.clone(),
                ..outcome(Verdict::Done, "stopped")
            }),
        ]);
        for format in ["table", "json", "runit"] {
            let fake = Fake::new(vec![Answer::Whole(200, text.clone())]);
            let ran = fake.ctl(&format!("stop mattermost --format {format}"));
            assert_eq!(ran.code, 0);
            assert_eq!(
                ran.err,
                "warning: not stored, so a restart of the supervisor would forget it: No space left on device\n\
                 warning: not in the history of changes: the disk has not answered for 5 s\n\
                 hint: see to it that the state directory can be written; it is tried again until it works, and ctl status warns meanwhile\n"
            );
            if format == "json" {
                let back: Outcome = serde_json::from_str(&ran.out).unwrap();
                assert_eq!(back.unstored, unstored);
            }
        }
    }

    #[test]
    fn an_accepted_change_that_was_forgotten_is_not_called_undone() {
        let fake = Fake::new(vec![
            Answer::Cut(lines(&[accepted(&[])])),
            Answer::Whole(404, UNKNOWN.into()),
        ]);
        let ran = fake.ctl("stop mattermost");
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("it had been accepted"), "{}", ran.err);
    }

    #[test]
    fn a_timeout_is_7_and_names_what_is_pending() {
        let text = lines(&[
            accepted(&[]),
            Progress::State {
                service: "nginx".into(),
                state: "running".into(),
                detail: String::new(),
            },
            Progress::State {
                service: "mattermost".into(),
                state: "starting".into(),
                detail: "waits for READY=1".into(),
            },
        ]);
        let fake = Fake::new(vec![Answer::Stall(text)]);
        let ran = fake.ctl("start --timeout 200ms");
        assert_eq!(ran.code, 7);
        assert_eq!(
            ran.err,
            "error: timed out after 200ms, still waiting for mattermost (starting: waits for READY=1)\n\
             hint: the action goes on; to wait for it: ctl wait mattermost\n"
        );
    }

    #[test]
    fn a_closed_stdout_does_not_hide_the_result() {
        let text = lines(&[accepted(&["note"]), done(Verdict::Failed, "failed")]);
        let fake = Fake::new(vec![Answer::Whole(200, text)]);
        let root = fake.root().display();
        assert_eq!(
            ctl_unread(&format!("ctl --root {root} start mattermost")),
            1
        );
    }

    #[test]
    fn json_is_the_outcome() {
        let text = lines(&[accepted(&["a note"]), done(Verdict::Done, "running")]);
        let ran = Fake::new(vec![Answer::Whole(200, text)]).ctl("start --format json mattermost");
        let back: Outcome = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(back, outcome(Verdict::Done, "running"));
        assert_eq!(ran.err, "a note\n");
    }

    #[test]
    fn runit_lines_for_those_who_parse_them() {
        let text = lines(&[accepted(&["a note"]), done(Verdict::Done, "running")]);
        let ran = Fake::new(vec![Answer::Whole(200, text)]).ctl("start --format runit mattermost");
        assert_eq!(ran.out, "ok: run: mattermost: (pid 123) 1s\n");
        assert_eq!(ran.err, "a note\n");
    }
}
