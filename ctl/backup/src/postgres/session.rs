//! One session with a server, held by a `psql` child: each statement and each row of its answer is
//! a line.

use std::{
    io::{BufRead, BufReader, Write},
    process::{ChildStdin, ChildStdout, Stdio},
};

use serde_json::Value;

use super::{
    server::{OPTIONS, Server},
    tools::Tools,
};
use crate::{Error, Stop, process::Running};

/// Line behind each answer. No row begins with a brace and a colon.
const END: &str = "{:end";

/// Functions in a query resolve to the server's own, whatever the owner of the database has
/// defined: we may be the superuser. Queries name tables with their schema.
const PATH: &str = "-c search_path=pg_catalog";

/// A session; dropping it ends it.
pub struct Session {
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    psql: Option<Running>,
}

impl Session {
    /// Connects to the server.
    ///
    /// # Errors
    /// [`Error::Program`] with what psql says, if the server does not answer.
    pub fn open(
        server: &Server,
        database: Option<&str>,
        tools: &Tools,
        stop: &Stop,
    ) -> Result<Self, Error> {
        let mut command = tools.command("psql");
        command
            .args([
                "--no-psqlrc",
                "--no-password",
                "--no-align",
                "--tuples-only",
                "--quiet",
            ])
            .args(["--set=ON_ERROR_STOP=1", "--file=-"])
            .env("PSQL_HISTORY", "/dev/null");
        server.reach(&mut command, database)?;
        command.env("PGOPTIONS", format!("{OPTIONS} {PATH}"));
        let mut psql = Running::start(command, Stdio::piped(), stop)?;
        let input = psql.input();
        let output = psql.output().ok_or(Error::Cancelled)?;
        let mut session = Self {
            input,
            output: BufReader::new(output),
            psql: Some(psql),
        };
        session.ask("SELECT 1")?;
        Ok(session)
    }

    /// The reason why psql has ended.
    fn end(&mut self) -> Error {
        drop(self.input.take());
        let ended = self.psql.take().map(Running::finish);
        match ended {
            Some(Err(error)) => error,
            Some(Ok(_)) | None => Error::Unanswered,
        }
    }

    /// Executes one statement, and answers its rows, as they are printed.
    ///
    /// # Errors
    /// [`Error::Program`] with what psql says. The session has ended then.
    pub fn ask(&mut self, sql: &str) -> Result<Vec<String>, Error> {
        let text = format!("{sql};\n\\echo {END}\n");
        let sent = self.input.as_mut().map(|input| {
            input
                .write_all(text.as_bytes())
                .and_then(|()| input.flush())
        });
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.end());
        }
        let mut rows = Vec::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 {
                return Err(self.end());
            }
            let line = line.trim_end_matches('\n');
            if line == END {
                return Ok(rows);
            }
            rows.push(line.to_owned());
        }
    }

    /// Runs a query, and answers each row as a JSON value.
    pub fn json(&mut self, query: &str) -> Result<Vec<Value>, Error> {
        let rows = self.ask(&format!("SELECT to_jsonb(x) FROM ({query}) AS x"))?;
        let read = rows.iter().map(|row| serde_json::from_str(row));
        read.collect::<Result<_, _>>()
            .map_err(|_| Error::Unanswered)
    }

    /// The qualified and quoted name of a table; `None` if the table does not exist.
    ///
    /// # Errors
    /// As for [`Session::ask`].
    pub fn table(&mut self, name: &str) -> Result<Option<String>, Error> {
        let found = self.json(&format!(
            "SELECT n.nspname AS schema FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relname = {} AND c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' \
             ORDER BY n.nspname <> 'public', n.nspname LIMIT 1",
            literal(name)
        ))?;
        let schema = found.first().and_then(|row| row["schema"].as_str());
        Ok(schema.map(|schema| format!("{}.{}", quoted(schema), quoted(name))))
    }

    /// The single number that a query answers.
    pub fn number(&mut self, query: &str) -> Result<u64, Error> {
        let rows = self.ask(query)?;
        let first = rows.first().and_then(|row| row.trim().parse().ok());
        first.ok_or(Error::Unanswered)
    }
}

/// Quotes an identifier.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a string literal.
pub fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
