//! `./dev soak`: random kills and faults against the real binaries, and a count of the lines lost,
//! doubled or split and of the processes left behind.
//!
//! A `campaign` makes one site: services that write numbered lines (`line`) and leave processes
//! that try to get away, clients that operate on services of their own (`clients`), a thread that
//! reads /proc all the time (`watch`), and moves (`moves`) with checks between them (`checks`). At
//! its end the campaign stops the daemon and compares the log files with the ledgers (`logs`). All
//! random choices come from one seed; their timing still differs from run to run.
//!
//! [`restores`] strikes backups and restores instead.
//!
//! Each service runs a `soakchild`. A campaign stops and kills only processes that it has started.
//!
//! Limits: nobody can attribute a process that a dead keeper has never seen (a daemon without
//! environment, descriptors and cgroup). The soak itself kills such strays at each death of a
//! keeper.

mod campaign;
mod checks;
mod clients;
mod dice;
mod disk;
mod footprint;
pub mod line;
mod logs;
mod moves;
mod promise;
mod report;
pub mod restores;
mod services;
mod subject;
mod watch;

pub use campaign::{Attack, campaign};
pub use promise::Promise;
pub use report::{Report, Row};
pub use services::Scale;
