//! Oneshots that run by the clock.

use std::{fs, time::SystemTime};

use mattervisor_tests::{StatusExt, World, eventually, stamps};

const DAY_MS: u128 = 86_400_000;

fn now_ms() -> u128 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_millis()
}

/// A time zone in which a minute begins in so many seconds.
fn zone_with_minute_in(seconds: u128) -> String {
    let second = now_ms() / 1000 % 60;
    let east = (120 - seconds - second) % 60;
    format!("<TST>-0:00:{east:02}")
}

/// What an earlier daemon left: times up to then have been handled.
fn handled(world: &World, name: &str, ms: u128) {
    let dir = world.path("var/lib/mattervisor");
    fs::create_dir_all(&dir).unwrap();
    fs::write(
        dir.join("schedule.json"),
        format!("{{\"until\": {{\"{name}\": {ms}}}}}"),
    )
    .unwrap();
}

#[test]
fn a_oneshot_runs_at_its_time_and_not_with_the_daemon() {
    let mut world = World::new();
    let runs = world.path("runs");
    let verb = format!("file={}", runs.display());
    world.child(
        "job",
        &[&verb],
        "type = \"oneshot\"\nschedule = \"* * * * *\"\n",
    );
    world.child("needs-it", &["sleep"], "after = [\"job\"]\n");
    world.env("TZ", &zone_with_minute_in(10));
    world.start_ready();
    let status = world.status();
    let job = status.service("job");
    if stamps(&runs).is_empty() {
        // It rests, and that is how it should be.
        assert_eq!(
            (job.state.as_str(), job.ready),
            ("completed", true),
            "{job:#?}"
        );
        assert!(job.next_try_ms.is_some_and(|ms| ms <= 60_000), "{job:#?}");
        assert!(
            job.reason.as_ref().unwrap().contains("next run 20"),
            "{job:#?}"
        );
        world.ctl(&["status"]).ok();
    }
    assert!(status.ready("needs-it"), "it waits for nobody that rests");
    eventually("the job runs", || (stamps(&runs).len() == 1).then_some(()));
    let status = world.wait_for("it has run", |it| it.service("job").last_exit.is_some());
    let next = status.service("job").next_try_ms.unwrap();
    assert!((1..=60_000).contains(&next), "{status:#?}");
    let events = world.ctl(&["events", "job", "-n", "20"]).ok().stdout;
    assert!(events.contains("its time has come"), "{events}");
}

#[test]
fn what_was_missed_while_the_daemon_was_down_is_made_up_for_if_asked_for() {
    let mut world = World::new();
    let (owed, lost) = (world.path("owed"), world.path("lost"));
    let daily = "type = \"oneshot\"\n[schedule]\nat = \"00:00\"\n";
    let verb = format!("file={}", owed.display());
    world.child("owed", &[&verb], &format!("{daily}catch_up = true\n"));
    world.start_ready();
    // It was never due, so nothing is owed.
    assert!(stamps(&owed).is_empty());
    world.stop();
    handled(&world, "owed", now_ms() - 3 * DAY_MS);
    let verb = format!("file={}", lost.display());
    world.child("lost", &[&verb], daily);
    world.start_ready();
    eventually("it is made up for", || {
        (stamps(&owed).len() == 1).then_some(())
    });
    world.wait_for("it has run", |it| it.service("owed").last_exit.is_some());
    assert!(stamps(&lost).is_empty());
    // And that is remembered.
    world.stop();
    world.start_ready();
    assert_eq!(stamps(&owed).len(), 1);
    assert_eq!(world.status().service("owed").last_exit, None);
}

#[test]
fn a_held_one_does_not_run_and_a_named_one_runs_now() {
    let mut world = World::new();
    let runs = world.path("runs");
    let verb = format!("file={}", runs.display());
    let more = "type = \"oneshot\"\n[schedule]\nat = \"00:00\"\ncatch_up = true\n";
    world.child("job", &[&verb], more);
    world.start_ready();
    world.ctl(&["start", "job"]).ok();
    assert_eq!(
        stamps(&runs).len(),
        1,
        "a start by hand is no matter of time"
    );
    world.ctl(&["stop", "job"]).ok();
    world.stop();
    handled(&world, "job", now_ms() - 3 * DAY_MS);
    world.start_ready();
    let skipped = eventually("it is told", || {
        let said = world.ctl(&["events", "job", "-n", "50"]).stdout;
        said.lines()
            .find(|line| line.contains("skipped"))
            .map(str::to_owned)
    });
    assert!(skipped.contains("stopped by"), "{skipped}");
    assert_eq!(stamps(&runs).len(), 1);
}
