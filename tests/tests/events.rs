//! `ctl events`: the events of services, and the history of who changed what.

use mattervisor_tests::{Site, StatusExt, eventually, kill, requester};
use nix::sys::signal::Signal;

/// The records of changes, once `wanted` holds for them.
fn changes(
    site: &Site,
    arguments: &[&str],
    wanted: impl Fn(&[api::ChangeRecord]) -> bool,
) -> Vec<api::ChangeRecord> {
    let all = [&["events", "--changes", "--format", "json"], arguments].concat();
    // A record is written concurrently with its change, so it may come after the end of `ctl`.
    eventually("the changes are recorded", || {
        let told = site.ctl(&all).ok();
        let records: Vec<api::ChangeRecord> = told
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        wanted(&records).then_some(records)
    })
}

fn whats(records: &[api::ChangeRecord]) -> Vec<String> {
    let word = |record: &api::ChangeRecord| {
        format!(
            "{} {}: {}",
            record.what,
            record.services.join(" "),
            record.outcome
        )
    };
    records.iter().map(word).collect()
}

/// The history says who changed what and how it ended, also after the death of the control process
/// and a restart of the supervisor.
#[test]
fn changes_are_kept_with_who_and_how_they_ended() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.child("b", &["sleep"], "");
    let bad = site.file("bad");
    let broken = format!("shift-exit={bad}:1");
    let once = r#"
        [ready]
        notify = true
        [restart]
        policy = "never"
    "#;
    site.child("c", &[&broken, "notify=READY=1", "sleep"], once);
    site.start_ready();
    site.ctl(&["restart", "a"]).ok();
    site.ctl(&["stop", "b"]).ok();
    std::fs::write(&bad, "").unwrap();
    site.ctl(&["restart", "c"]).expect_code(1);
    site.ctl(&["hup", "b"]).expect_code(1);
    site.ctl(&["reconfigure"]).ok();
    let old = site.control_pid();
    kill(old, Signal::SIGKILL);
    site.ctl(&["start", "b"]).ok();
    let expected = [
        "restart a: done",
        "stop b: done",
        "restart c: failed",
        "signal HUP b: refused",
        "reconfigure : done",
        "start b: done",
    ];
    let records = changes(&site, &[], |records| {
        records.len() == expected.len() && records.iter().all(|it| it.ended_at.is_some())
    });
    assert_eq!(whats(&records), expected);
    let (uid, by) = (nix::unistd::Uid::effective().as_raw(), requester());
    assert!(records.iter().all(|it| (it.uid, &it.by) == (uid, &by)));
    assert!(records[2].detail.starts_with("c: "), "{:#?}", records[2]);
    assert_eq!(site.stop(), 0);
    site.start();
    let again = changes(&site, &["--since", "1h"], |records| !records.is_empty());
    assert_eq!(again, records);
    let of_b = changes(&site, &["-n", "2", "b"], |records| records.len() == 2);
    assert_eq!(whats(&of_b), ["signal HUP b: refused", "start b: done"]);
    let past = changes(&site, &["--until", "2020-01-01"], |_| true);
    assert_eq!(past, []);
    let table = site.ctl(&["events", "--changes", "-n1"]).ok().stdout;
    assert!(table.contains("start") && table.contains("done"), "{table}");
    site.ctl(&["events", "--changes", "nobody"]).expect_code(4);
}

/// A history that cannot be written fails no change. The failure is reported once, and no record is
/// missing once writing works again.
#[test]
fn a_history_that_cannot_be_written_fails_no_change() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    std::fs::create_dir_all(site.path("var/lib/mattervisor")).unwrap();
    let place = site.path("var/lib/mattervisor/changes");
    std::fs::write(&place, "in the way").unwrap();
    site.start_ready();
    for _ in 0..3 {
        site.ctl(&["restart", "a"]).ok();
    }
    let told = || {
        let events = site.ctl(&["events", "-n", "1000"]).ok().stdout;
        let said = events.matches("cannot record who changed what").count();
        (said, events.contains("changes are recorded again"))
    };
    eventually("it is told", || (told().0 == 1).then_some(()));
    assert_eq!(told(), (1, false));
    std::fs::remove_file(&place).unwrap();
    site.ctl(&["restart", "a"]).ok();
    let records = changes(&site, &[], |records| {
        records.len() == 4
            && records
                .iter()
                .all(|it| it.outcome == api::ChangeOutcome::Done)
    });
    assert_eq!(records.len(), 4);
    eventually("it is told", || told().1.then_some(()));
    assert_eq!(told().0, 1);
}

