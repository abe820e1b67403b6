//! `/api/v4/applications`: instance-wide OAuth applications, for administrators.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    state::{Access, Application, Gitlab, new_secret},
    web,
};

/// Scopes that an application may have.
const SCOPES: [&str; 9] = [
    "api",
    "read_api",
    "read_user",
    "read_repository",
    "write_repository",
    "openid",
    "profile",
    "email",
    "sudo",
];

/// The access of the caller's token, sent by any of the ways that the API takes.
pub(crate) fn caller(gitlab: &Gitlab, headers: &HeaderMap, query: &str) -> Option<Access> {
    let query = web::form(query);
    let bearer = web::text(headers, "authorization")
        .and_then(|value| value.strip_prefix("Bearer ").map(str::trim));
    let token = web::text(headers, "private-token")
        .or(bearer)
        .or_else(|| query.get("private_token").map(String::as_str))
        .or_else(|| query.get("access_token").map(String::as_str))?;
    gitlab.known().tokens.get(token).cloned()
}

/// 401, 403 for a scope that is too small, 403 for a user who is no administrator: in GitLab's
/// order.
fn admin(gitlab: &Gitlab, headers: &HeaderMap, writes: bool) -> Result<(), Box<Response>> {
    let Some(access) = caller(gitlab, headers, "") else {
        return Err(Box::new(web::message(
            StatusCode::UNAUTHORIZED,
            "401 Unauthorized",
        )));
    };
    let enough = |scope: &str| scope == "api" || (scope == "read_api" && !writes);
    if !access.scopes.split(' ').any(enough) {
        let refusal = json!({
            "error": "insufficient_scope",
            "error_description": "The request requires higher privileges than provided by the access token.",
            "scope": "api",
        });
        return Err(Box::new(web::refusal(StatusCode::FORBIDDEN, refusal)));
    }
    if !access.user.admin {
        return Err(Box::new(web::message(
            StatusCode::FORBIDDEN,
            "403 Forbidden",
        )));
    }
    Ok(())
}

/// `GET /api/v4/version`.
pub(crate) async fn version(
    State(gitlab): State<Arc<Gitlab>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    match caller(&gitlab, &headers, &query.unwrap_or_default()) {
        Some(_) => Json(json!({"version": "18.11.0", "revision": "stand-in"})).into_response(),
        None => web::message(StatusCode::UNAUTHORIZED, "401 Unauthorized"),
    }
}

/// `GET /api/v4/applications`.
pub(crate) async fn list(
    State(gitlab): State<Arc<Gitlab>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if let Err(refusal) = admin(&gitlab, &headers, false) {
        return *refusal;
    }
    let all: Vec<Value> = {
        let known = gitlab.known();
        known
            .applications
            .values()
            .map(Application::shown)
            .collect()
    };
    let Some(size) = gitlab.page else {
        return Json(all).into_response();
    };
    let query = web::form(&query.unwrap_or_default());
    let page: usize = web::field(&query, "page").parse().unwrap_or(1).max(1);
    let rows: Vec<&Value> = all.iter().skip((page - 1) * size).take(size).collect();
    let next = if page * size < all.len() {
        (page + 1).to_string()
    } else {
        String::new()
    };
    ([("x-next-page", next)], Json(rows)).into_response()
}

/// `POST /api/v4/applications`.
pub(crate) async fn create(
    State(gitlab): State<Arc<Gitlab>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    if let Err(refusal) = admin(&gitlab, &headers, true) {
        return *refusal;
    }
    let fields = web::body(&headers, &body);
    let missing: Vec<String> = ["name", "redirect_uri", "scopes"]
        .iter()
        .filter(|name| !fields.contains_key(**name))
        .map(|name| format!("{name} is missing"))
        .collect();
    if !missing.is_empty() {
        return web::refusal(
            StatusCode::BAD_REQUEST,
            json!({"error": missing.join(", ")}),
        );
    }
    if let Err(wrong) = checked(web::field(&fields, "redirect_uri"), &fields["scopes"]) {
        return web::refusal(StatusCode::BAD_REQUEST, wrong);
    }
    let mut known = gitlab.known();
    // Like GitLab's API, this API takes no `trusted`: an administrator ticks that in the admin
    // area.
    let application = known.add(Application {
        id: 0,
        uid: String::new(),
        name: fields["name"].clone(),
        secret: String::new(),
        redirect_uri: fields["redirect_uri"].clone(),
        scopes: fields["scopes"].clone(),
        confidential: web::field(&fields, "confidential") != "false",
    });
    gitlab.keep(&known);
    (StatusCode::CREATED, Json(application.shown_with_secret())).into_response()
}

fn checked(redirects: &str, scopes: &str) -> Result<(), Value> {
    let absolute = |uri: &str| {
        let rest = uri
            .strip_prefix("https://")
            .or_else(|| uri.strip_prefix("http://"));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !uri.contains('#'))
    };
    if redirects.trim().is_empty() {
        return Err(json!({"message": {"redirect_uri": ["can't be blank"]}}));
    }
    if !redirects.split_whitespace().all(absolute) {
        return Err(json!({"message": {"redirect_uri": ["must be an absolute URI."]}}));
    }
    if scopes.trim().is_empty() {
        return Err(json!({"error": "scopes is empty"}));
    }
    if !scopes
        .split_whitespace()
        .all(|scope| SCOPES.contains(&scope))
    {
        return Err(json!({"message": {"scopes": ["doesn't match configured on the server."]}}));
    }
    Ok(())
}

/// `DELETE /api/v4/applications/:id`.
pub(crate) async fn remove(
    State(gitlab): State<Arc<Gitlab>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = admin(&gitlab, &headers, true) {
        return *refusal;
    }
    let Ok(id) = id.parse::<u64>() else {
        return web::refusal(StatusCode::BAD_REQUEST, json!({"error": "id is invalid"}));
    };
    let mut known = gitlab.known();
    if known.applications.remove(&id).is_none() {
        return web::message(StatusCode::NOT_FOUND, "404 Application Not Found");
    }
    gitlab.keep(&known);
    StatusCode::NO_CONTENT.into_response()
}

/// `POST /api/v4/applications/:id/renew-secret`.
pub(crate) async fn renew(
    State(gitlab): State<Arc<Gitlab>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if gitlab.old {
        return web::refusal(StatusCode::NOT_FOUND, json!({"error": "404 Not Found"}));
    }
    if let Err(refusal) = admin(&gitlab, &headers, true) {
        return *refusal;
    }
    let mut known = gitlab.known();
    let application = id
        .parse()
        .ok()
        .and_then(|id| known.applications.get_mut(&id));
    let Some(application) = application else {
        return web::message(StatusCode::NOT_FOUND, "404 Application Not Found");
    };
    application.secret = new_secret();
    let shown = application.shown_with_secret();
    gitlab.keep(&known);
    (StatusCode::CREATED, Json(shown)).into_response()
}
