//! One attempt of a probe over the network or a unix socket. Exec probes are runs, and the keeper's.
//!
//! A unix socket lies in a directory of the service's, mostly: it is opened as any path of others is
//! (no link of a stranger's, nothing but a socket), on a thread that may hang, and connected to by
//! what was opened. So no length of its path is too long, and what gets its name later is not asked.

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

/// Of an answer's body, as much is read.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Threads that open sockets: one that hangs holds up no other probe as long as there are fewer.
pub(in crate::control) const OPENERS_MAX: usize = 8;

/// Why there is no yes, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum No {
    /// The answer is another.
    Answer(String),
    /// There is no answer.
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

/// What probes ask by. A clone shares it.
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

    /// A connection by which an answer can come.
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

/// What is asked by HTTP, and what counts as a yes.
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
    // Ends with the request: dropping `sender` closes it.
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

/// Nothing is in everything.
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
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request with these bytes.
    #[expect(clippy::disallowed_methods, reason = "a literal address")]
    fn answering(bytes: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(bytes.as_bytes()).unwrap();
            // Held open: a probe must not wait for the end of the connection.
            let _ = stream.read(&mut request);
        });
        format!("http://{address}/ping")
    }

    fn ask_http(url: String, body: Option<&str>, timeout_ms: u64) -> Result<(), String> {
        let it = plan::Ask::Http {
            url,
            socket: None,
            status: vec![],
            body: body.map(str::to_owned),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(in_words(&it, timeout_ms))
    }

    async fn in_words(it: &plan::Ask, timeout_ms: u64) -> Result<(), String> {
        let answer = Asker::new(HostNames::new()).ask(it, timeout_ms).await;
        answer.map_err(String::from)
    }

    #[test]
    fn a_good_status_is_a_yes_and_a_bad_one_says_which() {
        let good = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK");
        assert_eq!(ask_http(good, Some("OK"), 5000), Ok(()));
        let good = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK");
        assert_eq!(ask_http(good, Some(""), 5000), Ok(()));
        let bad = answering("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
        assert!(
            ask_http(bad, None, 5000)
                .unwrap_err()
                .ends_with("/ping answers 500")
        );
        let other = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno");
        assert!(
            ask_http(other, Some("OK"), 5000)
                .unwrap_err()
                .contains("has no 'OK'")
        );
    }

    #[test]
    fn unix_sockets_are_reached_by_path_however_long_and_by_abstract_name() {
        use std::os::{linux::net::SocketAddrExt, unix::net};

        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let asks = |path: &Path| {
            let it = plan::Ask::Unix(path.to_owned());
            runtime.block_on(in_words(&it, 5000))
        };
        let short = directory.path().join("s");
        assert!(asks(&short).unwrap_err().starts_with("cannot connect to "));
        let _short = net::UnixListener::bind(&short).unwrap();
        assert_eq!(asks(&short), Ok(()));
        // Bound under a short name, reached under a long one.
        std::fs::rename(&short, deep.join("s")).unwrap();
        assert_eq!(asks(&deep.join("s")), Ok(()));
        assert!(asks(&deep.join("t")).unwrap_err().contains("No such file"));
        let name = format!("mattervisor-probe-{}", std::process::id());
        let address = net::SocketAddr::from_abstract_name(&name).unwrap();
        let _abstract = net::UnixListener::bind_addr(&address).unwrap();
        assert_eq!(asks(Path::new(&format!("@{name}"))), Ok(()));
        assert!(asks(Path::new("@mattervisor-nobody")).is_err());
    }

    /// A socket that answers one request with these bytes.
    fn socket_answering(path: &Path, bytes: &'static str) {
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            assert!(
                request.starts_with("GET /token HTTP/1.1\r\nhost: any:80\r\n"),
                "{request}"
            );
            stream.write_all(bytes.as_bytes()).unwrap();
        });
    }

    fn ask_by_socket(path: &Path, body: &str) -> Result<(), String> {
        let it = plan::Ask::Http {
            url: "http://any/token".to_owned(),
            socket: Some(path.to_owned()),
            status: vec![],
            body: Some(body.to_owned()),
        };
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(in_words(&it, 5000))
    }

    #[test]
    fn http_is_asked_by_a_socket_and_the_body_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnew\n";
        socket_answering(&path, answer);
        assert_eq!(ask_by_socket(&path, "new"), Ok(()));
        std::fs::remove_file(&path).unwrap();
        socket_answering(&path, answer);
        let told = ask_by_socket(&path, "newer").unwrap_err();
        assert_eq!(told, "the answer of http://any/token has no 'newer'");
        std::fs::remove_file(&path).unwrap();
        let told = ask_by_socket(&path, "new").unwrap_err();
        assert!(
            told.contains(&*path.to_string_lossy()) && told.contains("No such file"),
            "{told}"
        );
        std::fs::write(&path, "").unwrap();
        let told = ask_by_socket(&path, "new").unwrap_err();
        assert!(told.ends_with(" is not a unix socket"), "{told}");
    }

    /// In a directory of an account's own, a link leads nowhere.
    #[test]
    fn a_link_of_a_strangers_is_not_followed() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("s");
        let _target = std::os::unix::net::UnixListener::bind(&target).unwrap();
        let theirs = directory.path().join("theirs");
        std::fs::create_dir(&theirs).unwrap();
        std::os::unix::fs::chown(&theirs, Some(3_999_999_001), None).unwrap();
        std::os::unix::fs::symlink(&target, theirs.join("l")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let it = plan::Ask::Unix(theirs.join("l"));
        let told = runtime.block_on(in_words(&it, 5000));
        assert!(told.unwrap_err().contains("is a symbolic link of uid "));
    }

    #[tokio::test]
    async fn nothing_can_be_sent_to_a_probe_of_a_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let _ours = connect_unix(&path, Hearing::Deaf).await.unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        let sent = theirs.write_all(b"x").unwrap_err();
        assert_eq!(sent.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a literal address")]
    fn silence_ends_with_the_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        assert_eq!(
            ask_http(url, None, 50).unwrap_err(),
            "no answer within 0.0s"
        );
    }
}
