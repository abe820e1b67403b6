//! Makes a backup.
//!
//! Order: every check, then (offline) Mattermost's stop, then the snapshot, its dump, and after
//! that the files, so that each row has its file. Invariant: no file has a backup's name before all
//! its bytes are on the disk.

mod checks;
mod documents;
mod environment;
mod save;

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

pub use checks::Checked;

use crate::{
    Error, Step, Watch,
    archive::{self, Writer},
    configuration::Configuration,
    manifest::{Manifest, Mode, Report},
    name,
    target::{Held, Target, must_be_mounted},
};

/// Options of a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether Mattermost may run meanwhile.
    pub mode: Mode,
    /// Whether to leave out the secrets that lie in files.
    pub without_secrets: bool,
}

/// A finished backup.
#[derive(Clone, Debug, Serialize)]
pub struct Created {
    /// Path of the backup.
    pub file: PathBuf,
    /// Length of the backup, in bytes.
    pub bytes: u64,
    /// SHA-256 of the file but for its trailer.
    pub sum: String,
    /// Manifest of the backup.
    #[serde(skip)]
    pub manifest: Manifest,
    /// Files that changed or could not be read while the backup was made.
    pub report: Report,
}

/// Stops Mattermost for an offline backup. Dropping the pause starts Mattermost again.
pub trait Pause {
    /// # Errors
    /// Mattermost could not be stopped.
    fn pause(&mut self, watch: &mut Watch) -> Result<(), Error>;
    /// # Errors
    /// Mattermost did not come back.
    fn resume(&mut self) -> Result<(), Error>;
}

/// Opens and locks the directory of backups.
///
/// # Errors
/// The directory is missing, not mounted or not safe, or another program works in it.
pub fn hold(configuration: &Configuration) -> Result<Held, Error> {
    if let Some(mount) = &configuration.require_mount {
        must_be_mounted(mount)?;
    }
    Target::open(&configuration.to)?.hold()
}

/// Makes a backup, named by the current time.
///
/// # Errors
/// After an error nothing is left of the backup.
pub fn create(
    configuration: &Configuration,
    options: Options,
    held: &Held,
    made: Timestamp,
    pause: &mut dyn Pause,
    watch: &mut Watch,
) -> Result<Created, Error> {
    let stop = watch.stop().clone();
    let done = attempt(configuration, options, held, made, pause, watch);
    // After a stop request, report the request and not the complaint of a child that it ended.
    done.map_err(|error| stop.check().err().unwrap_or(error))
}

fn attempt(
    configuration: &Configuration,
    options: Options,
    held: &Held,
    made: Timestamp,
    pause: &mut dyn Pause,
    watch: &mut Watch,
) -> Result<Created, Error> {
    let checked = checks::check(configuration, options, held.target(), watch)?;
    if options.mode == Mode::Offline {
        pause.pause(watch)?;
    }
    let written = write(configuration, held, made, checked, watch);
    let resumed = match options.mode {
        Mode::Offline => {
            watch.step(Step::StartMattermost, None, crate::Unit::Files);
            pause.resume()
        }
        Mode::Online => Ok(()),
    };
    let created = written?;
    resumed?;
    Ok(created)
}

fn write(
    configuration: &Configuration,
    held: &Held,
    made: Timestamp,
    checked: Checked,
    watch: &mut Watch,
) -> Result<Created, Error> {
    let Checked {
        sources,
        survey,
        mut manifest,
        asked,
    } = checked;
    // The snapshot's moment, which names the backup.
    let dump = asked.dump()?;
    let now = Timestamp::now();
    let (partial, file, spool) = held.begin(&name::of(made))?;
    manifest.created = text::rfc3339_seconds(now);
    manifest.database = dump.facts.clone();
    let mut writer = Writer::new(file, spool, now.as_second())?;
    let text = serde_json::to_vec_pretty(&manifest).map_err(std::io::Error::from)?;
    writer.document(archive::MANIFEST, &text)?;
    writer.new_frame()?;
    let dump_bytes = save::database(&mut writer, dump, &configuration.database, watch)?;
    watch.step(Step::CopyFiles, Some(survey.bytes), crate::Unit::Bytes);
    let (files, troubles) = save::files(&mut writer, &sources, watch)?;
    let report = Report {
        files,
        dump_bytes,
        troubles,
    };
    let text = serde_json::to_vec_pretty(&report).map_err(std::io::Error::from)?;
    writer.document(archive::REPORT, &text)?;
    watch.step(Step::WriteToDisk, None, crate::Unit::Bytes);
    let written = writer.finish()?;
    watch.stop().check()?;
    Ok(Created {
        file: partial.keep()?,
        bytes: written.bytes,
        sum: archive::hex(&written.sum),
        manifest,
        report,
    })
}
