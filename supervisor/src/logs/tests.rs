//! Log queries against the keeper's real log thread, which writes and rotates.
#![expect(
    clippy::format_collect,
    reason = "a test may build its text the short way"
)]

use std::{
    fs::{self, File},
    io::{PipeWriter, Write, pipe},
    time::Duration,
};

use keeper::log::{CURRENT, Handle, LogThread, Spec};
use tempfile::TempDir;
use tokio::time::timeout;

use super::{cursor::Line, *};

const STAMP: &str = "2026-11-22T23:04:0";

fn query(services: &[(&str, &Path)], lines: usize, follow: bool) -> Query {
    let places = services.iter().map(|(name, dir)| LogPlace {
        service: (*name).to_owned(),
        dir: dir.to_path_buf(),
        files: Vec::new(),
    });
    Query {
        places: places.collect(),
        files: false,
        lines: Some(lines),
        follow,
        filter: Arc::default(),
        after: After::default(),
    }
}

/// Waits for a free seat: tests of one process share the seats, and a client that leaves keeps its
/// seat until the reader notices.
async fn serve(query: Query) -> mpsc::Receiver<LogLine> {
    let seated = async {
        loop {
            match super::serve(query.clone()) {
                Ok(stream) => return stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let seated = timeout(Duration::from_secs(20), seated).await;
    seated.expect("a seat within 20 s")
}

/// A source of the last lines, with a cursor before them.
fn tail(dir: &Path, lines: usize) -> Source {
    let origin = Origin::Log(dir.to_owned());
    let filter = Arc::new(Filter::default());
    let seek = Seek::new(origin.clone(), Some(lines), &filter).unwrap();
    Source::seeking("s".into(), seek, origin, filter, usize::MAX)
}

fn next_of(source: &mut Source) -> Option<Line> {
    let mut budget = usize::MAX;
    source.fill(&mut budget);
    source.head.take()
}

fn last_lines(dir: &Path, n: usize) -> Vec<(String, String)> {
    let lines = super::last_lines("s", dir, n, None).into_iter();
    lines.map(|line| (line.at, line.text)).collect()
}

/// Makes a log by hand: a rotated file for each text but the last, which becomes `current`.
fn log(dir: &Path, files: &[&str]) {
    fs::create_dir_all(dir).unwrap();
    let (current, rotated) = files.split_last().unwrap();
    for (n, text) in rotated.iter().enumerate() {
        fs::write(dir.join(format!("2026-11-22T23-00-0{n}.000000Z.log")), text).unwrap();
    }
    fs::write(dir.join(CURRENT), current).unwrap();
}

fn texts(lines: &[(String, String)]) -> Vec<&str> {
    lines.iter().map(|(_, text)| text.as_str()).collect()
}

async fn next(stream: &mut mpsc::Receiver<LogLine>) -> Option<LogLine> {
    timeout(Duration::from_secs(20), stream.recv())
        .await
        .expect("a line within 20 s")
}

mod program_files;
mod resume;
mod search;

async fn all(mut stream: mpsc::Receiver<LogLine>) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = next(&mut stream).await {
        lines.push(format!("{}:{}", line.service, line.text));
    }
    lines
}

fn keeper(dir: &Path, size_bytes: u64) -> (Handle, PipeWriter) {
    let handle = LogThread::start().unwrap();
    let (reader, writer) = pipe().unwrap();
    handle.open(
        "s",
        Spec {
            dir: dir.to_owned(),
            size_bytes,
            keep: 10_000,
            age_ms: None,
            compress: false,
            forward: None,
        },
        reader.into(),
    );
    (handle, writer)
}

#[test]
fn last_lines_reach_back_over_rotated_files() {
    let tmp = TempDir::new().unwrap();
    let lines = |range: std::ops::Range<u32>| {
        range
            .map(|n| format!("{STAMP}0.000000Z line {n}\n"))
            .collect::<String>()
    };
    log(tmp.path(), &[&lines(0..3), &lines(3..6), &lines(6..8)]);
    assert_eq!(texts(&last_lines(tmp.path(), 0)), [""; 0]);
    assert_eq!(texts(&last_lines(tmp.path(), 1)), ["line 7"]);
    assert_eq!(texts(&last_lines(tmp.path(), 2)), ["line 6", "line 7"]);
    assert_eq!(
        texts(&last_lines(tmp.path(), 3)),
        ["line 5", "line 6", "line 7"]
    );
    assert_eq!(texts(&last_lines(tmp.path(), 6))[0], "line 2");
    assert_eq!(last_lines(tmp.path(), 100).len(), 8);
    assert_eq!(last_lines(tmp.path(), 1)[0].0, format!("{STAMP}0.000000Z"));
    assert!(last_lines(&tmp.path().join("missing"), 5).is_empty());
}

#[test]
fn last_lines_of_a_large_file_are_found_across_blocks() {
    let tmp = TempDir::new().unwrap();
    let text: String = (0..5000)
        .map(|n| format!("{STAMP}1.000000Z {n} {}\n", "x".repeat(n % 500)))
        .collect();
    log(tmp.path(), &["", &text]);
    let lines = last_lines(tmp.path(), 4321);
    assert_eq!(lines.len(), 4321);
    for (line, n) in lines.iter().zip(679..) {
        assert_eq!(line.1, format!("{n} {}", "x".repeat(n % 500)));
    }
}

#[test]
fn line_without_a_stamp_is_shown_whole_and_a_marker_is_known() {
    let tmp = TempDir::new().unwrap();
    log(
        tmp.path(),
        &[&format!(
            "by hand\n{STAMP}1.000000Z [mattervisor] 3 lines lost\n"
        )],
    );
    let mut cursor = tail(tmp.path(), 2);
    let by_hand = next_of(&mut cursor).unwrap();
    assert_eq!(
        (by_hand.at.as_str(), by_hand.text.as_str(), by_hand.marker),
        ("", "by hand", false)
    );
    assert!(next_of(&mut cursor).unwrap().marker);
    assert_eq!(next_of(&mut cursor), None);
}

#[tokio::test]
async fn services_are_merged_by_time_and_the_stream_ends() {
    let tmp = TempDir::new().unwrap();
    let (a, b) = (tmp.path().join("a"), tmp.path().join("b"));
    log(
        &a,
        &[
            &format!("{STAMP}1.0Z 0\n"),
            &format!("{STAMP}1.000000Z 1\n{STAMP}4.000000Z 4\n"),
        ],
    );
    log(
        &b,
        &[&format!(
            "{STAMP}2.000000Z 2\n{STAMP}3.000000Z 3\n{STAMP}5.000000Z 5\n"
        )],
    );
    let merged = all(serve(query(&[("a", &a), ("b", &b)], 2, false)).await).await;
    assert_eq!(merged, ["a:1", "b:3", "a:4", "b:5"]);
    let merged = all(serve(query(&[("b", &b), ("a", &a)], 0, false)).await).await;
    assert_eq!(merged, [""; 0]);
}

#[tokio::test]
async fn follow_over_rotation_shows_every_line_once() {
    const LINES: usize = 20_000;
    let tmp = TempDir::new().unwrap();
    let dir = tmp.path().join("s");
    let (handle, mut writer) = keeper(&dir, 5000);
    // The directory need not exist yet, and more lines come than the channel holds.
    let mut stream = serve(query(&[("s", &dir)], 10, true)).await;
    let scribe = std::thread::spawn(move || {
        for n in 0..LINES {
            writeln!(writer, "line {n}").unwrap();
        }
        handle.stop();
    });
    let first = next(&mut stream).await.unwrap().text;
    let first: usize = first.strip_prefix("line ").unwrap().parse().unwrap();
    for n in first + 1..LINES {
        assert_eq!(next(&mut stream).await.unwrap().text, format!("line {n}"));
    }
    scribe.join().unwrap();
    assert!(fs::read_dir(&dir).unwrap().count() > 50);
    assert!(stream.try_recv().is_err());
}

#[tokio::test]
async fn follow_begins_before_the_directory_and_survives_its_loss() {
    let tmp = TempDir::new().unwrap();
    let dir = tmp.path().join("not/there/yet");
    let mut stream = serve(query(&[("s", &dir)], 10, true)).await;
    for round in 0..3 {
        fs::create_dir_all(&dir).unwrap();
        let mut file = File::create(dir.join(CURRENT)).unwrap();
        for n in 0..3 {
            let text = format!("{round} {n}");
            writeln!(file, "{STAMP}{n}.000000Z {text}").unwrap();
            let line = next(&mut stream).await.unwrap();
            assert_eq!(line.text, text);
        }
        fs::remove_dir_all(tmp.path().join("not")).unwrap();
    }
}

#[tokio::test]
async fn follow_survives_deletion_of_current() {
    let tmp = TempDir::new().unwrap();
    let (handle, mut writer) = keeper(tmp.path(), 0);
    let mut stream = serve(query(&[("s", tmp.path())], 0, true)).await;
    // The end of this stream shows that the earlier one has begun.
    assert!(
        all(serve(query(&[("s", tmp.path())], 0, false)).await)
            .await
            .is_empty()
    );
    for n in 0..12 {
        writeln!(writer, "line {n}").unwrap();
        assert_eq!(next(&mut stream).await.unwrap().text, format!("line {n}"));
        if n % 2 == 0 {
            fs::remove_file(tmp.path().join(CURRENT)).unwrap();
        }
    }
    handle.stop();
}

#[test]
fn emptied_current_is_read_from_its_beginning() {
    let tmp = TempDir::new().unwrap();
    let line = format!("{STAMP}1.000000Z again\n");
    log(tmp.path(), &[&line]);
    let mut cursor = tail(tmp.path(), 1);
    assert_eq!(next_of(&mut cursor).unwrap().text, "again");
    File::create(tmp.path().join(CURRENT)).unwrap();
    assert_eq!(next_of(&mut cursor), None);
    fs::write(tmp.path().join(CURRENT), &line).unwrap();
    assert_eq!(next_of(&mut cursor).unwrap().text, "again");
}

#[tokio::test]
async fn slow_client_gets_all_lines_later() {
    let tmp = TempDir::new().unwrap();
    let lines = QUEUE_LINES * 20;
    let text: String = (0..lines)
        .map(|n| format!("{STAMP}1.000000Z {n}\n"))
        .collect();
    log(tmp.path(), &[&text]);
    let mut slow = serve(query(&[("s", tmp.path())], usize::MAX, true)).await;
    // The channel of the slow client is full, and another client is served meanwhile.
    let other = all(serve(query(&[("s", tmp.path())], 3, false)).await).await;
    assert_eq!(other.len(), 3);
    for n in 0..lines {
        assert_eq!(next(&mut slow).await.unwrap().text, n.to_string());
    }
}

#[tokio::test]
async fn files_gone_before_they_were_read_are_told() {
    let tmp = TempDir::new().unwrap();
    let one = |n: u32| format!("{STAMP}1.000000Z {n}\n");
    log(tmp.path(), &[&one(1), &one(2), &one(3), &one(4)]);
    let mut cursor = tail(tmp.path(), 4);
    assert_eq!(next_of(&mut cursor).unwrap().text, "1");
    for n in 0..2 {
        fs::remove_file(
            tmp.path()
                .join(format!("2026-11-22T23-00-0{n}.000000Z.log")),
        )
        .unwrap();
    }
    let gap = next_of(&mut cursor).unwrap();
    assert!(gap.marker && gap.text.contains("missing"), "{gap:?}");
    assert_eq!(next_of(&mut cursor).unwrap().text, "3");
    assert_eq!(next_of(&mut cursor).unwrap().text, "4");
    assert_eq!(next_of(&mut cursor), None);
}

#[tokio::test]
async fn client_that_leaves_is_forgotten_at_once() {
    let tmp = TempDir::new().unwrap();
    log(tmp.path(), &[""]);
    // Many clients leave silently, and none keeps its seat.
    for _ in 0..3 * CLIENTS_MAX {
        drop(serve(query(&[("s", tmp.path())], 0, true)).await);
    }
    let mut stream = serve(query(&[("s", tmp.path())], 0, true)).await;
    // The reader takes clients in order of arrival, so an answer to the second shows that the first
    // is being read.
    assert!(
        all(serve(query(&[("s", tmp.path())], 0, false)).await)
            .await
            .is_empty()
    );
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(tmp.path().join(CURRENT))
        .unwrap();
    writeln!(file, "{STAMP}1.000000Z still served").unwrap();
    assert_eq!(next(&mut stream).await.unwrap().text, "still served");
}
