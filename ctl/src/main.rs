//! `ctl`, the client of the supervisor. Its commands get everything over the control socket, except
//! `check-config`, `env` and, without a supervisor, the tools of services, which read the files.
//! Large commands are programs of their own beside `ctl`.

mod cli;
mod commands;
mod mattermost;
mod parse_args;
mod preview;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod unanswered;

use std::{ffi::OsString, process::ExitCode};

use client::{Output, command_line::Stop, complete};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if complete::asked() {
        // A shell asks for completions: `execute` returns only an error, `answer` never returns.
        let line: Vec<OsString> = complete::line(arguments.iter().cloned()).collect();
        if let Some(program) = parse_args::program(&line) {
            let error = program.execute(&arguments);
            return ExitCode::from(error.kind.exit_code());
        }
        if parse_args::is_past_tool(&line) {
            // Only the tool itself knows its arguments.
            return ExitCode::SUCCESS;
        }
        complete::answer(cli::command);
    }
    ExitCode::from(run(&arguments, Output::standard()))
}

/// Carries out the arguments and returns the exit code.
fn run(arguments: &[OsString], output: Output) -> u8 {
    if let Some(program) = parse_args::program(arguments) {
        let error = program.execute(arguments);
        return Stop::Error(error).told(output);
    }
    match parse_args::parse(arguments) {
        Ok(cli) => commands::run(cli, output),
        Err(stop) => stop.told(output),
    }
}
