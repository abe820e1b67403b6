//! Each mistake has its own message and exit code.

use mattervisor_tests::{World, kill, run, skip};
use nix::sys::signal::Signal;

/// An unknown name is an error with the nearest name, and nothing is done.
#[test]
fn an_unknown_name_is_four_with_the_nearest_name() {
    let mut world = World::new();
    world.child("mattermost", &["sleep"], "");
    world.child("nginx", &["sleep"], "");
    world.start_ready();
    let before = world.status();
    for verb in [
        "status", "start", "stop", "restart", "reload", "hup", "why", "logs", "wait",
    ] {
        let told = world.ctl(&[verb, "mattermots"]);
        assert_eq!(told.code, 4, "{verb}: {told:#?}");
        assert!(told.stderr.contains("mattermost"), "{verb}: {told:#?}");
    }
    assert_eq!(world.ctl(&["stop", "nginx", "mattermots"]).code, 4);
    assert_eq!(
        world.status().services[1].pid,
        before.services[1].pid,
        "half of it was done"
    );
}

/// A typo in a command is usage, with the nearest command.
#[test]
fn a_typo_in_a_command_is_two() {
    let world = World::new();
    let told = world.ctl(&["statsu"]).expect_code(2);
    assert!(told.stderr.contains("status"), "{told:#?}");
    world.ctl(&["stop", "--frobnicate"]).expect_code(2);
    world.ctl(&["reload"]).expect_code(2);
}

/// No supervisor is 5, and says where it was looked for.
#[test]
fn no_supervisor_is_five() {
    let world = World::new();
    for verb in ["status", "start", "stop"] {
        let told = world.ctl(&[verb]).expect_code(5);
        assert!(
            told.stderr.contains("ctl.sock") || told.stderr.contains("supervisor"),
            "{told:#?}"
        );
    }
}

/// Somebody without rights is told so.
#[test]
fn no_permission_is_six() {
    if !nix::unistd::geteuid().is_root() {
        skip!("needs root to become somebody else");
    }
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.start_ready();
    let mut ctl = std::process::Command::new("setpriv");
    ctl.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    // nobody cannot enter the build's own directory, perhaps.
    let copy = world.path("ctl");
    mattervisor_tests::install(&mattervisor_tests::binary("ctl"), &copy);
    ctl.arg(copy)
        .arg("--root")
        .arg(world.root())
        .args(["stop", "a"]);
    let told = run(&mut ctl).expect_code(6);
    assert!(!told.stderr.is_empty());
    assert_eq!(world.status().services[0].state, "running");
}

/// Status without names is 3 if something that should run does not; completed oneshots and
/// disabled services do not count against it.
#[test]
fn status_is_three_when_something_is_down() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.child("once", &["exit=0"], "type = \"oneshot\"");
    world.child("off", &["sleep"], "enable = false");
    world.start_ready();
    world.ctl(&["status"]).expect_code(0);
    world.ctl(&["stop", "a"]).ok();
    world.ctl(&["status"]).expect_code(3);
    world.ctl(&["status", "a"]).expect_code(3);
    world.ctl(&["status", "once"]).expect_code(0);
    let refused = world.ctl(&["start", "off"]);
    assert_eq!(refused.code, 1, "{refused:#?}");
    assert!(
        refused.stderr.contains("enable"),
        "it does not say how to enable it: {refused:#?}"
    );
}

/// All mistakes in all files are reported at once, with file and line, with no supervisor running.
#[test]
fn check_config_reports_everything_at_once_without_a_supervisor() {
    let world = World::new();
    world.child("a", &["sleep"], "requires = [\"bb\"]");
    world.child("b", &["sleep"], "wokring_dir = \"/\"");
    world.service("c", "command = [\"{{ undefined_name }}\"]\n");
    world.site("nosuch.key = 1\n");
    let told = world.ctl(&["check-config"]).expect_code(1).both();
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
        world.without(name);
    }
    world.site("");
    world.child("a", &["sleep"], "");
    world.ctl(&["check-config"]).ok();
}

/// The first answer that anybody gets is the truth: a client that comes while the supervisor is
/// starting waits, and is not told that nothing is configured.
#[test]
fn the_first_answer_is_the_truth() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    let answer = std::thread::scope(|scope| {
        let early = scope.spawn(|| {
            let mut ctl = world.ctl_command();
            ctl.args(["status", "a"]);
            mattervisor_tests::eventually("an answer", || {
                let answer = run(&mut ctl);
                (answer.code != 5).then_some(answer)
            })
        });
        let mut supervisor = world.spawn_supervisor();
        let answer = early.join().unwrap();
        kill(supervisor.id().cast_signed(), Signal::SIGTERM);
        let _ = supervisor.wait();
        answer
    });
    assert!(matches!(answer.code, 0 | 3), "{answer:#?}");
    assert!(answer.stdout.contains('a'), "{answer:#?}");
    world.start();
}
