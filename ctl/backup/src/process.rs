//! Runs child programs, and reads their output meanwhile.
//!
//! The children end with this process: they read from it or write to it, and end when the pipe
//! breaks.

use std::{
    io::{self, Read},
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    thread::JoinHandle,
};

use nix::unistd::Pid;

use crate::{Error, Stop};

/// Bytes kept from the end of a program's stderr.
const COMPLAINT_BYTES: usize = 4096;

/// A running program.
pub(crate) struct Running {
    name: String,
    child: Child,
    complaints: Option<JoinHandle<String>>,
    stop: Stop,
    ended: bool,
}

impl Running {
    /// Starts a program. `input` says whether it has a stdin for [`Running::input`].
    pub(crate) fn start(mut command: Command, input: Stdio, stop: &Stop) -> Result<Self, Error> {
        stop.check()?;
        let name = command.get_program().to_string_lossy().into_owned();
        command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[expect(
            clippy::disallowed_methods,
            reason = "not the supervisor's process: nobody else reaps here"
        )]
        let mut child = command.spawn().map_err(|error| Error::Io {
            doing: format!("execute {name}"),
            error,
        })?;
        if let Some(pid) = pid(&child) {
            stop.add(pid);
        }
        let complaints = child
            .stderr
            .take()
            .map(|errors| std::thread::spawn(move || tail(errors)));
        Ok(Self {
            name,
            child,
            complaints,
            stop: stop.clone(),
            ended: false,
        })
    }

    /// Stdin of the program; taken once.
    pub(crate) fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Stdout of the program; taken once.
    pub(crate) fn output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for the program's end, and answers the end of its stderr.
    ///
    /// # Errors
    /// [`Error::Program`] if it failed, [`Error::Cancelled`] if a stop request ended it.
    pub(crate) fn finish(mut self) -> Result<String, Error> {
        let status = self.reap()?;
        let complaints = self.complaints();
        if status.success() {
            return Ok(complaints);
        }
        self.stop.check()?;
        Err(Error::Program {
            name: short(&self.name).to_owned(),
            how: how(status),
            complaints,
        })
    }

    fn complaints(&mut self) -> String {
        let complaints = self.complaints.take();
        complaints
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    }

    fn reap(&mut self) -> Result<ExitStatus, Error> {
        drop(self.child.stdin.take());
        if let Some(pid) = pid(&self.child) {
            // From here on no stop request reaches the child, so it must be about to end by itself:
            // the caller has read its output to the end.
            let _ = nix::sys::wait::waitid(
                nix::sys::wait::Id::Pid(pid),
                nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT,
            );
            self.stop.remove(pid);
        }
        self.ended = true;
        self.child.wait().map_err(|error| Error::Io {
            doing: format!("wait for {}", self.name),
            error,
        })
    }
}

impl Drop for Running {
    /// Kills a program that nothing waits for any more.
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.reap();
        }
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().map(Pid::from_raw)
}

/// The last bytes of a stream, read to its end.
fn tail(mut from: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => kept.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        let over = kept.len().saturating_sub(COMPLAINT_BYTES);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => text::exit_code(code),
        (None, Some(signal)) => text::killed_by(&text::signal::shown(signal)),
        (None, None) => "an unknown end".to_owned(),
    }
}
