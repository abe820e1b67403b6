//! The job's directory: the request, our journal, the result. The directory is root's alone.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use api::{JOB_REQUEST_FILE, JOB_RESULT_BYTES_MAX, JOB_RESULT_FILE, JobOrder, JobResult};
use jiff::Timestamp;
use safe_path::Dir;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{hold, notify};
use crate::{Error, Progress, name, target::Target};

/// Environment variable with the path of the job's directory.
const VARIABLE: &str = "MATTERVISOR_JOB_DIR";
const JOURNAL: &str = "journal.json";
/// Longest file that is read there.
const BYTES_MAX: u64 = 1 << 20;

/// The directory.
pub(crate) struct Directory {
    dir: Dir,
}

/// The backup that a request is about; each run of the same request works on the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    id: String,
    to: PathBuf,
    made: Timestamp,
}

/// Parses the arguments of a request.
///
/// # Errors
/// [`Error::Arguments`] if they are not valid.
pub(crate) fn arguments<T: DeserializeOwned>(order: &JobOrder) -> Result<T, Error> {
    serde_json::from_value(order.arguments.clone()).map_err(|error| Error::Arguments {
        error: error.to_string(),
    })
}

impl Directory {
    pub(crate) fn of_environment() -> Result<Self, Error> {
        let path = std::env::var_os(VARIABLE).ok_or(Error::NoJob)?;
        let path = PathBuf::from(path);
        let dir = Dir::open(&path).map_err(Error::with("open", &path))?;
        Ok(Self { dir })
    }

    /// The function that reports the job's progress, and stops the job at a held step.
    pub(crate) fn teller(&self) -> Result<impl FnMut(&Progress) + 'static, Error> {
        let mut tell = notify::teller();
        let dir = self.dir.again()?;
        Ok(move |progress: &Progress| {
            tell(progress);
            if progress.done == 0
                && let Err(error) = hold::at(&dir, progress.step)
            {
                eprintln!("mattervisor-backup: cannot be held: {error}");
            }
        })
    }

    pub(crate) fn order(&self) -> Result<JobOrder, Error> {
        let path = self.dir.path().join(JOB_REQUEST_FILE);
        let text = self
            .dir
            .read(JOB_REQUEST_FILE, BYTES_MAX)
            .map_err(Error::with("read", &path))?;
        serde_json::from_slice(&text).map_err(|error| Error::Arguments {
            error: error.to_string(),
        })
    }

    /// The journal of an earlier run of the same request, or a new one.
    pub(super) fn journal(&self, order: &JobOrder, target: &Target) -> Result<Journal, Error> {
        let text = match self.dir.read(JOURNAL, BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            // An unreadable journal may be of this request: fail, and make no second backup beside
            // the first.
            read => read.map_err(Error::with("read", &self.dir.path().join(JOURNAL)))?,
        };
        let earlier = serde_json::from_slice(&text).ok();
        if let Some(earlier) =
            earlier.filter(|it: &Journal| it.id == order.id && it.to == target.path())
        {
            return Ok(earlier);
        }
        let mut made = Timestamp::now();
        // Another backup of the same second has the name: take the next second.
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

    /// Writes the result of a request, with the request's id.
    pub(crate) fn result(&self, order: &JobOrder, result: JobResult) -> Result<(), Error> {
        let mut result = JobResult {
            id: order.id.clone(),
            message: result.message.lines().collect::<Vec<_>>().join(" "),
            ..result
        };
        let mut text = encoded(&result)?;
        if text.len() > JOB_RESULT_BYTES_MAX {
            // The supervisor would reject a longer result: leave out the report.
            result.report = Value::Null;
            text = encoded(&result)?;
        }
        self.write(JOB_RESULT_FILE, &text)
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<(), Error> {
        write(&self.dir, name, text)
    }
}

fn encoded(result: &JobResult) -> Result<Vec<u8>, Error> {
    Ok(serde_json::to_vec(result).map_err(io::Error::from)?)
}

/// Writes a file atomically and syncs it.
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

    /// Whether the backup already exists.
    pub(super) fn is_done(&self, target: &Target) -> Result<bool, Error> {
        Ok(target.backups()?.contains(&name::of(self.made)))
    }
}
