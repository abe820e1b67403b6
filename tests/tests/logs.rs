//! Every line that a service writes is kept, once and whole.

use std::fs;

use mattervisor_tests::{Site, StatusExt, eventually, kill, lines, skip};
use nix::sys::signal::Signal;

use crate::faults::Disk;

/// Every line of a service's log files, oldest first, with its stamp; compressed files are refused.
fn all_lines(site: &Site, service: &str) -> Vec<String> {
    let directory = site.log_dir(service);
    let mut names: Vec<String> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name != "current")
        .collect();
    names.sort();
    names.push("current".to_owned());
    names
        .iter()
        .flat_map(|name| lines(&directory.join(name)))
        .collect()
}

/// The lines without their stamps.
fn texts(lines: &[String]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line.split_once(' ').map_or("", |(_, text)| text))
        .collect()
}

/// Behaviour 44: rotation keeps every line, once and whole; a deleted file is made again.
#[test]
fn b44_rotation_keeps_every_line_once_and_whole() {
    const LINES: usize = 4000;
    let mut site = Site::new();
    let verbs = [
        format!("flood={LINES}:150"),
        "print=flooded".to_owned(),
        "sleep".to_owned(),
    ];
    let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
    site.child(
        "a",
        &verbs,
        r#"
            [log]
            size = "100K"
            keep = 100
        "#,
    );
    site.start_ready();
    site.wait_log("a", |line| line == "flooded");
    let all = all_lines(&site, "a");
    let texts = texts(&all);
    let flood: Vec<&&str> = texts
        .iter()
        .filter(|text| text.starts_with("flood "))
        .collect();
    assert_eq!(flood.len(), LINES);
    for (number, text) in flood.iter().enumerate() {
        assert!(
            text.contains(&format!(" {number:010} ")),
            "line {number} is {text}"
        );
        assert_eq!(text.len(), 150, "{text}");
    }
    let files = fs::read_dir(site.log_dir("a")).unwrap().count();
    assert!(files >= 4, "{files} files: it did not rotate");
    fs::remove_file(site.log_dir("a").join("current")).unwrap();
    site.ctl(&["restart", "a"]).ok();
    site.wait_log("a", |line| line == "flooded");
}

/// No more rotated files are kept than `keep` says.
#[test]
fn old_log_files_are_removed() {
    let mut site = Site::new();
    site.child(
        "a",
        &["flood=4000:150", "print=flooded", "sleep"],
        r#"
            [log]
            size = "50K"
            keep = 3
        "#,
    );
    site.start_ready();
    site.wait_log("a", |line| line == "flooded");
    eventually("three rotated files and the current one", || {
        (fs::read_dir(site.log_dir("a")).unwrap().count() == 4).then_some(())
    });
}

/// Behaviour 45: lines that are not UTF-8, or are huge, are logged.
#[test]
fn b45_bytes_that_are_no_utf8_and_huge_lines_are_taken_in() {
    let mut site = Site::new();
    let verbs = [
        "print-hex=fffe00800a",
        "flood=1:60000",
        "flood=1:300000",
        "print=after",
        "exit=0",
    ];
    site.child("a", &verbs, "type = 'oneshot'");
    site.start_ready();
    site.wait_log("a", |line| line == "after");
    let raw = fs::read(site.log_dir("a").join("current")).unwrap();
    assert!(
        raw.windows(4).any(|four| four == b"\xff\xfe\x00\x80"),
        "the bytes are not as written"
    );
    let log = site.log("a");
    assert!(
        log.iter()
            .any(|line| line.starts_with("flood") && line.len() == 60_000),
        "a line below 64 KiB is whole"
    );
    assert!(
        log.iter().all(|line| line.len() < 70_000),
        "a longer one is cut"
    );
    assert!(log.iter().any(|line| line == "after"));
    let shown = site.ctl(&["logs", "a", "-n", "100"]).ok();
    assert!(shown.stdout.contains("after"));
}

/// The unfinished last line of a program that dies is logged without waiting for its line end.
#[test]
fn an_unfinished_last_line_is_not_lost() {
    let mut site = Site::new();
    site.child(
        "a",
        &["print-part=panic: no end", "exit=2"],
        "[restart]\npolicy = 'never'",
    );
    site.start_ready();
    site.wait_state("a", "failed");
    site.wait_log("a", |line| line.contains("panic: no end"));
}

/// Behaviour 42: the pipe keeps what is written while the control process is being replaced.
#[test]
fn b42_the_log_goes_on_over_a_new_control_process_and_a_new_run() {
    let mut site = Site::new();
    let go = site.file("go");
    site.child(
        "a",
        &[
            "print=one",
            &format!("wait-file={go}"),
            "print=two",
            "sleep",
        ],
        "",
    );
    site.start_ready();
    site.wait_log("a", |line| line == "one");
    kill(site.control_pid(), Signal::SIGKILL);
    fs::write(go, "").unwrap();
    site.wait_log("a", |line| line == "two");
    site.ctl(&["restart", "a"]).ok();
    eventually("the new run writes too", || {
        (site.log("a").iter().filter(|line| *line == "one").count() == 2).then_some(())
    });
}

