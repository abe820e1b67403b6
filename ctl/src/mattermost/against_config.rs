//! `ctl env mattermost --against-config`: which keys of config.json the environment overrides.
//!
//! Mattermost reads its settings from config.json (`MM_CONFIG`) and lays its `MM_…` variables over
//! them: a name loses `MM_` and is split at its underscores, and each part is a key, upper-cased.
//! Mattermost never writes a variable's value back, so the file shows the values without variables.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
};

use client::{
    Context, Error, Format, Kind,
    render::{DIM, GREEN, YELLOW, json, shown, table},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::commands::env::{Entry, Environment};

/// Variable with the path of config.json, or the address of the database in its place.
const CONFIG: &str = "MM_CONFIG";
/// Text in place of a secret.
const HIDDEN: &str = plan::HIDDEN;
/// Largest config.json that is read.
const CONFIG_BYTES_MAX: u64 = 16 << 20;

const EXPLANATION: &str = "\
What the environment sets wins. The System Console shows these keys greyed out, and a change of one
there is not kept; change them in mattervisor.toml. Without the variable config.json counts again.";

/// A key of config.json that a variable overrides.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Overridden {
    /// Dotted name, such as `ServiceSettings.SiteURL`.
    key: String,
    variable: String,
    /// Both values; null where hidden.
    environment: Option<String>,
    config: Option<String>,
    secret: bool,
    /// Whether both values are the same; null if not known.
    same: Option<bool>,
    /// Whether the server ignores the variable, since its text does not fit the key's type.
    ignored: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    service: String,
    config_file: String,
    keys: Vec<Overridden>,
    /// Variables of settings that config.json does not have.
    absent: Vec<String>,
}

/// Prints the keys of config.json that this environment overrides.
pub(crate) fn run(context: &Context, environment: &Environment, reveal: bool) -> Result<u8, Error> {
    let path = config_file(environment)?;
    let config = read(&path)?;
    let report = report(environment, &path, &config, reveal);
    let text = match context.format {
        Format::Json => json::value(&report, context.terminal())?,
        Format::Table | Format::Runit => document(&report),
    };
    context.print(&text)?;
    Ok(0)
}

/// The file from which the service takes its configuration.
fn config_file(environment: &Environment) -> Result<PathBuf, Error> {
    let name = &environment.service;
    let entry = environment.variables.iter().find(|it| it.name == CONFIG);
    let Some(entry) = entry else {
        let message = format!("{name} has no {CONFIG}, so it has no config.json");
        return Err(Error::new(Kind::Usage, message).hint("ctl env mattermost --against-config"));
    };
    let in_database =
        |text: &str| text.starts_with("postgres://") || text.starts_with("postgresql://");
    match entry.real.as_deref() {
        // A value that is hidden here is the address of a database, with its password.
        None => Err(database(name)),
        Some(text) if in_database(text) => Err(database(name)),
        Some("") => Err(Error::new(
            Kind::Failed,
            format!("{CONFIG} of {name} is empty"),
        )),
        Some(text) => Ok(found(Path::new(text), &environment.working_dir)),
    }
}

fn database(name: &str) -> Error {
    let message = format!(
        "{name} keeps its configuration in the database ({CONFIG}), not in a file that could be compared"
    );
    Error::new(Kind::Failed, message)
        .hint("mmctl --local config show prints it, with the environment over it")
}

/// Resolves a relative path as the server does: in `config` below its working directory, else in
/// the working directory.
fn found(path: &Path, working_dir: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_owned();
    }
    let inside = working_dir.join("config").join(path);
    if inside.exists() {
        inside
    } else {
        working_dir.join(path)
    }
}

