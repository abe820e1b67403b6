//! Groups in the unified cgroup hierarchy, one for each service.
//!
//! The groups serve to group and to kill, wherever a directory can be made, also on a hybrid
//! hierarchy. The keeper enables no controller, so keeper and control process may stay in the group
//! that they were started in: a move costs 10 ms at the start and at the end. After any failure the
//! keeper works without groups.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            ffi::OsStringExt,
            fs::{DirEntryExt, OpenOptionsExt},
        },
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    libc,
    sys::stat::{Mode, fstat},
};
use proc::{Mount, members};

/// Name reserved for the keeper and the control process, should they need a group.
const OWN: &str = "supervisor";
/// Prefix of the groups of helper runs.
const HELPER: &str = "helper-";

/// Larger than any `cgroup.events`.
const EVENTS_BYTES: usize = 256;

/// `mattervisor-HASH`, below the group that the keeper was started in.
#[derive(Debug)]
pub(crate) struct Cgroups {
    base: PathBuf,
    /// Mount of the hierarchy; maps paths in `/proc/PID/cgroup` to directories.
    mount: Mount,
}

/// A directory that holds the processes of one service or helper run.
#[derive(Debug)]
pub(crate) struct Group {
    dir: PathBuf,
    /// Path of the group in `/proc/PID/cgroup`.
    shown: String,
    fd: OwnedFd,
}

impl Cgroups {
    /// Makes the daemon's group. `None`: there is no unified
    /// hierarchy, or no permission; or `MATTERVISOR_NO_CGROUP` is set.
    pub(crate) fn set_up(hash: &str) -> Option<Self> {
        if std::env::var_os("MATTERVISOR_NO_CGROUP").is_some() {
            return None;
        }
        let mount = Mount::find()?;
        let shown = proc::cgroup(i32::try_from(std::process::id()).ok()?)?;
        let base = mount.directory(&shown)?.join(format!("mattervisor-{hash}"));
        make_dir(&base).ok()?;
        Some(Self { base, mount })
    }

    /// Path of the daemon's group, for the next image of this process.
    pub(crate) fn saved(&self) -> PathBuf {
        self.base.clone()
    }

    /// The daemon's group of an earlier image of this process.
    pub(crate) fn resume(base: PathBuf) -> Option<Self> {
        let mount = Mount::find()?;
        Some(Self { base, mount })
    }

    /// Makes or finds the group of a service.
    pub(crate) fn service(&self, name: &str) -> io::Result<Group> {
        let taken = name == OWN || name.starts_with(HELPER) || name.starts_with("cgroup.");
        self.group(&if taken {
            format!("{name}.service")
        } else {
            name.to_owned()
        })
    }

    /// Makes the group of a helper run.
    pub(crate) fn helper(&self, run: u64) -> io::Result<Group> {
        self.group(&format!("{HELPER}{run}"))
    }

    fn group(&self, name: &str) -> io::Result<Group> {
        make_dir(&self.base.join(name))?;
        self.again(name)
    }

    /// The group of this name, which exists.
    pub(crate) fn again(&self, name: &str) -> io::Result<Group> {
        let dir = self.base.join(name);
        let fd = fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY)
            .open(&dir)?;
        let below = dir.strip_prefix(&self.mount.point).unwrap_or(&dir);
        let shown = self.mount.root.join(below);
        Ok(Group {
            shown: shown.to_string_lossy().into_owned(),
            fd: fd.into(),
            dir,
        })
    }

    /// Directories of groups, also those of an earlier keeper on the same state.
    pub(crate) fn existing(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.base) else {
            return Vec::new();
        };
        let directories = entries.flatten().filter(|entry| {
            entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.file_name() != OWN
        });
        directories.map(|entry| entry.path()).collect()
    }

    /// Removes all empty directories.
    pub(crate) fn tear_down(&self) {
        for dir in self.existing() {
            let _ = fs::remove_dir(dir);
        }
        let _ = fs::remove_dir(&self.base);
    }
}

impl Group {
    /// Its name in the daemon's group.
    pub(crate) fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Path of the group's directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether `/proc/PID/cgroup` shows the process in this group or below.
    pub(crate) fn holds(&self, pid: i32) -> bool {
        proc::cgroup(pid).is_some_and(|shown| {
            shown
                .strip_prefix(&self.shown)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Whether this group, or a group below, has this id in the kernel.
    pub(crate) fn has_id(&self, id: u64) -> bool {
        fstat(&self.fd).is_ok_and(|stat| stat.st_ino == id) || below_has_id(&self.dir, id)
    }

    /// The file by which a process enters the group.
    pub(crate) fn procs(&self) -> Option<CString> {
        let file = self.dir.join("cgroup.procs");
        CString::new(file.into_os_string().into_vec()).ok()
    }

    /// Whether no process lives in the group or below. A directory that is gone is empty.
    pub(crate) fn is_empty(&self) -> bool {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let events = match openat(&self.fd, "cgroup.events", flags, Mode::empty()) {
            Ok(events) => events,
            Err(errno) => return [Errno::ENOENT, Errno::ENODEV].contains(&errno),
        };
        let mut text = [0; EVENTS_BYTES];
        let read = nix::unistd::read(&events, &mut text);
        let populated = b"populated 1";
        read.is_ok_and(|count| {
            !text[..count]
                .split(|byte| *byte == b'\n')
                .any(|line| line == populated)
        })
    }

    /// Removes the directory; false if a process is still in the group.
    pub(crate) fn remove(&self) -> bool {
        match fs::remove_dir(&self.dir) {
            Err(error) => error.kind() != io::ErrorKind::ResourceBusy,
            Ok(()) => true,
        }
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Sends SIGKILL to every process in the group. The caller repeats it until the group is empty,
/// since processes fork meanwhile.
///
/// Not by `cgroup.kill`: from Linux 6.14 on a group that was killed that way kills every process
/// that is later spawned in it by `CLONE_INTO_CGROUP` (the kernel compares the group's count of
/// kills with that of the parent's group), so that no run after the first sweep would live.
pub(crate) fn kill(dir: &Path) {
    // In a frozen group nothing forks while the list is read; a frozen process still dies of
    // SIGKILL.
    let frozen = fs::write(dir.join("cgroup.freeze"), "1").is_ok();
    for pid in members(dir) {
        let _ = crate::sys::pidfd::kill(pid, libc::SIGKILL);
    }
    if frozen {
        let _ = fs::write(dir.join("cgroup.freeze"), "0");
    }
}

fn below_has_id(dir: &Path, id: u64) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut groups = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    groups.any(|group| group.ino() == id || below_has_id(&group.path(), id))
}

fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
