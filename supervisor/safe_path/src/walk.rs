//! From `/` to a directory or a file, part by part.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata, OpenOptions},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{MetadataExt, OpenOptionsExt},
        },
    },
    path::{Component, Path, PathBuf},
    sync::{OnceLock, PoisonError, RwLock},
};

use nix::{
    fcntl::{OFlag, openat, readlinkat},
    sys::stat::Mode,
    unistd::geteuid,
};

use crate::Untrusted;

/// Links on the way to one file, as in the kernel.
const LINKS_MAX: usize = 40;
/// Flags for the handle of a part of a path: such a handle touches neither file nor link.
pub(crate) const HANDLE: OFlag = OFlag::O_PATH
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

static ROOTS: RwLock<Vec<PathBuf>> = RwLock::new(Vec::new());

/// Takes this directory and all above it as they are: the administrator has named it. With an
/// absolute path, at the start of a process.
pub fn trust_root(dir: &Path) {
    let mut roots = ROOTS.write().unwrap_or_else(PoisonError::into_inner);
    if dir != Path::new("/") && !roots.iter().any(|root| root == dir) {
        roots.push(dir.to_owned());
    }
}

/// The trusted root that a path lies below, and what is left of the path.
fn root_of(path: &Path) -> (PathBuf, Vec<OsString>) {
    let roots = ROOTS.read().unwrap_or_else(PoisonError::into_inner);
    let below = roots.iter().filter(|root| path.starts_with(root));
    let root = below.max_by_key(|root| root.as_os_str().len()).cloned();
    let root = root.unwrap_or_else(|| PathBuf::from("/"));
    let left = parts(path.strip_prefix(&root).unwrap_or(path));
    (root, left)
}

/// Ownership of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Root's or our own, and so is all above.
    Trusted,
    /// It or one above belongs to somebody else; the uid is the nearest one's.
    Foreign(u32),
    /// It or one above is open to everybody.
    Open,
}

/// A directory on the way.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) handle: OwnedFd,
    pub(crate) path: PathBuf,
    pub(crate) standing: Standing,
    /// Anybody may make files in it, but rename only their own (`/tmp`).
    pub(crate) shared: bool,
}

impl Step {
    /// A second handle of the same directory.
    pub(crate) fn again(&self) -> io::Result<Self> {
        Ok(Self {
            handle: self.handle.try_clone()?,
            path: self.path.clone(),
            ..*self
        })
    }

    /// The directory of this name in it, which is no link.
    pub(crate) fn below(&self, name: &OsStr) -> io::Result<Self> {
        let found = File::from(openat(self, name, HANDLE, Mode::empty())?);
        let meta = found.metadata()?;
        let path = self.path.join(name);
        if meta.is_symlink() {
            let uid = meta.uid();
            return Err(Untrusted::Link { path, uid }.into());
        }
        if !meta.is_dir() {
            let wanted = "directory";
            return Err(Untrusted::Kind { path, wanted }.into());
        }
        Ok(Self::entered(self, found, &meta, path))
    }

