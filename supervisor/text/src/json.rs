//! Errors in JSON, described without quoting the JSON.

/// Where a text is not the JSON that is expected. serde's own words would quote what stands there,
/// which may be a secret.
pub fn json_place(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    format!("it is not what is expected in line {line}, column {column}")
}
