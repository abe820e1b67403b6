//! Parses a command line of `ctl` and carries it out. `ctl` itself and the programs that have
//! commands of `ctl` share this code.

use std::{ffi::OsString, fmt::Debug, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{Context, Error, Format, Global, Kind, Output, complete, render::runit};

/// Global options and one command of `C`.
#[derive(Debug, Parser)]
#[command(name = "ctl", bin_name = "ctl", version)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_flag = true
)]
pub struct Cli<C: Subcommand + Debug> {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: C,
}

/// Why a command line runs no command.
#[derive(Debug)]
pub enum Stop {
    /// Help, version, or clap's message about a mistake.
    Shown {
        /// Styled text.
        text: String,
        /// Exit code; 0 for help and version.
        code: u8,
    },
    /// A mistake that this crate explains better than clap.
    Error(Error),
}

impl From<&clap::Error> for Stop {
    fn from(error: &clap::Error) -> Self {
        Self::Shown {
            text: error.render().ansi().to_string(),
            code: u8::try_from(error.exit_code()).unwrap_or(2),
        }
    }
}

impl Stop {
    /// Prints the reason and returns the exit code.
    pub fn told(self, mut output: Output) -> u8 {
        match self {
            Self::Shown { text, code: 0 } => output
                .text(&text)
                .map_or_else(|error| error.kind.exit_code(), |()| 0),
            Self::Shown { text, code } => {
                output.note(text.trim_end());
                code
            }
            Self::Error(error) => {
                output.error(&error);
                error.kind.exit_code()
            }
        }
    }
}

/// The `main` of a program that has commands of `ctl`: answers a completing shell, or does what the
/// arguments ask.
pub fn main<C: Subcommand + Debug>(
    work: impl AsyncFnOnce(&Context, C) -> Result<u8, Error>,
) -> ExitCode {
    complete::answer(Cli::<C>::command);
    let arguments: Vec<OsString> = std::env::args_os().collect();
    ExitCode::from(run(&arguments, Output::standard(), work))
}

/// Does what the arguments ask of a program that has commands of `ctl`, and returns the exit code.
pub fn run<C: Subcommand + Debug>(
    arguments: &[OsString],
    output: Output,
    work: impl AsyncFnOnce(&Context, C) -> Result<u8, Error>,
) -> u8 {
    let read = Cli::<C>::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::<C>::from_arg_matches(&matches));
    match read {
        Ok(Cli { global, command }) => {
            let work = async |context: &Context| work(context, command).await;
            carry_out(global, output, &[], work)
        }
        Err(error) => Stop::from(&error).told(output),
    }
}

/// Does the work of a command and returns the exit code. Only this function prints a failure.
/// `asked_of_sv` names the services that `sv` would have been asked about, for its lines.
pub fn carry_out(
    global: Global,
    output: Output,
    asked_of_sv: &[String],
    work: impl AsyncFnOnce(&Context) -> Result<u8, Error>,
) -> u8 {
    let context = Context::new(global, output);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(work(&context)),
        Err(error) => Err(Error::new(Kind::Failed, format!("cannot begin: {error}"))),
    };
    ended.unwrap_or_else(|error| {
        if context.format == Format::Runit {
            // A failed write is ignored: the exit code still reports the failure.
            let _ = context.print(&runit::failure(error.kind, asked_of_sv));
        }
        context.output.borrow_mut().error(&error);
        error.kind.exit_code()
    })
}
