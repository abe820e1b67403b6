//! Boots of real machines with systemd, by the scripts of `packaging/systemd/`. The Debian tree stays
//! under `var/` for the next run.

use std::{path::Path, process::Command, time::Duration};

use mattervisor_tests::{binary, note, run_for};

/// The script's exit code on a machine that cannot boot another.
const CANNOT: i32 = 77;
/// Limit of one script, the making of the tree included.
const LIMIT: Duration = Duration::from_secs(900);

/// Runs a script. A machine that cannot boot another, such as a container without privileges, is noted
/// and fails nothing.
#[track_caller]
fn hold(script: &str) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let daemon = binary("mattervisord");
    let mut command = Command::new(repository.join("packaging/systemd").join(script));
    command.arg(daemon.parent().unwrap());
    command.arg(repository.join("var/boot-tree"));
    let ended = run_for(&mut command, LIMIT);
    let said = ended.stderr;
    if ended.code == CANNOT {
        eprintln!("not run: {said}");
        return note(said.lines().last().unwrap_or("this machine boots no other"));
    }
    assert_eq!(ended.code, 0, "{said}");
    eprintln!("{said}");
}

/// From the boot to a stop that leaves nothing: reloads, deaths, a reboot, a power cut, an upgrade.
#[test]
fn a_machine_boots_with_the_unit_and_the_unit_holds() {
    hold("boot-test.sh");
}

/// Mattermost on one machine, the front door on another, by docs/split-server.md.
#[test]
fn two_machines_are_a_split_server() {
    hold("split-test.sh");
}
