//! `pg_restore`, fed with the pieces of a dump.

use std::{
    io::{self, Read, Write},
    process::{ChildStdin, Command, Stdio},
};

use crate::{Error, Stop, postgres::Tools, process::Running};

/// What reads a dump.
pub(super) struct Reader {
    input: Option<ChildStdin>,
    running: Running,
}

impl Reader {
    /// One that reads all of it and does nothing with it.
    pub(super) fn start(tools: &Tools, stop: &Stop) -> Result<Self, Error> {
        let mut command = tools.command("pg_restore");
        command
            .args(["--format=custom", "--file=/dev/null"])
            .env("LC_ALL", "C");
        Self::of(command, stop)
    }

    /// A command that reads it from its input.
    pub(super) fn of(command: Command, stop: &Stop) -> Result<Self, Error> {
        let mut running = Running::start(command, Stdio::piped(), stop)?;
        let input = running.input();
        Ok(Self { input, running })
    }

    /// The next piece.
    pub(super) fn feed(&mut self, piece: &mut impl Read) -> Result<(), Error> {
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
                // It has ended: `finish` says why.
                Some(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => self.input = None,
                Some(Err(error)) => return Err(error.into()),
                Some(Ok(())) | None => {}
            }
        }
    }

    /// Waits until it has read all.
    ///
    /// # Errors
    /// [`Error::Program`] if it could not.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        drop(self.input.take());
        self.running.finish().map(drop)
    }
}