fn read(path: &Path) -> Result<Map<String, Value>, Error> {
    let shown = path.display();
    let open = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => Error::new(Kind::Failed, format!("there is no {shown}"))
            .hint("Mattermost makes it when it starts for the first time"),
        io::ErrorKind::PermissionDenied => Error::new(
            Kind::NotAllowed,
            format!("cannot read {shown}: permission denied"),
        )
        .hint("it belongs to Mattermost's account: sudo ctl env … --against-config"),
        _ => Error::new(Kind::Failed, format!("cannot read {shown}: {error}")),
    };
    // The file is Mattermost's own, and Mattermost may have put anything in its place.
    let bytes = safe_path::read_guest(path, CONFIG_BYTES_MAX).map_err(|error| open(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let why = text::json_place(&error);
        Error::new(Kind::Failed, format!("cannot use {shown}: {why}"))
            .hint("Mattermost would not start with it either")
    })
}

fn report(
    environment: &Environment,
    path: &Path,
    config: &Map<String, Value>,
    reveal: bool,
) -> Report {
    let mut report = Report {
        service: environment.service.clone(),
        config_file: path.display().to_string(),
        keys: Vec::new(),
        absent: Vec::new(),
    };
    for entry in &environment.variables {
        let upper = entry.name.to_uppercase();
        let Some(name) = upper.strip_prefix("MM_") else {
            continue;
        };
        match meant(config, name) {
            Some((key, value)) => report.keys.push(compare(key, entry, value, reveal)),
            None if name.contains("SETTINGS_") => report.absent.push(entry.name.clone()),
            None => {}
        }
    }
    report.keys.sort_by(|a, b| a.key.cmp(&b.key));
    report
}

/// The key to which a variable's name without `MM_` leads, and the key's value.
fn meant<'c>(config: &'c Map<String, Value>, name: &str) -> Option<(String, &'c Value)> {
    let (part, rest) = match name.split_once('_') {
        Some((part, rest)) => (part, Some(rest)),
        None => (name, None),
    };
    let (key, value) = config.iter().find(|(key, _)| key.to_uppercase() == part)?;
    if let (Value::Object(inner), Some(rest)) = (value, rest) {
        let (below, value) = meant(inner, rest)?;
        return Some((format!("{key}.{below}"), value));
    }
    Some((key.clone(), value))
}

fn compare(key: String, entry: &Entry, value: &Value, reveal: bool) -> Overridden {
    let config = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let variable = entry.name.clone();
    let secret = entry.secret || plan::looks_secret(&variable, &config);
    let (same, ignored) = match entry.real.as_deref().map(|text| as_type_of(value, text)) {
        None => (None, false),
        Some(None) => (Some(false), true),
        Some(Some(read)) => (Some(alike(&read, value)), false),
    };
    let hidden = secret && !reveal;
    Overridden {
        key,
        variable,
        environment: entry.real.clone().filter(|_| !hidden),
        config: Some(config).filter(|_| !hidden),
        secret,
        same,
        ignored,
    }
}

/// The value that the server reads from a variable's text, by the type of config.json's value.
/// `None` if the server ignores the variable.
fn as_type_of(value: &Value, text: &str) -> Option<Value> {
    match value {
        Value::Bool(_) => match text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true.into()),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false.into()),
            _ => None,
        },
        Value::Number(_) => text.parse::<i64>().ok().map(Value::from),
        Value::Array(_) => Some(text.split(' ').map(Value::from).collect()),
        Value::Object(_) => serde_json::from_str::<Map<_, _>>(text)
            .ok()
            .map(Value::from),
        Value::String(_) | Value::Null => Some(text.into()),
    }
}

/// Whether the values are the same but for a slash at the end, which the server adds or removes.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.trim_end_matches('/') == b.trim_end_matches('/'),
        _ => a == b,
    }
}

