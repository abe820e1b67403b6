//! The errors of backups and restores.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::archive;

/// Why a backup, a restore or a question about one failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A stop was requested.
    #[error("cancelled")]
    Cancelled,
    /// A system call failed.
    #[error("cannot {doing}: {error}")]
    Io {
        /// The attempted action, in words.
        doing: String,
        /// The system's error.
        error: io::Error,
    },
    /// A program failed.
    #[error("{name} has failed ({how}){}", said(complaints))]
    Program {
        /// Name of the program.
        name: String,
        /// Exit code or signal.
        how: String,
        /// The end of its stderr.
        complaints: String,
    },
    /// No `PostgreSQL` programs of that version or a newer one are installed.
    #[error("there are no pg_dump, pg_restore and psql {} here: install PostgreSQL's client programs", of(*major))]
    NoTools {
        /// The version; 0 means any.
        major: u32,
    },
    /// The server gave no valid answer.
    #[error("PostgreSQL has ended the session, or given an answer that is not understood")]
    Unanswered,
    /// Mattermost's data source cannot be parsed.
    #[error("mattermost.sql_data_source is neither a postgres:// URL nor key=value pairs")]
    Source,
    /// A needed value is missing from the configuration.
    #[error("{} is not a configuration of backups: {error}; ctl reconfigure writes it anew", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// A backup is damaged or not a backup.
    #[error("{}: {error}", path.display())]
    Bad {
        /// Path of the backup.
        path: PathBuf,
        /// The fault.
        error: Box<Error>,
    },
    /// A restored table has another number of rows than the backup counted.
    #[error("{} after the restore, and the backup counted {wanted} rows in it", rows(table, *found))]
    Rows {
        /// Schema and name of the table.
        table: String,
        /// Rows that the backup counted.
        wanted: u64,
        /// Rows in the restored table; `None` if the table is missing.
        found: Option<u64>,
    },
    /// The arguments of a job request are not valid.
    #[error("the request is not understood: {error}")]
    Arguments {
        /// What is wrong.
        error: String,
    },
    /// The process was not started by the supervisor.
    #[error("this is a job of the supervisor's: ctl backup create starts it")]
    NoJob,
    /// Mattermost could not be stopped, or did not come back.
    #[error("the supervisor could not {doing} Mattermost: {why}; ctl status shows what runs")]
    Lease {
        /// `stop` or `start`.
        doing: &'static str,
        /// The supervisor's reason.
        why: String,
    },
    /// A check refused the request.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file of another program was refused.
    #[error(transparent)]
    Foreign(#[from] crate::restore::Fault),
    /// The archive is at fault.
    #[error(transparent)]
    Archive(archive::Error),
}

