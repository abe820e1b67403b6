//! Converts values of Ruby to values of a site file.

use serde_json::{Map, Value as Json};

use super::ruby::Value;

/// The value in the setting's type; `None` for `nil`, which leaves the default.
pub(super) fn typed(value: &Value, kind: &str) -> Result<Option<Json>, String> {
    if *value == Value::Nil {
        return Ok(None);
    }
    if let Some(why) = value.doubt() {
        return Err(why.to_owned());
    }
    let typed = match kind {
        "bool" => boolean(value)?,
        "int" | "port" => number(value)?,
        "list" => list(value)?,
        "map" => map(value)?,
        "duration" => match value {
            Value::Int(seconds) => Json::from(format!("{seconds}s")),
            other => Json::from(text(other)?),
        },
        "size" => match value {
            Value::Int(bytes) => Json::from(*bytes),
            other => Json::from(text(other)?),
        },
        _ => Json::from(text(value)?),
    };
    Ok(Some(typed))
}

fn boolean(value: &Value) -> Result<Json, String> {
    match value {
        Value::Bool(it) => Ok(Json::from(*it)),
        Value::Text(it) if it == "true" || it == "false" => Ok(Json::from(it == "true")),
        _ => Err("it is neither true nor false".to_owned()),
    }
}

fn number(value: &Value) -> Result<Json, String> {
    match value {
        Value::Int(it) => Ok(Json::from(*it)),
        Value::Text(it) => it
            .trim()
            .parse::<i64>()
            .map(Json::from)
            .map_err(|_| "it is not a number".to_owned()),
        _ => Err("it is not a number".to_owned()),
    }
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::List(list) => {
            let parts: Option<Vec<String>> = list.iter().map(Value::text).collect();
            parts
                .map(|it| it.join(" "))
                .ok_or_else(|| "it is a list of lists".to_owned())
        }
        Value::Hash(_) => Err("it is a hash, where a text is wanted".to_owned()),
        other => other
            .text()
            .ok_or_else(|| "it has no plain value".to_owned()),
    }
}

fn list(value: &Value) -> Result<Json, String> {
    match value {
        Value::List(list) => {
            let items: Result<Vec<String>, String> = list.iter().map(text).collect();
            Ok(Json::from(items?))
        }
        Value::Hash(_) => Err("it is a hash, where a list is wanted".to_owned()),
        one => Ok(Json::from(vec![text(one)?])),
    }
}

fn map(value: &Value) -> Result<Json, String> {
    let Value::Hash(pairs) = value else {
        return Err("it is no hash".to_owned());
    };
    let mut map = Map::new();
    for pair in pairs {
        let key = text(&pair.key)?;
        map.insert(key, natural(&pair.value)?);
    }
    Ok(Json::Object(map))
}

/// The value in its own type. `nil` becomes an empty text: nginx sends no such header.
fn natural(value: &Value) -> Result<Json, String> {
    Ok(match value {
        Value::Bool(it) => Json::from(*it),
        Value::Int(it) => Json::from(*it),
        Value::List(list) => {
            let items: Result<Vec<Json>, String> = list.iter().map(natural).collect();
            Json::from(items?)
        }
        Value::Hash(_) => map(value)?,
        other => Json::from(text(other)?),
    })
}

/// The text that Mattermost reads from a variable; `None` if the value sets no variable.
pub(super) fn variable(value: &Value) -> Result<Option<String>, String> {
    if let Some(why) = value.doubt() {
        return Err(why.to_owned());
    }
    let text = match value {
        Value::Nil => return Ok(None),
        Value::List(list) => {
            let parts: Option<Vec<String>> = list.iter().map(Value::text).collect();
            let parts = parts.ok_or("it is a list of lists")?;
            if parts.iter().any(|it| it.contains(char::is_whitespace)) {
                return Err(
                    "Mattermost parts a list in a variable at blanks, and an item of this one has a blank"
                        .to_owned(),
                );
            }
            parts.join(" ")
        }
        Value::Hash(_) => value.json().ok_or("it has no plain value")?,
        other => other.text().ok_or("it has no plain value")?,
    };
    // GitLab's package cut off the line end and blanks at the end of a value.
    let text = text.trim_end_matches(['\n', '\r', ' ', '\t']);
    Ok((!text.is_empty()).then(|| text.to_owned()))
}
