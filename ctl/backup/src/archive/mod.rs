//! The archive format of backups: one POSIX tar in zstd, with a checksum of the whole file at its
//! end.
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
//! Behind the tar stands the [`trailer`]: a SHA-256 of every byte of the file before it, in a frame
//! that zstd skips. So `tar --zstd -x` and `sha256sum -c SHA256SUMS` work by hand.
//!
//! Writer and reader hold a few pieces in memory, whatever the size of the backup.

mod error;
mod foreign;
mod form;
mod member;
mod output;
mod read;
mod sparse;
mod sums;
pub mod trailer;
mod write;

pub use error::Error;
pub(crate) use foreign::{Fault as ForeignFault, each_foreign};
pub use form::{DATABASE, DOCUMENT_BYTES_MAX, DUMP, FORMAT, MANIFEST, PIECE_BYTES, REPORT, SUMS};
pub use member::{Kind, Member, Owner};
pub use read::{Entry, EntryKind, Whole, each, first};
pub use sparse::{Segment, segments};
pub(crate) use sums::hex;
pub use write::{Content, Piece, Writer, Written};
