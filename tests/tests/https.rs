//! The proxy over TLS, with a certificate of the test's own.

use std::{path::Path, process::Command};

use mattervisor_tests::{free_port, need, nginx, postgres, run};

use crate::stack::Stack;

/// Head and body of an answer, as curl prints it.
fn curl(arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "-i", "--max-time", "30", "--noproxy", "*"]);
    run(command.args(arguments)).ok().stdout
}

fn make_certificate(directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
    ]);
    openssl.args([
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ]);
    openssl.arg("-keyout").arg(directory.join("localhost.key"));
    openssl.arg("-out").arg(directory.join("localhost.crt"));
    run(&mut openssl).ok();
}

/// HTTPS from the default place of certificate and key, plain HTTP is redirected, HTTP/2 and HSTS
/// are on, and the address stays free of what a broken certificate does to it: the service says so.
#[test]
fn https_with_redirect_and_a_broken_certificate() {
    let bin = need!(postgres());
    need!(nginx());
    let plain = free_port();
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = \"100\"");
    stack.over_tls(plain);
    let ssl = stack.world.path("etc/mattervisor/ssl");
    make_certificate(&ssl);
    stack.start();
    let trusted = ssl.join("localhost.crt").display().to_string();
    let page = format!("https://localhost:{}/", stack.nginx_port);
    let answer = curl(&["--cacert", &trusted, &page]);
    assert!(answer.starts_with("HTTP/2 200"), "{answer}");
    assert!(
        answer
            .to_lowercase()
            .contains("strict-transport-security: max-age=63072000"),
        "{answer}"
    );
    let answer = curl(&[&format!("http://localhost:{plain}/x?y=1")]);
    assert!(answer.starts_with("HTTP/1.1 301"), "{answer}");
    assert!(
        answer.contains(&format!(
            "ocation: https://localhost:{}/x?y=1",
            stack.nginx_port
        )),
        "{answer}"
    );
    // A certificate that nginx would not take: the reload is refused, and what runs goes on.
    let good = std::fs::read(ssl.join("localhost.crt")).unwrap();
    std::fs::write(ssl.join("localhost.crt"), "no certificate").unwrap();
    let refused = stack.world.ctl(&["reload", "nginx"]).expect_code(1);
    assert!(refused.both().contains("certificate"), "{}", refused.both());
    std::fs::write(ssl.join("good.crt"), &good).unwrap();
    let trusted = ssl.join("good.crt").display().to_string();
    assert!(curl(&["--cacert", &trusted, &page]).starts_with("HTTP/2 200"));
}
