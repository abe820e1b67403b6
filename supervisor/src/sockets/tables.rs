//! The kernel's tables of TCP sockets, `/proc/PID/net/tcp` and `tcp6`: all sockets, whatever they
//! do.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

const LISTEN: &str = "0A";

/// A line of the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Its own end.
    pub(crate) at: SocketAddr,
    /// The socket listens; else it is one end of a connection.
    pub(crate) listens: bool,
    /// The account that made it.
    pub(crate) uid: u32,
    /// 0: of a connection that no process has any more.
    pub(crate) inode: u64,
}

/// Sockets of the network of this process, or of our own.
pub(super) fn read(pid: Option<i32>) -> io::Result<Vec<Entry>> {
    let (v4, v6) = proc::tcp_tables(pid)?;
    let lines = v4.lines().skip(1).chain(v6.lines().skip(1));
    Ok(lines.filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Entry> {
    let mut fields = line.split_ascii_whitespace();
    let (local, state) = (fields.nth(1)?, fields.nth(1)?);
    let (ip, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Queues, a timer, a count, then the account; then another timer.
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(Entry {
        at: SocketAddr::new(address(ip)?, port),
        listens: state == LISTEN,
        uid,
        inode,
    })
}

/// Words of 32 bits in the byte order of the machine.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |text: &str| Some(u32::from_str_radix(text, 16).ok()?.to_ne_bytes());
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(word(hex)?).into());
    }
    let mut bytes = [0; 16];
    for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
        part.copy_from_slice(&word(hex.get(at * 8..at * 8 + 8)?)?);
    }
    Some(Ipv6Addr::from(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_families_are_read() {
        let v4 = "  0: 0100007F:1F81 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 54321 1 0 100";
        let entry = parse(v4).unwrap();
        assert_eq!(entry.at, "127.0.0.1:8065".parse().unwrap());
        assert!(entry.listens);
        assert_eq!((entry.uid, entry.inode), (1000, 54321));
        let v6 = "  1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 7 1 0";
        let entry = parse(v6).unwrap();
        assert_eq!(entry.at, "[::1]:80".parse().unwrap());
        assert!(!entry.listens);
        assert!(parse("  2: nonsense").is_none());
    }
}
