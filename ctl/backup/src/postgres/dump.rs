//! A dump of a database, in pieces, and the rows of its tables at the same moment.
//!
//! Theory: one session asks what is to be known, and then opens a transaction that only reads and exports its snapshot. `pg_dump` takes that,
//! and while it writes, the same session counts rows on a thread of its own: both see the same moment.

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

/// The first version that ends sessions which wait.
const IDLE_MAJOR: u32 = 14;

/// A server that has been asked, and its programs.
pub struct Asked {
    /// What is known of the database.
    pub facts: Facts,
    /// Programs of the server's version.
    pub tools: Tools,
    session: Session,
}

/// The moment that is dumped.
pub struct Dump {
    /// What is known of the database then.
    pub facts: Facts,
    tools: Tools,
    session: Session,
    snapshot: String,
}

/// A dump on its way.
pub(crate) struct Flow {
    pg_dump: Running,
    output: ChildStdout,
    next: u32,
    counting: JoinHandle<(Session, Result<Vec<Table>, Error>)>,
}

impl Asked {
    /// Asks the server.
    ///
    /// # Errors
    /// The server does not answer, or its programs are not here.
    pub fn open(server: &Server, stop: &Stop) -> Result<Self, Error> {
        let own = server.programs.as_deref();
        let any = Tools::any(own, stop)?;
        let mut session = Session::open(server, None, &any, stop)?;
        let facts = queries::facts(&mut session)?;
        let major = facts.server_version_number / 10_000;
        if major >= IDLE_MAJOR {
            // It waits until Mattermost is down.
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

    /// Opens the moment that is dumped.
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
    /// Begins to dump.
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
    /// The next part, if there is one.
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

    /// What was counted, once all has been read.
    ///
    /// # Errors
    /// [`Error::Program`] if `pg_dump` has failed: what was read is no dump then.
    pub(crate) fn finish(self) -> Result<Counted, Error> {
        let warnings = self.pg_dump.finish();
        // The snapshot lives as long as the session: until pg_dump has taken it.
        let (session, tables) = self.counting.join().map_err(|_| Error::Unanswered)?;
        drop(session);
        let warnings = warnings?;
        let tables = tables?;
        Ok(Counted { tables, warnings })
    }
}

/// What is known once a dump is there.
pub(crate) struct Counted {
    pub(crate) tables: Vec<Table>,
    /// What `pg_dump` has complained of without failing.
    pub(crate) warnings: String,
}

fn read_full(from: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    from.take(PIECE_BYTES as u64).read_to_end(bytes).map(drop)
}
