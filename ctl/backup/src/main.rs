//! `mattervisor-backup`: `ctl backup …`, and the job of the supervisor's that makes backups.

mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run()
}
