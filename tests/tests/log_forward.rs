//! Lines that also go to syslog, the journal or the supervisor's own standard output.

use std::{fs, os::unix::net::UnixDatagram, time::Duration};

use mattervisor_tests::{Site, eventually};

fn daemon(site: &Site, name: &str) -> UnixDatagram {
    let socket = UnixDatagram::bind(site.path(name)).unwrap();
    let timeout = Some(Duration::from_secs(30));
    socket.set_read_timeout(timeout).unwrap();
    socket
}

/// The first message that contains this text.
fn receive(socket: &UnixDatagram, text: &str) -> String {
    let mut buffer = vec![0; 100_000];
    loop {
        let bytes = socket.recv(&mut buffer).expect("a message in time");
        let message = String::from_utf8_lossy(&buffer[..bytes]).into_owned();
        if message.contains(text) {
            return message;
        }
    }
}

#[test]
fn syslog_and_journal_get_the_lines_and_so_does_the_file() {
    let mut site = Site::new();
    let (syslog, journal) = (daemon(&site, "syslog"), daemon(&site, "journal"));
    let path = site.file("syslog");
    site.env("MATTERVISOR_SYSLOG_SOCKET", &path);
    let path = site.file("journal");
    site.env("MATTERVISOR_JOURNAL_SOCKET", &path);
    site.child(
        "a",
        &["print=to syslog", "sleep"],
        "[log]\nforward = 'syslog'",
    );
    site.child(
        "b",
        &["print=to journal", "sleep"],
        "[log]\nforward = 'journal'",
    );
    site.start_ready();
    let message = receive(&syslog, "to syslog");
    assert!(message.starts_with("<30>"), "{message}");
    assert!(message.ends_with(" a: to syslog"), "{message}");
    let message = receive(&journal, "to journal");
    assert!(message.contains("SYSLOG_IDENTIFIER=b\n"), "{message:?}");
    assert!(message.contains("PRIORITY=6\n"), "{message:?}");
    site.wait_log("a", |line| line == "to syslog");
    site.wait_log("b", |line| line == "to journal");
}

/// As in a container: the lines of services go to the supervisor's standard output, beside its own
/// messages.
#[test]
fn stdout_gets_the_lines_of_all_services() {
    let mut site = Site::new();
    site.site_file("log.forward = 'stdout'\n");
    site.child("a", &["print=one", "sleep"], "");
    site.child("b", &["print=two", "sleep"], "[log]\nformat = 'json'");
    site.child("c", &["print=three", "sleep"], "[log]\nforward = 'none'");
    site.start_ready();
    site.wait_log("c", |line| line == "three");
    let printed = || fs::read_to_string(site.path("supervisor.log")).unwrap();
    eventually("a's line on standard output", || {
        printed()
            .lines()
            .any(|line| line == "a | one")
            .then_some(())
    });
    let object = eventually("b's line as JSON", || {
        let text = printed();
        let mut objects = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        objects.find(|object| object["service"] == "b" && object["text"] == "two")
    });
    assert!(object["at"].as_str().unwrap().ends_with('Z'));
    assert!(!printed().contains("three"));
    site.wait_log("a", |line| line == "one");
}
