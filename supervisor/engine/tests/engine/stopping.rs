//! A stop at any moment: during a start, a spawn, a validation, a pause or another stop.

use engine::*;

use crate::common::*;

/// peers' behaviour 4
#[test]
fn stop_by_hand_inhibits_restart_and_holds() {
    let mut rig = Rig::up(&[daemon()]);
    rig.stop(0);
    assert_eq!(signals(&rig), [TERM]);
    rig.exit(0, Exit::Code(1));
    assert_eq!(rig.name(0), "stopped");
    assert_eq!(rig.settled(0), Settled::Held);
    rig.pass(10_000);
    assert_eq!(rig.name(0), "stopped");
    assert_eq!(rig.engine.view(id(0)).unwrap().hold, Some(hold()));
}

/// peers' behaviour 5
#[test]
fn stop_during_the_stop_of_a_restart_cancels_the_restart() {
    let mut rig = Rig::up(&[daemon()]);
    rig.restart(0);
    rig.stop(0);
    rig.exit(0, Exit::Code(0));
    assert_eq!(rig.name(0), "stopped");
}

/// peers' behaviour 6
#[test]
fn start_while_stopping_is_honoured_after_the_stop() {
    let mut rig = Rig::up(&[daemon()]);
    rig.stop(0);
    assert_eq!(rig.start(0).lifted, [(id(0), hold())]);
    assert_eq!(rig.name(0), "stopping");
    rig.exit(0, Exit::Code(0));
    assert_eq!(rig.name(0), "spawning");
}

/// peers' behaviour 9
#[test]
fn stop_during_backoff_ends_stopped_and_never_starts() {
    let mut rig = Rig::with(&[daemon()]);
    rig.calm(Mood::DiesAtOnce);
    assert_eq!(rig.name(0), "backoff");
    rig.stop(0);
    assert_eq!(rig.name(0), "stopped");
    rig.pass(10_000);
    assert_eq!(rig.name(0), "stopped");
}

/// peers' behaviour 10
#[test]
fn stop_during_start_asks_at_once() {
    let mut rig = Rig::with(&[notify()]);
    rig.spawned(0);
    assert_eq!(rig.name(0), "starting");
    rig.stop(0);
    assert_eq!(signals(&rig), [TERM]);
    rig.exit(0, Exit::Signal(TERM));
    assert_eq!(rig.name(0), "stopped");
}

#[test]
fn stop_during_spawn_stops_as_soon_as_there_is_a_process() {
    let mut rig = Rig::with(&[daemon()]);
    rig.stop(0);
    assert_eq!(rig.name(0), "spawning");
    rig.spawned(0);
    assert_eq!(signals(&rig), [TERM]);
    rig.exit(0, Exit::Code(0));
    assert_eq!(rig.name(0), "stopped");
}

#[test]
fn stop_during_spawn_that_fails_is_stopped() {
    let mut rig = Rig::with(&[daemon()]);
    rig.stop(0);
    let run = rig.run(0);
    rig.fact(Fact::SpawnFailed {
        run,
        transient: false,
        reason: "exec: no such file".into(),
    });
    assert_eq!(rig.name(0), "stopped");
}

#[test]
fn stop_during_validation_kills_the_validator_and_waits_for_its_end() {
    let mut rig = Rig::with(&[Spec {
        validated: true,
        ..daemon()
    }]);
    rig.stop(0);
    assert!(rig.last.iter().any(|it| matches!(it, Effect::Kill { .. })));
    assert_eq!(rig.engine.main_run(id(0)), None);
    rig.start(0);
    assert_eq!(rig.name(0), "stopping");
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "running");
    assert_eq!(rig.engine.view(id(0)).unwrap().last_exit, None);
}

/// peers' behaviour 11
#[test]
fn shutdown_while_starting_leaves_none() {
    let mut rig = Rig::with(&[
        notify(),
        daemon(),
        Spec {
            validated: true,
            ..daemon()
        },
        oneshot(),
    ]);
    rig.spawned(0);
    rig.command(Command::Shutdown { deadline_ms: 500 }).unwrap();
    rig.calm(Mood::Obedient);
    assert_eq!(rig.complete, Some(true));
    assert!(rig.procs.is_empty());
}

/// peers' behaviours 22 and 24
#[test]
fn stop_timeout_of_the_service_escalates_to_kill_once() {
    let slow = Spec {
        stop: Stop {
            signal: 3,
            escalation: None,
            timeout_ms: 200,
        },
        ..daemon()
    };
    let mut rig = Rig::up(&[daemon(), slow]);
    rig.stop(0);
    rig.stop(1);
    rig.pass(STOP_MS);
    let killed = |rig: &Rig, n| {
        matches!(
            rig.state(n),
            State::Stopping {
                phase: StopPhase::Killed { .. },
                ..
            }
        )
    };
    assert_eq!([killed(&rig, 0), killed(&rig, 1)], [true, false]);
    rig.pass(150);
    assert!(killed(&rig, 1));
    rig.calm(Mood::Stubborn);
    assert_eq!([rig.name(0), rig.name(1)], ["stopped"; 2]);
}
