//! Why an archive cannot be written or read: the disk, or the archive itself.

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk, or the file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file does not begin like an archive that Mattervisor writes.
    #[error("it is not a backup of Mattervisor's: {0}")]
    Foreign(&'static str),
    /// The file ends before the archive does.
    #[error("it is cut off: its end is missing")]
    CutOff,
    /// Some byte differs from the byte that was written.
    #[error("it is damaged: its bytes are not those that were written")]
    Damaged,
    /// A member's content does not match its line in `SHA256SUMS`.
    #[error("it is damaged: {name} is not what was written")]
    Member {
        /// Name of the member.
        name: String,
    },
    /// A member that the writer never stores: its name leads elsewhere, or it is no file, directory
    /// or link.
    #[error(
        "it has {name}, which leads out of its place or is not a file, directory or link: nothing of the backup was put into place"
    )]
    Hostile {
        /// Name of the member.
        name: String,
    },
    /// Some part of the file is not valid tar.
    #[error("it is damaged: {0}")]
    Form(String),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
