//! `ctl maintenance`: users are told that there is maintenance, whatever runs.
//!
//! It stays until it is ended, also over a restart of the machine, and touches no service. To say it
//! twice is to say it once, so a request whose connection broke is sent again.

use std::fmt::Write as _;

use api::{Maintenance as Said, MaintenanceReply, MaintenanceRequest, StatusReply, Unstored};
use clap::{Args, Subcommand};
use client::{
    Context, Error, Format, Kind, Method, change, names,
    render::{YELLOW, ago, json, shown, styled},
};
use jiff::Timestamp;

use super::unstored;

/// What stands below the help of `ctl maintenance`.
pub(crate) const EXAMPLES: &str = "\
It stays on until it is turned off, also over a restart of the machine. No service is touched: for
work on Mattermost itself stop it, too. Its own port still answers, for a look from this machine.

Examples:
  ctl maintenance on
  ctl maintenance on --message 'Back at 10:00. Urgent things: 555-0100'
  ctl maintenance                           whether there is, since when, and what users are told
  ctl maintenance off";

/// Who serves Mattermost to its users.
const PROXY: &str = "nginx";

// On, off, or only a look.
#[derive(Debug, Args)]
pub(crate) struct Maintenance {
    #[command(subcommand)]
    command: Option<Which>,
}

// Which of them.
#[derive(Debug, Subcommand)]
enum Which {
    /// Tell users that there is maintenance, in Mattermost's place
    On {
        /// What to tell them besides: one line, at most 1000 characters
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
    },
    /// Let users in again
    Off,
}

/// Says how it stands, after changing it where that was asked for.
pub(crate) async fn run(context: &Context, asked: Maintenance) -> Result<u8, Error> {
    let path = format!("/v1/maintenance?id={}", change::new_id());
    let reply: MaintenanceReply = match asked.command {
        None => context.client.get("/v1/maintenance").await?,
        Some(Which::Off) => context.client.set(Method::DELETE, &path, &[]).await?,
        Some(Which::On { message }) => {
            let request = MaintenanceRequest { message };
            let body = serde_json::to_vec(&request).unwrap_or_default();
            let reply = context.client.set(Method::PUT, &path, &body).await?;
            note_who_tells(context, &reply).await?;
            reply
        }
    };
    let text = match context.format {
        Format::Json => json::value(&reply, context.terminal())?,
        Format::Table | Format::Runit => sentence(reply.maintenance.as_ref()),
    };
    context.print(&text)?;
    let lost = Unstored {
        holds: reply.unstored,
        history: None,
    };
    for line in unstored::lines(&lost) {
        context.output.borrow_mut().note(&line);
    }
    match reply.unwritten {
        None => Ok(0),
        Some(why) => {
            let message = format!("users may not be told so: {}", shown(&why));
            Err(Error::new(Kind::Failed, message)
                .hint("it is tried again until it works, and ctl status warns meanwhile"))
        }
    }
}

/// Nobody is told where nobody serves.
async fn note_who_tells(context: &Context, reply: &MaintenanceReply) -> Result<(), Error> {
    let note = if reply.files.is_empty() {
        "Mattermost does not run here, so nobody has a page to show".to_owned()
    } else {
        let status: StatusReply = context.client.get(&names::status_path(&[])).await?;
        let proxy = status.services.iter().find(|it| it.name == PROXY);
        match proxy.filter(|it| it.enabled) {
            Some(proxy) if proxy.ready => return Ok(()),
            Some(proxy) => format!("{PROXY} is {}: ctl why {PROXY}", shown(&proxy.state)),
            None => format!(
                "{PROXY} does not run here: another one tells users if its configuration is from ctl gitlab vhost"
            ),
        }
    };
    let word = styled(YELLOW.bold(), "note:");
    context.output.borrow_mut().note(&format!("{word} {note}"));
    Ok(())
}

