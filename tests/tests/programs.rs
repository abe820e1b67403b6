//! The programs beside `ctl` that carry out its large commands: users see `ctl` alone.

use std::process::Command;

use mattervisor_tests::{Site, binary, install, run};

/// Help, usage errors and exit codes of these programs are those of `ctl`.
#[test]
fn a_program_speaks_as_ctl() {
    let site = Site::new();
    for command in ["gitlab", "import", "renew-le-certs", "top"] {
        let usage = format!("Usage: ctl {command} ");
        for asked in [[command, "--help"], ["help", command]] {
            let told = site.ctl(&asked).ok();
            assert!(told.stdout.contains(&usage), "{asked:?}: {}", told.stdout);
            assert!(
                told.stdout.contains("Examples:"),
                "{asked:?}: {}",
                told.stdout
            );
        }
        let told = site.ctl(&[command, "--no-such-option"]).expect_code(2);
        assert!(told.stderr.contains("--no-such-option"), "{told:?}");
        let line = site.ctl(&["--help"]).ok().stdout;
        assert!(line.contains(&format!("\n  {command} ")), "{line}");
    }
    // Global options are read behind the name of a command, too.
    let root = site.root().display().to_string();
    let mut ctl = Command::new(binary("ctl"));
    let told = run(ctl.args(["top", "--root", &root])).expect_code(2);
    assert!(
        told.stderr.contains("`ctl top` draws on a terminal"),
        "{told:?}"
    );
}

/// A missing program is named, with the directories where ctl looked and the package that has it.
#[test]
fn a_missing_program_is_named() {
    let site = Site::new();
    let alone = site.path("ctl");
    install(&binary("ctl"), &alone);
    let told = run(Command::new(&alone).args(["import", "gitlab-rb", "x"])).expect_code(1);
    let place = site.root().canonicalize().unwrap();
    let wanted = format!(
        "there is no mattervisor-import in {} or /usr/lib/mattervisor",
        place.display()
    );
    assert!(told.stderr.contains(&wanted), "{told:?}");
    assert!(told.stderr.contains("same package as ctl"), "{told:?}");
    // The other commands still work.
    run(Command::new(&alone).arg("--help")).ok();
}
