//! `/api/v4/websocket`: says hello, then sends back what it gets and keeps it in the database.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use crate::http::Server;

/// Answers the upgrade, or says 400 as the real server does to a plain request.
pub(crate) async fn upgrade(State(server): State<Arc<Server>>, mut request: Request) -> Response {
    let Some(accept) = accept_key(request.headers()) else {
        return (
            StatusCode::BAD_REQUEST,
            "not a websocket handshake: connection upgrade needed\n",
        )
            .into_response();
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            let stream = TokioIo::new(upgraded);
            let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
            echo(&server, socket).await;
        }
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty());
    response.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn accept_key(headers: &HeaderMap) -> Option<String> {
    let upgrade = headers.get(header::UPGRADE)?.to_str().ok()?;
    let connection = headers.get(header::CONNECTION)?.to_str().ok()?;
    let wanted = upgrade.eq_ignore_ascii_case("websocket")
        && connection.to_ascii_lowercase().contains("upgrade");
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    wanted.then(|| derive_accept_key(key.as_bytes()))
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn echo(server: &Server, mut socket: Socket) {
    let hello =
        serde_json::json!({"event": "hello", "data": {"server_version": crate::VERSION}, "seq": 0});
    if socket.send(Message::text(hello.to_string())).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = &message {
            // An echo does not fail because the database is away.
            let _ = server.database.keep_frame(text.as_str()).await;
        }
        let answer = matches!(message, Message::Text(_) | Message::Binary(_));
        if answer && socket.send(message).await.is_err() {
            return;
        }
    }
}
