//! Reports changes of files that others write, and reads those files.
//!
//! One inotify instance watches the directories of all files: a file replaced by a rename, or by a
//! changed link on its path, is another file. A change is reported after [`SETTLE`] of quiet, so
//! that a certificate and its key are seen together. Without change nothing wakes up. A rename of a
//! directory above the watched ones can go unseen. Where the system gives no instance, or no watch,
//! the files are checked every [`POLL_EVERY`] instead.

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    ffi::{OsStr, OsString},
    fmt, fs,
    hash::{Hash, Hasher},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Component, Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor},
};
use plan::{Certificate, Host, RealHost, certificates::Finding};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::watch,
    time::{Instant, timeout},
};

/// Quiet time that ends a series of writes.
const SETTLE: Duration = Duration::from_millis(300);
/// A change is reported after this time even without quiet.
const SETTLE_MAX: Duration = Duration::from_secs(3);
/// Interval of checks of files that are not watched.
pub(in crate::control) const POLL_EVERY: Duration = Duration::from_secs(10);
/// Most links on the path to one file.
const LINKS_MAX: usize = 40;
/// Most reads of the event queue in one turn; the next turn reads the rest.
const READS_MAX: usize = 16;

/// Files to check, by service.
#[derive(Debug)]
pub(crate) struct WatchedFiles {
    pub(crate) certificates: Vec<(String, Vec<Certificate>)>,
    pub(crate) paths: BTreeSet<PathBuf>,
}

/// The result of a check.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) stamps: BTreeMap<PathBuf, Stamp>,
    /// Findings by service; only services with certificates.
    pub(crate) findings: BTreeMap<String, Vec<Finding>>,
}

/// A version of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Hash of the content; none: the file does not exist or is unreadable.
    pub(crate) content: Option<u64>,
    /// When it was last changed in any way, milliseconds of the Unix epoch.
    pub(crate) changed_ms: u64,
}

/// Does the check. Reads every file, so the control thread must not call it.
pub(crate) fn look(look: &WatchedFiles) -> Seen {
    let now = RealHost.unix_seconds();
    let stamps = look.paths.iter().map(|path| (path.clone(), stamp(path)));
    let findings = look.certificates.iter().map(|(service, certificates)| {
        let found = certificates
            .iter()
            .flat_map(|certificate| plan::certificates::check(&RealHost, certificate, now));
        (service.clone(), found.collect())
    });
    Seen {
        stamps: stamps.collect(),
        findings: findings.collect(),
    }
}

fn stamp(path: &Path) -> Stamp {
    // A link that leads elsewhere now is a change too.
    let entries = way(path).into_iter().map(|(dir, name)| dir.join(name));
    let found = entries.filter_map(|entry| fs::symlink_metadata(entry).ok());
    let ms = |it: fs::Metadata| it.ctime().saturating_mul(1000) + it.ctime_nsec() / 1_000_000;
    let changed_ms = found.map(ms).max().and_then(|ms| u64::try_from(ms).ok());
    // The check only learns whether the content differs, so the file may belong to an account.
    let read = RealHost.read(path).or_else(|_| RealHost.read_guest(path));
    let content = read.ok().map(|bytes| {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        // Only the beginning of a large file is read.
        let size = safe_path::metadata(path).ok().map(|it| it.len());
        size.hash(&mut hasher);
        hasher.finish()
    });
    Stamp {
        content,
        changed_ms: changed_ms.unwrap_or(0),
    }
}

/// Calls `tell` once the files are watched, and whenever one of them may have changed; or with the
/// reason why there is no watch.
pub(in crate::control) async fn follow(
    mut wanted: watch::Receiver<Vec<PathBuf>>,
    tell: impl Fn(Option<Unwatched>),
) {
    loop {
        let made = Watcher::new().and_then(|watcher| {
            let readable = readable(&watcher)?;
            Ok((watcher, readable))
        });
        let unwatched = match made {
            Ok((watcher, readable)) => watch_all(&mut wanted, &tell, watcher, &readable).await,
            Err(error) => Err(error),
        };
        match unwatched {
            Ok(()) => return,
            Err(unwatched) => tell(Some(unwatched)),
        }
        // Tries again each time: an instance may be available by then.
        if let Ok(Err(_)) = timeout(POLL_EVERY, wanted.changed()).await {
            return;
        }
    }
}

