//! `mattervisord compress`: makes `NAME.log.zst` of the rotated files of log directories.
//!
//! The keeper alone starts it, at the lowest priority, some time after a rotation. The newest
//! rotated file stays as it is, for it is the one that people look into, and so do those that are
//! younger than asked: in a flood they are gone before it is worth the work.
//!
//! A file is compressed beside the original, under a name that nobody reads, and renamed when it is
//! whole and on the disk; only then is the original removed. What a run that was killed has left
//! behind is removed first. Owner, mode and time of change stay the same.

use std::{
    fs::{File, FileTimes, Permissions},
    io::{self, BufWriter},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use keeper::log::{COMPRESSED, rotated_at};
use nix::sys::{prctl, signal::Signal};
use safe_path::Dir;

use crate::exit;

/// Compression level of zstd, its default: 100 MB/s or more.
const LEVEL: i32 = 3;
/// Suffix of an unfinished file.
const UNFINISHED: &str = ".tmp";
/// Written at once.
const PIECE_BYTES: usize = 128 << 10;
/// Names in a log directory that are looked at.
const NAMES_MAX: usize = 1 << 16;

/// Compresses what is in these directories and has been rotated for that long. The exit code is the
/// errno of the last failure, for the keeper to tell; a failure leaves the file as it is.
pub(crate) fn run(dirs: &[PathBuf], rotated_for: Duration) -> ExitCode {
    // The daemon's end is ours. Fails on no kernel that runs the rest.
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_us = now.map_or(0, |now| now.as_micros());
    let before_us = now_us.saturating_sub(rotated_for.as_micros());
    let mut failed = None;
    for dir in dirs {
        // Gone with its service, or not ours alone: nothing in it is to be changed.
        let Ok(dir) = Dir::open(dir) else { continue };
        for name in candidates(&dir, before_us) {
            if let Err(error) = compress(&dir, &name) {
                let path = dir.path().join(name);
                tracing::warn!("cannot compress {}: {error}", path.display());
                failed = Some(error);
            }
        }
    }
    let code = |error: io::Error| {
        error
            .raw_os_error()
            .and_then(|code| u8::try_from(code).ok())
    };
    failed.map_or(ExitCode::SUCCESS, |error| {
        ExitCode::from(code(error).unwrap_or(exit::FAILURE))
    })
}

/// Files to compress, oldest first. Removes what an earlier run has not finished.
fn candidates(dir: &Dir, before_us: u128) -> Vec<String> {
    let names = dir.names(NAMES_MAX).unwrap_or_default();
    let mut rotated = Vec::new();
    for name in names {
        let Ok(name) = name.into_string() else {
            continue;
        };
        if let Some(us) = rotated_at(&name) {
            rotated.push((us, name));
        } else if name
            .strip_suffix(UNFINISHED)
            .is_some_and(|whole| rotated_at(whole).is_some())
        {
            let _ = dir.remove(name);
        }
    }
    rotated.sort_unstable();
    let newest = rotated.last().map(|(us, _)| *us);
    let old = |us: i64| u128::try_from(us).is_ok_and(|us| us <= before_us);
    rotated
        .into_iter()
        .filter(|(us, name)| Some(*us) != newest && old(*us) && !name.ends_with(COMPRESSED))
        .map(|(_, name)| name)
        .collect()
}

/// Compresses one file, unless it is gone. An error if it is not a plain file of ours.
fn compress(dir: &Dir, name: &str) -> io::Result<()> {
    let plain = match dir.open_own(name) {
        // Rotated away meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let whole = format!("{name}{COMPRESSED}");
    let unfinished = format!("{whole}{UNFINISHED}");
    let written = write(&plain, dir, &unfinished);
    // A file that was rotated away in the meantime must not come back.
    let done = written.and_then(|()| match dir.stat(name)? {
        Some(_) => dir.rename(&unfinished, &whole).map(|()| true),
        None => Ok(false),
    });
    if matches!(done, Ok(true)) {
        return dir.remove(name).map(drop);
    }
    let _ = dir.remove(&unfinished);
    done.map(drop)
}

fn write(plain: &File, dir: &Dir, to: &str) -> io::Result<()> {
    let meta = plain.metadata()?;
    let file = dir.create(to, 0o600)?;
    if (meta.uid(), meta.gid()) != (file.metadata()?.uid(), file.metadata()?.gid()) {
        fchown(&file, Some(meta.uid()), Some(meta.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(meta.mode() & 0o7777))?;
    let out = BufWriter::with_capacity(PIECE_BYTES, file);
    let mut encoder = zstd::Encoder::new(out, LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(meta.len()))?;
    io::copy(&mut io::Read::take(plain, meta.len()), &mut encoder)?;
    let file = encoder
        .finish()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.set_times(FileTimes::new().set_modified(meta.modified()?))?;
    // The original goes: what replaces it must outlive a power cut.
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    const OLD: &str = "2026-01-01T00-00-00.000000Z.log";
    const MIDDLE: &str = "2026-01-01T00-00-01.000000Z.log";
    const NEWEST: &str = "2026-01-01T00-00-02.000000Z.log";

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn opened(dir: &tempfile::TempDir) -> Dir {
        Dir::open(dir.path()).unwrap()
    }

    fn dir_with(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in files {
            let lines: Vec<String> = (0..20_000).map(|n| format!("{name} {n}\n")).collect();
            fs::write(dir.path().join(name), lines.concat()).unwrap();
        }
        dir
    }

    #[test]
    fn all_but_the_newest_become_smaller_and_hold_the_same() {
        let dir = dir_with(&[OLD, MIDDLE, NEWEST, "current", "notes.log"]);
        let old = dir.path().join(OLD);
        fs::set_permissions(&old, Permissions::from_mode(0o604)).unwrap();
        let before = fs::read(&old).unwrap();
        let meta = fs::metadata(&old).unwrap();
        for path in candidates(&opened(&dir), u128::MAX) {
            compress(&opened(&dir), &path).unwrap();
        }
        let compressed = [format!("{OLD}.zst"), format!("{MIDDLE}.zst")];
        assert_eq!(
            names(dir.path()),
            [
                &compressed[0],
                &compressed[1],
                NEWEST,
                "current",
                "notes.log"
            ]
        );
        let file = File::open(dir.path().join(&compressed[0])).unwrap();
        let after = file.metadata().unwrap();
        assert!(after.len() < meta.len() / 4, "{} bytes", after.len());
        assert_eq!(after.mode(), meta.mode());
        assert_eq!((after.uid(), after.gid()), (meta.uid(), meta.gid()));
        assert_eq!(after.mtime(), meta.mtime());
        assert_eq!(zstd::decode_all(file).unwrap(), before);
        assert!(candidates(&opened(&dir), u128::MAX).is_empty());
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_done_again() {
        let dir = dir_with(&[OLD, NEWEST, "mine.tmp"]);
        fs::write(dir.path().join(format!("{OLD}.zst.tmp")), "half").unwrap();
        fs::write(dir.path().join(format!("{OLD}.zst")), "of a power cut").unwrap();
        for path in candidates(&opened(&dir), u128::MAX) {
            compress(&opened(&dir), &path).unwrap();
        }
        let compressed = format!("{OLD}.zst");
        assert_eq!(names(dir.path()), [&compressed, NEWEST, "mine.tmp"]);
        let whole = zstd::decode_all(File::open(dir.path().join(&compressed)).unwrap()).unwrap();
        assert!(whole.ends_with(b" 19999\n"));
    }

    #[test]
    fn young_files_are_left_alone() {
        let dir = dir_with(&[OLD, MIDDLE, NEWEST]);
        let until = rotated_at(OLD).and_then(|us| u128::try_from(us).ok());
        let found = candidates(&opened(&dir), until.unwrap());
        assert_eq!(found, [OLD]);
    }

    #[test]
    fn one_that_goes_away_or_is_no_file_does_no_harm() {
        let dir = dir_with(&[NEWEST]);
        compress(&opened(&dir), OLD).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join(MIDDLE)).unwrap();
        compress(&opened(&dir), MIDDLE).unwrap_err();
        assert_eq!(names(dir.path()), [MIDDLE, NEWEST]);
    }
}
