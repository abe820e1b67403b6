//! Accounts and sessions, stored in the database, and the requests about them.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    http::{Server, refused},
    mail,
};

/// Name of the session's cookie.
const TOKEN: &str = "MMAUTHTOKEN";

/// A person whom GitLab has identified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Name of the person's account in GitLab.
    pub(crate) username: String,
    /// Email address in lower case.
    pub(crate) email: String,
    /// Id of the account in GitLab, which stays when everything else changes.
    pub(crate) auth_data: String,
}

/// An account of this server.
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// Id: 26 letters and digits.
    pub(crate) id: String,
    /// Name that others see.
    pub(crate) username: String,
    /// Email address in lower case.
    pub(crate) email: String,
    /// Service for signing in: `gitlab`, or empty for email.
    pub(crate) auth_service: String,
    /// Roles, separated by blanks.
    pub(crate) roles: String,
}

impl User {
    fn json(&self) -> Value {
        json!({
            "id": self.id, "username": self.username, "email": self.email,
            "auth_service": self.auth_service, "roles": self.roles,
        })
    }
}

/// A new session.
pub(crate) struct Session {
    /// Value of the cookie.
    pub(crate) token: String,
    /// Id of the account.
    pub(crate) user: String,
}

/// `GET /api/v4/users/me`.
pub(crate) async fn me(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    match signed_in(&server, &headers).await {
        Some(user) => Json(user.json()).into_response(),
        None => expired(),
    }
}

/// The account whose session the request carries.
pub(crate) async fn signed_in(server: &Server, headers: &HeaderMap) -> Option<User> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = cookie_of(headers, TOKEN).or(bearer)?;
    server.database.user_of(token).await.unwrap_or_default()
}

/// The answer to a request without a session.
pub(crate) fn expired() -> Response {
    refused(
        StatusCode::UNAUTHORIZED,
        "api.context.session_expired.app_error",
        "Invalid or expired session, please login again.",
    )
}

/// `POST /api/v4/users`: signing up by email.
pub(crate) async fn create(State(server): State<Arc<Server>>, body: String) -> Response {
    if !server.config.flag("EmailSettings", "EnableSignUpWithEmail") {
        return refused(
            StatusCode::NOT_IMPLEMENTED,
            "api.user.create_user.signup_email_disabled.app_error",
            "User sign-up with email is disabled.",
        );
    }
    let asked: Value = serde_json::from_str(&body).unwrap_or_default();
    let word = |key: &str| asked[key].as_str().unwrap_or_default();
    if ["username", "email", "password"].map(word).contains(&"") {
        return refused(
            StatusCode::BAD_REQUEST,
            "api.context.invalid_body_param.app_error",
            "Invalid or missing user in request body.",
        );
    }
    match server
        .database
        .add_user(
            word("username"),
            &word("email").to_lowercase(),
            word("password"),
        )
        .await
    {
        Ok(user) => {
            let address = user.email.clone();
            tokio::spawn(async move { mail::welcome(&server, &address).await });
            (StatusCode::CREATED, Json(user.json())).into_response()
        }
        Err(error) => taken(&server, &error),
    }
}

/// `POST /api/v4/users/login`: signing in with a password. The token of the session is in a header.
pub(crate) async fn login(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let asked: Value = serde_json::from_str(&body).unwrap_or_default();
    let word = |key: &str| asked[key].as_str().unwrap_or_default();
    match server
        .database
        .sign_in(word("login_id"), word("password"))
        .await
    {
        Ok(Some((session, user))) => {
            let cookies = session_cookies(&headers, &session);
            let mut response = ([("token", session.token)], Json(user.json())).into_response();
            for cookie in cookies.iter().filter_map(|it| it.parse().ok()) {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
            response
        }
        Ok(None) => refused(
            StatusCode::UNAUTHORIZED,
            "api.user.login.invalid_credentials_email_username",
            "Enter a valid email or username and/or password.",
        ),
        Err(error) => {
            server.log.error("Unable to sign in", &[("error", &error)]);
            refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                "app.user.get_by_username.app_error",
                "Unable to find an existing account matching your username for this team.",
            )
        }
    }
}

