//! Signing on with GitLab: the authorization code flow from Mattermost's side.
//!
//! The server sends the browser to `GitLabSettings.AuthEndpoint` with a state that is bound to a
//! cookie. The server exchanges the code that the browser brings back for a token at
//! `TokenEndpoint`, and asks `UserAPIEndpoint` with this token who the user is. The stand-in does
//! this in every edition, as releases before 11 did.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use form_urlencoded::Serializer;

use crate::{
    http::Server,
    provider::{self, Provider},
    schema::random_text,
    users::{self, Arrival},
};

/// Cookie that binds a state to the browser that began with it.
const COOKIE: &str = "MMOAUTH";
/// How long a sign-on may take, as in the real server.
const STATE_LIFE: Duration = Duration::from_secs(30 * 60);
/// Sign-ons that may be on their way; beyond that, the oldest is forgotten.
const STATES_MAX: usize = 1000;

/// Sign-ons that have begun: each state with its cookie's value. A state serves once.
#[derive(Default)]
pub(crate) struct States(Mutex<HashMap<String, (String, Instant)>>);

impl States {
    fn add(&self, cookie: &str) -> String {
        let state = random_text(64);
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|_, (_, born)| born.elapsed() < STATE_LIFE);
        if states.len() >= STATES_MAX
            && let Some(oldest) = states.iter().min_by_key(|(_, (_, born))| *born)
        {
            let oldest = oldest.0.clone();
            states.remove(&oldest);
        }
        states.insert(state.clone(), (cookie.to_owned(), Instant::now()));
        state
    }

    /// Whether the state is known, not too old and this browser's; spends the state.
    fn take(&self, state: &str, cookie: Option<&str>) -> bool {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((wanted, born)) = states.remove(state) else {
            return false;
        };
        born.elapsed() < STATE_LIFE && cookie == Some(&wanted)
    }
}

/// `GET /oauth/gitlab/login` and `/oauth/gitlab/signup`.
pub(crate) async fn begin(
    State(server): State<Arc<Server>>,
    Path(service): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(provider) = Provider::of(&server.config, &service) else {
        return unsupported();
    };
    let cookie = random_text(32);
    let state = server.states.add(&cookie);
    let mut query = Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &provider.id)
        .append_pair("redirect_uri", &redirect_uri(&server, &service))
        .append_pair("state", &state);
    if !provider.scope.is_empty() {
        query.append_pair("scope", &provider.scope);
    }
    let to = format!("{}?{}", provider.auth_endpoint, query.finish());
    let cookie = users::cookie(&headers, COOKIE, &cookie, "; HttpOnly");
    ([(header::SET_COOKIE, cookie)], found(&to)).into_response()
}

/// `GET /signup/gitlab/complete` and `/login/gitlab/complete`.
pub(crate) async fn complete(
    State(server): State<Arc<Server>>,
    Path(service): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let given = |name: &str| query.get(name).map_or("", String::as_str);
    let failed = |kind: &str| found(&format!("/error?type={kind}&service=Gitlab"));
    if given("error") == "access_denied" {
        return failed("oauth_access_denied");
    }
    if given("code").is_empty() {
        return failed("oauth_missing_code");
    }
    let Some(provider) = Provider::of(&server.config, &service) else {
        return unsupported();
    };
    if !server
        .states
        .take(given("state"), users::cookie_of(&headers, COOKIE))
    {
        return refused(StatusCode::BAD_REQUEST, "Invalid state token.");
    }
    let (code, uri) = (given("code").to_owned(), redirect_uri(&server, &service));
    // The client blocks, and has a time limit of its own.
    let asked = tokio::task::spawn_blocking(move || provider::identify(&provider, &code, &uri));
    let arrival = match asked.await {
        Ok(Ok(arrival)) => arrival,
        Ok(Err(error)) => {
            server
                .log
                .error("Unable to complete OAuth", &[("error", &error.detail)]);
            return refused(StatusCode::INTERNAL_SERVER_ERROR, error.message);
        }
        Err(_) => {
            return refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Unable to complete OAuth.",
            );
        }
    };
    sign_on(&server, &headers, &arrival).await
}

async fn sign_on(server: &Server, headers: &HeaderMap, arrival: &Arrival) -> Response {
    let session = match server.database.sign_on(arrival).await {
        Ok(session) => session,
        Err(error) => {
            server
                .log
                .error("Unable to create the session", &[("error", &error)]);
            return refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Unable to create the session.",
            );
        }
    };
    server
        .log
        .info("User signed on", &[("username", &arrival.username)]);
    let mut answer = found(&format!("{}/", site_url(server)));
    for cookie in users::session_cookies(headers, &session) {
        if let Ok(cookie) = cookie.parse() {
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    answer
}

/// The redirect URI of both signing up and signing in, as with the real server.
fn redirect_uri(server: &Server, service: &str) -> String {
    format!("{}/signup/{service}/complete", site_url(server))
}

fn site_url(server: &Server) -> &str {
    server.config.text("ServiceSettings", "SiteURL")
}

fn found(to: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, to.to_owned())]).into_response()
}

fn unsupported() -> Response {
    refused(
        StatusCode::NOT_IMPLEMENTED,
        "Unsupported OAuth service provider.",
    )
}

/// The page that says why the sign-on failed.
fn refused(status: StatusCode, message: &str) -> Response {
    let text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><title>Error</title></head><body><p>{message}</p></body></html>\n"
    );
    (status, Html(text)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_serves_once_and_its_own_browser_alone() {
        let states = States::default();
        let state = states.add("mine");
        assert!(states.take(&state, Some("mine")));
        assert!(!states.take(&state, Some("mine")), "a second time");
        let state = states.add("mine");
        assert!(!states.take(&state, Some("another's")));
        assert!(!states.take(&state, Some("mine")), "it is spent");
        let state = states.add("mine");
        assert!(!states.take(&state, None));
        assert!(!states.take("never made", Some("mine")));
    }
}
