//! A scratch database, into which a backup is restored as a test. It has a name of its own, and
//! every way out drops it. A session holds an advisory lock on the name while the database is in
//! use; a killed run leaves no lock, so the next run drops its database.
//!
//! The restore runs as the owner of the database, not as the superuser: a dump can do no more than
//! that role may.

use jiff::Timestamp;

use crate::{
    Error, Step, Stop, Unit, Watch,
    manifest::{Counts, Manifest},
    postgres::{
        Reader, Server, Session, Tools, as_owner, compare, create, drop_database, known, literal,
        restore,
    },
};

/// Bytes of the database's name that the scratch name contains: `PostgreSQL` allows 63 in all.
const BASE_BYTES: usize = 40;
/// Database for statements that concern no particular database.
const MAINTENANCE: &str = "postgres";

/// The scratch database.
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

    /// Starts the program that restores into the scratch database.
    pub(super) fn restore(&mut self) -> Result<Reader, Error> {
        restore(
            &mut self.session,
            &self.server,
            &self.name,
            &self.tools,
            &self.stop,
        )
    }

    /// Compares the rows of each table with the counts.
    pub(super) fn compare(&self, wanted: &Counts, watch: &mut Watch) -> Result<(), Error> {
        watch.step(Step::CountRows, None, Unit::Rows);
        let stop = watch.stop().clone();
        // As the owner: code from the dump runs with no other rights.
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
        // The stop request has ended the session: drop the database by a new one.
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

/// Drops the scratch databases of dead runs.
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

/// The key of the lock on a name.
fn key(name: &str) -> String {
    format!(
        "hashtext('mattervisor-backup'), hashtext({})",
        literal(name)
    )
}
