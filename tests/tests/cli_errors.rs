//! Each mistake has its own message and exit code.

use mattervisor_tests::{Site, kill, run, skip};
use nix::sys::signal::Signal;

/// An unknown name is an error with the nearest name, and nothing is done.
#[test]
fn an_unknown_name_is_four_with_the_nearest_name() {
    let mut site = Site::new();
    site.child("mattermost", &["sleep"], "");
    site.child("nginx", &["sleep"], "");
    site.start_ready();
    let before = site.status();
    for verb in [
        "status", "start", "stop", "restart", "reload", "hup", "why", "logs", "wait",
    ] {
        let told = site.ctl(&[verb, "mattermots"]);
        assert_eq!(told.code, 4, "{verb}: {told:#?}");
        assert!(told.stderr.contains("mattermost"), "{verb}: {told:#?}");
    }
    assert_eq!(site.ctl(&["stop", "nginx", "mattermots"]).code, 4);
    assert_eq!(
        site.status().services[1].pid,
        before.services[1].pid,
        "half of it was done"
    );
}

/// A mistyped command is a usage error, with the nearest command.
#[test]
fn a_typo_in_a_command_is_two() {
    let site = Site::new();
    let told = site.ctl(&["statsu"]).expect_code(2);
    assert!(told.stderr.contains("status"), "{told:#?}");
    site.ctl(&["stop", "--frobnicate"]).expect_code(2);
    site.ctl(&["reload"]).expect_code(2);
}

/// Without a supervisor the exit code is 5, and the message says where ctl looked for it.
#[test]
fn no_supervisor_is_five() {
    let site = Site::new();
    for verb in ["status", "start", "stop"] {
        let told = site.ctl(&[verb]).expect_code(5);
        assert!(
            told.stderr.contains("ctl.sock") || told.stderr.contains("supervisor"),
            "{told:#?}"
        );
    }
}

/// A user without permission gets exit code 6 and a message.
#[test]
fn no_permission_is_six() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to become somebody else");
    }
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let mut ctl = std::process::Command::new("setpriv");
    ctl.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    // `nobody` may be unable to enter the build directory, so ctl is copied out of it.
    let copy = site.path("ctl");
    mattervisor_tests::install(&mattervisor_tests::binary("ctl"), &copy);
    ctl.arg(copy)
        .arg("--root")
        .arg(site.root())
        .args(["stop", "a"]);
    let told = run(&mut ctl).expect_code(6);
    assert!(!told.stderr.is_empty());
    assert_eq!(site.status().services[0].state, api::ServiceState::Running);
}

/// Status without names is 3 if a service that should run does not; completed oneshots and disabled
/// services do not count.
#[test]
fn status_is_three_when_something_is_down() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.child("once", &["exit=0"], "type = 'oneshot'");
    site.child("off", &["sleep"], "enable = false");
    site.start_ready();
    site.ctl(&["status"]).expect_code(0);
    site.ctl(&["stop", "a"]).ok();
    site.ctl(&["status"]).expect_code(3);
    site.ctl(&["status", "a"]).expect_code(3);
    site.ctl(&["status", "once"]).expect_code(0);
    let refused = site.ctl(&["start", "off"]);
    assert_eq!(refused.code, 1, "{refused:#?}");
    assert!(
        refused.stderr.contains("enable"),
        "it does not say how to enable it: {refused:#?}"
    );
}

/// All mistakes in all files are reported at once, with file and line, with no supervisor running.
#[test]
fn check_config_reports_everything_at_once_without_a_supervisor() {
    let site = Site::new();
    site.child("a", &["sleep"], "requires = ['bb']");
    site.child("b", &["sleep"], "wokring_dir = '/'");
    site.service("c", "command = ['{{ undefined_name }}']\n");
    site.site_file("nosuch.key = 1\n");
    let told = site.ctl(&["check-config"]).expect_code(1).both();
    for word in [
        "a.toml",
        "bb",
        "b.toml",
        "wokring_dir",
        "working_dir",
        "c.toml",
        "undefined_name",
        "mattervisor.toml",
        "nosuch",
    ] {
        assert!(told.contains(word), "no {word} in:\n{told}");
    }
    for name in ["a", "b", "c"] {
        site.without(name);
    }
    site.site_file("");
    site.child("a", &["sleep"], "");
    site.ctl(&["check-config"]).ok();
}

/// A client that comes while the supervisor is starting waits for the configuration, and is not
/// told that nothing is configured.
#[test]
fn the_first_answer_is_the_truth() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    let answer = std::thread::scope(|scope| {
        let early = scope.spawn(|| {
            let mut ctl = site.ctl_command();
            ctl.args(["status", "a"]);
            mattervisor_tests::eventually("an answer", || {
                let answer = run(&mut ctl);
                (answer.code != 5).then_some(answer)
            })
        });
        let mut supervisor = site.spawn_supervisor();
        let answer = early.join().unwrap();
        kill(supervisor.id().cast_signed(), Signal::SIGTERM);
        let _ = supervisor.wait();
        answer
    });
    assert!(matches!(answer.code, 0 | 3), "{answer:#?}");
    assert!(answer.stdout.contains('a'), "{answer:#?}");
    site.start();
}
