//! Reports progress to the supervisor by `sd_notify`.

use std::os::{
    linux::net::SocketAddrExt,
    unix::net::{SocketAddr, UnixDatagram},
};

use api::JOB_PROGRESS_KEY;

use crate::Progress;

/// Environment variable with the address of the notify socket.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// The function that reports progress; without a notify socket it does nothing.
pub(crate) fn teller() -> impl FnMut(&Progress) + 'static {
    let to = std::env::var_os(VARIABLE).and_then(|name| address(&name.to_string_lossy()));
    let socket = UnixDatagram::unbound().and_then(|socket| {
        // A full queue must not block the job: the next message replaces this one.
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    move |progress| {
        if let (Some(to), Ok(socket), Ok(text)) = (&to, &socket, serde_json::to_string(progress)) {
            let _ = socket.send_to_addr(format!("{JOB_PROGRESS_KEY}={text}\n").as_bytes(), to);
        }
    }
}

fn address(name: &str) -> Option<SocketAddr> {
    match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name).ok(),
        None => SocketAddr::from_pathname(name).ok(),
    }
}
