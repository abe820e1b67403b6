//! Oneshots that run by a schedule.

use std::{fs, time::SystemTime};

use mattervisor_tests::{Site, StatusExt, eventually, stamps};

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

/// Writes the state of an earlier supervisor, which has handled the scheduled times up to `ms`.
fn handled(site: &Site, name: &str, ms: u128) {
    let dir = site.path("var/lib/mattervisor");
    fs::create_dir_all(&dir).unwrap();
    fs::write(
        dir.join("schedule.json"),
        format!("{{\"until\": {{\"{name}\": {ms}}}}}"),
    )
    .unwrap();
}

#[test]
fn a_oneshot_runs_at_its_time_and_not_with_the_daemon() {
    let mut site = Site::new();
    let runs = site.path("runs");
    let verb = format!("file={}", runs.display());
    site.child(
        "job",
        &[&verb],
        "type = 'oneshot'\nschedule = '* * * * *'\n",
    );
    site.child("needs-it", &["sleep"], "after = ['job']\n");
    site.env("TZ", &zone_with_minute_in(10));
    site.start_ready();
    let status = site.status();
    let job = status.service("job");
    if stamps(&runs).is_empty() {
        // Between its runs the oneshot is completed and ready.
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
        site.ctl(&["status"]).ok();
    }
    assert!(status.ready("needs-it"), "it waits for nobody that rests");
    eventually("the job runs", || (stamps(&runs).len() == 1).then_some(()));
    let status = site.wait_for("it has run", |it| it.service("job").last_exit.is_some());
    let next = status.service("job").next_try_ms.unwrap();
    assert!((1..=60_000).contains(&next), "{status:#?}");
    let events = site.ctl(&["events", "job", "-n", "20"]).ok().stdout;
    assert!(events.contains("its time has come"), "{events}");
}

#[test]
fn what_was_missed_while_the_daemon_was_down_is_made_up_for_if_asked_for() {
    let mut site = Site::new();
    let (owed, lost) = (site.path("owed"), site.path("lost"));
    let daily = r#"
        type = "oneshot"
        [schedule]
        at = "00:00"
    "#;
    let verb = format!("file={}", owed.display());
    site.child("owed", &[&verb], &format!("{daily}catch_up = true\n"));
    site.start_ready();
    // The oneshot was never due, so it has not run.
    assert!(stamps(&owed).is_empty());
    site.stop();
    handled(&site, "owed", now_ms() - 3 * DAY_MS);
    let verb = format!("file={}", lost.display());
    site.child("lost", &[&verb], daily);
    site.start_ready();
    eventually("it is made up for", || {
        (stamps(&owed).len() == 1).then_some(())
    });
    site.wait_for("it has run", |it| it.service("owed").last_exit.is_some());
    assert!(stamps(&lost).is_empty());
    // The next supervisor knows of the run and does not repeat it.
    site.stop();
    site.start_ready();
    assert_eq!(stamps(&owed).len(), 1);
    assert_eq!(site.status().service("owed").last_exit, None);
}

#[test]
fn a_held_one_does_not_run_and_a_named_one_runs_now() {
    let mut site = Site::new();
    let runs = site.path("runs");
    let verb = format!("file={}", runs.display());
    let more = r#"
        type = "oneshot"
        [schedule]
        at = "00:00"
        catch_up = true
    "#;
    site.child("job", &[&verb], more);
    site.start_ready();
    site.ctl(&["start", "job"]).ok();
    assert_eq!(
        stamps(&runs).len(),
        1,
        "a start by hand is no matter of time"
    );
    site.ctl(&["stop", "job"]).ok();
    site.stop();
    handled(&site, "job", now_ms() - 3 * DAY_MS);
    site.start_ready();
    let skipped = eventually("it is told", || {
        let said = site.ctl(&["events", "job", "-n", "50"]).stdout;
        said.lines()
            .find(|line| line.contains("skipped"))
            .map(str::to_owned)
    });
    assert!(skipped.contains("stopped by"), "{skipped}");
    assert_eq!(stamps(&runs).len(), 1);
}
