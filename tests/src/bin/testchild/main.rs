//! A child with verbs: does on demand what a supervisor has to put up with.
//!
//! `testchild VERB…` performs its verbs one after the other and exits 0 if none of them ended it;
//! most lists end with `sleep`. The child takes signals only where a verb asks for that, and only
//! while a verb waits. It starts in about a millisecond: no runtime, no threads.
//!
//! | verb | what it does |
//! | --- | --- |
//! | `ignore-term`, `ignore=NAME` | ignores SIGTERM, or the named signal |
//! | `trap-term=CODE`, `trap=NAME:CODE` | exits with the code at SIGTERM, or at the named signal |
//! | `on-hup=TEXT` | prints the text at every SIGHUP |
//! | `copy=FROM:TO`, `copy-on-hup=FROM:TO[:WORD]` | copies a file, now or at every SIGHUP; then not if WORD is in it |
//! | `notify-on-hup=MSG`, `notify-on-term=MSG` | speaks on `NOTIFY_SOCKET` at every SIGHUP, at SIGTERM before what follows |
//! | `stop-file=PATH` | at SIGTERM appends `PID MONOTONIC_NS` to the file and exits 0 |
//! | `stop-delay=MS` | takes that long before what `trap-term` or `stop-file` after it does |
//! | `child`, `setsid-child`, `stubborn-child` | leaves a child: in its group, in a session of its own, in its group and ignoring SIGTERM |
//! | `double-fork`, `double-fork-keep-log` | leaves a daemon, without or with the log pipe |
//! | `orphans=N` | leaves N orphans that have ended or end at once |
//! | `hold-pipe=SECS` | leaves a daemon that holds the log pipe that long |
//! | `notify=MSG`, `notify-from-child=MSG`, `notify-after=MS:MSG` | speaks on `NOTIFY_SOCKET`; `\n` in MSG is a line end |
//! | `ping=MS` | says `WATCHDOG=1` that often, for ever |
//! | `ping-while=FILE:MS` | does so as long as the file exists, and whenever it does |
//! | `ready-fd=FD:TEXT` | writes the text to that descriptor; `\n` is a line end |
//! | `unix=PATH` | listens on that unix socket until it is ended |
//! | `notify-to=FILE:MSG` | speaks on the socket whose name is in the file |
//! | `flood=LINES:LEN` | prints numbered lines of that length |
//! | `print=TEXT`, `print-part=TEXT`, `print-hex=HEX`, `err=TEXT` | a line, part of a line, raw bytes, a line on stderr |
//! | `exit=CODE`, `exit-after=MS[:CODE]`, `kill-self=NAME` | ends |
//! | `shift-exit=FILE:CODE` | exits with the code as long as the file exists |
//! | `wait-file=FILE` | waits until the file exists |
//! | `file=PATH` | appends `PID MONOTONIC_NS` to the file |
//! | `write=PATH:TEXT`, `remove=PATH` | writes (env: `$NAME` as TEXT), removes a file |
//! | `env`, `id` | prints the environment; ids, limits and masks |
//! | `listen=PORT`, `http=PORT:STATUS:BODY` | serves on 127.0.0.1 until it is ended; `STATUS` and `BODY` may be `@FILE`, read at each request |
//! | `lease=NAME,…`, `release`, `result=OK:MESSAGE` | of a job: has services stopped, gives them back, leaves its result, whose report is what it was asked |
//! | `delay=MS`, `sleep` | does nothing for that long, for ever |
//! | `control` | the same: what a keeper starts as its control process hangs; with `TESTCHILD_CONTROL=dies` it says that it has taken over and exits 9 |
//! | `keeper-trial` | the same: a program that hangs on trial as a keeper |
//! | `site=TEXT` | nothing: marks the process and all that it forks, for those who clean up |
//!
//! The verbs that leave a process take `=PATH`: its pid is appended to that file.

mod job;
mod leave;
mod serve;
mod show;
mod signals;

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::Signal,
        socket::{MsgFlags, send},
    },
    time::{ClockId, clock_gettime},
};

use crate::signals::{Action, Signals};

