//! Files are opened, made and given away by `safe_path` alone: every other use of a path in the
//! sources is on a list, with its reason.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What acts on a path by itself.
const CALLS: [&str; 10] = [
    " fs::",
    "(fs::",
    "std::fs::",
    "File::open",
    "File::create",
    "File::options",
    "OpenOptions::new",
    "DirBuilder::new",
    ".read_dir(",
    "libc::open(",
];
/// Names of `std::fs` that do nothing.
const NAMES: [&str; 6] = [
    "fs::{",
    "fs::DirEntry",
    "fs::File",
    "fs::FileType",
    "fs::Metadata",
    "fs::Permissions",
];

/// Files that may, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("ctl/import/build.rs", "the build"),
    (
        "ctl/acme/src/",
        "runs as root on paths of an order that root has rendered; held by its own tests",
    ),
    ("ctl/client/src/accounts.rs", "/etc/passwd and /etc/group"),
    (
        "ctl/client/src/alive.rs",
        "what file a lock is; written and read by safe_path",
    ),
    (
        "ctl/client/src/client.rs",
        "a handle of the control socket's directory, to connect by",
    ),
    (
        "ctl/src/commands/env/gather.rs",
        "whether a file can be read, for a message",
    ),
    (
        "ctl/gitlab/src/input.rs",
        "a file that a person names as it is run; it may be a pipe",
    ),
    (
        "ctl/import/src/next.rs",
        "whether a directory of GitLab's is empty",
    ),
    (
        "ctl/import/src/sources.rs",
        "files that a person names as it is run; they may be pipes",
    ),
    (
        "ctl/import/src/write.rs",
        "what is there, for a message; written by safe_path",
    ),
    (
        "ctl/client/src/not_allowed.rs",
        "what stands in the way of a person who was refused; /etc/group: nothing of others' is opened",
    ),
    ("ctl/client/src/man_page.rs", "tests"),
    ("ctl/client/src/testing.rs", "tests"),
    ("supervisor/keeper/src/cgroup.rs", "the kernel's files"),
    ("supervisor/keeper/src/runs/description.rs", "/proc/self/fd"),
    (
        "supervisor/keeper/src/leftovers/",
        "the kernel's directories",
    ),
    (
        "supervisor/keeper/src/listener.rs",
        "a handle of the run directory, which is the keeper's, to bind by",
    ),
    (
        "supervisor/keeper/src/log/file.rs",
        "whether `current` is still the open file: nothing is opened",
    ),
    (
        "supervisor/keeper/src/runs/notify/directory.rs",
        "whether the directory is still the open one: nothing is opened",
    ),
    (
        "supervisor/keeper/src/control/successor.rs",
        "the binary that the administrator installed, executed as what it is",
    ),
    (
        "supervisor/keeper/src/trial.rs",
        "the binary that the administrator installed, executed as what it is",
    ),
    ("supervisor/keeper/src/keeper/exec.rs", "/proc"),
    ("supervisor/keeper/src/keeper/resume.rs", "/proc"),
    ("supervisor/keeper/src/keeper/start.rs", "/proc"),
    (
        "supervisor/keeper/src/sys/",
        "/proc; records in the run directory, which is the keeper's",
    ),
    (
        "supervisor/proc/src/",
        "/proc and the kernel's files of groups",
    ),
    ("supervisor/safe_path/src/", "the one opener"),
    ("supervisor/src/load_plan.rs", "/dev/urandom"),
    (
        "supervisor/src/control/monitors/inotify.rs",
        "names and links on the way to a watched file: nothing is opened",
    ),
    (
        "supervisor/src/control/monitors/host_checks.rs",
        "how full disks are: nothing is opened",
    ),
    (
        "supervisor/src/server/permissions.rs",
        "the control socket in the run directory, which is the keeper's, and /proc/self/fd",
    ),
];

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let skipped = ["target", "tests", "examples", "benches", "simulation"];
            if !skipped.contains(&name.as_str()) && !name.starts_with('.') {
                sources(&path, out);
            }
        } else if path.extension().is_some_and(|it| it == "rs")
            && !["tests.rs", "harness.rs"].contains(&name.as_str())
        {
            out.push(path);
        }
    }
}

/// The line does something with a path by itself.
fn acts(line: &str) -> bool {
    let code = format!(" {}", line.split("//").next().unwrap_or_default().trim());
    if code.starts_with(" use ") || code.starts_with(" unix::fs::") {
        return false;
    }
    let mut acts = CALLS
        .iter()
        .filter_map(|call| Some((call, code.find(call)?)));
    acts.any(|(call, at)| {
        let named = code[at..].trim_start_matches([' ', '(']);
        let named = named.trim_start_matches("std::");
        !call.ends_with("fs::") || !NAMES.iter().any(|name| named.starts_with(name))
    })
}

#[test]
fn paths_are_used_by_safe_path_alone() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    sources(&repository.join("supervisor"), &mut files);
    sources(&repository.join("ctl"), &mut files);
    assert!(files.len() > 200, "only {} sources are seen", files.len());
    let mut unlisted = Vec::new();
    let mut used = BTreeSet::new();
    for file in files {
        let name = file.strip_prefix(&repository).unwrap();
        let name = name.to_str().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        // What only tests do is below this line.
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        let listed = EXCEPTIONS.iter().find(|(path, _)| name.starts_with(path));
        for (number, _) in code.lines().enumerate().filter(|(_, line)| acts(line)) {
            match listed {
                Some((path, _)) => drop(used.insert(*path)),
                None => unlisted.push(format!("{name}:{}", number + 1)),
            }
        }
    }
    assert!(
        unlisted.is_empty(),
        "use safe_path, or give a reason in this test:\n{}",
        unlisted.join("\n")
    );
    let unused = EXCEPTIONS.iter().filter(|(path, _)| !used.contains(path));
    let unused: Vec<_> = unused.map(|(path, _)| path).collect();
    assert!(unused.is_empty(), "these have no use any more: {unused:?}");
}
