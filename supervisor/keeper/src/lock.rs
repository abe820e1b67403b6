//! The lock that says who runs on this state: held by the keeper, and by the control process
//! through the same open file. Free only when both are gone.

use std::{
    fs::File,
    io::{self, Seek, Write},
    os::{fd::AsFd, unix::fs::FileExt},
    path::Path,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use safe_path::Dir;

use crate::{init::Init, proc, say::say, sys::file};

/// While an old control process stops its services, the lock is tried this often.
const RETRY_MS: u8 = 50;
/// Tries between two requests to the machine's init for more time.
const EXTEND_EVERY: u32 = 40;
/// More time, asked for every two seconds.
const EXTEND: &str = "EXTEND_TIMEOUT_USEC=10000000";

/// Why the lock is not ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// There is one already.
    #[error(
        "another supervisor (pid {pid}) runs on {dir}; stop it first, or choose another place with --root"
    )]
    Held {
        /// Its keeper.
        pid: i32,
        /// The run directory.
        dir: String,
    },
    /// Somebody does not want us to wait any longer.
    #[error("asked to stop while an earlier supervisor on {0} was still stopping its services")]
    Interrupted(String),
    /// No lock can be had at all.
    #[error("could not lock {0}: {1}; check that the directory is writable")]
    Io(String, io::Error),
}

/// Takes the lock, and waits for a control process that has outlived its keeper. `signals` becomes
/// readable when this process is asked to stop.
pub(crate) fn take(dir: &Path, signals: impl AsFd, init: &Init) -> Result<File, LockError> {
    let path = dir.join("lock");
    let failed = |error| LockError::Io(path.display().to_string(), error);
    let opened = Dir::open(dir).and_then(|dir| dir.append("lock", 0o600));
    let mut file = opened.map_err(failed)?;
    let mut tries = 0;
    loop {
        match file::try_lock(&file) {
            Ok(()) => break,
            Err(Errno::EWOULDBLOCK | Errno::EINTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
        if let Some(pid) = living_keeper(&file) {
            let dir = dir.display().to_string();
            return Err(LockError::Held { pid, dir });
        }
        if tries == 0 {
            say!("waits for an earlier control process to stop its services");
        }
        if tries % EXTEND_EVERY == 0 {
            init.tell(EXTEND);
        }
        tries += 1;
        let mut polled = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if poll(&mut polled, PollTimeout::from(RETRY_MS)).is_ok_and(|ready| ready > 0) {
            return Err(LockError::Interrupted(dir.display().to_string()));
        }
    }
    name_ourselves(&mut file).map_err(failed)?;
    Ok(file)
}

fn name_ourselves(file: &mut File) -> io::Result<()> {
    let pid = std::process::id();
    let start = i32::try_from(pid).ok().and_then(proc::stat);
    let start = start.map_or(0, |stat| stat.start);
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("{pid} {start}\n").as_bytes())
}

/// The keeper named in the file, if that very process lives.
fn living_keeper(file: &File) -> Option<i32> {
    let mut bytes = [0; 64];
    let length = file.read_at(&mut bytes, 0).ok()?;
    let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
    let mut words = text.split_ascii_whitespace();
    let pid = words.next()?.parse().ok()?;
    let start: u64 = words.next()?.parse().ok()?;
    let stat = proc::stat(pid)?;
    (stat.start == start && stat.state != b'Z').then_some(pid)
}

/// Pid in the lock file, for tests and messages.
#[cfg(test)]
fn named(file: &mut File) -> String {
    use std::io::Read;
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> (std::os::fd::OwnedFd, std::os::fd::OwnedFd) {
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap()
    }

    #[test]
    fn a_second_keeper_is_refused_with_the_pid_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let (signals, _keep) = quiet();
        let mut held = take(dir.path(), &signals, &Init::none()).unwrap();
        let own = std::process::id();
        assert!(named(&mut held).starts_with(&format!("{own} ")));
        let refused = take(dir.path(), &signals, &Init::none()).unwrap_err();
        let text = refused.to_string();
        assert!(matches!(refused, LockError::Held { .. }));
        assert!(text.contains(&format!("pid {own}")) && text.contains("--root"));
    }

    #[test]
    fn with_its_keeper_gone_the_lock_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (signals, keep) = quiet();
        let mut held = take(dir.path(), &signals, &Init::none()).unwrap();
        held.rewind().unwrap();
        held.set_len(0).unwrap();
        held.write_all(b"1 99999999999\n").unwrap();
        // Something to read on `signals` ends the wait: nobody was refused before.
        nix::unistd::write(&keep, b"x").unwrap();
        let waited = take(dir.path(), &signals, &Init::none()).unwrap_err();
        assert!(matches!(waited, LockError::Interrupted(_)));
        drop(held);
        take(dir.path(), &signals, &Init::none()).unwrap();
    }
}
