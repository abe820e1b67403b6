//! Reports readiness to the service manager.

use std::os::{
    linux::net::SocketAddrExt,
    unix::net::{SocketAddr, UnixDatagram},
};

/// Sends `READY=1` to `NOTIFY_SOCKET`, a path or (with a leading `@`) an abstract name; does
/// nothing without the variable. The server sends nothing else: no STOPPING, no STATUS, no
/// WATCHDOG.
pub(crate) fn ready() -> std::io::Result<()> {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let name = name.into_encoded_bytes();
    let socket = UnixDatagram::unbound()?;
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::new(
            std::str::from_utf8(&name).map_err(std::io::Error::other)?,
        ))?,
    };
    socket.send_to_addr(b"READY=1", &address)?;
    Ok(())
}
