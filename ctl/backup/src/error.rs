//! Why a backup, or what is asked about one, comes to nothing.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::archive;

/// The reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody has asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The system has refused something.
    #[error("cannot {doing}: {error}")]
    Io {
        /// What was tried.
        doing: String,
        /// What the system said.
        error: io::Error,
    },
    /// A program has failed.
    #[error("{name} has failed ({how}){}", said(complaints))]
    Program {
        /// Its name.
        name: String,
        /// Exit code or signal.
        how: String,
        /// What it complained of.
        complaints: String,
    },
    /// No programs of `PostgreSQL` of that version or a newer one.
    #[error("there are no pg_dump, pg_restore and psql {} here: install PostgreSQL's client programs", of(*major))]
    NoTools {
        /// The version; 0: any.
        major: u32,
    },
    /// A server's answer was none.
    #[error("PostgreSQL has ended the session, or given an answer that is not understood")]
    Unanswered,
    /// A data source that cannot be read.
    #[error("mattermost.sql_data_source is neither a postgres:// URL nor key=value pairs")]
    Source,
    /// The configuration does not say what is needed.
    #[error("{} is not a configuration of backups: {error}; ctl reconfigure writes it anew", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// A backup is not good.
    #[error("{}: {error}", path.display())]
    Bad {
        /// Which.
        path: PathBuf,
        /// Why.
        error: Box<Error>,
    },
    /// A restored table has other rows than were counted.
    #[error("{} after the restore, and the backup counted {wanted} rows in it", rows(table, *found))]
    Rows {
        /// Its schema and name.
        table: String,
        /// What was counted.
        wanted: u64,
        /// What is there; none: no such table.
        found: Option<u64>,
    },
    /// What a job is asked for is not understood.
    #[error("the request is not understood: {error}")]
    Arguments {
        /// What is wrong.
        error: String,
    },
    /// The supervisor has not started us.
    #[error("this is a job of the supervisor's: ctl backup create starts it")]
    NoJob,
    /// Mattermost could not be stopped, or did not come back.
    #[error("the supervisor could not {doing} Mattermost: {why}; ctl status shows what runs")]
    Lease {
        /// `stop` or `start`.
        doing: &'static str,
        /// What it says.
        why: String,
    },
    /// Something stands against it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What another program has saved is not restored.
    #[error(transparent)]
    Foreign(#[from] crate::restore::Fault),
    /// An archive's own fault.
    #[error(transparent)]
    Archive(archive::Error),
}

