//! A run stays in the file of living runs until its end is in the history on disk, whichever of the
//! two files was written last before a power cut.

use keeper::message::{Exit, Fact};

use crate::{
    control::{boot::without_told, harness::Harness},
    history,
    store::{Handled, LiveRun, Running},
};

use super::*;

const TOML: &str =
    "command = ['/bin/a']\n[restart]\npolicy = 'always'\ndelay = '10ms'\nmax_delay = '10ms'\n";

fn world() -> Harness {
    Harness::new(&[("a", TOML)], Handled::default())
}

/// The file of a daemon that went down with the machine, with one run.
fn file(id: &str) -> Running {
    let live = LiveRun {
        service: "a".to_owned(),
        pid: Some(7),
        since: "2026-11-22T00:00:00.000Z".to_owned(),
    };
    Running([(id.to_owned(), live)].into())
}

fn ids(world: &Harness) -> Vec<&String> {
    world.running.0.0.keys().collect()
}

#[test]
fn a_run_stays_in_the_file_until_its_end_is_in_the_history() {
    let mut world = world();
    world.exits_hang = true;
    world.spawned(1);
    world.pass(PACE_MS);
    let first = world.control.exits.id(RunId(1));
    assert_eq!(ids(&world), [&first]);
    world.killed(1, 9);
    let second = world.spawned[1].1;
    world.spawned(second);
    world.pass(PACE_MS);
    // A power cut may happen here: the file has both runs.
    let both = [&first, &world.control.exits.id(RunId(second))];
    assert_eq!(ids(&world), both);
    world.done(crate::control::input::Done::ExitsRecorded(Ok(())));
    world.pass(PACE_MS);
    assert_eq!(ids(&world), both[1..]);
}

/// Every order in which the two files may have reached the disk before a power cut.
#[test]
fn an_end_is_neither_lost_nor_doubled_by_a_power_cut_between_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let told = ExitRecord {
        id: "before-1-7".to_owned(),
        at: "2026-11-22T00:00:01.000Z".to_owned(),
        service: "a".to_owned(),
        pid: Some(7),
        code: Some(1),
        signal: None,
        core: false,
        ran_ms: None,
        killed: None,
        cause: ExitCause::Itself,
        next: NextRun::Start,
        left_out: 0,
    };
    let first_told = |running: Running| {
        let stored = without_told(running, "now-2", dir.path());
        let mut world = Harness::booted(&[("a", TOML)], stored);
        world.pass(PACE_MS);
        let unseen = world
            .exits
            .iter()
            .map(|it| (it.id.clone(), it.cause.clone()));
        assert_eq!(ids(&world), [""; 0], "it is in the history now");
        unseen.collect::<Vec<_>>()
    };
    // Only the file has the run.
    let down = || ("before-1-7".to_owned(), ExitCause::MachineDown);
    assert_eq!(first_told(file("before-1-7")), [down()]);
    // The history has the end, and the file still has the run.
    history::exits::append(dir.path(), 1_795_305_600_000, &[told]).unwrap();
    assert_eq!(first_told(file("before-1-7")), []);
    // The file has another run, which the history lacks.
    let other = ("before-1-8".to_owned(), ExitCause::MachineDown);
    assert_eq!(first_told(file("before-1-8")), [other]);
    // Both files were written.
    assert_eq!(first_told(Running::default()), []);
    // The keeper knows the daemon's own runs.
    let own = without_told(file("before-1-7"), "before-1", dir.path());
    assert_eq!(own, file("before-1-7"));
}

/// A run of an earlier daemon stays in the file until the history has its end.
#[test]
fn an_unseen_end_outlives_a_second_power_cut() {
    let world = Harness::booted_with_exits_hanging(&[("a", TOML)], file("before-1-7"));
    assert_eq!(ids(&world), ["before-1-7"]);
}

#[test]
fn a_crash_loop_does_not_write_at_each_start() {
    let mut world = world();
    let begin = world.now.moment;
    let mut starts = 0;
    while world.now.moment.since(begin) < 10_000 {
        if let Some((_, run)) = world.spawned.get(starts).cloned() {
            starts += 1;
            world.spawned(run);
            world.fact(crate::control::harness::exited(
                run,
                Exit::Code(1),
                world.now.moment,
            ));
            world.fact(Fact::Swept { run, left: vec![] });
        }
        world.pass(10);
    }
    let writes = u64::from(world.running.1);
    assert!(starts > 200, "{starts}");
    assert!(writes <= 10_000 / PACE_MS + 1, "{writes} writes");
}

#[test]
fn a_file_that_cannot_be_written_is_a_warning_until_it_can() {
    let mut world = world();
    world.disk = Err("no space left on device".to_owned());
    world.spawned(1);
    world.pass(PACE_MS);
    let warned = |world: &Harness| {
        let warnings = world.control.status(&[]).unwrap().supervisor.warnings;
        warnings
            .iter()
            .any(|it| it.contains("which runs live is not stored"))
    };
    assert!(warned(&world));
    world.disk = Ok(());
    world.pass(60_000);
    assert!(!warned(&world));
    assert_eq!(world.running.0.0.len(), 1);
}
