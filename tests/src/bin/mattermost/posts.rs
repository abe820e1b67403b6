//! `/api/v4/posts`: messages, stored in the database. No session is needed.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    database::{Database, words},
    http::{Server, refused},
    mail, migrations,
    schema::random_text,
};

/// Length of an id, as Mattermost's own.
const ID_LENGTH: usize = 26;

/// `POST /api/v4/posts`.
pub(crate) async fn create(State(server): State<Arc<Server>>, body: String) -> Response {
    let asked: Value = serde_json::from_str(&body).unwrap_or_default();
    let Some(message) = asked["message"].as_str().filter(|it| !it.is_empty()) else {
        let id = "api.context.invalid_body_param.app_error";
        let message = "Invalid or missing post in request body.";
        return refused(StatusCode::BAD_REQUEST, id, message);
    };
    match server.database.add_post(message).await {
        Ok(id) => {
            let (server, text) = (Arc::clone(&server), message.to_owned());
            tokio::spawn(async move { mail::mentioned(&server, &text).await });
            let post = Json(json!({"id": id, "message": message}));
            (StatusCode::CREATED, post).into_response()
        }
        Err(error) => {
            let fields = [("error", error.as_str())];
            server.log.error("Unable to save the Post.", &fields);
            refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                "app.post.save.app_error",
                "Unable to save the Post.",
            )
        }
    }
}

impl Database {
    /// Stores a message as this release's schema has it, and returns the message's id.
    async fn add_post(&self, message: &str) -> Result<String, String> {
        let guard = self.client().await;
        let client = guard.as_ref().ok_or("no connection")?;
        let id = random_text(ID_LENGTH);
        let query = if migrations::carried(migrations::POSTS_ROOTID) {
            "INSERT INTO posts (id, message, rootid) VALUES ($1, $2, '')"
        } else {
            "INSERT INTO posts (id, message) VALUES ($1, $2)"
        };
        let done = client.execute(query, &[&id, &message]).await;
        done.map_err(words)?;
        Ok(id)
    }
}
