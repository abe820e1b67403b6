//! A hundred services that end at once.

use std::{fs, time::Duration};

use mattervisor_tests::{World, eventually, lines};

/// `ctl` stays in control of a hundred crash loops, and a stop of all of them holds.
#[test]
fn a_hundred_crash_loops_stay_controllable() {
    const COUNT: usize = 100;
    let mut world = World::new();
    for number in 0..COUNT {
        world.child(
            &format!("s{number:03}"),
            &["exit=1"],
            "[restart]\nlimit = { starts = 1000000, within = \"1m\" }",
        );
    }
    world.child("fine", &["sleep"], "");
    world.start_ready();
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let answer = world.ctl(&["status", "fine"]).ok();
        slowest = slowest.max(answer.took);
    }
    assert!(slowest < Duration::from_secs(2), "status took {slowest:?}");
    let status = world.status();
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
    world.ctl(&["stop", "s*"]).ok();
    let status = world.status();
    for service in status
        .services
        .iter()
        .filter(|service| service.name != "fine")
    {
        assert_eq!(service.state, "stopped", "{service:#?}");
    }
}

/// A flood of output by one service delays neither another's log nor `ctl`.
#[test]
fn a_flood_of_output_delays_nobody() {
    let mut world = World::new();
    world.child(
        "flood",
        &["flood=100000000:100"],
        "[log]\nsize = \"1M\"\nkeep = 2",
    );
    world.child("quiet", &["print=here", "sleep"], "");
    world.start_ready();
    world.wait_log("quiet", |line| line == "here");
    // It has begun.
    eventually("the flood has reached its log", || {
        let current = world.log_dir("flood").join("current");
        fs::metadata(current).ok().filter(|it| it.len() > 0)
    });
    for _ in 0..10 {
        let answer = world.ctl(&["status", "quiet"]).ok();
        assert!(answer.took < Duration::from_secs(2), "{answer:#?}");
    }
    world.ctl(&["stop", "flood"]).ok();
    // A file that has just begun is empty, until the end of the run is marked in it.
    eventually("the end is in the log", || {
        let said = lines(&world.log_dir("flood").join("current"));
        (!said.is_empty()).then_some(())
    });
}
