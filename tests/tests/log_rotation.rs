//! Rotation of log files by size and by age, and their compression by a separate process.

use std::{fs, path::Path};

use mattervisor_tests::{
    Site, StatusExt, alive, binary, children, command_line, eventually, kill, status_field,
};
use nix::sys::signal::Signal;

/// Suffixes of file names.
const ZST: &str = ".zst";
const LOG: &str = ".log";
const TMP: &str = ".tmp";
const DELAY: &str = "MATTERVISOR_COMPRESS_DELAY_MS";

/// Names in a log directory, oldest first, `current` last.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn compressed(directory: &Path) -> usize {
    let names = names(directory);
    names.iter().filter(|name| name.ends_with(ZST)).count()
}

/// Texts of all lines of a service, also those of compressed files, oldest first.
fn all_texts(directory: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for name in names(directory) {
        let bytes = fs::read(directory.join(&name)).unwrap();
        let bytes = if name.ends_with(ZST) {
            zstd::decode_all(bytes.as_slice()).unwrap()
        } else {
            bytes
        };
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{name} is torn");
        texts.extend(
            text.lines()
                .map(|line| line.split_once(' ').unwrap().1.to_owned()),
        );
    }
    texts
}

#[track_caller]
fn assert_flood(texts: &[String], lines: usize, length: usize) {
    let flood: Vec<&String> = texts
        .iter()
        .filter(|text| text.starts_with("flood "))
        .collect();
    assert_eq!(flood.len(), lines);
    for (number, text) in flood.iter().enumerate() {
        assert!(
            text.contains(&format!(" {number:010} ")),
            "line {number} is {text}"
        );
        assert_eq!(text.len(), length, "{text}");
    }
}

/// Behaviour 44 under rotation by size and by age at once, while older files are being compressed.
#[test]
fn b44_lines_are_once_and_whole_under_rotation_by_age_and_compression() {
    const LINES: usize = 20_000;
    let mut site = Site::new();
    site.env(DELAY, "10");
    let flood = format!("flood={LINES}:150");
    let verbs = [flood.as_str(), "print=flooded", "sleep"];
    let log = r#"
        [log]
        size = "300K"
        keep = 1000
        age = "20ms"
    "#;
    site.child("a", &verbs, log);
    site.start_ready();
    site.wait_log("a", |line| line == "flooded");
    let directory = site.log_dir("a");
    eventually("all but the newest rotated file are compressed", || {
        let names = names(&directory);
        let plain = names.iter().filter(|name| name.ends_with(LOG)).count();
        (plain == 1 && compressed(&directory) >= 5 && !names.iter().any(|it| it.ends_with(TMP)))
            .then_some(())
    });
    assert_flood(&all_texts(&directory), LINES, 150);
}

/// The keeper starts the compressor, so it works while the control process does not; it runs at the
/// lowest priority, and the keeper reaps it.
#[test]
fn files_are_compressed_at_the_lowest_priority_and_without_control() {
    let mut site = Site::new();
    site.env(DELAY, "10");
    let go = site.file("go");
    let verbs = [
        &format!("wait-file={go}"),
        "flood=200000:150",
        "print=flooded",
        "sleep",
    ];
    site.child(
        "a",
        &verbs,
        r#"
            [log]
            size = "10M"
            keep = 1000
        "#,
    );
    site.start_ready();
    let control = site.control_pid();
    let keeper = site.keeper_pid();
    kill(control, Signal::SIGSTOP);
    fs::write(go, "").unwrap();
    let directory = site.log_dir("a");
    let mut nice = None;
    eventually("a rotated file is compressed", || {
        let running = children(keeper)
            .into_iter()
            .find(|pid| command_line(*pid).contains("compress --rotated-for-ms"));
        // The nice value is field 19, counted from the end of the name, which may contain anything.
        let stat = running.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        let field = stat.and_then(|stat| {
            let (_, rest) = stat.rsplit_once(") ")?;
            rest.split(' ').nth(16).map(str::to_owned)
        });
        nice = field.or(nice.take());
        (compressed(&directory) >= 1).then_some(())
    });
    kill(control, Signal::SIGCONT);
    if let Some(nice) = nice {
        assert_eq!(nice, "19");
    }
    eventually("the compressor has been reaped", || {
        let left = children(keeper).into_iter();
        (left
            .filter(|pid| status_field(*pid, "Name").as_deref() == Some("mattervisord"))
            .count()
            == 1)
            .then_some(())
    });
    assert!(alive(control));
    assert_eq!(site.stop(), 0);
}

