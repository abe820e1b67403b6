//! Replaces Mattermost's data by those of a backup.
//!
//! Order: every check; the new database and files are built beside the live ones while Mattermost
//! runs; then Mattermost stops, the journal is written, one transaction commits the swap of
//! databases, the files are swapped, and Mattermost starts. The former data become the safety copy,
//! which an undo swaps back.
//!
//! The supervisor restarts a run that died with the same request: the new run first goes back or
//! forward, depending on whether the server passed the commit point, and then does what is left.

mod arguments;
mod checks;
mod database;
mod foreign;
mod journal;
mod kept;
mod recover;
mod restore_stamp;
mod stage;
mod swap;
mod unpack;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use api::JobResult;
use serde_json::{Value, json};

pub use foreign::{Fault, Given, explained};
pub use kept::{Safety, safety};
pub use recover::recover;

use arguments::Arguments;
use database::{Databases, Settled};
use journal::{Held, Journal, Kind, Renames, Store};
use recover::{End, settle};
use unpack::Unpack;

use crate::{
    Error, Refusal, Step, Stop, Watch,
    configuration::Configuration,
    create::Pause as _,
    job::{
        directory::{self, Directory},
        lease::Lease,
    },
    manifest::Manifest,
    verify,
};

/// Exit code for work that the next run must finish: `EX_TEMPFAIL`.
const AGAIN: u8 = 75;

/// Runs the requested job, and answers its exit code: 0 done, 1 failed with nothing left open, 75
/// to be run again.
pub fn run(configuration: &Path, stop: Stop) -> u8 {
    match attempt(configuration, stop) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("mattervisor-backup: {error}");
            1
        }
    }
}

fn attempt(configuration: &Path, stop: Stop) -> Result<u8, Error> {
    let directory = Directory::of_environment()?;
    let order = directory.order()?;
    let configuration = Configuration::read(configuration)?;
    let store = Store::open(&configuration.restore.dir)?.ok_or(Error::NoJob)?;
    let held = store.hold()?;
    let mut job = Job {
        lease: Lease::new(
            &configuration.restore.job,
            &configuration.restore.stop,
            &stop,
        ),
        watch: Watch::new(stop, directory.teller()?),
        id: order.id.clone(),
        configuration: &configuration,
        held: &held,
    };
    let arguments = directory::arguments::<Arguments>(&order);
    let done = arguments.and_then(|arguments| job.work(&arguments));
    if let Err(error) = &done
        && held.store.journal()?.is_some()
    {
        eprintln!("mattervisor-backup: {error}; the request is tried again");
        job.lease.leave();
        return Ok(AGAIN);
    }
    let back = job.lease.end();
    let done = done.and_then(|done| back.map(|()| done));
    let done = done.unwrap_or_else(|error| Done {
        ok: false,
        message: error.to_string(),
        report: Value::Null,
    });
    eprintln!("mattervisor-backup: {}", done.message);
    let ok = done.ok;
    let result = JobResult {
        ok,
        message: done.message,
        report: done.report,
        ..JobResult::default()
    };
    directory.result(&order, result)?;
    Ok(u8::from(!ok))
}

/// The outcome of a request.
struct Done {
    ok: bool,
    message: String,
    report: Value,
}

impl Done {
    fn said(message: String) -> Self {
        Self {
            ok: true,
            message,
            report: Value::Null,
        }
    }
}

struct Job<'c> {
    lease: Lease<'c>,
    watch: Watch,
    id: String,
    configuration: &'c Configuration,
    held: &'c Held,
}

