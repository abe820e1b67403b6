//! Fixtures for the tests of `ctl` and its programs: a service in every state, and a fake
//! supervisor that gives prepared answers.

#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

use std::{
    cell::RefCell,
    ffi::OsString,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    rc::Rc,
    thread::JoinHandle,
};

use api::{
    ActionResult, DaemonState, Goal, HeldBy, LastExit, ServiceState, ServiceStatus,
    SupervisorStatus, Verdict, WhyStep,
};
use tempfile::TempDir;

use crate::output::Output;

/// The present time of every test.
pub const NOW: &str = "2026-11-22T12:00:00Z";

/// Status of a running supervisor.
pub fn supervisor() -> SupervisorStatus {
    SupervisorStatus {
        version: "0.1.0".into(),
        pid: 101,
        keeper_pid: 100,
        keeper_version: "0.1.0".to_owned(),
        keeper_execs: 0,
        uptime_seconds: 90_061,
        control_restarts: 0,
        root: "/".into(),
        state: DaemonState::Running,
        warnings: Vec::new(),
        maintenance: None,
    }
}

/// Status of a service that is up and ready.
pub fn service(name: &str) -> ServiceStatus {
    ServiceStatus {
        leased: None,
        job: None,
        schedule: None,
        name: name.into(),
        description: format!("The {name} service"),
        enabled: true,
        goal: Goal::Up,
        held: None,
        state: ServiceState::Running,
        ready: true,
        healthy: None,
        pid: Some(123),
        since: Some("2026-11-22T11:59:15Z".into()),
        uptime_seconds: Some(45),
        restarts: 0,
        last_exit: None,
        last_reload: None,
        reason: None,
        waiting_on: Vec::new(),
        next_try_ms: None,
        cpu_percent: None,
        memory_bytes: None,
        user: Some("mattermost".into()),
        status_text: None,
    }
}

fn down(name: &str, state: ServiceState) -> ServiceStatus {
    ServiceStatus {
        state,
        ready: false,
        pid: None,
        ..service(name)
    }
}

/// A service in every state, some with a reason of each kind. Tests refer to them by index.
pub fn every_state() -> Vec<ServiceStatus> {
    let exit = LastExit {
        code: Some(1),
        signal: None,
        reason: "exit code 1".into(),
        at: "2026-11-22T11:59:15Z".into(),
    };
    vec![
        service("mattermost"),
        ServiceStatus {
            healthy: Some(false),
            reason: Some("health: HTTP 500 from /api/v4/system/ping".into()),
            ..service("degraded")
        },
        ServiceStatus {
            restarts: 7,
            next_try_ms: Some(3200),
            last_exit: Some(exit.clone()),
            reason: Some("exit code 1, 7 times in a row; next try in 3.2s".into()),
            ..down("nginx", ServiceState::Backoff)
        },
        ServiceStatus {
            last_exit: None,
            reason: Some("exec: no such file or directory".into()),
            ..down("broken", ServiceState::Failed)
        },
        ServiceStatus {
            waiting_on: vec!["postgresql".into()],
            ..down("waits", ServiceState::Waiting)
        },
        ServiceStatus {
            goal: Goal::Down,
            held: Some(HeldBy {
                by: "root".into(),
                at: "2026-11-22T10:00:00Z".into(),
            }),
            last_exit: Some(exit),
            ..down("held", ServiceState::Stopped)
        },
        down("spawning", ServiceState::Spawning),
        ServiceStatus {
            pid: Some(55),
            status_text: Some("migrating \x1b[31m7 of 9".into()),
            ..down("starts", ServiceState::Starting)
        },
        ServiceStatus {
            state: ServiceState::Reloading,
            ..service("reloads")
        },
        ServiceStatus {
            goal: Goal::Down,
            pid: Some(56),
            ..down("stops", ServiceState::Stopping)
        },
        ServiceStatus {
            pid: None,
            state: ServiceState::Completed,
            ..service("setup")
        },
        ServiceStatus {
            enabled: false,
            goal: Goal::Down,
            uptime_seconds: None,
            since: None,
            user: None,
            ..down("redis", ServiceState::Disabled)
        },
    ]
}

/// Result of an action for a service.
pub fn result(name: &str, verdict: Verdict, state: ServiceState, pid: Option<i32>) -> ActionResult {
    let detail = if verdict == Verdict::Failed {
        "exit code 1"
    } else {
        ""
    };
    ActionResult {
        service: name.into(),
        verdict,
        state: Some(state),
        pid,
        seconds: 1,
        state_in_full: None,
        detail: detail.into(),
    }
}

/// A link of a chain of causes, about the service of this index in [`every_state`].
pub fn step(depth: u32, index: usize, sentence: &str) -> WhyStep {
    WhyStep {
        service: every_state()[index].clone(),
        depth,
        root: false,
        sentence: sentence.into(),
        notes: Vec::new(),
        hints: Vec::new(),
        history: vec!["11:59:15 exited with code 1".into()],
        log: Vec::new(),
        exits: Vec::new(),
        restart: None,
    }
}

