//! What survives the daemon: holds, maintenance, and which schedules have run; plans are in
//! `plan_store.rs`. Small files in the state directory, each written beside its place, synced and
//! renamed.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::{self, Write},
    path::{Path, PathBuf},
};

use api::Maintenance;
use engine::{Hold, Moment};
use safe_path::Dir;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::aside::{self, Aside};

/// A longer file of the state directory is not ours: a plan of a thousand services has less.
const STATE_BYTES_MAX: u64 = 256 << 20;
const HOLDS: &str = "holds.json";
const MAINTENANCE: &str = "maintenance.json";
const RUNNING: &str = "running.json";
const SCHEDULE: &str = "schedule.json";

/// State of each service's schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Handled {
    /// Wall clock times, milliseconds of the Unix epoch, up to which its times have been handled.
    pub(crate) until: BTreeMap<String, u64>,
    /// Outcomes of its runs.
    pub(crate) outcomes: BTreeMap<String, Outcome>,
}

/// Outcomes of one service's runs. Times are milliseconds of the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Since when it has this schedule: what was due before is not owed.
    pub(crate) since: u64,
    /// End of the last good run.
    pub(crate) good: Option<u64>,
    /// The last run was not good: when that was, and why.
    pub(crate) failed: Option<(u64, String)>,
    /// When it was last told that it is overdue, until it is no more.
    pub(crate) told: Option<u64>,
    /// The end that was taken in last, so that none counts twice.
    pub(crate) seen: Option<Moment>,
}

/// Holds, with the id of the boot in which they were set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Holds {
    /// Kernel's id of the boot.
    pub(crate) boot_id: String,
    /// Holds by service.
    pub(crate) services: BTreeMap<String, StoredHold>,
}

/// A stored hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredHold {
    /// The user who holds the service, and since when.
    pub(crate) hold: Hold,
    /// Restart policy `unless-stopped`: it survives a reboot.
    pub(crate) over_reboot: bool,
}

impl Holds {
    /// The stored holds that still count in this boot. A missing file means none.
    ///
    /// # Errors
    /// The file cannot be parsed, and has been put aside.
    pub(crate) fn read(
        state_dir: &Path,
        boot_id: &str,
    ) -> Result<BTreeMap<String, StoredHold>, Aside> {
        let holds = read_json::<Self>(&state_dir.join(HOLDS))?.unwrap_or_default();
        let same_boot = holds.boot_id == boot_id;
        let still = |stored: &StoredHold| same_boot || stored.over_reboot;
        let mut services = holds.services;
        services.retain(|_, stored| still(stored));
        Ok(services)
    }

    /// Stores them, durably: a client hears "done" after this.
    pub(crate) fn write(&self, state_dir: &Path) -> io::Result<()> {
        write_atomically(
            &state_dir.join(HOLDS),
            serde_json::to_string_pretty(self)?.as_bytes(),
        )
    }
}

/// Main runs that live, or whose end is not in the history yet; by id, as the history has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Running(pub(crate) BTreeMap<String, LiveRun>);

/// A stored live run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LiveRun {
    /// Service of the run.
    pub(crate) service: String,
    /// Its main process.
    pub(crate) pid: Option<i32>,
    /// RFC 3339 in UTC.
    pub(crate) since: String,
}

/// The main runs that live, or lived under an earlier daemon. A missing file means none.
///
/// # Errors
/// The file cannot be parsed, and has been put aside.
pub(crate) fn read_running(state_dir: &Path) -> Result<Running, Aside> {
    Ok(read_json(&state_dir.join(RUNNING))?.unwrap_or_default())
}

/// Stores the main runs that live.
pub(crate) fn write_running(state_dir: &Path, running: &Running) -> io::Result<()> {
    let text = serde_json::to_string_pretty(running)?;
    write_atomically(&state_dir.join(RUNNING), text.as_bytes())
}

/// Up to when schedules were handled. What cannot be read is not known: nothing is owed then.
///
/// # Errors
/// The file cannot be parsed, and has been put aside.
pub(crate) fn read_schedule(state_dir: &Path) -> Result<Handled, Aside> {
    let handled = read_json(&state_dir.join(SCHEDULE))?;
    Ok(handled.unwrap_or_default())
}

