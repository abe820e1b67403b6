//! Why a dump or an archive of another program's is not restored.

use std::path::PathBuf;

/// The reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// What is given is of a form that the option does not take.
    #[error("{} is {what}: {hint}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What to do with it.
        hint: &'static str,
    },
    /// gzip finds that it is not as it was written.
    #[error("{} is damaged or cut off: gzip cannot read it to its end ({error}); nothing was changed", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What gzip says.
        error: String,
    },
    /// What should be a dump is none.
    #[error("{} is not a dump: nothing in it names the pg_dump that wrote it; nothing was changed", path.display())]
    NoDump {
        /// The file.
        path: PathBuf,
    },
    /// The end of a dump is missing.
    #[error(
        "the dump is cut off: {missing} is missing at its end (line {line}); nothing was changed"
    )]
    Cut {
        /// Lines that there are.
        line: u64,
        /// What should be there.
        missing: &'static str,
    },
    /// The end of an archive is missing.
    #[error("{} is cut off: {missing} is missing; nothing was changed", path.display())]
    CutArchive {
        /// The file.
        path: PathBuf,
        /// What should be there.
        missing: String,
    },
    /// Several databases in one script.
    #[error(
        "the script is of several databases (pg_dumpall) or names the one that it goes into (pg_dump --create), line {line}: dump Mattermost's database alone, with pg_dump and without --create"
    )]
    Databases {
        /// Where.
        line: u64,
    },
    /// Another server's.
    #[error("the dump is of MySQL or MariaDB: Mattermost needs it moved to PostgreSQL first")]
    MySql,
    /// A command of psql's, which could execute anything.
    #[error(
        "line {line} has a command of psql's, {text:?}, which no pg_dump writes: nothing of the dump was executed"
    )]
    Command {
        /// Where.
        line: u64,
        /// Its beginning.
        text: String,
    },
    /// A statement that no dump needs.
    #[error(
        "line {line} has {text:?}, which no dump of a database of Mattermost's has: nothing of the dump was executed"
    )]
    Statement {
        /// Where it ends.
        line: u64,
        /// Its beginning.
        text: String,
    },
    /// Text that psql and the server could read in two ways.
    #[error("line {line} {what}: nothing of the dump was executed")]
    Unclear {
        /// Where.
        line: u64,
        /// What it has.
        what: &'static str,
    },
    /// A statement that is longer than any.
    #[error(
        "line {line} ends a statement of more than {max} bytes: no dump of a database of Mattermost's has one"
    )]
    Long {
        /// Where.
        line: u64,
        /// The limit.
        max: usize,
    },
    /// It was changed between the check and the restore.
    #[error("the dump was changed while it was restored; nothing was changed here")]
    Changed,
    /// The server does not take it.
    #[error(
        "a dump of PostgreSQL {dump} by pg_dump {program} does not go into PostgreSQL {server}: {error}"
    )]
    Load {
        /// The server that it is of.
        dump: String,
        /// What dumped it.
        program: String,
        /// The server here.
        server: String,
        /// What psql says.
        error: Box<crate::Error>,
    },
    /// It is not Mattermost's.
    #[error(
        "the dump is not of a database of Mattermost's: it has no table {missing}, but {found}; ctl restore --sql FILE --database NAME restores it to look inside"
    )]
    NotMattermost {
        /// What every one has.
        missing: &'static str,
        /// What it has.
        found: String,
    },
    /// It has tables and nothing in them.
    #[error(
        "the dump has no message and no user: it is of an empty Mattermost, or of the schema alone; ctl restore --sql FILE --database NAME restores it to look inside"
    )]
    Empty,
    /// The program here does not know its database.
    #[error(
        "the dump is of a newer Mattermost than {installed}, which is installed: that does not have migration {number} ({name}); install the Mattermost that the dump is of, or a newer one, first"
    )]
    Newer {
        /// What is installed.
        installed: String,
        /// Of the newest migration.
        number: u64,
        /// Of the newest migration.
        name: String,
    },
    /// Three migrations have other numbers.
    #[error(
        "the dump is of Mattermost 10.11.16 or a later 10.11, and {installed} stops in its migrations there: install Mattermost 11.7.3 or newer first"
    )]
    Misnumbered {
        /// What is installed.
        installed: String,
    },
    /// Neither `data` nor `config.json` is where it should be.
    #[error("{} has neither data/ nor config.json at its top, but {found}: make it with tar -czf FILE -C DIR data config.json, where DIR is Mattermost's directory", path.display())]
    NoData {
        /// The file.
        path: PathBuf,
        /// What is at its top.
        found: String,
    },
    /// A member of an archive in a form that is not read.
    #[error("{} has {name} as a sparse file in the form of pax, which is not read: make it with tar --format=gnu", path.display())]
    Sparse {
        /// The file.
        path: PathBuf,
        /// The member.
        name: String,
    },
}
