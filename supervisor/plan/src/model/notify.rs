//! Targets of notifications, and the events that they get.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::hidden::HIDDEN;

/// Target of notifications.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyTarget {
    /// `NAME` of `[notify.NAME]`.
    pub name: String,
    /// How the target is told.
    pub by: NotifyBy,
    /// Events that the target is told of.
    pub on: BTreeSet<NotifyOn>,
}

/// How somebody is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyBy {
    /// POST to this URL (secret: it is its own password). Mattermost and Slack take the same JSON.
    Webhook(String),
    /// Run this; what happened is in its environment.
    Command(Vec<String>),
    /// A mail by `sendmail -t`.
    Sendmail {
        /// Recipients.
        to: Vec<String>,
        /// Sender; none: sendmail's own idea.
        from: Option<String>,
    },
}

/// Events that a notification can report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyOn {
    /// A service will not come back by itself.
    Failed,
    /// A service has ended and was restarted.
    Restarted,
    /// A health or liveness probe, or a watchdog, has failed.
    Unhealthy,
    /// A service that was failed or unhealthy is well again.
    Recovered,
    /// Less than 10 % of a disk that we or a service write to is free.
    Disk,
    /// A service runs a program that has been replaced on disk.
    DeletedBinary,
    /// A certificate ends soon.
    Certificate,
    /// A scheduled service has had no good run for longer than its schedule allows.
    Overdue,
}

impl fmt::Debug for NotifyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match &self.by {
            NotifyBy::Webhook(_) => format!("webhook {HIDDEN}"),
            NotifyBy::Command(argv) => format!("command {argv:?}"),
            NotifyBy::Sendmail { to, .. } => format!("mail to {to:?}"),
        };
        write!(f, "{} by {by} on {:?}", self.name, self.on)
    }
}
