//! Sources of the configuration: the file of `--config`, else of `MM_CONFIG`, else `config.json`,
//! and the variables over it.
//!
//! A missing file is made, with mode 0600, and is written at the first load even when every setting
//! comes by environment; values of variables never reach the file.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{env, ranges, release, schema};

/// The configuration as the server uses it.
pub(crate) struct Config {
    live: Value,
    path: PathBuf,
}

/// Why no configuration could be loaded.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// Message for stderr; the exit code is 1.
    Plain(String),
    /// Message of a Go panic; the exit code is 2.
    Panic(String),
}

impl Config {
    /// Reads, completes, persists and overrides the configuration.
    pub(crate) fn load(flag: Option<PathBuf>) -> Result<Self, LoadError> {
        let source = flag
            .or_else(|| {
                std::env::var_os("MM_CONFIG")
                    .filter(|text| !text.is_empty())
                    .map(Into::into)
            })
            .unwrap_or_else(|| PathBuf::from("config.json"));
        let text = source.to_string_lossy();
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Err(LoadError::Plain(
                "failed to load configuration: the stand-in keeps no configuration in a database; \
                 give it a file by --config or MM_CONFIG"
                    .to_owned(),
            ));
        }
        let path = find(&source);
        let stored = load_file(&path).map_err(LoadError::Plain)?;
        let mut live = stored;
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        env::apply(&mut live, variables).map_err(|panic| LoadError::Panic(panic.0))?;
        fix(&mut live);
        let config = Self { live, path };
        ranges::check(&config.live).map_err(|what| {
            LoadError::Plain(format!(
                "failed to load configuration: invalid config: {what}"
            ))
        })?;
        Ok(config)
    }

    /// The configuration as the file has it, without the variables.
    pub(crate) fn stored(&self) -> Result<Value, String> {
        load_file(&self.path)
    }

    /// Writes the file anew, as the System Console does.
    pub(crate) fn store(&self, config: &Value) -> Result<(), String> {
        persist(&self.path, config)
    }

    /// The whole configuration in effect.
    pub(crate) fn all(&self) -> &Value {
        &self.live
    }

    /// A text setting; empty if the setting is no text.
    pub(crate) fn text(&self, section: &str, key: &str) -> &str {
        self.live[section][key].as_str().unwrap_or("")
    }

    /// A yes/no setting.
    pub(crate) fn flag(&self, section: &str, key: &str) -> bool {
        self.live[section][key].as_bool().unwrap_or(false)
    }

    /// A list of texts.
    pub(crate) fn list(&self, section: &str, key: &str) -> Vec<String> {
        let values = self.live[section][key].as_array();
        let texts = values.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }
}

/// Corrections that the server itself makes after every load.
fn fix(config: &mut Value) {
    let site = config["ServiceSettings"]["SiteURL"].as_str().unwrap_or("");
    let site = site.trim_end_matches('/').to_owned();
    config["ServiceSettings"]["SiteURL"] = site.into();
    let files = config["FileSettings"]["Directory"].as_str().unwrap_or("");
    if !files.ends_with('/') {
        config["FileSettings"]["Directory"] = format!("{files}/").into();
    }
}

/// Looks for a relative path as `config/NAME` near the working directory, then near the binary.
fn find(source: &Path) -> PathBuf {
    if source.is_absolute() {
        return source.to_owned();
    }
    release::places()
        .map(|place| place.join("config").join(source))
        .find(|candidate| candidate.exists())
        .unwrap_or_else(|| source.to_owned())
}

/// The stored configuration, completed by the defaults and written back.
fn load_file(path: &Path) -> Result<Value, String> {
    let mut config = schema::defaults();
    let known = match fs::read_to_string(path) {
        Ok(text) => {
            let stored: Value = serde_json::from_str(&text).map_err(|error| {
                format!("failed to load configuration: {}: {error}", path.display())
            })?;
            merge(&mut config, &stored);
            Some(stored)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(format!(
                "failed to load configuration: open {}: {}",
                path.display(),
                plain(&error)
            ));
        }
    };
    if known.as_ref() != Some(&config) {
        persist(path, &config)?;
    }
    Ok(config)
}

fn persist(path: &Path, config: &Value) -> Result<(), String> {
    let text = format!("{config:#}\n");
    let mut options = fs::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        format!(
            "failed to load configuration: could not create config file: failed to persist: open {}: {}",
            path.display(),
            plain(&error)
        )
    })
}

/// The kernel's own words, without Rust's number behind them.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    words.to_lowercase()
}

/// Lays `over` over `base`, object by object.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_missing_file_is_made_private_and_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        load_file(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let stored: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(stored["ServiceSettings"]["ListenAddress"], ":8065");
        let source = stored["SqlSettings"]["DataSource"].as_str().unwrap();
        assert!(source.contains("mattermost_test"), "{source}");
    }

    #[test]
    fn a_missing_directory_is_refused_in_the_servers_words() {
        let dir = tempfile::tempdir().unwrap();
        let error = load_file(&dir.path().join("no/config.json")).unwrap_err();
        assert!(error.contains("could not create config file"), "{error}");
        assert!(error.contains("no such file or directory"), "{error}");
    }

    #[test]
    fn what_the_file_says_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        fs::write(&path, r#"{"TeamSettings": {"MaxUsersPerTeam": 12}}"#).unwrap();
        let config = load_file(&path).unwrap();
        assert_eq!(config["TeamSettings"]["MaxUsersPerTeam"], 12);
        assert_eq!(config["TeamSettings"]["SiteName"], "Mattermost");
        let stored: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(stored, config);
    }

    #[test]
    fn trailing_slashes_are_put_right() {
        let mut config = schema::defaults();
        config["ServiceSettings"]["SiteURL"] = "https://chat.example.com/".into();
        config["FileSettings"]["Directory"] = "/srv/data".into();
        fix(&mut config);
        assert_eq!(
            config["ServiceSettings"]["SiteURL"],
            "https://chat.example.com"
        );
        assert_eq!(config["FileSettings"]["Directory"], "/srv/data/");
    }
}
