//! Another program's dump: read to its end once before anything is created, and a second time into
//! a new database.
//!
//! Invariant: three barriers stand between the text of a dump and this machine. `statement.rs`
//! judges each statement. `\restrict` with a key of ours forbids psql to execute its own commands,
//! where psql supports that. And psql runs as Mattermost's account and connects as the owner of the
//! database, as Mattermost does.

use std::{
    io::{self, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    thread::JoinHandle,
};

use client::{operation::new_id, render::shown};
use safe_path::Account;

use super::{
    content::{Content, Foreign},
    fault::Fault,
    script::{Contents, Out, Script},
};
use crate::{
    Error, Refusal, Step, Stop, Unit, Watch,
    postgres::{Reader, Server, Tools, as_owner},
    process::Running,
};

/// First server version whose `pg_dump` writes archives of this minor version of format 1, newest
/// first.
const ARCHIVES: [(u8, u32); 3] = [(16, 17), (15, 16), (0, 0)];
/// Tables that every Mattermost has; one table of `VERSIONS` tells its version.
const MESSAGES: &str = "posts";
const VERSIONS: [&str; 2] = ["db_migrations", "systems"];
/// Most foreign tables that an error names.
const TOLD: usize = 8;
/// Bytes at the beginning of a dump that name its author.
const TOLD_BYTES: u64 = 4096;

/// A dump of another program.
pub(super) struct Dump {
    file: Foreign,
}

/// The server and the account that execute a dump.
pub(super) struct Target<'t> {
    pub(super) server: &'t Server,
    /// The server's version, as text.
    pub(super) version: &'t str,
    pub(super) major: u32,
    /// Account of the programs that read and execute the dump.
    pub(super) account: Account,
}

impl Dump {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = Foreign::open(path)?;
        match file.content {
            Content::Plain | Content::Text | Content::Custom(_) => Ok(Self { file }),
            _ => Err(file.misplaced()),
        }
    }

    /// A line about the dump, from its beginning.
    pub(super) fn told(&self) -> Result<String, Error> {
        let size = text::size(self.file.length);
        if let Content::Custom(_) = self.file.content {
            return Ok(format!("a dump in the form of pg_dump -Fc, {size}"));
        }
        let head = self.file.head(TOLD_BYTES)?;
        let head = String::from_utf8_lossy(&head);
        let of = |what: &str| {
            let mut lines = head.lines().filter_map(|line| line.strip_prefix(what));
            let version = lines.next().unwrap_or("of an unknown version");
            shown(version)
        };
        let server = of("-- Dumped from database version ");
        let program = of("-- Dumped by pg_dump version ");
        Ok(format!(
            "a dump of PostgreSQL {server} by pg_dump {program}, {size}"
        ))
    }

    /// Reads the whole dump, and executes nothing.
    pub(super) fn look(&self, target: &Target<'_>, watch: &mut Watch) -> Result<Contents, Error> {
        let strict = !knows_restrict(&psql(target, watch.stop())?, watch.stop())?;
        watch.step(Step::CheckDump, Some(self.file.length), Unit::Bytes);
        match self.read(target, strict, &mut |_| Ok(()), watch) {
            Err(Error::Foreign(Fault::Cut { .. })) if !self.names_pg_dump()? => {
                let path = self.file.path.clone();
                Err(Fault::NoDump { path }.into())
            }
            read => read,
        }
    }

    /// Whether the form or the first lines of the dump say that `pg_dump` wrote it.
    fn names_pg_dump(&self) -> Result<bool, Error> {
        if let Content::Custom(_) = self.file.content {
            return Ok(true);
        }
        let head = self.file.head(TOLD_BYTES)?;
        Ok(String::from_utf8_lossy(&head).contains("-- Dumped by pg_dump version "))
    }

    /// Executes the dump in a new, empty database, in one transaction.
    pub(super) fn load(
        &self,
        target: &Target<'_>,
        database: &str,
        seen: &Contents,
        watch: &mut Watch,
    ) -> Result<(), Error> {
        let stop = watch.stop().clone();
        let tools = psql(target, &stop)?;
        let restricts = knows_restrict(&tools, &stop)?;
        let mut psql = tools.command("psql");
        psql.args([
            "--no-psqlrc",
            "--no-password",
            "--quiet",
            "--output=/dev/null",
        ]);
        psql.args(["--single-transaction", "--set=ON_ERROR_STOP=1", "--file=-"]);
        psql.env("PSQL_HISTORY", "/dev/null");
        as_owner(target.server).reach(&mut psql, Some(database))?;
        as_account(&mut psql, target.account);
        let mut reader = Reader::of(psql, &stop)?;
        let key = new_id();
        if restricts {
            reader.feed(&mut format!("\\restrict {key}\n").as_bytes())?;
        }
        watch.step(Step::RestoreDump, Some(self.file.length), Unit::Bytes);
        let mut out = |mut bytes: &[u8]| {
            reader.feed(&mut bytes)?;
            // If the program stops reading, its own error explains why.
            if reader.takes_more() {
                Ok(())
            } else {
                Err(Error::Unanswered)
            }
        };
        let read = self.read(target, !restricts, &mut out, watch);
        if read.is_ok() && restricts {
            reader.feed(&mut format!("\\unrestrict {key}\n").as_bytes())?;
        }
        let ended = match &read {
            Err(Error::Unanswered) | Ok(_) => {
                watch.step(Step::BuildIndexes, None, Unit::Rows);
                reader.finish()
            }
            Err(_) => Ok(()),
        };
        ended.map_err(|error| Self::refused(target, seen, error))?;
        if read? == *seen {
            Ok(())
        } else {
            Err(Fault::Changed.into())
        }
    }

    fn refused(target: &Target<'_>, seen: &Contents, error: Error) -> Error {
        let Error::Program { .. } = &error else {
            return error;
        };
        let unknown = || "of an unknown version".to_owned();
        Fault::Load {
            dump: seen.server.clone().unwrap_or_else(unknown),
            program: seen.program.clone().unwrap_or_else(unknown),
            server: target.version.to_owned(),
            error: Box::new(error),
        }
        .into()
    }

    /// Reads the dump, through `pg_restore` if it is not plain SQL.
    fn read(
        &self,
        target: &Target<'_>,
        strict: bool,
        out: &mut Out<'_>,
        watch: &mut Watch,
    ) -> Result<Contents, Error> {
        let (input, at) = self.file.read()?;
        let stop = watch.stop().clone();
        let mut out = |bytes: &[u8]| {
            watch.reach(at.get())?;
            out(bytes)
        };
        if let Content::Custom(minor) = self.file.content {
            let mut running = Converter::start(input, minor, target, &stop)?;
            let output = running.running.output().ok_or(Error::Unanswered)?;
            let output = BufReader::with_capacity(256 << 10, output);
            let read = Script::new(output, target.major, strict, &mut out).read();
            return running.end(read, &self.file);
        }
        let read = Script::new(input, target.major, strict, &mut out).read();
        read.map_err(|error| match error {
            Error::Io { error, .. } if error.raw_os_error().is_none() => self.file.error(error),
            error => error,
        })
    }
}

