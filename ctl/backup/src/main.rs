//! `mattervisor-backup`: the commands `ctl backup …` and `ctl restore …`, and the supervisor's jobs
//! that do their work.

mod commands;

use std::process::ExitCode;

use client::command_line;

fn main() -> ExitCode {
    command_line::main(async |context, command| commands::run(context, command).await)
}
