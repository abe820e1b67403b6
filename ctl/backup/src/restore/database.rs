//! The databases of a restore: the new one beside the live one, and the one transaction that swaps
//! their names.
//!
//! One session does all steps under an advisory lock: a recovery therefore waits until the server
//! has ended the session of the dead run, including a rename in progress.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use super::journal::Renames;
use crate::{
    Error, Refusal, Step, Stop, Unit, Watch,
    manifest::{Counts, Manifest},
    postgres::{
        Facts, Reader, Server, Session, Table, Tools, as_owner, compare, create, drop_database,
        facts, known, literal, quoted, restore, settings,
    },
};

/// Database for statements that concern no particular database.
const MAINTENANCE: &str = "postgres";
/// Longest wait for a killed server to come back.
const PATIENCE: Duration = Duration::from_secs(120);
const BETWEEN: Duration = Duration::from_millis(250);

/// Longest name of a database, in bytes.
const NAME_BYTES: usize = 63;

/// A restored database.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Tables with their numbers of rows.
    pub(super) tables: Vec<Table>,
    /// Settings that could not be set.
    pub(super) left: Vec<String>,
}

/// The session that restores, with the lock that excludes other restores.
pub(super) struct Databases {
    server: Server,
    tools: Tools,
    session: Session,
    stop: Stop,
}

