//! The files in which `testchild` reports what happened, and its command line.

use std::path::Path;

use crate::binaries::binary;

/// A line that a `testchild` has written to its `file=` or `stop-file=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Pid of the writer.
    pub pid: i32,
    /// Time of writing, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
}

/// The stamps in a file, in the order of writing; none if there is no file yet.
pub fn stamps(path: &Path) -> Vec<Stamp> {
    let parse = |line: String| {
        let (pid, at) = line.split_once(' ')?;
        Some(Stamp {
            pid: pid.parse().ok()?,
            at_ns: at.parse().ok()?,
        })
    };
    lines(path).into_iter().filter_map(parse).collect()
}

/// The lines of a file; none if there is no file yet.
pub fn lines(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// A `command = […]` line for a `testchild` with these verbs, marked as belonging to `root`.
pub fn child_command(root: &Path, verbs: &[&str]) -> String {
    let program = binary("testchild").display().to_string();
    let mark = format!("site={}", root.display());
    let words = [program.as_str(), mark.as_str()]
        .into_iter()
        .chain(verbs.iter().copied());
    // A JSON string is a TOML string.
    let words: Vec<String> = words
        .map(|word| serde_json::Value::from(word).to_string())
        .collect();
    format!("command = [{}]\n", words.join(", "))
}