/// Stores up to when schedules were handled.
pub(crate) fn write_schedule(state_dir: &Path, handled: &Handled) -> io::Result<()> {
    let text = serde_json::to_string_pretty(handled)?;
    write_atomically(&state_dir.join(SCHEDULE), text.as_bytes())
}

/// Whether the host is in maintenance. A missing file means that it is not.
///
/// # Errors
/// The file cannot be parsed, and has been put aside.
pub(crate) fn read_maintenance(state_dir: &Path) -> Result<Option<Maintenance>, Aside> {
    let stored = read_json::<Option<Maintenance>>(&state_dir.join(MAINTENANCE))?;
    Ok(stored.flatten())
}

/// Stores whether the host is in maintenance, durably.
pub(crate) fn write_maintenance(
    state_dir: &Path,
    maintenance: Option<&Maintenance>,
) -> io::Result<()> {
    let text = serde_json::to_string_pretty(&maintenance)?;
    write_atomically(&state_dir.join(MAINTENANCE), text.as_bytes())
}

/// The value in a file of the state directory, if there is one.
///
/// # Errors
/// The file cannot be parsed, and has been put aside.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Aside> {
    aside::read_json(path, STATE_BYTES_MAX)
}

/// As [`read_json`], for a caller that can try again later.
///
/// # Errors
/// The file cannot be read for now.
pub(crate) fn read_json_later<T: DeserializeOwned>(
    path: &Path,
) -> io::Result<Result<Option<T>, Aside>> {
    aside::read_json_later(path, STATE_BYTES_MAX)
}

/// Writes a file of mode 0600 so that after a crash the old one or the new one is there, whole.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = write_beside(path, content)?;
    put_in_place(&beside, path)
}

/// The first half of it, all that takes room: where the new content lies now.
pub(crate) fn write_beside(path: &Path, content: &[u8]) -> io::Result<PathBuf> {
    let beside = path.with_extension("new");
    let (dir, name) = place(&beside)?;
    let write = || {
        dir.remove(name)?;
        let mut file = dir.create(name, 0o600)?;
        file.write_all(content)?;
        file.sync_all()
    };
    // Half a file would only hold the room that others want.
    write().inspect_err(|_| drop(dir.remove(name)))?;
    Ok(beside)
}

/// The second half.
pub(crate) fn put_in_place(beside: &Path, path: &Path) -> io::Result<()> {
    let (dir, name) = place(path)?;
    dir.rename(place(beside)?.1, name)?;
    dir.sync()
}

/// The first half is of no use.
pub(crate) fn forget_beside(beside: &Path) {
    let _ = place(beside).and_then(|(dir, name)| dir.remove(name));
}

fn place(path: &Path) -> io::Result<(Dir, &OsStr)> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "it is no path of a file");
    let (dir, name) = path.parent().zip(path.file_name()).ok_or_else(wrong)?;
    // An administrator may have removed the directory.
    Ok((Dir::make(dir, 0o755)?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(by: &str, over_reboot: bool) -> StoredHold {
        StoredHold {
            hold: Hold {
                by: by.to_owned(),
                at_unix_ms: 7,
            },
            over_reboot,
        }
    }

    #[test]
    fn holds_survive_the_daemon_and_those_of_unless_stopped_a_reboot() {
        let dir = tempfile::tempdir().unwrap();
        let services = [
            ("a".to_owned(), stored("root", false)),
            ("b".to_owned(), stored("eve", true)),
        ];
        let holds = Holds {
            boot_id: "one".to_owned(),
            services: services.into(),
        };
        holds.write(dir.path()).unwrap();
        let same: Vec<_> = Holds::read(dir.path(), "one")
            .unwrap()
            .into_keys()
            .collect();
        assert_eq!(same, ["a", "b"]);
        let next: Vec<_> = Holds::read(dir.path(), "two")
            .unwrap()
            .into_keys()
            .collect();
        assert_eq!(next, ["b"]);
    }

    #[test]
    fn no_file_means_no_hold() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Holds::read(dir.path(), "one").unwrap().is_empty());
    }
}
