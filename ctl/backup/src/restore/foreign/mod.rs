//! Restores files of other programs: a dump of the database, and a tar archive of `data` and
//! `config.json`, as administrators of GitLab's package make them.
//!
//! The guarantees of an ordinary restore hold here too. These files have no manifest: the new
//! database takes its properties from the live one, and the checks use only the files' content.
//! Both files are read to their ends before anything is created, and a second time while they are
//! restored.

mod content;
mod dump;
mod fault;
mod files;
mod lexer;
mod newer;
mod script;
mod statement;

use std::path::Path;

use serde_json::json;

pub use fault::Fault;

use content::Foreign;
use dump::{Dump, Target, is_mattermost};
use files::{Files, Survey};
use script::Contents;

use super::{
    Done, Job, checks,
    database::{Databases, Settled},
    journal::{Journal, Kind},
    made,
    recover::{End, settle},
    restore_stamp,
    unpack::{self, Unpack},
};
use crate::{
    Error, archive,
    configuration::Configuration,
    create::Pause as _,
    manifest::{Counts, Manifest, Mode, Place},
    postgres::{Facts, Session},
};

/// Size of a database in bytes per byte of SQL, indexes included: the lowest seen.
const BYTES_OF_SQL: u64 = 2;
/// Tables of which at least one has rows once a person has used Mattermost.
const USED: [&str; 2] = ["posts", "users"];

/// The files to restore.
#[derive(Clone, Copy, Debug)]
pub struct Given<'g> {
    /// The dump of the database.
    pub sql: Option<&'g Path>,
    /// The archive of files.
    pub files: Option<&'g Path>,
}

impl Given<'_> {
    /// The names of the files, for people.
    pub fn name(&self) -> String {
        let given = [self.sql, self.files].into_iter().flatten();
        text::list(given.map(|path| path.display().to_string()))
    }

    /// Describes each file in one line, by its first bytes.
    ///
    /// # Errors
    /// An option does not accept its file.
    pub fn told(&self) -> Result<Vec<String>, Error> {
        let mut lines = Vec::new();
        if let Some(path) = self.sql {
            lines.push(Dump::open(path)?.told()?);
        }
        if let Some(path) = self.files {
            lines.push(Files::open(path)?.told());
        }
        Ok(lines)
    }
}

/// For a file of another program, an error that says what the file is and how it is restored; for
/// all other files the error itself.
pub fn explained(path: &Path, error: Error) -> Error {
    let is_foreign = matches!(error, Error::Archive(archive::Error::Foreign(_)));
    match Foreign::open(path) {
        Ok(file) if is_foreign && file.content.has_a_way() => file.misplaced(),
        Ok(_) | Err(_) => error,
    }
}

/// The results of the checks, before anything is created.
struct Checked {
    dump: Option<(Dump, Contents)>,
    files: Option<(Files, Survey)>,
    live: Facts,
}

