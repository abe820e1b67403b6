//! Removes the secrets from configuration files.
//!
//! The table of Mattermost's variables ([`Names`]) marks the secret settings:
//! `EmailSettings.SMTPPassword` of the configuration is `MM_EMAILSETTINGS_SMTPPASSWORD`. Settings
//! that may hold a secret, or look like one, are removed too. An empty text stays in place of each.
//!
//! Limits: a secret of a service that an administrator has added is recognised only by its looks.

use std::{collections::HashSet, path::Path};

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::Error;

/// Largest table that is read.
const TABLE_BYTES_MAX: u64 = 4 << 20;

/// The variables that are or may hold secrets.
#[derive(Debug, Default)]
pub struct Names(HashSet<String>);

/// A file without its secrets.
#[derive(Debug, PartialEq, Eq)]
pub struct Without {
    /// The text that is left.
    pub text: String,
    /// Names of the removed settings.
    pub settings: Vec<String>,
}

impl Names {
    /// Reads the table: names in the first column; `secret` or `private` behind the type in the
    /// second.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = safe_path::read(path, TABLE_BYTES_MAX).map_err(Error::with("read", path))?;
        Ok(Self::of(&String::from_utf8_lossy(&text)))
    }

    fn of(table: &str) -> Self {
        let lines = table.lines().filter(|line| !line.starts_with('#'));
        let secret = lines.filter_map(|line| {
            let mut columns = line.split('\t');
            let (name, kind) = (columns.next()?, columns.next()?);
            let hidden = kind.ends_with(" secret") || kind.ends_with(" private");
            hidden.then(|| name.to_owned())
        });
        Self(secret.collect())
    }

    /// Whether the table has the variable of this setting, or of a section above it.
    fn hides(&self, path: &[&str]) -> bool {
        let mut name = "MM".to_owned();
        path.iter().any(|part| {
            name = format!("{name}_{}", part.to_uppercase());
            self.0.contains(&name)
        })
    }
}

/// Mattermost's configuration without secrets; `None` if it is not JSON.
pub fn without_json(text: &[u8], names: &Names) -> Option<Without> {
    let mut value: Value = serde_json::from_slice(text).ok()?;
    let mut settings = Vec::new();
    let mut path = Vec::new();
    strip(&mut value, &mut path, names, &mut settings);
    let text = serde_json::to_string_pretty(&value).ok()? + "\n";
    Some(Without { text, settings })
}

fn strip(value: &mut Value, path: &mut Vec<String>, names: &Names, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                path.push(key.clone());
                strip(value, path, names, out);
                path.pop();
            }
        }
        Value::Array(list) => {
            for value in list {
                strip(value, path, names, out);
            }
        }
        Value::String(text) if !text.is_empty() => {
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            let key = parts.last().copied().unwrap_or_default();
            if names.hides(&parts) || plan::looks_secret(key, text) {
                text.clear();
                let name = path.join(".");
                if out.last() != Some(&name) {
                    out.push(name);
                }
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The site file, or a service file, without secrets; `None` if it is not TOML.
pub fn without_toml(text: &str, names: &Names) -> Option<Without> {
    let table = DeTable::parse(text).ok()?;
    let mut found = Found {
        names,
        spans: Vec::new(),
        settings: Vec::new(),
    };
    found.table(table.get_ref(), &mut Vec::new());
    let Found {
        mut spans,
        settings,
        ..
    } = found;
    spans.sort_by_key(|span| std::cmp::Reverse(span.start));
    let mut text = text.to_owned();
    for span in spans {
        text.replace_range(span, "\"\"");
    }
    Some(Without { text, settings })
}

struct Found<'n> {
    names: &'n Names,
    spans: Vec<std::ops::Range<usize>>,
    settings: Vec<String>,
}

impl Found<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &mut Vec<String>) {
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            self.value(value.get_ref(), value.span(), path);
            path.pop();
        }
    }

    fn value(&mut self, value: &DeValue<'_>, span: std::ops::Range<usize>, path: &mut Vec<String>) {
        match value {
            DeValue::Table(table) => self.table(table, path),
            DeValue::Array(list) => {
                for value in list {
                    self.value(value.get_ref(), value.span(), path);
                }
            }
            DeValue::String(text) if self.is_secret(path, text) => {
                self.spans.push(span);
                let name = path.join(".");
                if self.settings.last() != Some(&name) {
                    self.settings.push(name);
                }
            }
            _ => {}
        }
    }

    fn is_secret(&self, path: &[String], text: &str) -> bool {
        let key = path.last().map_or("", String::as_str);
        // Anyone who knows a webhook's URL can use it.
        (key == "webhook" && !text.is_empty())
            || self.names.0.contains(key)
            || plan::looks_secret(key, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::of(
            "# name\ttype\nMM_EMAILSETTINGS_SMTPPASSWORD\tstring secret\t\nMM_PLUGINSETTINGS_PLUGINS\tjson private\nMM_SERVICESETTINGS_SITEURL\tstring\n",
        )
    }

    #[test]
    fn secrets_go_from_json_and_all_else_stays() {
        let text = br#"{"EmailSettings":{"SMTPPassword":"hunter2","SMTPServer":"mail"},
            "PluginSettings":{"Plugins":{"github":{"encryptionkey":"k","deep":{"url":"https://u:p@h"},"on":true}}},
            "FileSettings":{"PublicLinkSalt":"abc123"},"ServiceSettings":{"SiteURL":"https://m"}}"#;
        let left = without_json(text, &names()).expect("it is JSON");
        for secret in ["hunter2", "\"k\"", "u:p", "abc123"] {
            assert!(!left.text.contains(secret), "{}", left.text);
        }
        for kept in ["https://m", "\"mail\"", "true"] {
            assert!(left.text.contains(kept), "{}", left.text);
        }
        assert_eq!(
            left.settings,
            [
                "EmailSettings.SMTPPassword",
                "FileSettings.PublicLinkSalt",
                "PluginSettings.Plugins.github.deep.url",
                "PluginSettings.Plugins.github.encryptionkey"
            ]
        );
    }

    #[test]
    fn secrets_go_from_toml_and_comments_stay() {
        let text = "# mine\nmattermost_external_url = \"https://m\"\nmattermost.gitlab_secret = 's3cret'\n\
            mattermost.env = { MM_EMAILSETTINGS_SMTPPASSWORD = \"hunter2\", MM_X = \"y\" }\n\
            [notify.ops]\nwebhook = \"https://hooks/abc\"\n";
        let left = without_toml(text, &names()).expect("it is TOML");
        assert_eq!(
            left.text,
            "# mine\nmattermost_external_url = \"https://m\"\nmattermost.gitlab_secret = \"\"\n\
            mattermost.env = { MM_EMAILSETTINGS_SMTPPASSWORD = \"\", MM_X = \"y\" }\n\
            [notify.ops]\nwebhook = \"\"\n"
        );
        assert_eq!(
            left.settings,
            [
                "mattermost.env.MM_EMAILSETTINGS_SMTPPASSWORD",
                "mattermost.gitlab_secret",
                "notify.ops.webhook"
            ]
        );
    }
}