fn main() -> ExitCode {
    let mut signals = Signals::default();
    for verb in std::env::args().skip(1) {
        let (name, argument) = verb.split_once('=').unwrap_or((&verb, ""));
        if let Err(error) = perform(&mut signals, name, argument) {
            eprintln!("testchild: {verb}: {error}");
            return ExitCode::from(120);
        }
    }
    ExitCode::SUCCESS
}

/// Sends the first message of a control process, in a frame for the keeper, and exits.
fn take_over_and_die() -> io::Result<()> {
    const CONTROL_FD: i32 = 3;
    let said = br#"{"type":"took-over"}"#;
    let mut frame = u32::try_from(said.len())
        .map_err(io::Error::other)?
        .to_le_bytes()
        .to_vec();
    frame.extend(said);
    send(CONTROL_FD, &frame, MsgFlags::empty())?;
    std::process::exit(9)
}

fn perform(signals: &mut Signals, name: &str, argument: &str) -> io::Result<()> {
    match name {
        "ignore-term" => signals::ignore(Signal::SIGTERM),
        "ignore" => signals::ignore(signals::by_name(argument)?),
        "trap-term" => signals.take(Signal::SIGTERM, Action::Exit(number(argument)?)),
        "trap" => {
            let (signal, code) = pair(argument)?;
            signals.take(signals::by_name(signal)?, Action::Exit(number(code)?))
        }
        "on-hup" => signals.take(Signal::SIGHUP, Action::Print(argument.to_owned())),
        "copy-on-hup" => {
            let (from, rest) = pair(argument)?;
            let (to, unless) = match rest.split_once(':') {
                Some((to, word)) => (to, Some(word.to_owned())),
                None => (rest, None),
            };
            let (from, to) = (from.to_owned(), to.to_owned());
            signals.take(Signal::SIGHUP, Action::Copy { from, to, unless })
        }
        "notify-on-hup" => signals.take(Signal::SIGHUP, Action::Notify(argument.to_owned())),
        "notify-on-term" => signals.take(Signal::SIGTERM, Action::Notify(argument.to_owned())),
        "stop-delay" => signals.take(Signal::SIGTERM, Action::Pause(millis(argument)?)),
        "stop-file" => {
            signals.take(Signal::SIGTERM, Action::Stamp(argument.to_owned()))?;
            signals.take(Signal::SIGTERM, Action::Exit(0))
        }
        "exit" => std::process::exit(number(argument)?),
        "exit-after" => {
            let (time, code) = argument.split_once(':').unwrap_or((argument, "0"));
            signals.wait(Some(Instant::now() + millis(time)?), None)?;
            std::process::exit(number(code)?)
        }
        "site" => Ok(()),
        "kill-self" => signals::kill_self(signals::by_name(argument)?),
        "shift-exit" => {
            let (path, code) = pair(argument)?;
            if Path::new(path).exists() {
                std::process::exit(number(code)?);
            }
            Ok(())
        }
        "wait-file" => wait_for_file(signals, Path::new(argument)),
        "delay" => signals
            .wait(Some(Instant::now() + millis(argument)?), None)
            .map(|_| ()),
        "control" if std::env::var_os("TESTCHILD_CONTROL").is_some() => take_over_and_die(),
        "sleep" | "control" | "keeper-trial" => signals.wait(None, None).map(|_| ()),
        "ping" => ping(signals, None, argument),
        "ping-while" => {
            let (file, pause) = pair(argument)?;
            ping(signals, Some(Path::new(file)), pause)
        }
        "listen" => serve::listen(signals, number(argument)?),
        "unix" => serve::unix(signals, argument),
        "lease" | "release" | "result" => job::perform(signals, name, argument),
        "http" => serve::http(signals, argument),
        _ => perform_output(signals, name, argument),
    }
}