impl Job<'_> {
    /// Replaces the live database and files.
    pub(super) fn foreign(&mut self, given: Given<'_>) -> Result<Done, Error> {
        let configuration = self.configuration;
        let account = configuration.account()?;
        let mut databases = Databases::connect(&configuration.database, 0, self.watch.stop())?;
        let checked = self.check(given, &databases)?;
        if let Some((_, contents)) = &checked.dump {
            is_mattermost(contents)?;
            databases.may_create()?;
        }
        let manifest = checked.manifest();
        let places = match &checked.files {
            Some(_) => checks::places(configuration, &manifest, account)?,
            None => Vec::new(),
        };
        checks::room(&mut databases, &manifest, &places)?;
        let stashes = |stamp: &str| match &checked.files {
            Some(_) => unpack::stashes(configuration, &places, stamp),
            None => Vec::new(),
        };
        let names = (checked.live.name.as_str(), "before");
        let (stamp, names) =
            restore_stamp::free(self.held, &mut databases, names, stashes, account)?;
        let stashes = stashes(&stamp);
        let names = checked.dump.as_ref().map(|_| names);
        let mut journal = self.begin(Kind::Restore, given.name(), &stamp, names, stashes)?;
        let mut staged = || -> Result<Settled, Error> {
            let settled = self.load(&checked, &manifest, &journal, &mut databases)?;
            if let Some((files, survey)) = &checked.files {
                let stashes = &journal.stashes;
                let mut unpack =
                    Unpack::all(configuration, &manifest, &places, stashes, &stamp, account)?;
                files.unpack(survey, &mut unpack, &mut self.watch)?;
                journal.swaps = unpack.done(&mut self.watch)?;
            }
            Ok(settled)
        };
        let settled =
            staged().and_then(|settled| self.lease.pause(&mut self.watch).map(|()| settled));
        drop(databases);
        match settled {
            Err(error) => self.give_up(&journal, error),
            Ok(settled) => {
                let done = self.commit(journal)?;
                Ok(checked.with(done, &settled))
            }
        }
    }

    /// Restores a dump beside the live database, to look at.
    pub(super) fn foreign_beside(&mut self, sql: &Path, name: &str) -> Result<Done, Error> {
        let mut databases = Databases::connect(&self.configuration.database, 0, self.watch.stop())?;
        let given = Given {
            sql: Some(sql),
            files: None,
        };
        let checked = self.check(given, &databases)?;
        databases.may_create()?;
        let manifest = checked.manifest();
        checks::room(&mut databases, &manifest, &[])?;
        let (stamp, names) = self.names_beside(&mut databases, &checked.live.name, name)?;
        let journal = self.begin(Kind::Beside, given.name(), &stamp, Some(names), Vec::new())?;
        let mut load = || -> Result<Settled, Error> {
            let settled = self.fill(&checked, &manifest, &journal, &mut databases)?;
            if let Some(names) = &journal.database {
                databases.name(&names.incoming, name)?;
            }
            Ok(settled)
        };
        let done = load();
        drop(databases);
        match (settle(self.configuration, self.held, &journal)?, done) {
            (End::Forward, Ok(settled)) => Ok(checked.with(made(name), &settled)),
            (End::Forward, Err(_)) => Ok(made(name)),
            (End::Back, Err(error)) => Err(error),
            (End::Back, Ok(_)) => Err(Error::Unanswered),
        }
    }

    fn check(&mut self, given: Given<'_>, databases: &Databases) -> Result<Checked, Error> {
        let dump = given.sql.map(Dump::open).transpose()?;
        let files = given.files.map(Files::open).transpose()?;
        let live = databases.live()?;
        let target = target(self.configuration, &live)?;
        let dump = match dump {
            Some(dump) => {
                let contents = dump.look(&target, &mut self.watch)?;
                Some((dump, contents))
            }
            None => None,
        };
        let files = match files {
            Some(files) => {
                let survey = files.survey(&mut self.watch)?;
                Some((files, survey))
            }
            None => None,
        };
        Ok(Checked { dump, files, live })
    }

    /// Loads the dump into a new database, and checks that the installed Mattermost knows it and
    /// that it has been used.
    fn load(
        &mut self,
        checked: &Checked,
        manifest: &Manifest,
        journal: &Journal,
        databases: &mut Databases,
    ) -> Result<Settled, Error> {
        let settled = self.fill(checked, manifest, journal, databases)?;
        if let Some(names) = &journal.database {
            let mut session = databases.owner(&names.incoming)?;
            self.known(&mut session, &checked.live)?;
            let rows = |name: &&str| {
                settled
                    .tables
                    .iter()
                    .any(|it| it.table == **name && it.rows > 0)
            };
            if !USED.iter().any(rows) {
                return Err(Fault::Empty.into());
            }
        }
        Ok(settled)
    }

    fn known(&self, session: &mut Session, live: &Facts) -> Result<(), Error> {
        newer::refuse(session, self.configuration, live.migration)
    }

    fn fill(
        &mut self,
        checked: &Checked,
        manifest: &Manifest,
        journal: &Journal,
        databases: &mut Databases,
    ) -> Result<Settled, Error> {
        let (Some((dump, contents)), Some(names)) = (&checked.dump, &journal.database) else {
            return Ok(Settled::default());
        };
        databases.create(&names.incoming, manifest)?;
        let target = target(self.configuration, &checked.live)?;
        dump.load(&target, &names.incoming, contents, &mut self.watch)?;
        let counts = Counts {
            tables: contents.rows.clone(),
            ..Counts::default()
        };
        databases.settle(&names.incoming, manifest, &counts, &mut self.watch)
    }
}

fn target<'t>(configuration: &'t Configuration, live: &'t Facts) -> Result<Target<'t>, Error> {
    Ok(Target {
        server: &configuration.database,
        version: &live.server_version,
        major: live.server_version_number / 10_000,
        account: configuration.account()?,
    })
}

impl Checked {
    /// A manifest for files that have none.
    fn manifest(&self) -> Manifest {
        let sql = self.dump.as_ref().map_or(0, |(_, contents)| contents.bytes);
        let trees = self.files.as_ref().map(|(_, survey)| survey.trees.clone());
        Manifest {
            format: archive::FORMAT,
            made_by: String::new(),
            created: String::new(),
            host: String::new(),
            mode: Mode::Online,
            mattermost_version: None,
            database: Facts {
                bytes: sql * BYTES_OF_SQL,
                ..self.live.clone()
            },
            pg_dump_major: 0,
            trees: trees.unwrap_or_default(),
            file_driver: String::new(),
            configuration: Place::File,
            left_out: Vec::new(),
            dump_holds: Vec::new(),
        }
    }

    /// Adds remarks to the outcome.
    fn with(&self, mut done: Done, settled: &Settled) -> Done {
        let mut more = Vec::new();
        if let Some((_, contents)) = &self.dump {
            let rows: u64 = settled.tables.iter().map(|it| it.rows).sum();
            more.push(format!(
                "{} tables with {rows} rows were restored, as many as the dump has: nothing else tells how many there were",
                settled.tables.len()
            ));
            let left: Vec<_> = contents.left.iter().collect();
            let left = left
                .iter()
                .map(|(why, count)| format!("{} ({count})", why.words()));
            let left = left.collect::<Vec<_>>().join(", ");
            if !left.is_empty() {
                more.push(format!("statements left out: {left}"));
            }
            if !settled.left.is_empty() {
                let left = settled.left.join(", ");
                more.push(format!(
                    "the database's role may not make these settings, which are left out: {left}"
                ));
            }
            done.report["tables"] = json!(settled.tables);
            done.report["left_out"] = json!(contents.left);
        } else {
            more.push("the database was not touched".to_owned());
        }
        match &self.files {
            Some((_, survey)) => more.extend(survey.words()),
            None if self.dump.is_some() => {
                more.push("files and config.json were not touched".to_owned());
            }
            None => {}
        }
        for line in more {
            done.message += "; ";
            done.message += &line;
        }
        done
    }
}
