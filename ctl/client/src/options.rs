//! The global options of `ctl`: which supervisor is meant, and how to print and wait.
//!
//! The help of each command hides these options, and `ctl help` lists them once.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, ValueEnum};

/// The variable is read elsewhere (`context.rs`): an empty variable counts as unset, and clap's own
/// `env` would refuse it.
const ROOT_HELP: &str = "Prefix for all paths [env: MATTERVISOR_ROOT] [default: /]";

const CATALOG_HELP: &str =
    "Directory of the catalogue, for commands that read service files [env: MATTERVISOR_CATALOG]";

// The global options.
#[expect(
    missing_docs,
    reason = "it would be the help of the command that takes it"
)]
#[derive(Debug, Args)]
pub struct Global {
    /// Prefix for all paths
    #[arg(long, global = true, hide = true, value_name = "DIR", help = ROOT_HELP)]
    pub root: Option<PathBuf>,
    /// Control socket [default: ROOT/run/mattervisor/ctl.sock]
    #[arg(long, global = true, hide = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Directory of the catalogue
    #[arg(long, global = true, hide = true, value_name = "DIR", help = CATALOG_HELP)]
    pub catalog: Option<PathBuf>,
    /// How to print: a table for people, JSON, or gitlab-ctl's lines
    #[arg(
        long,
        global = true,
        hide = true,
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub format: Format,
    /// Return as soon as the change is accepted
    #[arg(long, global = true, hide = true)]
    pub no_wait: bool,
    /// Give up waiting after this long (90s, 5m, 1h30m); the change itself goes on
    #[arg(long, global = true, hide = true, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Print help; ctl help lists the options of every command
    #[arg(short, long, global = true, action = ArgAction::Help)]
    pub help: Option<bool>,
}

/// The arguments after the program that are neither flags nor values of global flags.
pub fn words(arguments: &[OsString]) -> Vec<String> {
    let command = Global::augment_args(clap::Command::new("ctl"));
    let takes_value = |flag: &str| {
        command.get_arguments().any(|known| {
            known.get_long() == Some(flag.trim_start_matches('-'))
                && known.get_action().takes_values()
        })
    };
    let mut words = Vec::new();
    let mut arguments = arguments
        .iter()
        .skip(1)
        .map(|argument| argument.to_string_lossy());
    while let Some(argument) = arguments.next() {
        if !argument.starts_with('-') {
            words.push(argument.into_owned());
        } else if takes_value(&argument) {
            arguments.next();
        }
    }
    words
}

/// Shows the global options in the help of this command.
pub fn with_global_options(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| argument.hide(false))
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// The types of the API.
    Json,
    /// The lines of gitlab-ctl, for monitors that parse them.
    Runit,
}

/// Reads `90s`, `5m`, `1h30m`, or a bare number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    text::parse_duration(text)
        .map(Duration::from_millis)
        .map_err(|_| "not a duration; write 90s, 5m or 1h30m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(duration("-5s").is_err());
        assert!(duration("").is_err());
    }
}
