//! Which TCP sockets there are on this machine, and which processes have them open.
//!
//! The kernel is asked for the sockets that listen by `sock_diag(7)`, which looks at no connection;
//! where it does not answer (a module is missing, a filter of system calls forbids it),
//! `/proc/net/tcp` and `tcp6` are read. A process in another network namespace is asked about by
//! its own `/proc/PID/net`, since `sock_diag` speaks of the caller's namespace.
//!
//! Whose a socket is, [`proc::sockets`] says, to root and to the process's own account.
//!
//! Blocks on `/proc`: not for the control thread.

mod diag;
mod tables;

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
};

use nix::errno::Errno;

pub(crate) use tables::Entry;

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Its address; an IPv4 address in IPv6 is the IPv4 address.
    pub(crate) at: SocketAddr,
    /// Its inode, by which [`proc::sockets`] knows it.
    pub(crate) inode: u64,
    /// The socket takes no IPv4; `None`: unknown.
    v6_only: Option<bool>,
}

impl Listener {
    /// A client that connects to this address may come to this socket.
    pub(crate) fn serves(&self, address: &SocketAddr) -> bool {
        let (at, wanted) = (self.at.ip(), address.ip());
        let families = match (at, wanted) {
            (IpAddr::V6(_), IpAddr::V4(_)) => self.v6_only != Some(true),
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
            _ => true,
        };
        self.at.port() == address.port() && (at == wanted || (at.is_unspecified() && families))
    }
}

/// All sockets that listen where this process has its network.
///
/// # Errors
///
/// Neither `sock_diag` nor `/proc` says it.
pub(crate) fn listeners(pid: i32) -> io::Result<Vec<Listener>> {
    if !proc::has_own_network(pid)
        && let Ok(found) = diag::listeners()
    {
        return Ok(found);
    }
    let entries = tables::read(Some(pid))?;
    let listening = entries.into_iter().filter(|it| it.listens);
    Ok(listening
        .map(|it| Listener::new(it.at, it.inode, None))
        .collect())
}

/// All sockets with a port in our own network: those that listen, and ends of connections.
pub(crate) fn all() -> io::Result<Vec<Entry>> {
    tables::read(None)
}

/// Whether all of these addresses are in use. Any other error is left for the service itself to
/// meet.
pub(crate) fn in_use(at: &[SocketAddr]) -> bool {
    // std sets SO_REUSEADDR, so connections in TIME_WAIT do not count.
    let taken = |address: &SocketAddr| match bind(*address) {
        Err(error) => error.raw_os_error() == Some(Errno::EADDRINUSE as i32),
        Ok(_) => false,
    };
    !at.is_empty() && at.iter().all(taken)
}

/// Listens on an address, which is no name: nobody is asked.
#[expect(clippy::disallowed_methods, reason = "no name is looked up")]
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
}

impl Listener {
    fn new(at: SocketAddr, inode: u64, v6_only: Option<bool>) -> Self {
        let at = SocketAddr::new(at.ip().to_canonical(), at.port());
        Self { at, inode, v6_only }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_pid() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    fn listen(address: &str) -> (TcpListener, SocketAddr) {
        let listener = bind(address.parse().unwrap()).unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }

    /// Both ways say the same of a socket of our own, and whose it is.
    #[test]
    fn a_socket_that_listens_is_seen_both_ways_with_its_owner() {
        let (_listener, at) = listen("127.0.0.1:0");
        let of = |found: Vec<Listener>| found.into_iter().find(|it| it.at == at).unwrap();
        let pid = own_pid();
        let by_diag = diag::listeners().map(of);
        let by_tables = tables::read(Some(pid)).unwrap();
        let by_tables = by_tables.into_iter().find(|it| it.at == at).unwrap();
        assert!(by_tables.listens);
        if let Ok(by_diag) = by_diag {
            assert_eq!(by_diag.inode, by_tables.inode);
        }
        assert_eq!(of(listeners(pid).unwrap()).inode, by_tables.inode);
        assert!(proc::sockets(pid).unwrap().contains(&by_tables.inode));
        assert!(proc::sockets(i32::MAX).unwrap().is_empty());
    }

    #[test]
    fn a_wildcard_serves_each_address_of_its_families() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let listener = |text: &str, v6_only| Listener::new(at(text), 1, v6_only);
        let v4 = listener("0.0.0.0:80", None);
        assert!(v4.serves(&at("127.0.0.1:80")) && v4.serves(&at("0.0.0.0:80")));
        assert!(!v4.serves(&at("127.0.0.1:81")) && !v4.serves(&at("[::1]:80")));
        let both = listener("[::]:80", Some(false));
        assert!(both.serves(&at("127.0.0.1:80")) && both.serves(&at("[::1]:80")));
        assert!(!listener("[::]:80", Some(true)).serves(&at("0.0.0.0:80")));
        let mapped = listener("[::ffff:127.0.0.1]:80", Some(false));
        assert!(mapped.serves(&at("127.0.0.1:80")) && !mapped.serves(&at("127.0.0.2:80")));
        assert!(!mapped.serves(&at("0.0.0.0:80")), "one address is not all");
    }
}