/// Events filtered by service and by time, and followed.
#[test]
fn events_are_filtered_by_name_and_time() {
    let mut site = Site::new();
    for name in ["web-1", "web-2", "db"] {
        site.child(name, &["sleep"], "");
    }
    site.start_ready();
    let names = |arguments: &[&str]| -> std::collections::BTreeSet<String> {
        let all = [&["events", "--format", "json"], arguments].concat();
        let told = site.ctl(&all).ok().stdout;
        let event = |line| serde_json::from_str::<api::ServiceEvent>(line).unwrap();
        told.lines().map(|line| event(line).service).collect()
    };
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(names(&["--since", "1h", "web-*"]), set(&["web-1", "web-2"]));
    assert_eq!(names(&["--since", "today", "db"]), set(&["db"]));
    assert_eq!(names(&["--until", "yesterday"]), set(&[]));
    site.ctl(&["events", "nobody"]).expect_code(4);
    let mut command = site.ctl_command();
    command.args(["events", "-f", "-n0", "db"]);
    let mut follow = mattervisor_tests::Running::start(&mut command);
    let pid = site.status().pid("web-1");
    site.ctl(&["restart", "web-1"]).ok();
    site.wait_reborn("web-1", pid);
    assert!(!follow.has_ended());
}

/// A reconfigure without a waiting client has its outcome in the history, although the control
/// process that accepted it died.
#[test]
fn a_reconfigure_that_was_left_alone_ends_in_the_history() {
    let mut site = Site::new();
    for number in 0..3 {
        site.child(&format!("s{number}"), &["sleep"], "");
    }
    site.start_ready();
    for round in 0..4 {
        for number in 0..3 {
            site.child(
                &format!("s{number}"),
                &["sleep"],
                &format!("[env]\nROUND = '{round}'"),
            );
        }
        site.ctl(&["reconfigure", "--no-wait"]).ok();
        kill(site.control_pid(), Signal::SIGKILL);
        let records = changes(&site, &[], |records| {
            records.len() == round + 1 && records.iter().all(|it| it.ended_at.is_some())
        });
        assert!(
            records
                .iter()
                .all(|it| it.outcome == api::ChangeOutcome::Done),
            "{records:#?}"
        );
    }
}

/// A client that follows events misses none, gets none twice and sees no gap when the control
/// process dies.
#[test]
fn events_are_followed_over_the_death_of_control() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.child("b", &["sleep"], "");
    site.start_ready();
    let mut command = site.ctl_command();
    command.args(["events", "-f", "-n", "1", "--format", "json"]);
    let lines = mattervisor_tests::Events::lines(&mut command);
    let events = || -> Vec<api::ServiceEvent> {
        let event = |line: &String| serde_json::from_str(line).unwrap();
        lines.all().iter().map(event).collect()
    };
    eventually("it follows", || (!lines.is_empty()).then_some(()));
    let restarts = |service: &str| {
        let of_it =
            |it: &&api::ServiceEvent| it.kind == api::EventKind::Change && it.service == service;
        events().iter().filter(of_it).count()
    };
    for round in 1..=5 {
        site.ctl(&["restart", "a"]).ok();
        kill(site.control_pid(), Signal::SIGKILL);
        site.ctl(&["restart", "b"]).ok();
        eventually("both are told", || {
            (restarts("a") == round && restarts("b") == round).then_some(())
        });
    }
    let events = events();
    assert!(
        events.iter().all(|it| it.kind != api::EventKind::Gap),
        "{events:#?}"
    );
    let numbers: Vec<u64> = events.iter().map(|it| it.seq).collect();
    let expected: Vec<u64> = (numbers[0]..=numbers[numbers.len() - 1]).collect();
    assert_eq!(numbers, expected);
    assert_eq!(site.stop(), 0, "{}", site.supervisor_log());
}
