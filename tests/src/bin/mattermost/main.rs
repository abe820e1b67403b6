//! A stand-in for the Mattermost server, for tests and for trying things out where there is none.
//!
//! The stand-in keeps the contract between a Mattermost server and the machine it runs on: where
//! its settings come from, how it waits for and uses `PostgreSQL`, when it is ready, what its
//! health checks say, how it stops. The stand-in copies the bad habits too: it persists its
//! configuration at the first start even when everything comes by environment, ignores misspelled
//! settings, notices a port in use only after the database work is done, says that it is well while
//! its database is gone, takes up to 15 s to stop when it has just started, and dies of SIGHUP.
//!
//! Environment variables named `STANDIN_…` ask for misbehaviour; see [`moods`]. The stand-in is not
//! a chat: there are users, who sign up by email or sign on with GitLab, messages and files, one
//! plugin that does nothing, and no teams or channels.

mod accounts;
mod batching;
mod config;
mod database;
mod env;
mod files;
mod http;
mod lifecycle;
mod log;
mod mail;
mod message;
mod migrations;
mod moods;
mod notify;
mod oauth;
mod plugins;
mod posts;
mod provider;
mod ranges;
mod release;
mod schema;
mod signals;
mod smtp;
mod users;
mod websocket;

use std::{path::PathBuf, process::ExitCode};

use clap::{
    Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// The command line of the real server, as far as a supervisor uses it.
#[derive(Parser)]
#[command(name = "mattermost", about = "A stand-in for the Mattermost server")]
struct Arguments {
    /// Configuration file to use.
    #[arg(short, long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server (the default).
    Server,
    /// Print the version.
    Version,
    /// Work on the database.
    Db {
        #[command(subcommand)]
        command: DbCommand,
    },
}

#[derive(Subcommand)]
enum DbCommand {
    /// Apply the migrations that are missing.
    Migrate,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // The real server's words, by which a caller learns whether the server knows an option.
            if let Some(ContextValue::String(flag)) = error
                .get(ContextKind::InvalidArg)
                .filter(|_| error.kind() == ErrorKind::UnknownArgument)
            {
                eprintln!("Error: unknown flag: {flag}");
                return ExitCode::FAILURE;
            }
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match arguments.command.unwrap_or(Command::Server) {
        Command::Version => {
            print_version();
            ExitCode::SUCCESS
        }
        Command::Server => lifecycle::serve(arguments.config),
        Command::Db {
            command: DbCommand::Migrate,
        } => lifecycle::migrate(arguments.config),
    }
}

/// Prints the version as the real server does, without reading configuration or database.
fn print_version() {
    println!("Version: {}", release::version());
    println!("Build Number: standin");
    println!("Build Date: none");
    println!("Build Hash: none");
    println!("Build Enterprise Ready: false");
    println!("DB Version: {}", migrations::newest());
    println!("Stand-in: not a real Mattermost server");
}
