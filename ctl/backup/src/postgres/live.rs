//! Facts of the live database, for the question before it is replaced.

use super::{
    facts::Facts,
    queries::facts,
    server::Server,
    session::{Session, literal},
    tools::Tools,
};
use crate::{Error, Stop};

/// The table of messages.
const MESSAGES: &str = "posts";

/// The facts.
#[derive(Clone, Debug)]
pub struct Live {
    /// Facts of the database.
    pub facts: Facts,
    /// Number of messages; `None` without such a table.
    pub posts: Option<u64>,
}

impl Live {
    /// Queries the live database.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn ask(server: &Server, stop: &Stop) -> Result<Self, Error> {
        let mut session = session(server, stop)?;
        let facts = facts(&mut session)?;
        let posts = match session.table(MESSAGES)? {
            Some(table) => session
                .number(&format!("SELECT count(*) FROM {table}"))
                .ok(),
            None => None,
        };
        Ok(Self { facts, posts })
    }

    /// Number of messages written since a moment (RFC 3339); `None` without such a table.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn posts_since(server: &Server, at: &str, stop: &Stop) -> Result<Option<u64>, Error> {
        let mut session = session(server, stop)?;
        let Some(table) = session.table(MESSAGES)? else {
            return Ok(None);
        };
        let at = literal(at);
        let query = format!(
            "SELECT count(*) FROM {table} WHERE createat > extract(epoch FROM {at}::timestamptz) * 1000"
        );
        session.number(&query).map(Some)
    }
}

fn session(server: &Server, stop: &Stop) -> Result<Session, Error> {
    let tools = Tools::any(server.programs.as_deref(), stop)?;
    Session::open(server, None, &tools, stop)
}
