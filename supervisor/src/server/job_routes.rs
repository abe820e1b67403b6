//! Work of jobs, and what they keep stopped.

use api::{JobRequest, LeaseRequest, ReleaseRequest};
use axum::{Extension, extract::State};

use super::{
    input::{JsonBody, NoParams, Params, Segments, check_count, check_id},
    routes::{Answer, Caller, Loop, fresh_id},
    stream::ndjson,
};
use crate::ask::Ask;

/// `POST /v1/jobs/{name}`.
pub(super) async fn ask(
    State(shared): Loop,
    Extension(peer): Caller,
    Segments(service): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
    JsonBody(request): JsonBody<JobRequest>,
) -> Answer {
    check_id(&request.id)?;
    let peer = shared.peer(peer.uid).await;
    let ask = |reply| Ask::Job {
        service,
        request,
        peer,
        reply,
    };
    Ok(ndjson(shared.ask(ask).await??))
}

/// `POST /v1/leases`.
pub(super) async fn lease(
    State(shared): Loop,
    Extension(peer): Caller,
    Params(NoParams {}): Params<NoParams>,
    JsonBody(request): JsonBody<LeaseRequest>,
) -> Answer {
    let id = request.id.clone().unwrap_or_else(fresh_id);
    check_id(&id)?;
    check_count(&request.services)?;
    let peer = shared.peer(peer.uid).await;
    let ask = |reply| Ask::Lease {
        id,
        request,
        peer,
        reply,
    };
    Ok(ndjson(shared.ask(ask).await??))
}

/// `DELETE /v1/leases`.
pub(super) async fn release(
    State(shared): Loop,
    Extension(peer): Caller,
    Params(NoParams {}): Params<NoParams>,
    JsonBody(request): JsonBody<ReleaseRequest>,
) -> Answer {
    let id = request.id.clone().unwrap_or_else(fresh_id);
    check_id(&id)?;
    let peer = shared.peer(peer.uid).await;
    let ask = |reply| Ask::Release {
        id,
        request,
        peer,
        reply,
    };
    Ok(ndjson(shared.ask(ask).await??))
}
