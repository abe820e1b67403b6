//! The machine's init: its `NOTIFY_SOCKET`, and its watchdog.

use std::{
    env,
    ffi::{CString, OsString},
    io::ErrorKind,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::{OsStrExt, OsStringExt},
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use nix::errno::Errno;

use crate::{clock::now_ms, stderr_log::error, sys::child::c_string};

/// Variables that init has set for the keeper alone.
const OWN_VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// How long init may take to make room in its queue, which holds ten messages as a rule.
const PATIENCE: Duration = Duration::from_secs(1);

/// Init is asked for more time this often, and each time for so much.
const EXTEND_EVERY_MS: u64 = 10_000;
const EXTEND: &str = "EXTEND_TIMEOUT_USEC=30000000";

/// Speaks to init over `NOTIFY_SOCKET`, where there is one.
#[derive(Debug)]
pub(crate) struct Init {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// Milliseconds from one `WATCHDOG=1` to the next: half of the interval that init asks for.
    watchdog_ms: Option<u64>,
}

impl Init {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Self {
        let to = env::var_os("NOTIFY_SOCKET").and_then(|name| connect(&name));
        let for_us =
            env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
        let usec = env::var("WATCHDOG_USEC").ok().filter(|_| for_us);
        let usec: Option<u64> = usec.and_then(|usec| usec.parse().ok());
        let watchdog_ms = usec
            .filter(|usec| *usec > 0 && to.is_some())
            .map(|usec| (usec / 2000).max(1));
        Self { to, watchdog_ms }
    }

    /// An `Init` for a machine whose init does not listen.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self {
            to: None,
            watchdog_ms: None,
        }
    }

    /// Milliseconds between two signs of life; none: init has no watchdog.
    pub(crate) fn watchdog_ms(&self) -> Option<u64> {
        self.watchdog_ms
    }

    /// Sends lines of `KEY=value`. A status that init has no room for is dropped, since a newer one
    /// follows; for messages that init waits for (READY, STOPPING, …) the keeper waits up to
    /// [`PATIENCE`].
    pub(crate) fn tell(&self, message: &str) {
        let Some((socket, address)) = &self.to else {
            return;
        };
        let send = || socket.send_to_addr(message.as_bytes(), address).map(drop);
        let mut sent = send();
        let full = matches!(&sent, Err(error) if error.kind() == ErrorKind::WouldBlock);
        if full {
            if message.lines().all(|line| line.starts_with("STATUS=")) {
                return;
            }
            sent = socket
                .set_nonblocking(false)
                .and_then(|()| socket.set_write_timeout(Some(PATIENCE)))
                .and_then(|()| send());
            let _ = socket.set_nonblocking(true);
        }
        if let Err(error) = sent {
            error!("could not tell init {message:?}: {error}");
        }
    }
}

/// Asks init for more start-up time, again and again, while the keeper waits before its loop.
#[derive(Debug)]
pub(crate) struct MoreTime<'a> {
    init: &'a Init,
    next_ms: u64,
}

impl<'a> MoreTime<'a> {
    /// Asks with the first [`Self::ask`].
    pub(crate) const fn of(init: &'a Init) -> Self {
        Self { init, next_ms: 0 }
    }

    /// Asks init for more time, unless it was asked a moment ago.
    pub(crate) fn ask(&mut self) {
        let now = now_ms();
        if now >= self.next_ms {
            self.next_ms = now + EXTEND_EVERY_MS;
            self.init.tell(EXTEND);
        }
    }
}

/// This process's environment for another process, as strings, without the variables that init has
/// set for the keeper alone.
pub(crate) fn environment_without() -> Result<Vec<CString>, Errno> {
    let variables = env::vars_os();
    let variables = variables.filter(|(name, _)| !OWN_VARIABLES.iter().any(|own| name == own));
    let strings = variables.map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        c_string(name.into_vec())
    });
    strings.collect()
}

fn connect(name: &OsString) -> Option<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => return None,
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some((socket, address.ok()?))
}
