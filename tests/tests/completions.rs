//! The completions that a shell offers when a user presses Tab.

use std::{
    os::unix::{net::UnixListener, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mattervisor_tests::{Site, binary, run};

/// The words that bash offers for this line, with the cursor at its end.
fn offered(root: &Path, line: &str) -> Vec<String> {
    let script = r#"
        source <("$1" completions bash)
        words="$2"
        read -r -a COMP_WORDS <<< "$words"
        [[ "$words" == *" " ]] && COMP_WORDS+=("")
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        COMP_LINE="$words" COMP_POINT=${#words} COMP_TYPE=9
        complete -p ctl > /dev/null || exit 1
        function="$(complete -p ctl | sed 's/.* -F \([^ ]*\) .*/\1/')"
        "$function" ctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let line = line.replace("ROOT", &root.display().to_string());
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash"]);
    bash.arg(binary("ctl")).arg(line);
    let told = run(&mut bash).ok();
    assert_eq!(told.stderr, "");
    let names = told.stdout.lines().map(|it| it.trim().to_owned());
    names.filter(|it| !it.is_empty()).collect()
}

/// Bash offers commands, flags and the names of the services.
#[test]
fn bash_knows_the_services() {
    let mut site = Site::new();
    for name in ["mattermost", "mattermost-database", "nginx"] {
        site.child(name, &["sleep"], "");
    }
    site.child(
        "base",
        &["sleep"],
        "[tools.baseline]\ncommand = ['/bin/true']\n",
    );
    site.start();
    let root = site.root().to_owned();
    let offered = |line: &str| offered(&root, line);
    assert_eq!(offered("ctl resta"), ["restart", "restart-except"]);
    assert_eq!(
        offered("ctl --root ROOT restart mat"),
        ["mattermost", "mattermost-database"]
    );
    assert_eq!(
        offered("ctl --root ROOT stop nginx mattermost-"),
        ["mattermost-database"]
    );
    assert!(offered("ctl --root ROOT why ").contains(&"nginx".to_owned()));
    // A command is offered what it can act on, once.
    assert_eq!(offered("ctl --root ROOT stop nginx ng"), [""; 0]);
    site.ctl(&["stop", "nginx"]).ok();
    let startable = offered("ctl --root ROOT start ");
    assert!(startable.contains(&"nginx".to_owned()), "{startable:?}");
    assert!(!startable.contains(&"base".to_owned()), "{startable:?}");
    assert_eq!(offered("ctl --root ROOT stop ng"), [""; 0]);
    assert_eq!(offered("ctl wait --heal"), ["--healthy"]);
    assert_eq!(offered("ctl --format r"), ["runit"]);
    // The programs beside ctl complete their own arguments.
    assert_eq!(offered("ctl --root ROOT top ng"), ["nginx"]);
    assert_eq!(offered("ctl import --sec"), ["--secrets"]);
    assert_eq!(offered("ctl gitlab v"), ["vhost"]);
    // The name of a tool is offered, but no arguments, which only the tool knows.
    assert_eq!(offered("ctl --root ROOT basel"), ["baseline"]);
    assert_eq!(offered("ctl --root ROOT baseline --he"), [""; 0]);
    assert_eq!(offered("ctl --root ROOT baseline "), [""; 0]);
    let stopped = site.stop();
    assert_eq!(stopped, 0);
    // Without a supervisor no service is offered.
    assert_eq!(offered("ctl --root ROOT restart mat"), [""; 0]);
}

/// Completion does not wait for a supervisor that does not answer.
#[test]
fn a_silent_supervisor_is_not_waited_for() {
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    let run_dir = directory.path().join("run/mattervisor");
    std::fs::create_dir_all(&run_dir).unwrap();
    let _listener = UnixListener::bind(run_dir.join("ctl.sock")).unwrap();
    let mut ctl = Command::new(binary("ctl"));
    ctl.args(["--", "ctl", "--root"]).arg(directory.path());
    ctl.args(["restart", ""]);
    ctl.env("CTL_COMPLETE", "bash");
    ctl.env("_CLAP_COMPLETE_INDEX", "4");
    let told = run(&mut ctl).ok();
    assert!(!told.stdout.contains("nginx"), "{}", told.stdout);
    // ctl gives up after 200 ms; the rest is for a busy machine.
    assert!(told.took < Duration::from_secs(2), "{:?}", told.took);
}

fn packaged(name: &str) -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/completions");
    Path::new(root).join(name)
}

/// The packaged completion files are what `ctl completions` prints, by each of its names.
#[test]
fn the_packaged_files_are_those_of_the_definition() {
    for (called, shell, name) in [
        ("ctl", "bash", "ctl.bash"),
        ("ctl", "zsh", "_ctl"),
        ("ctl", "fish", "ctl.fish"),
        ("mattervisorctl", "bash", "mattervisorctl.bash"),
        ("mattervisorctl", "zsh", "_mattervisorctl"),
        ("mattervisorctl", "fish", "mattervisorctl.fish"),
    ] {
        let mut ctl = Command::new(binary("ctl"));
        // The printed script names the program as argv[0] does; a packaged script must find it by PATH.
        ctl.arg0(called).args(["completions", shell]);
        let printed = run(&mut ctl).ok().stdout;
        let path = packaged(name);
        if std::env::var_os("MATTERVISOR_UPDATE").is_some() {
            std::fs::write(&path, &printed).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(
            kept == printed,
            "{} is out of date; write it anew: MATTERVISOR_UPDATE=1 cargo test -p mattervisor-tests packaged_files",
            path.display()
        );
        if run(Command::new("sh").args(["-c", &format!("command -v {shell}")])).code == 0 {
            run(Command::new(shell).arg("-n").arg(&path)).ok();
        }
    }
}
