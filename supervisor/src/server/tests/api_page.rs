//! Generates `docs/api.md` from `api/openapi.json`, and compares the page there, because
//! the API is described once.
//!
//! `UPDATE_OPENAPI=1 cargo nextest run -p supervisor api_page` rewrites the page.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{super::openapi::DOCUMENT, openapi::UPDATE};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md");

/// The longest line, in columns.
const WIDTH: usize = 100;

const HEAD: &str = "\
<!-- Made from supervisor/api/openapi.json; run: UPDATE_OPENAPI=1 cargo nextest run -p supervisor api_page -->
# The API

What `ctl` asks, any program may ask: HTTP/1.1 and JSON on the control socket,
`/run/mattervisor/ctl.sock`. There is no port.

    ask() { curl --unix-socket /run/mattervisor/ctl.sock \"$@\"; }
    ask http://localhost/v1/services
    ask -X POST http://localhost/v1/services/mattermost/restart
    ask http://localhost/v1/openapi.json

- **Who may** is decided by the user and groups of the process that connects, as for `ctl`:
  [permissions](operate.md#permissions). No password, no token.
- **Streams** have one JSON value a line (NDJSON). A stream of a change ends once it has settled.
- **A change** carries an `id` that the client makes: 1 to 128 characters, letters, digits, `-`, `_`
  and `.`. A second request with the same id changes nothing and tells how the first ends; after a
  broken connection `GET /v1/changes/{id}` tells it too. A request without an id gets one that its
  client does not learn.
- **Errors** have a fitting status and an [ErrorReply](#errorreply) as body.
- **Fields to come**: a client should ignore fields of an answer that it does not know. The server
  refuses unknown fields of a request.
- `GET /v1/openapi.json` is the same description for programs, OpenAPI 3.1; the file is
  `supervisor/api/openapi.json` of the repository.
";

/// The page as the file of the API says.
fn page(file: &Value) -> String {
    let mut page = "\n## Requests\n".to_owned();
    for (path, methods) in object(&file["paths"]) {
        for (method, operation) in object(methods) {
            let _ = write!(page, "\n### `{} {path}`\n\n", method.to_uppercase());
            page.push_str(&request(operation));
        }
    }
    page.push_str("\n## Types\n");
    for (name, schema) in object(&file["components"]["schemas"]) {
        let _ = write!(page, "\n### {name}\n\n{}\n", sentence(schema));
        page.push_str(&fields(schema));
    }
    let lines: Vec<String> = page.lines().map(wrapped).collect();
    format!("{HEAD}{}\n", lines.join("\n"))
}

/// What an operation does, takes and answers.
fn request(operation: &Value) -> String {
    let mut text = format!("{}\n", operation["summary"].as_str().unwrap());
    let parameters = operation["parameters"].as_array();
    let parameters = parameters.into_iter().flatten().map(|it| {
        let name = it["name"].as_str().unwrap();
        let name = match it["in"].as_str() {
            Some("path") => format!("`{{{name}}}`"),
            _ => format!("`?{name}=`"),
        };
        item(&name, &kind(&it["schema"]), &sentence(it))
    });
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let body = body
        .is_object()
        .then(|| format!("- body: {}\n", kind(body)));
    let items: String = parameters.chain(body).collect();
    let _ = write!(text, "\n{items}- answer: {}\n", answer(operation));
    text
}

fn answer(operation: &Value) -> String {
    let content = object(&operation["responses"]["200"]["content"]);
    let (media, of) = content.into_iter().next().unwrap();
    match media.as_str() {
        "application/json" => kind(&of["schema"]),
        "application/x-ndjson" => format!("a stream of {}", kind(&of["schema"])),
        other => format!("`{other}`"),
    }
}

/// The fields of a type, or its forms.
fn fields(schema: &Value) -> String {
    let forms = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    let mut text = String::new();
    for form in forms.into_iter().flatten() {
        let name = match &form["const"] {
            Value::Null => kind(form),
            value => format!("`{value}`"),
        };
        text.push_str(&item(&name, "", &sentence(form)));
        for line in fields(form).lines().filter(|it| !it.is_empty()) {
            let _ = writeln!(text, "  {line}");
        }
    }
    let required = schema["required"].as_array();
    let is_required = |name: &str| required.into_iter().flatten().any(|it| it == name);
    for (name, field) in object(&schema["properties"]) {
        let optional = if is_required(name) {
            ""
        } else {
            ", may be absent"
        };
        let kind = kind(field) + optional;
        text.push_str(&item(&format!("`{name}`"), &kind, &sentence(field)));
    }
    if text.is_empty() {
        return text;
    }
    format!("\n{text}")
}

fn item(name: &str, kind: &str, description: &str) -> String {
    let kind = match kind {
        "" => String::new(),
        kind => format!(" ({kind})"),
    };
    let description = match description {
        "" => String::new(),
        description => format!(": {description}"),
    };
    format!("- {name}{kind}{description}\n")
}

/// The type of a value, with a link to its description if it has a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    let forms = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
    if let Some(forms) = forms {
        return forms.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    let constant = &schema["const"];
    if !constant.is_null() {
        return format!("`{constant}`");
    }
    match &schema["type"] {
        Value::String(word) if word == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(word) if word == "object" && schema["additionalProperties"].is_object() => {
            format!("map of {}", kind(&schema["additionalProperties"]))
        }
        Value::String(word) => word.clone(),
        Value::Array(words) => {
            let words = words
                .iter()
                .filter_map(Value::as_str)
                .map(|word| match word {
                    "array" => format!("list of {}", kind(&schema["items"])),
                    word => word.to_owned(),
                });
            words.collect::<Vec<_>>().join(" or ")
        }
        _ => "any value".to_owned(),
    }
}

/// A paragraph or an item in lines that a screen has room for; further lines of an item are below
/// its words.
fn wrapped(line: &str) -> String {
    let words = line.trim_start();
    let indent = line.len() - words.len();
    let below = indent + if words.starts_with("- ") { 2 } else { 0 };
    let mut text = " ".repeat(indent);
    let mut column = indent;
    for word in words.split(' ') {
        let length = word.chars().count();
        if column + 1 + length > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(below));
            column = below;
        } else if column > indent {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text
}

/// A description on one line. Links of Rust's documentation lead nowhere here.
fn sentence(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace("[`", "`")
        .replace("`]", "`")
        .replace('<', "&lt;")
}

fn object(value: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

#[test]
fn the_page_is_what_the_file_says() {
    let page = page(&serde_json::from_str(DOCUMENT).unwrap());
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(PAGE, &page).unwrap();
        return;
    }
    assert!(
        std::fs::read_to_string(PAGE).unwrap_or_default() == page,
        "docs/api.md is not up to date; write it anew: {UPDATE}=1 cargo nextest run -p supervisor api_page"
    );
}

#[test]
fn every_link_of_the_page_leads_to_a_type() {
    let file: Value = serde_json::from_str(DOCUMENT).unwrap();
    let page = page(&file);
    let headings: Vec<String> = page
        .lines()
        .filter_map(|it| it.strip_prefix("### "))
        .map(str::to_lowercase)
        .collect();
    for link in page.split("](#").skip(1) {
        let anchor = link.split(')').next().unwrap();
        assert!(headings.iter().any(|it| it == anchor), "no type {anchor}");
    }
}