/// `GET /api/v4/users` over the local socket: all accounts.
pub(crate) async fn all(State(server): State<Arc<Server>>) -> Response {
    match server.database.users().await {
        Ok(users) => Json(users.iter().map(User::json).collect::<Vec<_>>()).into_response(),
        Err(error) => {
            server
                .log
                .error("Unable to get the users", &[("error", &error)]);
            let id = "app.user.get_profiles.app_error";
            refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                id,
                "Unable to get the users.",
            )
        }
    }
}

/// `POST /api/v4/users` over the local socket: open to everybody who may open the socket, whatever
/// the settings say.
pub(crate) async fn create_locally(State(server): State<Arc<Server>>, body: String) -> Response {
    let asked: Value = serde_json::from_str(&body).unwrap_or_default();
    let word = |key: &str| asked[key].as_str().unwrap_or_default();
    let (username, email) = (word("username"), word("email").to_lowercase());
    let made = server
        .database
        .add_user(username, &email, word("password"))
        .await;
    let made = match (made, word("roles")) {
        (Ok(user), roles) if !roles.is_empty() => server.database.set_roles(&user.id, roles).await,
        (made, _) => made,
    };
    match made {
        Ok(user) => (StatusCode::CREATED, Json(user.json())).into_response(),
        Err(error) => taken(&server, &error),
    }
}

fn taken(server: &Server, error: &str) -> Response {
    server
        .log
        .error("Unable to create the user", &[("error", error)]);
    refused(
        StatusCode::BAD_REQUEST,
        "app.user.save.email_exists.app_error",
        "An account with that username or email already exists.",
    )
}

/// `GET /api/v4/config/client`: what the login page offers.
pub(crate) async fn client_config(State(server): State<Arc<Server>>) -> Json<Value> {
    let flag = |section: &str, key: &str| server.config.flag(section, key).to_string();
    Json(json!({
        "SiteName": server.config.text("TeamSettings", "SiteName"),
        "SiteURL": server.config.text("ServiceSettings", "SiteURL"),
        "EnableSignUpWithGitLab": flag("GitLabSettings", "Enable"),
        "EnableSignUpWithEmail": flag("EmailSettings", "EnableSignUpWithEmail"),
        "EnableSignInWithEmail": flag("EmailSettings", "EnableSignInWithEmail"),
    }))
}

/// A cookie for the whole site; over HTTPS the browser returns the cookie over HTTPS alone.
pub(crate) fn cookie(headers: &HeaderMap, name: &str, value: &str, more: &str) -> String {
    let secure = headers
        .get("x-forwarded-proto")
        .is_some_and(|scheme| scheme == "https");
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/{more}{secure}")
}

/// The cookies of a session that begins.
pub(crate) fn session_cookies(headers: &HeaderMap, session: &Session) -> [String; 2] {
    [
        cookie(headers, TOKEN, &session.token, "; HttpOnly"),
        cookie(headers, "MMUSERID", &session.user, ""),
    ]
}

/// The value of a cookie that the browser has sent.
pub(crate) fn cookie_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let sent = headers.get_all(header::COOKIE).iter();
    let pairs = sent
        .filter_map(|it| it.to_str().ok())
        .flat_map(|line| line.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; MMAUTHTOKEN=t=2".parse().unwrap());
        headers.append(header::COOKIE, "b=3".parse().unwrap());
        assert_eq!(cookie_of(&headers, TOKEN), Some("t=2"));
        assert_eq!(cookie_of(&headers, "b"), Some("3"));
        assert_eq!(cookie_of(&headers, "c"), None);
    }

    #[test]
    fn cookies_are_secure_over_https_alone() {
        let mut headers = HeaderMap::new();
        assert_eq!(cookie(&headers, "a", "1", ""), "a=1; Path=/");
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        assert_eq!(
            cookie(&headers, "a", "1", "; HttpOnly"),
            "a=1; Path=/; HttpOnly; Secure"
        );
    }
}
