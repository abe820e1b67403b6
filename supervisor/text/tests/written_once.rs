//! Nobody but this crate formats durations, sizes, signals, times, lists and counts: two forms of
//! one thing would drift apart, and have.
//!
//! The test looks for the traces that such code leaves in the sources of `supervisor/` and `ctl/`,
//! without tests. What stands in [`ELSEWHERE`] has a reason, and is still there: an entry that
//! nothing matches fails the test too.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The traces, and what to call instead.
const TRACES: &[(&str, &str)] = &[
    (
        "strftime(",
        "text::time, text::rfc3339_…, text::utc_seconds, text::day",
    ),
    ("% 60", "text::duration"),
    ("% 24", "text::duration"),
    ("\"KiB\"", "text::size"),
    ("\"MiB\"", "text::size"),
    ("\"MB\"", "text::size"),
    ("\"QUIT\", 3", "text::signal"),
    ("\"exit code {", "text::exit_code"),
    ("\"killed by {", "text::killed_by"),
    ("== 1 { \"", "text::counted"),
    (".join(\" and \")", "text::list"),
    ("as_millis() {", "text::duration"),
    ("fn one_line(", "text::one_line"),
    ("fn signal_name(number", "text::signal::shown"),
    ("fn ago(", "text::ago"),
];

/// Files that have a trace all the same, and why.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "ctl/backup/src/name.rs",
        "strftime(",
        "a file name, read back by the same format",
    ),
    (
        "ctl/backup/src/restore/restore_stamp.rs",
        "strftime(",
        "part of a name in a database",
    ),
    (
        "ctl/client/src/render/mod.rs",
        "fn ago(",
        "shows a stamp that cannot be read as it is",
    ),
    (
        "supervisor/keeper/src/log/sink.rs",
        "strftime(",
        "the form of syslog, RFC 3164",
    ),
    (
        "supervisor/keeper/src/log/stamp.rs",
        "strftime(",
        "made once a second for all lines; a file name",
    ),
    ("supervisor/src/aside.rs", "strftime(", "a file name"),
    (
        "supervisor/src/deliver/mail.rs",
        "strftime(",
        "the form of mail, RFC 5322",
    ),
];

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !["tests", "simulation", "examples", "text", "target"].contains(&name) {
                sources(&path, out);
            }
        } else if path.extension().is_some_and(|it| it == "rs")
            && !["tests.rs", "testing.rs", "whole.rs"].contains(&name)
        {
            out.push(path);
        }
    }
}

/// The code of a file: no comment, nothing that only its tests have.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn words_are_written_once() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for top in ["supervisor", "ctl"] {
        sources(&repository.join(top), &mut files);
    }
    assert!(files.len() > 300, "only {} sources found", files.len());
    let mut unused: BTreeSet<(&str, &str)> = ELSEWHERE
        .iter()
        .map(|(file, trace, _)| (*file, *trace))
        .collect();
    let mut wrong = Vec::new();
    for path in &files {
        let code = code(&fs::read_to_string(path).unwrap());
        let file = path.strip_prefix(&repository).unwrap().to_str().unwrap();
        for (trace, instead) in TRACES.iter().filter(|(trace, _)| code.contains(trace)) {
            let excepted = ELSEWHERE
                .iter()
                .any(|(at, known, _)| (*at, known) == (file, trace));
            if excepted {
                unused.remove(&(file, *trace));
            } else {
                wrong.push(format!("{file}: `{trace}`: use {instead}"));
            }
        }
    }
    assert!(wrong.is_empty(), "written by hand:\n{}", wrong.join("\n"));
    assert!(
        unused.is_empty(),
        "exceptions that nothing needs: {unused:?}"
    );
}
