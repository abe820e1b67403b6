//! `ctl backup prune`: removes old backups by the rules of the site file or the command line.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;
use jiff::Timestamp;
use mattervisor_backup::{Error, configuration::Keep, prune};

use super::Session;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Directory of the backups [default: that of the site file]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Number of the newest good backups to keep [default: that of the site file]
    #[arg(long, value_name = "NUMBER")]
    keep: Option<u32>,
    /// Days whose backups are kept, counted back from now [default: that of the site file]
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(here: &Session<'_>, arguments: &Arguments) -> Result<u8, Error> {
    let Arguments {
        to,
        keep,
        keep_days,
        dry_run,
    } = arguments;
    let mut rule = Keep {
        newest: *keep,
        days: *keep_days,
    };
    if rule == Keep::default() {
        rule = here.configuration()?.keep;
    }
    let target = here.target(to.as_deref())?;
    let now = Timestamp::now();
    let pruned = if *dry_run {
        prune::prune(&target, rule, now)?
    } else {
        let held = target.hold()?;
        let pruned = prune::prune(held.target(), rule, now)?;
        prune::remove(&held, &pruned)?;
        pruned
    };
    if here.is_json() {
        here.json(&pruned)?;
        return Ok(0);
    }
    let verb = if *dry_run { "would remove" } else { "removed" };
    let mut out = String::new();
    for name in &pruned.remove {
        let _ = writeln!(out, "{verb} {name}");
    }
    let _ = match (pruned.held_back, pruned.stay.len()) {
        (Some(why), _) => writeln!(out, "nothing is removed: {}", why.words()),
        (None, 1) => writeln!(out, "1 backup stays"),
        (None, stay) => writeln!(out, "{stay} backups stay"),
    };
    here.print(&out);
    Ok(0)
}
