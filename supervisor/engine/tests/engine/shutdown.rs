//! The shutdown: its order, its deadline, and runs that survive SIGKILL.

use engine::*;

use crate::common::*;

/// peers' behaviour 2
#[test]
fn shutdown_runs_in_reverse_order_in_parallel_without_holds() {
    let after = Spec {
        after: set(&[0]),
        ..daemon()
    };
    let mut rig = Rig::up(&[daemon(), requiring(&[0]), after, daemon()]);
    rig.command(Command::Shutdown { deadline_ms: 1000 })
        .unwrap();
    assert_eq!(names(&rig), ["running", "stopping", "stopping", "stopping"]);
    assert_eq!(
        rig.command(Command::Start(set(&[0]))),
        Err(Refusal::ShuttingDown)
    );
    rig.calm(Mood::Obedient);
    assert_eq!(rig.complete, Some(true));
    for n in 0..4 {
        let record = rig.engine.record(id(n)).unwrap();
        assert_eq!((record.goal, record.hold), (Goal::Up, None));
    }
    assert_eq!(rig.engine.poll_timeout(), None);
}

#[test]
fn shutdown_kills_what_is_left_at_the_deadline_and_a_second_one_shortens_it() {
    let slow = Spec {
        stop: Stop {
            signal: 3,
            escalation: None,
            timeout_ms: 3_600_000,
        },
        ..daemon()
    };
    let mut rig = Rig::up(&[
        slow.clone(),
        Spec {
            requires: set(&[0]),
            ..slow
        },
    ]);
    rig.command(Command::Shutdown {
        deadline_ms: 60_000,
    })
    .unwrap();
    rig.command(Command::Shutdown { deadline_ms: 100 }).unwrap();
    rig.command(Command::Shutdown {
        deadline_ms: 90_000,
    })
    .unwrap();
    rig.pass(99);
    assert_eq!(names(&rig), ["running", "stopping"]);
    rig.pass(1);
    let kills = rig
        .last
        .iter()
        .filter(|it| matches!(it, Effect::Kill { .. }))
        .count();
    assert_eq!(kills, 2);
    assert_eq!(rig.complete, None);
    rig.calm(Mood::Stubborn);
    assert_eq!(rig.complete, Some(true));
}

#[test]
fn shutdown_gives_up_on_what_even_a_kill_does_not_end() {
    let mut rig = Rig::up(&[daemon()]);
    rig.command(Command::Shutdown { deadline_ms: 100 }).unwrap();
    rig.pass(60_000);
    assert_eq!(rig.complete, Some(false));
    assert_eq!(Rig::new().engine.poll_timeout(), None);
}

#[test]
fn shutdown_of_nothing_is_complete_at_once() {
    let mut rig = Rig::new();
    rig.command(Command::Shutdown { deadline_ms: 100 }).unwrap();
    assert_eq!(rig.complete, Some(true));
}

#[test]
fn stop_order_is_the_reverse_of_start_order() {
    let rig = Rig::with(&[requiring(&[1]), requiring(&[2]), daemon()]);
    assert_eq!(rig.engine.stop_order(), [id(0), id(1), id(2)]);
}
