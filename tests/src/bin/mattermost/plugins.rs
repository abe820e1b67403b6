//! Plugins, as far as an administrator turns them on: the one of the release archive does nothing
//! here. Which are enabled is in the file of the configuration.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::http::{Server, refused};

/// Id, name and version of each plugin that comes with a release.
const PREPACKAGED: &[(&str, &str, &str)] = &[(
    "com.github.manland.mattermost-plugin-gitlab",
    "GitLab",
    "1.10.0",
)];

/// `GET /api/v4/plugins` over the local socket.
pub(crate) async fn all(State(server): State<Arc<Server>>) -> Response {
    let stored = match server.config.stored() {
        Ok(stored) => stored,
        Err(error) => return failed(&error),
    };
    let (active, inactive): (Vec<_>, Vec<_>) = PREPACKAGED
        .iter()
        .partition(|(id, ..)| state(&stored, id)["Enable"] == true);
    let manifests = |of: Vec<&(&str, &str, &str)>| -> Vec<Value> {
        let manifests = of.into_iter();
        let manifests = manifests
            .map(|(id, name, version)| json!({"id": id, "name": name, "version": version}));
        manifests.collect()
    };
    let answer = json!({ "active": manifests(active), "inactive": manifests(inactive) });
    Json(answer).into_response()
}

/// `POST /api/v4/plugins/{id}/enable` over the local socket.
pub(crate) async fn enable(State(server): State<Arc<Server>>, Path(id): Path<String>) -> Response {
    if !PREPACKAGED.iter().any(|(known, ..)| *known == id) {
        return refused(
            StatusCode::NOT_FOUND,
            "app.plugin.not_installed.app_error",
            "Plugin is not installed.",
        );
    }
    let enabled = server.config.stored().and_then(|mut stored| {
        stored["PluginSettings"]["PluginStates"][&id] = json!({ "Enable": true });
        server.config.store(&stored)
    });
    match enabled {
        Ok(()) => Json(json!({ "status": "OK" })).into_response(),
        Err(error) => failed(&error),
    }
}

fn state<'c>(stored: &'c Value, id: &str) -> &'c Value {
    &stored["PluginSettings"]["PluginStates"][id]
}

fn failed(error: &str) -> Response {
    refused(
        StatusCode::INTERNAL_SERVER_ERROR,
        "app.plugin.config.app_error",
        error,
    )
}