    /// Metadata behind a name in the directory, if the name exists; of a link, the link itself.
    pub(crate) fn stat(&self, name: &OsStr) -> io::Result<Option<Metadata>> {
        match openat(self, name, HANDLE, Mode::empty()) {
            Ok(found) => File::from(found).metadata().map(Some),
            Err(nix::errno::Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn entered(above: &Self, found: File, meta: &Metadata, path: PathBuf) -> Self {
        let open = meta.mode() & Mode::S_IWOTH.bits() != 0;
        let sticky = meta.mode() & Mode::S_ISVTX.bits() != 0;
        let standing = if !is_trusted(meta.uid()) {
            Standing::Foreign(meta.uid())
        } else if above.standing != Standing::Trusted {
            above.standing
        } else if open && !sticky {
            Standing::Open
        } else {
            Standing::Trusted
        };
        Self {
            handle: found.into(),
            path,
            standing,
            shared: open,
        }
    }
}

impl AsFd for Step {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// Kind of the end of a path.
pub(crate) enum End {
    /// A directory.
    Dir(Step),
    /// Anything else, and the directory it lies in. It is never a link.
    Other(Step, OsString),
    /// Nothing: these parts are missing below that directory, the next one first.
    Missing(Step, Vec<OsString>),
}

/// Follows a path as far as it leads.
pub(crate) fn walk(path: &Path) -> io::Result<End> {
    let mut way = Way::begin(path)?;
    while let Some(part) = way.left.pop() {
        if part == ".." {
            way.above.truncate((way.above.len() - 1).max(1));
            continue;
        }
        let found = match openat(way.last(), part.as_os_str(), HANDLE, Mode::empty()) {
            Ok(found) => File::from(found),
            Err(nix::errno::Errno::ENOENT) => {
                way.left.push(part);
                way.left.reverse();
                let left = way.left.split_off(0);
                return Ok(End::Missing(way.end(), left));
            }
            Err(errno) => return Err(errno.into()),
        };
        let meta = found.metadata()?;
        if meta.is_symlink() {
            way.follow(&found, &meta, &part)?;
        } else if meta.is_dir() {
            way.enter(found, &meta, &part);
        } else if way.left.is_empty() {
            return Ok(End::Other(way.end(), part));
        } else {
            return Err(nix::errno::Errno::ENOTDIR.into());
        }
    }
    Ok(End::Dir(way.end()))
}

/// What a path leads to, if to anything, whoever could change that; of a link at its end, the link.
pub fn stat(path: &Path) -> io::Result<Option<Metadata>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Some(std::fs::metadata(path)?));
    };
    let End::Dir(step) = walk(parent)? else {
        return Ok(None);
    };
    step.stat(name)
}

/// What a path leads to, whoever could change that. Links of root or our own user are followed.
pub fn metadata(path: &Path) -> io::Result<Metadata> {
    match walk(path)? {
        End::Dir(step) => File::from(step.handle).metadata(),
        End::Other(step, name) => step.stat(&name)?.ok_or(nix::errno::Errno::ENOENT.into()),
        End::Missing(..) => Err(nix::errno::Errno::ENOENT.into()),
    }
}

/// Who owns the last directory on the way that is no longer root's or ours: what goes wrong from
/// there on can be that account's doing.
pub fn foreign_owner(path: &Path) -> Option<u32> {
    let far = path.ancestors().find_map(|path| walk(path).ok())?;
    let (End::Dir(step) | End::Other(step, _) | End::Missing(step, _)) = far;
    match step.standing {
        Standing::Foreign(uid) => Some(uid),
        Standing::Trusted | Standing::Open => None,
    }
}

struct Way {
    /// All directories from the first on, which `..` never leaves.
    above: Vec<Step>,
    /// Parts to go, the next one last.
    left: Vec<OsString>,
    links: usize,
}

impl Way {
    fn begin(path: &Path) -> io::Result<Self> {
        if !path.is_absolute() {
            let path = std::env::current_dir()?.join(path);
            return Self::begin(&path);
        }
        let (first, left) = root_of(path);
        let handle = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_PATH | OFlag::O_DIRECTORY).bits())
            .open(&first)?;
        let step = Step {
            handle: handle.into(),
            path: first,
            standing: Standing::Trusted,
            shared: false,
        };
        Ok(Self {
            above: vec![step],
            left,
            links: 0,
        })
    }

    fn last(&self) -> &Step {
        &self.above[self.above.len() - 1]
    }

    fn end(mut self) -> Step {
        self.above.swap_remove(self.above.len() - 1)
    }

    fn enter(&mut self, found: File, meta: &Metadata, part: &OsStr) {
        let path = self.last().path.join(part);
        let step = Step::entered(self.last(), found, meta, path);
        self.above.push(step);
    }

    fn follow(&mut self, link: &File, meta: &Metadata, part: &OsStr) -> io::Result<()> {
        self.links += 1;
        let path = self.last().path.join(part);
        if self.links > LINKS_MAX {
            return Err(nix::errno::Errno::ELOOP.into());
        }
        let uid = meta.uid();
        if self.last().standing != Standing::Trusted || !is_trusted(uid) {
            return Err(Untrusted::Link { path, uid }.into());
        }
        let target = PathBuf::from(readlinkat(link, "")?);
        if target.is_absolute() {
            let Self { above, left, .. } = Self::begin(&target)?;
            self.above = above;
            self.left.extend(left);
        } else {
            self.left.extend(parts(&target));
        }
        Ok(())
    }
}

/// Root, ourselves, and who owns `/`: in a user namespace root's files have another number.
pub(crate) fn is_trusted(uid: u32) -> bool {
    static MACHINE: OnceLock<Option<u32>> = OnceLock::new();
    let machine = || std::fs::metadata("/").ok().map(|root| root.uid());
    uid == 0 || uid == geteuid().as_raw() || *MACHINE.get_or_init(machine) == Some(uid)
}

/// The parts of a path, last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

/// Whether this is one part of a path.
pub(crate) fn is_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty() && bytes != b"." && bytes != b".." && !bytes.contains(&b'/')
}
