//! The table of paths, and what is said to a client that asks for one that is not there.
//!
//! The crate `api` documents the same table; a test holds this one to the router.

use axum::http::{Method, StatusCode, Uri};

use super::reply::Failure;

/// A path that is longer is not compared with the routes: that takes time by the product of the
/// lengths, and no route is nearly that long.
const COMPARED_MAX: usize = 256;

/// All routes; a segment in braces stands for any text.
pub(super) const ROUTES: &[(Method, &str)] = &[
    (Method::GET, "/v1/services"),
    (Method::POST, "/v1/services"),
    (Method::GET, "/v1/services/{name}"),
    (Method::POST, "/v1/services/{name}/{action}"),
    (Method::POST, "/v1/services/{name}/signal/{signal}"),
    (Method::POST, "/v1/jobs/{name}"),
    (Method::POST, "/v1/leases"),
    (Method::DELETE, "/v1/leases"),
    (Method::GET, "/v1/changes"),
    (Method::GET, "/v1/changes/{id}"),
    (Method::GET, "/v1/exits"),
    (Method::GET, "/v1/events"),
    (Method::GET, "/v1/logs"),
    (Method::POST, "/v1/logs/rotate"),
    (Method::GET, "/v1/why/{name}"),
    (Method::GET, "/v1/check"),
    (Method::GET, "/v1/plan"),
    (Method::GET, "/v1/tools"),
    (Method::GET, "/v1/diff"),
    (Method::POST, "/v1/reconfigure"),
    (Method::POST, "/v1/reexec"),
    (Method::GET, "/v1/maintenance"),
    (Method::PUT, "/v1/maintenance"),
    (Method::DELETE, "/v1/maintenance"),
    (Method::GET, "/v1/openapi.json"),
    (Method::GET, "/metrics"),
    (Method::GET, "/healthz"),
    (Method::GET, "/readyz"),
];

/// Answer for a path without a route.
pub(super) async fn unknown_path(method: Method, uri: Uri) -> Failure {
    let path = uri.path();
    let hint = match nearest(path) {
        Some((method, route)) => format!("did you mean {method} {route}?"),
        None => "GET /v1/services lists the services".to_owned(),
    };
    Failure::usage(format!("there is nothing at {method} {path}"), hint)
        .with_status(StatusCode::NOT_FOUND)
}

/// Something has this path, but not this method.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> Failure {
    let path = uri.path();
    let right: Vec<String> = ROUTES
        .iter()
        .filter(|(_, route)| filled(route, path) == path)
        .map(|(method, route)| format!("{method} {route}"))
        .collect();
    Failure::usage(
        format!("{path} cannot be asked with {method}"),
        format!("use {}", right.join(" or ")),
    )
    .with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// The route that looks most like this path, if any does.
fn nearest(path: &str) -> Option<(&'static Method, &'static str)> {
    if path.len() > COMPARED_MAX {
        return None;
    }
    ROUTES
        .iter()
        .map(|(method, route)| {
            (
                strsim::damerau_levenshtein(path, &filled(route, path)),
                method,
                *route,
            )
        })
        .filter(|(distance, _, route)| *distance * 2 <= route.len())
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, method, route)| (method, route))
}

/// The route with this path's parts in place of its own variable ones.
fn filled(route: &str, path: &str) -> String {
    let mut parts = path.split('/');
    let filled: Vec<&str> = route
        .split('/')
        .map(|part| match parts.next() {
            Some(given) if part.starts_with('{') && !given.is_empty() => given,
            _ => part,
        })
        .collect();
    filled.join("/")
}

/// A service is there, but not this action.
pub(super) fn unknown_action(name: &str, action: &str) -> Failure {
    let known = ["start", "stop", "restart", "reload", "signal/HUP"];
    let near = known
        .iter()
        .min_by_key(|it| strsim::damerau_levenshtein(it, action))
        .filter(|it| action.len() < 32 && strsim::damerau_levenshtein(it, action) <= 3);
    let hint = match near {
        Some(near) => format!("did you mean POST /v1/services/{name}/{near}?"),
        None => format!("there are {}", known.join(", ")),
    };
    Failure::usage(format!("there is no action `{action}`"), hint)
        .with_status(StatusCode::NOT_FOUND)
}
