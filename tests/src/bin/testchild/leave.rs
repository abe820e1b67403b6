//! The processes that testchild leaves behind.

use std::{
    fs::OpenOptions,
    io,
    time::{Duration, Instant},
};

use nix::{
    sys::{signal::Signal, wait::waitpid},
    unistd::{ForkResult, dup2_stderr, dup2_stdout, fork, setsid},
};

use crate::signals::{self, Signals};

/// Performs a verb that leaves a process.
pub(crate) fn perform(name: &str, argument: &str) -> io::Result<()> {
    match name {
        "child" => plain(argument, || rest(None)),
        "setsid-child" => plain(argument, || {
            setsid()?;
            rest(None)
        }),
        "stubborn-child" => plain(argument, || {
            signals::ignore(Signal::SIGTERM)?;
            Signals::default().wait(None, None).map(|_| ())
        }),
        "double-fork" => daemon(argument, || {
            let null = OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/null")?;
            dup2_stdout(&null)?;
            dup2_stderr(&null)?;
            rest(None)
        }),
        "double-fork-keep-log" => daemon(argument, || rest(None)),
        "hold-pipe" => {
            let time = Duration::from_secs(crate::number(argument)?);
            daemon("", move || rest(Some(Instant::now() + time)))
        }
        "orphans" => {
            for _ in 0..crate::number::<u32>(argument)? {
                daemon("", || Ok(()))?;
            }
            Ok(())
        }
        "notify-from-child" => {
            // The child lives on, so that the receiver of the message can see whose child it is.
            child(|| {
                crate::notify(argument)?;
                rest(None)
            })?;
            Ok(())
        }
        _ => Err(io::Error::other("no such verb")),
    }
}

/// A child that lives on beside this process; its pid goes to the file, if a path is given.
fn plain(path: &str, then: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let pid = child(then)?;
    note(path, pid.as_raw())
}

/// A grandchild in a session of its own; its parent is gone when this function returns.
fn daemon(path: &str, then: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let middle = child(|| {
        setsid()?;
        let pid = child(then)?;
        note(path, pid.as_raw())
    })?;
    waitpid(middle, None)?;
    Ok(())
}

fn note(path: &str, pid: i32) -> io::Result<()> {
    if path.is_empty() {
        Ok(())
    } else {
        crate::append(path, &format!("{pid}\n"))
    }
}

/// Waits with the default effects of SIGTERM, SIGHUP and SIGINT.
fn rest(until: Option<Instant>) -> io::Result<()> {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        signals::reset(signal)?;
    }
    Signals::default().wait(until, None).map(|_| ())
}

/// Forks; the child does `then` and ends.
#[expect(unsafe_code, reason = "there is no safe fork")]
fn child(then: impl FnOnce() -> io::Result<()>) -> io::Result<nix::unistd::Pid> {
    // SAFETY: this program has one thread, so the child may do whatever the parent may.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let code = match then() {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("testchild: left process: {error}");
                    120
                }
            };
            std::process::exit(code)
        }
    }
}
