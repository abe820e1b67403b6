//! Scheduled oneshots in a whole control process.

use keeper::message::{Exit, Fact};

use crate::{
    control::{
        harness::{Harness, MIDNIGHT, MINUTE, exited},
        input::Input,
    },
    store::{Handled, Outcome},
};

/// A oneshot that is due every ten minutes.
const JOB: &str = "type = 'oneshot'\ncommand = ['/bin/job']\n[schedule]\ncron = '*/10 * * * *'\n";

/// A control process at one minute past midnight.
fn world() -> Harness {
    Harness::new(&[("job", JOB)], Handled::default())
}

fn told(world: &Harness) -> Vec<String> {
    let past = world.control.cx.events.history("job", 100).into_iter();
    let past = past.filter(|event| event.kind == api::EventKind::Schedule);
    past.map(|event| event.detail.clone()).collect()
}

#[test]
fn it_rests_until_its_time_and_runs_again_at_the_next() {
    let mut world = world();
    assert!(world.spawned.is_empty());
    let job = world.status("job");
    assert_eq!((job.state, job.ready), (api::ServiceState::Completed, true));
    assert_eq!(job.next_try_ms, Some(9 * MINUTE));
    world.pass(9 * MINUTE - 1);
    assert!(world.spawned.is_empty());
    world.pass(1);
    assert_eq!(world.spawned.len(), 1);
    let run = world.spawned[0].1;
    world.spawned(run);
    world.ended(run);
    assert!(world.status("job").last_exit.is_some());
    assert_eq!(world.status("job").next_try_ms, Some(10 * MINUTE));
    world.pass(10 * MINUTE);
    assert_eq!(world.spawned.len(), 2);
    let stored = world.stored.clone().unwrap();
    assert_eq!(stored.until["job"], MIDNIGHT + 20 * MINUTE);
}

#[test]
fn a_time_that_comes_while_it_runs_is_skipped_and_told() {
    let mut world = world();
    world.pass(9 * MINUTE);
    let run = world.spawned[0].1;
    world.spawned(run);
    world.pass(10 * MINUTE);
    assert_eq!(world.spawned.len(), 1);
    let told = told(&world);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("skipped"), "{told:?}");
    world.ended(run);
    world.pass(MINUTE);
    assert_eq!(
        world.spawned.len(),
        1,
        "what was skipped is not made up for"
    );
    world.pass(9 * MINUTE);
    assert_eq!(world.spawned.len(), 2);
}

#[test]
fn a_clock_that_is_set_forward_is_gone_by_at_once() {
    let mut world = world();
    world.now.unix_ms += 12 * MINUTE;
    // In the event loop, the kernel reports the change of the clock.
    world.handle(Input::Timeout);
    world.pass(0);
    assert_eq!(
        world.spawned.len(),
        1,
        "twelve minutes are no reason to skip one"
    );
    assert_eq!(world.status("job").state, api::ServiceState::Spawning);
}

#[test]
fn nothing_runs_while_everything_stops() {
    let mut world = world();
    world.signal(15);
    world.pass(30 * MINUTE);
    assert!(world.spawned.is_empty());
}

#[test]
fn what_could_not_be_stored_is_tried_once_more_before_the_end() {
    let mut world = world();
    world.disk = Err("no space left on device".to_owned());
    world.pass(9 * MINUTE);
    let run = world.spawned[0].1;
    world.spawned(run);
    world.ended(run);
    world.disk = Ok(());
    world.signal(15);
    assert!(world.quit);
    assert_eq!(world.stored.unwrap().until["job"], MIDNIGHT + 10 * MINUTE);
}

/// The same oneshot, which is overdue without a good run.
fn owed() -> String {
    format!("{JOB}overdue_after = '3m'\n[restart]\npolicy = 'never'\n")
}

fn events(world: &Harness, kind: api::EventKind) -> Vec<String> {
    let past = world.control.cx.events.history("job", 100).into_iter();
    let past = past.filter(|event| event.kind == kind);
    past.map(|event| event.detail.clone()).collect()
}

/// Ends the newest run with this exit.
fn run_ends(world: &mut Harness, exit: Exit) {
    let run = world.spawned.last().unwrap().1;
    world.spawned(run);
    world.fact(exited(run, exit, world.now.moment));
    world.fact(Fact::Swept { run, left: vec![] });
}

fn warnings(world: &Harness) -> Vec<String> {
    world.control.status(&[]).unwrap().supervisor.warnings
}

fn schedule_of(world: &Harness) -> api::ScheduleStatus {
    world.status("job").schedule.unwrap()
}

