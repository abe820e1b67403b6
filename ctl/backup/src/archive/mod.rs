//! The form of a backup: one POSIX tar in zstd, with a sum of all of it at its end.
//!
//! | member | what it is |
//! | --- | --- |
//! | `manifest.json` | first, in a zstd frame of its own, so that it is read without the rest |
//! | `database/00000000` … | `pg_dump -Fc -Z0` in pieces, for tar wants a length beforehand |
//! | `database.json` | rows of each table, counted in the dump's own snapshot |
//! | `files/`, `configuration/`, `secrets/` | what lay on the disk |
//! | `report.json` | what happened to files while they were read |
//! | `SHA256SUMS` | last: a line for each regular file before it, as `sha256sum` writes it |
//!
//! Behind that stands the [`trailer`]: a SHA-256 of every byte of the file before it, in a frame that
//! zstd skips. So `tar --zstd -x` and `sha256sum -c SHA256SUMS` work by hand.
//!
//! The writer and reader hold a few pieces in memory, whatever the size of what is saved.

mod foreign;
mod member;
mod output;
mod read;
mod sparse;
mod sums;
pub mod trailer;
mod write;

pub(crate) use foreign::{Fault as ForeignFault, each_foreign};
pub use member::{Kind, Member, Owner};
pub use read::{Entry, EntryKind, Whole, each, first};
pub use sparse::{Segment, segments};
pub(crate) use sums::hex;
pub use write::{Content, Piece, Writer, Written};

/// The number of this form, in the manifest. Another one is refused.
pub const FORMAT: u32 = 1;
/// The first member.
pub const MANIFEST: &str = "manifest.json";
/// Where the pieces of the dump lie.
pub const DUMP: &str = "database/";
/// The rows of each table, counted in the dump's snapshot.
pub const DATABASE: &str = "database.json";
/// The last member but one.
pub const REPORT: &str = "report.json";
/// The last member.
pub const SUMS: &str = "SHA256SUMS";

/// Bytes of the dump in one piece.
pub const PIECE_BYTES: usize = 2 << 20;
/// Bytes of a member that is read into memory as a whole.
pub const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk, or the file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// No archive of ours begins like this.
    #[error("it is no backup of ours: {0}")]
    Foreign(&'static str),
    /// It ends before its end.
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
        "{name} is in it, which would not lie where it should, or is no file, directory or link: nothing of it was put into place"
    )]
    Hostile {
        /// The member.
        name: String,
    },
    /// It is no tar archive from some place on.
    #[error("it is damaged: {0}")]
    Form(String),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;
