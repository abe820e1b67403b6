//! Routes of service logs: lines, rotation.

use api::{ErrorKind, LogQuery, RotateReply};
use axum::{Extension, extract::State};
use serde::Deserialize;

use super::{
    departures,
    extract::{NoBody, Params, names},
    handler::{Answer, Caller, Loop, fresh_id},
    reply::{Failure, json},
    stream::ndjson,
};
use crate::{ask::Ask, logs};

/// Past lines of each service without a number, where nothing else says which.
const LINES_DEFAULT: usize = 10;
/// Past lines of one service that may be asked for by number.
const LINES_MAX: usize = 1_000_000;

/// The lines that are asked for, and with `follow` those to come.
pub(super) async fn lines(State(shared): Loop, Params(query): Params<LogQuery>) -> Answer {
    let wanted = wanted(&query)?;
    let names = names(&query.services)?;
    // Before the places are asked for: nothing falls between.
    let left = if wanted.follow && !names.is_empty() {
        Some(shared.ask(|reply| Ask::Departures { reply }).await?)
    } else {
        None
    };
    let places = shared
        .ask(|reply| Ask::LogPlaces { names, reply })
        .await??;
    let services = places.iter().map(|it| it.service.clone()).collect();
    let query = logs::Query { places, ..wanted };
    match (logs::serve(query), left) {
        (Ok(lines), None) => Ok(ndjson(lines)),
        (Ok(lines), Some(left)) => Ok(ndjson(departures::until_gone(
            shared, lines, services, left,
        ))),
        (Err(why), _) => Err(Failure::new(
            ErrorKind::Busy,
            why,
            "end some `ctl logs` and try again",
        )),
    }
}

/// The query, checked, of no service yet.
fn wanted(query: &LogQuery) -> Result<logs::Query, Failure> {
    let said = query.since.is_some() || query.until.is_some() || query.grep.is_some();
    let lines = match query.lines {
        Some(n) => Some(usize::try_from(n).unwrap_or(usize::MAX)),
        None if said || !query.after.is_empty() => None,
        None => Some(LINES_DEFAULT),
    };
    if let Some(asked) = lines.filter(|n| *n > LINES_MAX) {
        return Err(Failure::usage(
            format!("cannot send {asked} log lines of a service at once"),
            format!("ask for {LINES_MAX} at most, or by time: since and until have no such limit"),
        ));
    }
    if query.follow && query.until.is_some() {
        return Err(Failure::usage(
            "cannot follow and end at a moment",
            "leave out follow, or until",
        ));
    }
    let filter = logs::Filter::new(
        query.since.as_deref(),
        query.until.as_deref(),
        query.grep.as_deref(),
        query.ignore_case,
    )
    .map_err(|why| Failure::usage(why, "as in ?since=2026-11-22T10:00:00Z&grep=error"))?;
    let after = logs::After::parse(&query.after).map_err(|word| {
        Failure::usage(
            format!("`{word}` is no cursor of a log line"),
            "send what came as `cursor`, unchanged",
        )
    })?;
    Ok(logs::Query {
        places: Vec::new(),
        files: query.files,
        lines,
        follow: query.follow,
        filter: filter.into(),
        after,
    })
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct RotateQuery {
    #[serde(default)]
    services: String,
}

/// Has `current` of these services rotated.
pub(super) async fn rotate(
    State(shared): Loop,
    Extension(peer): Caller,
    Params(query): Params<RotateQuery>,
    _: NoBody,
) -> Answer {
    let names = names(&query.services)?;
    let peer = shared.peer(peer.uid).await;
    let ask = |reply| Ask::RotateLogs {
        id: fresh_id(),
        names,
        peer,
        reply,
    };
    let services = shared.ask(ask).await??;
    Ok(json(&RotateReply { services }))
}
