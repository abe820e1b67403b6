//! Probes over TCP, HTTP and unix sockets, against servers of these tests.

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use super::*;

/// A server that answers one request with these bytes; returns its URL.
#[expect(clippy::disallowed_methods, reason = "a literal address")]
fn answering(bytes: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        // The connection stays open, because a probe must not wait for its end.
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
    // The socket is bound under a short name and reached under a long one.
    std::fs::rename(&short, deep.join("s")).unwrap();
    assert_eq!(asks(&deep.join("s")), Ok(()));
    assert!(asks(&deep.join("t")).unwrap_err().contains("No such file"));
    let name = format!("mattervisor-probe-{}", std::process::id());
    let address = net::SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = net::UnixListener::bind_addr(&address).unwrap();
    assert_eq!(asks(Path::new(&format!("@{name}"))), Ok(()));
    assert!(asks(Path::new("@mattervisor-nobody")).is_err());
}

/// A unix socket that answers one request with these bytes.
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

/// A link in an account's own directory is not followed.
#[test]
fn a_link_of_a_strangers_is_not_followed() {
    if !nix::unistd::geteuid().is_root() {
        skip::skip!("another account needs root");
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
