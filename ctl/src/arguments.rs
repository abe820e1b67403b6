//! What commands are given: services, and what of them.
//!
//! What is said of a type would be overwritten by the command that takes it, so they have plain comments.

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use client::{complete::services, moment};
use jiff::Timestamp;

// What to show of which services.
#[derive(Debug, Args)]
pub(crate) struct StatusOf {
    /// Services; none means all
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(services))]
    pub(crate) names: Vec<String>,
    /// With the CPU and memory of each, children included
    #[arg(long)]
    pub(crate) usage: bool,
}

// At least one service.
#[derive(Debug, Args)]
pub(crate) struct SomeNames {
    /// Services, at least one
    #[arg(value_name = "NAME", required = true, add = ArgValueCompleter::new(services))]
    pub(crate) names: Vec<String>,
}

// Those that are left alone.
#[derive(Debug, Args)]
pub(crate) struct Except {
    /// Services that are left alone, at least one
    #[arg(value_name = "NAME", required = true, add = ArgValueCompleter::new(services))]
    pub(crate) names: Vec<String>,
}

// What to wait for.
#[derive(Debug, Args)]
pub(crate) struct WaitFor {
    /// Services; none means all that are enabled
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(services))]
    pub(crate) names: Vec<String>,
    /// Until they are ready (the default)
    #[arg(long, group = "until")]
    pub(crate) ready: bool,
    /// Until they are ready and their health probe agrees
    #[arg(long, group = "until")]
    pub(crate) healthy: bool,
    /// Until they have stopped
    #[arg(long, group = "until")]
    pub(crate) stopped: bool,
    /// End with the exit code of the main process, 255 if a signal ended it; for one service
    #[arg(long, requires = "stopped", conflicts_with_all = ["ready", "healthy"])]
    pub(crate) exit_status: bool,
}

// Which events to show.
#[derive(Debug, Args)]
pub(crate) struct EventLines {
    /// Services; none means all, and the supervisor itself
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(services))]
    pub(crate) names: Vec<String>,
    /// Last events to begin with [default: 50; with --since all that are known]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<u32>,
    /// Go on with what happens from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only what happened since then (1h, 30d, today, 10:00, '2026-11-22 10:00')
    #[arg(long, value_name = "WHEN", value_parser = moment::read)]
    pub(crate) since: Option<Timestamp>,
    /// Only what happened before then
    #[arg(long, value_name = "WHEN", value_parser = moment::read)]
    pub(crate) until: Option<Timestamp>,
    /// Who changed what, and how it ended; kept for a year
    #[arg(long, conflicts_with = "follow")]
    pub(crate) changes: bool,
    /// How and why runs ended, and what followed; kept for a year
    #[arg(long, conflicts_with_all = ["follow", "changes"])]
    pub(crate) exits: bool,
}

// One service.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// Service
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(services))]
    pub(crate) name: String,
}

// For which shell.
#[derive(Debug, Args)]
pub(crate) struct ForShell {
    /// Shell
    pub(crate) shell: Shell,
}

/// Shells that can be taught our names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// GNU bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}
