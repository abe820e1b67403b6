//! `ctl reexec`: replaces the running control process with one of the installed program.

use std::fmt::Write as _;

use api::{Progress, StatusReply, SupervisorStatus};
use client::{
    Context, Error, Format, Kind, operation, render::json, transport_error::TransportError,
};

/// Text after the command's help.
pub(crate) const EXAMPLES: &str = "\
If the new one does not answer in time, the old one goes on.

Examples:
  ctl reexec && ctl version                 after an upgrade of the package";

/// Path of the status, which has the control process's pid, version and count of restarts.
const STATUS: &str = "/v1/services";

/// Requests the replacement once, and checks which control process answers afterwards.
pub(crate) async fn run(context: &Context) -> Result<u8, Error> {
    let before = supervisor(context).await?;
    let path = format!("/v1/reexec?id={}", operation::new_id());
    let failure = match context.client.post::<Progress>(&path, Vec::new()).await {
        Ok(mut lines) => loop {
            match lines.next().await {
                Ok(Some(batch)) => {
                    for progress in batch {
                        match progress {
                            Progress::Refused(reply) => return Err(reply.into()),
                            Progress::Accepted { .. } if !context.wait => return Ok(0),
                            _ => {}
                        }
                    }
                }
                // The old control process has ended, as requested.
                Ok(None) => break None,
                Err(failure) => break Some(failure),
            }
        },
        Err(failure) => Some(failure),
    };
    if let Some(failure) = failure.filter(|it| !matches!(it, TransportError::Broken(_))) {
        return Err(context.client.explain(failure));
    }
    let after = supervisor(context).await?;
    if after.pid == before.pid {
        let message = "the connection broke, and the same control process is in charge";
        return Err(Error::new(Kind::Failed, message).hint("give the command again"));
    }
    if after.control_restarts != before.control_restarts {
        let message = "the control process has died meanwhile, and another is in charge";
        return Err(Error::new(Kind::Failed, message).hint("the supervisor's log says why"));
    }
    let text = match context.format {
        Format::Json => json::value(&after, context.terminal())?,
        Format::Table | Format::Runit => sentence(&before, &after),
    };
    context.print(&text)?;
    Ok(0)
}

async fn supervisor(context: &Context) -> Result<SupervisorStatus, Error> {
    let status: StatusReply = context.client.get(STATUS).await?;
    Ok(status.supervisor)
}

fn sentence(before: &SupervisorStatus, after: &SupervisorStatus) -> String {
    let mut text = format!(
        "control process {} has taken over from {}",
        after.pid, before.pid
    );
    if after.version == before.version {
        let _ = write!(text, " (version {})", after.version);
    } else {
        let _ = write!(text, " (version {}, was {})", after.version, before.version);
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
}
