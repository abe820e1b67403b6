//! Arguments of `ctl logs` and `ctl tail`, with the option names of journalctl, docker logs and
//! kubectl logs.

use clap::Args;
use clap_complete::ArgValueCompleter;
use client::{complete::services, time_arg};
use jiff::Timestamp;

/// Text after the help of `ctl logs`.
pub(crate) const EXAMPLES: &str = "\
Without -n: the last 100 lines of each service, or with --since, --until or --grep all that they mean.

WHEN is 30s, 5m, '2 days ago', today, yesterday, 10:30, 2026-11-22, '2026-11-22 10:30' (local time),
or RFC 3339. REGEX matches anywhere in a line, without its stamp.

Examples:
  ctl logs mattermost --since 1h
  ctl logs --since yesterday --until today --grep 'error|panic' -i
  ctl logs nginx --grep ' 502 ' -n 20
  ctl logs mattermost --files -f
  ctl logs --format json --since 10:30 | jq -r .text
  ctl logs --rotate nginx";

/// Number of lines of each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// The last lines, at most this number.
    Last(u32),
    /// All lines.
    All,
}

// Which lines to show.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) which: TailArgs,
    /// Only lines from before then
    #[arg(short = 'U', long, value_name = "WHEN", value_parser = time_arg::read, conflicts_with = "follow")]
    pub(crate) until: Option<Timestamp>,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Begin new log files now; the old ones are kept as after any rotation
    #[arg(long, conflicts_with_all = ["lines", "since", "until", "grep", "follow", "files"])]
    pub(crate) rotate: bool,
}

// Arguments that `logs` and `tail` have in common.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Services; none means all
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(services))]
    pub(crate) names: Vec<String>,
    /// Last lines of each service to begin with (that match), or all
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    pub(crate) lines: Option<Count>,
    /// Only lines since then
    #[arg(short = 'S', long, value_name = "WHEN", value_parser = time_arg::read)]
    pub(crate) since: Option<Timestamp>,
    /// Only lines that match this regular expression
    #[arg(short, long, value_name = "REGEX")]
    pub(crate) grep: Option<String>,
    /// Take upper and lower case for the same in REGEX
    #[arg(short, long, requires = "grep")]
    pub(crate) ignore_case: bool,
    /// The files that services write themselves, too
    #[arg(long)]
    pub(crate) files: bool,
}

fn count(text: &str) -> Result<Count, String> {
    match text {
        "all" => Ok(Count::All),
        number => number
            .parse()
            .map(Count::Last)
            .map_err(|_| "not a number of lines; write 100, or all".to_owned()),
    }
}
