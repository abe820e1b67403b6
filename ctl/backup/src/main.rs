//! `mattervisor-backup`: `ctl backup …`, and the job of the supervisor's that makes backups.

mod commands;

use std::process::ExitCode;

use client::command_line;

fn main() -> ExitCode {
    command_line::main(async |context, command| commands::run(context, command).await)
}
