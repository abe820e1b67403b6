//! Why an archive cannot be written or read: the disk, or the archive itself.

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk, or the file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// No archive of ours begins like this.
    #[error("it is not a backup of Mattervisor's: {0}")]
    Foreign(&'static str),
    /// The file ends before the archive does.
    #[error("it is cut off: its end is missing")]
    CutOff,
    /// Some byte has changed since it was written.
    #[error("it is damaged: its bytes are not those that were written")]
    Damaged,
    /// A member is not what its sum says.
    #[error("it is damaged: {name} is not what was written")]
    Member {
        /// The member.
        name: String,
    },
    /// A member that no backup of ours has: it leads elsewhere, or is no file, directory or link.
    #[error(
        "it has {name}, which leads out of its place or is not a file, directory or link: nothing of the backup was put into place"
    )]
    Hostile {
        /// The member.
        name: String,
    },
    /// Some part of the file is not in the form of a tar archive.
    #[error("it is damaged: {0}")]
    Form(String),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
