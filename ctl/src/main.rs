//! Asks: the client of the supervisor. Everything it knows it learns over the control socket, but
//! for `check-config` and the jobs in `mattermost/`, which read the files themselves.

mod acme;
mod alive;
mod change;
mod cli;
mod client;
mod commands;
mod complete;
mod error;
mod examples;
mod failure;
mod https;
mod lines;
mod mattermost;
mod moment;
mod names;
mod not_allowed;
mod output;
mod progress;
mod render;
#[cfg(test)]
mod testing;
mod top;
mod usage;

use std::{ffi::OsString, process::ExitCode};

use crate::output::Output;

fn main() -> ExitCode {
    // A shell asks; this does not come back then.
    complete::answer();
    ExitCode::from(run(
        &std::env::args_os().collect::<Vec<_>>(),
        Output::standard(),
    ))
}

/// Does what the arguments ask and answers the exit code.
fn run(arguments: &[OsString], mut output: Output) -> u8 {
    match usage::parse(arguments) {
        Ok(cli) => commands::run(cli, output),
        Err(usage::Stop::Shown { text, code: 0 }) => output
            .text(&text)
            .map_or_else(|error| error.kind.exit_code(), |()| 0),
        Err(usage::Stop::Shown { text, code }) => {
            output.note(text.trim_end());
            code
        }
        Err(usage::Stop::Error(error)) => {
            output.error(&error);
            error.kind.exit_code()
        }
    }
}
