//! Sockets that listen, as `sock_diag(7)` tells them: a dump of one state, of both families.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    libc,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recvmsg,
            sendto, setsockopt, socket, sockopt::ReceiveTimeout,
        },
        time::{TimeVal, TimeValLike},
    },
};

use super::Listener;

/// The kernel answers at once; a filter that swallows the question holds up nobody for longer.
const ANSWER_MS_MAX: i64 = 1_000;
/// More than the kernel puts into one datagram of a dump.
const DATAGRAM_BYTES: usize = 64 << 10;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `1 << TCP_LISTEN`.
const LISTENING: u32 = 1 << 10;
const HEADER_BYTES: usize = 16;
/// `struct inet_diag_req_v2`.
const REQUEST_BYTES: usize = 56;
/// `struct inet_diag_msg`.
const MESSAGE_BYTES: usize = 72;
const INET_DIAG_SKV6ONLY: u16 = 11;

/// All sockets that listen in our own network namespace.
pub(super) fn listeners() -> io::Result<Vec<Listener>> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    setsockopt(
        &socket,
        ReceiveTimeout,
        &TimeVal::milliseconds(ANSWER_MS_MAX),
    )?;
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let family = u8::try_from(family).unwrap_or_default();
        sendto(
            socket.as_raw_fd(),
            &request(family),
            &NetlinkAddr::new(0, 0),
            MsgFlags::empty(),
        )?;
        read_dump(&socket, &mut found)?;
    }
    Ok(found)
}

fn request(family: u8) -> [u8; HEADER_BYTES + REQUEST_BYTES] {
    let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_DUMP).unwrap_or_default();
    let tcp = u8::try_from(libc::IPPROTO_TCP).unwrap_or_default();
    let mut bytes = [0; HEADER_BYTES + REQUEST_BYTES];
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[HEADER_BYTES] = family;
    bytes[HEADER_BYTES + 1] = tcp;
    bytes[HEADER_BYTES + 4..HEADER_BYTES + 8].copy_from_slice(&LISTENING.to_ne_bytes());
    bytes
}

/// Reads messages until the kernel says that there are no more.
fn read_dump(socket: &OwnedFd, found: &mut Vec<Listener>) -> io::Result<()> {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let message =
            recvmsg::<NetlinkAddr>(socket.as_raw_fd(), &mut parts, None, MsgFlags::empty())?;
        // Anybody of this machine may send to a netlink socket.
        let by_kernel = message.address.is_some_and(|it| it.pid() == 0);
        let length = message.bytes;
        if !by_kernel {
            continue;
        }
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((kind, body, next)) = split(rest) {
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(()),
                libc::NLMSG_ERROR => {
                    let errno = body.first_chunk().map_or(0, |it| i32::from_ne_bytes(*it));
                    return Err(io::Error::from_raw_os_error(-errno));
                }
                _ => found.extend(listener(body)),
            }
            rest = next;
        }
    }
}

/// The first message's type and body, and what follows it.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?);
    let length = usize::try_from(length).ok()?;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(HEADER_BYTES..length)?;
    let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body, next))
}

/// One `struct inet_diag_msg` and its attributes.
fn listener(body: &[u8]) -> Option<Listener> {
    let family = i32::from(*body.first()?);
    let port = u16::from_be_bytes(*body.get(4..)?.first_chunk()?);
    let source = body.get(8..)?;
    let ip = match family {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::from(*source.first_chunk::<4>()?)),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::from(*source.first_chunk::<16>()?)),
        _ => return None,
    };
    let inode = u32::from_ne_bytes(*body.get(MESSAGE_BYTES - 4..)?.first_chunk()?);
    let v6_only = v6_only(body.get(MESSAGE_BYTES..).unwrap_or_default());
    Some(Listener::new(
        SocketAddr::new(ip, port),
        inode.into(),
        v6_only,
    ))
}

fn v6_only(mut attributes: &[u8]) -> Option<bool> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?);
        if kind == INET_DIAG_SKV6ONLY {
            return attributes.get(4).map(|it| *it != 0);
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rust's own IPv6 sockets take IPv4 along. Where the kernel does not answer this way, nothing
    /// can be seen.
    #[test]
    fn whether_a_socket_takes_ipv4_along_is_told() {
        let Ok(listener) = super::super::bind("[::]:0".parse().unwrap()) else {
            return;
        };
        let at = listener.local_addr().unwrap();
        if let Ok(found) = listeners() {
            let found = found.into_iter().find(|it| it.at == at).unwrap();
            assert_eq!(found.v6_only, Some(false));
            assert!(found.serves(&SocketAddr::new(Ipv4Addr::LOCALHOST.into(), at.port())));
        }
    }

    #[test]
    fn what_is_cut_short_is_no_socket_and_no_end() {
        assert!(listener(&[2; 20]).is_none());
        assert!(split(&[0; 3]).is_none() && split(&[8, 0, 0, 0, 0, 0]).is_none());
        assert_eq!(v6_only(&[0, 0, 0, 0]), None);
    }
}
