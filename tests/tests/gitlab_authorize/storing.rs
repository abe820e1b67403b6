//! An application that cannot be stored here is not made in GitLab, or is removed again.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread::JoinHandle,
};

use mattervisor_tests::{Site, binary, install, run};

use super::gitlab::{Gitlab, ROOT, ask, host};
/// A user who may write neither the directory nor, in the second try, read the file of secrets is
/// refused. Nothing is made in GitLab.
#[test]
fn what_cannot_be_stored_is_not_made() {
    let site = host("");
    let gitlab = Gitlab::start(&site, &[]);
    let etc = site.path("etc/mattervisor");
    let (program, token) = (site.path("ctl"), site.path("their-token"));
    install(&binary("ctl"), &program);
    install(
        &binary("mattervisor-gitlab"),
        &site.path("mattervisor-gitlab"),
    );
    let catalog = copied_catalog(&site);
    std::fs::write(&token, ROOT).unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    let refused = || {
        let mut command = Command::new("setpriv");
        if nix::unistd::geteuid().is_root() {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        } else {
            command.arg("--no-new-privs");
        }
        command.arg(&program).arg("--root").arg(site.root());
        command.arg("--catalog").arg(&catalog);
        command.args([
            "gitlab",
            "authorize",
            "--url",
            &gitlab.url(),
            "--token-file",
        ]);
        run(command.arg(&token))
    };
    mode(&etc, 0o555);
    let directory = refused();
    mode(&etc, 0o755);
    let secrets = etc.join("secrets.toml");
    std::fs::write(&secrets, "mattermost.gitlab_scope = 'read_user'\n").unwrap();
    mode(&secrets, 0o000);
    let file = refused();
    mode(&secrets, 0o600);
    for (said, words) in [
        (directory, "cannot write beside"),
        (file, "cannot read the file"),
    ] {
        let said = said.expect_code(6).stderr;
        assert!(said.contains(words) && said.contains("sudo ctl"), "{said}");
    }
    assert!(gitlab.applications().is_empty());
}

/// Copies the catalogue to where another user can read it.
fn copied_catalog(site: &Site) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d");
    let to = site.path("services.d");
    run(Command::new("cp").arg("-r").arg(from).arg(&to)).ok();
    to
}

/// The file of secrets is spoilt between the check and the store: the new application is removed
/// from GitLab again.
#[test]
fn an_application_that_could_not_be_stored_is_removed_again() {
    let site = host("");
    let file = site.path("etc/mattervisor/secrets.toml");
    let (url, requests) = scripted(file.clone());
    let said = ask(&site, "authorize", &["--url", &url])
        .expect_code(1)
        .stderr;
    assert!(
        said.contains("secrets.toml cannot take another value"),
        "{said}"
    );
    assert!(said.contains("was removed again"), "{said}");
    let requests = requests.join().unwrap();
    assert_eq!(
        requests[2], "DELETE /api/v4/applications/7 HTTP/1.1",
        "{requests:?}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "[broken");
}

/// A GitLab for three requests: an empty list, a new application, its removal. With the second
/// request the file of secrets is spoilt.
fn scripted(file: PathBuf) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let application = "{\"id\":7,\"application_id\":\"a\",\"secret\":\"gloas-1\"}";
    let answers = [
        ("200 OK", "[]"),
        ("201 Created", application),
        ("204 No Content", ""),
    ];
    let serve = move || {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            if first.starts_with("POST") {
                std::fs::write(&file, "[broken").unwrap();
            }
            requests.push(first.trim().to_owned());
            let size = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
        requests
    };
    (url, std::thread::spawn(serve))
}
