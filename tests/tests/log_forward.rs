//! Lines that also go to syslog, the journal or the daemon's own standard output.

use std::{fs, os::unix::net::UnixDatagram, time::Duration};

use mattervisor_tests::{World, eventually};

fn daemon(world: &World, name: &str) -> UnixDatagram {
    let socket = UnixDatagram::bind(world.path(name)).unwrap();
    let patience = Some(Duration::from_secs(30));
    socket.set_read_timeout(patience).unwrap();
    socket
}

/// The message that holds this text.
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
    let mut world = World::new();
    let (syslog, journal) = (daemon(&world, "syslog"), daemon(&world, "journal"));
    let path = world.file("syslog");
    world.env("MATTERVISOR_SYSLOG_SOCKET", &path);
    let path = world.file("journal");
    world.env("MATTERVISOR_JOURNAL_SOCKET", &path);
    world.child(
        "a",
        &["print=to syslog", "sleep"],
        "[log]\nforward = \"syslog\"",
    );
    world.child(
        "b",
        &["print=to journal", "sleep"],
        "[log]\nforward = \"journal\"",
    );
    world.start_ready();
    let message = receive(&syslog, "to syslog");
    assert!(message.starts_with("<30>"), "{message}");
    assert!(message.ends_with(" a: to syslog"), "{message}");
    let message = receive(&journal, "to journal");
    assert!(message.contains("SYSLOG_IDENTIFIER=b\n"), "{message:?}");
    assert!(message.contains("PRIORITY=6\n"), "{message:?}");
    world.wait_log("a", |line| line == "to syslog");
    world.wait_log("b", |line| line == "to journal");
}

/// A daemon in a container: what it says itself goes where it went, beside the lines of services.
#[test]
fn stdout_gets_the_lines_of_all_services() {
    let mut world = World::new();
    world.site("log.forward = \"stdout\"\n");
    world.child("a", &["print=one", "sleep"], "");
    world.child("b", &["print=two", "sleep"], "[log]\nformat = \"json\"");
    world.child("c", &["print=three", "sleep"], "[log]\nforward = \"none\"");
    world.start_ready();
    world.wait_log("c", |line| line == "three");
    let printed = || fs::read_to_string(world.path("supervisor.log")).unwrap();
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
    world.wait_log("a", |line| line == "one");
}
