//! Forwarding of log lines: this test takes the place of syslogd, journald and the reader of
//! standard output.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, PipeReader},
    os::unix::net::UnixDatagram,
};

use super::*;

/// A world with this forwarding, and the pipe that is its standard output.
fn world(forward: Forward) -> (World, PipeReader) {
    let tmp = Rc::new(TempDir::new().unwrap());
    let (reader, writer) = pipe().unwrap();
    let places = Places {
        syslog: tmp.path().join("syslog"),
        journal: tmp.path().join("journal"),
        stdout: Some(writer.into()),
    };
    let spec = Spec {
        forward: Some(forward),
        ..Spec::default()
    };
    (World::with(tmp, spec, places), reader)
}

fn daemon(world: &World, name: &str) -> UnixDatagram {
    let socket = UnixDatagram::bind(world.tmp.path().join(name)).unwrap();
    let patience = Some(Duration::from_secs(20));
    socket.set_read_timeout(patience).unwrap();
    socket
}

fn receive(socket: &UnixDatagram) -> Vec<u8> {
    let mut buffer = vec![0; 100_000];
    let bytes = socket.recv(&mut buffer).expect("a message in time");
    buffer.truncate(bytes);
    buffer
}

/// Parses a message by journald's documentation of its native protocol.
fn journal_fields(message: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut fields = BTreeMap::new();
    let mut rest = message;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
            let name = String::from_utf8(line[..equals].to_vec()).unwrap();
            fields.insert(name, line[equals + 1..].to_vec());
        } else {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap());
            let length = usize::try_from(length).unwrap();
            let value = rest[8..8 + length].to_vec();
            assert_eq!(rest[8 + length], b'\n');
            rest = &rest[9 + length..];
            fields.insert(String::from_utf8(line.to_vec()).unwrap(), value);
        }
    }
    fields
}

#[test]
fn syslog_gets_what_the_c_library_would_send() {
    let (mut world, _stdout) = world(Forward::Syslog);
    let syslogd = daemon(&world, "syslog");
    world.write(b"one\ntwo \xff\n");
    for expected in [&b"one"[..], b"two \xff"] {
        let message = receive(&syslogd);
        let (head, text) = message.split_at("<30>Nov 22 23:04:05 s: ".len());
        assert_eq!(text, expected);
        let head = std::str::from_utf8(head).unwrap();
        assert!(head.starts_with("<30>") && head.ends_with(" s: "), "{head}");
        let time = &head[4..19];
        // The message has no year; a leap year has every day.
        let time = format!("2028 {time}");
        jiff::civil::DateTime::strptime("%Y %b %e %H:%M:%S", &time).expect(&time);
    }
    assert_eq!(world.stop(), [b"one".to_vec(), b"two \xff".to_vec()]);
}

#[test]
fn journal_gets_its_own_protocol() {
    let (mut world, _stdout) = world(Forward::Journal);
    let journald = daemon(&world, "journal");
    world.write(b"MESSAGE=x \xff\nshort\n");
    let first = journal_fields(&receive(&journald));
    assert_eq!(first["MESSAGE"], b"MESSAGE=x \xff");
    assert_eq!(first["SYSLOG_IDENTIFIER"], b"s");
    assert_eq!(first["PRIORITY"], b"6");
    assert_eq!(journal_fields(&receive(&journald))["MESSAGE"], b"short");
    world.write(&vec![b'w'; LINE_BYTES_MAX]);
    world.write(b"\n");
    let long = journal_fields(&receive(&journald));
    assert_eq!(long["MESSAGE"].len(), LINE_BYTES_MAX);
}

#[test]
fn a_syslogd_that_is_restarted_loses_nothing() {
    let (mut world, _stdout) = world(Forward::Syslog);
    world.write(b"before\n");
    world.handle.sync();
    let first = daemon(&world, "syslog");
    assert!(receive(&first).ends_with(b" s: before"));
    drop(first);
    fs::remove_file(world.tmp.path().join("syslog")).unwrap();
    world.write(b"between\n");
    world.handle.sync();
    let second = daemon(&world, "syslog");
    assert!(receive(&second).ends_with(b" s: between"));
}

#[test]
fn stdout_gets_the_service_before_each_line() {
    let (mut world, stdout) = world(Forward::StdoutText);
    let mut stdout = BufReader::new(stdout);
    world.write(b"one\n");
    world.handle.mark("s", "told");
    let mut next = || {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        line
    };
    assert_eq!(next(), "s | one\n");
    assert_eq!(next(), "s | [mattervisor] told\n");
}

