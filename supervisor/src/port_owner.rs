//! Finds the owner of a TCP port, for the message that a service cannot bind it.

use std::net::SocketAddr;

use crate::sockets::{self, Entry};

/// Processes above the holder that are looked at.
const ANCESTORS_MAX: usize = 32;

/// The process that has an address.
#[derive(Debug)]
pub(crate) struct Holder {
    /// `127.0.0.1:8065 is in use by nginx (pid 12)`.
    pub(crate) reason: String,
    /// Its pid and those of the processes that it descends from; empty: it cannot be seen.
    pub(crate) line: Vec<i32>,
}

/// Looks for whoever has the address, or one that overlaps it; of an address that is a name: the
/// port.
pub(crate) fn find(address: &str) -> Holder {
    let Some(socket) = socket_on(address) else {
        return Holder {
            reason: format!("{address} is in use by a process that cannot be seen from here"),
            line: Vec::new(),
        };
    };
    let Some((pid, name)) = owner(socket.inode) else {
        let uid = socket.uid;
        return Holder {
            reason: format!(
                "{address} is in use by a process of uid {uid} that cannot be seen from here"
            ),
            line: Vec::new(),
        };
    };
    let for_what = if socket.listens {
        ""
    } else {
        ", for a connection of its own"
    };
    Holder {
        reason: format!("{address} is in use by {name} (pid {pid}){for_what}"),
        line: std::iter::successors(Some(pid), |pid| parent(*pid))
            .take(ANCESTORS_MAX)
            .collect(),
    }
}

fn parent(pid: i32) -> Option<i32> {
    let parent = proc::stat(pid)?.parent;
    (parent > 0).then_some(parent)
}

/// The socket that is in the way: one that listens, else one end of a connection.
fn socket_on(address: &str) -> Option<Entry> {
    let port = address.rsplit(':').next()?.parse::<u16>().ok()?;
    let wanted = address.parse::<SocketAddr>().ok();
    let overlaps = |at: &SocketAddr| {
        let (at, all) = (at.ip().to_canonical(), at.ip().is_unspecified());
        wanted.is_none_or(|it| all || it.ip().is_unspecified() || it.ip() == at)
    };
    let found = sockets::all().unwrap_or_default().into_iter();
    let found = found.filter(|it| it.inode != 0 && it.at.port() == port && overlaps(&it.at));
    found.max_by_key(|it| it.listens)
}

/// The process that has this socket open.
fn owner(inode: u64) -> Option<(i32, String)> {
    let has = |pid: &i32| proc::sockets(*pid).is_ok_and(|open| open.contains(&inode));
    let pid = proc::all().into_iter().find(has)?;
    Some((pid, proc::name(pid)))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a literal address")]
    fn the_holder_of_a_port_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let found = super::find(&address);
        let said = found.reason;
        assert!(
            said.contains(&format!("(pid {})", std::process::id())),
            "{said}"
        );
        let parent = std::os::unix::process::parent_id();
        let line = [std::process::id(), parent].map(|pid| i32::try_from(pid).unwrap());
        assert!(found.line.starts_with(&line), "{:?}", found.line);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "literal addresses")]
    fn whose_connection_holds_a_port_is_named_too() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let said = super::find(&stream.local_addr().unwrap().to_string()).reason;
        let own = format!("(pid {}), for a connection of its own", std::process::id());
        assert!(said.ends_with(&own), "{said}");
    }

    /// Another may have the same port of another address.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "literal addresses")]
    fn whoever_has_the_port_of_another_address_is_not_blamed() {
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let of = |host: &str| super::find(&format!("{host}:{port}")).line;
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(of("127.0.0.2").first(), Some(&own));
        assert_eq!(
            of("0.0.0.0").first(),
            Some(&own),
            "it keeps all from being had"
        );
        assert_ne!(of("127.0.0.1").first(), Some(&own));
    }
}
