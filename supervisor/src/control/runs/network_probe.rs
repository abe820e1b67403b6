//! One attempt of a probe over the network or a unix socket. An exec probe is a run of the
//! keeper's.
//!
//! A unix socket mostly lies in a directory of the service's account. So it is opened by
//! `safe_path` (no link of a stranger's, nothing but a socket) on a thread that may hang, and
//! connected to through the open descriptor: its path may have any length, and a file that takes
//! its name later is not asked. Limits: [`BODY_BYTES_MAX`], [`OPENERS_MAX`].

use std::{
    ffi::OsStr,
    fs::File,
    io,
    net::SocketAddr,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request,
    body::Bytes,
    header::{CONNECTION, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{Shutdown, shutdown};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixSocket, UnixStream},
    sync::{oneshot, watch},
};

use crate::{
    host_names::HostNames,
    peer_stream::{Closer, PeerStream},
    threads::Threads,
};

/// Longest part of an answer's body that is read, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Threads that open sockets: one that hangs holds up no other probe as long as there are fewer.
pub(in crate::control) const OPENERS_MAX: usize = 8;

/// Why a probe has failed, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum No {
    /// An answer came that is not a yes.
    Answer(String),
    /// No answer came.
    Silence(String),
}

impl From<String> for No {
    fn from(why: String) -> Self {
        Self::Silence(why)
    }
}

impl From<No> for String {
    fn from(no: No) -> Self {
        match no {
            No::Answer(why) | No::Silence(why) => why,
        }
    }
}

/// The threads and name look-ups by which probes ask. A clone shares them.
#[derive(Clone)]
pub(in crate::control) struct Asker {
    names: HostNames,
    openers: Threads,
    closer: Closer,
}

impl Asker {
    pub(in crate::control) fn new(names: HostNames) -> Self {
        Self {
            names,
            openers: Threads::new(OPENERS_MAX),
            closer: Closer::new("a probe", watch::channel(0).0),
        }
    }

    /// Asks once. `Ok` is a yes; `Err` says in words why not. Takes no longer than `timeout_ms`.
    pub(in crate::control) async fn ask(&self, ask: &plan::Ask, timeout_ms: u64) -> Result<(), No> {
        let over = async {
            tokio::time::sleep(Duration::from_millis(timeout_ms)).await;
            // After a stall the time is over before anybody has looked whether an answer is there.
            tokio::task::yield_now().await;
        };
        tokio::select! {
            biased;
            answer = self.answer(ask) => answer,
            () = over => {
                let after = crate::control::text::duration(timeout_ms);
                Err(No::Silence(format!("no answer within {after}")))
            }
        }
    }

    async fn answer(&self, ask: &plan::Ask) -> Result<(), No> {
        match ask {
            plan::Ask::Unix(path) => drop(self.unix(path, Hearing::Deaf).await?),
            plan::Ask::Tcp(address) => drop(connect(address, &self.names).await?),
            plan::Ask::Http {
                url,
                socket,
                status,
                body,
            } => {
                let question = Question {
                    url,
                    status,
                    body: body.as_deref(),
                };
                match socket {
                    None => {
                        let (address, _) = split(url)?;
                        http(connect(&address, &self.names).await?, question).await?;
                    }
                    Some(path) => http(self.hearing(path).await?, question).await?,
                }
            }
            plan::Ask::Exec(_) => return Err("exec probes are the keeper's".to_owned().into()),
        }
        Ok(())
    }

    /// Connects to a unix socket that is to answer.
    async fn hearing(&self, path: &Path) -> Result<PeerStream, String> {
        let failed = |why: &dyn std::fmt::Display| cannot_connect(path, why);
        if self.closer.is_full() {
            return Err(failed(
                &"descriptors that came with earlier answers cannot be closed",
            ));
        }
        let stream = self.unix(path, Hearing::All).await?;
        PeerStream::new(stream, self.closer.clone()).map_err(|error| failed(&error))
    }

