//! The packages, of the programs that are tested: `packaging/build.sh` makes them, once for all tests, and
//! again when something that they are made of has changed. They are kept under `var/packages-tested`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use nix::fcntl::{Flock, FlockArg};

use crate::{
    binaries::binary,
    ctl::run_for,
    programs::{Missing, program},
};

/// Limit for making one package.
const MAKE: Duration = Duration::from_secs(600);

/// Packages that are made of the same programs.
#[derive(Clone, Debug)]
pub struct Packages {
    /// The .deb of this version.
    pub deb: PathBuf,
    /// The same as version 0.0.1, whose catalogue has one file more: `gone.toml`.
    pub older_deb: PathBuf,
    /// The same as version 9.0.0, whose daemon ends at once.
    pub broken_deb: PathBuf,
    /// The .rpm.
    pub rpm: PathBuf,
}

/// Makes two packages of the package `$0`: the older one `$1` and the broken one `$2`. `$3` is a directory
/// that does not exist yet.
const OTHERS: &str = r#"
    pack() {
        sed -i "s/^Version: .*/Version: $1/" "$dir/DEBIAN/control"
        dpkg-deb --root-owner-group -Zgzip -z1 --build "$dir" "$2"
    }
    dir=$3
    rm -rf "$dir"
    dpkg-deb --raw-extract "$0" "$dir"
    gone=$dir/usr/share/mattervisor/services.d/gone.toml
    printf 'command = ["/bin/false"]\nenable = false\n' >"$gone"
    pack 0.0.1-1 "$1"
    rm "$gone"
    printf '#!/bin/sh\nexit 1\n' >"$dir/usr/lib/mattervisor/mattervisord"
    pack 9.0.0-1 "$2"
    rm -r "$dir"
"#;

/// The packages; missing where the tools are not installed that make them.
pub fn packages() -> Result<Packages, Missing> {
    program("dh", "debhelper")?;
    program("rpmbuild", "rpm")?;
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let into = top.join("var/packages-tested");
    fs::create_dir_all(&into).expect("var is ours");
    let lock = File::create(into.join("lock")).expect("var is ours");
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).expect("a new file can be locked");
    let made = Packages {
        deb: into.join("this.deb"),
        older_deb: into.join("older.deb"),
        broken_deb: into.join("broken.deb"),
        rpm: into.join("this.rpm"),
    };
    let of = newest_input(&top);
    // It is made last.
    if fs::metadata(&made.broken_deb).is_ok_and(|it| it.modified().is_ok_and(|made| made > of)) {
        return Ok(made);
    }
    let programs = binary("ctl");
    let programs = programs.parent().expect("it lies in a directory");
    for (kind, to) in [("--deb", &made.deb), ("--rpm", &made.rpm)] {
        let mut build = Command::new(top.join("packaging/build.sh"));
        build.args(["--quick", kind]).args([programs, &into]);
        let told = run_for(&mut build, MAKE).ok();
        fs::rename(told.stdout.trim(), to).expect("it has just been made");
    }
    let mut others = Command::new("sh");
    others.args(["-euc", OTHERS]).args([
        &made.deb,
        &made.older_deb,
        &made.broken_deb,
        &into.join("unpacked"),
    ]);
    run_for(&mut others, MAKE).ok();
    Ok(made)
}

/// When the newest of the files was written of which packages are made.
fn newest_input(top: &Path) -> SystemTime {
    let trees = ["packaging", "services.d", "docs"];
    let files = [
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "Cargo.toml",
        "tests/src/packages.rs",
    ];
    let mut left: Vec<PathBuf> = trees
        .into_iter()
        .chain(files)
        .map(|it| top.join(it))
        .collect();
    let programs = [
        "mattervisord",
        "ctl",
        "mattervisor-acme",
        "mattervisor-backup",
    ];
    left.extend(programs.into_iter().map(binary));
    left.extend(
        [
            "mattervisor-gitlab",
            "mattervisor-import",
            "mattervisor-top",
        ]
        .into_iter()
        .map(binary),
    );
    let mut newest = SystemTime::UNIX_EPOCH;
    while let Some(path) = left.pop() {
        let found =
            fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        newest = newest.max(found.modified().expect("Linux knows"));
        if found.is_dir() {
            let inside = fs::read_dir(&path).expect("it is ours");
            left.extend(inside.map(|entry| entry.expect("it is ours").path()));
        }
    }
    newest
}
