//! The way in: what a client may do is settled before it gets one of the connections that there
//! are, so that nobody without a role can use those up.
//!
//! Limits: connections by [`Limits`](super::Limits), refusals under way by [`REFUSALS_MAX`] for
//! each of the two reasons; beyond that a connection is closed without a word.

use std::{io, sync::Arc};

use axum::Router;
use tokio::{net::UnixStream, sync::Semaphore, time::timeout};

use super::{
    Shared,
    access::{Credentials, Role},
    connection,
    connection_limits::ConnectionLimits,
    reply,
};
use crate::peer_stream::PeerStream;

/// Clients that are being told the same reason why they are not served.
const REFUSALS_MAX: usize = 16;

/// Says who is at the other end of a connection.
pub(super) type Who = fn(&UnixStream) -> io::Result<Credentials>;

/// Lets clients in, each in a task of its own.
#[derive(Clone)]
pub(super) struct Admission {
    shared: Arc<Shared>,
    routes: Router,
    connection_limits: ConnectionLimits,
    /// Finds out about a peer; tests put in others than themselves.
    who: Who,
    /// Permits to tell that there are too many clients.
    busy: Arc<Semaphore>,
    /// Permits to tell that a client has no role.
    strangers: Arc<Semaphore>,
}

impl Admission {
    pub(super) fn new(shared: Arc<Shared>, routes: Router, who: Who) -> Self {
        let connection_limits = ConnectionLimits::new(shared.limits);
        Self {
            shared,
            routes,
            connection_limits,
            who,
            busy: Arc::new(Semaphore::new(REFUSALS_MAX)),
            strangers: Arc::new(Semaphore::new(REFUSALS_MAX)),
        }
    }

    /// Serves or refuses a client that has just connected. Never waits.
    pub(super) fn admit(&self, stream: UnixStream) {
        let stream = PeerStream::new(stream, self.shared.closer.clone());
        let identified = stream.and_then(|it| Ok(((self.who)(it.stream()?)?, it)));
        let (peer, stream) = match identified {
            Ok(identified) => identified,
            Err(error) => return tracing::debug!("cannot serve a control connection: {error}"),
        };
        match self.shared.access.borrow().role(&peer) {
            Role::None => self.admit_stranger(stream, peer),
            role => self.serve(stream, peer, role),
        }
    }

    /// No role, as far as is known: after a restart of this process the groups are being looked up
    /// for a moment, and their members are not to be refused meanwhile.
    fn admit_stranger(&self, stream: PeerStream, peer: Credentials) {
        let Ok(permit) = Arc::clone(&self.strangers).try_acquire_owned() else {
            return;
        };
        let this = self.clone();
        tokio::spawn(async move {
            let mut access = this.shared.access.clone();
            let known = access.wait_for(|it| it.known);
            let _ = timeout(this.shared.limits.answer, known).await.is_ok();
            let role = access.borrow().role(&peer);
            if role == Role::None {
                connection::refuse(stream, reply::no_role(peer.uid)).await;
            } else {
                this.serve(stream, peer, role);
            }
            drop(permit);
        });
    }

    fn serve(&self, stream: PeerStream, peer: Credentials, role: Role) {
        if let Some(permit) = self.connection_limits.take(peer.uid, role) {
            let (shared, routes) = (Arc::clone(&self.shared), self.routes.clone());
            tokio::spawn(async move {
                connection::run(stream, peer, shared, routes).await;
                drop(permit);
            });
        } else if let Ok(permit) = Arc::clone(&self.busy).try_acquire_owned() {
            tokio::spawn(async move {
                connection::refuse(stream, reply::too_many()).await;
                drop(permit);
            });
        }
    }
}
