//! Oneshots in a whole control process.

use crate::{
    control::{
        input::Input,
        whole::{MIDNIGHT, MINUTE, World},
    },
    store::Handled,
};

/// Due every ten minutes.
const JOB: &str = "type = 'oneshot'\ncommand = ['/bin/job']\n[schedule]\ncron = '*/10 * * * *'\n";

/// At one minute past midnight.
fn world() -> World {
    World::new(&[("job", JOB)], Handled::default())
}

fn told(world: &World) -> Vec<String> {
    let past = world.control.cx.feed.history("job", 100).into_iter();
    let past = past.filter(|event| event.kind == "schedule");
    past.map(|event| event.detail.clone()).collect()
}

#[test]
fn it_rests_until_its_time_and_runs_again_at_the_next() {
    let mut world = world();
    assert!(world.spawned.is_empty());
    let job = world.status("job");
    assert_eq!((job.state.as_str(), job.ready), ("completed", true));
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
    assert_eq!(stored.0["job"], MIDNIGHT + 20 * MINUTE);
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
    // The event loop hears of it from the kernel.
    world.handle(Input::Timeout);
    world.pass(0);
    assert_eq!(
        world.spawned.len(),
        1,
        "twelve minutes are no reason to skip one"
    );
    assert_eq!(world.status("job").state, "spawning");
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
    assert_eq!(world.stored.unwrap().0["job"], MIDNIGHT + 10 * MINUTE);
}
