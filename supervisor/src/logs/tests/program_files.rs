//! Log files that programs write themselves.

use std::os::unix::fs::symlink;

use super::*;

fn files(dir: &Path, patterns: &[&str], lines: usize, follow: bool) -> Query {
    let mut query = query(&[("s", &dir.join("none"))], lines, follow);
    query.files = true;
    query.places[0].files = patterns
        .iter()
        .map(|it| dir.join(it).display().to_string())
        .collect();
    query
}

/// The lines of a query, each with the name of its file.
async fn named(query: Query) -> Vec<String> {
    let mut stream = serve(query).await;
    let mut lines = Vec::new();
    while let Some(line) = next(&mut stream).await {
        lines.push(label(&line));
    }
    lines
}

fn label(line: &LogLine) -> String {
    let file = line
        .file
        .as_deref()
        .map_or("", |file| file.rsplit('/').next().unwrap());
    format!("{file}:{}", line.text)
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn files_are_labelled_and_merged_by_the_stamps_that_they_have() {
    let tmp = TempDir::new().unwrap();
    let (a, b) = (tmp.path().join("a.log"), tmp.path().join("b.log"));
    fs::write(&a, "{\"timestamp\":\"2026-11-22 10:00:01.000 Z\",\"msg\":\"a1\"}\n{\"timestamp\":\"2026-11-22 10:00:03.000 Z\",\"msg\":\"a3\"}\n").unwrap();
    fs::write(
        &b,
        "2026-11-22 10:00:00.000 UTC b0\n2026-11-22 10:00:02.000 UTC b2\n\tmore of b2\n",
    )
    .unwrap();
    fs::write(tmp.path().join("b.log.gz"), "packed").unwrap();
    let lines = named(files(tmp.path(), &["*.log*"], 10, false)).await;
    let short: Vec<String> = lines
        .iter()
        .map(|line| line.chars().filter(|c| !"{}\"".contains(*c)).collect())
        .collect();
    assert_eq!(short.len(), 5, "{short:?}");
    for (line, end) in short.iter().zip(["b0", "a1", "b2", "more of b2", "a3"]) {
        assert!(line.contains(end), "{short:?}");
    }
    let mut query = files(tmp.path(), &["*.log"], 10, false);
    query.filter = Filter::new(Some("2026-11-22T10:00:02Z"), None, None, false)
        .unwrap()
        .into();
    assert_eq!(named(query).await.len(), 3);
    let mut query = files(tmp.path(), &["*.log"], 1, false);
    query.filter = Filter::new(None, Some("2026-11-22T10:00:02Z"), None, false)
        .unwrap()
        .into();
    assert_eq!(named(query).await.len(), 2, "the last one of each");
}

#[tokio::test]
async fn only_regular_files_where_the_pattern_says_are_read() {
    let tmp = TempDir::new().unwrap();
    let dir = tmp.path().join("logs");
    fs::create_dir(&dir).unwrap();
    fs::write(tmp.path().join("secret"), "secret\n").unwrap();
    symlink(tmp.path().join("secret"), dir.join("link.log")).unwrap();
    nix::unistd::mkfifo(&dir.join("fifo.log"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    fs::hard_link(tmp.path().join("secret"), dir.join("hard.log")).unwrap();
    fs::create_dir(dir.join("dir.log")).unwrap();
    fs::write(dir.join("plain.log"), "plain\n").unwrap();
    let lines = named(files(&dir, &["*.log"], 10, false)).await;
    assert!(lines.contains(&"plain.log:plain".to_owned()), "{lines:?}");
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("secret\n") || line.ends_with(":secret")),
        "{lines:?}"
    );
    for (name, why) in [
        ("link", "symbolic link"),
        ("fifo", "not a regular"),
        ("hard", "other names"),
    ] {
        let told = |line: &&String| {
            line.contains(&format!("{name}.log is not read")) && line.contains(why)
        };
        assert!(lines.iter().any(|line| told(&line)), "{name}: {lines:?}");
    }
}

#[test]
fn a_link_on_the_way_counts_only_if_it_is_ours_or_roots() {
    let tmp = TempDir::new().unwrap();
    fs::create_dir(tmp.path().join("real")).unwrap();
    fs::write(tmp.path().join("real/a.log"), "a\n").unwrap();
    symlink("real/../real", tmp.path().join("alias")).unwrap();
    let path = tmp.path().join("alias/a.log");
    assert!(super::super::program_files::open(&path).is_ok());
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::lchown(tmp.path().join("alias"), Some(12345), Some(12345)).unwrap();
        let error = super::super::program_files::open(&path)
            .unwrap_err()
            .to_string();
        assert!(error.contains("uid 12345"), "{error}");
    }
    let error = super::super::program_files::open(&tmp.path().join("none/a.log")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn following_goes_over_renaming_truncation_and_new_files() {
    let tmp = TempDir::new().unwrap();
    let a = tmp.path().join("a.log");
    append(&a, "0\n");
    let mut stream = serve(files(tmp.path(), &["*.log"], 10, true)).await;
    let mut expect =
        async |wanted: &str| assert_eq!(label(&next(&mut stream).await.unwrap()), wanted);
    expect("a.log:0").await;
    append(&a, "1\n");
    expect("a.log:1").await;
    // The renamed file still matches the pattern, and the program writes to it until it opens a new
    // one.
    fs::rename(&a, tmp.path().join("a-1.log")).unwrap();
    append(&tmp.path().join("a-1.log"), "2\n");
    append(&a, "3 and more\n");
    expect("a.log:2").await;
    expect("a.log:3 and more").await;
    // The file is truncated in place: only its smaller size shows that.
    File::create(&a).unwrap();
    append(&a, "4\n");
    expect("a.log:4").await;
    append(&tmp.path().join("b.log"), "new\n");
    expect("b.log:new").await;
    append(&a, "5\n");
    expect("a.log:5").await;
}

#[tokio::test]
async fn a_file_that_was_renamed_meanwhile_is_read_to_its_end_first() {
    let tmp = TempDir::new().unwrap();
    let a = tmp.path().join("a.log");
    append(&a, "0\n1\n");
    let mut stream = serve(files(tmp.path(), &["*.log"], 10, true)).await;
    assert_eq!(next(&mut stream).await.unwrap().text, "0");
    let cursor = next(&mut stream).await.unwrap().cursor;
    drop(stream);
    append(&a, "2\n");
    fs::rename(&a, tmp.path().join("a-1.log")).unwrap();
    append(&a, "3\n");
    let mut query = files(tmp.path(), &["*.log"], 10, false);
    query.lines = None;
    query.after = After::parse(&cursor).unwrap();
    assert_eq!(named(query).await, ["a.log:2", "a.log:3"]);
}

/// Links that an account put beside the supervisor's logs while it owned the directory.
#[tokio::test]
async fn a_log_that_is_a_link_or_has_another_name_is_not_shown() {
    let tmp = TempDir::new().unwrap();
    let dir = tmp.path().join("s");
    fs::create_dir(&dir).unwrap();
    let shadow = tmp.path().join("shadow");
    fs::write(&shadow, "root:hash\n").unwrap();
    fs::write(dir.join("current"), "2026-01-01T00:00:03.000000Z ours\n").unwrap();
    symlink(&shadow, dir.join("2026-01-01T00-00-00.000000Z.log")).unwrap();
    fs::hard_link(&shadow, dir.join("2026-01-01T00-00-01.000000Z.log")).unwrap();
    let fifo = dir.join("2026-01-01T00-00-02.000000Z.log");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let mut stream = serve(query(&[("s", &dir)], 10, false)).await;
    let mut texts = Vec::new();
    while let Some(line) = next(&mut stream).await {
        texts.push(line.text);
    }
    assert!(!texts.iter().any(|it| it.contains("hash")), "{texts:?}");
    assert_eq!(texts.last().unwrap(), "ours");
}
