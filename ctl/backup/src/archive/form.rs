//! Names and numbers of the archive format, shared by the writer and the reader.

/// Version of the format, stored in the manifest. The reader refuses any other version.
pub const FORMAT: u32 = 1;
/// Name of the first member.
pub const MANIFEST: &str = "manifest.json";
/// Directory of the pieces of the dump.
pub const DUMP: &str = "database/";
/// The rows of each table, counted in the dump's snapshot.
pub const DATABASE: &str = "database.json";
/// Name of the last member but one.
pub const REPORT: &str = "report.json";
/// Name of the last member.
pub const SUMS: &str = "SHA256SUMS";

/// Length of one piece of the dump.
pub const PIECE_BYTES: usize = 2 << 20;
/// Longest member that the reader loads into memory as a whole.
pub const DOCUMENT_BYTES_MAX: u64 = 16 << 20;
