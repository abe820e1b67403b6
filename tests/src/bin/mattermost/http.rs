//! Routes and answers of the server, over TCP and over the local-mode socket.

use std::{path::Path, sync::Arc};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Map, Value, json};

use crate::{
    batching::Batches,
    config::Config,
    database::Database,
    files,
    log::Log,
    mail,
    moods::{Mood, Moods},
    oauth::{self, States},
    plugins, posts, users, websocket,
};

/// State that all handlers share.
pub(crate) struct Server {
    /// The settings.
    pub(crate) config: Config,
    /// The database.
    pub(crate) database: Database,
    /// The misbehaviour that was asked for.
    pub(crate) moods: Moods,
    /// The log.
    pub(crate) log: Log,
    /// Sign-ons that have begun.
    pub(crate) states: States,
    /// Notifications that wait.
    pub(crate) batches: Batches,
}

/// Routes of the TCP port, open to everybody.
pub(crate) fn public(server: Arc<Server>) -> Router {
    let config = get(|| async {
        (
            StatusCode::UNAUTHORIZED,
            "Invalid or expired session, please login again.\n",
        )
    });
    let routes = routes()
        .route("/api/v4/users", post(users::create))
        .route("/api/v4/users/login", post(users::login))
        .route("/api/v4/email/test", post(mail::try_out));
    whole(routes.route("/api/v4/config", config), server)
}

/// Routes of the local-mode socket, which needs no login.
pub(crate) fn local(server: Arc<Server>) -> Router {
    let config =
        get(|State(server): State<Arc<Server>>| async move { Json(server.config.all().clone()) });
    let users = get(users::all).post(users::create_locally);
    let routes = routes()
        .route("/api/v4/users", users)
        .route("/api/v4/plugins", get(plugins::all))
        .route("/api/v4/plugins/{id}/enable", post(plugins::enable));
    whole(routes.route("/api/v4/config", config), server)
}

/// Adds the log of requests and the version header to all routes.
fn whole(routes: Router<Arc<Server>>, server: Arc<Server>) -> Router {
    let log = middleware::from_fn_with_state(Arc::clone(&server), log_request);
    routes.layer(log).with_state(server)
}

async fn log_request(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let (method, url) = (request.method().to_string(), request.uri().to_string());
    let mut response = next.run(request).await;
    if let Ok(version) = HeaderValue::from_str(crate::release::version()) {
        response.headers_mut().insert("x-version-id", version);
    }
    let status = response.status();
    let fields = [
        ("method", method.as_str()),
        ("url", &url),
        ("status_code", status.as_str()),
    ];
    server.log.debug("Received HTTP request", &fields);
    response
}

/// An error answer in the server's form.
pub(crate) fn refused(status: StatusCode, id: &str, message: &str) -> Response {
    let body = json!({"id": id, "message": message, "status_code": status.as_u16()});
    (status, Json(body)).into_response()
}

fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/", get(page))
        .route("/api/v4/system/ping", get(ping))
        .route("/api/v4/config/client", get(users::client_config))
        .route("/api/v4/users/me", get(users::me))
        .route("/oauth/{service}/login", get(oauth::begin))
        .route("/oauth/{service}/signup", get(oauth::begin))
        .route("/login/{service}/complete", get(oauth::complete))
        .route("/signup/{service}/complete", get(oauth::complete))
        .route("/api/v4/posts", post(posts::create))
        .route("/api/v4/files", post(files::upload))
        .route("/api/v4/files/{id}", get(files::download))
        .route("/api/v4/websocket", get(websocket::upgrade))
        .route("/api/v4/echo-headers", get(echo_headers).post(echo_headers))
        .fallback(|request: Request| async move {
            (
                StatusCode::NOT_FOUND,
                format!("no such page: {}\n", request.uri().path()),
            )
        })
}

async fn page(State(server): State<Arc<Server>>) -> Html<String> {
    let name = server.config.text("TeamSettings", "SiteName");
    let name = name.replace('&', "&amp;").replace('<', "&lt;");
    let gitlab = if server.config.flag("GitLabSettings", "Enable") {
        "<p><a href=\"/oauth/gitlab/login\">GitLab</a></p>\n"
    } else {
        ""
    };
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}</title></head>\n\
         <body><h1>{name}</h1>\n{gitlab}<p>This is the stand-in for a Mattermost server {version}, not Mattermost itself. \
         It keeps the server's contract with its machine, so that the stack around it can be tried.</p>\n\
         <p>The real one: <a href=\"https://mattermost.com/download/\">mattermost.com/download</a></p>\
         </body></html>\n",
        version = crate::release::version()
    ))
}

/// The handler reads the whole body first: an early answer would break the connection while the
/// client still sends.
async fn echo_headers(headers: HeaderMap, _whole: axum::body::Bytes) -> Json<Value> {
    let mut seen: Map<String, Value> = Map::new();
    for (name, value) in &headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        seen.insert(name.to_string(), value.into());
    }
    Json(seen.into())
}

async fn ping(
    State(server): State<Arc<Server>>,
    Query(query): Query<std::collections::HashMap<String, String>>,
) -> Response {
    let mood = server.moods.now();
    let mut answer = Map::new();
    answer.insert("AndroidLatestVersion".to_owned(), "".into());
    answer.insert("IosLatestVersion".to_owned(), "".into());
    answer.insert("ActiveSearchBackend".to_owned(), "database".into());
    let mut headers = HeaderMap::new();
    let mut well = mood != Mood::Dead;
    if query
        .get("get_server_status")
        .is_some_and(|value| value == "true")
    {
        let database = mood == Mood::Well && server.database.check().await.is_ok();
        let files = files_work(server.config.text("FileSettings", "Directory"));
        for (key, good) in [("database_status", database), ("filestore_status", files)] {
            let word = if good { "OK" } else { "UNHEALTHY" };
            answer.insert(key.to_owned(), word.into());
            headers.insert(
                HeaderName::from_static(key),
                axum::http::HeaderValue::from_static(word),
            );
            well &= good;
        }
    }
    answer.insert(
        "status".to_owned(),
        json!(if well { "OK" } else { "UNHEALTHY" }),
    );
    let rest = query
        .get("use_rest_semantics")
        .is_some_and(|value| value == "true");
    let status = if well || (rest && mood != Mood::Dead) {
        StatusCode::OK
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    (status, headers, Json(Value::Object(answer))).into_response()
}

/// Writes and removes a file where uploads would go.
fn files_work(directory: &str) -> bool {
    let path = Path::new(directory).join(format!("testfile-{}", std::process::id()));
    let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, b"test"));
    written.is_ok() && std::fs::remove_file(&path).is_ok()
}
