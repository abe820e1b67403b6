//! Reads log files for clients: last lines, searches, several services merged by time, and what
//! follows; rotated and compressed files and those that programs write themselves are read alike.
//!
//! Owner: one thread for all clients, started with the first. The control thread only hands over a
//! query and passes on what comes out of a bounded channel. A client's turn is bounded in lines and
//! in bytes, so that a search through gigabytes does not hold up those who follow.
//!
//! A client that is slow makes us read later: its lines wait in the files. Only if they are rotated
//! away meanwhile are lines lost, and a marker says so. Limits: [`CLIENTS_MAX`] clients,
//! [`QUEUE_LINES`] lines under way to each, one block of a file in memory per service that is being
//! read, and what the segments say of themselves.

mod await_line;
mod by_time;
mod client;
mod cursor;
mod files;
mod filter;
mod position;
mod program_files;
mod reader;
mod resume;
mod seek;
mod segment;
mod source;
mod stamp;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use api::LogLine;
use keeper::log::MARK;
use tokio::sync::mpsc;

pub(crate) use self::{await_line::await_line, filter::Filter, position::After};
use self::{
    client::Client,
    cursor::Origin,
    reader::Shared,
    seek::Seek,
    source::{Filled, Source},
};
use crate::ask::LogPlace;

/// Clients that are served at the same time.
const CLIENTS_MAX: usize = 64;
/// Lines on their way to a client.
const QUEUE_LINES: usize = 256;

/// A client's selection of lines.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// Directories of the logs.
    pub(crate) places: Vec<LogPlace>,
    /// Include files that the programs write themselves.
    pub(crate) files: bool,
    /// The last so many of the wanted lines of each log; none: all.
    pub(crate) lines: Option<usize>,
    /// Go on with what is written from now on.
    pub(crate) follow: bool,
    /// Which lines are wanted.
    pub(crate) filter: Arc<Filter>,
    /// Behind which lines to begin instead.
    pub(crate) after: After,
}

/// A client's place among [`CLIENTS_MAX`].
#[derive(Debug)]
struct Seat;

static SEATS: AtomicUsize = AtomicUsize::new(0);

impl Seat {
    fn take() -> Option<Seat> {
        let more = |taken| (taken < CLIENTS_MAX).then_some(taken + 1);
        SEATS
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()
            .map(|_| Seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        SEATS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts to read. The stream ends after the last line, or, following, when the receiver is
/// dropped. To be called on a tokio runtime, which watches for clients that leave. The error says
/// why not.
pub(crate) fn serve(query: Query) -> Result<mpsc::Receiver<LogLine>, String> {
    let seat = Seat::take().ok_or_else(|| format!("{CLIENTS_MAX} clients read logs already"))?;
    let shared = shared()?;
    let (sender, receiver) = mpsc::channel(QUEUE_LINES);
    reader::add(shared, Client::new(query, sender, Some(seat)));
    Ok(receiver)
}

/// The thread that reads, started when it is first needed.
fn shared() -> Result<&'static Arc<Shared>, String> {
    static READER: OnceLock<Arc<Shared>> = OnceLock::new();
    if let Some(shared) = READER.get() {
        return Ok(shared);
    }
    match reader::start() {
        // Were two threads started at once, the later one would sleep for ever, unused.
        Ok(shared) => Ok(READER.get_or_init(|| shared)),
        Err(error) => Err(format!("cannot start the thread that reads logs: {error}")),
    }
}

/// The last `n` lines of a service's log, of those before a moment in RFC 3339 if there is one.
/// Reads files: not for the control thread.
pub(crate) fn last_lines(service: &str, dir: &Path, n: usize, until: Option<&str>) -> Vec<LogLine> {
    let origin = Origin::Log(dir.to_owned());
    let filter = Arc::new(Filter::new(None, until, None, false).unwrap_or_default());
    let Ok(seek) = Seek::new(origin.clone(), Some(n), &filter) else {
        return Vec::new();
    };
    let mut source = Source::seeking(service.into(), seek, origin, filter, n);
    let next = || {
        let mut budget = usize::MAX;
        let filled = source.fill(&mut budget);
        source.head.take().filter(|_| filled == Filled::Head)
    };
    let lines = std::iter::from_fn(next).take(n).map(|line| LogLine {
        service: service.to_owned(),
        file: None,
        at: line.at,
        text: line.text,
        marker: line.marker,
        cursor: String::new(),
    });
    lines.collect()
}

/// A line of our own, which is in no file and has no stamp.
pub(crate) fn marker(service: &str, text: &str) -> LogLine {
    LogLine {
        service: service.to_owned(),
        file: None,
        at: String::new(),
        text: format!("{MARK}{text}"),
        marker: true,
        cursor: String::new(),
    }
}
