//! A database that a backup is restored into, to see whether it can be: it has a name of its own, and is
//! dropped on every way out. While it lives, a session holds a lock of its name; of what a killed run has
//! left nobody does, and the next run drops it.
//!
//! It is restored as the role that owns the database, not as the superuser: a dump can do no more than
//! that role.

use jiff::Timestamp;

use crate::{
    Error, Stop, Unit, Watch,
    manifest::{Counts, Manifest},
    postgres::{
        Reader, Server, Session, Tools, as_owner, compare, create, drop_database, known, literal,
        restore,
    },
};

/// Bytes of the name of a database that are taken into the name of this one: `PostgreSQL` takes 63 in all.
const BASE_BYTES: usize = 40;
/// What we ask a server through that is about no database of its own.
const MAINTENANCE: &str = "postgres";

/// The database.
pub(super) struct Scratch {
    server: Server,
    tools: Tools,
    name: String,
    /// Holds the lock; it drops the database at the end.
    session: Session,
    stop: Stop,
}

impl Scratch {
    pub(super) fn make(server: &Server, manifest: &Manifest, stop: &Stop) -> Result<Self, Error> {
        let tools = Tools::at_least(manifest.pg_dump_major, server.programs.as_deref(), stop)?;
        let mut session = Session::open(server, Some(MAINTENANCE), &tools, stop)?;
        let facts = &manifest.database;
        let base = base(&facts.name);
        sweep(&mut session, &base)?;
        let name = format!("{base}{}", Timestamp::now().as_millisecond());
        session.ask(&format!("SELECT pg_advisory_lock({})", key(&name)))?;
        let owner = server.role.as_deref().unwrap_or(&facts.owner);
        known(&mut session, facts)?;
        session.ask(&create(&name, owner, facts))?;
        Ok(Self {
            server: server.clone(),
            tools,
            name,
            session,
            stop: stop.clone(),
        })
    }

    /// What restores into it.
    pub(super) fn restore(&mut self) -> Result<Reader, Error> {
        restore(
            &mut self.session,
            &self.server,
            &self.name,
            &self.tools,
            &self.stop,
        )
    }

    /// Compares the rows of each table with what was counted.
    pub(super) fn compare(&self, wanted: &Counts, watch: &mut Watch) -> Result<(), Error> {
        watch.step("count rows", None, Unit::Rows);
        let stop = watch.stop().clone();
        // What the dump has put there is done as nobody else.
        let owner = as_owner(&self.server);
        let mut session = Session::open(&owner, Some(&self.name), &self.tools, &stop)?;
        compare(&mut session, wanted, watch).map(drop)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let drop = drop_database(&self.name);
        if self.session.ask(&drop).is_ok() {
            return;
        }
        // The session was ended with all else that was asked to stop.
        let fresh = Stop::default();
        if let Ok(mut session) = Session::open(&self.server, Some(MAINTENANCE), &self.tools, &fresh)
        {
            let _ = session.ask(&drop);
        }
    }
}

/// How the names of such databases begin.
fn base(name: &str) -> String {
    let end = (0..=BASE_BYTES.min(name.len()))
        .rev()
        .find(|at| name.is_char_boundary(*at));
    format!("{}_verify_", &name[..end.unwrap_or(0)])
}

/// Drops what runs have left that are dead.
fn sweep(session: &mut Session, base: &str) -> Result<(), Error> {
    let like = literal(base);
    let found = session.json(&format!(
        "SELECT datname AS name FROM pg_catalog.pg_database WHERE starts_with(datname, {like}) \
         AND substr(datname, length({like}) + 1) ~ '^[0-9]+$'"
    ))?;
    for row in found {
        let name = row["name"].as_str().unwrap_or_default().to_owned();
        let free = session.ask(&format!("SELECT pg_try_advisory_lock({})", key(&name)))?;
        if free.first().is_some_and(|it| it == "t") {
            session.ask(&drop_database(&name))?;
            session.ask(&format!("SELECT pg_advisory_unlock({})", key(&name)))?;
        }
    }
    Ok(())
}

/// The lock of a name.
fn key(name: &str) -> String {
    format!(
        "hashtext('mattervisor-backup'), hashtext({})",
        literal(name)
    )
}
