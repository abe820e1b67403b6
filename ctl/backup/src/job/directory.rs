//! The job's directory: the request, our journal, the result. It is root's, and nobody else's.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use jiff::Timestamp;
use safe_path::Dir;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{Error, name, target::Target};

/// Where it is, in our environment.
const VARIABLE: &str = "MATTERVISOR_JOB_DIR";
const REQUEST: &str = "request.json";
const RESULT: &str = "result.json";
const JOURNAL: &str = "journal.json";
/// A longer file is none of these.
const BYTES_MAX: u64 = 1 << 20;
/// The supervisor reads no longer result; what is longer goes without its report.
const RESULT_BYTES_MAX: usize = 64 << 10;

/// The directory.
pub(crate) struct Directory {
    dir: Dir,
}

/// What is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    arguments: Value,
}

/// Which backup a request is about, whichever run works on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    id: String,
    to: PathBuf,
    made: Timestamp,
}

impl Order {
    /// # Errors
    /// [`Error::Arguments`] if they are not understood.
    pub(crate) fn arguments<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_value(self.arguments.clone()).map_err(|error| Error::Arguments {
            error: error.to_string(),
        })
    }
}

impl Directory {
    pub(crate) fn of_environment() -> Result<Self, Error> {
        let path = std::env::var_os(VARIABLE).ok_or(Error::NoJob)?;
        let path = PathBuf::from(path);
        let dir = Dir::open(&path).map_err(Error::with("open", &path))?;
        Ok(Self { dir })
    }

    pub(crate) fn order(&self) -> Result<Order, Error> {
        let path = self.dir.path().join(REQUEST);
        let text = self
            .dir
            .read(REQUEST, BYTES_MAX)
            .map_err(Error::with("read", &path))?;
        serde_json::from_slice(&text).map_err(|error| Error::Arguments {
            error: error.to_string(),
        })
    }

    /// That of an earlier run of the same request, or a new one.
    pub(super) fn journal(&self, order: &Order, target: &Target) -> Result<Journal, Error> {
        let text = self.dir.read(JOURNAL, BYTES_MAX).unwrap_or_default();
        let earlier = serde_json::from_slice(&text).ok();
        if let Some(earlier) =
            earlier.filter(|it: &Journal| it.id == order.id && it.to == target.path())
        {
            return Ok(earlier);
        }
        let mut made = Timestamp::now();
        // Two in one second.
        let there = target.backups()?;
        while there.contains(&name::of(made)) {
            made += jiff::SignedDuration::from_secs(1);
        }
        let journal = Journal {
            id: order.id.clone(),
            to: target.path().to_owned(),
            made,
        };
        self.write(
            JOURNAL,
            &serde_json::to_vec(&journal).map_err(io::Error::from)?,
        )?;
        Ok(journal)
    }

    pub(crate) fn result(
        &self,
        order: &Order,
        ok: bool,
        message: &str,
        report: &Value,
    ) -> Result<(), Error> {
        let message: String = message.lines().collect::<Vec<_>>().join(" ");
        let result = |report: &Value| {
            let result = json!({ "id": order.id, "ok": ok, "message": message, "report": report });
            result.to_string().into_bytes()
        };
        let mut text = result(report);
        if text.len() > RESULT_BYTES_MAX {
            text = result(&Value::Null);
        }
        self.write(RESULT, &text)
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<(), Error> {
        write(&self.dir, name, text)
    }
}

/// On the disk, or not at all.
pub(crate) fn write(dir: &Dir, name: &str, text: &[u8]) -> Result<(), Error> {
    let new = format!("{name}.new");
    let path = dir.path().join(name);
    let written = || -> io::Result<()> {
        dir.remove(&new)?;
        let mut file = dir.create(&new, 0o600)?;
        file.write_all(text)?;
        file.sync_all()?;
        dir.rename(&new, name)?;
        dir.sync()
    };
    written().map_err(Error::with("write", &path))
}

impl Journal {
    pub(super) fn made(&self) -> Timestamp {
        self.made
    }

    /// The backup is there already.
    pub(super) fn is_done(&self, target: &Target) -> Result<bool, Error> {
        Ok(target.backups()?.contains(&name::of(self.made)))
    }
}
