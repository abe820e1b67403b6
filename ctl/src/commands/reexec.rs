//! `ctl reexec`: the daemon goes on with the program that is installed now. First the keeper
//! (`--keeper`), then the control process: two commands, for either may be refused.

use std::fmt::Write as _;

use api::{Progress, StatusReply, SupervisorStatus};
use client::{
    Context, Error, Format, Kind, operation, render::json, transport_error::TransportError,
};

/// Text after the command's help.
pub(crate) const EXAMPLES: &str = "\
Without --keeper the control process is replaced, with --keeper the process that holds all
services. A program that cannot take over is left aside, and the one that runs goes on: then the
exit code is 1, and the message says why.

Examples:
  ctl reexec --keeper && ctl reexec         after an upgrade of the package
  ctl version                               what runs, and what is installed";

const STATUS: &str = "/v1/services";

// Whose program is replaced.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct ReexecArgs {
    /// Replace the program of the keeper, which holds all services
    #[arg(long)]
    keeper: bool,
}

/// How the stream of a request has ended.
enum Ended {
    /// The keeper has answered; or the client does not wait.
    Done,
    /// The stream is over, or the connection broke: the next answer shows who is in charge.
    Closed,
}

/// Asks for it once, and looks who answers afterwards.
pub(crate) async fn run(context: &Context, ReexecArgs { keeper }: ReexecArgs) -> Result<u8, Error> {
    let before = supervisor(context).await?;
    if keeper && before.keeper_version.is_empty() {
        let version = &before.version;
        let message = format!(
            "the running daemon (version {version}) is too old to replace the program of its keeper"
        );
        let hint = "restart it at a time that suits: systemctl restart mattervisor";
        return Err(Error::new(Kind::Failed, message).hint(hint));
    }
    let id = operation::new_id();
    let of = if keeper { "&keeper=true" } else { "" };
    let path = format!("/v1/reexec?id={id}{of}");
    let ended = follow(context, &path).await?;
    if !context.wait {
        return Ok(0);
    }
    let after = supervisor(context).await?;
    let happened = if keeper {
        keeper_replaced(&before, &after, &ended)
    } else {
        control_replaced(&before, &after)
    };
    happened?;
    let text = match context.format {
        Format::Json => json::value(&after, context.terminal())?,
        Format::Table | Format::Runit => sentence(keeper, &before, &after),
    };
    context.print(&text)?;
    Ok(0)
}

async fn follow(context: &Context, path: &str) -> Result<Ended, Error> {
    let failure = match context.client.post::<Progress>(path, Vec::new()).await {
        Ok(mut lines) => loop {
            match lines.next().await {
                Ok(Some(batch)) => {
                    for progress in batch {
                        match progress {
                            Progress::Refused(reply) => return Err(reply.into()),
                            Progress::Done(_) => return Ok(Ended::Done),
                            Progress::Accepted { .. } if !context.wait => return Ok(Ended::Done),
                            _ => {}
                        }
                    }
                }
                // A control process that is replaced has ended, as it was asked to.
                Ok(None) => return Ok(Ended::Closed),
                Err(failure) => break failure,
            }
        },
        Err(failure) => failure,
    };
    match failure {
        TransportError::Broken(_) => Ok(Ended::Closed),
        failure => Err(context.client.explain(failure)),
    }
}

fn control_replaced(before: &SupervisorStatus, after: &SupervisorStatus) -> Result<(), Error> {
    if after.pid == before.pid {
        let message = "the connection broke, and the same control process is in charge";
        return Err(Error::new(Kind::Failed, message).hint("give the command again"));
    }
    if after.control_restarts != before.control_restarts {
        let message = "the control process has died meanwhile, and another is in charge";
        return Err(Error::new(Kind::Failed, message).hint("the supervisor's log says why"));
    }
    Ok(())
}

fn keeper_replaced(
    before: &SupervisorStatus,
    after: &SupervisorStatus,
    ended: &Ended,
) -> Result<(), Error> {
    if after.keeper_pid != before.keeper_pid {
        let message = format!(
            "the keeper (pid {}) has ended, and another (pid {}) runs",
            before.keeper_pid, after.keeper_pid
        );
        return Err(Error::new(Kind::Failed, message).hint("the supervisor's log says why"));
    }
    // A keeper whose new version speaks otherwise to control processes has ended the one that had
    // the connection.
    if after.keeper_execs > before.keeper_execs {
        return Ok(());
    }
    let message = match ended {
        Ended::Done => "the supervisor says that it is done, and the keeper has its old program",
        Ended::Closed => "the connection broke, and the keeper has its old program",
    };
    Err(Error::new(Kind::Failed, message).hint("give the command again"))
}

