//! The form of an archive in names and numbers: of the writer and the reader alike.

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
