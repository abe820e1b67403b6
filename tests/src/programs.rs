//! Real servers that some tests use.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// Why a program cannot be used here.
#[derive(Debug)]
pub struct Missing(String);

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Missing {
    /// Why the program is missing, and what installs it.
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// A program in one of the system's own directories, which a Debian package installs.
pub fn program(name: &str, package: &str) -> Result<PathBuf, Missing> {
    let places = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];
    let mut paths = places.iter().map(|place| PathBuf::from(place).join(name));
    let found = paths.find(|path| path.is_file());
    found.ok_or_else(|| Missing(format!("no {name}: install the package {package}")))
}

/// Programs of each version of `PostgreSQL` that is installed: the distribution's, and the versions
/// that `./dev` fetches.
pub(crate) fn postgres_versions() -> BTreeMap<u32, PathBuf> {
    let got = Path::new(env!("CARGO_MANIFEST_DIR")).join("../var/postgresql");
    let mut all = BTreeMap::new();
    for place in [got.as_path(), Path::new("/usr/lib/postgresql")] {
        let versions = std::fs::read_dir(place).into_iter().flatten().flatten();
        for version in versions {
            let bin = version
                .path()
                .join("bin")
                .canonicalize()
                .unwrap_or_default();
            let major = version.file_name().to_string_lossy().parse().ok();
            if let Some(major) = major.filter(|_| bin.join("postgres").is_file()) {
                all.insert(major, bin);
            }
        }
    }
    all
}

/// The directory of the newest `PostgreSQL`'s programs.
pub fn postgres() -> Result<PathBuf, Missing> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for version in std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
    {
        let bin = version.path().join("bin");
        let number = version.file_name().to_string_lossy().parse().unwrap_or(0);
        if bin.join("postgres").is_file() {
            found.push((number, bin));
        }
    }
    found.sort();
    let fixed = ["/usr/bin", "/usr/local/bin"].map(PathBuf::from);
    let other = fixed
        .into_iter()
        .find(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file());
    let best = found.pop().map(|(_, bin)| bin).or(other);
    best.ok_or_else(|| Missing("no PostgreSQL: install the package postgresql".to_owned()))
}

/// nginx's program.
pub fn nginx() -> Result<PathBuf, Missing> {
    let places = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"].map(PathBuf::from);
    let found = places.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| Missing("no nginx: install the package nginx-light".to_owned()))
}
