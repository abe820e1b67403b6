//! The child that `./dev soak` has supervised: it takes its service's lock, leaves processes that
//! try to get away, and writes numbered lines.
//!
//! `soakchild main site=ROOT service=NAME …` is the main process of a service:
//!
//! | word | what it does |
//! | --- | --- |
//! | `burst=N`, `pause=MS` | writes N lines, waits, and so on |
//! | `leave=KIND[,KIND…]` | leaves processes: see below |
//! | `stubborn` | ignores SIGTERM |
//! | `ping` | says `WATCHDOG=1` after every burst |
//! | `crash-after=MS` | exits 1 then |
//!
//! The main process takes the lock `locks/NAME` under ROOT at once, and its children of most kinds
//! hold the lock with it. A main process that finds the lock taken is a second one of its service,
//! and says so in the file `violations`.
//!
//! | kind | what it is |
//! | --- | --- |
//! | `child` | in the same group, ignores SIGTERM |
//! | `session` | in a session of its own, with the log pipe, and writes lines of its own |
//! | `daemon` | double fork, a session of its own, no standard descriptors |
//! | `bare` | the same without an environment |
//! | `stray` | the same without an environment and without the lock: nothing says whose it is |

mod leave;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use mattervisor_tests::soak::line::{Writer, new_run};
use nix::{
    fcntl::{FcntlArg, FdFlag, Flock, FlockArg, fcntl},
    poll::{PollTimeout, poll},
    sys::signal::{SigHandler, Signal},
};

/// Pause of a process that was given no `pause=`.
const NAP: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let role = words.next().unwrap_or_default();
    let words: Words = words
        .map(|word| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (word, String::new()),
        })
        .collect();
    let done = match role.as_str() {
        "main" => live(&words),
        "middle" => leave::middle(&words),
        "left" => leave::left(&words),
        _ => Err(io::Error::other("usage: soakchild main|middle|left WORD…")),
    };
    match done {
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soakchild: {error}");
            ExitCode::from(120)
        }
    }
}

/// `NAME=VALUE` and `NAME` of the command line.
pub(crate) type Words = BTreeMap<String, String>;

/// The value of a word that must be there.
pub(crate) fn word<'a>(words: &'a Words, name: &str) -> io::Result<&'a str> {
    let value = words.get(name).map(String::as_str);
    value.ok_or_else(|| io::Error::other(format!("{name}= is missing")))
}

fn number(words: &Words, name: &str) -> io::Result<Option<u64>> {
    let text = words.get(name).map(|text| text.parse());
    text.transpose().map_err(io::Error::other)
}

fn live(words: &Words) -> io::Result<()> {
    let root = PathBuf::from(word(words, "site")?);
    let service = word(words, "service")?;
    let run = new_run();
    if words.contains_key("stubborn") {
        ignore_term()?;
    }
    let lock = take_lock(&root, service)?;
    let kinds = words.get("leave").map_or("", String::as_str);
    for kind in kinds.split(',').filter(|kind| !kind.is_empty()) {
        // A child inherits the descriptors that its parent does not close on exec.
        let kept = if kind == "stray" {
            FdFlag::FD_CLOEXEC
        } else {
            FdFlag::empty()
        };
        if let Some(lock) = &lock {
            fcntl(&**lock, FcntlArg::F_SETFD(kept))?;
        }
        leave::leave(words, kind, &run)?;
    }
    notify("READY=1")?;
    let mut writer = Writer::new(&root, service, "main", &run)?;
    let burst = number(words, "burst")?.unwrap_or(0);
    let pause = number(words, "pause")?.map_or(NAP, Duration::from_millis);
    let end = number(words, "crash-after")?.map(|ms| Instant::now() + Duration::from_millis(ms));
    loop {
        write_or_rest(&mut writer, burst);
        if words.contains_key("ping") {
            notify("WATCHDOG=1")?;
        }
        nap(pause);
        if end.is_some_and(|end| Instant::now() >= end) {
            return Ok(());
        }
    }
}

/// Writes some lines. Once nobody reads the lines, because both supervising processes are dead, the
/// process goes on without writing.
pub(crate) fn write_or_rest(writer: &mut Writer, burst: u64) {
    for _ in 0..burst {
        if writer.write().is_err() {
            return;
        }
    }
}

/// Waits; a signal has its default effect unless the process ignores it.
pub(crate) fn nap(time: Duration) {
    let _ = poll(
        &mut [],
        PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX),
    );
}

pub(crate) fn ignore_term() -> io::Result<()> {
    #[expect(unsafe_code, reason = "there is no safe sigaction")]
    // SAFETY: to ignore a signal runs no code of ours.
    unsafe {
        nix::sys::signal::signal(Signal::SIGTERM, SigHandler::SigIgn)?;
    }
    Ok(())
}

/// Takes the service's lock. If another process has the lock, reports that and goes on without:
/// what becomes of two processes of one service is not for this process to settle.
fn take_lock(root: &Path, service: &str) -> io::Result<Option<Flock<File>>> {
    let directory = root.join("locks");
    fs::create_dir_all(&directory)?;
    let path = directory.join(service);
    let append = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
    let own = std::process::id();
    let Ok(lock) = Flock::lock(append(&path)?, FlockArg::LockExclusiveNonblock) else {
        let holder = fs::read_to_string(&path)?;
        let told = format!("{service}: {own} was started beside {holder}\n");
        append(&root.join("violations"))?.write_all(told.as_bytes())?;
        return Ok(None);
    };
    lock.set_len(0)?;
    (&*lock).write_all(own.to_string().as_bytes())?;
    Ok(Some(lock))
}

/// Sends a message to the notify socket, if there is one. A message that cannot be sent is lost, as
/// with any program.
fn notify(message: &str) -> io::Result<()> {
    if let Some(path) = std::env::var_os("NOTIFY_SOCKET") {
        let _ = UnixDatagram::unbound()?.send_to(message.as_bytes(), path);
    }
    Ok(())
}
