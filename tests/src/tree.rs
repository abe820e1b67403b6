//! Debian trees for tests that boot one. A tree is made once, by `debootstrap`, and kept under
//! `var/trees`: about a minute each, and some hundred MB.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::fcntl::{Flock, FlockArg};

use crate::{
    ctl::run_for,
    programs::{Missing, program},
};

/// Limit for making a tree: it downloads up to two hundred packages.
const MAKE: Duration = Duration::from_secs(1200);

/// Installs the packages that are the arguments, the first of which is `$0`.
const APT: &str = r#"
    apt-get update
    apt-get install --yes --no-install-recommends "$0" "$@"
"#;

/// The tree of this name, made if there is none yet, from the packages that Debian requires and
/// these, and from those that only apt can put `then` in the place of others. Nobody changes a
/// tree: what boots it, does so through an overlay.
pub fn debian_tree(name: &str, packages: &[&str], then: &[&str]) -> Result<PathBuf, Missing> {
    debian_tree_of(&suite()?, name, packages, then)
}

/// The same of this release of Debian.
pub fn debian_tree_of(
    suite: &str,
    name: &str,
    packages: &[&str],
    then: &[&str],
) -> Result<PathBuf, Missing> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Missing::new(
            "trees of Debian need root: run the tests as root",
        ));
    }
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../var/trees");
    fs::create_dir_all(trees.join("archives"))
        .and_then(|()| trees.canonicalize())
        .map_err(|error| cannot(&trees, &error.to_string()))
        .and_then(|trees| in_directory(&trees, suite, name, packages, then))
}

fn in_directory(
    trees: &Path,
    suite: &str,
    name: &str,
    packages: &[&str],
    then: &[&str],
) -> Result<PathBuf, Missing> {
    let debootstrap = program("debootstrap", "debootstrap")?;
    let archives = trees.join("archives");
    let lock = File::create(trees.join(format!("{name}.lock"))).expect("var is ours");
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).expect("a new file can be locked");
    let tree = trees.join(name);
    if tree.is_dir() {
        return Ok(tree);
    }
    // Left by a test that was killed.
    let new = trees.join(format!("{name}.new"));
    if new.is_dir() {
        fs::remove_dir_all(&new).expect("var is ours");
    }
    let mirror = std::env::var_os("DEBIAN_MIRROR");
    let mirror = mirror.unwrap_or_else(|| "http://deb.debian.org/debian".into());
    let mut make = Command::new(debootstrap);
    make.arg("--variant=minbase")
        .arg(format!("--cache-dir={}", archives.display()))
        .arg(format!("--include={}", packages.join(",")))
        .args([OsStr::new(suite), new.as_os_str(), &mirror]);
    let mut add = Command::new("chroot");
    add.arg(&new)
        .args(["sh", "-euc", APT])
        .args(then)
        .env("DEBIAN_FRONTEND", "noninteractive");
    let steps = [make, add]
        .into_iter()
        .take(if then.is_empty() { 1 } else { 2 });
    for mut step in steps {
        let done = run_for(&mut step, MAKE);
        if done.code != 0 {
            return Err(cannot(&new, &done.both()));
        }
    }
    fs::rename(&new, &tree).expect("var is ours");
    Ok(tree)
}

/// The release of this machine: programs that were built here need a C library at least as new.
fn suite() -> Result<String, Missing> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let is_debian = release.lines().any(|line| line == "ID=debian");
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.filter(|_| is_debian)
        .map(str::to_owned)
        .ok_or_else(|| {
            Missing::new("this machine runs no release of Debian, so no tree of one fits")
        })
}

fn cannot(tree: &Path, output: &str) -> Missing {
    let last: Vec<&str> = output.lines().rev().take(3).collect();
    Missing::new(format!(
        "cannot make a Debian tree in {}: {}",
        tree.display(),
        last.into_iter().rev().collect::<Vec<_>>().join("; ")
    ))
}
