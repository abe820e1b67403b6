//! The server's log: JSON or plain lines on stdout, and a file if the settings ask for a file.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::Mutex,
};

use serde_json::{Map, Value};

use crate::config::Config;

/// Writes lines to the console and the file.
pub(crate) struct Log {
    console: bool,
    console_json: bool,
    debug: bool,
    file: Option<Mutex<File>>,
}

impl Log {
    /// Opens the log as the configuration says. A log file that cannot be opened is reported on
    /// stderr, and the server runs without it.
    pub(crate) fn new(config: &Config) -> Self {
        let file = if config.flag("LogSettings", "EnableFile") {
            let place = match config.text("LogSettings", "FileLocation") {
                "" => "logs",
                place => place,
            };
            let path = Path::new(place).join("mattermost.log");
            match OpenOptions::new().append(true).create(true).open(&path) {
                Ok(file) => Some(Mutex::new(file)),
                Err(error) => {
                    eprintln!("could not open log file {}: {error}", path.display());
                    None
                }
            }
        } else {
            None
        };
        Self {
            console: config.flag("LogSettings", "EnableConsole"),
            console_json: config.flag("LogSettings", "ConsoleJson"),
            debug: config
                .text("LogSettings", "ConsoleLevel")
                .eq_ignore_ascii_case("debug"),
            file,
        }
    }

    /// Writes a line of level `debug`, if the console has that level.
    pub(crate) fn debug(&self, message: &str, fields: &[(&str, &str)]) {
        if self.debug {
            self.line("debug", message, fields);
        }
    }

    /// Writes a line of level `info`.
    pub(crate) fn info(&self, message: &str, fields: &[(&str, &str)]) {
        self.line("info", message, fields);
    }

    /// Writes a line of level `warn`.
    pub(crate) fn warn(&self, message: &str, fields: &[(&str, &str)]) {
        self.line("warn", message, fields);
    }

    /// Writes a line of level `error`.
    pub(crate) fn error(&self, message: &str, fields: &[(&str, &str)]) {
        self.line("error", message, fields);
    }

    fn line(&self, level: &str, message: &str, fields: &[(&str, &str)]) {
        let stamp = jiff::Timestamp::now()
            .strftime("%Y-%m-%d %H:%M:%S%.3f Z")
            .to_string();
        let json = json_line(&stamp, level, message, fields);
        // One write per line, so that lines of several writers do not mix.
        if self.console {
            let text = if self.console_json {
                json.clone()
            } else {
                plain_line(&stamp, level, message, fields)
            };
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
        }
        if let Some(file) = &self.file
            && let Ok(mut file) = file.lock()
        {
            let _ = file.write_all(json.as_bytes());
        }
    }
}

fn json_line(stamp: &str, level: &str, message: &str, fields: &[(&str, &str)]) -> String {
    let mut object = Map::new();
    object.insert("timestamp".to_owned(), stamp.into());
    object.insert("level".to_owned(), level.into());
    object.insert("msg".to_owned(), message.into());
    object.insert("caller".to_owned(), "standin".into());
    for (key, value) in fields {
        object.insert((*key).to_owned(), (*value).into());
    }
    format!("{}\n", Value::Object(object))
}

fn plain_line(stamp: &str, level: &str, message: &str, fields: &[(&str, &str)]) -> String {
    use std::fmt::Write as _;

    let mut line = format!("{level:<6}[{stamp}] {message}");
    for (key, value) in fields {
        let _ = write!(line, " {key}=\"{value}\"");
    }
    line.push('\n');
    line
}
