//! One attempt of a probe over the network. Exec probes are runs, and the keeper's.

use std::{
    ffi::OsStr,
    io,
    net::SocketAddr,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::Path,
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
use tokio::net::{TcpStream, UnixSocket, UnixStream};

use crate::host_names::HostNames;

/// Of an answer's body, as much is read.
const BODY_BYTES_MAX: usize = 64 << 10;
/// A longer path does not fit into a socket's address.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Asks once. `Ok` is a yes; `Err` says in words why not. Takes no longer than `timeout_ms`.
pub(super) async fn ask(ask: &plan::Ask, timeout_ms: u64, names: &HostNames) -> Result<(), String> {
    let answer = async {
        match ask {
            plan::Ask::Unix(path) => unix(path).await,
            plan::Ask::Tcp(address) => connect(address, names).await.map(drop),
            plan::Ask::Http { url, status, body } => {
                http(url, status, body.as_deref(), names).await
            }
            plan::Ask::Exec(_) => Err("exec probes are the keeper's".to_owned()),
        }
    };
    let over = async {
        tokio::time::sleep(Duration::from_millis(timeout_ms)).await;
        // After a stall the time is over before anybody has looked whether an answer is there.
        tokio::task::yield_now().await;
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        () = over => Err(format!("no answer within {}", super::words::duration(timeout_ms))),
    }
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

/// Connects to a unix stream socket; `@name` is an abstract one.
async fn unix(path: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot connect to {}: {error}", path.display());
    let bytes = path.as_os_str().as_bytes();
    if let Some(name) = bytes.strip_prefix(b"@") {
        let name = [b"\0", name].concat();
        let connected = connect_deaf(Path::new(OsStr::from_bytes(&name))).await;
        return connected.map(drop).map_err(failed);
    }
    if bytes.len() <= SOCKET_PATH_BYTES_MAX {
        return connect_deaf(path).await.map(drop).map_err(failed);
    }
    // An address has no room for it: by way of its directory.
    let parts = path.parent().zip(path.file_name());
    let (directory, name) = parts.ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let directory = std::fs::File::open(directory).map_err(failed)?;
    let near = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let connected = connect_deaf(&Path::new(&near).join(name)).await;
    connected.map(drop).map_err(failed)
}

/// A connection to which nothing can be sent. A descriptor that lies in it unread would be closed
/// with it, on this thread, and that can take as long as whoever sent it likes.
async fn connect_deaf(path: &Path) -> io::Result<UnixStream> {
    let socket = UnixSocket::new_stream()?;
    shutdown(socket.as_raw_fd(), Shutdown::Read)?;
    socket.connect(path).await
}

async fn http(
    url: &str,
    accepted: &[u16],
    wanted: Option<&str>,
    names: &HostNames,
) -> Result<(), String> {
    let (address, path) = split(url)?;
    let stream = connect(&address, names).await?;
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
        let status = response.status().as_u16();
        if !is_accepted(status, accepted) {
            return Err(format!("{url} answers {status}"));
        }
        let Some(wanted) = wanted else { return Ok(()) };
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX)
            .collect()
            .await;
        let body = body.map_err(|error| format!("cannot read the answer of {url}: {error}"))?;
        let body = body.to_bytes();
        let found = body
            .windows(wanted.len())
            .any(|part| part == wanted.as_bytes());
        if found {
            Ok(())
        } else {
            Err(format!("the answer of {url} has no '{wanted}'"))
        }
    };
    let answer = answer.await;
    driver.abort();
    answer
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
            status: vec![],
            body: body.map(str::to_owned),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(ask(&it, timeout_ms, &HostNames::new()))
    }

    #[test]
    fn a_good_status_is_a_yes_and_a_bad_one_says_which() {
        let good = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK");
        assert_eq!(ask_http(good, Some("OK"), 5000), Ok(()));
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
            runtime.block_on(ask(&it, 5000, &HostNames::new()))
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

    #[tokio::test]
    async fn nothing_can_be_sent_to_a_probe_of_a_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let _ours = connect_deaf(&path).await.unwrap();
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
