//! Which values of its type a setting accepts.

use crate::{
    declare::setting::Setting,
    read::{form, typed::Typed, url::without_user},
    report::suggest::nearest,
};

/// Checks a value against `values`, `max_bytes`, `pattern` and `bare` of its setting.
pub(crate) fn allowed(setting: &Setting, value: Typed) -> Result<Typed, String> {
    let text = value.text();
    if !setting.values.is_empty() && !setting.values.contains(&text) {
        let near = nearest(&text, setting.values.iter().map(String::as_str));
        let near = near.map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
        return Err(format!(
            "must be one of {}, not \"{}\"{near}",
            setting.values.join(", "),
            without_user(&text)
        ));
    }
    for text in value.texts() {
        form::no_control(text, setting.multi_line)?;
        if let Some(max) = setting.max_bytes.filter(|max| text.len() > *max) {
            return Err(format!("has {} bytes, and {max} are the most", text.len()));
        }
        if let Some(pattern) = &setting.pattern
            && !pattern.regex.is_match(text)
        {
            let shown = without_user(text);
            let shown = shown.escape_debug();
            return Err(format!("must be {}, not \"{shown}\"", pattern.words));
        }
    }
    if let Typed::Url(url) = &value
        && setting.bare
    {
        if url.has_user() {
            return Err("must begin with its host, but has a user before it".to_owned());
        }
        if !matches!(url.path.as_str(), "" | "/") {
            let what = if url.path.starts_with('/') {
                "has the path"
            } else {
                "goes on with"
            };
            return Err(format!(
                "must end after its host and port, but {what} `{}`",
                url.path
            ));
        }
        if !matches!(url.scheme.as_str(), "http" | "https") {
            return Err(format!(
                "must begin with http:// or https://, not {}://",
                url.scheme
            ));
        }
    }
    Ok(value)
}
