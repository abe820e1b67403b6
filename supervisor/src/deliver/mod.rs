//! `mattervisord deliver`: sends one message to one target of notifications, and ends.
//!
//! A process of its own, so that what a network, a name server or a mail program does can hold up
//! nobody, and what TLS costs in memory is gone again. The control process starts it as a helper
//! of the keeper; what to tell whom stands in one variable of its environment, since a webhook's
//! URL is its own password and a command line can be read by all. What goes wrong is printed
//! without that URL, and comes back with the exit of the process.

mod mail;
mod webhook;

use std::{io::Write, process::ExitCode};

use plan::{NotifyBy, NotifyOn};
use serde::{Deserialize, Serialize};

use crate::exit;

/// The variable that holds the [`Errand`].
pub(crate) const VARIABLE: &str = "MATTERVISOR_DELIVERY";

/// A message about one thing that has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// The service; empty if it is about the machine.
    pub(crate) service: String,
    /// The cause.
    pub(crate) cause: NotifyOn,
    /// State of the service then; may be empty.
    pub(crate) state: String,
    /// The event in one sentence.
    pub(crate) text: String,
    /// Time of the event, in milliseconds of the Unix epoch.
    pub(crate) at_unix_ms: u64,
    /// How often it has happened, if more than once since the last message.
    pub(crate) count: u32,
    /// Name of this machine.
    pub(crate) host: String,
}

/// A message to one target.
#[derive(Serialize, Deserialize)]
pub(crate) struct Errand {
    /// The way of delivery.
    pub(crate) by: NotifyBy,
    /// The message.
    pub(crate) message: Message,
}

impl Message {
    /// The cause as the site file writes it.
    pub(crate) const fn cause_name(&self) -> &'static str {
        match self.cause {
            NotifyOn::Failed => "failed",
            NotifyOn::Restarted => "restarted",
            NotifyOn::Unhealthy => "unhealthy",
            NotifyOn::Recovered => "recovered",
            NotifyOn::Disk => "disk",
            NotifyOn::DeletedBinary => "deleted-binary",
            NotifyOn::Certificate => "certificate",
            NotifyOn::Overdue => "overdue",
        }
    }

    /// Time of the event, RFC 3339 in UTC.
    pub(crate) fn at(&self) -> String {
        text::rfc3339_seconds(self.moment())
    }

    fn moment(&self) -> jiff::Timestamp {
        text::timestamp(self.at_unix_ms)
    }
}

/// Does the errand of its environment.
pub(crate) fn run() -> ExitCode {
    match errand().and_then(|errand| carry_out(&errand)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // The control process reads this; if it has gone, nobody needs the answer.
            let _ = writeln!(std::io::stdout(), "{why}");
            ExitCode::from(exit::FAILURE)
        }
    }
}

fn errand() -> Result<Errand, String> {
    let text = std::env::var(VARIABLE).map_err(|_| {
        "the supervisor alone starts this, with what to tell in its environment".to_owned()
    })?;
    // The text holds a secret, so the error may not quote it.
    serde_json::from_str(&text).map_err(|_| "cannot read what to tell".to_owned())
}

fn carry_out(errand: &Errand) -> Result<(), String> {
    match &errand.by {
        NotifyBy::Webhook(url) => webhook::post(url, &errand.message),
        NotifyBy::Sendmail { to, from } => mail::send(to, from.as_deref(), &errand.message),
        NotifyBy::Command(_) => Err("a command is run without this".to_owned()),
    }
}

#[cfg(test)]
pub(super) fn example() -> Message {
    Message {
        service: "mattermost".to_owned(),
        cause: NotifyOn::Failed,
        state: "failed".to_owned(),
        text: "mattermost has failed: exit code 1".to_owned(),
        at_unix_ms: 1_700_000_000_000,
        count: 1,
        host: "chat1".to_owned(),
    }
}
