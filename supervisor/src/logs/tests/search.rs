//! Searches by time and by pattern, over plain, rotated and compressed files.

use super::*;

const MINUTE: &str = "2026-11-22T23:";

/// One line per second, from 23:00:00 on.
fn lines(seconds: std::ops::Range<usize>) -> String {
    seconds.map(|n| format!("{}line {n}\n", stamp(n))).collect()
}

fn stamp(second: usize) -> String {
    format!("{MINUTE}{:02}:{:02}.000000Z ", second / 60, second % 60)
}

/// Name of the file that was rotated in this second.
fn name(second: usize) -> String {
    format!(
        "2026-11-22T23-{:02}-{:02}.500000Z.log",
        second / 60,
        second % 60
    )
}

fn pack(path: &Path) {
    let text = fs::read(path).unwrap();
    let packed = path.with_extension("log.zst");
    fs::write(packed, zstd::encode_all(&text[..], 3).unwrap()).unwrap();
    fs::remove_file(path).unwrap();
}

/// 3600 lines: 900 each in two compressed files, in a plain one and in `current`.
fn hour() -> TempDir {
    let tmp = TempDir::new().unwrap();
    for end in [900, 1800, 2700] {
        let path = tmp.path().join(name(end - 1));
        fs::write(&path, lines(end - 900..end)).unwrap();
        if end < 2700 {
            pack(&path);
        }
    }
    fs::write(tmp.path().join(CURRENT), lines(2700..3600)).unwrap();
    tmp
}

fn search(dir: &Path, n: Option<usize>, since: &str, until: &str, grep: &str) -> Query {
    let some = |text: &'static str| (!text.is_empty()).then_some(text);
    let leak = |text: &str| some(String::leak(text.to_owned()));
    let filter = Filter::new(leak(since), leak(until), leak(grep), false).unwrap();
    Query {
        lines: n,
        filter: filter.into(),
        ..query(&[("s", dir)], 0, false)
    }
}

async fn numbers(query: Query) -> Vec<usize> {
    let lines = all(serve(query).await).await;
    let number = |line: &String| line.strip_prefix("s:line ").unwrap().parse().unwrap();
    lines.iter().map(number).collect()
}

#[tokio::test]
async fn ranges_begin_and_end_in_any_file() {
    let tmp = hour();
    let dir = tmp.path();
    for (from, to) in [
        (0, 3600),
        (100, 101),
        (899, 902),
        (1000, 2000),
        (1799, 2800),
        (2699, 2701),
        (3599, 3600),
        (3000, 3000),
    ] {
        let at = |second: usize| stamp(second).trim_end().to_owned();
        let until = if to == 3600 { String::new() } else { at(to) };
        let got = numbers(search(dir, None, &at(from), &until, "")).await;
        assert_eq!(got, (from..to).collect::<Vec<_>>(), "{from}..{to}");
        let got = numbers(search(dir, Some(7), &at(from), &until, "")).await;
        let last = to.saturating_sub(7).max(from);
        assert_eq!(got, (last..to).collect::<Vec<_>>(), "last of {from}..{to}");
    }
    let after = numbers(search(dir, None, "2027-01-01T00:00:00Z", "", "")).await;
    assert!(after.is_empty(), "{after:?}");
    let before = numbers(search(dir, None, "", "2026-01-01T00:00:00Z", "")).await;
    assert!(before.is_empty(), "{before:?}");
}

#[tokio::test]
async fn the_last_that_match_are_found_in_any_file() {
    let tmp = hour();
    let dir = tmp.path();
    let matching: Vec<usize> = (0..3600).filter(|n| n % 100 == 99).collect();
    for pattern in ["99$", "[9]9$", r"line \d*99$"] {
        assert_eq!(numbers(search(dir, None, "", "", pattern)).await, matching);
        for n in [0, 1, 5, 9, 10, 18, 20, 35, 36, 100] {
            let wanted = &matching[matching.len().saturating_sub(n)..];
            let got = numbers(search(dir, Some(n), "", "", pattern)).await;
            assert_eq!(got, wanted, "{pattern} {n}");
        }
    }
    let until = stamp(1750);
    let got = numbers(search(dir, Some(3), "", until.trim_end(), "99$")).await;
    assert_eq!(got, [1499, 1599, 1699]);
    assert!(
        numbers(search(dir, Some(3), "", "", "nothing like it"))
            .await
            .is_empty()
    );
}

#[test]
fn a_range_at_the_end_of_a_large_file_is_found_without_reading_it() {
    let tmp = TempDir::new().unwrap();
    let path = tmp.path().join(CURRENT);
    let file = File::create(&path).unwrap();
    // Ten gigabytes of a sparse file: a backward read would take seconds and find no line end.
    let begin: u64 = 10 << 30;
    let head = lines(0..10);
    std::os::unix::fs::FileExt::write_all_at(&file, head.as_bytes(), 0).unwrap();
    let text: String = (0..40_000).map(|n| lines(n % 3600..n % 3600 + 1)).collect();
    std::os::unix::fs::FileExt::write_all_at(&file, format!("\n{text}").as_bytes(), begin).unwrap();
    let filter = Arc::new(Filter::new(None, None, None, false).unwrap());
    let origin = Origin::Log(tmp.path().to_owned());
    let mut seek = Seek::new(origin, Some(5), &filter).unwrap();
    let mut budget = 1 << 20;
    assert!(seek.step(&filter, &mut budget).is_some());
    assert!(budget > 0);
}