/// The answer to the request of a connection.
pub enum Answer {
    /// A whole answer with this status and body.
    Whole(u16, String),
    /// Status 200 and these lines; then the connection breaks.
    Cut(String),
    /// No answer: the connection breaks.
    Hangup,
    /// No answer until the client closes the connection.
    Silence,
    /// Status 200 and these lines, then nothing until the client closes the connection.
    Stall(String),
}

/// A fake supervisor. Each connection gets the next answer, in order.
pub struct Fake {
    /// The root of the supervisor's paths.
    pub root: TempDir,
    thread: JoinHandle<Vec<String>>,
}

/// Path of a root's control socket; makes its directory.
pub fn socket_of(root: &TempDir) -> PathBuf {
    let run = root.path().join("run/mattervisor");
    std::fs::create_dir_all(&run).unwrap();
    run.join("ctl.sock")
}

impl Fake {
    /// Listens under a new root.
    pub fn new(answers: Vec<Answer>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket_of(&root)).unwrap();
        let thread = std::thread::spawn(move || {
            let serve = |answer| {
                let (stream, _) = listener.accept().unwrap();
                serve(stream, answer)
            };
            answers.into_iter().map(serve).collect()
        });
        Self { root, thread }
    }

    /// The received requests, each as its first line, a space and its body.
    pub fn requests(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

fn serve(mut stream: UnixStream, answer: Answer) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let chunked = |text: &str| {
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n",
            text.len()
        )
    };
    let (text, until_gone) = match answer {
        Answer::Whole(status, text) => {
            let length = text.len();
            (
                format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{text}"),
                false,
            )
        }
        Answer::Cut(text) => (chunked(&text), false),
        Answer::Hangup => (String::new(), false),
        Answer::Silence => (String::new(), true),
        Answer::Stall(text) => (chunked(&text), true),
    };
    // A client that hangs up early is part of some tests, so a failed write is fine.
    let _ = stream.write_all(text.as_bytes());
    if until_gone {
        let _ = reader.read_to_end(&mut Vec::new());
    }
    format!("{} {}", first.trim_end(), String::from_utf8(body).unwrap())
        .trim_end()
        .to_owned()
}

/// The result of a run of `ctl`.
pub struct Ran {
    /// Exit code.
    pub code: u8,
    /// All standard output.
    pub out: String,
    /// All standard error.
    pub err: String,
}

/// A stream that keeps everything written to it.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

/// Entry point of a program, as its `main` calls it.
pub type Run = fn(&[OsString], Output) -> u8;

/// Runs a whole command line in this process.
pub fn ran(run: Run, line: &str) -> Ran {
    let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    let (out, err) = (Kept::default(), Kept::default());
    let output = Output::to(Box::new(out.clone()), Box::new(err.clone()));
    let code = run(&arguments, output);
    Ran {
        code,
        out: out.text(),
        err: err.text(),
    }
}

/// Like [`ran`], with a stdout whose reader is gone.
pub fn ran_unread(run: Run, line: &str) -> u8 {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    run(
        &arguments,
        Output::to(Box::new(Closed), Box::new(io::sink())),
    )
}

/// Checks that every shown command has examples, and that the parser accepts each example.
pub fn examples_parse(shown: &clap::Command, read: fn() -> clap::Command) {
    for command in shown.get_subcommands() {
        let name = command.get_name();
        let text = command.get_after_help().map(ToString::to_string);
        let text = text.unwrap_or_else(|| panic!("ctl {name} has no example"));
        let examples = text.split("Examples:\n").nth(1);
        let examples = examples.unwrap_or_else(|| panic!("ctl {name} has no example"));
        for line in examples.lines() {
            let line = line.trim().split("   ").next().unwrap_or_default();
            let line = line.trim_start_matches("source <(").trim_end_matches(')');
            for part in line
                .split(['|', '&', '>'])
                .filter(|it| it.trim().starts_with("ctl "))
            {
                parses(part.trim(), read());
            }
        }
    }
}

fn parses(line: &str, command: clap::Command) {
    // Quoted words may contain spaces.
    let mut words: Vec<String> = Vec::new();
    for (index, piece) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(piece.to_owned());
        } else {
            words.extend(piece.split_whitespace().map(str::to_owned));
        }
    }
    if let Err(error) = command.try_get_matches_from(words) {
        panic!("{line}: {error}");
    }
}

/// A root with this site file, and an empty catalogue.
pub fn root(site: &str) -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let etc = root.path().join("etc/mattervisor");
    let catalog = root.path().join("catalog");
    std::fs::create_dir_all(&etc).unwrap();
    std::fs::create_dir_all(&catalog).unwrap();
    std::fs::write(etc.join("mattervisor.toml"), site).unwrap();
    (root, catalog)
}

/// The end of a run that nobody asked for.
pub fn exit(service: &str) -> api::ExitRecord {
    api::ExitRecord {
        id: "b-1-7".into(),
        at: "2026-11-22T03:12:07.123Z".into(),
        service: service.to_owned(),
        pid: Some(812),
        code: None,
        signal: Some("KILL".into()),
        core: false,
        ran_ms: Some(10_920_000),
        killed: None,
        cause: api::ExitCause::Itself,
        next: api::NextRun::Start,
        left_out: 0,
    }
}
