//! `ctl events`: what has happened, and who changed what.

use mattervisor_tests::{StatusExt, World, eventually, kill};
use nix::sys::signal::Signal;

/// The records of changes once they are as wanted.
fn changes(
    world: &World,
    arguments: &[&str],
    wanted: impl Fn(&[api::ChangeRecord]) -> bool,
) -> Vec<api::ChangeRecord> {
    let all = [&["events", "--changes", "--format", "json"], arguments].concat();
    // They are written beside the change, not before its end.
    eventually("the changes are recorded", || {
        let told = world.ctl(&all).ok();
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

/// Who changed what, when, and how it ended: also after the control process and the daemon died.
#[test]
fn changes_are_kept_with_who_and_how_they_ended() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.child("b", &["sleep"], "");
    let bad = world.file("bad");
    let broken = format!("shift-exit={bad}:1");
    let once = "[ready]\nnotify = true\n[restart]\npolicy = \"never\"";
    world.child("c", &[&broken, "notify=READY=1", "sleep"], once);
    world.start_ready();
    world.ctl(&["restart", "a"]).ok();
    world.ctl(&["stop", "b"]).ok();
    std::fs::write(&bad, "").unwrap();
    world.ctl(&["restart", "c"]).expect_code(1);
    world.ctl(&["hup", "b"]).expect_code(1);
    world.ctl(&["reconfigure"]).ok();
    let old = world.control_pid();
    kill(old, Signal::SIGKILL);
    world.ctl(&["start", "b"]).ok();
    let expected = [
        "restart a: done",
        "stop b: done",
        "restart c: failed",
        "signal HUP b: refused",
        "reconfigure : done",
        "start b: done",
    ];
    let records = changes(&world, &[], |records| {
        records.len() == expected.len() && records.iter().all(|it| it.ended_at.is_some())
    });
    assert_eq!(whats(&records), expected);
    let user = nix::unistd::Uid::effective();
    assert!(records.iter().all(|record| record.uid == user.as_raw()));
    if user.is_root() {
        assert!(records.iter().all(|record| record.by == "root"));
    }
    assert!(records[2].detail.starts_with("c: "), "{:#?}", records[2]);
    assert_eq!(world.stop(), 0);
    world.start();
    let again = changes(&world, &["--since", "1h"], |records| !records.is_empty());
    assert_eq!(again, records);
    let of_b = changes(&world, &["-n", "2", "b"], |records| records.len() == 2);
    assert_eq!(whats(&of_b), ["signal HUP b: refused", "start b: done"]);
    let past = changes(&world, &["--until", "2020-01-01"], |_| true);
    assert_eq!(past, []);
    let table = world.ctl(&["events", "--changes", "-n1"]).ok().stdout;
    assert!(table.contains("start") && table.contains("done"), "{table}");
    world.ctl(&["events", "--changes", "nobody"]).expect_code(4);
}

/// A history that cannot be written delays and fails no change; it is told once, and nothing of it
/// is lost when it can be written again.
#[test]
fn a_history_that_cannot_be_written_fails_no_change() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    std::fs::create_dir_all(world.path("var/lib/mattervisor")).unwrap();
    let place = world.path("var/lib/mattervisor/changes");
    std::fs::write(&place, "in the way").unwrap();
    world.start_ready();
    for _ in 0..3 {
        world.ctl(&["restart", "a"]).ok();
    }
    let told = || {
        let events = world.ctl(&["events", "-n", "1000"]).ok().stdout;
        let said = events.matches("cannot record who changed what").count();
        (said, events.contains("changes are recorded again"))
    };
    eventually("it is told", || (told().0 == 1).then_some(()));
    assert_eq!(told(), (1, false));
    std::fs::remove_file(&place).unwrap();
    world.ctl(&["restart", "a"]).ok();
    let records = changes(&world, &[], |records| {
        records.len() == 4 && records.iter().all(|it| it.outcome == "done")
    });
    assert_eq!(records.len(), 4);
    eventually("it is told", || told().1.then_some(()));
    assert_eq!(told().0, 1);
}

/// Events of some services, since some time, and those to come.
#[test]
fn events_are_filtered_by_name_and_time() {
    let mut world = World::new();
    for name in ["web-1", "web-2", "db"] {
        world.child(name, &["sleep"], "");
    }
    world.start_ready();
    let names = |arguments: &[&str]| -> std::collections::BTreeSet<String> {
        let all = [&["events", "--format", "json"], arguments].concat();
        let told = world.ctl(&all).ok().stdout;
        let event = |line| serde_json::from_str::<api::ServiceEvent>(line).unwrap();
        told.lines().map(|line| event(line).service).collect()
    };
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(names(&["--since", "1h", "web-*"]), set(&["web-1", "web-2"]));
    assert_eq!(names(&["--since", "today", "db"]), set(&["db"]));
    assert_eq!(names(&["--until", "yesterday"]), set(&[]));
    world.ctl(&["events", "nobody"]).expect_code(4);
    let mut command = world.ctl_command();
    command.args(["events", "-f", "-n0", "db"]);
    let mut follow = mattervisor_tests::Running::start(&mut command);
    let pid = world.status().pid("web-1");
    world.ctl(&["restart", "web-1"]).ok();
    world.wait_reborn("web-1", pid);
    assert!(!follow.has_ended());
}

/// A reconfigure that nobody waited for ends in the history as what it became, though the control
/// process that took it died.
#[test]
fn a_reconfigure_that_was_left_alone_ends_in_the_history() {
    let mut world = World::new();
    for number in 0..3 {
        world.child(&format!("s{number}"), &["sleep"], "");
    }
    world.start_ready();
    for round in 0..4 {
        for number in 0..3 {
            world.child(
                &format!("s{number}"),
                &["sleep"],
                &format!("[env]\nROUND = '{round}'"),
            );
        }
        world.ctl(&["reconfigure", "--no-wait"]).ok();
        kill(world.control_pid(), Signal::SIGKILL);
        let records = changes(&world, &[], |records| {
            records.len() == round + 1 && records.iter().all(|it| it.ended_at.is_some())
        });
        assert!(
            records.iter().all(|it| it.outcome == "done"),
            "{records:#?}"
        );
    }
}

/// Who follows events loses none, gets none twice and is told of no gap when the control process dies.
#[test]
fn events_are_followed_over_the_death_of_control() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.child("b", &["sleep"], "");
    world.start_ready();
    let mut command = world.ctl_command();
    command.args(["events", "-f", "-n", "1", "--format", "json"]);
    let lines = mattervisor_tests::Events::lines(&mut command);
    let events = || -> Vec<api::ServiceEvent> {
        let event = |line: &String| serde_json::from_str(line).unwrap();
        lines.all().iter().map(event).collect()
    };
    eventually("it follows", || (!lines.is_empty()).then_some(()));
    let restarts = |service: &str| {
        let of_it = |it: &&api::ServiceEvent| it.kind == "change" && it.service == service;
        events().iter().filter(of_it).count()
    };
    for round in 1..=5 {
        world.ctl(&["restart", "a"]).ok();
        kill(world.control_pid(), Signal::SIGKILL);
        world.ctl(&["restart", "b"]).ok();
        eventually("both are told", || {
            (restarts("a") == round && restarts("b") == round).then_some(())
        });
    }
    let events = events();
    assert!(events.iter().all(|it| it.kind != "gap"), "{events:#?}");
    let numbers: Vec<u64> = events.iter().map(|it| it.seq).collect();
    let expected: Vec<u64> = (numbers[0]..=numbers[numbers.len() - 1]).collect();
    assert_eq!(numbers, expected);
    assert_eq!(world.stop(), 0, "{}", world.supervisor_log());
}
