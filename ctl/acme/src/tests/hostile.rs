//! A hostile certificate authority, or a hostile server in its place.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use serde_json::{Value, json};

use super::{super::issue, order};

/// A fake authority with a token and a host of the test's choice; [`Authority::stop`] ends it.
struct Authority {
    base: String,
    thread: JoinHandle<()>,
}

impl Authority {
    fn start(host: &str, token: &str, refusal: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (host, token) = (host.to_owned(), token.to_owned());
        let (at, refusal) = (base.clone(), refusal.map(str::to_owned));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let path = request(&stream);
                if path == "/stop" {
                    return;
                }
                let (status, body) = answer(&at, &path, &host, &token, refusal.as_deref());
                respond(stream, &at, status, &body);
            }
        });
        Self { base, thread }
    }

    fn stop(self) {
        let mut stream = TcpStream::connect(self.base.trim_start_matches("http://")).unwrap();
        stream.write_all(b"GET /stop HTTP/1.1\r\n\r\n").unwrap();
        self.thread.join().unwrap();
    }
}

/// Reads a request and returns its path.
fn request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    first.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn answer(at: &str, path: &str, host: &str, token: &str, refusal: Option<&str>) -> (u16, Value) {
    match path {
        "/directory" => (
            200,
            json!({ "newNonce": format!("{at}/nonce"), "newAccount": format!("{at}/account"),
                "newOrder": format!("{at}/order") }),
        ),
        "/account" => (201, json!({ "status": "valid" })),
        "/order" => match refusal {
            Some(detail) => (
                403,
                json!({ "type": format!("urn:ietf:params:acme:error:{detail}"), "detail": detail }),
            ),
            None => (
                201,
                json!({ "status": "pending", "authorizations": [format!("{at}/authorization")],
                    "identifiers": [{ "type": "dns", "value": host }],
                    "finalize": format!("{at}/finalize") }),
            ),
        },
        "/authorization" => (
            200,
            json!({ "status": "pending", "identifier": { "type": "dns", "value": host },
                "challenges": [{ "type": "http-01", "url": format!("{at}/challenge"),
                    "status": "pending", "token": token }] }),
        ),
        "/challenge" => (
            500,
            json!({ "detail": "it came as far as to be asked to look" }),
        ),
        _ => (200, json!({})),
    }
}

fn respond(mut stream: TcpStream, at: &str, status: u16, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\nreplay-nonce: bm9uY2U\r\nlocation: {at}/1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // The client may have hung up, so a failed write is fine.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body.as_bytes());
}

/// Every file below a directory with its mode and content.
fn tree(dir: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            found.extend(tree(&path));
        } else {
            let content = fs::read(&path).unwrap();
            found.insert(path, (meta.permissions().mode(), content));
        }
    }
    found
}

/// The message about this authority's answers. The place is unchanged afterwards, except for the
/// account.
async fn asked(host: &str, token: &dyn Fn(&Path) -> String, refusal: Option<&str>) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    let shadow = dir.path().join("etc/shadow");
    fs::write(&shadow, "root:hush").unwrap();
    fs::set_permissions(&shadow, fs::Permissions::from_mode(0o600)).unwrap();
    let before = tree(dir.path());
    let authority = Authority::start(host, &token(dir.path()), refusal);
    let mut order = order(dir.path(), &["m.example"]);
    order.directory = format!("{}/directory", authority.base);
    let error = issue::issue(&order, None, &|_| {}).await.err().unwrap();
    authority.stop();
    let mut after = tree(dir.path());
    assert!(after.remove(&order.account).is_some());
    assert_eq!(before, after);
    error.to_string()
}

#[tokio::test]
async fn a_token_is_no_path() {
    let tokens: [&dyn Fn(&Path) -> String; 7] = [
        &|_| String::new(),
        &|_| "../../../etc/shadow".to_owned(),
        &|dir| dir.join("etc/shadow").display().to_string(),
        &|_| "../../../etc/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ".to_owned(),
        &|_| "a".repeat(10 << 10),
        &|_| "a\nb".repeat(10),
        &|_| "short".to_owned(),
    ];
    for token in tokens {
        let said = asked("m.example", token, None).await;
        assert!(
            said.contains("a name that RFC 8555 does not allow"),
            "{said}"
        );
    }
    let good = &|_: &Path| "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA".to_owned();
    let said = asked("m.example", good, None).await;
    assert!(said.contains("asked to look"), "{said}");
}

#[tokio::test]
async fn only_the_hosts_of_the_order_are_answered_for() {
    let good = &|_: &Path| "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA".to_owned();
    let said = asked("other.example", good, None).await;
    assert!(said.contains("something else than the hosts"), "{said}");
}

#[tokio::test]
async fn words_of_the_authority_are_cut_and_escaped() {
    let words = format!("no\u{1b}[2J\nerror: \u{202e}{}", "x".repeat(100_000));
    let said = asked("m.example", &|_| String::new(), Some(&words)).await;
    assert!(said.len() < 3000 && said.contains("no\\x1b"), "{said}");
    assert!(!said.contains(['\u{1b}', '\u{202e}', '\n']), "{said}");
}