#[test]
fn what_has_had_no_good_run_is_overdue_and_told_until_it_has() {
    let mut world = Harness::new(&[("job", &owed())], Handled::default());
    world.pass(9 * MINUTE);
    run_ends(&mut world, Exit::Code(1));
    let failed = schedule_of(&world);
    assert!(!failed.overdue && failed.last_good.is_none(), "{failed:?}");
    let why = failed.failed.unwrap().reason;
    assert!(why.starts_with("ended with exit code 1"), "{why}");
    world.pass(3 * MINUTE - 1);
    assert_eq!(events(&world, api::EventKind::Overdue), [""; 0]);
    world.pass(1);
    assert!(schedule_of(&world).overdue);
    let told = events(&world, api::EventKind::Overdue);
    assert_eq!(told.len(), 1, "{told:?}");
    let text =
        "overdue: a run was due at 2026-11-23T00:10:00.000Z, and there has been no good run yet";
    assert_eq!(told[0], text);
    let shown = warnings(&world);
    assert_eq!(shown[0], format!("job is {text}"));
    assert!(shown[1].starts_with("job: its last run failed at 2026-11-23T00:10:00.000Z: ended"));
    assert!(world.control.schedule.counts(world.now)["job"].overdue);
    world.pass(7 * MINUTE);
    run_ends(&mut world, Exit::Code(0));
    let good = schedule_of(&world);
    assert_eq!(good.last_good.unwrap(), "2026-11-23T00:20:00.000Z");
    assert!(!good.overdue && good.failed.is_none());
    assert_eq!(warnings(&world), [""; 0]);
    assert_eq!(events(&world, api::EventKind::Overdue).len(), 2);
    let kept = world.stored.clone().unwrap();
    assert_eq!(kept.outcomes["job"].good, Some(MIDNIGHT + 20 * MINUTE));
}

#[test]
fn what_stays_overdue_is_told_again_each_day_only() {
    let daily = owed().replace("*/10 * * * *", "30 2 * * *");
    let mut world = Harness::new(&[("job", &daily)], Handled::default());
    world.pass(4 * 24 * 60 * MINUTE);
    // The only run hangs.
    assert_eq!(world.spawned.len(), 1);
    assert_eq!(events(&world, api::EventKind::Overdue).len(), 4);
}

#[test]
fn one_without_a_limit_is_never_overdue() {
    let mut world = world();
    world.pass(24 * 60 * MINUTE);
    assert!(!schedule_of(&world).overdue);
    assert_eq!(events(&world, api::EventKind::Overdue), [""; 0]);
}

#[test]
fn after_a_machine_was_off_there_is_time_to_make_up_for_it() {
    let text = owed().replace("overdue", "catch_up = true\noverdue");
    let day = 24 * 60 * MINUTE;
    let outcome = Outcome {
        since: MIDNIGHT - 9 * day,
        good: Some(MIDNIGHT - 5 * day),
        ..Outcome::default()
    };
    let handled = Handled {
        until: [("job".to_owned(), MIDNIGHT - 5 * day)].into(),
        outcomes: [("job".to_owned(), outcome)].into(),
    };
    let mut world = Harness::new(&[("job", &text)], handled);
    world.pass(0);
    assert_eq!(world.spawned.len(), 1, "it is made up for");
    assert!(!schedule_of(&world).overdue);
    world.pass(2 * MINUTE);
    assert!(!schedule_of(&world).overdue);
    world.pass(MINUTE);
    assert!(schedule_of(&world).overdue, "it hangs");
    run_ends(&mut world, Exit::Code(0));
    assert!(!schedule_of(&world).overdue);
}

#[test]
fn another_control_process_knows_what_was_told() {
    let mut world = Harness::new(&[("job", &owed())], Handled::default());
    world.pass(9 * MINUTE);
    run_ends(&mut world, Exit::Code(1));
    world.pass(4 * MINUTE);
    let before = schedule_of(&world);
    assert!(before.overdue);
    world.reborn(Vec::new(), Vec::new());
    world.pass(0);
    assert_eq!(schedule_of(&world), before);
    assert_eq!(
        events(&world, api::EventKind::Overdue).len(),
        1,
        "it is told once"
    );
    world.pass(6 * MINUTE);
    run_ends(&mut world, Exit::Code(0));
    assert!(!schedule_of(&world).overdue);
}

#[test]
fn another_schedule_owes_nothing_of_the_one_before() {
    let mut world = Harness::new(&[("job", &owed())], Handled::default());
    world.pass(13 * MINUTE);
    assert!(schedule_of(&world).overdue);
    let hourly = owed().replace("*/10 * * * *", "0 * * * *");
    world.write_and_apply("job", &hourly);
    world.pass(0);
    assert!(!schedule_of(&world).overdue);
    world.pass(48 * MINUTE);
    assert!(!schedule_of(&world).overdue);
    world.pass(MINUTE);
    assert!(schedule_of(&world).overdue);
}
