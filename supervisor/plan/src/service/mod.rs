//! TODO

pub(crate) mod account;
pub(crate) mod asserts;
pub(crate) mod build;
pub(crate) mod certificates;
pub(crate) mod credentials;
pub mod cron;
pub(crate) mod env;
pub(crate) mod files;
pub(crate) mod job;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod policy;
pub(crate) mod probes;
pub(crate) mod process;
pub(crate) mod reader;
pub(crate) mod ready;
pub(crate) mod reload;
pub(crate) mod schedule;
pub(crate) mod stale_sockets;
pub(crate) mod status_files;
pub(crate) mod tools;
