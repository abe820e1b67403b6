//! Parts of a request: path, query, body. Every mistake is an error that names the mistake; unknown
//! fields are mistakes.

use std::sync::Arc;

use api::{ActionRequest, JobRequest, LeaseRequest, MaintenanceRequest, ReleaseRequest};
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, header, request::Parts},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, de::DeserializeOwned};

use super::{Shared, reply::Failure};

/// An id of a change may not be longer, in bytes.
const ID_BYTES_MAX: usize = 128;

/// Variable parts of the path.
pub(super) struct Segments<T>(pub(super) T);

/// The query.
pub(super) struct Params<T>(pub(super) T);

/// A type that a JSON body may be parsed as.
pub(super) trait Readable: DeserializeOwned {
    /// An example body, for the error message.
    const EXAMPLE: &'static str;
}

impl Readable for ActionRequest {
    const EXAMPLE: &'static str =
        "{\"id\":\"…\",\"action\":\"restart\",\"services\":[\"NAME\"],\"wait\":true}";
}

impl Readable for JobRequest {
    const EXAMPLE: &'static str = "{\"id\":\"…\",\"arguments\":{},\"wait\":true}";
}

impl Readable for LeaseRequest {
    const EXAMPLE: &'static str = "{\"job\":\"NAME\",\"services\":[\"NAME\"]}";
}

impl Readable for ReleaseRequest {
    const EXAMPLE: &'static str = "{\"job\":\"NAME\"}";
}

impl Readable for MaintenanceRequest {
    const EXAMPLE: &'static str = "{\"message\":\"back at ten\"}";
}

/// A JSON body.
pub(super) struct JsonBody<T>(pub(super) T);

/// No body.
pub(super) struct NoBody;

/// The query of a request that takes none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParams {}

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Shared>> for Segments<T> {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, Self::Rejection> {
        match Path::from_request_parts(parts, shared).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(err) => Err(Failure::usage(
                format!("cannot read the path {}: {err}", parts.uri.path()),
                "it has to be UTF-8 with %XX for what is not allowed in a path",
            )),
        }
    }
}

impl<T: DeserializeOwned> FromRequestParts<Arc<Shared>> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        _shared: &Arc<Shared>,
    ) -> Result<Self, Self::Rejection> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(err) => {
                let why = std::error::Error::source(&err).map_or(err.to_string(), <_>::to_string);
                let path = parts.uri.path();
                Err(Failure::usage(
                    format!("cannot read the query of {path}: {why}"),
                    "a query is ?key=value&key=value, with keys that this path knows",
                ))
            }
        }
    }
}

impl<T: Readable> FromRequest<Arc<Shared>> for JsonBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let bytes = read(request, shared).await?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Self(value)),
            Err(err) => Err(Failure::usage(
                format!("cannot read the body as JSON: {err}"),
                format!("a body looks like {}", T::EXAMPLE),
            )),
        }
    }
}

impl FromRequest<Arc<Shared>> for NoBody {
    type Rejection = Failure;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let path = request.uri().path().to_owned();
        if read(request, shared).await?.is_empty() {
            return Ok(Self);
        }
        Err(Failure::usage(
            format!("{path} takes no body"),
            "send what it takes in the query, or use POST /v1/services",
        ))
    }
}

/// The whole body, if it is not too long and comes in time.
async fn read(request: Request, shared: &Shared) -> Result<axum::body::Bytes, Failure> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > api::BODY_BYTES_MAX) {
        return Err(too_long());
    }
    let body: Body = request.into_body();
    let whole = Limited::new(body, api::BODY_BYTES_MAX).collect();
    match tokio::time::timeout(shared.limits.body, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(err)) if err.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(err)) => Err(Failure::usage(
            format!("cannot read the body: {err}"),
            "send it whole, with its length or in chunks",
        )),
        Err(_) => Err(Failure::usage(
            format!(
                "the body did not come within {} s",
                shared.limits.body.as_secs()
            ),
            "send it together with the request",
        )
        .with_status(StatusCode::REQUEST_TIMEOUT)),
    }
}

fn too_long() -> Failure {
    Failure::usage(
        format!("the body is longer than {} bytes", api::BODY_BYTES_MAX),
        "name fewer services, or use a pattern: \"web-*\"",
    )
    .with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

/// An id of a change: something that can be asked for again by its path.
pub(super) fn check_id(id: &str) -> Result<(), Failure> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(allowed) {
        return Ok(());
    }
    Err(Failure::usage(
        "the id of a change is missing or malformed",
        format!("it has 1 to {ID_BYTES_MAX} characters out of a-z A-Z 0-9 - _ ."),
    ))
}

/// Names out of a comma-separated list.
pub(super) fn names(list: &str) -> Result<Vec<String>, Failure> {
    let names: Vec<String> = list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    check_count(&names)?;
    Ok(names)
}

/// Refuses more than [`api::NAMES_MAX`] names.
pub(super) fn check_count(names: &[String]) -> Result<(), Failure> {
    if names.len() <= api::NAMES_MAX {
        return Ok(());
    }
    Err(Failure::usage(
        format!("more than {} names in one request", api::NAMES_MAX),
        "use a pattern: \"web-*\"",
    ))
}
