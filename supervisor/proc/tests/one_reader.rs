//! `/proc` is read by this crate alone: every other use in the sources is on a list, with its
//! reason.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Files that may name a file of `/proc` in their code, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "ctl/backup/src/target.rs",
        "the name of the table of mounts, for an error",
    ),
    (
        "supervisor/keeper/src/sys/child.rs",
        "a child before its exec: a C string, nothing may allocate",
    ),
    (
        "supervisor/keeper/src/sys/record_file.rs",
        "a child before its exec: a C string, nothing may allocate",
    ),
    ("supervisor/proc/src/", "the one reader"),
];

/// Sources of programs, without those of tests.
fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let skipped = ["target", "tests", "examples", "benches", "simulation"];
            if !skipped.contains(&name.as_str()) && !name.starts_with('.') {
                sources(&path, out);
            }
        } else if path.extension().is_some_and(|it| it == "rs") && name != "tests.rs" {
            out.push(path);
        }
    }
}

/// The line names a file of `/proc` outside comments.
fn names_proc(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let mut literals = code.split('"').skip(1).step_by(2);
    literals.any(|literal| literal == "/proc" || literal.starts_with("/proc/"))
}

#[test]
fn proc_is_read_by_this_crate_alone() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    sources(&repository.join("supervisor"), &mut files);
    sources(&repository.join("ctl"), &mut files);
    assert!(files.len() > 200, "only {} sources are seen", files.len());
    let mut unlisted = Vec::new();
    let mut used = BTreeSet::new();
    for file in files {
        let name = file.strip_prefix(&repository).unwrap().to_str().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        // What only tests do is below this line.
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        let listed = EXCEPTIONS.iter().find(|(path, _)| name.starts_with(path));
        for (number, _) in code
            .lines()
            .enumerate()
            .filter(|(_, line)| names_proc(line))
        {
            match listed {
                Some((path, _)) => drop(used.insert(*path)),
                None => unlisted.push(format!("{name}:{}", number + 1)),
            }
        }
    }
    assert!(
        unlisted.is_empty(),
        "use the crate proc, or give a reason in this test:\n{}",
        unlisted.join("\n")
    );
    let unused = EXCEPTIONS.iter().filter(|(path, _)| !used.contains(path));
    let unused: Vec<_> = unused.map(|(path, _)| path).collect();
    assert!(unused.is_empty(), "these have no use any more: {unused:?}");
}