/// Why files are not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwatched {
    /// No further inotify instance for the account, or for this process.
    NoInstance,
    /// No further watch for the account.
    NoWatch,
    /// Permission denied, or no support by the file system.
    Other(Errno),
}

impl From<Errno> for Unwatched {
    fn from(error: Errno) -> Self {
        match error {
            Errno::EMFILE | Errno::ENFILE => Self::NoInstance,
            Errno::ENOSPC => Self::NoWatch,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Unwatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInstance => {
                f.write_str("no inotify instance is left; raise fs.inotify.max_user_instances")
            }
            Self::NoWatch => {
                f.write_str("no inotify watch is left; raise fs.inotify.max_user_watches")
            }
            Self::Other(error) => f.write_str(error.desc()),
        }
    }
}

/// Watches until nobody wants the watch any more, or until it fails.
async fn watch_all(
    wanted: &mut watch::Receiver<Vec<PathBuf>>,
    tell: &impl Fn(Option<Unwatched>),
    mut watcher: Watcher,
    readable: &AsyncFd<OwnedFd>,
) -> Result<(), Unwatched> {
    loop {
        let paths = wanted.borrow_and_update().clone();
        // The path to a file may lead over a file server that does not answer.
        let watched = tokio::task::spawn_blocking(move || {
            let all = watcher.follow(&paths);
            (watcher, all)
        });
        let Ok((back, all)) = watched.await else {
            return Ok(());
        };
        watcher = back;
        all?;
        tell(None);
        loop {
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return Ok(()),
                },
                touched = touched(readable, &mut watcher) => if touched {
                    settle(readable, &mut watcher).await;
                    break;
                },
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe, for a type that changes its descriptor; an OwnedFd does not"
)]
fn readable(watcher: &Watcher) -> Result<AsyncFd<OwnedFd>, Unwatched> {
    let fd = watcher.inotify.as_fd().try_clone_to_owned();
    let readable = fd.and_then(|fd| AsyncFd::with_interest(fd, Interest::READABLE));
    readable.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)).into())
}

/// Waits for an event, and returns whether the event concerns one of the files.
async fn touched(readable: &AsyncFd<OwnedFd>, watcher: &mut Watcher) -> bool {
    let Ok(mut ready) = readable.readable().await else {
        return std::future::pending().await;
    };
    let touched = watcher.drain();
    ready.clear_ready();
    touched
}

/// Waits until no event has come for a while.
async fn settle(readable: &AsyncFd<OwnedFd>, watcher: &mut Watcher) {
    let end = Instant::now() + SETTLE_MAX;
    while Instant::now() < end && timeout(SETTLE, touched(readable, watcher)).await.is_ok() {}
}

/// The inotify instance, and the relevant names in each directory.
#[derive(Debug)]
struct Watcher {
    inotify: Inotify,
    names: BTreeMap<WatchDescriptor, BTreeSet<OsString>>,
}

