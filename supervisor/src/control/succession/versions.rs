//! Versions of what this process takes up: the messages of the keeper, the records that an earlier
//! control process left with it, and the files of the state directory. What has a version that this
//! program does not know is refused by name before anything of it is read.
//!
//! One version, [`FORMAT`], stands for records and files. It is in the record `@format`, and in
//! `format.json` of the state directory. Whoever raises it migrates the version before, and goes on
//! writing that until the program has proven itself: the keeper may go back to the program before.

use std::path::Path;

use keeper::message::{EXIT_OTHER_FORMAT, EXIT_OTHER_MESSAGES, Hello, VERSION};
use serde::{Deserialize, Serialize};

use crate::{
    control::{Context, record_keys::Key},
    store,
};

/// Version of the records and of the files in the state directory that this program reads and
/// writes.
pub(in crate::control) const FORMAT: u32 = 1;
/// Its name in the state directory.
const FILE: &str = "format.json";

/// A version, and the program that wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Format {
    version: u32,
    program: String,
}

impl Format {
    fn own() -> Self {
        Self {
            version: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Why this program does not take over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) enum Unfit {
    /// The keeper speaks another version of the messages.
    Messages {
        keeper: u32,
        /// Version of the keeper's program.
        program: String,
    },
    /// The records are of another version; 0: of none.
    Records { found: u32, program: String },
    /// The files of the state directory are of another version.
    Files {
        found: u32,
        program: String,
        path: String,
    },
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Messages { keeper, program } => write!(
                f,
                "the keeper (version {program}) speaks version {keeper} of the messages, and this program \
                 version {VERSION}: give the command ctl reexec --keeper first"
            ),
            Self::Records { found, program } => write!(
                f,
                "the control process before (version {program}) has left records of version {found}, and this \
                 program reads {FORMAT}: install a version that reads both"
            ),
            Self::Files {
                found,
                program,
                path,
            } => write!(
                f,
                "{path} says that version {program} has written the files beside it in version {found}, and \
                 this program reads {FORMAT}: install that version again, or restore a backup of the directory"
            ),
        }
    }
}

impl Unfit {
    /// The exit code by which the keeper knows the reason.
    pub(in crate::control) const fn exit_code(&self) -> u8 {
        match self {
            Self::Messages { .. } => EXIT_OTHER_MESSAGES,
            Self::Records { .. } | Self::Files { .. } => EXIT_OTHER_FORMAT,
        }
    }
}

/// Whether this program knows all that it is to take up.
pub(in crate::control) fn check(hello: &Hello, state_dir: &Path) -> Result<(), Unfit> {
    if hello.version != VERSION {
        return Err(Unfit::Messages {
            keeper: hello.version,
            program: hello.keeper_version.clone(),
        });
    }
    let none = || Format {
        version: 0,
        program: "unknown".to_owned(),
    };
    if !hello.records.is_empty() {
        let format = Key::Format.of(&hello.records);
        let format = format.and_then(|it| serde_json::from_str(it).ok());
        let Format { version, program } = format.unwrap_or_else(none);
        if version != FORMAT {
            return Err(Unfit::Records {
                found: version,
                program,
            });
        }
    }
    let path = state_dir.join(FILE);
    // A file that is none has been put aside, which is in the log.
    let stored: Option<Format> = store::read_json(&path).unwrap_or_default();
    match stored {
        Some(Format { version, program }) if version != FORMAT => Err(Unfit::Files {
            found: version,
            program,
            path: path.display().to_string(),
        }),
        Some(stored) if stored == Format::own() => Ok(()),
        _ => {
            write(&path);
            Ok(())
        }
    }
}

fn write(path: &Path) {
    let text = serde_json::to_string_pretty(&Format::own()).expect("it is plain data");
    if let Err(error) = store::write_atomically(path, text.as_bytes()) {
        let path = path.display();
        tracing::error!(
            "cannot write {path}, by which another version knows what lies there: {error}"
        );
    }
}

/// Has the keeper hold the version of the records, ahead of any other.
pub(in crate::control) fn remember(cx: &mut Context) {
    let record = serde_json::to_string(&Format::own()).expect("it is plain data");
    cx.remember(Key::Format, record);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn hello(version: u32, format: Option<u32>) -> Hello {
        let mut records = std::collections::BTreeMap::new();
        if let Some(version) = format {
            let program = "9.9".to_owned();
            let record = serde_json::to_string(&Format { version, program }).unwrap();
            records.insert("@format".to_owned(), record);
            records.insert("web".to_owned(), "{}".to_owned());
        }
        Hello {
            version,
            keeper_version: "9.9".to_owned(),
            records,
            ..Hello::default()
        }
    }

    #[test]
    fn what_is_of_another_version_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let unfit = |hello: &Hello| check(hello, dir.path()).unwrap_err();
        let other = unfit(&hello(VERSION + 1, None));
        assert_eq!(other.exit_code(), EXIT_OTHER_MESSAGES);
        assert!(other.to_string().contains("ctl reexec --keeper"));
        for found in [0, FORMAT + 1] {
            let program = "9.9".to_owned();
            let expected = Unfit::Records { found, program };
            assert_eq!(unfit(&hello(VERSION, Some(found))), expected);
        }
        let mut unmarked = hello(VERSION, Some(FORMAT));
        unmarked.records.remove("@format");
        assert!(matches!(unfit(&unmarked), Unfit::Records { found: 0, .. }));
        // Nothing was written by a refusal.
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        check(&hello(VERSION, Some(FORMAT)), dir.path()).unwrap();
        check(&hello(VERSION, None), dir.path()).unwrap();
        let path = dir.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        let newer = text.replace("\"version\": 1", "\"version\": 2");
        fs::write(&path, &newer).unwrap();
        let other = unfit(&hello(VERSION, None));
        assert!(matches!(other, Unfit::Files { found: 2, .. }), "{other:?}");
        assert_eq!(other.exit_code(), EXIT_OTHER_FORMAT);
        assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    }
}
