//! Reads log files for clients: the last lines, several services merged by time, and what follows.
//!
//! Owner: one thread for all clients, started with the first. The control thread only hands over a
//! query and passes on what comes out of a bounded channel.
//!
//! A client that is slow makes us read later: its lines wait in the files. Only if they are rotated
//! away meanwhile are lines lost, and a marker says so. Limits: [`CLIENTS_MAX`] clients,
//! [`QUEUE_LINES`] lines under way to each, one block of a file in memory per followed service.

mod cursor;
mod files;
mod reader;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use api::LogLine;
use keeper::log::MARK;
use tokio::sync::mpsc;

use self::{cursor::Cursor, reader::Shared};

/// Clients that are served at the same time.
const CLIENTS_MAX: usize = 64;
/// Lines on their way to a client.
const QUEUE_LINES: usize = 256;

/// What a client wants to see.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// Names of services and their log directories.
    pub(crate) services: Vec<(String, PathBuf)>,
    /// Last lines of each service.
    pub(crate) lines: usize,
    /// Go on with what is written from now on.
    pub(crate) follow: bool,
}

/// Starts to read. The stream ends after the last line, or, following, when the receiver is dropped.
/// To be called on a tokio runtime, which watches for clients that leave.
pub(crate) fn serve(query: Query) -> mpsc::Receiver<LogLine> {
    static READER: OnceLock<Arc<Shared>> = OnceLock::new();
    let (sender, receiver) = mpsc::channel(QUEUE_LINES);
    let shared = match READER.get() {
        Some(shared) => shared,
        None => match reader::start() {
            // Were two threads started at once, the later one would sleep for ever, unused.
            Ok(shared) => READER.get_or_init(|| shared),
            Err(error) => {
                let said = marker(
                    "",
                    &format!("cannot start the thread that reads logs: {error}; try again"),
                );
                // There is room for one line in a new channel.
                let _ = sender.try_send(said);
                return receiver;
            }
        },
    };
    reader::add(shared, query, sender);
    receiver
}

/// The last `n` lines of a log as stamp and text. Reads files: not for the control thread.
pub(crate) fn last_lines(dir: &Path, n: usize) -> Vec<(String, String)> {
    let mut cursor = Cursor::before_last(dir, n);
    let lines = std::iter::from_fn(|| cursor.next_line());
    lines.take(n).map(|line| (line.at, line.text)).collect()
}

/// A line of our own, which is in no file and has no stamp.
fn marker(service: &str, text: &str) -> LogLine {
    LogLine {
        service: service.to_owned(),
        file: None,
        at: String::new(),
        text: format!("{MARK}{text}"),
        marker: true,
    }
}
