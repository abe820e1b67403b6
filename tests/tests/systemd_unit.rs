//! The systemd unit as `systemd-analyze` sees it. `boot` starts it for real.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use mattervisor_tests::{need, program, run};
use serde_json::Value;

/// Exposure by `systemd-analyze security`, in tenths, that the unit may have; docs/systemd.md names
/// it. Services share what the unit forbids, and much may not be forbidden to them.
const EXPOSURE_MAX: u32 = 75;

/// The unit's text.
const UNIT: &str = include_str!("../../packaging/systemd/mattervisor.service");

fn unit_file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd/mattervisor.service")
}

/// A root directory with the programs that the unit names and the units that systemd brings.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let units = root.path().join("usr/lib/systemd/system");
    fs::create_dir_all(&units).unwrap();
    for unit in fs::read_dir("/usr/lib/systemd/system").unwrap().flatten() {
        let name = unit.file_name().into_string().unwrap();
        let is_plain = unit.file_type().unwrap().is_file();
        if is_plain
            && [".target", ".socket", ".slice"]
                .iter()
                .any(|it| name.ends_with(it))
        {
            fs::copy(unit.path(), units.join(name)).unwrap();
        }
    }
    fs::write(units.join("mattervisor.service"), UNIT).unwrap();
    for program in ["usr/lib/mattervisor/mattervisord", "usr/bin/mattervisorctl"] {
        let path = root.path().join(program);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    root
}

/// `systemd-analyze verify` has nothing to say, and the check sees faults: without the client
/// `ExecReload=` is refused.
#[test]
fn the_unit_verifies() {
    let analyze = need!(program("systemd-analyze", "systemd"));
    let root = root();
    let verify = || {
        let mut command = Command::new(&analyze);
        // The manual pages are not in this root.
        command
            .args(["verify", "--man=no", "--root"])
            .arg(root.path());
        let ended = run(command.arg("mattervisor.service"));
        (ended.code == 0, ended.stderr)
    };
    assert_eq!(verify(), (true, String::new()));
    fs::remove_file(root.path().join("usr/bin/mattervisorctl")).unwrap();
    let (verified, said) = verify();
    assert!(!verified && said.contains("mattervisorctl"), "{said}");
}

/// Every hardening directive that `systemd-analyze security` misses is in the unit's comments, with
/// what it would break.
#[test]
fn what_is_not_hardened_has_its_reason() {
    let analyze = need!(program("systemd-analyze", "systemd"));
    let mut command = Command::new(analyze);
    command.args(["security", "--offline=true", "--json=short", "--no-pager"]);
    command.arg(format!("--threshold={EXPOSURE_MAX}"));
    let ended = run(command.arg(unit_file()));
    let said = ended.stdout;
    assert_eq!(ended.code, 0, "exposed more than it may be\n{said}");
    let items: Vec<Value> = serde_json::from_str(&said).unwrap();
    let missed = items.iter().filter(|it| !it["exposure"].is_null());
    let names: Vec<&str> = missed.map(|it| it["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"NoNewPrivileges="), "{names:?}");
    let comments: String = UNIT.lines().filter(|line| line.starts_with('#')).collect();
    let set: Vec<&str> = UNIT
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    let unexplained = names.iter().filter(|name| {
        let directive = name.split(['=', '/']).next().unwrap();
        let is_partly_set = set.contains(&directive) && !name.contains('~');
        !is_partly_set && !comments.contains(&format!("{directive}="))
    });
    let unexplained: Vec<_> = unexplained.collect();
    assert!(unexplained.is_empty(), "no reason for {unexplained:?}");
}