impl Job<'_> {
    fn work(&mut self, arguments: &Arguments) -> Result<Done, Error> {
        // An earlier run of this request may have died while Mattermost was stopped for it.
        let mut beside = false;
        if let Some(journal) = self.held.store.journal()? {
            let end = settle(self.configuration, self.held, &journal)?;
            beside = journal.id == self.id && journal.kind == Kind::Beside && end == End::Forward;
        }
        let kept = self.held.store.kept()?;
        let _ = self.lease.resume();
        if kept.is_some_and(|kept| kept.id == self.id) {
            // An earlier run of this request finished the restore and died before it wrote the
            // result.
            return self.started();
        }
        match arguments {
            Arguments::Restore { file } => self.restore(file),
            Arguments::Beside { database, .. } if beside => Ok(made(database)),
            Arguments::Beside { file, database } => self.beside(file, database),
            Arguments::Foreign {
                sql: None,
                files: None,
            } => Err(Error::Arguments {
                error: "neither a dump nor an archive is named".to_owned(),
            }),
            Arguments::Foreign { sql, files } => self.foreign(Given {
                sql: sql.as_deref(),
                files: files.as_deref(),
            }),
            Arguments::ForeignBeside { database, .. } if beside => Ok(made(database)),
            Arguments::ForeignBeside { sql, database } => self.foreign_beside(sql, database),
            Arguments::Undo => self.undo(),
            Arguments::Forget => self.forget(),
        }
    }

    fn restore(&mut self, path: &Path) -> Result<Done, Error> {
        self.watch.step(Step::Check, None, crate::Unit::Files);
        let configuration = self.configuration;
        let (file, manifest) = open(path)?;
        let account = configuration.account()?;
        checks::versions(configuration, &manifest, &self.watch)?;
        let places = checks::places(configuration, &manifest, account)?;
        let mut databases = self.connect(&manifest)?;
        databases.may_create()?;
        databases.knows(&manifest)?;
        checks::room(&mut databases, &manifest, &places)?;
        let live = databases.live()?.name;
        let stashes = |stamp: &str| unpack::stashes(configuration, &places, stamp);
        let names = (live.as_str(), "before");
        let (stamp, names) =
            restore_stamp::free(self.held, &mut databases, names, stashes, account)?;
        let stashes = stashes(&stamp);
        let from = path.display().to_string();
        let incoming = names.incoming.clone();
        let mut journal = self.begin(Kind::Restore, from, &stamp, Some(names), stashes)?;
        let mut staged = || -> Result<Settled, Error> {
            let stashes = &journal.stashes;
            let unpack = Unpack::all(configuration, &manifest, &places, stashes, &stamp, account)?;
            let loader = databases.make(&incoming, &manifest)?;
            let (counts, swaps) = unpack.read(&file, loader, &mut self.watch)?;
            journal.swaps = swaps;
            databases.settle(&incoming, &manifest, &counts, &mut self.watch)
        };
        let settled = staged();
        let settled = settled.and_then(|it| self.lease.pause(&mut self.watch).map(|()| it));
        drop(databases);
        match settled {
            Err(error) => self.give_up(&journal, error),
            Ok(settled) => {
                let done = self.commit(journal)?;
                Ok(with(done, &settled.left, &manifest))
            }
        }
    }

    fn undo(&mut self) -> Result<Done, Error> {
        self.watch.step(Step::Check, None, crate::Unit::Files);
        let kept = self.held.store.kept()?.ok_or(Refusal::NothingKept)?;
        let stop = self.watch.stop().clone();
        let mut databases = Databases::connect(&self.configuration.database, 0, &stop)?;
        let live = databases.live()?.name;
        let account = self.configuration.account()?;
        let names = (live.as_str(), "undone");
        let (stamp, mut names) =
            restore_stamp::free(self.held, &mut databases, names, |_| Vec::new(), account)?;
        let names = match kept.copy.database {
            Some(database) if !databases.is_there(&database)? => {
                return Err(Refusal::NothingKept.into());
            }
            Some(database) => {
                names.incoming = database;
                Some(names)
            }
            None => None,
        };
        drop(databases);
        let journal = Journal {
            id: self.id.clone(),
            kind: Kind::Undo,
            stamp,
            from: kept.from,
            database: names,
            decided: false,
            swaps: kept.swaps,
            stashes: kept.copy.stashes,
        };
        self.lease.pause(&mut self.watch)?;
        self.commit(journal)
    }

    /// Commits the restore: Mattermost is stopped, and nothing uses what is swapped.
    fn commit(&mut self, mut journal: Journal) -> Result<Done, Error> {
        self.watch
            .step(Step::SwitchDatabases, None, crate::Unit::Files);
        let account = self.configuration.account()?;
        let ready = swap::turned(&journal.stashes, &journal.swaps, account);
        let ready = ready.and_then(|swaps| {
            journal.swaps = swaps;
            self.held.write_journal(&journal)?;
            self.watch.stop().check()
        });
        if let Err(error) = ready {
            return self.give_up(&journal, error);
        }
        let committed = self.decide(&mut journal);
        if journal.database.is_none() && committed.is_err() {
            // The failed write may have reached the disk all the same: write the undecided journal
            // again before going back.
            self.held.write_journal(&journal)?;
        }
        self.watch.step(Step::SwitchFiles, None, crate::Unit::Files);
        match (settle(self.configuration, self.held, &journal)?, committed) {
            (End::Forward, _) => self.started(),
            (End::Back, Err(error)) => Err(error),
            (End::Back, Ok(())) => Err(Error::Unanswered),
        }
    }

    /// The commit point. From here on stop requests are ignored.
    fn decide(&self, journal: &mut Journal) -> Result<(), Error> {
        if let Some(names) = &journal.database {
            let calm = Stop::default();
            return Databases::connect(&self.configuration.database, 0, &calm)
                .and_then(|mut databases| databases.commit(names));
        }
        journal.decided = true;
        let written = self.held.write_journal(journal);
        if written.is_err() {
            journal.decided = false;
        }
        written
    }

    /// Goes back to the former state, and reports why.
    fn give_up(&mut self, journal: &Journal, error: Error) -> Result<Done, Error> {
        settle(self.configuration, self.held, journal)?;
        Err(error)
    }

    /// Everything is in place: starts what was stopped.
    fn started(&mut self) -> Result<Done, Error> {
        let kept = self.held.store.kept()?.ok_or(Refusal::NothingKept)?;
        let what = match kept.kind {
            Kind::Undo => format!("what was there before the restore of {} is back", kept.from),
            Kind::Restore | Kind::Beside => format!("restored {}", kept.from),
        };
        self.watch
            .step(Step::StartMattermost, None, crate::Unit::Files);
        let answered = self.lease.resume();
        // The earlier safety copies go only once the new one exists.
        let earlier = kept.earlier.len();
        let kept = recover::remove_earlier(self.configuration, self.held, kept);
        let message = match &answered {
            Ok(()) => format!(
                "{what}; what was there until now is kept: ctl restore --undo brings it back, ctl restore --forget removes it"
            ),
            Err(error) => format!(
                "{what}, but {error}; ctl restore --undo brings back what was there until now"
            ),
        };
        Ok(Done {
            ok: answered.is_ok(),
            message,
            report: json!({
                "from": kept.from,
                "at": kept.at,
                "kept": kept.copy,
                "removed": earlier - kept.earlier.len(),
            }),
        })
    }

    fn beside(&mut self, path: &Path, name: &str) -> Result<Done, Error> {
        self.watch.step(Step::Check, None, crate::Unit::Files);
        let (file, manifest) = open(path)?;
        checks::readable(&self.configuration.database, &manifest, &self.watch)?;
        let mut databases = self.connect(&manifest)?;
        databases.may_create()?;
        databases.knows(&manifest)?;
        checks::room(&mut databases, &manifest, &[])?;
        let live = databases.live()?.name;
        let (stamp, names) = self.names_beside(&mut databases, &live, name)?;
        let from = path.display().to_string();
        let incoming = &names.incoming.clone();
        let journal = self.begin(Kind::Beside, from, &stamp, Some(names), Vec::new())?;
        let mut made = || -> Result<(), Error> {
            let loader = databases.make(incoming, &manifest)?;
            let (counts, _) = Unpack::database().read(&file, loader, &mut self.watch)?;
            databases.settle(incoming, &manifest, &counts, &mut self.watch)?;
            databases.name(incoming, name)
        };
        let done = made();
        drop(databases);
        match (settle(self.configuration, self.held, &journal)?, done) {
            (End::Forward, _) => Ok(self::made(name)),
            (End::Back, Err(error)) => Err(error),
            (End::Back, Ok(())) => Err(Error::Unanswered),
        }
    }

    /// The names for a database that is restored beside the live one.
    fn names_beside(
        &self,
        databases: &mut Databases,
        live: &str,
        name: &str,
    ) -> Result<(String, Renames), Error> {
        databases.may_name(live, name)?;
        let account = self.configuration.account()?;
        let names = (live, "before");
        let (stamp, mut names) =
            restore_stamp::free(self.held, databases, names, |_| Vec::new(), account)?;
        name.clone_into(&mut names.outgoing);
        Ok((stamp, names))
    }

    fn forget(&mut self) -> Result<Done, Error> {
        let kept = self.held.store.kept()?.ok_or(Refusal::NothingKept)?;
        let stop = self.watch.stop().clone();
        self.watch.step(Step::RemoveFiles, None, crate::Unit::Files);
        let mut databases = Databases::connect(&self.configuration.database, 0, &stop)?;
        let account = self.configuration.account()?;
        for copy in kept.earlier.iter().chain([&kept.copy]) {
            recover::remove(&mut databases, copy, account)?;
        }
        self.held.forget()?;
        let message = format!("the safety copy of the restore of {} is removed", kept.from);
        Ok(Done::said(message))
    }

    fn connect(&self, manifest: &Manifest) -> Result<Databases, Error> {
        let (server, stop) = (&self.configuration.database, self.watch.stop());
        Databases::connect(server, manifest.pg_dump_major, stop)
    }

    /// Writes the journal before it creates what the journal names.
    fn begin(
        &self,
        kind: Kind,
        from: String,
        stamp: &str,
        database: Option<Renames>,
        stashes: Vec<journal::Stash>,
    ) -> Result<Journal, Error> {
        let journal = Journal {
            id: self.id.clone(),
            kind,
            stamp: stamp.to_owned(),
            from,
            database,
            decided: false,
            swaps: Vec::new(),
            stashes,
        };
        self.held.write_journal(&journal)?;
        Ok(journal)
    }
}

fn made(name: &str) -> Done {
    Done::said(format!(
        "the database is there as {name}, and nothing else was changed: ctl psql -d {name} looks at it"
    ))
}

fn open(path: &Path) -> Result<(File, Manifest), Error> {
    let file = safe_path::open(path).map_err(Error::with("open", path))?;
    let manifest = verify::manifest(&file).map_err(|error| match explained(path, error) {
        error @ Error::Foreign(_) => error,
        error => Error::Bad {
            path: PathBuf::from(path),
            error: Box::new(error),
        },
    })?;
    Ok((file, manifest))
}

/// Adds remarks to the outcome.
fn with(mut done: Done, left: &[String], manifest: &Manifest) -> Done {
    if unpack::stripped(manifest) {
        done.message +=
            "; config.json stays as it was, since the backup has it without its secrets";
    }
    if !left.is_empty() {
        done.message += "; the database's role may not make these settings, which are left out: ";
        done.message += &left.join(", ");
    }
    for index in &manifest.database.invalid_indexes {
        done.message += "; index ";
        done.message += &index.index;
        done.message += " was not valid when it was saved, so the backup does not have it, and it is missing here";
    }
    done
}