/// A file that cannot be compressed stays, is reported once, and keeps no other file from being
/// compressed.
#[test]
fn a_failure_to_compress_is_told_once_and_harms_nothing() {
    let mut site = Site::new();
    site.env(DELAY, "10");
    let directory = site.log_dir("a");
    fs::create_dir_all(&directory).unwrap();
    let old = directory.join("2026-01-01T00-00-00.000000Z.log");
    fs::write(&old, "2026-01-01T00:00:00.000000Z old\n").unwrap();
    // A directory, which no rename replaces, lies in the place of the compressed file.
    let name = "2026-01-01T00-00-00.000000Z.log.zst";
    fs::create_dir_all(directory.join(name).join("in the way")).unwrap();
    site.child(
        "a",
        &["flood=1000:150", "print=flooded", "sleep"],
        r#"
            [log]
            size = "20K"
            keep = 1000
        "#,
    );
    site.start_ready();
    let told = "rotated files could not be compressed and stay as they are: is a directory";
    let all = || all_texts_of_files(&directory);
    eventually("the failure is told in the log", || {
        all().iter().any(|line| line.contains(told)).then_some(())
    });
    site.ctl(&["restart", "a"]).ok();
    eventually("the second flood is compressed", || {
        (compressed(&directory) >= 8).then_some(())
    });
    assert!(old.exists());
    // A file that is replaced while the directory is being read would be missed.
    let lines = eventually("no file comes or goes while all are read", || {
        let before = names(&directory);
        let lines = all();
        (names(&directory) == before).then_some(lines)
    });
    let count = lines.iter().filter(|line| line.contains(told)).count();
    assert_eq!(count, 1, "it is told once");
}

/// Like [`all_texts`], but with stamps, and without entries that are no file.
fn all_texts_of_files(directory: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for name in names(directory) {
        let Ok(bytes) = fs::read(directory.join(&name)) else {
            continue;
        };
        let text = if name.ends_with(ZST) {
            zstd::decode_all(bytes.as_slice()).unwrap_or_default()
        } else {
            bytes
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        texts.extend(text.lines().map(str::to_owned));
    }
    texts
}

/// Behaviour 43: a service that writes its own log into its own log repeats it without end, and
/// blocks neither itself nor another service.
#[test]
fn b43_a_service_that_logs_its_own_log_does_not_deadlock() {
    let mut site = Site::new();
    let (ctl, root) = (binary("ctl"), site.root().display().to_string());
    site.service(
        "a",
        &format!(
            r#"
                command = ["{}", "--root", "{root}", "logs", "-f", "a"]
                [log]
                size = "50K"
                keep = 2
            "#,
            ctl.display()
        ),
    );
    site.child("b", &["print=here", "sleep"], "");
    site.start_ready();
    // The test writes the first line, which the service then repeats.
    let directory = site.log_dir("a");
    // The log thread makes the file asynchronously.
    let mut current = eventually("the log is there", || {
        let mut append = fs::OpenOptions::new();
        append.append(true).open(directory.join("current")).ok()
    });
    std::io::Write::write_all(&mut current, b"2026-01-01T00:00:00.000000Z first\n").unwrap();
    eventually("its log feeds on itself until it is rotated", || {
        names(&directory)
            .iter()
            .any(|name| name.ends_with(LOG))
            .then_some(())
    });
    assert_eq!(site.status().state("a"), "running");
    site.wait_log("b", |line| line == "here");
    site.ctl(&["stop", "a"]).ok();
    assert_eq!(site.status().state("b"), "running");
    assert!(names(&directory).len() <= 3);
    assert_eq!(site.stop(), 0);
}
