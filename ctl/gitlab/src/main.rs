//! `ctl gitlab`: Mattermost's sign-on with GitLab, and GitLab's nginx as Mattermost's proxy.
//!
//! The program works from the files and from GitLab's REST API; no supervisor need run.
//! `authorize` decides, `application` knows what an application must be, `api` speaks with GitLab,
//! `local_config` reads this host's files, `store` writes `secrets.toml`, `report` prints the
//! outcome; `vhost` is about the proxy alone.
//!
//! [`Secret`] holds each token and secret; its `Debug` output hides the text.

mod api;
mod application;
mod authorize;
mod command;
mod input;
mod local_config;
mod report;
mod store;
mod vhost;

use std::process::ExitCode;

use client::command_line;

fn main() -> ExitCode {
    command_line::main(async |context, command| command::run(context, &command))
}

/// A text that is sent and stored, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the request or the file that needs it.
    fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}
