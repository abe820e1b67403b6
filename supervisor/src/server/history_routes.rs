//! Routes of past events: the event stream, and the histories of changes and of ends of runs.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{
    Shared,
    extract::{Params, names},
    reply::Failure,
    stream::ndjson,
};
use crate::{
    ask::{Ask, EventFilter, STREAM_LINES_MAX},
    history,
};

/// Past events that may be asked for at once.
const EVENTS_MAX: usize = 10_000;
/// Past events and changes without a number.
const COUNT_DEFAULT: usize = 10;

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct EventQuery {
    #[serde(default)]
    follow: bool,
    n: Option<usize>,
    #[serde(default)]
    services: String,
    since: Option<String>,
    until: Option<String>,
    /// The last event that was seen, which happened at `since`: goes on after it, without a gap or with
    /// a marker.
    after: Option<u64>,
}

pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
    Params(query): Params<EventQuery>,
) -> Result<Response, Failure> {
    let backlog = query.n.unwrap_or(COUNT_DEFAULT);
    check_count("events", backlog, EVENTS_MAX)?;
    let filter = EventFilter {
        since: moment(query.since)?,
        until: moment(query.until)?,
        names: names(&query.services)?,
        after: query.after,
    };
    let follow = query.follow;
    let ask = |reply| Ask::Events {
        backlog,
        follow,
        filter,
        reply,
    };
    Ok(ndjson(shared.ask(ask).await??))
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeQuery {
    n: Option<usize>,
    #[serde(default)]
    services: String,
    since: Option<String>,
    until: Option<String>,
}

impl ChangeQuery {
    /// `what` names the records in an error.
    fn checked(self, what: &str) -> Result<history::Query, Failure> {
        let count = self.n.unwrap_or(COUNT_DEFAULT);
        check_count(what, count, history::RECORDS_MAX)?;
        Ok(history::Query {
            since: moment(self.since)?,
            until: moment(self.until)?,
            services: names(&self.services)?,
            count,
        })
    }
}

/// The files are read beside both threads; the loop only says where they are.
pub(super) async fn changes(
    State(shared): State<Arc<Shared>>,
    Params(query): Params<ChangeQuery>,
) -> Result<Response, Failure> {
    let wanted = query.checked("changes")?;
    let names = wanted.services.clone();
    let (directory, unknown) = shared.ask(|reply| Ask::History { names, reply }).await?;
    let read = tokio::task::spawn_blocking(move || history::read(&directory, &wanted));
    let records = match read.await {
        Ok(Ok(records)) => records,
        Ok(Err(error)) => return Err(unreadable(&error.to_string())),
        Err(error) => return Err(unreadable(&error.to_string())),
    };
    if let (true, Some(unknown)) = (records.is_empty(), unknown) {
        return Err(unknown.into());
    }
    Ok(stream_of(records))
}

/// Ends of runs. Files are read on a blocking thread, as for changes.
pub(super) async fn exits(
    State(shared): State<Arc<Shared>>,
    Params(query): Params<ChangeQuery>,
) -> Result<Response, Failure> {
    let wanted = query.checked("ends of runs")?;
    let names = wanted.services.clone();
    let known = shared.ask(|reply| Ask::Exits { names, reply }).await?;
    let (directory, unwritten) = (known.state_dir, known.unwritten);
    let read =
        tokio::task::spawn_blocking(move || history::exits::read(&directory, &wanted, unwritten));
    let records = match read.await {
        Ok(Ok(records)) => records,
        Ok(Err(error)) => return Err(unreadable_exits(&error.to_string())),
        Err(error) => return Err(unreadable_exits(&error.to_string())),
    };
    if let (true, Some(unknown)) = (records.is_empty(), known.unknown) {
        return Err(unknown.into());
    }
    Ok(stream_of(records))
}

fn stream_of<T: Serialize + Send + 'static>(records: Vec<T>) -> Response {
    let (sender, lines) = mpsc::channel(STREAM_LINES_MAX);
    tokio::spawn(async move {
        for record in records {
            if sender.send(record).await.is_err() {
                return;
            }
        }
    });
    ndjson(lines)
}

/// A moment as it stands in events and records: UTC with milliseconds.
fn moment(text: Option<String>) -> Result<Option<String>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let stamp: Timestamp = text.parse().map_err(|_| {
        Failure::usage(
            format!("`{text}` is not a moment"),
            "write it as 2026-11-22T10:00:00Z",
        )
    })?;
    Ok(Some(text::rfc3339_millis(stamp)))
}

fn check_count(what: &str, asked: usize, max: usize) -> Result<(), Failure> {
    if asked <= max {
        return Ok(());
    }
    Err(Failure::usage(
        format!("cannot send {asked} {what} at once"),
        format!("ask for {max} at most, or for a shorter time: since=, until="),
    ))
}

fn unreadable(error: &str) -> Failure {
    Failure::new(
        api::ErrorKind::Internal,
        format!("cannot read the history of changes: {error}"),
        "it is kept under the state directory, in changes/",
    )
}

fn unreadable_exits(error: &str) -> Failure {
    Failure::new(
        api::ErrorKind::Internal,
        format!("cannot read how runs ended: {error}"),
        "it is kept under the state directory, in exits/",
    )
}
