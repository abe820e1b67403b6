//! No process of a service outlives its run.

use mattervisor_tests::{
    Site, StatusExt, StatusReply, alive, children, eventually, kill, lines, status_field,
};
use nix::sys::signal::Signal;

/// The pids that `testchild` has noted; waits for `count` of them.
fn noted(site: &Site, file: &str, count: usize) -> Vec<i32> {
    eventually("the left processes are noted", || {
        let pids: Vec<i32> = lines(&site.path(file))
            .iter()
            .filter_map(|line| line.parse().ok())
            .collect();
        (pids.len() >= count).then_some(pids)
    })
}

fn assert_gone(pids: &[i32]) {
    for pid in pids {
        eventually(&format!("{pid} is gone"), || (!alive(*pid)).then_some(()));
    }
}

/// Behaviour 25: a child in the same group dies with its service, also one that ignores SIGTERM.
#[test]
fn b25_grandchildren_in_the_same_group_die_with_the_stop() {
    let mut site = Site::new();
    let left = site.file("left");
    site.child(
        "a",
        &[
            &format!("child={left}"),
            &format!("stubborn-child={left}"),
            "sleep",
        ],
        "",
    );
    site.start_ready();
    let pids = noted(&site, "left", 2);
    site.ctl(&["stop", "a"]).ok();
    for pid in &pids {
        assert!(!alive(*pid), "{pid} lives after `ctl stop` has returned");
    }
}

/// Behaviour 26: a child in a session of its own, or a daemon, ends with its service, too.
#[test]
fn b26_setsid_and_double_forked_grandchildren_die_too() {
    let mut site = Site::new();
    let left = site.file("left");
    let verbs = [
        format!("setsid-child={left}"),
        format!("double-fork-keep-log={left}"),
        format!("double-fork={left}"),
        "sleep".to_owned(),
    ];
    let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
    site.child("a", &verbs, "");
    site.start_ready();
    let pids = noted(&site, "left", 3);
    site.ctl(&["stop", "a"]).ok();
    for pid in &pids {
        assert!(!alive(*pid), "{pid} lives after `ctl stop` has returned");
    }
}

/// A crash of the main process is followed by the same sweep, before the next run.
#[test]
fn a_crash_is_swept_before_the_next_run() {
    let mut site = Site::new();
    let left = site.file("left");
    site.child(
        "a",
        &[
            &format!("setsid-child={left}"),
            &format!("stubborn-child={left}"),
            "sleep",
        ],
        "",
    );
    site.start_ready();
    let first = noted(&site, "left", 2);
    let pid = site.status().pid("a");
    kill(pid, Signal::SIGKILL);
    site.wait_reborn("a", pid);
    for old in &first[..2] {
        assert!(
            !alive(*old),
            "{old} of the first run lives beside the second"
        );
    }
    assert!(site.status().ready("a"));
}

/// Behaviour 27: a grandchild that holds stdout does not delay the notice of the exit.
#[test]
fn b27_a_grandchild_that_holds_stdout_does_not_delay_the_exit() {
    let mut site = Site::new();
    site.child(
        "a",
        &["hold-pipe=600", "print=leaving", "exit=5"],
        "[restart]\npolicy = 'never'",
    );
    site.start_ready();
    let status = site.wait_state("a", "failed");
    assert_eq!(
        status.service("a").last_exit.as_ref().unwrap().code,
        Some(5)
    );
    let log = site.log("a");
    let own = log.iter().rfind(|line| !line.starts_with("[mattervisor]"));
    assert_eq!(own.map(String::as_str), Some("leaving"));
}

/// Behaviour 28: orphans are reaped; no zombies stay, not even under churn.
#[test]
fn b28_orphans_are_reaped() {
    let mut site = Site::new();
    site.child("a", &["orphans=40", "print=left", "sleep"], "");
    site.child(
        "b",
        &["orphans=20", "exit=1"],
        r#"
            [restart]
            delay = "5ms"
            max_delay = "5ms"
        "#,
    );
    site.start_ready();
    site.wait_log("a", |line| line == "left");
    site.wait_for("churn", |status| status.service("b").restarts > 5);
    site.ctl(&["stop", "b"]).ok();
    let keeper = site.keeper_pid();
    eventually("no zombie is left", || {
        let zombie =
            |pid: &i32| status_field(*pid, "State").is_some_and(|state| state.starts_with('Z'));
        (!children(keeper).iter().any(zombie)).then_some(())
    });
}

/// A oneshot that ends by itself leaves no process either.
#[test]
fn what_a_oneshot_leaves_is_swept() {
    let mut site = Site::new();
    let left = site.file("left");
    site.child(
        "once",
        &[
            &format!("setsid-child={left}"),
            &format!("double-fork={left}"),
        ],
        "type = 'oneshot'",
    );
    site.start_ready();
    assert_eq!(site.status().state("once"), "completed");
    assert_gone(&noted(&site, "left", 2));
}

/// A daemon without a trace of its service is not killed; a warning names it.
#[test]
fn what_belongs_to_no_service_is_a_warning_of_the_supervisor() {
    let mut site = Site::new();
    site.env("MATTERVISOR_NO_CGROUP", "1");
    let left = site.file("left");
    let script = format!(
        "(setsid env -i /bin/sh -c 'echo $$ > {left}; exec /bin/sleep 300' >/dev/null 2>&1 &) & wait; \
         exec /bin/sleep 300"
    );
    let command = format!("command = ['/bin/sh', '-c', '''{script}''']\n");
    site.service("a", &command);
    site.start_ready();
    let pid = noted(&site, "left", 1)[0];
    site.ctl(&["stop", "a"]).ok();
    let named = format!("pid {pid} (sleep), started at ");
    let warned = |status: &StatusReply| {
        let mut warnings = status.supervisor.warnings.iter();
        warnings.any(|it| it.contains(&named))
    };
    site.wait_for("a warning", warned);
    assert!(alive(pid));
    kill(pid, Signal::SIGKILL);
    site.wait_for("no warning", |status| !warned(status));
}
