//! How and why runs ended: as events, in the history of exits, in `ctl why`, and in the log.

use std::time::Duration;

use api::{ExitCause, ExitRecord, NextRun};
use mattervisor_tests::{Site, StatusExt, alive, eventually, kill};
use nix::sys::signal::Signal;

/// The records of ended runs of a service, once there are `count`.
fn exits(site: &Site, name: &str, count: usize) -> Vec<ExitRecord> {
    let ask = [
        "events", "--exits", "--since", "1h", "--format", "json", name,
    ];
    eventually("the ends are recorded", || {
        let told = site.ctl(&ask);
        let records: Vec<ExitRecord> = told
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(records.len() <= count, "{records:#?}");
        (records.len() == count).then_some(records)
    })
}

/// Kills the main process, waits for the next, and returns the pid of the killed one.
fn kill_main(site: &Site, name: &str) -> i32 {
    let pid = site.status().pid(name);
    kill(pid, Signal::SIGKILL);
    site.wait_for("it runs again", |status| {
        status.ready(name) && status.service(name).pid != Some(pid)
    });
    pid
}

#[test]
fn every_end_is_kept_with_its_cause_over_deaths_of_control_and_restarts_of_the_daemon() {
    let mut site = Site::new();
    let again = r#"
        [restart]
        delay = "10ms"
        max_delay = "10ms"
    "#;
    site.child("a", &["print=last words", "sleep"], again);
    site.start_ready();
    site.wait_log("a", |line| line == "last words");
    let first = kill_main(&site, "a");
    let old = site.control_pid();
    kill(old, Signal::SIGKILL);
    let second = kill_main(&site, "a");
    site.ctl(&["restart", "a"]).ok();
    let records = exits(&site, "a", 3);
    let pids: Vec<Option<i32>> = records.iter().map(|it| it.pid).collect();
    assert_eq!(pids[..2], [Some(first), Some(second)]);
    for crash in &records[..2] {
        assert_eq!(crash.signal.as_deref(), Some("KILL"), "{crash:#?}");
        assert_eq!(crash.cause, ExitCause::Itself);
        assert!(crash.ran_ms.is_some() && crash.is_automatic_restart());
    }
    let ExitCause::Change { what, .. } = &records[2].cause else {
        panic!("{records:#?}");
    };
    assert_eq!(
        (what.as_str(), &records[2].next),
        ("restart", &NextRun::Start)
    );

    // The events say the same in words.
    let told = site.ctl(&["events", "a"]).ok().stdout;
    assert!(told.contains("killed by KILL after "), "{told}");
    assert!(told.contains("; starts again at once"), "{told}");

    // The records are there after a restart of the supervisor.
    assert_eq!(site.stop(), 0);
    site.start_ready();
    let again = exits(&site, "a", 4);
    assert_eq!(again[..3], records);
    assert_eq!(again[3].cause, ExitCause::Shutdown, "{again:#?}");
    let why = site.ctl(&["why", "a"]).ok().stdout;
    let at = &records[1].at;
    assert!(
        why.contains(&format!(
            "restarted automatically at {at}, because its run ended: killed by KILL"
        )),
        "{why}"
    );
    assert!(why.contains("2 times in the last 24 h"), "{why}");
    assert!(why.contains(" last words"), "{why}");
    site.ctl(&["events", "--exits", "nobody"]).expect_code(4);
}

#[test]
fn a_log_has_a_mark_behind_each_run() {
    let mut site = Site::new();
    let never = "[restart]\npolicy = 'never'";
    site.child("a", &["print=one", "exit=3"], never);
    site.start_ready();
    let log = eventually("the mark is there", || {
        let log = site.log("a");
        (log.len() >= 2).then_some(log)
    });
    assert_eq!(log[0], "one");
    assert!(
        log[1].starts_with("[mattervisor] pid ") && log[1].contains(" ended: exit code 3 after "),
        "{log:#?}"
    );
}

/// The next supervisor records the end of a run that died unobserved with its supervisor, once.
#[test]
fn what_ends_with_a_killed_supervisor_is_told_by_the_next_one() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let pid = site.status().pid("a");
    eventually("it is on the disk that it runs", || {
        let path = site.path("var/lib/mattervisor/running.json");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.contains(&pid.to_string()).then_some(())
    });
    let control = site.control_pid();
    site.signal(Signal::SIGKILL);
    site.wait_end(Duration::from_secs(5));
    eventually("control ends too", || (!alive(control)).then_some(()));
    site.start_ready();
    let record = exits(&site, "a", 1).remove(0);
    assert_eq!(
        (record.pid, record.code, record.signal),
        (Some(pid), None, None)
    );
    assert_eq!(record.cause, ExitCause::SupervisorKilled);
    // An orderly shutdown adds one record, of its own run.
    assert_eq!(site.stop(), 0);
    site.start_ready();
    assert_eq!(exits(&site, "a", 2)[1].cause, ExitCause::Shutdown);
}

/// After a signal by `ctl` the history names that command as the cause.
#[test]
fn a_signal_by_command_is_the_cause() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    site.ctl(&["kill", "a"]).ok();
    let record = exits(&site, "a", 1).remove(0);
    let ExitCause::Change { what, .. } = &record.cause else {
        panic!("{record:#?}");
    };
    assert_eq!(what, "signal KILL");
}

#[test]
fn a_restart_for_a_file_that_changed_says_which() {
    let mut site = Site::new();
    let list = site.path("list");
    std::fs::write(&list, "1").unwrap();
    let path = list.display().to_string();
    let watches = format!(
        "
            [[watches]]
            path = '{path}'
            on_change = 'restart'
        "
    );
    site.child("a", &["sleep"], &watches);
    site.child("above", &["sleep"], "requires = ['a']");
    site.start_ready();
    let pid = site.status().pid("a");
    std::fs::write(&list, "2").unwrap();
    site.wait_reborn("a", pid);
    site.wait_for("all are up", |status| status.ready("above"));
    let record = exits(&site, "a", 1).remove(0);
    assert_eq!(
        record.cause,
        ExitCause::Files {
            paths: vec![path.clone()],
            more: 0
        }
    );
    let along = exits(&site, "above", 1).remove(0);
    assert_eq!(along.cause, ExitCause::Dependency { on: "a".to_owned() });
    let because = format!("(restarted because {path} changed)");
    let told = site
        .ctl(&["events", "--exits", "--since", "1h", "a"])
        .ok()
        .stdout;
    assert!(told.contains(&because), "{told}");
    let why = site.ctl(&["why", "a"]).ok().stdout;
    assert!(why.contains("restarted automatically at "), "{why}");
    assert!(why.contains(&because), "{why}");
}

/// The power may fail when an end is in the history and not yet in `running.json`: the end is
/// recorded once.
#[test]
fn an_end_that_is_in_the_history_is_not_found_out_again() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "[restart]\npolicy = 'never'");
    site.start_ready();
    let pid = site.status().pid("a");
    let file = site.path("var/lib/mattervisor/running.json");
    let stored = eventually("it is on the disk that it runs", || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.contains(&pid.to_string()).then_some(text)
    });
    kill(pid, Signal::SIGKILL);
    let crash = exits(&site, "a", 1);
    assert_eq!(site.stop(), 0);
    std::fs::write(&file, stored).unwrap();
    site.start_ready();
    let again = exits(&site, "a", 1);
    assert_eq!(again, crash);
    eventually("the file is as things are", || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        (!text.contains(&format!("\"pid\": {pid},"))).then_some(())
    });
}
