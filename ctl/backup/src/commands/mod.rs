//! The command line of `mattervisor-backup`: parses the arguments and runs one command.

mod configuration;
mod create;
mod list;
mod prune;
mod restore;
mod verify;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use client::{Context, Error, Format, Kind, render::shown};
use jiff::Timestamp;
use mattervisor_backup::{Stop, configuration::Configuration, job, target::Target};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make, list, verify and prune backups of Mattermost
    #[command(subcommand)]
    Backup(Backup),
    /// Restore a backup, or take the last restore back
    Restore(restore::Arguments),
    /// Do what a job of the supervisor's is asked for
    #[command(hide = true)]
    RestoreJob {
        /// What there is to restore
        configuration: PathBuf,
    },
    /// Finish a restore that was interrupted, if there is one
    #[command(hide = true)]
    Recover {
        /// What there is to restore
        configuration: PathBuf,
    },
    /// Do what a job of the supervisor's is asked for
    #[command(hide = true)]
    Job {
        /// What there is to save
        configuration: PathBuf,
    },
}

/// What to do with backups.
#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Make a backup of database, files and configuration, in one file
    Create(create::Arguments),
    /// List the backups, and what is known of each
    List(Place),
    /// Read every byte of backups, and say whether they are good
    Verify(verify::Arguments),
    /// Remove old backups, and never the last good one
    Prune(prune::Arguments),
}

/// Which directory.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Directory of the backups [default: that of the site file]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// What every command here has at hand.
struct Session<'c> {
    context: &'c Context,
    stop: Stop,
}

/// Does what the arguments ask, and answers the exit code.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Error> {
    if let Command::Backup(Backup::Create(arguments)) = &command {
        return create::run(context, arguments).await;
    }
    if let Command::Recover { configuration } = &command {
        return recover(configuration);
    }
    let stop = Stop::default();
    listen(&stop)
        .map_err(|error| Error::new(Kind::Failed, format!("cannot listen for signals: {error}")))?;
    let here = Session { context, stop };
    let done = match &command {
        Command::Job { configuration } => return Ok(job::run(configuration, here.stop)),
        Command::RestoreJob { configuration } => {
            return Ok(mattervisor_backup::restore::run(configuration, here.stop));
        }
        Command::Restore(arguments) => return restore::run(&here, arguments).await,
        Command::Backup(Backup::Create(_)) | Command::Recover { .. } => return Ok(0),
        Command::Backup(Backup::List(place)) => list::run(&here, place),
        Command::Backup(Backup::Verify(arguments)) => verify::run(&here, arguments),
        Command::Backup(Backup::Prune(arguments)) => prune::run(&here, arguments),
    };
    done.map_err(|error| Error::new(Kind::Failed, error.to_string()))
}

fn recover(configuration: &Path) -> Result<u8, Error> {
    let done = mattervisor_backup::restore::recover(configuration);
    let said = done.map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    if let Some(said) = said {
        eprintln!("mattervisor-backup: {said}");
    }
    Ok(0)
}

/// Signals set the stop flag; the work then removes what is half made.
fn listen(stop: &Stop) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let stop = stop.clone();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                stop.ask();
            }
        })?;
    Ok(())
}

/// A moment for people: RFC 3339, cut to the second.
fn utc(at: &str) -> String {
    at.parse::<Timestamp>()
        .map_or_else(|_| shown(at).into_owned(), text::utc_seconds)
}

impl Session<'_> {
    /// The configuration that the supervisor has rendered.
    fn configuration(&self) -> Result<Configuration, mattervisor_backup::Error> {
        let root = std::path::absolute(&self.context.root)?;
        Configuration::read(&root.join("run/mattervisor/backup/configuration.json"))
    }

    /// The directory of the backups: `to`, or the configured one.
    fn target(&self, to: Option<&Path>) -> Result<Target, mattervisor_backup::Error> {
        match to {
            Some(to) => Target::open(&std::path::absolute(to)?),
            None => Target::open(&self.configuration()?.to),
        }
    }

    /// Whether the output is JSON.
    fn is_json(&self) -> bool {
        self.context.format == Format::Json
    }

    fn json(&self, value: &impl serde::Serialize) -> Result<(), mattervisor_backup::Error> {
        let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
        self.print(&format!("{text}\n"));
        Ok(())
    }

    /// Prints to stdout. A closed stdout is not an error.
    fn print(&self, text: &str) {
        let _ = self.context.print(text);
    }

    fn error(&self, error: &mattervisor_backup::Error) {
        let error = Error::new(Kind::Failed, error.to_string());
        self.context.output.borrow_mut().error(&error);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use client::command_line::Cli;

    use super::Command;

    #[test]
    fn the_man_pages_are_those_of_the_definition() {
        client::man_page::keep_commands(&Cli::<Command>::command());
    }
}