#[test]
fn a_search_stops_when_its_turn_is_over_and_goes_on() {
    let tmp = TempDir::new().unwrap();
    let text: String = (0..200_000)
        .map(|n| format!("{}line {n}\n", stamp(n % 3600)))
        .collect();
    fs::write(tmp.path().join(CURRENT), &text).unwrap();
    let filter = Arc::new(Filter::new(None, None, Some("line 5$"), false).unwrap());
    let origin = Origin::Log(tmp.path().to_owned());
    for lines in [Some(1), None] {
        let seek = Seek::new(origin.clone(), lines, &filter).unwrap();
        let mut source = Source::seeking("s".into(), seek, origin.clone(), Arc::clone(&filter), 1);
        let mut turns = 0;
        let line = loop {
            let mut budget = 1 << 20;
            match source.fill(&mut budget) {
                Filled::Busy => turns += 1,
                Filled::Head => break source.head.take().unwrap(),
                Filled::Idle => panic!("not found"),
            }
        };
        assert_eq!(line.text, "line 5");
        // A backward search reads the whole file, a forward search next to nothing.
        assert_eq!(
            turns >= text.len() / (2 << 20),
            lines.is_some(),
            "{turns} turns"
        );
    }
}

#[tokio::test]
async fn a_search_through_much_does_not_hold_up_one_who_follows() {
    let tmp = TempDir::new().unwrap();
    let (large, small) = (tmp.path().join("large"), tmp.path().join("small"));
    let text = "x".repeat(99) + "\n";
    log(&large, &[&text.repeat(1_000_000)]);
    log(&small, &[""]);
    let mut follower = serve(query(&[("small", &small)], 0, true)).await;
    assert!(
        all(serve(query(&[("small", &small)], 0, false)).await)
            .await
            .is_empty()
    );
    let mut searches = Vec::new();
    for _ in 0..4 {
        searches.push(serve(search(&large, None, "", "", "[y]+z")).await);
    }
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(small.join(CURRENT))
        .unwrap();
    writeln!(file, "{STAMP}1.000000Z in between").unwrap();
    assert_eq!(next(&mut follower).await.unwrap().text, "in between");
    let over = |it: &mut mpsc::Receiver<LogLine>| {
        matches!(it.try_recv(), Err(mpsc::error::TryRecvError::Disconnected))
    };
    let under_way = searches.iter_mut().map(over).filter(|over| !over).count();
    assert!(under_way > 0, "the searches were over before the line came");
}

#[tokio::test]
async fn broken_compressed_files_are_shown_as_far_as_they_go() {
    let tmp = hour();
    let first = tmp.path().join(format!("{}.zst", name(899)));
    let bytes = fs::read(&first).unwrap();
    for (what, bytes) in [
        ("cut", &bytes[..bytes.len() / 2]),
        ("garbage", &b"garbage"[..]),
        ("empty", &[]),
    ] {
        fs::write(&first, bytes).unwrap();
        let lines =
            all(serve(search(tmp.path(), None, "2026-11-22T23:00:00Z", "", "")).await).await;
        let broken = lines
            .iter()
            .filter(|line| line.contains("cannot be read to its end"))
            .count();
        assert_eq!(broken, 1, "{what}");
        assert!(lines.contains(&"s:line 900".to_owned()), "{what}");
        assert_eq!(lines.last().unwrap(), "s:line 3599", "{what}");
        let last = numbers(search(tmp.path(), Some(2000), "", "", "")).await;
        assert_eq!(last, (1600..3600).collect::<Vec<_>>(), "{what}");
    }
}

#[tokio::test]
async fn more_compressed_files_at_a_time_than_decoders() {
    let tmp = TempDir::new().unwrap();
    let dirs: Vec<_> = (0..40)
        .map(|n| (format!("s{n}"), tmp.path().join(n.to_string())))
        .collect();
    for (_, dir) in &dirs {
        log(dir, &[&lines(0..50)]);
        fs::rename(dir.join(CURRENT), dir.join(name(49))).unwrap();
        pack(&dir.join(name(49)));
    }
    let services: Vec<(&str, &Path)> = dirs
        .iter()
        .map(|(name, dir)| (name.as_str(), dir.as_path()))
        .collect();
    let merged = all(serve(query(&services, 50, false)).await).await;
    assert_eq!(merged.len(), 40 * 50);
    for (n, line) in merged.iter().enumerate() {
        assert!(line.ends_with(&format!(":line {}", n / 40)), "{n}: {line}");
    }
}

#[tokio::test]
async fn files_that_go_or_are_compressed_while_they_are_read_are_no_error() {
    let tmp = hour();
    let all_of = |query| async move { all(serve(query).await).await };
    let origin = Origin::Log(tmp.path().to_owned());
    let filter = Arc::new(Filter::default());
    let seek = Seek::new(origin.clone(), None, &filter).unwrap();
    let mut source = Source::seeking("s".into(), seek, origin, filter, usize::MAX);
    let plain = tmp.path().join(name(2699));
    for n in 0..1850 {
        assert_eq!(next_of(&mut source).unwrap().text, format!("line {n}"));
    }
    // The source has the file open as a plain file and continues in the compressed one; then
    // `current` is rotated too.
    pack(&plain);
    for n in 1850..2750 {
        assert_eq!(next_of(&mut source).unwrap().text, format!("line {n}"));
    }
    fs::rename(tmp.path().join(CURRENT), tmp.path().join(name(3599))).unwrap();
    pack(&tmp.path().join(name(3599)));
    fs::write(tmp.path().join(CURRENT), lines(3600..3601)).unwrap();
    for n in 2750..3601 {
        assert_eq!(next_of(&mut source).unwrap().text, format!("line {n}"));
    }
    assert_eq!(next_of(&mut source), None);
    fs::remove_file(tmp.path().join(format!("{}.zst", name(899)))).unwrap();
    assert_eq!(
        all_of(query(&[("s", tmp.path())], 4000, false)).await.len(),
        2701
    );
}
