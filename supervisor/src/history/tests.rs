//! The history of changes on a real disk.

use std::{fs, io::Write as _};

use safe_path::Dir;

use api::ChangeOutcome;

use super::{
    segments::{DAY_MS, KEPT_MS, SEGMENT_AGE_MS, SEGMENT_BYTES, SEGMENTS_MAX, name, segments},
    *,
};

/// 2026-11-22T00:00:00Z.
const NOW: u64 = 1_795_305_600_000;

fn time(ms: u64) -> String {
    text::time(ms)
}

fn asked(ms: u64, id: &str, services: &[&str]) -> Line {
    Line {
        at: time(ms),
        id: id.to_owned(),
        said: Said::Asked {
            by: "root".to_owned(),
            uid: 0,
            what: "restart".to_owned(),
            services: services.iter().map(|&name| name.to_owned()).collect(),
        },
    }
}

fn ended(ms: u64, id: &str, services: &[&str]) -> Line {
    Line {
        at: time(ms),
        id: id.to_owned(),
        said: Said::Ended {
            outcome: ChangeOutcome::Done,
            detail: String::new(),
            services: services.iter().map(|&name| name.to_owned()).collect(),
        },
    }
}

fn ids(dir: &Path, query: &Query) -> Vec<String> {
    let records = read(dir, query).unwrap();
    records.into_iter().map(|record| record.id).collect()
}

fn all() -> Query {
    Query {
        count: 1000,
        ..Query::default()
    }
}

fn opened(state_dir: &Path) -> Dir {
    Dir::open(&directory(state_dir)).unwrap()
}

#[test]
fn a_change_and_its_end_are_one_record() {
    let dir = tempfile::tempdir().unwrap();
    append(
        dir.path(),
        NOW,
        &[asked(NOW, "one", &["a"]), asked(NOW + 1, "two", &[])],
    )
    .unwrap();
    append(
        dir.path(),
        NOW + 2,
        &[ended(NOW + 2, "one", &[]), ended(NOW + 3, "two", &["b"])],
    )
    .unwrap();
    append(dir.path(), NOW + 4, &[asked(NOW + 4, "three", &["a", "b"])]).unwrap();
    let records = read(dir.path(), &all()).unwrap();
    assert_eq!(records[0].outcome, ChangeOutcome::Done);
    assert_eq!(records[0].ended_at, Some(time(NOW + 2)));
    assert_eq!(records[1].services, ["b"]);
    assert_eq!(records[2].outcome, ChangeOutcome::Accepted);
    let some = |services: &[&str], count| Query {
        services: services.iter().map(|&name| name.to_owned()).collect(),
        count,
        ..Query::default()
    };
    assert_eq!(ids(dir.path(), &some(&["a"], 10)), ["one", "three"]);
    assert_eq!(ids(dir.path(), &some(&["[ab]"], 2)), ["two", "three"]);
    assert_eq!(ids(dir.path(), &some(&["c"], 10)), [""; 0]);
}

#[test]
fn moments_bound_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..5 {
        append(
            dir.path(),
            NOW + n,
            &[asked(NOW + n, &n.to_string(), &["a"])],
        )
        .unwrap();
    }
    let query = Query {
        since: Some(time(NOW + 1)),
        until: Some(time(NOW + 4)),
        ..all()
    };
    assert_eq!(ids(dir.path(), &query), ["1", "2", "3"]);
}

#[test]
fn half_a_line_spoils_no_other() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), NOW, &[asked(NOW, "one", &["a"])]).unwrap();
    let mut file = opened(dir.path()).append(name(NOW), 0o600).unwrap();
    file.write_all(b"{\"at\":\"2026").unwrap();
    append(dir.path(), NOW + 1, &[asked(NOW + 1, "two", &["a"])]).unwrap();
    assert_eq!(ids(dir.path(), &all()), ["one", "two"]);
}

#[test]
fn segments_are_bounded_by_size_and_age() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(usize::try_from(SEGMENT_BYTES).unwrap());
    append(dir.path(), NOW, &[asked(NOW, "old", &[&long])]).unwrap();
    append(dir.path(), NOW + 1, &[asked(NOW + 1, "next", &["a"])]).unwrap();
    assert_eq!(segments(&opened(dir.path())).unwrap(), [NOW, NOW + 1]);
    assert_eq!(ids(dir.path(), &all()), ["old", "next"]);
    let month = NOW + SEGMENT_AGE_MS + 1;
    append(dir.path(), month, &[asked(month, "month", &["a"])]).unwrap();
    assert_eq!(ids(dir.path(), &all()), ["old", "next", "month"]);
    // A year later the first two files are gone, because all their lines are older.
    let later = month + KEPT_MS + 1;
    append(dir.path(), later, &[asked(later, "later", &["a"])]).unwrap();
    assert_eq!(ids(dir.path(), &all()), ["month", "later"]);
    let much_later = later + SEGMENT_AGE_MS;
    for n in 0..u64::try_from(SEGMENTS_MAX).unwrap() + 5 {
        let at = much_later + (n + 1) * 1000;
        append(dir.path(), at, &[asked(at, &n.to_string(), &[&long])]).unwrap();
    }
    let count = segments(&opened(dir.path())).unwrap().len();
    assert!(count <= SEGMENTS_MAX, "{count} segments");
}

#[test]
fn a_clock_that_was_set_back_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(usize::try_from(SEGMENT_BYTES).unwrap());
    append(dir.path(), NOW, &[asked(NOW, "one", &[&long])]).unwrap();
    append(
        dir.path(),
        NOW - DAY_MS,
        &[asked(NOW - DAY_MS, "two", &["a"])],
    )
    .unwrap();
    append(
        dir.path(),
        NOW - DAY_MS,
        &[asked(NOW - DAY_MS, "three", &["a"])],
    )
    .unwrap();
    assert_eq!(ids(dir.path(), &all()), ["one", "two", "three"]);
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(directory(dir.path()), "a file").unwrap();
    assert!(append(dir.path(), NOW, &[asked(NOW, "one", &["a"])]).is_err());
    assert!(read(dir.path(), &all()).is_err());
}
