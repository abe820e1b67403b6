//! Leftovers of SIGKILL: no run starts beside them, and the service continues once they are gone.

use engine::*;

use crate::common::*;

#[test]
fn leftovers_are_failed_and_not_stopped_and_nothing_starts_over_them() {
    let mut rig = Rig::up(&[daemon()]);
    let run = rig.run(0);
    rig.fact(Fact::Exited {
        run,
        exit: Exit::Code(1),
    });
    rig.fact(Fact::Swept { run, left: 2 });
    let failed = State::Failed {
        reason: Failure::Leftovers {
            count: 2,
            look_at: None,
        },
    };
    assert_eq!(rig.state(0), failed);
    rig.stop(0);
    assert_eq!(rig.state(0), failed, "not stopped means not stopped");
    rig.fact(Fact::Swept { run, left: 0 });
    assert_eq!(rig.name(0), "stopped");
}

const LEFT: fn(&State) -> bool = |state| {
    let left = |reason: &Failure| matches!(reason, Failure::Leftovers { .. });
    matches!(state, State::Failed { reason } if left(reason))
};

#[test]
fn a_main_process_that_sigkill_does_not_end_is_left_and_comes_back_when_it_has_gone() {
    let mut rig = Rig::up(&[daemon()]);
    let old = rig.run(0);
    rig.restart(0);
    rig.pass(STOP_MS);
    assert_eq!(rig.name(0), "stopping");
    rig.pass(10_000);
    assert!(LEFT(&rig.state(0)), "{:?}", rig.state(0));
    assert_eq!(rig.settled(0), Settled::Failed);
    rig.start(0);
    rig.calm(Mood::Immortal);
    assert!(LEFT(&rig.state(0)), "the keeper makes no second one");
    rig.fact(Fact::Exited {
        run: old,
        exit: Exit::Signal(9),
    });
    assert!(LEFT(&rig.state(0)), "it is not swept yet");
    rig.fact(Fact::Swept { run: old, left: 0 });
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "running");
    let exit = rig.engine.view(id(0)).unwrap().last_exit.unwrap().0;
    assert_eq!(exit, Exit::Signal(9));
}

#[test]
fn what_the_keeper_names_as_left_is_not_waited_for_any_longer() {
    let mut rig = Rig::up(&[daemon()]);
    let run = rig.run(0);
    rig.stop(0);
    rig.fact(Fact::Swept { run, left: 1 });
    assert_eq!(rig.name(0), "stopping", "it has not been killed yet");
    rig.pass(STOP_MS);
    rig.fact(Fact::Swept { run, left: 1 });
    assert!(LEFT(&rig.state(0)));
    rig.fact(Fact::Exited {
        run,
        exit: Exit::Signal(9),
    });
    rig.fact(Fact::Swept { run, left: 0 });
    assert_eq!(rig.name(0), "stopped");
}

/// Leftovers of an earlier daemon belong to no known run.
#[test]
fn a_start_over_what_an_earlier_daemon_left_is_tried_again() {
    let mut rig = Rig::with(&[daemon()]);
    let run = rig.run(0);
    rig.fact(Fact::SpawnRefused { run, left: 2 });
    assert!(LEFT(&rig.state(0)));
    rig.pass(60_000);
    assert_eq!(rig.name(0), "spawning");
    rig.calm(Mood::Obedient);
    assert_eq!(rig.name(0), "running");
}
