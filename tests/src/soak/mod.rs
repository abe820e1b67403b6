//! `./dev soak`: kills and faults at random against the real binaries, and what was lost, doubled,
//! split or left by them.
//!
//! A `campaign` makes one site: services that write numbered lines (`line`) and leave processes
//! that try to get away, clients that operate on services of their own (`clients`), somebody who
//! looks at /proc all the time (`watch`), and moves (`moves`) with checks between them (`checks`).
//! At its end the daemon is stopped, and the log files are held against the ledgers (`logs`). All
//! chance comes from one seed; what the machine makes of it differs from run to run.
//!
//! [`restores`] strikes backups and restores instead.
//!
//! The bodies of services are `soakchild`s. Nothing is stopped or killed but what a campaign has
//! started.
//!
//! Limits: what a keeper that died has not seen cannot be attributed by anybody (a daemon without
//! environment, descriptors and cgroup): such strays are ended by the soak itself at each death of
//! a keeper.

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
