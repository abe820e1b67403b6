//! Feeds `pg_restore` or `psql` with the pieces of a dump.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    process::{ChildStdin, Command, Stdio},
    thread::JoinHandle,
};

use super::tools::Tools;
use crate::{Error, Stop, process::Running};

/// A program that reads a dump.
pub(crate) struct Reader {
    input: Option<ChildStdin>,
    running: Running,
    /// The thread that passes its output on, if there is one.
    next: Option<JoinHandle<Result<(), Error>>>,
}

impl Reader {
    /// Starts a `pg_restore` that reads the whole dump and discards it.
    pub(crate) fn start(tools: &Tools, stop: &Stop) -> Result<Self, Error> {
        let mut command = tools.command("pg_restore");
        command
            .args(["--format=custom", "--file=/dev/null"])
            .env("LC_ALL", "C");
        Self::of(command, stop)
    }

    /// Starts a command that reads the dump from its stdin.
    pub(crate) fn of(command: Command, stop: &Stop) -> Result<Self, Error> {
        let mut running = Running::start(command, Stdio::piped(), stop)?;
        let input = running.input();
        Ok(Self {
            input,
            running,
            next: None,
        })
    }

    /// Writes the next piece to the program.
    pub(crate) fn feed(&mut self, piece: &mut impl Read) -> Result<(), Error> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = piece.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            let sent = self
                .input
                .as_mut()
                .map(|input| input.write_all(&buffer[..read]));
            match sent {
                // The program has ended; `finish` reports why.
                Some(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => self.input = None,
                Some(Err(error)) => return Err(error.into()),
                Some(Ok(())) | None => {}
            }
        }
    }

    /// Whether the program still reads its input.
    pub(crate) fn takes_more(&self) -> bool {
        self.input.is_some()
    }

    /// Starts `command`, whose output goes to `next` without the first line that equals `without`.
    pub(crate) fn into(
        command: Command,
        next: Command,
        without: &'static str,
        stop: &Stop,
    ) -> Result<Self, Error> {
        let mut reader = Self::of(command, stop)?;
        let output = reader.running.output().ok_or(Error::Unanswered)?;
        let mut next = Running::start(next, Stdio::piped(), stop)?;
        let thread = std::thread::Builder::new().name("filter".into());
        let filter = thread.spawn(move || {
            let copied = next
                .input()
                .map_or(Ok(()), |input| copy(output, input, without));
            // If the program stops reading, its own error explains why.
            next.finish().and(copied.map_err(Error::from))
        })?;
        reader.next = Some(filter);
        Ok(reader)
    }

    /// Waits until the program has read all pieces.
    ///
    /// # Errors
    /// [`Error::Program`] if it failed.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        drop(self.input.take());
        if let Some(next) = self.next.take() {
            next.join().map_err(|_| Error::Unanswered)??;
        }
        self.running.finish().map(drop)
    }
}

/// Copies all lines but the first one that equals `without`. `psql` gets no input without a leading
/// `\\restrict`, because it would execute shell commands hidden in the names of a dump.
fn copy(from: impl Read, mut to: impl Write, without: &str) -> io::Result<()> {
    let mut from = BufReader::with_capacity(256 << 10, from);
    let mut line = Vec::new();
    let mut restricted = false;
    while from.read_until(b'\n', &mut line)? > 0 {
        restricted |= line.starts_with(b"\\restrict ");
        if !restricted && !line.starts_with(b"--") && !line.trim_ascii().is_empty() {
            let message = "this pg_restore writes scripts that psql must not trust (CVE-2025-8714): update PostgreSQL's client programs";
            return Err(io::Error::other(message));
        }
        if line.trim_ascii_end() == without.as_bytes() {
            break;
        }
        to.write_all(&line)?;
        line.clear();
    }
    io::copy(&mut from, &mut to).map(drop)
}

#[cfg(test)]
mod tests {
    use super::copy;

    #[test]
    fn a_script_that_could_execute_commands_is_not_passed_on() {
        let mut out = Vec::new();
        let script = b"-- Name\n\\! touch /tmp/x\n\\restrict K\n";
        assert!(copy(&script[..], &mut out, "SET x;").is_err());
        assert_eq!(out, b"-- Name\n");
    }

    #[test]
    fn one_line_is_left_out_and_only_the_first() {
        let mut out = Vec::new();
        let script = b"--\n\n\\restrict K\nSET x;\nCOPY\nSET x;\nb";
        copy(&script[..], &mut out, "SET x;").expect("it is memory");
        assert_eq!(out, b"--\n\n\\restrict K\nCOPY\nSET x;\nb");
    }
}