#[test]
fn stdout_gets_json_with_what_is_no_utf8_replaced() {
    let (mut world, stdout) = world(Forward::StdoutJson);
    world.write(b"say \"\xff\"\n");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["service"], "s");
    assert_eq!(object["text"], "say \"\u{fffd}\"");
    let at: jiff::Timestamp = object["at"].as_str().unwrap().parse().unwrap();
    assert!(at <= jiff::Timestamp::now());
    assert_eq!(object.as_object().unwrap().len(), 3);
}

#[test]
fn blocked_stdout_stops_no_logging_and_is_told_what_it_missed() {
    // More bytes than queue and pipe hold together, on a machine of any speed.
    const LINES: usize = 60_000;
    let (mut world, stdout) = world(Forward::StdoutText);
    let fill = "x".repeat(100);
    let mut all = Vec::new();
    for n in 0..LINES {
        writeln!(all, "{n:06} {fill}").unwrap();
    }
    world.write(&all);
    world.handle.sync();
    let logged = text(&lines(&world.current()));
    let own = logged.iter().filter(|line| !line.starts_with(MARK));
    assert!(
        own.enumerate()
            .all(|(n, line)| line.starts_with(&format!("{n:06} ")))
    );
    assert!(logged.len() >= LINES);

    // The reader works again: it gets whole lines in order, and the size of the gap.
    let (tell, told) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut got: Vec<String> = Vec::new();
        for line in BufReader::new(stdout).lines() {
            got.push(line.unwrap());
            let line = &got[got.len() - 1];
            if line.contains("were not forwarded") {
                tell.send(()).unwrap();
            }
            if line.ends_with("the end") {
                break;
            }
        }
        got
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    // The gap is reported with the next line that arrives while the stream flows.
    while told.recv_timeout(Duration::from_millis(20)).is_err() {
        assert!(Instant::now() < deadline, "the stream does not go on");
        world.write(b"again\n");
        world.handle.sync();
    }
    world.write(b"the end\n");
    let got = reader.join().unwrap();
    let numbers: Vec<usize> = got
        .iter()
        .filter_map(|line| line.strip_prefix("s | ")?.get(..6)?.parse().ok())
        .collect();
    assert!(numbers.is_sorted() && !numbers.is_empty());
    let missing = |line: &str| {
        let text = line.split_once(MARK)?.1;
        let (count, _) = text.split_once(" lines were not forwarded to standard output")?;
        count.parse::<usize>().ok()
    };
    let in_stream: usize = got.iter().filter_map(|line| missing(line)).sum();
    assert_eq!(in_stream + numbers.len(), LINES, "what is missing is told");
    let logged = text(&world.stop());
    let in_file: usize = logged.iter().filter_map(|line| missing(line)).sum();
    assert_eq!(in_file, in_stream);
}

#[test]
fn stdout_that_is_closed_is_told_in_the_file() {
    let (mut world, stdout) = world(Forward::StdoutText);
    drop(stdout);
    world.write(b"one\n");
    world.handle.sync();
    // A loss shows when a later line arrives; the thread's pace decides how many lines are lost by
    // then.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let said = text(&lines(&world.current()));
        let told = said.iter().enumerate().find_map(|(before, line)| {
            let rest = line.strip_prefix("[mattervisor] ")?;
            let count =
                rest.strip_suffix(" lines were not forwarded to standard output: broken pipe")?;
            Some((before, count.parse::<usize>().unwrap()))
        });
        if let Some((before, count)) = told {
            assert!((1..=before).contains(&count), "{count} of {before}");
            return;
        }
        assert!(Instant::now() < deadline, "{said:?}");
        world.write(b"more\n");
        world.handle.sync();
    }
}

#[test]
fn forwarding_begins_and_ends_with_a_new_spec() {
    let (mut world, _stdout) = world(Forward::Syslog);
    let (syslogd, journald) = (daemon(&world, "syslog"), daemon(&world, "journal"));
    let spec = |forward| Spec {
        dir: world.dir(),
        forward,
        ..Spec::default()
    };
    let (none, journal) = (spec(None), spec(Some(Forward::Journal)));
    world.write(b"one\n");
    world.handle.reconfigure("s", none);
    world.handle.sync();
    world.write(b"two\n");
    world.handle.reconfigure("s", journal);
    world.handle.sync();
    world.write(b"three\n");
    assert!(receive(&syslogd).ends_with(b"one"));
    assert_eq!(journal_fields(&receive(&journald))["MESSAGE"], b"three");
    syslogd.set_nonblocking(true).unwrap();
    syslogd.recv(&mut [0; 10]).unwrap_err();
    assert_eq!(text(&world.stop()), ["one", "two", "three"]);
}
