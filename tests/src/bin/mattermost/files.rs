//! `/api/v4/files`: uploads and downloads, stored below `FileSettings.Directory`. No session is
//! needed; a file is the whole body of the request, and its name is in the query.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use serde_json::json;

use crate::{
    http::{Server, refused},
    schema::random_text,
};

/// Length of an id, as Mattermost's own.
const ID_LENGTH: usize = 26;

/// Why an upload is not stored.
enum Trouble {
    TooLarge,
    /// The body ended too soon, or the disk refused.
    Broken(String),
}

/// `POST /api/v4/files?filename=NAME`.
pub(crate) async fn upload(
    State(server): State<Arc<Server>>,
    Query(query): Query<HashMap<String, String>>,
    body: Body,
) -> Response {
    let Some(name) = query.get("filename").filter(|name| !name.is_empty()) else {
        let id = "api.file.upload_file.incorrect_number_of_files.app_error";
        return refused(StatusCode::BAD_REQUEST, id, "Missing the name of the file.");
    };
    let id = random_text(ID_LENGTH);
    match store(&server, &id, body).await {
        Ok(size) => {
            let info = json!({"id": id, "name": name, "size": size});
            (StatusCode::CREATED, Json(json!({"file_infos": [info]}))).into_response()
        }
        Err(Trouble::TooLarge) => refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "api.file.upload_file.too_large_detailed.app_error",
            "Unable to upload file. File is too large.",
        ),
        Err(Trouble::Broken(error)) => {
            let fields = [("error", error.as_str())];
            server.log.error("Unable to write the file.", &fields);
            let id = "api.file.write_file.app_error";
            refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                id,
                "Unable to write the file.",
            )
        }
    }
}

/// `GET /api/v4/files/ID`.
pub(crate) async fn download(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
) -> Response {
    let read = path(&server, &id).and_then(|path| fs::read(path).ok());
    match read {
        Some(bytes) => bytes.into_response(),
        None => refused(
            StatusCode::NOT_FOUND,
            "app.file_info.get.app_error",
            "Unable to get the file.",
        ),
    }
}

/// Writes the body as it comes; removes a file that is not whole.
async fn store(server: &Server, id: &str, body: Body) -> Result<u64, Trouble> {
    let broken = |error: &dyn std::error::Error| Trouble::Broken(error.to_string());
    let path = path(server, id).ok_or_else(|| Trouble::Broken("no such name".to_owned()))?;
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).map_err(|error| broken(&error))?;
    }
    let limit = server.config.all()["FileSettings"]["MaxFileSize"].as_u64();
    let written = write(&path, body, limit.unwrap_or_default()).await;
    if written.is_err() {
        let _ = fs::remove_file(&path);
    }
    written
}

async fn write(path: &FilePath, body: Body, limit: u64) -> Result<u64, Trouble> {
    let broken = |error: &dyn std::error::Error| Trouble::Broken(error.to_string());
    let mut file = File::create(path).map_err(|error| broken(&error))?;
    let mut pieces = body.into_data_stream();
    let mut size = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| broken(&error))?;
        size += piece.len() as u64;
        if size > limit {
            return Err(Trouble::TooLarge);
        }
        file.write_all(&piece).map_err(|error| broken(&error))?;
    }
    Ok(size)
}

/// The path of a file. Ids are letters and digits, so that no id leads elsewhere.
fn path(server: &Server, id: &str) -> Option<PathBuf> {
    let directory = FilePath::new(server.config.text("FileSettings", "Directory"));
    let plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| directory.join("files").join(id))
}
