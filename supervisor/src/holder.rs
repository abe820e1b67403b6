//! Who holds a TCP port: for the message that a service cannot have it.

use std::{fs, path::PathBuf};

/// Processes above the holder that are looked at.
const ANCESTORS_MAX: usize = 32;

/// Who has an address.
#[derive(Debug)]
pub(crate) struct Holder {
    /// `127.0.0.1:8065 is in use by nginx (pid 12)`.
    pub(crate) reason: String,
    /// It and the processes that it descends from, itself first; empty: it cannot be seen.
    pub(crate) line: Vec<i32>,
}

/// Looks for whoever listens on the address.
pub(crate) fn find(address: &str) -> Holder {
    let port = address
        .rsplit(':')
        .next()
        .and_then(|port| port.parse::<u16>().ok());
    let socket = port.and_then(socket_on);
    let by = socket.and_then(|socket| Some((owner(&socket.inode)?, socket.listens)));
    match by {
        Some(((pid, name), listens)) => {
            let for_what = if listens {
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
        None => Holder {
            reason: format!("{address} is in use by a process that cannot be seen from here"),
            line: Vec::new(),
        },
    }
}

fn parent(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name, in parentheses, may have anything in it.
    let rest = text.rsplit(')').next()?;
    let parent = rest.split_whitespace().nth(1)?.parse().ok()?;
    (parent > 0).then_some(parent)
}

/// The same with what to do about it, where that is known.
pub(crate) fn with_hint(reason: String, hint: &str) -> String {
    match hint {
        "" => reason,
        hint => format!("{reason}; {hint}"),
    }
}

/// The reason alone, wherever [`with_hint`] has put it.
pub(crate) fn without_hint(text: &str, hint: &str) -> String {
    match hint {
        "" => text.to_owned(),
        hint => text.replacen(&format!("; {hint}"), "", 1),
    }
}

/// A socket, as /proc/net/tcp shows it.
struct Socket {
    inode: String,
    /// Else it is one end of a connection.
    listens: bool,
}

/// The socket that has the port: one that listens there, else one that goes out from there.
fn socket_on(port: u16) -> Option<Socket> {
    const LISTEN: &str = "0A";
    /// Of a connection that no process has any more.
    const NOBODYS: &str = "0";
    let mut found: Option<Socket> = None;
    let suffix = format!(":{port:04X}");
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            if let [_, local, _, state, _, _, _, _, _, inode, ..] = fields.as_slice()
                && *inode != NOBODYS
                && local.ends_with(&suffix)
            {
                let socket = Socket {
                    inode: (*inode).to_owned(),
                    listens: *state == LISTEN,
                };
                if socket.listens {
                    return Some(socket);
                }
                found.get_or_insert(socket);
            }
        }
    }
    found
}

/// The process that has this socket open.
fn owner(inode: &str) -> Option<(i32, String)> {
    let wanted = PathBuf::from(format!("socket:[{inode}]"));
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let Ok(fds) = fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        if fds
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link == wanted))
        {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim().to_owned()));
        }
    }
    None
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

    #[test]
    fn a_hint_is_put_on_and_taken_off() {
        let plain = || "127.0.0.1:80 is in use by nginx (pid 12)".to_owned();
        let hinted = super::with_hint(plain(), "ask it");
        assert_eq!(hinted, format!("{}; ask it", plain()));
        let shown = format!("{hinted}; next try in 3s");
        let bare = format!("{}; next try in 3s", plain());
        assert_eq!(super::without_hint(&shown, "ask it"), bare);
        assert_eq!(super::with_hint(plain(), ""), plain());
        assert_eq!(super::without_hint(&bare, ""), bare);
    }
}
