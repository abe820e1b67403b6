//! Reads requests (forms, cookies, the server's own address), and makes common answers.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// Fields of a form or query; the last field of a name wins, as in Rails.
pub(crate) type Fields = BTreeMap<String, String>;

/// Reads `a=b&c=d`.
pub(crate) fn form(text: &str) -> Fields {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

/// Reads a body as JSON if its type says so, else as a form.
pub(crate) fn body(headers: &HeaderMap, body: &str) -> Fields {
    let json = text(headers, header::CONTENT_TYPE.as_str())
        .is_some_and(|kind| kind.starts_with("application/json"));
    if !json {
        return form(body);
    }
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    let fields = value.as_object().into_iter().flatten();
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    fields
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

/// A field; empty if it is missing.
pub(crate) fn field<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).map_or("", String::as_str)
}

/// A header that is text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut pairs = text(headers, "cookie")?
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
}

/// This server's address as the browser sees it, such as `https://gitlab.example.com`.
pub(crate) fn own_url(headers: &HeaderMap) -> String {
    let scheme = text(headers, "x-forwarded-proto").unwrap_or("http");
    let host = text(headers, "host").unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// An answer of the API that is not a success.
pub(crate) fn refusal(status: StatusCode, body: Value) -> Response {
    (status, Json(body)).into_response()
}

/// A refusal with a message, such as `{"message": "401 Unauthorized"}`.
pub(crate) fn message(status: StatusCode, text: &str) -> Response {
    refusal(status, json!({ "message": text }))
}

/// A redirect by 302.
pub(crate) fn found(to: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, to.to_owned())]).into_response()
}

/// The URI with these pairs in its query, except those without a value.
pub(crate) fn with_query(uri: &str, pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    let query: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    let mark = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{mark}{query}")
}
