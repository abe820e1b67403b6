//! What services say over their `NOTIFY_SOCKET`, and whether the sender may.
//!
//! One socket per service, made with its first run and kept: what is said while nobody reads is not
//! lost. Its name is abstract, so no directory has to let the service's user in. The kernel vouches
//! for the sender's pid; who that is gets looked up before anything is reaped.

use std::{
    io::Read,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockFlag, SockType, UnixAddr, bind, setsockopt, socket, sockopt::PassCred,
    },
};

use crate::{
    keeper::{Keeper, Source},
    message::{Fact, RunId},
    proc,
    say::say,
    sys::{pidfd, socket::receive_from},
};

/// Datagrams taken from one socket in one turn.
const DATAGRAMS_PER_TURN: usize = 32;
/// A longer datagram is cut, as systemd does.
const DATAGRAM_BYTES_MAX: usize = 4096;
/// Keys of one run that are kept.
const KEYS_MAX: usize = 32;
/// A longer key is dropped.
const KEY_BYTES_MAX: usize = 64;

/// A service's notify socket.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    name: String,
}

impl Socket {
    /// Binds a fresh name.
    pub(crate) fn open(service: &str) -> Result<Self, Errno> {
        let mut random = [0; 16];
        let source = std::fs::File::open("/dev/urandom");
        source
            .and_then(|mut source| source.read_exact(&mut random))
            .map_err(|_| Errno::EIO)?;
        let random = u128::from_le_bytes(random);
        // A name has room for 107 bytes.
        let short: String = service.chars().filter(char::is_ascii).take(40).collect();
        let name = format!("mattervisor/{short}/{random:032x}");
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&fd, PassCred, &true)?;
        bind(fd.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
        Ok(Self {
            fd,
            name: format!("@{name}"),
        })
    }

    /// Value of `NOTIFY_SOCKET`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Keeper {
    /// Takes in what processes of a service say.
    pub(crate) fn read_notify(&mut self, number: u64) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        for _ in 0..DATAGRAMS_PER_TURN {
            let service = self.services.values().find(|one| one.number == number);
            let Some((service, socket)) = service.and_then(|one| Some((one, one.notify.as_ref()?)))
            else {
                return;
            };
            let (count, sender) = match receive_from(socket, &mut buffer) {
                Ok(got) => got,
                Err(Errno::EINTR) => continue,
                Err(_) => return,
            };
            let pid = sender.map_or(0, |sender| sender.pid);
            // Who has ended since cannot be looked up any more: systemd-notify in a script does so
            // at once. Then the name of the socket, which only the service was told, and the user
            // have to do.
            let vouched = || {
                sender.is_some_and(|sender| {
                    sender.uid == service.open.uid && proc::stat(sender.pid).is_none()
                })
            };
            let main = service.main.and_then(|id| self.runs.get(&id));
            let main = main.filter(|run| run.lives());
            let Some(run) = main
                // In this order: it may end in between.
                .filter(|run| {
                    pid == run.main || !run.main_only && (self.speaks_for(run, pid) || vouched())
                })
                .map(|run| run.id)
            else {
                let name = &service.open.service;
                say!("{name}: drops a notification of pid {pid}, which may not speak for its run");
                continue;
            };
            self.take_notification(run, &buffer[..count]);
        }
    }

    fn take_notification(&mut self, id: RunId, datagram: &[u8]) {
        for (key, value) in lines(datagram) {
            if key == "MAINPID" && !self.adopt_main(id, value) {
                continue;
            }
            let Some(run) = self.runs.get_mut(&id) else {
                return;
            };
            if run.notified.len() >= KEYS_MAX && !run.notified.contains_key(key) {
                continue;
            }
            run.notified.insert(key.to_owned(), value.to_owned());
            self.push(Fact::Notified {
                run: id,
                key: key.to_owned(),
                value: value.to_owned(),
            });
        }
    }

    /// From now on another process of the service is its main process.
    fn adopt_main(&mut self, id: RunId, value: &str) -> bool {
        let Some(run) = self.runs.get(&id) else {
            return false;
        };
        let service = run.service.clone();
        let pid = value.parse().unwrap_or(0);
        if pid == run.main {
            return true;
        }
        // Open before asking: then it is this very process that the answer is about.
        let Some(fd) = pidfd::open(pid).ok().filter(|_| self.speaks_for(run, pid)) else {
            say!("{service}: drops MAINPID={value}, which is no process of its run");
            return false;
        };
        if proc::stat(pid).is_none_or(|stat| stat.state == b'Z') {
            say!("{service}: drops MAINPID={value}, which has ended");
            return false;
        }
        let leader = run.leader;
        if run.main != leader {
            self.unwatch(&run.pidfd);
            let old = run.main;
            self.by_pid.remove(&old);
        }
        if pid != leader {
            self.watch(&fd, Source::Main(id));
        }
        self.by_pid.remove(&leader);
        self.by_pid.insert(pid, id);
        if let Some(run) = self.runs.get_mut(&id) {
            run.main = pid;
            run.pidfd = fd;
        }
        true
    }
}

/// Lines of `KEY=value`; others are skipped.
fn lines(datagram: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let lines = datagram.split(|byte| *byte == b'\n');
    lines.filter_map(|line| {
        let (key, value) = std::str::from_utf8(line).ok()?.split_once('=')?;
        let fits = !key.is_empty() && key.len() <= KEY_BYTES_MAX;
        fits.then_some((key, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_and_rubbish_is_skipped() {
        let got: Vec<_> = lines(b"READY=1\nSTATUS=a=b\nrubbish\n=x\n\xff=1\nX=\n").collect();
        assert_eq!(got, [("READY", "1"), ("STATUS", "a=b"), ("X", "")]);
    }

    #[test]
    fn a_socket_has_a_name_that_fits_whatever_the_service_is_called() {
        let socket = Socket::open(&"long-name-".repeat(30)).unwrap();
        assert!(socket.name().starts_with('@') && socket.name().len() <= 108);
    }
}
