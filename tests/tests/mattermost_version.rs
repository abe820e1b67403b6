//! The installed Mattermost is asked for its version in a way that starts no server and migrates no
//! database.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use mattervisor_tests::{StatusExt, eventually, need, nginx, postgres, run};

use crate::stack::Stack;

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../services.d/mattermost/version.sh.j2"
);

/// Like Mattermost 5.x to 6.4: without the option, `version` changes the database.
const OLD: &str = r#"#!/bin/sh
case "$*" in
"version --skip-server-start") printf 'Version: 5.36.1\nBuild Number: 5.36.1\nDB Version: 5.36.0\n' ;;
*) touch "$0.migrated"; printf 'Version: 5.36.1\n' ;;
esac
"#;
/// Like Mattermost 6.5 and later: there is no such option.
const NEW: &str = r#"#!/bin/sh
case "$*" in
version) printf 'Version: 11.6.0\nBuild Number: 1\n' ;;
*) printf 'Error: unknown flag: --skip-server-start\n' >&2; exit 1 ;;
esac
"#;
const BROKEN: &str = "#!/bin/sh\necho 'Error: cannot open shared object' >&2\nexit 127\n";

/// The recorded version after asking this program, and the output of the script.
fn asked(dir: &Path, program: &str) -> (Option<String>, String) {
    let path = dir.join("mattermost");
    fs::write(&path, program).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    ask(dir)
}

fn ask(dir: &Path) -> (Option<String>, String) {
    let file = dir.join("VERSION");
    let mut command = Command::new("sh");
    command.arg(SCRIPT);
    command
        .env("MATTERMOST", dir.join("mattermost"))
        .env("FILE", &file);
    let said = run(&mut command).ok().both();
    (fs::read_to_string(file).ok(), said)
}

#[test]
fn each_mattermost_is_asked_as_it_can_be_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (version, said) = ask(dir.path());
    assert_eq!(version, None);
    assert!(said.contains("mattermost.install_dir"), "{said}");
    assert_eq!(asked(dir.path(), OLD).0.as_deref(), Some("5.36.1\n"));
    assert!(
        !dir.path().join("mattermost.migrated").exists(),
        "the database was worked on"
    );
    assert_eq!(asked(dir.path(), NEW).0.as_deref(), Some("11.6.0\n"));
    let (version, said) = asked(dir.path(), BROKEN);
    assert_eq!(version.as_deref(), Some("11.6.0\n"), "what was known stays");
    assert!(said.contains("cannot open shared object"), "{said}");
}

#[test]
fn the_stack_writes_it_down() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let file = stack.site.path("var/lib/mattervisor/mattermost/VERSION");
    let version = eventually("the version is there", || fs::read_to_string(&file).ok());
    assert_eq!(version, "11.6.0\n");
    assert_eq!(stack.site.status().state("mattermost-version"), "completed");
    // As in an upgrade, another program replaces the installed one.
    let program = stack.site.path("opt/bin/mattermost");
    let new = stack.site.path("opt/bin/new");
    fs::write(&new, NEW.replace("11.6.0", "12.0.0")).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, &program).unwrap();
    eventually("the new version is there", || {
        (fs::read_to_string(&file).ok()? == "12.0.0\n").then_some(())
    });
}
