//! The command line.

mod list;
mod prune;
mod verify;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use mattervisor_backup::{Error, Stop, configuration::Configuration, job, target::Target};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// Back up Mattermost, and see to the backups that there are
#[derive(Debug, Parser)]
#[command(name = "ctl", bin_name = "ctl", version)]
struct Cli {
    /// Directory that stands before etc/mattervisor and the others [env: MATTERVISOR_ROOT] [default: /]
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    /// How to print: a table for people, or JSON
    #[arg(long, global = true, value_name = "FORMAT", default_value = "table")]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Back up Mattermost, and see to the backups that there are
    #[command(subcommand)]
    Backup(Backup),
    /// Do what a job of the supervisor's is asked for
    #[command(hide = true)]
    Job {
        /// What there is to save
        configuration: PathBuf,
    },
}

/// What to do with backups.
#[derive(Debug, Subcommand)]
enum Backup {
    /// List the backups that there are, and what is known of each
    List(Place),
    /// Read backups as a whole, and say whether they are good
    Verify(verify::Arguments),
    /// Remove old backups, and never the last good one
    Prune(prune::Arguments),
}

/// Which directory.
#[derive(Debug, Args)]
struct Place {
    /// Directory of the backups [default: backup.to of the site file]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// What every command has at hand.
struct Context {
    root: PathBuf,
    format: Format,
    stop: Stop,
}

/// Does what the arguments ask.
pub(crate) fn run() -> ExitCode {
    let Cli {
        root,
        format,
        command,
    } = Cli::parse();
    let variable = std::env::var_os("MATTERVISOR_ROOT").filter(|root| !root.is_empty());
    let root = root
        .or(variable.map(PathBuf::from))
        .unwrap_or_else(|| "/".into());
    let root = std::path::absolute(&root).unwrap_or(root);
    safe_path::trust_root(&root);
    let stop = Stop::default();
    if let Err(error) = listen(&stop) {
        eprintln!("error: cannot listen for signals: {error}");
        return ExitCode::FAILURE;
    }
    let context = Context { root, format, stop };
    let done = match command {
        Command::Job { configuration } => return job::run(&configuration, context.stop),
        Command::Backup(Backup::List(place)) => list::run(&context, &place),
        Command::Backup(Backup::Verify(arguments)) => verify::run(&context, &arguments),
        Command::Backup(Backup::Prune(arguments)) => prune::run(&context, &arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A signal asks to stop: nothing that is half made stays.
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

impl Context {
    /// What the supervisor has rendered.
    fn configuration(&self) -> Result<Configuration, Error> {
        Configuration::read(&self.root.join("run/mattervisor/backup/configuration.json"))
    }

    /// The directory of the backups.
    fn target(&self, to: Option<&Path>) -> Result<Target, Error> {
        match to {
            Some(to) => Target::open(&std::path::absolute(to)?),
            None => Target::open(&self.configuration()?.to),
        }
    }

    fn json(value: &impl serde::Serialize) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
        print(&format!("{text}\n"))
    }
}

/// To stdout. Whoever has closed it does not want to know.
fn print(text: &str) -> Result<(), Error> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
