//! Which path is answered by what: one handler each, which asks the loop one thing.

use std::sync::Arc;

use api::{Action, ActionRequest, ErrorKind};
use axum::{
    Extension, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;

use super::{
    Shared,
    access::Credentials,
    extract::{JsonBody, NoBody, NoParams, Params, Segments, check_count, check_id, names},
    handler::{Answer, Caller, Loop, fresh_id},
    health, history_routes, job_routes as jobs, log_routes,
    maintenance::{begin, end, maintained},
    metrics, openapi,
    paths::{unknown_action, unknown_path, wrong_method},
    reply::{Failure, json},
    stream::ndjson,
    why_route,
};
use crate::ask::{Ask, ReconfigureOptions, ReexecAsked, ReexecOf};

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/services", get(status).post(act))
        .route("/v1/services/{name}", get(status_of_one))
        .route("/v1/services/{name}/{action}", post(act_on_one))
        .route("/v1/services/{name}/signal/{signal}", post(signal_one))
        .route("/v1/jobs/{name}", post(jobs::work))
        .route("/v1/leases", post(jobs::lease).delete(jobs::release))
        .route("/v1/changes", get(history_routes::changes))
        .route("/v1/changes/{id}", get(outcome))
        .route("/v1/exits", get(history_routes::exits))
        .route("/v1/events", get(history_routes::events))
        .route("/v1/logs", get(log_routes::lines))
        .route("/v1/logs/rotate", post(log_routes::rotate))
        .route("/v1/why/{name}", get(why_route::why))
        .route("/v1/check", get(check))
        .route("/v1/plan", get(plan))
        .route("/v1/tools", get(tools))
        .route("/v1/diff", get(diff))
        .route("/v1/reconfigure", post(reconfigure))
        .route("/v1/reexec", post(reexec))
        .route("/v1/maintenance", get(maintained).put(begin).delete(end))
        .route("/v1/openapi.json", get(openapi::document))
        .route("/metrics", get(metrics::answer))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct StatusQuery {
    /// Names and patterns, separated by commas; none means all.
    #[serde(default)]
    services: String,
    /// With `cpu_percent` and `memory_bytes`; may take 0.2 s.
    #[serde(default)]
    usage: bool,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct OneStatusQuery {
    /// With `cpu_percent` and `memory_bytes`; may take 0.2 s.
    #[serde(default)]
    usage: bool,
}

async fn status(State(shared): Loop, Params(query): Params<StatusQuery>) -> Answer {
    let names = names(&query.services)?;
    let mut status = shared.ask(|reply| Ask::Status { names, reply }).await??;
    if query.usage {
        shared.add_usage(&mut status).await;
    }
    Ok(json(&status))
}

async fn status_of_one(
    State(shared): Loop,
    Segments(name): Segments<String>,
    Params(query): Params<OneStatusQuery>,
) -> Answer {
    let names = vec![name.clone()];
    let mut status = shared.ask(|reply| Ask::Status { names, reply }).await??;
    if query.usage {
        shared.add_usage(&mut status).await;
    }
    match status.services.iter().find(|it| it.name == name) {
        Some(service) => Ok(json(service)),
        None => Err(Failure::new(
            ErrorKind::UnknownService,
            format!("no service is named `{name}`"),
            "GET /v1/services lists all",
        )),
    }
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeQuery {
    id: Option<String>,
    #[serde(default = "yes")]
    wait: bool,
}

fn yes() -> bool {
    true
}

async fn act(
    State(shared): Loop,
    Extension(peer): Caller,
    Params(NoParams {}): Params<NoParams>,
    JsonBody(request): JsonBody<ActionRequest>,
) -> Answer {
    send_action(&shared, &peer, request).await
}

async fn act_on_one(
    State(shared): Loop,
    Extension(peer): Caller,
    Segments((name, action)): Segments<(String, String)>,
    Params(query): Params<ChangeQuery>,
    _: NoBody,
) -> Answer {
    let action = match action.as_str() {
        "start" => Action::Start,
        "once" => Action::Once,
        "stop" => Action::Stop,
        "restart" => Action::Restart,
        "reload" => Action::Reload,
        _ => return Err(unknown_action(&name, &action)),
    };
    send_one(&shared, &peer, name, action, query).await
}

async fn signal_one(
    State(shared): Loop,
    Extension(peer): Caller,
    Segments((name, signal)): Segments<(String, String)>,
    Params(query): Params<ChangeQuery>,
    _: NoBody,
) -> Answer {
    send_one(&shared, &peer, name, Action::Signal(signal), query).await
}

async fn send_one(
    shared: &Shared,
    peer: &Credentials,
    name: String,
    action: Action,
    query: ChangeQuery,
) -> Answer {
    let request = ActionRequest {
        id: query.id.unwrap_or_else(fresh_id),
        action,
        services: vec![name],
        except: Vec::new(),
        wait: query.wait,
    };
    send_action(shared, peer, request).await
}

async fn send_action(shared: &Shared, peer: &Credentials, mut request: ActionRequest) -> Answer {
    check_id(&request.id)?;
    check_count(&request.services)?;
    if let Action::Signal(name) = &mut request.action {
        *name = signal_name(name)?;
    }
    let peer = shared.peer(peer.uid).await;
    let act = |reply| Ask::Act {
        request,
        peer,
        reply,
    };
    Ok(ndjson(shared.ask(act).await??))
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct ReconfigureQuery {
    id: Option<String>,
    /// Change nothing; the stream ends with what would be done.
    #[serde(default)]
    dry_run: bool,
    /// Go back to the last configuration that worked, whatever the files say.
    #[serde(default)]
    rollback: bool,
}

async fn reconfigure(
    State(shared): Loop,
    Extension(peer): Caller,
    Params(query): Params<ReconfigureQuery>,
    _: NoBody,
) -> Answer {
    let id = query.id.unwrap_or_else(fresh_id);
    check_id(&id)?;
    let peer = shared.peer(peer.uid).await;
    let wanted = ReconfigureOptions {
        dry_run: query.dry_run,
        rollback: query.rollback,
    };
    let ask = |reply| Ask::Reconfigure {
        id,
        wanted,
        peer,
        reply,
    };
    Ok(ndjson(shared.ask(ask).await??))
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct ReexecQuery {
    id: Option<String>,
    #[serde(default)]
    keeper: bool,
}

async fn reexec(
    State(shared): Loop,
    Extension(peer): Caller,
    Params(query): Params<ReexecQuery>,
    _: NoBody,
) -> Answer {
    let id = query.id.unwrap_or_else(fresh_id);
    check_id(&id)?;
    let peer = shared.peer(peer.uid).await;
    let of = if query.keeper {
        ReexecOf::Keeper
    } else {
        ReexecOf::Control
    };
    let asked = ReexecAsked { of, id, peer };
    let ask = |reply| Ask::Reexec { asked, reply };
    Ok(ndjson(shared.ask(ask).await??))
}

async fn outcome(
    State(shared): Loop,
    Segments(id): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
) -> Answer {
    check_id(&id)?;
    let asked = id.clone();
    let ask = |reply| Ask::Outcome { id: asked, reply };
    match shared.ask(ask).await? {
        Some(outcome) => Ok(json(&outcome)),
        None => Err(Failure::new(
            ErrorKind::Refused,
            format!("no change with the id {id} has arrived"),
            "nothing was done: ask for it again",
        )
        .with_status(StatusCode::NOT_FOUND)),
    }
}

async fn check(State(shared): Loop, Params(NoParams {}): Params<NoParams>) -> Answer {
    let reply = shared.ask(|reply| Ask::Check { reply }).await?;
    Ok(json(&reply))
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct NamesQuery {
    /// Names and patterns, separated by commas; none means all.
    #[serde(default)]
    services: String,
}

async fn plan(State(shared): Loop, Params(query): Params<NamesQuery>) -> Answer {
    let names = names(&query.services)?;
    let plan = shared.ask(|reply| Ask::Plan { names, reply }).await??;
    Ok(json(&plan))
}

async fn tools(State(shared): Loop, Params(NoParams {}): Params<NoParams>) -> Answer {
    let tools = shared.ask(|reply| Ask::Tools { reply }).await?;
    Ok(json(&tools))
}

async fn diff(State(shared): Loop, Params(query): Params<NamesQuery>) -> Answer {
    let names = names(&query.services)?;
    let diff = shared.ask(|reply| Ask::Diff { names, reply }).await??;
    Ok(json(&diff))
}

/// `SIGHUP`, `hup` and `HUP` are `HUP`.
fn signal_name(name: &str) -> Result<String, Failure> {
    match text::signal::number(name) {
        Some(number) => Ok(text::signal::shown(number)),
        None => Err(Failure::usage(
            format!("there is no signal `{name}`"),
            "there are HUP, INT, TERM, KILL, USR1, USR2, QUIT and the others of signal(7)",
        )),
    }
}
