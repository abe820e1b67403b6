//! The library of `ctl` and of the programs beside it: the command line that they share (`options`,
//! `command_line`), requests over the control socket, errors with exit codes, output and progress.
//!
//! For a big command, `ctl NAME` executes the program that [`programs`] names, with the same
//! arguments. That program parses them by the same definition, so help and errors read `ctl NAME`
//! from either program. This crate stays small, because `ctl` starts for every command: no TLS, no
//! terminal library, no name look-ups.

pub mod accounts;
mod alive;
mod client;
pub mod command_line;
pub mod complete;
mod context;
pub mod error;
mod job_progress;
#[cfg(feature = "testing")]
pub mod man_page;
pub mod ndjson;
mod not_allowed;
pub mod operation;
pub mod options;
pub mod output;
pub mod programs;
pub mod progress;
pub mod render;
pub mod service_query;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time_arg;
pub mod toml_text;
pub mod transport_error;

pub use client::{Client, escaped};
pub use context::{Context, socket};
pub use error::{Error, Kind};
pub use hyper::Method;
pub use options::{Format, Global};
pub use output::Output;
