//! Words: how every program of this workspace writes a duration, a size, a signal, a time, a list
//! or a count, and how it reads those that people write.
//!
//! Owner of each form: one file here. The supervisor, `ctl` and the programs beside it call these
//! functions and format none of this themselves, so that `ctl status`, `ctl why`, an event and a
//! log line say the same thing in the same words; `tests/written_once.rs` holds them to it.
//!
//! What is read and what is written have one syntax: a duration that a program prints (`1h30m`) can
//! be pasted into a service file or after `--timeout`.
//!
//! Limits: pure functions, no clock, no locale, no I/O. English only.

mod duration;
mod exit;
mod json;
mod line;
mod list;
pub mod signal;
mod size;
mod time;

pub use duration::{duration, exact_duration, parse_duration, seconds};
pub use exit::{exit_code, in_a_row, killed_by};
pub use json::json_place;
pub use line::one_line;
pub use list::{counted, form, list, list_up_to};
pub use size::{column_size, exact_size, parse_size, size};
pub use time::{
    ago, day, rfc3339_micros, rfc3339_millis, rfc3339_seconds, time, timestamp, utc_seconds,
};
