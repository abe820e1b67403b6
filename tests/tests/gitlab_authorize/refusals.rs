//! Refusals by GitLab, or by another server in its place, and answers that `ctl` does not accept.

use std::process::Command;

use mattervisor_tests::{Running, eventually, free_port, http_get, need, nginx, openssl};

use super::gitlab::{Gitlab, SITE_URL, agree, ask, both_uris, host, secrets};
/// Every refusal says what to do, and nothing is made or stored.
#[test]
fn every_refusal_says_what_to_do() {
    let site = host("");
    let gitlab = Gitlab::start(&site, &[]);
    let (url, dead) = (gitlab.url(), format!("http://127.0.0.1:{}", free_port()));
    let refused = |token: &str, url: &str, code: i32, words: &[&str]| {
        let token = site.file(&format!("{token}-token"));
        let arguments = ["gitlab", "authorize", "--url", url, "--token-file", &token];
        let said = site.ctl(&arguments).expect_code(code).stderr;
        for word in words.iter().chain(&["error: ", "\nhint: "]) {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(!said.contains("glpat"), "{said}");
    };
    refused("bad", &url, 6, &["does not accept the token", "scope api"]);
    refused(
        "user",
        &url,
        6,
        &["not that of an administrator", "admin_mode"],
    );
    refused("read", &url, 6, &["its scope is too small"]);
    refused(
        "none",
        &url,
        1,
        &["cannot read a token from", "No such file"],
    );
    refused("root", &dead, 1, &["cannot ask", "refused", "curl -v"]);
    refused(
        "root",
        &format!("{url}/below"),
        1,
        &["there is no GitLab API at"],
    );
    refused(
        "root",
        "gitlab.example.com",
        2,
        &["not the address of a GitLab"],
    );
    refused(
        "root",
        "https://gitlab.invalid",
        1,
        &["cannot ask https://gitlab.invalid"],
    );
    let said = site.ctl(&[
        "gitlab",
        "authorize",
        "--token-file",
        &site.file("root-token"),
    ]);
    assert!(
        said.expect_code(2)
            .stderr
            .contains("it is not known where GitLab is")
    );
    assert!(gitlab.applications().is_empty());
    assert!(secrets(&site).is_empty());

    site.site_file("");
    let said = ask(&site, "authorize", &["--url", &url])
        .expect_code(1)
        .stderr;
    assert!(
        said.contains("not enabled") && said.contains("mattermost_external_url"),
        "{said}"
    );
}

/// A server that answers in another way than GitLab is recognised.
#[test]
fn another_server_is_not_taken_for_gitlab() {
    let mut site = host("");
    let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
    for (port, answer) in ports.iter().zip(["200:hello", "200:{}", "503:no"]) {
        site.child(&format!("a{port}"), &[&format!("http={port}:{answer}")], "");
    }
    site.site_file(&format!(
        "mattermost_external_url = '{SITE_URL}'\nmattermost.enable = false\n"
    ));
    site.start();
    site.site_file(&format!("mattermost_external_url = '{SITE_URL}'\n"));
    for (port, words) in ports
        .iter()
        .zip(["is no GitLab", "is no GitLab", "status 503"])
    {
        eventually("it serves", || http_get(*port, "/"));
        let url = format!("http://127.0.0.1:{port}");
        let said = ask(&site, "authorize", &["--url", &url])
            .expect_code(1)
            .stderr;
        assert!(said.contains(words), "{said}");
    }
}

/// GitLab tells a secret once. A secret that is lost or wrong here, and an application that is
/// gone, are noticed, and `reauthorize` mends them.
#[test]
fn a_secret_that_is_lost_or_wrong_is_noticed() {
    let site = host("");
    let gitlab = Gitlab::start(&site, &[]);
    let url = gitlab.url();
    gitlab.add("GitLab Mattermost", &both_uris());
    let said = ask(&site, "authorize", &["--url", &url])
        .expect_code(1)
        .stderr;
    assert!(
        said.contains("tells it only once") && said.contains("reauthorize"),
        "{said}"
    );
    assert!(secrets(&site).is_empty());
    ask(&site, "reauthorize", &["--url", &url]).ok();
    agree(&site, &gitlab);

    let file = site.path("etc/mattervisor/secrets.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let secret = secrets(&site)["gitlab_secret"].as_str().unwrap().to_owned();
    std::fs::write(&file, text.replace(&secret, "another")).unwrap();
    let said = ask(&site, "authorize", &[]).expect_code(1).stderr;
    assert!(said.contains("not the one that GitLab has"), "{said}");
    let id = secrets(&site)["gitlab_id"].as_str().unwrap().to_owned();
    std::fs::write(&file, text.replace(&id, "gone")).unwrap();
    let said = ask(&site, "authorize", &[]).expect_code(1).stderr;
    assert!(said.contains("no application with the id"), "{said}");
    ask(&site, "reauthorize", &[]).ok();
    agree(&site, &gitlab);
}

/// Over HTTPS: a certificate of an unknown authority is refused with a hint at `--ca-file`, and
/// accepted with that option. A redirect from plain HTTP is not followed.
#[test]
fn tls_is_checked_and_an_own_authority_can_be_given() {
    let program = need!(nginx());
    let site = host("");
    let gitlab = Gitlab::start(&site, &[]);
    let (tls, plain, own) = (free_port(), free_port(), free_port());
    openssl::signed(site.root(), "DNS:localhost");
    let conf = site.path("proxy.conf");
    std::fs::write(
        &conf,
        format!(
            "daemon off;\npid {root}/proxy.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n access_log off;\n\
             client_body_temp_path {root}/t1;\n proxy_temp_path {root}/t2;\n fastcgi_temp_path {root}/t3;\n\
             uwsgi_temp_path {root}/t4;\n scgi_temp_path {root}/t5;\n\
             server {{ listen 127.0.0.1:{tls} ssl; ssl_certificate {root}/server.crt; ssl_certificate_key {root}/server.key;\n\
             location / {{ proxy_pass http://127.0.0.1:{}; }} }}\n\
             server {{ listen 127.0.0.1:{own} ssl; ssl_certificate {root}/ca.crt; ssl_certificate_key {root}/ca.key; }}\n\
             server {{ listen 127.0.0.1:{plain}; return 301 https://localhost:{tls}$request_uri; }}\n}}\n",
            gitlab.port,
            root = site.root().display(),
        ),
    )
    .unwrap();
    let _proxy = Running::start(Command::new(program).arg("-c").arg(&conf));
    eventually("the proxy is up", || http_get(plain, "/"));
    let url = format!("https://localhost:{tls}");
    let said = ask(&site, "authorize", &["--url", &url])
        .expect_code(1)
        .stderr;
    assert!(
        said.contains("not trusted here") && said.contains("--ca-file"),
        "{said}"
    );
    let said = ask(
        &site,
        "authorize",
        &["--url", &format!("http://localhost:{plain}")],
    );
    let said = said.expect_code(1).stderr;
    assert!(said.contains(&format!("sends elsewhere: {url}")), "{said}");
    let ca = site.file("ca.crt");
    let other = format!("https://127.0.0.1:{tls}");
    let said = ask(&site, "authorize", &["--url", &other, "--ca-file", &ca]);
    let said = said.expect_code(1).stderr;
    assert!(said.contains("for another name"), "{said}");
    let own = format!("https://localhost:{own}");
    let said = ask(&site, "authorize", &["--url", &own, "--ca-file", &ca]);
    let said = said.expect_code(1).stderr;
    assert!(
        said.contains("that of an authority") && said.contains("CA:FALSE"),
        "{said}"
    );
    let key = site.file("server.key");
    let said = ask(&site, "authorize", &["--url", &url, "--ca-file", &key]);
    let said = said.expect_code(1).stderr;
    assert!(said.contains("no certificate in it"), "{said}");
    assert!(gitlab.applications().is_empty());
    ask(&site, "authorize", &["--url", &url, "--ca-file", &ca]).ok();
    agree(&site, &gitlab);
}
