//! Running a program to its end and keeping what it said.

use std::{
    io::Read,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{patience, processes};

/// What became of a program.
#[derive(Clone, Debug)]
pub struct Ctl {
    /// Exit code; 128 + the signal's number if a signal ended it.
    pub code: i32,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

#[expect(
    clippy::return_self_not_must_use,
    reason = "the assertion is often all that is wanted"
)]
impl Ctl {
    /// Fails the test unless the program ended with this code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "exit code {} instead of {code}\nstdout: {}\nstderr: {}",
            self.code, self.stdout, self.stderr
        );
        self
    }

    /// Fails the test unless the program ended with 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.expect_code(0)
    }

    /// Standard output and standard error, in this order.
    pub fn both(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a program; fails the test if it has not ended within a minute.
pub fn run(command: &mut Command) -> Ctl {
    run_for(command, Duration::from_secs(60))
}

/// Runs a program; fails the test if it has not ended in time.
pub fn run_for(command: &mut Command, limit: Duration) -> Ctl {
    let started = Instant::now();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = processes::spawn(command);
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let Some(status) = patience::within(limit, || child.try_wait().ok().flatten()) else {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{command:?} has not ended within {limit:?}");
    };
    let took = started.elapsed();
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ctl {
        code,
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
        took,
    }
}

fn reader<R: Read + Send + 'static>(pipe: Option<R>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Copies a program. By `cp`, since a descriptor of ours that is open for writing could slip into a
/// child that another thread starts, and the program would be "busy".
pub fn install(from: &std::path::Path, to: &std::path::Path) {
    let _ = run(Command::new("cp").arg(from).arg(to)).ok();
}
