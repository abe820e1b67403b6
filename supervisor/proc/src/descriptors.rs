//! `/proc/PID/fd` and `/proc/PID/exe`: what a process has open, and the program it runs.
//!
//! The text of such a link is the path by which the file was opened, as seen from where that
//! process is: in a container the same text may be another file. Behind the path of a file that has
//! no name any more the kernel puts ` (deleted)`.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind},
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use nix::errno::Errno;

use crate::OWN_PROGRAM;

/// Suffix that the kernel puts behind the path of a file without a name.
const DELETED: &str = " (deleted)";
/// Standard output and standard error.
const OUTPUTS: [i32; 2] = [1, 2];

/// Where a link of `/proc` leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The path by which the file was opened.
    pub path: PathBuf,
    /// That path does not lead to the file any more.
    pub deleted: bool,
}

impl Target {
    fn of(link: &Path) -> io::Result<Self> {
        let path = fs::read_link(link)?;
        let text = path.to_string_lossy();
        let named = text.strip_suffix(DELETED).map(PathBuf::from);
        Ok(Self {
            deleted: named.is_some(),
            path: named.unwrap_or_else(|| path.clone()),
        })
    }
}

/// A path that leads to an open file of this process, however long or gone its own path is.
pub fn fd_path(fd: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// Where an open file of this process has its name.
///
/// # Errors
/// `/proc` is not mounted.
pub fn path_of(fd: &impl AsFd) -> io::Result<Target> {
    Target::of(&fd_path(fd))
}

/// The program that this process runs, where it was when it was started.
///
/// # Errors
/// `/proc` is not mounted.
pub fn own_program() -> io::Result<Target> {
    Target::of(Path::new(OWN_PROGRAM))
}

/// A path by which to execute the program that a process runs, whatever is at its place by now.
pub fn program_path(pid: u32) -> String {
    format!("/proc/{pid}/exe")
}

/// The program that a process runs.
///
/// # Errors
/// The process has ended or is not ours to see.
pub fn program(pid: i32) -> io::Result<Target> {
    Target::of(Path::new(&format!("/proc/{pid}/exe")))
}

/// How many files a process has open.
///
/// # Errors
/// They are not for us to see, or the process has ended.
pub fn open_descriptors(pid: i32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// The process has one of these files open, or one that had this path.
pub fn has_open(pid: i32, files: &[PathBuf]) -> bool {
    let mut targets = links(pid).filter_map(|link| Target::of(&link).ok());
    targets.any(|target| files.contains(&target.path))
}

/// The process has a deleted file open that had one of these paths, and is on this device.
pub fn has_open_deleted(pid: i32, files: &[PathBuf], device: u64) -> bool {
    links(pid).any(|link| {
        let target = Target::of(&link).ok();
        // Only then: to ask about a file of another machine may hang.
        let is_one = target.is_some_and(|it| it.deleted && files.contains(&it.path));
        is_one && fs::metadata(link).is_ok_and(|meta| meta.dev() == device)
    })
}

fn links(pid: i32) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    entries.flatten().map(|entry| entry.path())
}

/// The process has this pipe as its standard output or error.
pub fn holds_pipe(pid: i32, inode: u64) -> bool {
    output_pipes(pid).any(|pipe| pipe == inode)
}

/// Inodes of the pipes that a process has as its standard output and error.
pub fn output_pipes(pid: i32) -> impl Iterator<Item = u64> {
    OUTPUTS.into_iter().filter_map(move |fd| pipe_at(pid, fd))
}

/// Inode of the pipe that a process has as its standard output.
pub fn output_pipe(pid: i32) -> Option<u64> {
    pipe_at(pid, OUTPUTS[0])
}

fn pipe_at(pid: i32, fd: i32) -> Option<u64> {
    let link = fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
    inode_of(&link, "pipe")
}

/// Inodes of all sockets that a process has open.
///
/// # Errors
/// They are not for us to see. A process that has ended has none.
pub fn sockets(pid: i32) -> io::Result<BTreeSet<u64>> {
    let gone = |error: &io::Error| {
        error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ESRCH as i32)
    };
    let entries = match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(entries) => entries,
        Err(error) if gone(&error) => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let mut inodes = BTreeSet::new();
    for fd in entries {
        match fd.and_then(|fd| fs::read_link(fd.path())) {
            Ok(link) => inodes.extend(inode_of(&link, "socket")),
            // Closed meanwhile.
            Err(error) if gone(&error) => {}
            // The numbers can be listed where what they stand for is not told.
            Err(error) => return Err(error),
        }
    }
    Ok(inodes)
}

/// The inode of a link such as `socket:[123]`.
fn inode_of(link: &Path, kind: &str) -> Option<u64> {
    let inside = link.to_str()?.strip_prefix(kind)?.strip_prefix(":[")?;
    inside.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn own_pid() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn a_deleted_file_is_told_from_one_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let file = fs::File::create(&path).unwrap();
        let there = path_of(&file).unwrap();
        assert_eq!((&there.path, there.deleted), (&path, false));
        assert!(has_open(own_pid(), std::slice::from_ref(&path)));
        fs::remove_file(&path).unwrap();
        let gone = path_of(&file).unwrap();
        assert_eq!((&gone.path, gone.deleted), (&path, true));
        assert!(has_open(own_pid(), std::slice::from_ref(&path)));
        let device = file.metadata().unwrap().dev();
        let paths = std::slice::from_ref(&path);
        assert!(has_open_deleted(own_pid(), paths, device));
        assert!(!has_open_deleted(own_pid(), paths, device + 1));
        drop(file);
        assert!(!has_open(own_pid(), &[path]));
    }

    #[test]
    fn sockets_and_pipes_are_known_by_their_inodes() {
        let (one, _other) = UnixStream::pair().unwrap();
        let inode = fs::metadata(fd_path(&one)).unwrap().ino();
        assert!(sockets(own_pid()).unwrap().contains(&inode));
        assert!(sockets(i32::MAX).unwrap().is_empty());
        assert_eq!(inode_of(Path::new("pipe:[12]"), "pipe"), Some(12));
        assert_eq!(inode_of(Path::new("pipe:[12]"), "socket"), None);
        assert_eq!(inode_of(Path::new("/dev/pipe:[12]"), "pipe"), None);
    }

    #[test]
    fn our_own_program_is_in_its_place() {
        let program = program(own_pid()).unwrap();
        assert!(!program.deleted && program == own_program().unwrap());
    }
}
