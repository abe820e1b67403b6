//! Why a path is not followed or a file not used.

use std::{io, path::PathBuf};

/// A path that another could have laid out for us. Each variant names the place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// A symbolic link that somebody else has made, or that lies in somebody else's directory.
    #[error("{} is a symbolic link of uid {uid}, and is not followed", path.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Account that made it.
        uid: u32,
    },
    /// A directory that belongs neither to root nor to us, where only root's would do.
    #[error("{} belongs to uid {uid}, who could put anything in its place", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// What is given away, in a directory of one who is neither its owner nor the next one.
    #[error(
        "{} lies in a directory of uid {uid}, who could put anything in its place: give that \
         directory to root, or choose another place",
        path.display()
    )]
    Below {
        /// Path that was to be given away.
        path: PathBuf,
        /// Owner of the directory that it lies in, or of the nearest one above that is not ours.
        uid: u32,
    },
    /// A directory that everybody may write to.
    #[error("{} is open to everybody's writing, who could put anything in its place", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
    },
    /// Something else than was wanted.
    #[error("{} is not a {wanted}", path.display())]
    Kind {
        /// Path of the file that is there.
        path: PathBuf,
        /// `regular file`, `directory` or `unix socket`.
        wanted: &'static str,
    },
    /// A file with a further name, which may be another's file.
    #[error("{} has other names (hard links)", path.display())]
    Names {
        /// The file.
        path: PathBuf,
    },
    /// A file of another owner than its place allows.
    #[error("{} belongs to uid {uid}", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// A file that is longer than it may be.
    #[error("{} has more than {limit} bytes", path.display())]
    Long {
        /// The file.
        path: PathBuf,
        /// Longest length that would have been read, in bytes.
        limit: u64,
    },
}

impl Untrusted {
    /// Whether an error is of this kind.
    pub fn is(error: &io::Error) -> bool {
        let inner = error.get_ref();
        inner.is_some_and(|inner| inner.downcast_ref::<Self>().is_some())
    }
}

impl From<Untrusted> for io::Error {
    fn from(error: Untrusted) -> Self {
        Self::other(error)
    }
}
