//! The browser's side: session, sign-in, and the HTML of the pages.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use crate::{
    state::{Gitlab, Session, USERS, random_hex},
    web::{self, Fields},
};

const COOKIE: &str = "_gitlab_session";

/// The session of the browser, and the value of its cookie; a browser without a session gets a new
/// one.
pub(crate) fn session(gitlab: &Gitlab, headers: &HeaderMap) -> (String, Session) {
    let mut known = gitlab.known();
    if let Some(id) = web::cookie(headers, COOKIE)
        && let Some(session) = known.sessions.get(id)
    {
        return (id.to_owned(), session.clone());
    }
    let id = random_hex(16);
    let session = Session {
        csrf: random_hex(32),
        ..Session::default()
    };
    known.sessions.insert(id.clone(), session.clone());
    (id, session)
}

/// Stores a changed session.
pub(crate) fn keep(gitlab: &Gitlab, id: &str, session: Session) {
    gitlab.known().sessions.insert(id.to_owned(), session);
}

/// Gives the answer the session's cookie; over HTTPS the browser returns it over HTTPS alone.
pub(crate) fn with_cookie(headers: &HeaderMap, id: &str, mut answer: Response) -> Response {
    let secure = if web::own_url(headers).starts_with("https:") {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Lax{secure}");
    if let Ok(cookie) = cookie.parse() {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

/// Whether the form came from this server's own page: compares the token and, if the browser sent
/// one, the origin.
pub(crate) fn genuine(headers: &HeaderMap, session: &Session, fields: &Fields) -> bool {
    let origin = web::text(headers, "origin");
    web::field(fields, "authenticity_token") == session.csrf
        && origin.is_none_or(|origin| origin == web::own_url(headers))
}

/// 422, as Rails answers a form from elsewhere.
pub(crate) fn forged() -> Response {
    page(
        StatusCode::UNPROCESSABLE_ENTITY,
        "The change you requested was rejected",
        "",
    )
}

/// A page with a title.
pub(crate) fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} · GitLab</title></head>\n\
         <body><h1>{title}</h1>\n{body}\n<p>This is a stand-in for GitLab.</p></body></html>\n"
    );
    (status, Html(html)).into_response()
}

/// Escapes text for HTML and its attributes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A form with hidden fields and one button.
pub(crate) fn form(action: &str, hidden: &[(&str, &str)], rest: &str, button: &str) -> String {
    use std::fmt::Write as _;
    let mut form = format!("<form action=\"{action}\" method=\"post\">\n");
    for (name, value) in hidden {
        let value = escape(value);
        let _ = writeln!(
            form,
            "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"
        );
    }
    let _ = writeln!(
        form,
        "{rest}<button type=\"submit\">{button}</button>\n</form>"
    );
    form
}

/// `GET /`.
pub(crate) async fn home(State(gitlab): State<Arc<Gitlab>>, headers: HeaderMap) -> Response {
    let (id, session) = session(&gitlab, &headers);
    let answer = match session.user {
        Some(user) => page(StatusCode::OK, "Projects", user.name),
        None => web::found(&format!("{}/users/sign_in", web::own_url(&headers))),
    };
    with_cookie(&headers, &id, answer)
}

/// `GET /users/sign_in`.
pub(crate) async fn sign_in_page(
    State(gitlab): State<Arc<Gitlab>>,
    headers: HeaderMap,
) -> Response {
    let (id, session) = session(&gitlab, &headers);
    with_cookie(
        &headers,
        &id,
        sign_in_form(StatusCode::OK, &session.csrf, ""),
    )
}

fn sign_in_form(status: StatusCode, csrf: &str, complaint: &str) -> Response {
    let inputs = "<input name=\"user[login]\"><input type=\"password\" name=\"user[password]\">\n";
    let form = form(
        "/users/sign_in",
        &[("authenticity_token", csrf)],
        inputs,
        "Sign in",
    );
    page(status, "Sign in", &format!("{complaint}{form}"))
}

/// `POST /users/sign_in`.
pub(crate) async fn sign_in(
    State(gitlab): State<Arc<Gitlab>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let fields = web::form(&body);
    let (id, mut session) = session(&gitlab, &headers);
    if !genuine(&headers, &session, &fields) {
        return forged();
    }
    let user = USERS
        .iter()
        .find(|user| user.name == web::field(&fields, "user[login]"));
    let Some(user) = user.filter(|_| web::field(&fields, "user[password]") == gitlab.password)
    else {
        let answer = sign_in_form(
            StatusCode::UNPROCESSABLE_ENTITY,
            &session.csrf,
            "<p>Invalid login or password.</p>\n",
        );
        return with_cookie(&headers, &id, answer);
    };
    // A new session, as Devise makes it: the old cookie is worth nothing afterwards.
    gitlab.known().sessions.remove(&id);
    let id = random_hex(16);
    let to = session.return_to.take().unwrap_or_else(|| "/".to_owned());
    session.user = Some(*user);
    session.csrf = random_hex(32);
    keep(&gitlab, &id, session);
    let answer = web::found(&format!("{}{to}", web::own_url(&headers)));
    with_cookie(&headers, &id, answer)
}
