//! The daemon: `mattervisord` is the keeper, `mattervisord control` the control process.
//!
//! The keeper holds every process and decides nothing; the control process decides everything and
//! may die at any moment. Both are this one binary.
//!
//! The modules beside [`control`], which imports them and which they never import:
//!
//! | what for | modules |
//! | --- | --- |
//! | from a command line to a running process | `cli`, `run_modes`, `exit`, `compress`, `deliver` |
//! | clients: the API server, and questions to the control loop | `server`, `peer_stream`, `ask`, `service_query`, `describe`, `metrics_snapshot` |
//! | the plan: read, stored, brought to the disk | `load_plan`, `plan_store`, `staging`, `credentials` |
//! | the state directory | `store`, `history`, `status_files`, `aside` |
//! | the needs of a run before its start | `prepare`, `lookups`, `accounts`, `programs`, `stale_sockets`, `unready` |
//! | addresses and ports | `listening`, `sockets`, `port_owner`, `host_names` |
//! | logs, figures, the clock's zone | `logs`, `usage`, `host`, `timezone` |
//! | threads for work that blocks | `threads` |

mod accounts;
mod aside;
mod ask;
mod cli;
mod compress;
mod control;
mod credentials;
mod deliver;
mod describe;
mod exit;
mod history;
mod host;
mod host_names;
mod listening;
mod load_plan;
mod logs;
mod lookups;
mod metrics_snapshot;
mod peer_stream;
mod plan_store;
mod port_owner;
mod prepare;
mod programs;
mod run_modes;
mod server;
mod service_query;
mod sockets;
mod staging;
mod stale_sockets;
mod status_files;
mod store;
mod threads;
mod timezone;
mod unready;
mod usage;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use cli::{Cli, Command};
use nix::sys::stat::{Mode, umask};

fn main() -> ExitCode {
    // Whatever it was started with: what is made has the mode that is asked for.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let cli = Cli::try_parse().unwrap_or_else(|error| run_modes::refuse(&error));
    match cli.command {
        None => run_modes::keeper(&cli),
        Some(Command::Control) => run_modes::child(&cli, "control", control::run),
        Some(Command::KeeperTrial) => run_modes::keeper_trial(&cli),
        Some(Command::KeeperResume {
            state,
            earlier,
            ref went_back,
        }) => {
            let went_back = went_back.clone();
            let given = keeper::Given {
                state,
                earlier,
                went_back,
            };
            run_modes::keeper_resume(&cli, &given)
        }
        Some(Command::Deliver) => deliver::run(),
        Some(Command::Compress {
            rotated_for_ms,
            ref dirs,
        }) => run_modes::child(&cli, "compress", |_| {
            compress::run(dirs, Duration::from_millis(rotated_for_ms))
        }),
        Some(Command::Check) => run_modes::check(&cli),
        Some(Command::Version) => run_modes::version(),
    }
}
