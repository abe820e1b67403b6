//! `/api/v4/websocket`: says hello, then sends each message back and stores text in the database.

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

/// Answers the upgrade; a page of another site gets 403 and a plain request 400, as from the real
/// server.
pub(crate) async fn upgrade(State(server): State<Arc<Server>>, mut request: Request) -> Response {
    if !same_origin(request.headers()) {
        return (StatusCode::FORBIDDEN, "request origin not allowed\n").into_response();
    }
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

/// Whether the browser's page is from the host that the browser asks; programs send no origin.
fn same_origin(headers: &HeaderMap) -> bool {
    let word = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = word(header::ORIGIN) else {
        return true;
    };
    let page = origin.split_once("://").map(|(_, host)| host);
    page.zip(word(header::HOST))
        .is_some_and(|(page, host)| page.eq_ignore_ascii_case(host))
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
    let hello = serde_json::json!({"event": "hello", "data": {"server_version": crate::release::version()}, "seq": 0});
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_site_is_refused() {
        for (origin, host, allowed) in [
            (None, "chat.example.com", true),
            (Some("https://chat.example.com"), "chat.example.com", true),
            (
                Some("http://chat.example.com:81"),
                "Chat.example.com:81",
                true,
            ),
            (Some("https://chat.example.com"), "127.0.0.1:8065", false),
            (Some("null"), "chat.example.com", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(same_origin(&headers), allowed, "{origin:?} {host}");
        }
    }
}
