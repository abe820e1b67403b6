//! Requests to the supervisor: HTTP/1.1 with JSON over the control socket, one connection per
//! request.
//!
//! The listener stays open while the control process restarts, so a connection made meanwhile waits
//! in the backlog. Reads and idempotent requests are repeated for a while after a broken
//! connection; no other change is (`operation.rs`). Limits: the constants below.

use std::fmt::Write as _;

use std::{
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
};
use hyper_util::rt::TokioIo;
use nix::fcntl::OFlag;
use serde::de::DeserializeOwned;
use tokio::{
    net::UnixStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    alive::{Holder, holder},
    error::{Error, Kind},
    ndjson::Lines,
    transport_error::{TransportError, not_understood, refusal},
};

/// Longest path that fits into a socket address, without its NUL.
const SOCKET_PATH_MAX: usize = 107;
/// Longest answer that is not a stream.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// A living supervisor makes its socket again within this time, unless something is wrong.
const SOCKET_MADE_MAX: Duration = Duration::from_secs(2);
/// Pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How to reach the supervisor, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct Client {
    /// The control socket.
    pub socket: PathBuf,
    /// Longest silence: a supervisor that sends nothing for this time does not answer.
    pub answer_max: Duration,
    /// Longest time for repeating a request after broken connections.
    pub reconnect_max: Duration,
    /// Lock files that a running supervisor holds.
    pub locks: Vec<PathBuf>,
}

impl Client {
    /// A client for this socket.
    pub fn new(socket: PathBuf) -> Self {
        Self {
            locks: vec![socket.with_file_name("lock")],
            socket,
            answer_max: Duration::from_secs(10),
            reconnect_max: Duration::from_secs(10),
        }
    }

    /// Requests a value.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.set(Method::GET, path, &[]).await
    }

    /// Sends an idempotent request and returns the value of its answer. A broken connection repeats
    /// the request.
    ///
    /// # Errors
    /// The supervisor cannot be reached, or refuses.
    pub async fn set<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> Result<T, Error> {
        let (status, body) = self.fetch(method, path, body).await?;
        if !status.is_success() {
            return Err(refusal(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| not_understood(&error))
    }

    /// Like [`Client::get`], but `None` for a 404.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        let (status, body) = self.fetch(Method::GET, path, &[]).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            _ if status.is_success() => serde_json::from_slice(&body)
                .map(Some)
                .map_err(|error| not_understood(&error)),
            _ => Err(refusal(status, &body)),
        }
    }

    /// Requests a stream of lines.
    pub async fn follow<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Lines<T>, TransportError> {
        self.stream(Method::GET, path, Vec::new()).await
    }

    /// Requests a change, once, and returns the stream of lines about the change.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Lines<T>, TransportError> {
        self.stream(Method::POST, path, body).await
    }

    async fn fetch(
        &self,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> Result<(StatusCode, Bytes), Error> {
        let give_up = Instant::now() + self.reconnect_max;
        loop {
            let failure = match timeout(self.answer_max, self.fetch_once(&method, path, body)).await
            {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => failure,
                Err(_) => TransportError::Silent(self.answer_max),
            };
            if !matches!(failure, TransportError::Broken(_)) || Instant::now() >= give_up {
                return Err(self.explain(failure));
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    async fn fetch_once(
        &self,
        method: &Method,
        path: &str,
        body: &[u8],
    ) -> Result<(StatusCode, Bytes), TransportError> {
        let response = self.request(method.clone(), path, body.to_vec()).await?;
        let status = response.status();
        Ok((status, whole(response).await?))
    }

    async fn stream<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Lines<T>, TransportError> {
        let response = timeout(self.answer_max, self.request(method, path, body))
            .await
            .unwrap_or(Err(TransportError::Silent(self.answer_max)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Lines::new(response.into_body()));
        }
        let body = timeout(self.answer_max, whole(response))
            .await
            .unwrap_or(Err(TransportError::Silent(self.answer_max)))?;
        // A change is refused by a line of its stream, not by an `ErrorReply`.
        if let Ok(api::Progress::Refused(reply)) = serde_json::from_slice(&body) {
            return Err(TransportError::Replied(reply.into()));
        }
        Err(TransportError::Replied(refusal(status, &body)))
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, TransportError> {
        let stream = self.connect().await.map_err(TransportError::NotConnected)?;
        let broken = |error: hyper::Error| TransportError::Broken(error.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(hyper::header::HOST, "mattervisor")
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| {
                let message = format!("cannot ask for `{path}`: {error}");
                TransportError::Replied(Error::new(Kind::Usage, message))
            })?;
        sender.send_request(request).await.map_err(broken)
    }

    /// Connects. A full backlog is waited for, and so is a socket that a living supervisor is about
    /// to make.
    async fn connect(&self) -> io::Result<UnixStream> {
        let begun = Instant::now();
        loop {
            let error = match connect(&self.socket).await {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            let patience = match error.kind() {
                io::ErrorKind::WouldBlock => self.answer_max,
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                    if matches!(holder(&self.locks), Some(Holder::Keeper(_))) =>
                {
                    SOCKET_MADE_MAX
                }
                _ => return Err(error),
            };
            if begun.elapsed() >= patience {
                return Err(error);
            }
            sleep(RETRY_PAUSE).await;
        }
    }
}

async fn connect(socket: &Path) -> io::Result<UnixStream> {
    let (Some(directory), Some(name)) = (socket.parent(), socket.file_name()) else {
        return UnixStream::connect(socket).await;
    };
    if socket.as_os_str().len() <= SOCKET_PATH_MAX {
        return UnixStream::connect(socket).await;
    }
    // The path is too long for a socket address, so it leads through the open directory.
    let directory = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_PATH | OFlag::O_DIRECTORY).bits())
        .open(directory)?;
    UnixStream::connect(proc::fd_path(&directory).join(name)).await
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, TransportError> {
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    body.map(http_body_util::Collected::to_bytes)
        .map_err(|error| TransportError::Broken(error.to_string()))
}

/// Percent-encodes a word for a path or a query.
pub fn escaped(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    for &byte in word.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~,".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::testing::socket_of;

    #[test]
    fn words_are_escaped_for_paths() {
        assert_eq!(
            escaped("mattermost-database,nginx"),
            "mattermost-database,nginx"
        );
        assert_eq!(escaped("a/../b ?*ä"), "a%2F..%2Fb%20%3F%2A%C3%A4");
    }

    #[test]
    fn a_path_too_long_for_an_address_is_reached() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("d".repeat(150));
        std::fs::create_dir(&deep).unwrap();
        let short = root.path().join("s");
        let listener = UnixListener::bind(&short).unwrap();
        std::fs::rename(&short, deep.join("ctl.sock")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let client = Client::new(deep.join("ctl.sock"));
        runtime.block_on(client.connect()).unwrap();
        listener.accept().unwrap();
    }

    #[test]
    fn a_supervisor_that_says_nothing_does_not_answer() {
        let root = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket_of(&root)).unwrap();
        let client = Client {
            answer_max: Duration::from_millis(50),
            ..Client::new(socket_of(&root))
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .unwrap();
        let error = runtime
            .block_on(client.get::<u8>("/v1/services"))
            .unwrap_err();
        assert_eq!(error.kind, Kind::Unreachable);
        assert!(
            error.message.contains("does not answer"),
            "{}",
            error.message
        );
        let failure = runtime
            .block_on(client.post::<u8>("/v1/services", Vec::new()))
            .err();
        assert!(matches!(failure, Some(TransportError::Silent(_))));
        drop(listener);
    }
}
