//! One client connection: its limits, and the check of what its user may do, before any handler.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{Method, Request},
    response::{IntoResponse, Response},
};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{rt::TokioTimer, service::TowerToHyperService};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Shared,
    access::{Credentials, Role},
    reply::{Failure, NO_ROLE_HINT},
    timed_io::TimedIo,
};
use crate::peer_stream::PeerStream;

/// Buffers for bytes of one connection that are read and not parsed, or written and not sent. Each
/// starts small; a head with [`api::NAMES_MAX`] names of usual length in its query fits.
const BUFFER_BYTES: usize = 64 << 10;
/// Header lines of one request.
const HEADERS_MAX: usize = 64;
/// A client that is not served is told why within this time, or its connection closed.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// Serves one connection until it ends, or breaks a limit.
pub(super) async fn run(stream: PeerStream, peer: Credentials, shared: Arc<Shared>, app: Router) {
    let peer = Arc::new(peer);
    let limits = shared.limits;
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (peer, shared, app) = (Arc::clone(&peer), Arc::clone(&shared), app.clone());
        async move {
            if let Err(failure) = permit(&peer, &shared, request.method()).await {
                return Ok::<Response, Infallible>(failure.into_response());
            }
            request.extensions_mut().insert(peer);
            app.call(request).await
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER_BYTES)
        .max_headers(HEADERS_MAX)
        .serve_connection(TimedIo::new(stream, limits.write), service)
        .await;
    if let Err(err) = served {
        tracing::debug!("a control connection ended early: {err}");
    }
}

/// Everybody who may look may `GET`; anything else is a change.
async fn permit(peer: &Credentials, shared: &Shared, method: &Method) -> Result<(), Failure> {
    let role = shared.access.borrow().role(peer);
    let looks = matches!(*method, Method::GET | Method::HEAD);
    let (what, hint) = match role {
        Role::Owner | Role::Admin => return Ok(()),
        Role::Viewer if looks => return Ok(()),
        Role::Viewer => (
            "may look but not change anything",
            "use sudo, or have an administrator add this user to the group that \
             control.admin_group names",
        ),
        Role::None => ("may not use this supervisor", NO_ROLE_HINT),
    };
    let who = shared.names.describe(peer.uid).await;
    Err(Failure::new(
        api::ErrorKind::NotAllowed,
        format!("{who} {what}"),
        hint,
    ))
}

/// Gives a client this answer, whatever it asks, and hangs up. The request is read first, since a
/// client that finds the socket closed while it still writes would not see the answer.
pub(super) async fn refuse(mut stream: PeerStream, answer: String) {
    let told = tokio::time::timeout(REFUSAL_TIME, async {
        let mut head = Vec::with_capacity(1024);
        while !head.windows(4).any(|it| it == b"\r\n\r\n") && head.len() < BUFFER_BYTES {
            if stream.read_buf(&mut head).await? == 0 {
                break;
            }
        }
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    });
    if !matches!(told.await, Ok(Ok(()))) {
        tracing::debug!("a control connection was closed without a word");
    }
}