impl Watcher {
    fn new() -> Result<Self, Unwatched> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        Ok(Self {
            inotify,
            names: BTreeMap::new(),
        })
    }

    /// Watches exactly the directories on the paths of these files. The error says why a watch
    /// failed.
    fn follow(&mut self, paths: &[PathBuf]) -> Result<(), Unwatched> {
        let mut all = Ok(());
        let mut names: BTreeMap<WatchDescriptor, BTreeSet<OsString>> = BTreeMap::new();
        for (dir, name) in paths.iter().flat_map(|path| way(path)) {
            let mut mask = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE;
            mask |= AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_MOVED_FROM;
            mask |= AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_ATTRIB;
            mask |= AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
            mask |= AddWatchFlags::IN_ONLYDIR;
            match self.inotify.add_watch(&dir, mask) {
                Ok(descriptor) => {
                    names.entry(descriptor).or_default().insert(name);
                }
                // The directory is gone, which the watch of its parent reports.
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(error) => all = Err(error.into()),
            }
        }
        for descriptor in self.names.keys() {
            if !names.contains_key(descriptor) {
                // The watch may be gone with its directory.
                let _ = self.inotify.rm_watch(*descriptor);
            }
        }
        self.names = names;
        all
    }

    /// Reads the events, and returns whether one concerns one of the files.
    fn drain(&mut self) -> bool {
        let mut own = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
        own |= AddWatchFlags::IN_Q_OVERFLOW;
        let mut touched = false;
        for _ in 0..READS_MAX {
            let Ok(events) = self.inotify.read_events() else {
                break;
            };
            for event in events {
                let names = self.names.get(&event.wd);
                let name = event.name.as_deref().unwrap_or(OsStr::new(""));
                touched |= event.mask.intersects(own);
                touched |= names.is_some_and(|names| names.contains(name));
            }
        }
        touched
    }
}

/// The directories whose entries decide which file a path is, each with the relevant name.
fn way(path: &Path) -> Vec<(PathBuf, OsString)> {
    let mut out = Vec::new();
    let mut dir = PathBuf::from("/");
    let mut left: Vec<OsString> = parts(path);
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == ".." {
            dir.pop();
            continue;
        }
        let next = dir.join(&name);
        let found = fs::symlink_metadata(&next);
        let link = found.as_ref().is_ok_and(fs::Metadata::is_symlink);
        if link || left.is_empty() || found.is_err() {
            out.push((dir.clone(), name));
        }
        if link && links < LINKS_MAX {
            links += 1;
            let Ok(target) = fs::read_link(&next) else {
                break;
            };
            if target.is_absolute() {
                dir = PathBuf::from("/");
            }
            left.extend(parts(&target));
        } else if found.is_err() {
            break;
        } else {
            dir = next;
        }
    }
    out
}

/// The names of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_on_the_way_are_watched_where_they_lie() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        for dir in ["ssl", "live/m", "archive/m"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        fs::write(at("archive/m/cert1.pem"), "1").unwrap();
        symlink("../../archive/m/cert1.pem", at("live/m/cert.pem")).unwrap();
        symlink(at("live/m/cert.pem"), at("ssl/m.crt")).unwrap();
        let found = way(&at("ssl/m.crt"));
        let expected = [
            ("ssl", "m.crt"),
            ("live/m", "cert.pem"),
            ("archive/m", "cert1.pem"),
        ];
        assert_eq!(
            found,
            expected.map(|(dir, name)| (at(dir), OsString::from(name)))
        );
        assert_eq!(way(&at("none/x/y")), [(root.clone(), "none".into())]);
        symlink("loop", at("loop")).unwrap();
        assert!(way(&at("loop")).len() <= LINKS_MAX + 1);
    }

    #[tokio::test]
    async fn a_change_is_told_once_it_has_settled() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.crt");
        let (sender, wanted) = watch::channel(vec![path.clone(), root.path().join("later/b")]);
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let task = tokio::spawn(follow(wanted, move |_| {
            // Nobody waits any more at the end.
            let _ = tell.send(());
        }));
        told.recv().await.unwrap();
        fs::write(root.path().join("other"), "no concern").unwrap();
        let quiet = timeout(SETTLE * 2, told.recv()).await;
        assert!(quiet.is_err(), "another file was told of");
        for part in ["1", "2", "3"] {
            fs::write(root.path().join("new"), part).unwrap();
            fs::rename(root.path().join("new"), &path).unwrap();
        }
        told.recv().await.unwrap();
        assert!(
            told.try_recv().is_err(),
            "one change was told more than once"
        );
        fs::create_dir(root.path().join("later")).unwrap();
        told.recv().await.unwrap();
        fs::write(root.path().join("later/b"), "b").unwrap();
        told.recv().await.unwrap();
        drop(sender);
        task.await.unwrap();
    }
}
