//! Resuming after a line that was read before.

use super::*;

fn after(cursor: &str, dir: &Path, follow: bool) -> Query {
    Query {
        lines: None,
        after: After::parse(cursor).unwrap(),
        ..query(&[("s", dir)], 0, follow)
    }
}

#[tokio::test]
async fn after_each_line_the_rest_comes_whatever_became_of_the_files() {
    let tmp = TempDir::new().unwrap();
    // Many lines have equal stamps, and some are equal.
    let text = |range: std::ops::Range<u32>| {
        range
            .map(|n| format!("{STAMP}1.000000Z {}\n", n / 2))
            .collect::<String>()
    };
    log(tmp.path(), &[&text(0..4), &text(4..8), &text(8..12)]);
    let mut stream = serve(query(&[("s", tmp.path())], 100, false)).await;
    let mut lines = Vec::new();
    while let Some(line) = next(&mut stream).await {
        lines.push(line);
    }
    assert_eq!(lines.len(), 12);
    for change in 0..3 {
        match change {
            1 => {
                // The log is rotated meanwhile.
                let name = "2026-11-22T23-30-00.000000Z.log";
                fs::rename(tmp.path().join(CURRENT), tmp.path().join(name)).unwrap();
                fs::write(tmp.path().join(CURRENT), "").unwrap();
            }
            2 => {
                // The rotated files are compressed too.
                for n in ["00-00", "00-01", "30-00"] {
                    let path = tmp.path().join(format!("2026-11-22T23-{n}.000000Z.log"));
                    let packed = zstd::encode_all(&fs::read(&path).unwrap()[..], 3).unwrap();
                    fs::write(path.with_extension("log.zst"), packed).unwrap();
                    fs::remove_file(path).unwrap();
                }
            }
            _ => {}
        }
        for (at, line) in lines.iter().enumerate() {
            let rest = all(serve(after(&line.cursor, tmp.path(), false)).await).await;
            let wanted: Vec<String> = lines[at + 1..]
                .iter()
                .map(|line| format!("s:{}", line.text))
                .collect();
            // The stamps are later than the rotation of the first two files, unlike in a real log.
            // So once the files are compressed, only the last is found by its stamp.
            if change < 2 || at >= 8 {
                assert_eq!(rest, wanted, "after line {at}, change {change}");
            }
        }
    }
}

#[tokio::test]
async fn a_line_whose_file_is_gone_leaves_a_marked_gap() {
    let tmp = TempDir::new().unwrap();
    let line = |n: u32| format!("2026-11-22T22:00:0{n}.000000Z {n}\n");
    log(tmp.path(), &[&line(1), &line(2), &line(3)]);
    let mut stream = serve(query(&[("s", tmp.path())], 3, false)).await;
    let first = next(&mut stream).await.unwrap();
    assert_eq!(first.text, "1");
    fs::remove_file(tmp.path().join("2026-11-22T23-00-00.000000Z.log")).unwrap();
    let rest = all(serve(after(&first.cursor, tmp.path(), false)).await).await;
    assert!(rest[0].contains("lines may be missing"), "{rest:?}");
    assert_eq!(rest[1..], ["s:2", "s:3"]);
    // Another file with the same inode is not taken for the lost one either.
    let other = first.cursor.replace('~', "~f");
    let rest = all(serve(after(&other, tmp.path(), false)).await).await;
    assert!(rest[0].contains("lines may be missing"), "{rest:?}");
}

#[tokio::test]
async fn a_reader_that_comes_back_again_and_again_misses_nothing_of_a_flood() {
    const LINES: usize = 20_000;
    let tmp = TempDir::new().unwrap();
    let dir = tmp.path().join("s");
    let (handle, mut writer) = keeper(&dir, 20_000);
    let scribe = std::thread::spawn(move || {
        for n in 0..LINES {
            writeln!(writer, "line {n}").unwrap();
        }
        handle.stop();
    });
    let first = || query(&[("s", &dir)], usize::MAX, true);
    let (mut cursor, mut seen) = (String::new(), 0);
    while seen < LINES {
        let mut stream = serve(if cursor.is_empty() {
            first()
        } else {
            after(&cursor, &dir, true)
        })
        .await;
        for _ in 0..(seen % 700 + 1).min(LINES - seen) {
            let line = next(&mut stream).await.unwrap();
            assert_eq!(line.text, format!("line {seen}"));
            seen += 1;
            cursor = line.cursor;
        }
    }
    scribe.join().unwrap();
}

#[tokio::test]
async fn what_comes_after_a_cursor_is_wanted_whenever_it_was_written() {
    let tmp = TempDir::new().unwrap();
    let text: String = (0..5)
        .map(|n| format!("{STAMP}{n}.000000Z {n}\n"))
        .collect();
    log(tmp.path(), &[&text]);
    let mut stream = serve(query(&[("s", tmp.path())], 5, false)).await;
    let first = next(&mut stream).await.unwrap();
    let filter = Filter::new(Some("2026-11-22T23:04:03Z"), None, None, false).unwrap();
    let query = Query {
        filter: filter.into(),
        ..after(&first.cursor, tmp.path(), false)
    };
    assert_eq!(all(serve(query).await).await, ["s:1", "s:2", "s:3", "s:4"]);
}
