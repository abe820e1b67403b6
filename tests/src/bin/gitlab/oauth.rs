//! The `OAuth2` provider: authorization code flow, as GitLab's Doorkeeper does it.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Json,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    applications::caller,
    pages,
    state::{Access, Gitlab, random_hex},
    web::{self, Fields, field},
};

const UNKNOWN_CLIENT: &str = "Client authentication failed due to unknown client, no client authentication \
     included, or unsupported authentication method.";
const BAD_GRANT: &str = "The provided authorization grant is invalid, expired, revoked, does not match the \
     redirection URI used in the authorization request, or was issued to another client.";

/// `GET /oauth/authorize`: sends the browser to the sign-in, or asks the user whether to allow.
pub(crate) async fn ask(
    State(gitlab): State<Arc<Gitlab>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let fields = web::form(&query);
    let (id, mut session) = pages::session(&gitlab, &headers);
    let Some(user) = session.user else {
        session.return_to = Some(format!("/oauth/authorize?{query}"));
        pages::keep(&gitlab, &id, session);
        let to = format!("{}/users/sign_in", web::own_url(&headers));
        return pages::with_cookie(&headers, &id, web::found(&to));
    };
    let answer = match request(&gitlab, &fields) {
        Ok(name) => allow_page(&name, user.name, &session.csrf, &fields),
        Err(refusal) => *refusal,
    };
    pages::with_cookie(&headers, &id, answer)
}

/// Name of the application if the request is in order. The browser is never redirected to a URI
/// that is not the application's.
fn request(gitlab: &Gitlab, fields: &Fields) -> Result<String, Box<Response>> {
    let page = |status, text: &str| {
        Box::new(pages::page(
            status,
            "An error has occurred",
            &pages::escape(text),
        ))
    };
    let known = gitlab.known();
    let Some(application) = known.client(field(fields, "client_id")) else {
        return Err(page(StatusCode::UNAUTHORIZED, UNKNOWN_CLIENT));
    };
    let uri = field(fields, "redirect_uri");
    if !application.redirects_to(uri) {
        return Err(page(
            StatusCode::BAD_REQUEST,
            "The redirect URI included is not valid.",
        ));
    }
    let allowed: Vec<&str> = application.scopes.split_whitespace().collect();
    let mut asked = field(fields, "scope").split_whitespace().peekable();
    let wrong = if field(fields, "response_type") != "code" {
        Some((
            "unsupported_response_type",
            "The authorization server does not support this response type.",
        ))
    } else if asked.peek().is_none() || !asked.all(|scope| allowed.contains(&scope)) {
        Some((
            "invalid_scope",
            "The requested scope is invalid, unknown, or malformed.",
        ))
    } else {
        None
    };
    match wrong {
        None => Ok(application.name.clone()),
        Some((error, description)) => Err(Box::new(web::found(&refused(
            uri,
            fields,
            error,
            description,
        )))),
    }
}

fn refused(uri: &str, fields: &Fields, error: &str, description: &str) -> String {
    let state = field(fields, "state");
    web::with_query(
        uri,
        &[
            ("error", error),
            ("error_description", description),
            ("state", state),
        ],
    )
}

fn allow_page(application: &str, user: &str, csrf: &str, fields: &Fields) -> Response {
    let mut hidden: Vec<(&str, &str)> = vec![("authenticity_token", csrf)];
    for name in [
        "client_id",
        "redirect_uri",
        "state",
        "response_type",
        "scope",
    ] {
        hidden.push((name, field(fields, name)));
    }
    let authorize = pages::form("/oauth/authorize", &hidden, "", "Authorize");
    hidden.push(("_method", "delete"));
    let deny = pages::form("/oauth/authorize", &hidden, "", "Deny");
    let mut body = String::new();
    let application = pages::escape(application);
    let _ = write!(
        body,
        "<p>An application called {application} is requesting access to your GitLab account ({user}).</p>\n{authorize}{deny}"
    );
    pages::page(
        StatusCode::OK,
        &format!("Authorize {application} to use your account?"),
        &body,
    )
}

/// `POST /oauth/authorize`: Authorize or, with `_method=delete`, Deny.
pub(crate) async fn decide(
    State(gitlab): State<Arc<Gitlab>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let fields = web::form(&body);
    let (_, session) = pages::session(&gitlab, &headers);
    if !pages::genuine(&headers, &session, &fields) {
        return pages::forged();
    }
    let Some(user) = session.user else {
        return web::found(&format!("{}/users/sign_in", web::own_url(&headers)));
    };
    if let Err(refusal) = request(&gitlab, &fields) {
        return *refusal;
    }
    let uri = field(&fields, "redirect_uri");
    if field(&fields, "_method") == "delete" {
        let description = "The resource owner or authorization server denied the request.";
        return web::found(&refused(uri, &fields, "access_denied", description));
    }
    let code = gitlab.known().grant(
        field(&fields, "client_id"),
        uri,
        field(&fields, "scope"),
        user,
    );
    let state = field(&fields, "state");
    web::found(&web::with_query(uri, &[("code", &code), ("state", state)]))
}

/// `POST /oauth/token`.
pub(crate) async fn token(
    State(gitlab): State<Arc<Gitlab>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let fields = web::body(&headers, &body);
    let wrong = |status, error: &str, description: &str| {
        web::refusal(
            status,
            json!({"error": error, "error_description": description}),
        )
    };
    let mut known = gitlab.known();
    let client = known.client(field(&fields, "client_id"));
    let secret = field(&fields, "client_secret");
    if client.is_none_or(|client| client.confidential && client.secret != secret) {
        return wrong(StatusCode::UNAUTHORIZED, "invalid_client", UNKNOWN_CLIENT);
    }
    if field(&fields, "grant_type") != "authorization_code" {
        let description =
            "The authorization grant type is not supported by the authorization server.";
        return wrong(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            description,
        );
    }
    let grant = known.redeem(field(&fields, "code")).filter(|grant| {
        grant.client == field(&fields, "client_id")
            && grant.redirect_uri == field(&fields, "redirect_uri")
    });
    let Some(grant) = grant else {
        return wrong(StatusCode::BAD_REQUEST, "invalid_grant", BAD_GRANT);
    };
    let token = random_hex(32);
    let access = Access {
        user: grant.user,
        scopes: grant.scope.clone(),
    };
    known.tokens.insert(token.clone(), access);
    gitlab.keep(&known);
    let answer = json!({
        "access_token": token, "token_type": "Bearer", "expires_in": 7200, "refresh_token": random_hex(32),
        "scope": grant.scope, "created_at": now(),
    });
    Json(answer).into_response()
}

fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed();
    since.map_or(0, |since| since.as_secs())
}

/// `GET /api/v4/user`.
pub(crate) async fn user(
    State(gitlab): State<Arc<Gitlab>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(access) = caller(&gitlab, &headers, &query.unwrap_or_default()) else {
        return web::message(StatusCode::UNAUTHORIZED, "401 Unauthorized");
    };
    let readable = ["api", "read_api", "read_user"];
    if !access
        .scopes
        .split(' ')
        .any(|scope| readable.contains(&scope))
    {
        return web::refusal(
            StatusCode::FORBIDDEN,
            json!({"error": "insufficient_scope"}),
        );
    }
    let name = access.user.name;
    let mut user: Value = json!({
        "id": access.user.id, "username": name, "name": name, "state": "active",
        "email": format!("{name}@gitlab.example.com"), "web_url": format!("{}/{name}", web::own_url(&headers)),
    });
    if access.user.admin {
        user["is_admin"] = true.into();
    }
    Json(user).into_response()
}
