//! Whether a backup is one: every byte, every member, and the dump by `pg_restore`; and, if asked, a
//! restore into a database of its own, whose rows are counted.

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

/// A backup that is whole.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// Where it is.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of the file but for its trailer.
    pub sum: String,
    /// What it says of itself.
    pub manifest: Manifest,
    /// What happened while it was made.
    pub report: Report,
    /// How far the dump was tried.
    pub dump: Depth,
}

/// How far a dump was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// Its bytes are those that were written. No `pg_restore` here can read it.
    Sums,
    /// `pg_restore` has read all of it.
    Read,
    /// It was restored, and each table has the rows that were counted.
    Restored,
}

impl Verified {
    /// Files that could not be saved, though they were there.
    pub fn lost(&self) -> u64 {
        self.report.troubles.lost()
    }
}

/// Verifies the file of this path. `deep`: on this server it is restored too.
///
/// # Errors
/// Why a backup is not good.
pub fn path(path: &Path, deep: Option<&Server>, watch: &mut Watch) -> Result<Verified, Error> {
    let file = safe_path::open(path).map_err(Error::with("open", path))?;
    verify(&file, path, deep, watch)
}

/// Verifies one of a directory's, and notes what was found beside it.
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
        // Whatever else went wrong says nothing of the backup.
        Err(Error::Bad { error, .. }) if error.is_damage() => held.note(name, false, 0)?,
        Err(_) => {}
    }
    done
}

/// Verifies an open file; `path` is what it is called.
///
/// # Errors
/// Why a backup is not good.
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

/// What a file says of itself, by its beginning alone.
///
/// # Errors
/// It is cut off, or no backup of ours.
pub fn manifest(file: &File) -> Result<Manifest, Error> {
    let bytes = archive::first(file)?;
    let foreign = archive::Error::Foreign("its manifest is of another form");
    Ok(Manifest::read(&bytes).ok_or(foreign)?)
}

/// What reads the dump, if the right programs are here.
fn look(manifest: &Manifest, watch: &Watch) -> Result<Option<Reader>, Error> {
    match Tools::at_least(manifest.pg_dump_major, None, watch.stop()) {
        Ok(tools) => Reader::start(&tools, watch.stop()).map(Some),
        Err(Error::NoTools { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What has been found on the way.
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