/// Lines carry a stamp in UTC with microseconds, and both streams come in order.
#[test]
fn lines_are_stamped_and_both_streams_keep_their_order() {
    let mut site = Site::new();
    site.child(
        "a",
        &["print=1", "err=2", "print=3", "err=4", "print=5", "sleep"],
        "",
    );
    site.start_ready();
    site.wait_log("a", |line| line == "5");
    let raw = lines(&site.log_dir("a").join("current"));
    let order: Vec<&str> = texts(&raw);
    let position = |text: &str| order.iter().position(|line| *line == text);
    let places: Vec<_> = ["1", "2", "3", "4", "5"]
        .map(position)
        .into_iter()
        .flatten()
        .collect();
    assert!(places.len() == 5 && places.is_sorted(), "{order:?}");
    let (stamp, _) = raw[places[0]].split_once(' ').unwrap();
    assert_eq!(stamp.len(), "2026-11-22T12:00:00.000001Z".len(), "{stamp}");
    assert!(stamp.ends_with('Z') && stamp.contains('T'), "{stamp}");
}

/// `ctl logs` merges several services by time, and `-n` counts for each.
#[test]
fn ctl_logs_shows_several_services() {
    let mut site = Site::new();
    site.child("a", &["print=from a", "sleep"], "");
    site.child("b", &["print=earlier", "print=from b", "sleep"], "");
    site.start_ready();
    site.wait_log("a", |line| line == "from a");
    site.wait_log("b", |line| line == "from b");
    let shown = site.ctl(&["logs", "a", "b", "-n", "1"]).ok().stdout;
    assert!(
        shown.contains("from a") && shown.contains("from b"),
        "{shown}"
    );
    assert!(!shown.contains("earlier"), "{shown}");
}

/// Escape sequences in a log are shown to its reader, not executed by the terminal.
#[test]
fn escapes_in_a_log_are_shown_not_executed() {
    let mut site = Site::new();
    site.child("a", &["print-hex=1b5b324a6861636b65640a", "sleep"], "");
    site.start_ready();
    site.wait_log("a", |line| line.contains("hacked"));
    let shown = site.ctl(&["logs", "a"]).ok().stdout;
    assert!(shown.contains("hacked"));
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

/// An unprivileged service can reopen `/dev/stdout`, as nginx does.
#[test]
fn dev_stdout_can_be_reopened() {
    let mut site = Site::new();
    let user = if nix::unistd::geteuid().is_root() {
        "user = 'nobody'\n"
    } else {
        ""
    };
    let shell = "echo reopened > /dev/stdout && echo told > /dev/stderr";
    site.service(
        "a",
        &format!(
            r#"
                command = ["/bin/sh", "-c", "{shell}"]
                type = "oneshot"
                {user}
            "#
        ),
    );
    site.start_ready();
    assert_eq!(site.status().state("a"), "completed", "{:?}", site.log("a"));
    site.wait_log("a", |line| line == "reopened");
    site.wait_log("a", |line| line == "told");
}

/// On a full disk status and why say that lines of the log are lost, also under a new control
/// process, and stop saying so once lines are written again.
#[test]
fn lines_that_are_lost_are_told_in_status_and_why() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to mount a small disk");
    }
    let mut site = Site::new();
    let logs = site.path("var/log");
    let disk = Disk::mount(&logs, "256k");
    let wait = |name: &str| format!("wait-file={}", site.file(name));
    let (lose, write) = (wait("lose"), wait("write"));
    let verbs = [
        "print=one",
        &lose,
        "flood=100:100",
        &write,
        "print=three",
        "sleep",
    ];
    site.child("a", &verbs, "");
    site.start_ready();
    site.wait_log("a", |line| line == "one");
    assert_eq!(site.status().service("a").reason, None);
    disk.fill();
    fs::write(site.path("lose"), "").unwrap();
    let said = "its log has lost lines that could not be written, at least ";
    let told = |status: &mattervisor_tests::StatusReply| {
        let reason = status.service("a").reason.as_ref();
        reason.is_some_and(|it| it.starts_with(said) && it.contains(": No space left"))
    };
    site.wait_for("status tells of it", told);
    let why = site.ctl(&["why", "a"]).ok().stdout;
    assert!(why.contains(said), "{why}");
    kill(site.control_pid(), Signal::SIGKILL);
    site.wait_for("a new control process tells of it", told);
    disk.clear();
    fs::write(site.path("write"), "").unwrap();
    site.wait_for("nothing is wrong any more", |status| {
        status.service("a").reason.is_none()
    });
    let lines = site.log("a");
    let mark = |line: &String| line.starts_with("[mattervisor] ") && line.contains("are lost");
    assert!(lines.iter().any(mark), "{lines:?}");
    drop(site);
    drop(disk);
}
