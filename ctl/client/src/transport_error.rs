//! Why a request has no answer, and how to explain that to people: the supervisor is not running,
//! the connection was refused or broke, the caller lacks permission, nothing came in time.
//!
//! The variants tell whether the request may have arrived: a change that may have arrived is not
//! sent again before the supervisor was asked about it (`operation.rs`).

use std::{io, time::Duration};

use api::ErrorReply;
use hyper::StatusCode;
use nix::errno::Errno;

use crate::{
    alive::{Holder, holder},
    client::Client,
    error::{Error, Kind},
    not_allowed,
};

/// Why a request has no answer.
#[derive(Debug)]
pub enum TransportError {
    /// No connection: the request certainly did not arrive.
    NotConnected(io::Error),
    /// The connection broke: the request may have arrived.
    Broken(String),
    /// No answer in time: the request may have arrived.
    Silent(Duration),
    /// The supervisor refused the request.
    Replied(Error),
}

impl Client {
    /// Explains for people why there is no answer.
    pub fn explain(&self, failure: TransportError) -> Error {
        let socket = self.socket.display();
        match failure {
            TransportError::NotConnected(error) => self.not_connected(&error),
            TransportError::Broken(why) => Error::new(
                Kind::Unreachable,
                format!("the connection to {socket} broke: {why}"),
            )
            .hint("the control process may be restarting: try again"),
            TransportError::Silent(waited) => Error::new(
                Kind::Unreachable,
                format!("the supervisor does not answer: nothing came from {socket} in {waited:?}"),
            )
            .hint("look at its log: journalctl -u mattervisor"),
            TransportError::Replied(error) => error,
        }
    }

    fn not_connected(&self, error: &io::Error) -> Error {
        let socket = self.socket.display();
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT | Errno::ENOTDIR) => self
                .nobody_listens(&format!("there is no {socket}"))
                .hint("or is it under another root? ctl --root DIR …, or set MATTERVISOR_ROOT"),
            Some(Errno::ECONNREFUSED) => {
                self.nobody_listens(&format!("nobody listens on {socket}"))
            }
            Some(Errno::EACCES | Errno::EPERM) => not_allowed::explain(&self.socket),
            Some(Errno::EAGAIN) => Error::new(
                Kind::Unreachable,
                format!("the supervisor does not answer: too many clients wait at {socket}"),
            )
            .hint("look at its log: journalctl -u mattervisor"),
            _ => Error::new(
                Kind::Unreachable,
                format!("cannot connect to {socket}: {error}"),
            ),
        }
    }

    /// The error for a socket on which nobody listens: the supervisor is not running, or is running
    /// and has lost its socket.
    fn nobody_listens(&self, what: &str) -> Error {
        let error = |message: String| Error::new(Kind::Unreachable, message);
        let log = "look at its log: journalctl -u mattervisor";
        match holder(&self.locks) {
            Some(Holder::Keeper(pid)) => error(format!(
                "the supervisor (pid {pid}) runs, but {what}"
            ))
            .hint("it is just starting, or the socket was removed and it makes another: try again")
            .hint(log),
            Some(Holder::Rest) => error(format!("the supervisor is ending, and {what}"))
                .hint("its keeper has died, and what is left of it stops its services")
                .hint(log),
            None => error(format!("the supervisor is not running: {what}"))
                .hint("start it: systemctl start mattervisor"),
        }
    }
}

/// The error of an answer whose status is not success.
pub fn refusal(status: StatusCode, body: &[u8]) -> Error {
    match serde_json::from_slice::<ErrorReply>(body) {
        Ok(reply) => reply.into(),
        Err(_) => Error::new(
            Kind::Failed,
            format!("the supervisor answered HTTP {status}"),
        )
        .hint("are ctl and supervisor of the same version? ctl version"),
    }
}

/// The error of an answer that is not JSON of the expected type.
pub fn not_understood(error: &serde_json::Error) -> Error {
    Error::new(
        Kind::Failed,
        format!("cannot understand the supervisor's answer: {error}"),
    )
    .hint("are ctl and supervisor of the same version? ctl version")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(errno: Errno) -> (u8, String) {
        let client = Client::new("/run/mattervisor/ctl.sock".into());
        let error = client.explain(TransportError::NotConnected(errno.into()));
        let text = format!("{}\n{}", error.message, error.hints.join("\n"));
        (error.kind.exit_code(), text)
    }

    #[test]
    fn each_way_not_to_connect_has_its_own_words() {
        let (code, text) = explained(Errno::EACCES);
        assert_eq!(code, 6);
        assert!(text.contains("sudo"), "{text}");
        let (code, text) = explained(Errno::EAGAIN);
        assert_eq!(code, 5);
        assert!(text.contains("too many clients"), "{text}");
        let (code, text) = explained(Errno::ENOTSOCK);
        assert_eq!(code, 5);
        assert!(
            text.contains("cannot connect to /run/mattervisor/ctl.sock"),
            "{text}"
        );
    }
}
