//! `GET /healthz` and `GET /readyz`, as who watches containers expects them: 200 or 503, a word of
//! text, with `?verbose` a line for each service; JSON for who accepts that.

use api::{ErrorKind, ServiceStatus};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Deserialize;

use super::{
    extract::Params,
    handler::{Answer, Loop},
    reply::{Failure, json},
};
use crate::ask::Ask;

/// Query of both.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct HealthQuery {
    /// A line for each thing that was looked at. Needs no value.
    verbose: Option<String>,
}

/// The loop turns. The empty id is no change's, so this asks for nothing and costs nothing.
pub(super) async fn healthz(
    State(shared): Loop,
    headers: HeaderMap,
    Params(query): Params<HealthQuery>,
) -> Answer {
    let id = String::new();
    shared.ask(|reply| Ask::Outcome { id, reply }).await?;
    if wants_json(&headers) {
        return Ok(json(&serde_json::json!({ "healthy": true })));
    }
    let verbose = query.verbose.is_some();
    let said = "[+]control ok\nhealthz check passed\n";
    let said = if verbose { said } else { "ok\n" };
    Ok(text(StatusCode::OK, said.to_owned()))
}

/// Every service that belongs to this host is up and ready, or has completed; jobs aside.
pub(super) async fn readyz(
    State(shared): Loop,
    headers: HeaderMap,
    Params(query): Params<HealthQuery>,
) -> Answer {
    let names = Vec::new();
    let status = shared.ask(|reply| Ask::Status { names, reply }).await??;
    let enabled: Vec<&ServiceStatus> = status.services.iter().filter(|it| it.enabled).collect();
    // A job that has failed keeps nobody from being served.
    let missing = enabled.iter().filter(|it| !it.ready && it.job.is_none());
    let missing: Vec<&str> = missing.map(|it| it.name.as_str()).collect();
    let list = missing.join(", ");
    let code = match missing.first() {
        Some(first) if wants_json(&headers) => {
            let hint = format!("`ctl why {first}` says why");
            let failure = Failure::new(ErrorKind::Refused, format!("not ready: {list}"), hint);
            return Err(failure.with_status(StatusCode::SERVICE_UNAVAILABLE));
        }
        None if wants_json(&headers) => {
            return Ok(json(&serde_json::json!({ "ready": true })));
        }
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
        None => StatusCode::OK,
    };
    let said = match (query.verbose, code) {
        (Some(_), _) => every_one(&enabled, code == StatusCode::OK),
        (None, StatusCode::OK) => "ok\n".to_owned(),
        (None, _) => format!("not ready: {list}\n"),
    };
    Ok(text(code, said))
}

fn every_one(services: &[&ServiceStatus], passed: bool) -> String {
    let line = |it: &&ServiceStatus| {
        let reason = it.reason.as_deref().unwrap_or(it.state.as_str());
        if it.ready {
            format!("[+]{} ok\n", it.name)
        } else {
            format!("[-]{} failed: {}\n", it.name, reason.replace('\n', " "))
        }
    };
    let end = if passed { "passed" } else { "failed" };
    let lines: String = services.iter().map(line).collect();
    format!("{lines}readyz check {end}\n")
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|it| it.to_str().ok())
        .any(|it| it.contains("application/json"))
}

fn text(status: StatusCode, said: String) -> Response {
    let mut response = Response::new(Body::from(said));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