/// Why a check refuses a request, before anything is changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The path is not absolute.
    #[error("{} is not an absolute path: name the directory for backups by a path that begins with /", path.display())]
    Relative {
        /// The path as given.
        path: PathBuf,
    },
    /// Another program makes or removes backups in the directory.
    #[error("another backup is being made or removed in {}: wait until it has ended", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// A required mount is missing.
    #[error("nothing is mounted at {}: mount it, or change backup.require_mount", path.display())]
    NotMounted {
        /// The mount point.
        path: PathBuf,
    },
    /// The account does not exist.
    #[error("there is no account {name}: ctl reconfigure makes it")]
    NoAccount {
        /// Name of the account.
        name: String,
    },
    /// The directory holds no backup.
    #[error("there are no backups in {}: ctl backup create makes one", path.display())]
    NoBackup {
        /// The directory.
        path: PathBuf,
    },
    /// Another restore is running, or the recovery of an interrupted one.
    #[error(
        "another restore is under way, or an interrupted one is being finished: wait until it has ended"
    )]
    RestoreRuns,
    /// An older Mattermost does not understand the database of a newer one.
    #[error(
        "the backup is of Mattermost {backup}, and {installed} is installed, which is older: install {backup} or a newer one first"
    )]
    Older {
        /// Mattermost's version in the backup.
        backup: String,
        /// The installed version.
        installed: String,
    },
    /// No `pg_restore` here can read the dump.
    #[error(
        "the dump was made by pg_dump {dump}, and no pg_restore of that version or a newer one is here; the server is PostgreSQL {server}: install the client programs of PostgreSQL {dump}"
    )]
    Dump {
        /// The version of `pg_dump`.
        dump: u32,
        /// The server's version.
        server: String,
    },
    /// The role that connects to the server may not create databases.
    #[error(
        "the role that Mattermost connects to its database as may not create databases: ALTER ROLE … CREATEDB allows it"
    )]
    MayNotCreate,
    /// A locale of the operating system is missing.
    #[error(
        "the database was made with the locale {locale:?}, which this machine does not have: install it (Debian: put it into /etc/locale.gen and run locale-gen, or install locales-all; Red Hat: install its glibc-langpack), and restart PostgreSQL"
    )]
    Locale {
        /// Name of the locale.
        locale: String,
    },
    /// The server is built without ICU.
    #[error(
        "the database is sorted by ICU (locale {locale:?}), and the server, PostgreSQL {server}, is built without it: install a PostgreSQL with ICU"
    )]
    Icu {
        /// Name of the locale.
        locale: String,
        /// The server's version.
        server: String,
    },
    /// The server has no built-in locales.
    #[error(
        "the database is sorted by PostgreSQL's own locale {locale:?}, and the server is PostgreSQL {server}: install PostgreSQL 17 or newer"
    )]
    Builtin {
        /// Name of the locale.
        locale: String,
        /// The server's version.
        server: String,
    },
    /// The server does not support an encoding.
    #[error(
        "the database is encoded in {encoding}, which the server, PostgreSQL {server}, does not know"
    )]
    Encoding {
        /// Name of the encoding.
        encoding: String,
        /// The server's version.
        server: String,
    },
    /// The name of the database is taken.
    #[error("there is a database {name}: drop it, or choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The name is not valid for a restored database.
    #[error(
        "a database cannot be restored as {name:?}: its name has 1 to 63 bytes, and is not that of the live one"
    )]
    Name {
        /// The requested name.
        name: String,
    },
    /// Something is mounted below a directory that has to be moved.
    #[error("a file system is mounted at {}, below what a restore replaces: unmount it for the restore, or mount it above", path.display())]
    MountedBelow {
        /// The mount point.
        path: PathBuf,
    },
    /// The backup has its configuration without secrets; restoring it would remove the secrets
    /// here.
    #[error(
        "the backup has its configuration without the secrets: take over by hand what you want of configuration/ in it, and restore without --configuration"
    )]
    WithoutSecrets,
    /// The backup holds no site file.
    #[error("the backup has no site file: restore without --configuration")]
    NoSite,
    /// Two machines would use the same database.
    #[error(
        "the backup's configuration names a database on another server (mattermost.sql_data_source), which may be in use: write the site file by hand, with the database that this machine is to use, and restore without --configuration"
    )]
    Elsewhere,
    /// There is no safety copy.
    #[error(
        "no safety copy is kept: nothing was restored here, or ctl restore --forget has removed it"
    )]
    NothingKept,
    /// A restore needs more free space than there is.
    #[error("{} has {} free, and the restore needs {} beside what is there: make room", path.display(), text::size(*free), text::size(*needs))]
    Room {
        /// Path on the file system.
        path: PathBuf,
        /// Needed space, in bytes.
        needs: u64,
        /// Free space, in bytes.
        free: u64,
    },
    /// A backup may need more free space than there is.
    #[error("{} has {} free, and the backup may need {}: make room, or set backup.to to another disk", path.display(), text::size(*free), text::size(*needs))]
    Space {
        /// Path on the file system.
        path: PathBuf,
        /// Space that may be needed, in bytes.
        needs: u64,
        /// Free space, in bytes.
        free: u64,
    },
}

impl Error {
    /// Whether the backup itself is at fault, and not the environment in which it is read.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Archive(archive::Error::Io(_)) => false,
            Self::Archive(_) | Self::Rows { .. } => true,
            Self::Bad { error, .. } => error.is_damage(),
            _ => false,
        }
    }

    /// For `map_err`: adds the verb and the path of the attempt.
    pub(crate) fn with<'a>(verb: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |error| Self::Io {
            doing: format!("{verb} {}", path.display()),
            error,
        }
    }
}

/// Prefixes of error messages of PostgreSQL's programs and the server.
const ERRORS: [&str; 3] = ["error:", "ERROR:", "FATAL:"];

/// The most telling line of a program's complaints.
fn said(complaints: &str) -> String {
    let lines = || complaints.lines().filter(|line| !line.trim().is_empty());
    let error = lines().find(|line| ERRORS.iter().any(|it| line.contains(it)));
    let told = error.or_else(|| lines().next_back());
    told.map_or_else(String::new, |line| format!(": {}", line.trim()))
}

fn rows(table: &str, found: Option<u64>) -> String {
    match found {
        Some(rows) => format!("table {table} has {rows} rows"),
        None => format!("table {table} is missing"),
    }
}

fn of(major: u32) -> String {
    match major {
        0 => "of any version".to_owned(),
        major => format!("of version {major} or newer"),
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io {
            doing: "go on".to_owned(),
            error,
        }
    }
}

impl From<archive::Error> for Error {
    fn from(error: archive::Error) -> Self {
        Self::Archive(error)
    }
}
