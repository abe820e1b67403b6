//! Verifies a backup: every byte, every member, and the dump by `pg_restore`; on request also a
//! restore into a scratch database, whose rows are counted.

mod deep;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    Error, Step, Unit, Watch,
    archive::{self, Entry},
    manifest::{Counts, Manifest, Report},
    postgres::{Reader, Server, Tools},
    target::Held,
};

use deep::Scratch;

/// A backup that was verified and is whole.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// Path of the backup.
    pub file: PathBuf,
    /// Length of the backup.
    pub bytes: u64,
    /// SHA-256 of the file but for its trailer.
    pub sum: String,
    /// Manifest of the backup.
    pub manifest: Manifest,
    /// Files that changed or could not be read while the backup was made.
    pub report: Report,
    /// How far the dump was checked.
    pub dump: Depth,
}

/// How far a dump was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// The bytes are those that were written. No installed `pg_restore` can read the dump.
    Sums,
    /// `pg_restore` has read the whole dump.
    Read,
    /// The dump was restored, and each table has the counted rows.
    Restored,
}

impl Verified {
    /// Files that could not be saved, though they were there.
    pub fn lost(&self) -> u64 {
        self.report.troubles.lost()
    }
}

/// Verifies the backup at this path; with `deep`, restores it on that server too.
///
/// # Errors
/// The fault of the backup.
pub fn path(path: &Path, deep: Option<&Server>, watch: &mut Watch) -> Result<Verified, Error> {
    let file = safe_path::open(path).map_err(Error::with("open", path))?;
    verify(&file, path, deep, watch)
}

/// Verifies a backup of the directory, and stores the result beside it.
///
/// # Errors
/// As for [`verify`].
pub fn noted(
    held: &Held,
    name: &str,
    deep: Option<&Server>,
    watch: &mut Watch,
) -> Result<Verified, Error> {
    let target = held.target();
    let file = target.read(name)?;
    let done = verify(&file, &target.path().join(name), deep, watch);
    match &done {
        Ok(verified) => held.note(name, true, verified.lost())?,
        // Other errors say nothing about the backup.
        Err(Error::Bad { error, .. }) if error.is_damage() => held.note(name, false, 0)?,
        Err(_) => {}
    }
    done
}

/// Verifies an open file; `path` is what it is called.
///
/// # Errors
/// The fault of the backup.
pub fn verify(
    file: &File,
    path: &Path,
    deep: Option<&Server>,
    watch: &mut Watch,
) -> Result<Verified, Error> {
    let stop = watch.stop().clone();
    let done = attempt(file, path, deep, watch);
    done.map_err(|error| match stop.check() {
        Err(cancelled) => cancelled,
        Ok(()) => Error::Bad {
            path: path.to_owned(),
            error: Box::new(error),
        },
    })
}

fn attempt(
    file: &File,
    path: &Path,
    deep: Option<&Server>,
    watch: &mut Watch,
) -> Result<Verified, Error> {
    let manifest = manifest(file)?;
    let mut scratch = match deep {
        Some(server) => Some(Scratch::make(server, &manifest, watch.stop())?),
        None => None,
    };
    let mut reader = match &mut scratch {
        Some(scratch) => Some(scratch.restore()?),
        None => look(&manifest, watch)?,
    };
    watch.step(Step::Verify, Some(file.metadata()?.len()), Unit::Bytes);
    let mut read = Read::default();
    let whole = archive::each(
        file,
        |at| watch.reach(at),
        |entry| read.member(entry, reader.as_mut()),
    )?;
    if read.pieces == 0 {
        return Err(archive::Error::Form("it has no dump of the database".to_owned()).into());
    }
    let (Some(report), Some(counts)) = (read.report, read.counts) else {
        return Err(archive::Error::Form("it does not tell how it was made".to_owned()).into());
    };
    let mut depth = Depth::Sums;
    if let Some(reader) = reader {
        reader.finish()?;
        depth = Depth::Read;
    }
    if let Some(scratch) = scratch {
        scratch.compare(&counts, watch)?;
        depth = Depth::Restored;
    }
    Ok(Verified {
        file: path.to_owned(),
        bytes: whole.bytes,
        sum: archive::hex(&whole.sum),
        manifest,
        report,
        dump: depth,
    })
}

/// Reads the manifest, from the beginning of the file alone.
///
/// # Errors
/// The file is cut off, or not a backup.
pub fn manifest(file: &File) -> Result<Manifest, Error> {
    let bytes = archive::first(file)?;
    let foreign = archive::Error::Foreign("its manifest is of another form");
    Ok(Manifest::read(&bytes).ok_or(foreign)?)
}

/// The program that reads the dump, if a suitable version is installed.
fn look(manifest: &Manifest, watch: &Watch) -> Result<Option<Reader>, Error> {
    match Tools::at_least(manifest.pg_dump_major, None, watch.stop()) {
        Ok(tools) => Reader::start(&tools, watch.stop()).map(Some),
        Err(Error::NoTools { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Findings gathered while the members are read.
#[derive(Default)]
struct Read {
    report: Option<Report>,
    counts: Option<Counts>,
    pieces: u32,
}

impl Read {
    fn member(&mut self, entry: &mut Entry<'_>, reader: Option<&mut Reader>) -> Result<(), Error> {
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        let strange = || archive::Error::Form(format!("{name} is not what it should be"));
        if name == archive::REPORT {
            let text = entry.document()?;
            self.report = Some(serde_json::from_slice(&text).map_err(|_| strange())?);
        } else if name == archive::DATABASE {
            let text = entry.document()?;
            self.counts = Some(serde_json::from_slice(&text).map_err(|_| strange())?);
        } else if let Some(number) = name.strip_prefix(archive::DUMP) {
            if number.parse() != Ok(self.pieces) {
                return Err(strange().into());
            }
            self.pieces += 1;
            if let Some(reader) = reader {
                reader.feed(entry)?;
            }
        }
        Ok(())
    }
}