fn sentence(said: Option<&Said>) -> String {
    let Some(said) = said else {
        return "there is no maintenance\n".to_owned();
    };
    let mut text = format!("{}\n", line(said));
    if let Some(message) = &said.message {
        let _ = writeln!(text, "users are told: {}", shown(message));
    }
    text
}

/// For `ctl status`, too.
pub(super) fn line(said: &Said) -> String {
    let since = ago(&said.since, Timestamp::now());
    format!("maintenance is on, begun {since}, by {}", shown(&said.by))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Fake, service, supervisor};

    fn reply(message: Option<&str>) -> MaintenanceReply {
        MaintenanceReply {
            maintenance: Some(Said {
                message: message.map(str::to_owned),
                since: Timestamp::now().to_string(),
                by: "root".to_owned(),
            }),
            files: vec!["/run/maintenance".to_owned()],
            unwritten: None,
            unstored: None,
        }
    }

    fn answer(reply: &impl serde::Serialize) -> Answer {
        Answer::Whole(200, serde_json::to_string(reply).unwrap())
    }

    fn proxy(change: impl FnOnce(&mut api::ServiceStatus)) -> Answer {
        let mut proxy = service(PROXY);
        change(&mut proxy);
        answer(&StatusReply {
            supervisor: supervisor(),
            services: vec![proxy],
        })
    }

    #[test]
    fn on_says_what_users_are_told() {
        let fake = Fake::new(vec![
            answer(&reply(Some("Back \x1b[31mat ten"))),
            proxy(|_| {}),
        ]);
        let ran = fake.ctl("maintenance on --message Back");
        let said =
            "maintenance is on, begun 0s ago, by root\nusers are told: Back \\x1b[31mat ten\n";
        assert_eq!(
            (ran.code, ran.out.as_str(), ran.err.as_str()),
            (0, said, "")
        );
        assert!(fake.requests()[0].starts_with("PUT /v1/maintenance?id="));
    }

    #[test]
    fn where_nobody_shows_it_that_is_said() {
        for (status, said) in [
            (proxy(|it| it.enabled = false), "nginx does not run here"),
            (proxy(|it| it.ready = false), "ctl why nginx"),
        ] {
            let ran = Fake::new(vec![answer(&reply(None)), status]).ctl("maintenance on");
            assert_eq!(ran.code, 0);
            assert!(ran.err.contains(said), "{}", ran.err);
        }
        let nowhere = MaintenanceReply {
            files: Vec::new(),
            ..reply(None)
        };
        let ran = Fake::new(vec![answer(&nowhere)]).ctl("maintenance on");
        assert!(
            ran.err.contains("Mattermost does not run here"),
            "{}",
            ran.err
        );
    }

    #[test]
    fn off_is_sent_again_when_the_connection_breaks() {
        let none = MaintenanceReply {
            maintenance: None,
            ..reply(None)
        };
        let fake = Fake::new(vec![Answer::Hangup, answer(&none)]);
        let ran = fake.ctl("maintenance off");
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (0, "there is no maintenance\n")
        );
        let requests = fake.requests();
        assert!(requests[0].starts_with("DELETE /v1/maintenance?id="));
        assert_eq!(requests[0], requests[1], "by the same id");
    }

    #[test]
    fn what_users_may_not_see_is_a_failure_and_what_is_not_stored_a_warning() {
        let full = "no space left on device";
        let unstored = MaintenanceReply {
            unstored: Some(full.to_owned()),
            ..reply(None)
        };
        let ran = Fake::new(vec![answer(&unstored)]).ctl("maintenance");
        assert_eq!(ran.code, 0);
        assert!(
            ran.err
                .contains("a restart of the supervisor would forget it"),
            "{}",
            ran.err
        );
        let unwritten = MaintenanceReply {
            unwritten: Some(full.to_owned()),
            ..reply(None)
        };
        let ran = Fake::new(vec![answer(&unwritten)]).ctl("maintenance");
        assert_eq!(ran.code, 1);
        assert!(
            ran.err.contains("users may not be told so: no space left"),
            "{}",
            ran.err
        );
    }
}