fn document(report: &Report) -> String {
    let value = |text: &Option<String>| match text.as_deref() {
        None => (DIM, HIDDEN.to_owned()),
        Some("") => (DIM, "\"\"".to_owned()),
        Some(text) => table::plain(shown(text)),
    };
    let row = |key: &Overridden| {
        let verdict = match (key.ignored, key.same) {
            (true, _) => (YELLOW, "ignored: config.json counts".to_owned()),
            (false, Some(true)) => (GREEN, "same".to_owned()),
            (false, Some(false)) => table::plain("overridden"),
            (false, None) => table::plain("overridden?"),
        };
        vec![
            table::plain(shown(&key.key)),
            value(&key.environment),
            value(&key.config),
            verdict,
        ]
    };
    let rows: Vec<_> = report.keys.iter().map(row).collect();
    let lines = table::columns(&["KEY", "ENVIRONMENT", "CONFIG.JSON", ""], &rows);
    let mut text = format!(
        "{}\n\nconfig.json is {}.\n{EXPLANATION}\n",
        lines.join("\n"),
        shown(&report.config_file)
    );
    if !report.absent.is_empty() {
        let absent = report.absent.join(", ");
        let _ = writeln!(text, "\nNot in config.json: {}.", shown(&absent));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(name: &str, value: &str, secret: bool) -> Entry {
        Entry {
            name: name.to_owned(),
            real: Some(value.to_owned()),
            secret,
            ..Entry::default()
        }
    }

    fn config() -> Map<String, Value> {
        let config = json!({
            "ServiceSettings": { "SiteURL": "http://a.b", "EnableLocalMode": false, "ReadTimeout": 300 },
            "SqlSettings": { "DataSource": "postgres://u:pw@h/d", "AtRestEncryptKey": "k1", "DataSourceReplicas": ["x"] },
            "PluginSettings": { "Plugins": {} },
            "MessageExportSettings": { "GlobalRelaySettings": { "SMTPUsername": "" } },
        });
        config.as_object().unwrap().clone()
    }

    fn one(name: &str, value: &str, secret: bool) -> Overridden {
        let config = config();
        let (key, found) = meant(&config, name.strip_prefix("MM_").unwrap()).unwrap();
        compare(key, &entry(name, value, secret), found, false)
    }

    #[test]
    fn a_name_leads_level_by_level_to_its_key() {
        let config = config();
        let key = |name: &str| meant(&config, name).map(|(key, _)| key);
        assert_eq!(
            key("SERVICESETTINGS_SITEURL").as_deref(),
            Some("ServiceSettings.SiteURL")
        );
        assert_eq!(
            key("MESSAGEEXPORTSETTINGS_GLOBALRELAYSETTINGS_SMTPUSERNAME").as_deref(),
            Some("MessageExportSettings.GlobalRelaySettings.SMTPUsername")
        );
        assert_eq!(
            key("PLUGINSETTINGS_PLUGINS").as_deref(),
            Some("PluginSettings.Plugins")
        );
        for nothing in ["CONFIG", "SERVICESETTINGS_NOSUCH", "NOSUCHSETTINGS_X"] {
            assert_eq!(key(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn values_are_compared_as_the_server_reads_them() {
        let same = |name: &str, value: &str| {
            let key = one(name, value, false);
            (key.same, key.ignored)
        };
        assert_eq!(
            same("MM_SERVICESETTINGS_SITEURL", "http://a.b/"),
            (Some(true), false)
        );
        assert_eq!(
            same("MM_SERVICESETTINGS_ENABLELOCALMODE", "F"),
            (Some(true), false)
        );
        assert_eq!(
            same("MM_SERVICESETTINGS_ENABLELOCALMODE", "yes"),
            (Some(false), true)
        );
        assert_eq!(
            same("MM_SERVICESETTINGS_READTIMEOUT", "300"),
            (Some(true), false)
        );
        assert_eq!(
            same("MM_SQLSETTINGS_DATASOURCEREPLICAS", "x"),
            (Some(true), false)
        );
        assert_eq!(
            same("MM_SQLSETTINGS_DATASOURCEREPLICAS", ""),
            (Some(false), false)
        );
        assert_eq!(same("MM_PLUGINSETTINGS_PLUGINS", "{}"), (Some(true), false));
    }

    #[test]
    fn a_secret_of_either_side_hides_both() {
        let key = one("MM_SQLSETTINGS_DATASOURCE", "user=x host=/run", false);
        assert!(key.secret && key.config.is_none() && key.environment.is_none());
        let key = one("MM_SQLSETTINGS_ATRESTENCRYPTKEY", "k1", true);
        assert_eq!(
            (key.same, key.environment, key.config),
            (Some(true), None, None)
        );
    }
}
