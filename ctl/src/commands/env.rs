//! `ctl env`: the environment of one service, the source of each variable, and variables that the
//! service's program would ignore or refuse.
//!
//! The supervisor tells the running environment, but hands out no secret. Without a supervisor, and
//! for `--reveal`, the command reads the files. The command changes nothing.

mod gather;
mod print;

use std::path::PathBuf;

use api::{Problem, VariableDiff};
use clap::Args;
use clap_complete::ArgValueCompleter;
use client::{Context, Error, Format, Kind, complete::services, render::json, service_query};
use serde::Serialize;

use crate::mattermost::against_config;

pub(crate) const EXAMPLES: &str = "\
Shows what runs, or what the files say where no supervisor runs. Below stands what is wrong with
names and values that the program would ignore or die of, as far as the catalogue knows them.

Examples:
  ctl env mattermost
  sudo ctl env mattermost --reveal          reads the files, secrets included
  sudo ctl env mattermost --against-config  which keys of config.json it overrides
  ctl env mattermost --format json | jq -r '.variables[] | select(.source == \"env map\") | .name'
  ctl env mattermost --reveal --export      lines for a shell, to run its tools by hand";

// The service, and how to show its environment.
#[derive(Debug, Args)]
pub(crate) struct EnvArgs {
    /// Service
    #[arg(value_name = "SERVICE", add = ArgValueCompleter::new(services))]
    name: String,
    /// With its secrets; reads the files, which takes the right to read secrets.toml
    #[arg(long)]
    reveal: bool,
    /// As lines for a shell; without --reveal secrets are left out
    #[arg(long, conflicts_with = "against_config")]
    export: bool,
    /// List the keys of Mattermost's config.json that it overrides, with both values
    #[arg(long)]
    against_config: bool,
}

/// The environment of a service.
#[derive(Debug, Serialize)]
pub(crate) struct Environment {
    /// Name of the service.
    pub(crate) service: String,
    /// `supervisor` for the running environment, `files` for that of the files.
    pub(crate) from: &'static str,
    /// Variables by name.
    pub(crate) variables: Vec<Entry>,
    /// The variables that the files would change.
    differs: Vec<VariableDiff>,
    /// Problems of the service's variables.
    findings: Vec<Problem>,
    /// Notes for people; JSON leaves them out.
    #[serde(skip)]
    notes: Vec<String>,
    /// Working directory, to which relative paths refer.
    #[serde(skip)]
    pub(crate) working_dir: PathBuf,
}

/// One variable.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// The value; null where hidden.
    pub(crate) value: Option<String>,
    pub(crate) secret: bool,
    /// `supervisor`, `computed`, `env file`, `setting`, `default`, `env map` or `secret`.
    pub(crate) source: &'static str,
    /// The setting that became the variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) setting: Option<String>,
    /// File that sets the variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u32>,
    /// The value if known, hidden or not. A hidden value is never printed without `--reveal`.
    #[serde(skip)]
    pub(crate) real: Option<String>,
}

/// Prints the environment, or the keys of config.json that the environment overrides.
pub(crate) async fn run(context: &Context, asked: &EnvArgs) -> Result<u8, Error> {
    if service_query::is_pattern(&asked.name) {
        let message = format!(
            "'{}' is a pattern, and this is about one service",
            asked.name
        );
        return Err(Error::new(Kind::Usage, message).hint("see: ctl service-list"));
    }
    let environment = if asked.reveal {
        gather::revealed(context, &asked.name).await?
    } else {
        gather::masked(context, &asked.name).await?
    };
    if asked.against_config {
        return against_config::run(context, &environment, asked.reveal);
    }
    let text = if asked.export {
        print::export(&environment)
    } else {
        match context.format {
            Format::Json => json::value(&environment, context.terminal())?,
            Format::Table | Format::Runit => print::table(&environment),
        }
    };
    context.print(&text)?;
    Ok(0)
}

#[cfg(test)]
mod tests;
