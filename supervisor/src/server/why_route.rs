//! The chain of causes: what the control loop knows, with what the files know besides: how the last
//! runs of each service ended, and what was logged last.

use std::{io, path::Path};

use api::{AutomaticRestart, ErrorKind, ExitRecord, LogLine, Why, WhyStep};
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};

use super::{
    extract::{NoParams, Params, Segments},
    handler::{Answer, Loop},
    reply::{Failure, json},
};
use crate::{
    ask::{Ask, Exits, LogPlace},
    history, logs,
};

/// Lines of each service.
const LINES: usize = 10;
/// Lines that are looked through for those before the end of a run.
const LINES_LOOKED_AT: usize = 100;
/// Ends of runs that are shown of each service.
const EXITS_SHOWN: usize = 5;
/// Ends of runs of all services of a chain that are looked through.
const EXITS_LOOKED_AT: usize = 10_000;
/// Older ends are not shown.
const EXITS_AGE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The span in which automatic restarts are counted.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The last words of a run may be written this long after its end.
const LAST_WORDS: SignedDuration = SignedDuration::from_secs(2);

pub(super) async fn why(
    State(shared): Loop,
    Segments(name): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
) -> Answer {
    let why = shared.ask(|reply| Ask::Why { name, reply }).await??;
    let enabled = why.chain.iter().filter(|it| it.service.enabled);
    let names: Vec<String> = enabled.map(|it| it.service.name.clone()).collect();
    // No names would mean all services.
    if names.is_empty() {
        return Ok(json(&why));
    }
    let of = names.clone();
    let exits = shared.ask(|reply| Ask::Exits { names: of, reply }).await?;
    // The causes are worth having without the lines too.
    let places = shared.ask(|reply| Ask::LogPlaces { names, reply }).await?;
    let places = places.unwrap_or_default();
    let read = tokio::task::spawn_blocking(move || from_files(why, exits, &places));
    let why = read.await.map_err(|error| {
        tracing::error!("reading what is known of causes failed: {error}");
        Failure::new(
            ErrorKind::Internal,
            "cannot read how runs ended and what was logged last",
            "the supervisor's log says why",
        )
    })?;
    Ok(json(&why))
}

fn from_files(mut why: Why, exits: Exits, places: &[LogPlace]) -> Why {
    let now = Timestamp::now();
    let names = why.chain.iter().map(|it| it.service.name.clone()).collect();
    let exits = recent(names, exits, now).unwrap_or_else(|error| {
        tracing::error!("cannot read how runs ended: {error}");
        Vec::new()
    });
    for step in &mut why.chain {
        let name = step.service.name.clone();
        let place = places.iter().find(|it| it.service == name);
        if let Some(place) = place.filter(|_| step.root) {
            step.log = logs::last_lines(&name, &place.dir, LINES, None);
        }
        add_exits(step, &exits, now);
        if let (Some(restart), Some(place), false) = (&mut step.restart, place, step.root) {
            restart.log = last_words(&name, &place.dir, &restart.exit.at);
        }
    }
    why
}

fn recent(services: Vec<String>, exits: Exits, now: Timestamp) -> io::Result<Vec<ExitRecord>> {
    let query = history::Query {
        since: stamp(now, EXITS_AGE),
        until: None,
        services,
        count: EXITS_LOOKED_AT,
    };
    history::exits::read(&exits.state_dir, &query, exits.unwritten)
}

/// A time as records have it.
fn stamp(now: Timestamp, ago: SignedDuration) -> Option<String> {
    let then = now.checked_sub(ago).ok()?;
    Some(text::rfc3339_millis(then))
}

fn add_exits(step: &mut WhyStep, exits: &[ExitRecord], now: Timestamp) {
    let own = exits.iter().filter(|it| it.service == step.service.name);
    let own: Vec<&ExitRecord> = own.collect();
    let first = own.len().saturating_sub(EXITS_SHOWN);
    step.exits = own[first..].iter().map(|&it| it.clone()).collect();
    let mut restarts = own.iter().filter(|it| it.is_automatic_restart());
    let day = stamp(now, DAY).unwrap_or_default();
    let lately = restarts.clone().filter(|it| it.at >= day);
    let in_a_day = lately.map(|it| 1 + it.left_out).sum();
    step.restart = restarts.next_back().map(|&exit| AutomaticRestart {
        exit: exit.clone(),
        in_a_day,
        log: Vec::new(),
    });
}

/// The last lines of a run that ended at this moment.
fn last_words(service: &str, dir: &Path, ended_at: &str) -> Vec<LogLine> {
    let until = ended_at.parse::<Timestamp>().ok();
    let until = until.and_then(|at| at.checked_add(LAST_WORDS).ok());
    let until = until.map(|at| at.to_string());
    let mut lines = logs::last_lines(service, dir, LINES_LOOKED_AT, until.as_deref());
    // A mark stands behind the last words of a run; what follows is the next run's.
    let moment = ended_at.trim_end_matches('Z');
    let mark = lines.iter().position(|it| it.marker && *it.at >= *moment);
    lines.truncate(mark.unwrap_or(lines.len()));
    lines.split_off(lines.len().saturating_sub(LINES))
}
