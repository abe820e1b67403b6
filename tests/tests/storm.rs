//! A hundred services that end at once.

use std::{fs, time::Duration};

use mattervisor_tests::{Site, eventually, lines};

/// `ctl` stays in control of a hundred crash loops, and a stop of all of them holds.
#[test]
fn a_hundred_crash_loops_stay_controllable() {
    const COUNT: usize = 100;
    let mut site = Site::new();
    for number in 0..COUNT {
        site.child(
            &format!("s{number:03}"),
            &["exit=1"],
            "[restart]\nlimit = { starts = 1000000, within = '1m' }",
        );
    }
    site.child("fine", &["sleep"], "");
    site.start_ready();
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let answer = site.ctl(&["status", "fine"]).ok();
        slowest = slowest.max(answer.took);
    }
    assert!(slowest < Duration::from_secs(2), "status took {slowest:?}");
    let status = site.status();
    assert_eq!(status.services.len(), COUNT + 1);
    assert!(
        status
            .services
            .iter()
            .filter(|service| service.restarts > 0)
            .count()
            == COUNT,
        "all restart"
    );
    site.ctl(&["stop", "s*"]).ok();
    let status = site.status();
    for service in status
        .services
        .iter()
        .filter(|service| service.name != "fine")
    {
        assert_eq!(service.state, api::ServiceState::Stopped, "{service:#?}");
    }
}

/// A flood of output by one service delays neither another's log nor `ctl`.
#[test]
fn a_flood_of_output_delays_nobody() {
    let mut site = Site::new();
    site.child(
        "flood",
        &["flood=100000000:100"],
        r#"
            [log]
            size = "1M"
            keep = 2
        "#,
    );
    site.child("quiet", &["print=here", "sleep"], "");
    site.start_ready();
    site.wait_log("quiet", |line| line == "here");
    eventually("the flood has reached its log", || {
        let current = site.log_dir("flood").join("current");
        fs::metadata(current).ok().filter(|it| it.len() > 0)
    });
    for _ in 0..10 {
        let answer = site.ctl(&["status", "quiet"]).ok();
        assert!(answer.took < Duration::from_secs(2), "{answer:#?}");
    }
    site.ctl(&["stop", "flood"]).ok();
    // The current file may be new and empty until the end of the run is marked in it.
    eventually("the end is in the log", || {
        let said = lines(&site.log_dir("flood").join("current"));
        (!said.is_empty()).then_some(())
    });
}
