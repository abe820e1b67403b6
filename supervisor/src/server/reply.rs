//! Answers: JSON with its length, and errors as [`ErrorReply`] with a fitting status.

use api::{ErrorKind, ErrorReply};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// Hint for a user without a role.
pub(super) const NO_ROLE_HINT: &str = "use sudo, or have an administrator add this user to the \
    group that control.admin_group or control.viewer_group names";

/// An error on its way to the client.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    error: ErrorReply,
}

impl Failure {
    /// With the status that goes with its kind.
    pub(super) fn new(
        kind: ErrorKind,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::from(ErrorReply {
            kind,
            message: message.into(),
            hint: Some(hint.into()),
        })
    }

    /// The client asked in a way that means nothing.
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message, hint)
    }

    /// With another status than that of its kind.
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl From<ErrorReply> for Failure {
    fn from(error: ErrorReply) -> Self {
        let status = match error.kind {
            ErrorKind::Usage => StatusCode::BAD_REQUEST,
            ErrorKind::UnknownService => StatusCode::NOT_FOUND,
            ErrorKind::NotAllowed => StatusCode::FORBIDDEN,
            ErrorKind::Refused | ErrorKind::JobRuns | ErrorKind::Leased => StatusCode::CONFLICT,
            ErrorKind::Configuration => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Busy => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, error }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        json_with(self.status, &self.error)
    }
}

/// 200 with this as JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    json_with(StatusCode::OK, value)
}

fn json_with(status: StatusCode, value: &impl Serialize) -> Response {
    let (status, mut body) = match serde_json::to_vec(value) {
        Ok(body) => (status, body),
        Err(err) => {
            tracing::error!("cannot write an answer as JSON: {err}");
            let body = br#"{"kind":"internal","message":"cannot write the answer as JSON"}"#;
            (StatusCode::INTERNAL_SERVER_ERROR, body.to_vec())
        }
    };
    body.push(b'\n');
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// The whole answer to a client too many, which is not served.
pub(super) fn too_many() -> String {
    not_served(
        "503 Service Unavailable",
        &ErrorReply {
            kind: ErrorKind::Busy,
            message: "too many clients are connected to the supervisor".to_owned(),
            hint: Some(
                "try again, or end some: `ctl logs -f` and `ctl events -f` hold a connection each"
                    .to_owned(),
            ),
        },
    )
}

/// The whole answer to a client without a role, which is not served. No name is looked up for it.
pub(super) fn no_role(uid: u32) -> String {
    not_served(
        "403 Forbidden",
        &ErrorReply {
            kind: ErrorKind::NotAllowed,
            message: format!("uid {uid} may not use this supervisor"),
            hint: Some(NO_ROLE_HINT.to_owned()),
        },
    )
}

fn not_served(status: &str, error: &ErrorReply) -> String {
    let body = serde_json::to_string(error).unwrap_or_default();
    let length = body.len() + 1;
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}\n"
    )
}
