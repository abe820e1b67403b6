//! Files of the state directory that are damaged or of the wrong kind: reported and set aside;
//! nothing is put in their place.
//!
//! A file that a bad disk, a wrong restore or a mistake of an administrator has spoiled may be the
//! only copy of its data, so it is never overwritten. It gets the name `NAME.broken-DATE` and
//! counts as missing. So does a file that cannot be read for a reason that may pass (no descriptor,
//! an error of the disk), since the next write would replace it; a caller that can wait uses
//! [`read_json_later`] and keeps the file. Nothing here blocks: files are opened without blocking
//! and are regular ones of bounded size (`safe_path`). Limit: [`KEPT_MAX`].

use std::{
    ffi::OsStr,
    fmt, io,
    path::{Path, PathBuf},
};

use safe_path::Dir;
use serde::de::DeserializeOwned;

use crate::unready::io_can_pass;

/// Most files kept of one name; the oldest are removed, except directories that are not empty.
const KEPT_MAX: usize = 3;
/// Names of a directory that are looked at.
const NAMES_MAX: usize = 4096;
/// Two in the same moment get different names; more are not expected.
const NAMES_TRIED_MAX: u32 = 100;

/// A file that cannot be parsed as a state file, and what became of it.
#[derive(Debug)]
pub(crate) struct Aside {
    path: PathBuf,
    why: String,
    /// The file's new place.
    now: io::Result<String>,
}

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, why) = (self.path.display(), &self.why);
        match &self.now {
            Ok(name) => write!(f, "cannot use {path}: {why}; it is kept as {name}"),
            Err(error) => write!(f, "cannot use {path}: {why}; nor put it aside: {error}"),
        }
    }
}

/// The value in a state file; none: there is no such file.
///
/// # Errors
/// The file cannot be parsed, and has been put aside.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<Option<T>, Aside> {
    load(path, limit).map_err(|unread| match unread {
        Unread::Unreadable(error) => put(path, error.to_string()),
        Unread::Spoiled(why) => put(path, why),
    })
}

/// As [`read_json`], for a caller that can try again later.
///
/// # Errors
/// The file cannot be read for now, and is where it was.
pub(crate) fn read_json_later<T: DeserializeOwned>(
    path: &Path,
    limit: u64,
) -> io::Result<Result<Option<T>, Aside>> {
    match load(path, limit) {
        Ok(value) => Ok(Ok(value)),
        Err(Unread::Unreadable(error)) if io_can_pass(&error) => Err(error),
        Err(Unread::Unreadable(error)) => Ok(Err(put(path, error.to_string()))),
        Err(Unread::Spoiled(why)) => Ok(Err(put(path, why))),
    }
}

/// Why there is no value.
enum Unread {
    Unreadable(io::Error),
    Spoiled(String),
}

fn load<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<Option<T>, Unread> {
    let bytes = match safe_path::read(path, limit) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A link that leads nowhere is something all the same.
            return match safe_path::stat(path) {
                Ok(Some(_)) => Err(Unread::Spoiled(
                    "it is a link that leads nowhere".to_owned(),
                )),
                Ok(None) => Ok(None),
                Err(error) => Err(Unread::Unreadable(error)),
            };
        }
        Err(error) => return Err(Unread::Unreadable(error)),
    };
    let value = serde_json::from_slice(&bytes).map(Some);
    value.map_err(|error| Unread::Spoiled(text::json_place(&error)))
}

/// Puts aside what lies there.
pub(crate) fn put(path: &Path, why: String) -> Aside {
    let moved = || {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let (dir, name) = path.parent().zip(path.file_name()).ok_or_else(missing)?;
        rename(&Dir::open(dir)?, name)
    };
    let aside = Aside {
        path: path.to_owned(),
        why,
        now: moved(),
    };
    tracing::error!("{aside}");
    aside
}

fn rename(dir: &Dir, name: &OsStr) -> io::Result<String> {
    let name = name.to_string_lossy();
    let date = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S.%6fZ");
    for count in 0..NAMES_TRIED_MAX {
        let more = if count > 0 {
            format!("-{count}")
        } else {
            String::new()
        };
        let aside = format!("{name}.broken-{date}{more}");
        if dir.stat(&aside)?.is_none() {
            dir.rename(&*name, &aside)?;
            if let Err(error) = drop_oldest(dir, &format!("{name}.broken-")) {
                tracing::warn!("cannot remove older ones of {aside}: {error}");
            }
            return Ok(aside);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn drop_oldest(dir: &Dir, prefix: &str) -> io::Result<()> {
    let mut names = dir.names(NAMES_MAX)?;
    names.retain(|name| name.to_string_lossy().starts_with(prefix));
    let surplus = names.len().saturating_sub(KEPT_MAX);
    for name in &names[..surplus] {
        // A file that cannot be removed stays.
        let _ = dir
            .remove(name)
            .or_else(|_| dir.remove_dir(name).map(|()| true));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_none_is_put_aside_and_few_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it.json");
        assert_eq!(read_json::<u8>(&path, 100).unwrap(), None);
        fs::write(&path, "7").unwrap();
        assert_eq!(read_json::<u8>(&path, 100).unwrap(), Some(7));
        for round in 0..KEPT_MAX + 2 {
            fs::write(&path, format!("no {round}")).unwrap();
            let told = read_json::<u8>(&path, 100).unwrap_err().to_string();
            assert!(told.contains("it.json.broken-2"), "{told}");
            assert!(!path.exists());
        }
        let kept = fs::read_dir(dir.path())
            .unwrap()
            .map(|it| it.unwrap().path());
        let mut kept: Vec<String> = kept.map(|it| fs::read_to_string(it).unwrap()).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["no 2", "no 3", "no 4"]);
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it.json");
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        read_json::<u8>(&path, 1 << 30).unwrap_err();
        assert!(!path.exists());
    }
}
