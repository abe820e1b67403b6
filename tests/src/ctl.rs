//! Runs a program to its end and keeps its output.

use std::{
    io::Read,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{processes, wait};

/// Exit code and output of a program that has ended.
#[derive(Clone, Debug)]
pub struct Ctl {
    /// Exit code; 128 + the signal's number if a signal ended the program.
    pub code: i32,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
    /// How long the program ran.
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
    Running::start(command).finish_within(limit)
}

/// A program that runs beside the test. Dropping the value kills the program.
pub struct Running {
    child: Option<Child>,
    what: String,
    started: Instant,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts a program.
    pub fn start(command: &mut Command) -> Self {
        let started = Instant::now();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = processes::spawn(command);
        Self {
            what: format!("{command:?}"),
            started,
            stdout: Some(reader(child.stdout.take())),
            stderr: Some(reader(child.stderr.take())),
            child: Some(child),
        }
    }

    /// Pid of the program.
    pub fn pid(&self) -> i32 {
        let id = self.child.as_ref().map_or(0, Child::id);
        i32::try_from(id).expect("pids are positive")
    }

    /// Whether the program has ended.
    pub fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut().expect("it is taken at the end only");
        child.try_wait().ok().flatten().is_some()
    }

    /// Waits for the end of the program; fails the test if the program has not ended in time.
    pub fn finish_within(mut self, limit: Duration) -> Ctl {
        let child = self.child.as_mut().expect("it is taken at the end only");
        let Some(status) = wait::within(limit, || child.try_wait().ok().flatten()) else {
            panic!("{} has not ended within {limit:?}", self.what);
        };
        let text = |thread: Option<JoinHandle<String>>| thread.and_then(|it| it.join().ok());
        Ctl {
            took: self.started.elapsed(),
            code: status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: text(self.stdout.take()).unwrap_or_default(),
            stderr: text(self.stderr.take()).unwrap_or_default(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn reader<R: Read + Send + 'static>(pipe: Option<R>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Copies a program by `cp`: a descriptor of this process that is open for writing could slip into
/// a child that another thread starts, and the program would be "busy".
pub fn install(from: &std::path::Path, to: &std::path::Path) {
    let _ = run(Command::new("cp").arg(from).arg(to)).ok();
}
