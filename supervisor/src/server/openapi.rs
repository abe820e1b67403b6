//! `GET /v1/openapi.json`: the API as programs read it.
//!
//! The file is written by a test from the types and the table of routes, and held to them by it
//! (`tests/openapi.rs`): `UPDATE_OPENAPI=1 cargo test -p supervisor openapi` writes it anew.

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};

use super::{
    extract::{NoParams, Params},
    handler::Answer,
};

/// The document.
pub(super) const DOCUMENT: &str = include_str!("../../api/openapi.json");

/// Answers with the document.
pub(super) async fn document(Params(NoParams {}): Params<NoParams>) -> Answer {
    let mut response = Response::new(Body::from(DOCUMENT));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
