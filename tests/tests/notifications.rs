//! Notifications by webhook, command and mail: each one arrives, and nothing else waits for its
//! delivery.

mod hooks;
mod occasions;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::Command,
    time::{Duration, Instant},
};

use mattervisor_tests::{Site, StatusExt, eventually, free_port, kill, need, nginx, run};
use nix::sys::signal::Signal;

use hooks::Hooks;

/// A secret in the path of a webhook, which nothing but the site file may show.
const PLANTED: &str = "planted-q7x-secret";

/// Writes the site file, readable by its owner alone, since it holds a secret.
fn site_file(site: &Site, text: &str) {
    site.site_file(text);
    let path = site.path("etc/mattervisor/mattervisor.toml");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The command lines of all processes, which every account of the machine can read.
fn command_lines() -> String {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|it| fs::read(it.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " ") + "\n")
        .collect()
}

const ONE_RUN: &str = "[restart]\npolicy = 'never'\n";

/// A failure and its recovery arrive once each, as JSON that Mattermost and Slack accept, and no
/// output shows the webhook's URL.
#[test]
fn a_failure_and_its_recovery_are_posted_once_each_and_the_url_stays_secret() {
    let hooks = Hooks::new(&[]);
    let mut site = Site::new();
    site_file(&site, &hooks.site_file("[\"failed\", \"recovered\"]"));
    let flag = site.file("flag");
    fs::write(&flag, "").unwrap();
    site.child("a_b", &[&format!("shift-exit={flag}:1"), "sleep"], ONE_RUN);
    site.start();
    site.wait_state("a_b", "failed");
    let posted = hooks.wait(1);
    let text = posted[0].body["text"].as_str().unwrap();
    assert!(
        text.contains("a_b has failed: ended with exit code"),
        "{text}"
    );
    assert_eq!(posted[0].body["username"], "mattervisor");
    assert!(
        posted[0].head.starts_with("POST /hooks/"),
        "{}",
        posted[0].head
    );
    let fields = posted[0].body["attachments"][0]["fields"].clone();
    assert_eq!(fields[1]["value"], "a_b", "{fields}");
    fs::remove_file(&flag).unwrap();
    site.ctl(&["start", "a_b"]).ok();
    let posted = hooks.wait(2);
    let text = posted[1].body["text"].as_str().unwrap();
    assert!(text.contains("a_b has recovered"), "{text}");
    site.ctl(&["restart", "a_b"]).ok();
    let said = [
        site.ctl(&["status", "--format", "json"]).both(),
        site.ctl(&["events", "-n", "1000"]).both(),
        site.ctl(&["why", "a_b"]).both(),
        site.ctl(&["check-config"]).both(),
        site.ctl(&["show-config"]).both(),
        site.supervisor_log(),
    ];
    for said in said {
        assert!(!said.contains(PLANTED), "{said}");
    }
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
    assert_eq!(hooks.posted().len(), 2, "nothing is told twice");
}

/// A delivery that fails for now is repeated, after the delay of the server's `retry-after` where
/// it gives one.
#[test]
fn a_server_that_fails_is_asked_again() {
    let busy = "429 Too Many Requests\r\nretry-after: 2";
    let hooks = Hooks::new(&["500 Internal Server Error", busy]);
    let mut site = Site::new();
    site_file(&site, &hooks.site_file("[\"failed\"]"));
    site.child("a", &["exit=3"], ONE_RUN);
    site.start();
    let posted = hooks.wait(3);
    assert_eq!(posted[0].body, posted[2].body);
    let pauses = [posted[1].at - posted[0].at, posted[2].at - posted[1].at];
    assert!(pauses[0] >= Duration::from_millis(900), "{pauses:?}");
    assert!(pauses[1] >= Duration::from_millis(1900), "{pauses:?}");
}

/// Over TLS the server's certificate is verified with the system's, or with those of
/// `SSL_CERT_FILE`.
#[test]
fn a_webhook_over_tls_is_checked_against_the_certificates() {
    need!(nginx());
    let hooks = Hooks::new(&[]);
    let mut site = Site::new();
    let (key, certificate) = (site.file("key"), site.file("certificate"));
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
    ]);
    openssl.args([
        "-subj",
        "/CN=hooks",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.args(["-keyout", &key, "-out", &certificate]);
    run(&mut openssl).ok();
    let (tls, plain, root) = (free_port(), hooks.port, site.root().display().to_string());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|it| format!("{it}_temp_path {root}/{it};"))
        .concat();
    let conf = format!(
        "daemon off; master_process off; pid {root}/nginx.pid; error_log stderr;\nevents {{}}\n\
         http {{ access_log off; {temporary}\nserver {{ listen 127.0.0.1:{tls} ssl;\n\
         ssl_certificate {certificate}; ssl_certificate_key {key};\n\
         location / {{ proxy_pass http://127.0.0.1:{plain}; }} }} }}\n"
    );
    let path = site.file("nginx.conf");
    fs::write(&path, conf).unwrap();
    let command = format!("command = ['nginx', '-e', 'stderr', '-c', '{path}']\n");
    site.service(
        "nginx",
        &format!("{command}[ready]\ntcp = '127.0.0.1:{tls}'\n"),
    );
    site.child(
        "a",
        &["exit=3"],
        &format!("requires = ['nginx']\n{ONE_RUN}"),
    );
    let url = format!("https://127.0.0.1:{tls}/hooks/{PLANTED}");
    site_file(
        &site,
        &format!(
            r#"
                [notify.chat]
                webhook = "{url}"
                on = ["failed"]
            "#
        ),
    );
    site.start();
    // The system does not trust that certificate, so nothing is sent.
    let log = eventually("the log says so", || {
        let log = site.supervisor_log();
        log.contains("could not be delivered").then_some(log)
    });
    assert!(log.contains("TLS fails") && !log.contains(PLANTED), "{log}");
    assert!(hooks.posted().is_empty());
    assert_eq!(site.stop(), 0);
    site.env("SSL_CERT_FILE", &certificate);
    site.start();
    assert_eq!(hooks.wait(1)[0].body["username"], "mattervisor");
}

