//! `ctl maintenance`: tells users that there is maintenance, whatever runs.
//!
//! Maintenance stays on until it is turned off, also over a restart of the machine, and touches no
//! service. The request is idempotent, so ctl sends it again if the connection breaks. The command
//! fails if a web server that is up was seen to tell users otherwise.

use std::{fmt::Write as _, time::Duration};

use api::{Maintenance as Said, MaintenanceReply, MaintenanceRequest, Told, Unstored};
use clap::{Args, Subcommand};
use client::{
    Client, Context, Error, Format, Kind, Method, operation,
    render::{YELLOW, ago, json, shown, styled},
};
use jiff::Timestamp;

use super::unstored;

/// Text after the help of `ctl maintenance`.
pub(crate) const EXAMPLES: &str = "\
It stays on until it is turned off, also over a restart of the machine. No service is touched: for
work on Mattermost itself stop it, too. Its own port still answers, for a look from this machine.

Examples:
  ctl maintenance on
  ctl maintenance on --message 'Back at 10:00. Urgent things: 555-0100'
  ctl maintenance                           whether there is, since when, and what users are told
  ctl maintenance off";

/// Longest wait for the answer: the supervisor waits for the disk, and asks the web server for as
/// long as a service file may say.
const ANSWER_MAX: Duration = Duration::from_secs(40);

// Turns maintenance on or off, or shows it.
#[derive(Debug, Args)]
pub(crate) struct MaintenanceArgs {
    #[command(subcommand)]
    command: Option<Switch>,
}

// What to switch.
#[derive(Debug, Subcommand)]
enum Switch {
    /// Tell users that there is maintenance, in Mattermost's place
    On {
        /// What to tell them besides: one line, at most 1000 characters
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
    },
    /// Let users in again
    Off,
}

/// Turns maintenance on or off if asked, and prints its state.
pub(crate) async fn run(context: &Context, asked: MaintenanceArgs) -> Result<u8, Error> {
    let path = format!("/v1/maintenance?id={}", operation::new_id());
    let client = Client {
        answer_max: ANSWER_MAX,
        ..context.client.clone()
    };
    let reply: MaintenanceReply = match asked.command {
        None => client.get("/v1/maintenance").await?,
        Some(Switch::Off) => client.set(Method::DELETE, &path, &[]).await?,
        Some(Switch::On { message }) => {
            let request = MaintenanceRequest { message };
            let body = serde_json::to_vec(&request).unwrap_or_default();
            client.set(Method::PUT, &path, &body).await?
        }
    };
    let text = match context.format {
        Format::Json => json::value(&reply, context.terminal())?,
        Format::Table | Format::Runit => sentence(reply.maintenance.as_ref()),
    };
    context.print(&text)?;
    for note in notes(&reply) {
        let word = styled(YELLOW.bold(), "note:");
        context.output.borrow_mut().note(&format!("{word} {note}"));
    }
    let lost = Unstored {
        holds: reply.unstored.clone(),
        history: None,
    };
    for line in unstored::lines(&lost) {
        context.output.borrow_mut().note(&line);
    }
    match unseen(&reply) {
        None => Ok(0),
        Some(error) => Err(error),
    }
}

/// Why users are not told, where no web server of this host is up to tell them.
fn notes(reply: &MaintenanceReply) -> Vec<String> {
    if reply.maintenance.is_none() {
        return Vec::new();
    }
    if reply.files.is_empty() {
        return vec!["Mattermost does not run here, so nobody has a page to show".to_owned()];
    }
    if reply.told_by.is_empty() && reply.unwritten.is_none() {
        let note = "no web server of this host tells users: another one does if its configuration is from \
                    ctl gitlab vhost";
        return vec![note.to_owned()];
    }
    let not_ready = |(name, told): (&String, &Told)| match told {
        Told::NotReady { state } => Some(format!(
            "{} is {}, so it tells nobody: ctl why {0}",
            shown(name),
            state
        )),
        Told::Yes | Told::No { .. } => None,
    };
    reply.told_by.iter().filter_map(not_ready).collect()
}

/// The error if the files could not be written, or a web server was seen to tell users otherwise.
fn unseen(reply: &MaintenanceReply) -> Option<Error> {
    let what = if reply.maintenance.is_some() {
        "users may not be told so"
    } else {
        "users may still be told that there is maintenance"
    };
    if let Some(why) = &reply.unwritten {
        let message = format!("{what}: {}", shown(why));
        let hint = "it is tried again until it works, and ctl status warns meanwhile";
        return Some(Error::new(Kind::Failed, message).hint(hint));
    }
    let (name, why) = reply.told_by.iter().find_map(|(name, told)| match told {
        Told::No { why } => Some((name, why)),
        Told::Yes | Told::NotReady { .. } => None,
    })?;
    let message = format!("{what}: asked {} itself: {}", shown(name), shown(why));
    let hint = "it is stored; see what its own configuration says besides, or ctl why, and ask again: ctl maintenance";
    Some(Error::new(Kind::Failed, message).hint(hint))
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

/// The state of maintenance in one line, which `ctl status` prints too.
pub(super) fn line(said: &Said) -> String {
    let since = ago(&said.since, Timestamp::now());
    format!("maintenance is on, begun {since}, by {}", shown(&said.by))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use api::ServiceState;

    use super::*;
    use crate::testing::{Answer, Fake};

    fn reply(message: Option<&str>) -> MaintenanceReply {
        MaintenanceReply {
            maintenance: Some(Said {
                message: message.map(str::to_owned),
                since: Timestamp::now().to_string(),
                by: "root".to_owned(),
            }),
            files: vec!["/run/maintenance".to_owned()],
            told_by: told(Told::Yes),
            unwritten: None,
            unstored: None,
        }
    }

    fn answer(reply: &impl serde::Serialize) -> Answer {
        Answer::Whole(200, serde_json::to_string(reply).unwrap())
    }

    fn told(told: Told) -> BTreeMap<String, Told> {
        [("nginx".to_owned(), told)].into()
    }

    #[test]
    fn on_says_what_users_are_told() {
        let fake = Fake::new(vec![answer(&reply(Some("Back \x1b[31mat ten")))]);
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
        let state = ServiceState::Stopped;
        for (told_by, said) in [
            (BTreeMap::new(), "no web server of this host tells users"),
            (
                told(Told::NotReady { state }),
                "nginx is stopped, so it tells nobody: ctl why nginx",
            ),
        ] {
            let reply = MaintenanceReply {
                told_by,
                ..reply(None)
            };
            let ran = Fake::new(vec![answer(&reply)]).ctl("maintenance on");
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

    /// Maintenance is stored and in the files, but the web server was seen to tell users otherwise.
    #[test]
    fn what_users_are_not_told_is_a_failure() {
        let why = "http://chat/ answers 403".to_owned();
        let unseen = MaintenanceReply {
            told_by: told(Told::No { why }),
            ..reply(None)
        };
        let ran = Fake::new(vec![answer(&unseen)]).ctl("maintenance on");
        assert_eq!(ran.code, 1);
        let said = "users may not be told so: asked nginx itself: http://chat/ answers 403";
        assert!(ran.err.contains(said), "{}", ran.err);
        let still = MaintenanceReply {
            maintenance: None,
            ..unseen
        };
        let ran = Fake::new(vec![answer(&still)]).ctl("maintenance off");
        assert_eq!(ran.code, 1);
        let said = "users may still be told that there is maintenance: asked nginx";
        assert!(ran.err.contains(said), "{}", ran.err);
    }
}
