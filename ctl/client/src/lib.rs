//! Reaches the supervisor and speaks to people, for `ctl` and the programs beside it: the command line that
//! they share (`options`, `command_line`), requests over the control socket, errors with their exit codes,
//! output, progress.
//!
//! `ctl NAME` of a big command executes the program that [`programs`] names, with the same arguments: that
//! program reads them by the same definition, so help and errors say `ctl NAME` wherever they come from.
//! What is here is small: no TLS, no terminal library, no name look-ups.

pub mod accounts;
mod alive;
mod client;
pub mod command_line;
pub mod complete;
mod context;
pub mod error;
mod job_progress;
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
