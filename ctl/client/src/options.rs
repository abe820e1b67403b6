//! What every command takes: where the supervisor is, and how to speak.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

/// An empty variable counts as none, which clap's own `env` would refuse.
const ROOT_HELP: &str = "Directory that stands before etc/mattervisor, run/mattervisor and the \
    others [env: MATTERVISOR_ROOT] [default: /]";

const CATALOG_HELP: &str =
    "Catalogue of services, for commands that read the files themselves [env: MATTERVISOR_CATALOG]";

// What every command takes.
#[expect(
    missing_docs,
    reason = "it would be the help of the command that takes it"
)]
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Directory that stands before etc/mattervisor and the others
    #[arg(long, global = true, value_name = "DIR", help = ROOT_HELP)]
    pub root: Option<PathBuf>,
    /// Control socket [default: ROOT/run/mattervisor/ctl.sock]
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Catalogue of services, for what reads the files itself
    #[arg(long, global = true, value_name = "DIR", help = CATALOG_HELP)]
    pub catalog: Option<PathBuf>,
    /// How to print: a table for people, JSON, or gitlab-ctl's lines
    #[arg(long, global = true, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
    /// Return as soon as the change is accepted
    #[arg(long, global = true)]
    pub no_wait: bool,
    /// Give up waiting after this long (90s, 5m, 1h30m); the change itself goes on
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
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

/// `90s`, `5m`, `1h30m`, or a bare number of seconds.
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