async fn supervisor(context: &Context) -> Result<SupervisorStatus, Error> {
    let status: StatusReply = context.client.get(STATUS).await?;
    Ok(status.supervisor)
}

fn sentence(keeper: bool, before: &SupervisorStatus, after: &SupervisorStatus) -> String {
    let (mut text, old, new) = if keeper {
        let pid = after.keeper_pid;
        let text = format!("the keeper (pid {pid}) runs the installed program");
        (text, &before.keeper_version, &after.keeper_version)
    } else {
        let (new, old) = (after.pid, before.pid);
        let text = format!("control process {new} has taken over from {old}");
        (text, &before.version, &after.version)
    };
    if new == old {
        let _ = write!(text, " (version {new})");
    } else {
        let _ = write!(text, " (version {new}, was {old})");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use crate::testing::{Answer, Fake};

    fn status(pid: i32, deaths: u32) -> Answer {
        let text = format!(
            r#"{{"supervisor":{{"version":"1","pid":{pid},"keeper_pid":1,"uptime_seconds":1,
            "control_restarts":{deaths},"root":"/","state":"running","warnings":[]}},"services":[]}}"#
        );
        Answer::Whole(200, text)
    }

    const ACCEPTED: &str = r#"{"progress":"accepted","services":[],"notes":[]}"#;

    fn accepted() -> Answer {
        Answer::Whole(200, format!("{ACCEPTED}\n"))
    }

    #[test]
    fn who_answers_afterwards_is_said() {
        let fake = Fake::new(vec![status(7, 0), accepted(), status(8, 0)]);
        let ran = fake.ctl("reexec");
        assert_eq!(ran.code, 0, "{}", ran.err);
        let said = "control process 8 has taken over from 7 (version 1)\n";
        assert_eq!(ran.out, said);
        assert!(fake.requests()[1].starts_with("POST /v1/reexec?id="));
    }

    #[test]
    fn one_that_does_not_take_over_is_1_and_says_why() {
        let refused =
            r#"{"progress":"refused","kind":"internal","message":"no: hangs","hint":null}"#;
        let lines = Answer::Whole(200, format!("{ACCEPTED}\n{refused}\n"));
        let ran = Fake::new(vec![status(7, 0), lines]).ctl("reexec");
        assert_eq!((ran.code, ran.err.as_str()), (1, "error: no: hangs\n"));
    }

    #[test]
    fn a_crash_in_between_is_no_success() {
        let answers = vec![status(7, 0), accepted(), status(8, 1)];
        let ran = Fake::new(answers).ctl("reexec");
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("has died meanwhile"), "{}", ran.err);
        let answers = vec![status(7, 0), accepted(), status(7, 0)];
        assert_eq!(Fake::new(answers).ctl("reexec").code, 1);
    }

    fn keeper(pid: i32, execs: u32) -> Answer {
        let text = format!(
            r#"{{"supervisor":{{"version":"1","pid":7,"keeper_pid":{pid},"keeper_version":"{execs}","keeper_execs":{execs},
            "uptime_seconds":1,"control_restarts":0,"root":"/","state":"running","warnings":[]}},"services":[]}}"#
        );
        Answer::Whole(200, text)
    }

    #[test]
    fn the_version_that_the_keeper_runs_now_is_said() {
        let done = r#"{"progress":"done","id":"x","finished":true,"results":[]}"#;
        let lines = Answer::Whole(200, format!("{ACCEPTED}\n{done}\n"));
        let fake = Fake::new(vec![keeper(5, 0), lines, keeper(5, 1)]);
        let ran = fake.ctl("reexec --keeper");
        assert_eq!(ran.code, 0, "{}", ran.err);
        let said = "the keeper (pid 5) runs the installed program (version 1, was 0)\n";
        assert_eq!(ran.out, said);
        assert!(fake.requests()[1].contains("&keeper=true"));
    }

    #[test]
    fn a_daemon_that_cannot_is_not_asked() {
        let fake = Fake::new(vec![status(7, 0)]);
        let ran = fake.ctl("reexec --keeper");
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("is too old"), "{}", ran.err);
        assert_eq!(fake.requests().len(), 1);
    }

    #[test]
    fn a_keeper_that_has_not_changed_or_has_died_is_no_success() {
        for (after, why) in [(keeper(5, 0), "old program"), (keeper(6, 0), "has ended")] {
            let ran = Fake::new(vec![keeper(5, 0), accepted(), after]).ctl("reexec --keeper");
            assert_eq!(ran.code, 1);
            assert!(ran.err.contains(why), "{}", ran.err);
        }
    }
}
