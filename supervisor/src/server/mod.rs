//! The API server: HTTP/1.1 and JSON on the control socket, one question to the loop per request.
//!
//! Owner of every client connection. It decides nothing about services: each handler sends one
//! [`Ask`] and streams what comes back, so that a client can neither hold the loop nor reach past
//! it. It shares nothing with its surroundings but channels and may run on any runtime.
//! Limits: connections by [`Limits`], bytes by [`api::BODY_BYTES_MAX`], time by [`Limits`].

mod access;
mod admission;
mod connection;
mod connection_limits;
mod control_client;
mod departures;
mod extract;
mod handler;
mod health;
mod history_routes;
mod job_routes;
mod listeners;
mod log_routes;
mod maintenance;
mod metrics;
mod openapi;
mod paths;
mod permissions;
mod reply;
mod routes;
mod stream;
mod timed_io;
mod usage;
mod why_route;

#[cfg(test)]
mod tests;

use std::{
    io,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use tokio::{
    net::UnixListener,
    sync::{mpsc, watch},
};

pub(crate) use access::Access;
use access::UserNames;
use admission::{Admission, Who};
use listeners::Listeners;
pub(crate) use permissions::open_to;

use crate::{ask::Ask, peer_stream::Closer, usage::Meter};

/// Pause after an accept that failed: descriptors or memory may be there again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Limits of counts and times.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections of all users.
    connections: usize,
    /// More of them for root and the supervisor's own user, so that nobody can lock those out.
    reserve: usize,
    /// Connections that viewers cannot have, so that they cannot lock admins out.
    admin_reserve: usize,
    /// Connections of one user other than root and the supervisor's own.
    per_user: usize,
    /// From the first byte that may come to the end of the headers; also how long a connection may
    /// idle.
    head: Duration,
    /// Time for the whole body.
    body: Duration,
    /// Time for the loop's answer.
    answer: Duration,
    /// Time without a byte going out while there is one to send.
    write: Duration,
}

impl Limits {
    /// The limits of a real server; tests have others.
    const REAL: Self = Self {
        connections: 64,
        reserve: 16,
        admin_reserve: 16,
        per_user: 32,
        head: Duration::from_secs(30),
        body: Duration::from_secs(10),
        answer: Duration::from_secs(10),
        write: Duration::from_secs(30),
    };
}

/// State that all connections share.
struct Shared {
    /// Channel to the control loop.
    asks: mpsc::Sender<Ask>,
    /// Roles of users; they change with the plan.
    access: watch::Receiver<Access>,
    /// Names of users, for the record.
    names: UserNames,
    /// Limits of counts and times.
    limits: Limits,
    /// The keeper is gone and everything is being stopped: nobody will answer any more.
    orphaned: Arc<AtomicBool>,
    /// Closes what clients send along and nobody has asked for.
    closer: Closer,
    /// Looks at what services use, for one client after the other.
    meter: Arc<Mutex<Meter>>,
}

/// Serves the socket for ever, and those that come after it. Fails only if `listener` is not one.
/// `unclosed` counts what clients have sent along and is not closed yet.
pub(crate) async fn serve(
    listener: std::os::unix::net::UnixListener,
    next: mpsc::UnboundedReceiver<std::os::unix::net::UnixListener>,
    asks: mpsc::Sender<Ask>,
    access: watch::Receiver<Access>,
    orphaned: Arc<AtomicBool>,
    unclosed: watch::Sender<usize>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let shared = Shared {
        asks,
        access,
        names: UserNames::default(),
        limits: Limits::REAL,
        orphaned,
        closer: Closer::new("the control socket", unclosed),
        meter: Arc::default(),
    };
    let listeners = Listeners::new(listener, next);
    accept_all(listeners, Arc::new(shared), access::credentials).await
}

/// Returns once nobody was let in for a while and that is over.
async fn while_closed(access: &mut watch::Receiver<Access>) {
    let closed = access.wait_for(|it| it.closed).await.is_ok();
    if !closed || access.wait_for(|it| !it.closed).await.is_err() {
        // Nobody is left who could say so.
        std::future::pending::<()>().await;
    }
}

/// The accept loop.
async fn accept_all(mut listeners: Listeners, shared: Arc<Shared>, who: Who) -> io::Result<()> {
    let routes = routes::router(Arc::clone(&shared));
    let mut access = shared.access.clone();
    let admission = Admission::new(shared, routes, who);
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = while_closed(&mut access) => continue,
            accepted = listeners.accept() => accepted,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(err) => {
                if !failing {
                    tracing::warn!(
                        "cannot accept a connection on the control socket: {err}; trying again"
                    );
                }
                failing = true;
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        failing = false;
        admission.admit(stream);
    }
}