impl Databases {
    /// Connects, and retries as long as a server may take to come back.
    pub(super) fn wait(server: &Server, stop: &Stop) -> Result<Self, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::connect(server, 0, stop) {
                Err(Error::Program { .. } | Error::Unanswered) if Instant::now() < deadline => {
                    #[expect(
                        clippy::disallowed_methods,
                        reason = "a server that is gone sends no event"
                    )]
                    sleep(BETWEEN);
                }
                connected => return connected,
            }
        }
    }

    /// Connects with programs of this version or a newer one.
    pub(super) fn connect(server: &Server, major: u32, stop: &Stop) -> Result<Self, Error> {
        let mut databases = Self::of(server, major, stop)?;
        let lock = "SELECT pg_advisory_lock(hashtext('mattervisor-restore'), 0)";
        databases.session.ask(lock)?;
        Ok(databases)
    }

    /// Connects only for queries, without the lock.
    pub(super) fn look(server: &Server, stop: &Stop) -> Result<Self, Error> {
        Self::of(server, 0, stop)
    }

    fn of(server: &Server, major: u32, stop: &Stop) -> Result<Self, Error> {
        let tools = Tools::at_least(major, server.programs.as_deref(), stop)?;
        let session = Session::open(server, Some(MAINTENANCE), &tools, stop)?;
        Ok(Self {
            server: server.clone(),
            tools,
            session,
            stop: stop.clone(),
        })
    }

    /// The facts of the live database.
    pub(super) fn live(&self) -> Result<Facts, Error> {
        let mut session = Session::open(&self.server, None, &self.tools, &self.stop)?;
        facts(&mut session)
    }

    pub(super) fn is_there(&mut self, name: &str) -> Result<bool, Error> {
        let name = literal(name);
        let query = format!("SELECT count(*) FROM pg_catalog.pg_database WHERE datname = {name}");
        Ok(self.session.number(&query)? > 0)
    }

    /// Whether a database carries this stamp.
    pub(super) fn has_stamp(&mut self, stamp: &str) -> Result<bool, Error> {
        let query = format!(
            "SELECT count(*) FROM pg_catalog.pg_database WHERE right(datname, {}) = {}",
            stamp.len(),
            literal(stamp)
        );
        Ok(self.session.number(&query)? > 0)
    }

    /// The server's data directory, if it is on this machine.
    pub(super) fn directory(&mut self) -> Result<Option<std::path::PathBuf>, Error> {
        if self.server.data_source.is_some() {
            return Ok(None);
        }
        let shown = self.session.ask("SHOW data_directory")?;
        Ok(shown.first().map(Into::into))
    }

    /// Size of a database, in bytes.
    pub(super) fn bytes(&mut self, name: &str) -> Result<u64, Error> {
        let name = literal(name);
        self.session
            .number(&format!("SELECT pg_database_size({name})"))
    }

    /// Refuses the restore early if the role may not create databases.
    pub(super) fn may_create(&mut self) -> Result<(), Error> {
        let query = "SELECT count(*) FROM pg_catalog.pg_roles WHERE rolname = current_user \
            AND (rolsuper OR rolcreatedb)";
        if self.session.number(query)? == 0 {
            return Err(Refusal::MayNotCreate.into());
        }
        Ok(())
    }

    /// Refuses a database that this server cannot sort or encode like the saved one.
    pub(super) fn knows(&mut self, manifest: &Manifest) -> Result<(), Error> {
        known(&mut self.session, &manifest.database)
    }

    /// Refuses a name that is not valid beside the live database.
    pub(super) fn may_name(&mut self, live: &str, name: &str) -> Result<(), Error> {
        if name.is_empty() || name.len() > NAME_BYTES || name == live || name.contains('\0') {
            let name = name.to_owned();
            return Err(Refusal::Name { name }.into());
        }
        if self.is_there(name)? {
            let name = name.to_owned();
            return Err(Refusal::NameTaken { name }.into());
        }
        Ok(())
    }

    /// Creates an empty database with the saved properties.
    pub(super) fn create(&mut self, name: &str, manifest: &Manifest) -> Result<(), Error> {
        let facts = &manifest.database;
        let owner = self.server.role.as_deref().unwrap_or(&facts.owner);
        self.session.ask(&create(name, owner, facts)).map(drop)
    }

    /// A session with a database, as its owner: code from the dump runs with no other rights.
    pub(super) fn owner(&self, name: &str) -> Result<Session, Error> {
        let owner = as_owner(&self.server);
        Session::open(&owner, Some(name), &self.tools, &self.stop)
    }

    /// Creates a database, and starts the program that restores into it.
    pub(super) fn make(&mut self, name: &str, manifest: &Manifest) -> Result<Reader, Error> {
        self.create(name, manifest)?;
        restore(
            &mut self.session,
            &self.server,
            name,
            &self.tools,
            &self.stop,
        )
    }

    /// Compares the row counts, and sets what a dump does not hold.
    pub(super) fn settle(
        &mut self,
        name: &str,
        manifest: &Manifest,
        wanted: &Counts,
        watch: &mut Watch,
    ) -> Result<Settled, Error> {
        let stop = watch.stop().clone();
        watch.step(Step::CountRows, None, Unit::Rows);
        let mut session = self.owner(name)?;
        let tables = compare(&mut session, wanted, watch)?;
        drop(session);
        watch.step(Step::GatherStatistics, None, Unit::Rows);
        let mut session = self.owner(name)?;
        session.ask("ANALYZE")?;
        drop(session);
        let mut left = Vec::new();
        for (told, sql) in settings(name, &manifest.database, self.server.role.as_deref()) {
            // As the owner, who may set only its own settings. A session ends with its first error.
            let mut session = self.owner(name)?;
            if session.ask(&sql).is_err() {
                stop.check()?;
                left.push(told);
            }
        }
        Ok(Settled { tables, left })
    }

    /// Renames a restored database to the requested name.
    pub(super) fn name(&mut self, from: &str, to: &str) -> Result<(), Error> {
        self.end_sessions(&[from])?;
        self.session.ask(&rename(from, to)).map(drop)
    }

    /// The commit point: one transaction puts the incoming database into use, and renames the live
    /// one to outgoing.
    ///
    /// # Errors
    /// After an error the outcome is unknown: [`Databases::is_there`] tells it.
    pub(super) fn commit(&mut self, names: &Renames) -> Result<(), Error> {
        for name in [&names.name, &names.incoming] {
            let name = quoted(name);
            self.session
                .ask(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"))?;
        }
        self.end_sessions(&[&names.name, &names.incoming])?;
        self.session.ask("BEGIN")?;
        self.session.ask(&rename(&names.name, &names.outgoing))?;
        self.session.ask(&rename(&names.incoming, &names.name))?;
        self.session.ask("COMMIT").map(drop)
    }

    fn end_sessions(&mut self, names: &[&str]) -> Result<(), Error> {
        let names = names.iter().map(|name| literal(name)).collect::<Vec<_>>();
        let names = names.join(", ");
        let query = format!(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_catalog.pg_stat_activity \
             WHERE datname IN ({names}) AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        );
        self.session.ask(&query).map(drop)
    }

    /// Allows connections again to each of the databases that exists.
    pub(super) fn open(&mut self, names: &Renames) -> Result<(), Error> {
        for name in [&names.name, &names.incoming, &names.outgoing] {
            if self.is_there(name)? {
                let name = quoted(name);
                self.session
                    .ask(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"))?;
            }
        }
        Ok(())
    }

    pub(super) fn drop(&mut self, name: &str) -> Result<(), Error> {
        self.session.ask(&drop_database(name)).map(drop)
    }
}

fn rename(from: &str, to: &str) -> String {
    format!("ALTER DATABASE {} RENAME TO {}", quoted(from), quoted(to))
}