    /// Connects to a unix stream socket; `@name` is an abstract one.
    async fn unix(&self, path: &Path, hearing: Hearing) -> Result<UnixStream, String> {
        let failed = |error: io::Error| cannot_connect(path, &error);
        if let Some(name) = path.as_os_str().as_bytes().strip_prefix(b"@") {
            let name = [b"\0", name].concat();
            let name = Path::new(OsStr::from_bytes(&name));
            return connect_unix(name, hearing).await.map_err(failed);
        }
        let opened = self.open(path.to_owned()).await.map_err(failed)?;
        let by = proc::fd_path(&opened);
        connect_unix(&by, hearing).await.map_err(failed)
    }

    async fn open(&self, path: PathBuf) -> io::Result<File> {
        let (tell, opened) = oneshot::channel();
        self.openers
            .run(move || drop(tell.send(safe_path::open_socket(&path))));
        opened.await.map_err(io::Error::other)?
    }
}

/// What can be sent to a connection of ours.
#[derive(Clone, Copy, PartialEq)]
enum Hearing {
    /// Nothing: a descriptor that lies in it unread would be closed with it, on this thread, and
    /// that can take as long as whoever sent it likes.
    Deaf,
    /// Anything: for a [`PeerStream`].
    All,
}

fn cannot_connect(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("cannot connect to {}: {why}", path.display())
}

/// Connects to the first address of the host that takes the connection.
async fn connect(address: &str, names: &HostNames) -> Result<TcpStream, String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot connect to {address}: {error}");
    let (host, port) = address
        .rsplit_once(':')
        .ok_or_else(|| failed(&"it has no port"))?;
    let port = port.parse().map_err(|error| failed(&error))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut outcome = Err(failed(&"the name has no address"));
    for ip in names
        .addresses(host)
        .await
        .map_err(|error| failed(&error))?
    {
        match TcpStream::connect(SocketAddr::new(ip, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => outcome = Err(failed(&error)),
        }
    }
    outcome
}

async fn connect_unix(path: &Path, hearing: Hearing) -> io::Result<UnixStream> {
    let socket = UnixSocket::new_stream()?;
    if hearing == Hearing::Deaf {
        shutdown(socket.as_raw_fd(), Shutdown::Read)?;
    }
    socket.connect(path).await
}

/// The HTTP request, and the answers that count as a yes.
struct Question<'a> {
    url: &'a str,
    status: &'a [u16],
    body: Option<&'a str>,
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    question: Question<'_>,
) -> Result<(), No> {
    let Question { url, status, body } = question;
    let (address, path) = split(url)?;
    let broken = |error: hyper::Error| format!("no HTTP answer from {address}: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // The connection ends with the request: dropping `sender` closes it.
    let driver = tokio::spawn(connection);
    let request = Request::get(path)
        .header(HOST, &address)
        .header(
            USER_AGENT,
            concat!("mattervisor/", env!("CARGO_PKG_VERSION")),
        )
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("cannot ask {url}: {error}"))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let answered = response.status().as_u16();
        if !is_accepted(answered, status) {
            return Err(No::Answer(format!("{url} answers {answered}")));
        }
        let Some(wanted) = body else { return Ok(()) };
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX)
            .collect()
            .await;
        let body = body.map_err(|error| format!("cannot read the answer of {url}: {error}"))?;
        let body = body.to_bytes();
        if contains(&body, wanted.as_bytes()) {
            Ok(())
        } else {
            let why = format!("the answer of {url} has no '{wanted}'");
            Err(No::Answer(why))
        }
    };
    let answer = answer.await;
    driver.abort();
    answer
}

/// An empty text is in every body.
fn contains(body: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || body.windows(wanted.len()).any(|part| part == wanted)
}

fn is_accepted(status: u16, accepted: &[u16]) -> bool {
    if accepted.is_empty() {
        (200..400).contains(&status)
    } else {
        accepted.contains(&status)
    }
}

/// `http://host:port/path` as `host:port` and `/path`.
fn split(url: &str) -> Result<(String, String), String> {
    let uri: hyper::Uri = url
        .parse()
        .map_err(|error| format!("cannot ask {url}: {error}"))?;
    let authority = uri
        .authority()
        .ok_or_else(|| format!("cannot ask {url}: it has no host"))?;
    let port = authority.port_u16().unwrap_or(80);
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    Ok((format!("{}:{port}", authority.host()), path.to_owned()))
}

#[cfg(test)]
mod tests;
