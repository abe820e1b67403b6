//! `GET /metrics`: everything countable, as `OpenMetrics` 1.0 text.
//!
//! Written by hand: it is one text of lines, all of it made anew for each scrape, and nothing is
//! kept between two. `exposition.rs` writes a line; the others are families by what they are about.
//! What `/proc` has to be asked for is asked on a blocking thread.

mod daemon;
mod exposition;
mod services;
mod work;

use api::ErrorKind;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use exposition::Text;

use super::{
    extract::{NoParams, Params},
    handler::{Answer, Loop},
    reply::Failure,
};
use crate::{
    ask::Ask,
    host::{self, Host, ProcessUsage},
};

/// Media type of the text.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Gathers and answers.
pub(super) async fn answer(State(shared): Loop, Params(NoParams {}): Params<NoParams>) -> Answer {
    let scrape = shared.ask(|reply| Ask::Scrape { reply }).await??;
    let usage = shared.usage(&scrape.status, false).await;
    let daemon = &scrape.status.supervisor;
    let pids = [daemon.keeper_pid, daemon.pid];
    let looked = tokio::task::spawn_blocking(move || (Host::look(), host::processes(pids)));
    let (host, [keeper, control]) = looked.await.map_err(|error| unseen(&error))?;
    let own: [(&str, Option<ProcessUsage>); 2] = [("keeper", keeper), ("control", control)];

    let mut text = Text::default();
    daemon::own(&mut text, &scrape);
    daemon::processes(&mut text, &own);
    daemon::host(&mut text, &host);
    services::states(&mut text, &scrape.status.services);
    work::schedules(&mut text, &scrape.schedules);
    services::counts(&mut text, &scrape.tallies);
    services::probes(&mut text, &scrape.tallies);
    work::jobs(&mut text, &scrape);
    services::logs(&mut text, &scrape);
    services::used(&mut text, &usage);
    let mut response = Response::new(Body::from(text.end()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    Ok(response)
}

fn unseen(error: &tokio::task::JoinError) -> Failure {
    tracing::error!("cannot see what the host has: {error}");
    Failure::new(
        ErrorKind::Internal,
        "cannot see what the host has",
        "the supervisor's log says why",
    )
}
