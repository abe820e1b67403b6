//! `ctl backup prune`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use jiff::Timestamp;
use mattervisor_backup::{Error, configuration::Keep, prune};

use super::{Context, Format, print};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Directory of the backups [default: backup.to of the site file]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Keep the newest so many good ones [default: backup.keep of the site file]
    #[arg(long, value_name = "NUMBER")]
    keep: Option<u32>,
    /// Keep those of the last so many days [default: backup.keep_days of the site file]
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<u32>,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode, Error> {
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
        rule = context.configuration()?.keep;
    }
    let target = context.target(to.as_deref())?;
    let now = Timestamp::now();
    let pruned = if *dry_run {
        prune::prune(&target, rule, now)?
    } else {
        let held = target.hold()?;
        let pruned = prune::prune(held.target(), rule, now)?;
        prune::remove(&held, &pruned)?;
        pruned
    };
    if context.format == Format::Json {
        Context::json(&pruned)?;
        return Ok(ExitCode::SUCCESS);
    }
    let verb = if *dry_run { "would remove" } else { "removed" };
    let mut out = String::new();
    for name in &pruned.remove {
        out += &format!("{verb} {name}\n");
    }
    out += &match (pruned.held_back, pruned.stay.len()) {
        (Some(why), _) => format!("nothing is removed: {}\n", why.words()),
        (None, stay) => format!("{stay} stay\n"),
    };
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}