/// What stands against a backup, before anything of it is begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The directory is not named from the root on.
    #[error("{} is not an absolute path: name the directory for backups by a path that begins with /", path.display())]
    Relative {
        /// As it was named.
        path: PathBuf,
    },
    /// Somebody else makes or removes backups there.
    #[error("another backup is being made or removed in {}: wait until it has ended", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// Nothing is mounted where something has to be.
    #[error("nothing is mounted at {}: mount it, or change backup.require_mount", path.display())]
    NotMounted {
        /// The place.
        path: PathBuf,
    },
    /// The account is not there.
    #[error("there is no account {name}: ctl reconfigure makes it")]
    NoAccount {
        /// Its name.
        name: String,
    },
    /// There is no backup at all.
    #[error("there are no backups in {}: ctl backup create makes one", path.display())]
    NoBackup {
        /// The directory.
        path: PathBuf,
    },
    /// Another restore, or what finishes one.
    #[error(
        "another restore is under way, or an interrupted one is being finished: wait until it has ended"
    )]
    RestoreRuns,
    /// An older Mattermost does not understand the database of a newer one.
    #[error(
        "the backup is of Mattermost {backup}, and {installed} is installed, which is older: install {backup} or a newer one first"
    )]
    Older {
        /// Of the backup.
        backup: String,
        /// What is installed.
        installed: String,
    },
    /// No `pg_restore` here can read the dump.
    #[error(
        "the dump was made by pg_dump {dump}, and no pg_restore of that version or a newer one is here; the server is PostgreSQL {server}: install the client programs of PostgreSQL {dump}"
    )]
    Dump {
        /// The version of `pg_dump`.
        dump: u32,
        /// The server's.
        server: String,
    },
    /// The account at the server may make no database.
    #[error(
        "the role that Mattermost connects to its database as may not create databases: ALTER ROLE … CREATEDB allows it"
    )]
    MayNotCreate,
    /// A locale of the system's is missing.
    #[error(
        "the database was made with the locale {locale:?}, which this machine does not have: install it (Debian: put it into /etc/locale.gen and run locale-gen, or install locales-all; Red Hat: install its glibc-langpack), and restart PostgreSQL"
    )]
    Locale {
        /// Its name.
        locale: String,
    },
    /// The server cannot sort by ICU.
    #[error(
        "the database is sorted by ICU (locale {locale:?}), and the server, PostgreSQL {server}, is built without it: install a PostgreSQL with ICU"
    )]
    Icu {
        /// Its name.
        locale: String,
        /// The server's version.
        server: String,
    },
    /// The server has no locales of its own.
    #[error(
        "the database is sorted by PostgreSQL's own locale {locale:?}, and the server is PostgreSQL {server}: install PostgreSQL 17 or newer"
    )]
    Builtin {
        /// Its name.
        locale: String,
        /// The server's version.
        server: String,
    },
    /// The server does not know an encoding.
    #[error(
        "the database is encoded in {encoding}, which the server, PostgreSQL {server}, does not know"
    )]
    Encoding {
        /// Its name.
        encoding: String,
        /// The server's version.
        server: String,
    },
    /// A database of that name is there.
    #[error("there is a database {name}: drop it, or choose another name")]
    NameTaken {
        /// Its name.
        name: String,
    },
    /// A name that no database can have here.
    #[error(
        "a database cannot be restored as {name:?}: its name has 1 to 63 bytes, and is not that of the live one"
    )]
    Name {
        /// What was asked for.
        name: String,
    },
    /// Something is mounted where files would change places.
    #[error("a file system is mounted at {}, below what a restore replaces: unmount it for the restore, or mount it above", path.display())]
    MountedBelow {
        /// Where.
        path: PathBuf,
    },
    /// A configuration without its secrets would take them from the one that is there.
    #[error(
        "the backup has its configuration without the secrets: take over by hand what you want of configuration/ in it, and restore without --configuration"
    )]
    WithoutSecrets,
    /// There is no site file in it.
    #[error("the backup has no site file: restore without --configuration")]
    NoSite,
    /// Two machines would use one database.
    #[error(
        "the backup's configuration names a database on another server (mattermost.sql_data_source), which may be in use: write the site file by hand, with the database that this machine is to use, and restore without --configuration"
    )]
    Elsewhere,
    /// There is no safety copy.
    #[error(
        "no safety copy is kept: nothing was restored here, or ctl restore --forget has removed it"
    )]
    NothingKept,
    /// A restore needs more room than there is.
    #[error("{} has {} free, and the restore needs {} beside what is there: make room", path.display(), text::size(*free), text::size(*needs))]
    Room {
        /// Where.
        path: PathBuf,
        /// What is needed, in bytes.
        needs: u64,
        /// What there is, in bytes.
        free: u64,
    },
    /// There is too little room.
    #[error("{} has {} free, and the backup may need {}: make room, or set backup.to to another disk", path.display(), text::size(*free), text::size(*needs))]
    Space {
        /// Where.
        path: PathBuf,
        /// What may be needed, in bytes.
        needs: u64,
        /// What there is, in bytes.
        free: u64,
    },
}

impl Error {
    /// A backup's own fault, not that of who looks at it.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Archive(archive::Error::Io(_)) => false,
            Self::Archive(_) | Self::Rows { .. } => true,
            Self::Bad { error, .. } => error.is_damage(),
            _ => false,
        }
    }

    /// For `map_err`: what was tried with a path.
    pub(crate) fn with<'a>(verb: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |error| Self::Io {
            doing: format!("{verb} {}", path.display()),
            error,
        }
    }
}

/// How programs of PostgreSQL and the server say why.
const ERRORS: [&str; 3] = ["error:", "ERROR:", "FATAL:"];

/// The line that says why, as far as one does.
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