fn perform_output(signals: &mut Signals, name: &str, argument: &str) -> io::Result<()> {
    match name {
        "print" => print(&format!("{argument}\n")),
        "print-part" => print(argument),
        "print-hex" => io::stdout().lock().write_all(&unhex(argument)?),
        "err" => io::stderr()
            .lock()
            .write_all(format!("{argument}\n").as_bytes()),
        "flood" => flood(argument),
        "env" => show::environment(),
        "id" => show::identity(),
        "file" => stamp(argument),
        "copy" => {
            let (from, to) = pair(argument)?;
            write_whole(to, &fs::read_to_string(from)?)
        }
        "write" => write_file(argument),
        "remove" => fs::remove_file(argument),
        "ready-fd" => {
            let (fd, text) = pair(argument)?;
            let path = format!("/proc/self/fd/{}", number::<u32>(fd)?);
            let mut file = OpenOptions::new().write(true).open(path)?;
            file.write_all(text.replace("\\n", "\n").as_bytes())
        }
        "notify" => notify(argument),
        "notify-after" => {
            let (time, message) = pair(argument)?;
            signals.wait(Some(Instant::now() + millis(time)?), None)?;
            notify(message)
        }
        "notify-to" => {
            let (path, message) = pair(argument)?;
            let socket = fs::read_to_string(path)?;
            notify_at(socket.trim().as_bytes(), message)
        }
        _ => leave::perform(name, argument),
    }
}

/// Two words with a colon between them; the second may hold more colons.
pub(crate) fn pair(argument: &str) -> io::Result<(&str, &str)> {
    argument
        .split_once(':')
        .ok_or_else(|| io::Error::other("needs A:B"))
}

/// A number of any kind.
pub(crate) fn number<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse()
        .map_err(|_| io::Error::other(format!("{text:?} is no number")))
}

/// Milliseconds as a time.
fn millis(text: &str) -> io::Result<Duration> {
    Ok(Duration::from_millis(number(text)?))
}

/// Writes at once, past any buffer: printed text must be in the pipe when the process dies.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Appends the pid and a monotonic stamp, in one write.
pub(crate) fn stamp(path: &str) -> io::Result<()> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    let nanos = i128::from(now.tv_sec()) * 1_000_000_000 + i128::from(now.tv_nsec());
    append(path, &format!("{} {nanos}\n", std::process::id()))
}

/// Appends in one write, so that several processes may share a file.
pub(crate) fn append(path: &str, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// Sends a message to the supervisor's notify socket.
pub(crate) fn notify(message: &str) -> io::Result<()> {
    let name =
        std::env::var_os("NOTIFY_SOCKET").ok_or_else(|| io::Error::other("no NOTIFY_SOCKET"))?;
    notify_at(name.as_bytes(), message)
}

fn notify_at(name: &[u8], message: &str) -> io::Result<()> {
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
    };
    let message = message.replace("\\n", "\n");
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}

fn write_file(argument: &str) -> io::Result<()> {
    let (path, text) = pair(argument)?;
    let text = match text.strip_prefix('$') {
        Some(name) => std::env::var(name).unwrap_or_default(),
        None => text.to_owned(),
    };
    write_whole(path, &text)
}

/// Renames the file into place, so that a reader who waits for it never sees half of it.
pub(crate) fn write_whole(path: &str, text: &str) -> io::Result<()> {
    let temporary = format!("{path}.{}", std::process::id());
    fs::write(&temporary, text)?;
    fs::rename(temporary, path)
}

fn flood(argument: &str) -> io::Result<()> {
    let (lines, length) = pair(argument)?;
    let (lines, length): (u64, usize) = (number(lines)?, number(length)?);
    let mut stdout = io::stdout().lock();
    let pid = std::process::id();
    for line in 0..lines {
        let text = format!("flood {pid} {line:010} ");
        let fill = "x".repeat(length.saturating_sub(text.len()));
        stdout.write_all(format!("{text}{fill}\n").as_bytes())?;
    }
    stdout.flush()
}

fn unhex(text: &str) -> io::Result<Vec<u8>> {
    let digits: Vec<char> = text.chars().collect();
    let bytes = digits
        .chunks(2)
        .map(|two| u8::from_str_radix(&two.iter().collect::<String>(), 16));
    bytes.collect::<Result<_, _>>().map_err(io::Error::other)
}

/// Says that the process is alive: for ever without a file, else whenever the file exists.
fn ping(signals: &mut Signals, file: Option<&Path>, pause: &str) -> io::Result<()> {
    let pause = millis(pause)?;
    loop {
        if file.is_none_or(Path::exists) {
            notify("WATCHDOG=1")?;
        }
        signals.wait(Some(Instant::now() + pause), None)?;
    }
}

fn wait_for_file(signals: &mut Signals, path: &Path) -> io::Result<()> {
    while !path.exists() {
        signals.wait(Some(Instant::now() + Duration::from_millis(5)), None)?;
    }
    Ok(())
}
