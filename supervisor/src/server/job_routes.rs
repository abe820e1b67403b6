//! Work of jobs, and what they keep stopped.

use api::{JobRequest, LeaseRequest, ReleaseRequest};
use axum::{Extension, extract::State};

use super::{
    Shared,
    access::Credentials,
    extract::{JsonBody, NoParams, Params, Segments, check_count, check_id},
    handler::{Answer, Caller, Loop, fresh_id},
    stream::ndjson,
};
use crate::ask::{Ask, Wish};

/// `POST /v1/jobs/{name}`.
pub(super) async fn work(
    State(shared): Loop,
    Extension(peer): Caller,
    Segments(service): Segments<String>,
    Params(NoParams {}): Params<NoParams>,
    JsonBody(request): JsonBody<JobRequest>,
) -> Answer {
    let id = request.id.clone();
    send(&shared, &peer, id, Wish::Work(service, request)).await
}

/// `POST /v1/leases`.
pub(super) async fn lease(
    State(shared): Loop,
    Extension(peer): Caller,
    Params(NoParams {}): Params<NoParams>,
    JsonBody(request): JsonBody<LeaseRequest>,
) -> Answer {
    check_count(&request.services)?;
    let id = request.id.clone().unwrap_or_else(fresh_id);
    send(&shared, &peer, id, Wish::Lease(request)).await
}

/// `DELETE /v1/leases`.
pub(super) async fn release(
    State(shared): Loop,
    Extension(peer): Caller,
    Params(NoParams {}): Params<NoParams>,
    JsonBody(request): JsonBody<ReleaseRequest>,
) -> Answer {
    let id = request.id.clone().unwrap_or_else(fresh_id);
    send(&shared, &peer, id, Wish::Release(request)).await
}

async fn send(shared: &Shared, peer: &Credentials, id: String, wish: Wish) -> Answer {
    check_id(&id)?;
    let peer = shared.peer(peer.uid).await;
    let ask = |reply| Ask::Work {
        id,
        wish,
        peer,
        reply,
    };
    Ok(ndjson(shared.ask(ask).await??))
}