/// Refuses a database that is not Mattermost's.
pub(super) fn is_mattermost(contents: &Contents) -> Result<(), Error> {
    let has = |name: &&str| contents.tables.iter().any(|it| it == name);
    let missing = if !has(&MESSAGES) {
        MESSAGES
    } else if !VERSIONS.iter().any(has) {
        VERSIONS[0]
    } else {
        return Ok(());
    };
    let mut found = match contents.tables.len() {
        0 => "no table at all".to_owned(),
        _ => shown(&contents.tables[..contents.tables.len().min(TOLD)].join(", ")).into_owned(),
    };
    if contents.tables.len() > TOLD {
        found += " and others";
    }
    Err(Fault::NotMattermost { missing, found }.into())
}

/// A `pg_restore` that converts a dump in custom form to SQL.
struct Converter {
    running: Running,
    feeder: JoinHandle<io::Result<()>>,
}

impl Converter {
    fn start(
        mut input: impl Read + Send + 'static,
        minor: u8,
        target: &Target<'_>,
        stop: &Stop,
    ) -> Result<Self, Error> {
        let of = ARCHIVES.iter().find(|(first, _)| minor >= *first);
        let major = of.map_or(0, |(_, major)| *major);
        let tools = Tools::at_least(major, target.server.programs.as_deref(), stop);
        let tools = tools.map_err(|error| match error {
            Error::NoTools { major } => Refusal::Dump {
                dump: major,
                server: target.version.to_owned(),
            }
            .into(),
            error => error,
        })?;
        let mut command = tools.command("pg_restore");
        command.args(["--format=custom", "--no-owner", "--no-privileges"]);
        command.args(["--file=-"]).env("LC_ALL", "C");
        as_account(&mut command, target.account);
        let mut running = Running::start(command, Stdio::piped(), stop)?;
        let to = running.input();
        let thread = std::thread::Builder::new().name("feed".into());
        let feeder = thread.spawn(move || match to {
            Some(mut to) => match io::copy(&mut input, &mut to).and_then(|_| to.flush()) {
                // The program has ended; its own error explains why.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                copied => copied,
            },
            None => Ok(()),
        })?;
        Ok(Self { running, feeder })
    }

    /// The outcome of the conversion: of several errors, the first cause wins.
    fn end(self, read: Result<Contents, Error>, file: &Foreign) -> Result<Contents, Error> {
        let fed = self.feeder.join().map_err(|_| Error::Unanswered)?;
        let ended = self.running.finish();
        fed.map_err(|error| file.error(error))?;
        match read {
            Err(Error::Foreign(Fault::Cut { .. })) | Ok(_) => ended.and(read),
            Err(error) => Err(error),
        }
    }
}

/// The server's own programs, or any installed ones.
fn psql(target: &Target<'_>, stop: &Stop) -> Result<Tools, Error> {
    Tools::any(target.server.programs.as_deref(), stop)
}

/// Whether this psql supports `\restrict`.
fn knows_restrict(tools: &Tools, stop: &Stop) -> Result<bool, Error> {
    let mut command = tools.command("psql");
    command.arg("--help=commands").env("LC_ALL", "C");
    let mut running = Running::start(command, Stdio::null(), stop)?;
    let mut said = String::new();
    if let Some(mut output) = running.output() {
        output.read_to_string(&mut said)?;
    }
    running.finish()?;
    Ok(said.contains("\\restrict"))
}

/// Runs the command as the account, without root's rights.
fn as_account(command: &mut Command, account: Account) {
    command.current_dir("/");
    if nix::unistd::geteuid().is_root() {
        command.uid(account.uid).gid(account.gid);
    }
}
