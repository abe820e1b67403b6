//! Why a dump or an archive of another program is refused.

use std::path::PathBuf;

/// The reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The option does not accept a file of this form.
    #[error("{} is {what}: {hint}", path.display())]
    Form {
        /// Path of the file.
        path: PathBuf,
        /// Form of the file.
        what: &'static str,
        /// Advice for this form.
        hint: &'static str,
    },
    /// gzip reports that the file is damaged.
    #[error("{} is damaged or cut off: gzip cannot read it to its end ({error}); nothing was changed", path.display())]
    Gzip {
        /// Path of the file.
        path: PathBuf,
        /// gzip's error.
        error: String,
    },
    /// The file is not a dump.
    #[error("{} is not a dump: nothing in it names the pg_dump that wrote it; nothing was changed", path.display())]
    NoDump {
        /// Path of the file.
        path: PathBuf,
    },
    /// The end of a dump is missing.
    #[error(
        "the dump is cut off: {missing} is missing at its end (line {line}); nothing was changed"
    )]
    Cut {
        /// Number of lines in the dump.
        line: u64,
        /// The missing text.
        missing: &'static str,
    },
    /// The end of an archive is missing.
    #[error("{} is cut off: {missing} is missing; nothing was changed", path.display())]
    CutArchive {
        /// Path of the file.
        path: PathBuf,
        /// The missing part.
        missing: String,
    },
    /// The script is of several databases.
    #[error(
        "the script is of several databases (pg_dumpall) or names the one that it goes into (pg_dump --create), line {line}: dump Mattermost's database alone, with pg_dump and without --create"
    )]
    Databases {
        /// Line of the statement.
        line: u64,
    },
    /// The dump is of another database system.
    #[error("the dump is of MySQL or MariaDB: Mattermost needs it moved to PostgreSQL first")]
    MySql,
    /// The dump holds a command of psql, which could execute anything.
    #[error(
        "line {line} has a command of psql's, {text:?}, which no pg_dump writes: nothing of the dump was executed"
    )]
    Command {
        /// Line of the command.
        line: u64,
        /// Beginning of the command.
        text: String,
    },
    /// A statement that no dump needs.
    #[error(
        "line {line} has {text:?}, which no dump of a database of Mattermost's has: nothing of the dump was executed"
    )]
    Statement {
        /// Last line of the statement.
        line: u64,
        /// Beginning of the statement.
        text: String,
    },
    /// psql and the server could read the text in two ways.
    #[error("line {line} {what}: nothing of the dump was executed")]
    Unclear {
        /// Line of the text.
        line: u64,
        /// The ambiguous text.
        what: &'static str,
    },
    /// The statement exceeds the limit.
    #[error(
        "line {line} ends a statement of more than {max} bytes: no dump of a database of Mattermost's has one"
    )]
    Long {
        /// Last line of the part that was read.
        line: u64,
        /// The limit.
        max: usize,
    },
    /// The dump changed between the check and the restore.
    #[error("the dump was changed while it was restored; nothing was changed here")]
    Changed,
    /// The server rejects the dump.
    #[error(
        "a dump of PostgreSQL {dump} by pg_dump {program} does not go into PostgreSQL {server}: {error}"
    )]
    Load {
        /// Version of the server that was dumped.
        dump: String,
        /// Version of `pg_dump`.
        program: String,
        /// Version of the server here.
        server: String,
        /// psql's error.
        error: Box<crate::Error>,
    },
    /// The database is not Mattermost's.
    #[error(
        "the dump is not of a database of Mattermost's: it has no table {missing}, but {found}; ctl restore --sql FILE --database NAME restores it to look inside"
    )]
    NotMattermost {
        /// A table that every Mattermost has.
        missing: &'static str,
        /// The tables that were found.
        found: String,
    },
    /// The tables of the dump are empty.
    #[error(
        "the dump has no message and no user: it is of an empty Mattermost, or of the schema alone; ctl restore --sql FILE --database NAME restores it to look inside"
    )]
    Empty,
    /// The installed Mattermost is too old for the database of the dump.
    #[error(
        "the dump is of a newer Mattermost than {installed}, which is installed: that does not have migration {number} ({name}); install the Mattermost that the dump is of, or a newer one, first"
    )]
    Newer {
        /// The installed version.
        installed: String,
        /// Number of the newest migration.
        number: u64,
        /// Name of the newest migration.
        name: String,
    },
    /// Mattermost 10.11.16 and later 10.11 releases number three migrations differently.
    #[error(
        "the dump is of Mattermost 10.11.16 or a later 10.11, and {installed} stops in its migrations there: install Mattermost 11.7.3 or newer first"
    )]
    Misnumbered {
        /// The installed version.
        installed: String,
    },
    /// The archive has neither `data` nor `config.json` at the expected place.
    #[error("{} has neither data/ nor config.json at its top, but {found}: make it with tar -czf FILE -C DIR data config.json, where DIR is Mattermost's directory", path.display())]
    NoData {
        /// Path of the file.
        path: PathBuf,
        /// The entries at the top of the archive.
        found: String,
    },
    /// A member is a sparse file in a form that the reader does not support.
    #[error("{} has {name} as a sparse file in the form of pax, which is not read: make it with tar --format=gnu", path.display())]
    Sparse {
        /// Path of the file.
        path: PathBuf,
        /// Name of the member.
        name: String,
    },
}
