//! The processes that soakchild leaves, each executed anew, so that a command line says what its
//! process is.

use std::{
    io,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use mattervisor_tests::soak::line::{Writer, new_run};

use crate::{Words, ignore_term, nap, word, write_or_rest};

/// Pause between two lines of a `session`.
const PAUSE: Duration = Duration::from_millis(50);

/// Leaves a process of this kind.
pub(crate) fn leave(words: &Words, kind: &str, run: &str) -> io::Result<()> {
    match kind {
        "child" | "session" => start(&mut ourselves("left", words, kind, run)?),
        "daemon" | "bare" | "stray" => {
            let mut middle = ourselves("middle", words, kind, run)?;
            if kind != "daemon" {
                middle.env_clear();
            }
            middle.stdin(Stdio::null());
            middle.stdout(Stdio::null());
            middle.stderr(Stdio::null());
            finish(&mut middle)
        }
        _ => Err(io::Error::other(format!("no such kind: {kind}"))),
    }
}

/// The process between the two forks of a daemon: leads a session, and is gone at once.
pub(crate) fn middle(words: &Words) -> io::Result<()> {
    nix::unistd::setsid()?;
    start(&mut ourselves(
        "left",
        words,
        word(words, "kind")?,
        word(words, "run")?,
    )?)?;
    std::process::exit(0)
}

/// A process that was left, which lives until it is killed.
pub(crate) fn left(words: &Words) -> io::Result<()> {
    match word(words, "kind")? {
        "child" => ignore_term()?,
        "session" => {
            nix::unistd::setsid()?;
            let root = Path::new(word(words, "site")?);
            let mut writer = Writer::new(root, word(words, "service")?, "session", &new_run())?;
            loop {
                write_or_rest(&mut writer, 1);
                nap(PAUSE);
            }
        }
        _ => {}
    }
    loop {
        nap(Duration::from_secs(30));
    }
}

fn ourselves(role: &str, words: &Words, kind: &str, run: &str) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role);
    for name in ["site", "service"] {
        command.arg(format!("{name}={}", word(words, name)?));
    }
    command
        .arg(format!("kind={kind}"))
        .arg(format!("run={run}"));
    Ok(command)
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is left on purpose, and this is no supervisor"
)]
fn start(command: &mut Command) -> io::Result<()> {
    command.spawn().map(drop)
}

#[expect(clippy::disallowed_methods, reason = "this is no supervisor")]
fn finish(command: &mut Command) -> io::Result<()> {
    command.status().map(drop)
}
