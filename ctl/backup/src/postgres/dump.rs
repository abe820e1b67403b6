//! A dump of a database, in pieces, and the rows of its tables at the same moment.
//!
//! Theory: one session gathers the facts, and then opens a read-only transaction and exports its
//! snapshot. `pg_dump` uses that snapshot, and while it writes, the same session counts rows on a
//! thread of its own: both see the same moment.

use std::{
    io::{self, Read},
    process::{ChildStdout, Stdio},
    thread::JoinHandle,
};

use super::{
    facts::{Facts, Table},
    queries,
    server::Server,
    session::Session,
    tools::Tools,
};
use crate::{
    Error, Stop,
    archive::{PIECE_BYTES, Piece},
    process::Running,
};

/// First version with a timeout for idle sessions.
const IDLE_MAJOR: u32 = 14;

/// A server whose facts are known, and the programs for it.
pub struct Asked {
    /// Facts of the database.
    pub facts: Facts,
    /// Programs of the server's version.
    pub tools: Tools,
    session: Session,
}

/// An open snapshot, ready to be dumped.
pub struct Dump {
    /// Facts of the database in that snapshot.
    pub facts: Facts,
    tools: Tools,
    session: Session,
    snapshot: String,
}

/// A dump in progress.
pub(crate) struct Flow {
    pg_dump: Running,
    output: ChildStdout,
    next: u32,
    counting: JoinHandle<(Session, Result<Vec<Table>, Error>)>,
}

impl Asked {
    /// Connects to the server and gathers the facts.
    ///
    /// # Errors
    /// The server does not answer, or its programs are not installed.
    pub fn open(server: &Server, stop: &Stop) -> Result<Self, Error> {
        let own = server.programs.as_deref();
        let any = Tools::any(own, stop)?;
        let mut session = Session::open(server, None, &any, stop)?;
        let facts = queries::facts(&mut session)?;
        let major = facts.server_version_number / 10_000;
        if major >= IDLE_MAJOR {
            // The session idles until Mattermost is stopped.
            session.ask("SET idle_session_timeout = 0")?;
        }
        let tools = if any.major >= major {
            any
        } else {
            Tools::at_least(major, own, stop)?
        };
        Ok(Self {
            facts,
            tools,
            session,
        })
    }

    /// Opens the snapshot.
    ///
    /// # Errors
    /// As for [`Session::ask`].
    pub fn dump(self) -> Result<Dump, Error> {
        let Self {
            tools, mut session, ..
        } = self;
        session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let snapshot = session.ask("SELECT pg_export_snapshot()")?;
        let snapshot = snapshot.into_iter().next().ok_or(Error::Unanswered)?;
        Ok(Dump {
            facts: queries::facts(&mut session)?,
            tools,
            session,
            snapshot,
        })
    }
}

impl Dump {
    /// Starts the dump and the count of rows.
    pub(crate) fn begin(self, server: &Server, stop: &Stop) -> Result<Flow, Error> {
        let Self {
            tools,
            mut session,
            snapshot,
            ..
        } = self;
        let mut command = tools.command("pg_dump");
        command.args(["--format=custom", "--compress=0", "--no-password"]);
        command.arg(format!("--snapshot={snapshot}"));
        server.reach(&mut command, None)?;
        let mut pg_dump = Running::start(command, Stdio::null(), stop)?;
        let output = pg_dump.output().ok_or(Error::Unanswered)?;
        let _ = nix::fcntl::fcntl(&output, nix::fcntl::FcntlArg::F_SETPIPE_SZ(1 << 20));
        let counting = std::thread::Builder::new()
            .name("count".into())
            .spawn(move || {
                let tables = queries::tables(&mut session, |_| Ok(()));
                (session, tables)
            })?;
        Ok(Flow {
            pg_dump,
            output,
            next: 0,
            counting,
        })
    }
}

impl Flow {
    /// The next piece of the dump; `None` at its end.
    pub(crate) fn piece(&mut self) -> Result<Option<Piece>, Error> {
        let mut bytes = Vec::with_capacity(PIECE_BYTES);
        read_full(&mut self.output, &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let number = self.next;
        self.next += 1;
        Ok(Some(Piece { number, bytes }))
    }

    /// The row counts, once the whole dump has been read.
    ///
    /// # Errors
    /// [`Error::Program`] if `pg_dump` has failed: the pieces are not a dump then.
    pub(crate) fn finish(self) -> Result<Counted, Error> {
        let warnings = self.pg_dump.finish();
        // The session holds the snapshot open: it must outlive pg_dump.
        let (session, tables) = self.counting.join().map_err(|_| Error::Unanswered)?;
        drop(session);
        let warnings = warnings?;
        let tables = tables?;
        Ok(Counted { tables, warnings })
    }
}

/// Row counts and warnings of a finished dump.
pub(crate) struct Counted {
    pub(crate) tables: Vec<Table>,
    /// Warnings of `pg_dump`.
    pub(crate) warnings: String,
}

fn read_full(from: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    from.take(PIECE_BYTES as u64).read_to_end(bytes).map(drop)
}