/// A server that refuses for good is not asked again, and the supervisor's log says so without the
/// URL.
#[test]
fn a_refusal_is_said_in_the_log() {
    let hooks = Hooks::new(&["403 Forbidden"]);
    let mut site = Site::new();
    site_file(&site, &hooks.site_file("[\"failed\"]"));
    site.child("a", &["exit=3"], ONE_RUN);
    site.start();
    hooks.wait(1);
    let log = eventually("the log says so", || {
        let log = site.supervisor_log();
        log.contains("could not be delivered").then_some(log)
    });
    assert!(log.contains("the server answers 403 (1 attempt)"), "{log}");
    assert!(!log.contains(PLANTED), "{log}");
}

/// A server that never answers delays only its own message. While the delivery is under way, no
/// command line shows the URL.
#[test]
fn a_server_that_hangs_delays_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let hooks = Hooks::new(&[]);
    let mut site = Site::new();
    let hanging = format!(
        r#"
            [notify.dead]
            webhook = "http://127.0.0.1:{port}/{PLANTED}"
            on = ["failed"]
        "#
    );
    site_file(
        &site,
        &format!("{hanging}{}", hooks.site_file("[\"failed\"]")),
    );
    site.child("a", &["exit=3"], ONE_RUN);
    site.child("b", &["exit=4"], ONE_RUN);
    site.child("c", &["sleep"], "");
    site.start();
    let (_held, _) = silent.accept().unwrap();
    let lines = command_lines();
    assert!(lines.contains("deliver"), "{lines}");
    assert!(!lines.contains(PLANTED), "{lines}");
    hooks.wait(2);
    let begun = Instant::now();
    site.ctl(&["restart", "c"]).ok();
    site.ctl(&["start", "a", "--no-wait"]).ok();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
}

/// A notification command gets all data in its environment.
#[test]
fn a_command_is_told_by_its_environment() {
    let mut site = Site::new();
    let told = site.file("told");
    let script = site.path("tell");
    fs::write(
        &script,
        format!("#!/bin/sh\nenv | grep ^MATTERVISOR_ > {told}.tmp\nmv {told}.tmp {told}\n"),
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.display();
    site_file(
        &site,
        &format!(
            r#"
                [notify.page]
                command = ["{script}"]
                on = ["restarted"]
            "#
        ),
    );
    site.child("a", &["sleep"], "");
    site.start_ready();
    let pid = site.status().pid("a");
    kill(pid, Signal::SIGKILL);
    let text = eventually("it is told", || fs::read_to_string(&told).ok());
    for line in [
        "MATTERVISOR_SERVICE=a",
        "MATTERVISOR_CAUSE=restarted",
        "MATTERVISOR_COUNT=1",
        "MATTERVISOR_TEXT=a has ended by itself (killed by KILL) and is restarted",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}: {text}");
    }
    assert!(text.contains("MATTERVISOR_AT=20"), "{text}");
}

/// A mail has headers and text, on the standard input of `sendmail -t -i`.
#[test]
fn a_mail_goes_out_by_sendmail() {
    let mut site = Site::new();
    let (mail, program) = (site.file("mail"), site.path("sendmail"));
    fs::write(
        &program,
        format!("#!/bin/sh\n{{ echo \"$0 $*\"; env; cat; }} > {mail}.tmp\nmv {mail}.tmp {mail}\n"),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    site.env("MATTERVISOR_SENDMAIL", &program.display().to_string());
    site_file(
        &site,
        r#"
            [notify.ops]
            sendmail = ["ops@example.com"]
            from = "mv@example.com"
            on = ["failed"]
        "#,
    );
    site.child("a", &["exit=3"], ONE_RUN);
    site.start();
    let text = eventually("a mail", || fs::read_to_string(&mail).ok());
    assert!(text.lines().next().unwrap().ends_with(" -t -i"), "{text}");
    assert!(
        text.contains("\nFrom: mv@example.com\nTo: ops@example.com\nSubject: ["),
        "{text}"
    );
    assert!(
        text.contains("] a: failed\n") && text.contains("\n\na has failed"),
        "{text}"
    );
    assert!(!text.contains("MATTERVISOR_DELIVERY"), "{text}");
}
