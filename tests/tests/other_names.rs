//! The proxy answers requests for Mattermost's own names, and no request for another name or an
//! address.

use std::{fs, process::Command};

use mattervisor_tests::{Ctl, eventually, free_port, need, nginx, openssl, postgres, run};

use crate::stack::Stack;

/// curl's exit codes for an empty answer and for a handshake that the server ends.
const EMPTY: i32 = 52;
const HANDSHAKE: i32 = 35;

fn curl(arguments: &[&str]) -> Ctl {
    let mut command = Command::new("curl");
    command.args(["-sS", "-k", "-i", "--max-time", "30", "--noproxy", "*"]);
    run(command.args(arguments))
}

fn site_file_of(stack: &Stack) -> String {
    fs::read_to_string(stack.site.path("etc/mattervisor/mattervisor.toml")).unwrap()
}

#[test]
fn by_plain_http_only_the_own_names_are_answered() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let page = format!("http://127.0.0.1:{}/", stack.nginx_port);
    let ok = |arguments: &[&str]| curl(arguments).stdout.starts_with("HTTP/1.1 200");
    // After a reload a worker with the old configuration may take a last connection.
    let served = |name: &str| {
        let header = format!("Host: {name}");
        eventually(name, || ok(&["-H", &header, &page]).then_some(()));
    };
    assert!(ok(&[&page]));
    for other in ["Host: evil.example", "Host: 127.0.0.2", "Host: localhost"] {
        curl(&["-H", other, &page]).expect_code(EMPTY);
    }
    // A request without a name.
    curl(&["--http1.0", "-H", "Host:", &page]).expect_code(EMPTY);
    let site_file = site_file_of(&stack);
    stack.site.site_file(&format!(
        "{site_file}mattermost_nginx.server_names = ['127.0.0.1', 'chat.example', '*.lan']\n"
    ));
    stack.site.ctl(&["reconfigure"]).ok();
    served("chat.example");
    served("a.lan");
    curl(&["-H", "Host: evil.example", &page]).expect_code(EMPTY);
    stack.site.site_file(&format!(
        "{site_file}mattermost_nginx.other_names = 'serve'\n"
    ));
    stack.site.ctl(&["reconfigure"]).ok();
    served("evil.example");
}

#[test]
fn by_tls_nobody_else_sees_a_certificate() {
    let bin = need!(postgres());
    need!(nginx());
    let plain = free_port();
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.over_tls(plain);
    let ssl = stack.site.path("etc/mattervisor/ssl");
    fs::create_dir_all(&ssl).unwrap();
    let at = |end: &str| ssl.join(format!("localhost.{end}"));
    openssl::self_signed(&at("crt"), &at("key"), "DNS:localhost", 2);
    let site_file = site_file_of(&stack);
    stack.site.site_file(&format!(
        "
            {site_file}
            mattermost_nginx.ssl_protocols = 'TLSv1.2'
            mattermost_nginx.server_names = ['localhost', 'chat.example']
        "
    ));
    stack.start();
    let port = stack.nginx_port;
    let to = |name: &str| format!("{name}:{port}:127.0.0.1");
    let answer = curl(&[&format!("https://localhost:{port}/")]).ok().stdout;
    assert!(answer.starts_with("HTTP/2 200"), "{answer}");
    let own = openssl::fingerprint(&at("crt"));
    assert_eq!(openssl::served(port, "localhost"), Some(own.clone()));
    assert_eq!(openssl::served(port, "chat.example"), Some(own));
    assert_eq!(openssl::served(port, "evil.example"), None);
    let evil = format!("https://evil.example:{port}/");
    curl(&["--resolve", &to("evil.example"), &evil]).expect_code(HANDSHAKE);
    curl(&[&format!("https://127.0.0.1:{port}/")]).expect_code(HANDSHAKE);
    // The own name in the handshake, and another name in the request.
    let own = format!("https://localhost:{port}/");
    let smuggled = curl(&["--http1.1", "-H", "Host: evil.example", &own]);
    assert!(
        !smuggled.stdout.contains("Mattermost"),
        "{}",
        smuggled.both()
    );
    // The TLS settings hold although the first server block of the address is the one that refuses.
    curl(&["--tlsv1.3", &own]).expect_code(HANDSHAKE);
    let page = format!("http://localhost:{plain}/x");
    assert!(curl(&[&page]).ok().stdout.starts_with("HTTP/1.1 301"));
    curl(&["-H", "Host: evil.example", &page]).expect_code(EMPTY);
}
