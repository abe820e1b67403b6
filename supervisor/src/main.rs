//! The daemon: `supervisor` is the keeper, `supervisor control` the control process.
//!
//! The keeper holds every process and decides nothing; the control process decides everything and
//! may die at any moment. Both are this one binary.

mod accounts;
mod applied;
mod aside;
mod ask;
mod cli;
mod compress;
mod configuration;
mod control;
mod credentials;
mod deliver;
mod exit;
mod history;
mod holder;
mod host_names;
mod listening;
mod logs;
mod lookups;
mod peer_stream;
mod prepare;
mod programs;
mod scrape;
mod server;
mod service_query;
mod shown;
mod sockets;
mod staging;
mod stale_sockets;
mod start;
mod status_files;
mod store;
mod text;
mod threads;
mod unready;
mod usage;
mod zone;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};
use nix::sys::stat::{Mode, umask};

fn main() -> ExitCode {
    // Whatever it was started with: what is made has the mode that is asked for.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let cli = Cli::parse();
    match cli.command {
        None => start::keeper(&cli),
        Some(Command::Control) => start::control(&cli),
        Some(Command::Deliver) => deliver::run(),
        Some(Command::Compress {
            rotated_for_ms,
            ref dirs,
        }) => start::compress(&cli, dirs, rotated_for_ms),
        Some(Command::Check) => start::check(&cli),
        Some(Command::Version) => start::version(),
    }
}
